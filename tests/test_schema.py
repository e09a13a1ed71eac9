"""The JSON schema of the settings says what the loader says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest

from nnlint.registry import catalogue
from nnlint.settings import RuntimeTable, Table, settle
from nnlint.trouble import Trouble

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "nnlint.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

GOOD = [
    "",
    "select = ['NN1', 'all', 'missing-zero-grad', 'XY101']",
    "extend-select = []\nignore = ['pedantic']\nextend-exclude = ['a', 'b/']\nexclude = []",
    "[per-file-ignores]\n'tests/**' = ['NN2']\n'*.ipynb' = []",
    "fail-on = 'never'\nsuspected = false\nsrc = ['lib']\nbaseline = 'known.json'\noutput-format = 'sarif'\ncache-dir = 'x'",
    "[runtime]\nsteps = 1\ntimeout = 1.5\ndevice = 'cuda:1'\nargs = ['--epochs', '1']",
    "runtime = { timeout = 60 }",
]
BAD = [
    "selct = []",
    "select = 'NN1'",
    "select = [1]",
    "per-file-ignores = ['a']",
    "per-file-ignores = { a = 'NN1' }",
    "fail-on = 'fatal'",
    "suspected = 1",
    "suspected = 'yes'",
    "src = 'lib'",
    "baseline = ['a']",
    "output-format = 'xml'",
    "runtime = []",
    "runtime = { step = 1 }",
    "runtime = { steps = 0 }",
    "runtime = { steps = 1.5 }",
    "runtime = { steps = true }",
    "runtime = { timeout = 0.5 }",
    "runtime = { timeout = '1' }",
    "runtime = { args = 'a' }",
]


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("table", "schema"), [(Table, SCHEMA), (RuntimeTable, SCHEMA["definitions"]["RuntimeTable"])])
def test_keys(table: type[msgspec.Struct], schema: dict[str, dict[str, dict[str, object]]]) -> None:
    assert list(schema["properties"]) == [field.encode_name for field in msgspec.structs.fields(table)]
    assert all(about["description"] for about in schema["properties"].values())


def test_all_rules_are_offered() -> None:
    ours = {word for rule in catalogue().everything if rule.code.startswith("NN") for word in (rule.code, rule.name())}
    assert set(SCHEMA["definitions"]["Selector"]["anyOf"][0]["enum"]) == ours | {"all", "default", "pedantic"}


@pytest.mark.parametrize(("text", "right"), [*((text, True) for text in GOOD), *((text, False) for text in BAD)])
def test_the_loader_agrees(folder: Path, text: str, right: bool) -> None:
    (folder / "nnlint.toml").write_text(text)
    assert VALIDATOR.is_valid(tomllib.loads(text)) is right
    if right:
        settle(["."], Table())
    else:
        with pytest.raises(Trouble):
            settle(["."], Table())


def test_the_examples_of_the_documentation(folder: Path) -> None:
    examples = [
        block
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if "[tool.nnlint" in block
    ]
    assert examples
    for block in examples:
        assert [error.message for error in VALIDATOR.iter_errors(tomllib.loads(block)["tool"]["nnlint"])] == []
        (folder / "pyproject.toml").write_text(block)
        settle(["."], Table())
