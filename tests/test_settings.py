"""Configuration files, the command line over them, and which rules that selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnlint.registry import Catalogue
from nnlint.selection import Layer, select
from nnlint.settings import Settings, Table, nearest, settle
from nnlint.trouble import Trouble


def configure(folder: Path, text: str, name: str = "nnlint.toml") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_without_a_file(folder: Path) -> None:
    settings = settle(["."], Table())
    assert (settings.fail_on, settings.suspected, settings.src, settings.files) == ("warning", False, (), ())


def test_all_keys(folder: Path) -> None:
    configure(
        folder,
        """
        [tool.nnlint]
        select = ["default"]
        extend-select = ["NN108"]
        ignore = ["NN501"]
        per-file-ignores = { "tests/**" = ["NN2"] }
        exclude = ["old"]
        extend-exclude = ["gen_*.py"]
        fail-on = "note"
        suspected = true
        src = ["lib"]
        """,
        "pyproject.toml",
    )
    settings = settle(["."], Table())
    assert settings.layers == (Layer(("default",), ("NN108",), ("NN501",), "pyproject.toml"), Layer())
    assert (settings.fail_on, settings.suspected, settings.src) == ("note", True, ("lib",))
    root = str(folder)
    assert [settings.choice.excludes_any(f"{root}/{name}") for name in ("old/", "gen_a.py", "build/", "a.py")] == [True, True, False, False]
    ((patterns, layer),) = settings.per_file_ignores
    assert patterns.verdict(f"{root}/tests/deep/a.py")
    assert not patterns.verdict(f"{root}/a.py")
    assert layer.ignore == ("NN2",)


def test_the_command_line_is_stronger(folder: Path) -> None:
    configure(folder, 'fail-on = "note"\nsuspected = true\nexclude = ["old"]\n')
    settings = settle(["."], Table(fail_on="error", exclude=("new",)))
    assert (settings.fail_on, settings.suspected) == ("error", True)
    assert settings.choice.excludes_any(f"{folder}/new/")
    assert not settings.choice.excludes_any(f"{folder}/old/")


def test_the_nearest_file_with_a_table(folder: Path) -> None:
    configure(folder, 'fail-on = "note"')
    configure(folder / "a", "[tool.ruff]\n", "pyproject.toml")
    configure(folder / "a" / "b", "[tool.nnlint]\n", "pyproject.toml")
    assert nearest(folder / "a") == folder / "nnlint.toml"
    assert nearest(folder / "a" / "b") == folder / "a" / "b" / "pyproject.toml"
    (folder / "a" / "b" / "x.py").touch()
    (folder / "a" / "y.py").touch()
    assert settle(["a/b/x.py"], Table()).fail_on == "warning"
    assert settle(["a/b/x.py", "a/y.py"], Table()).fail_on == "note"


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder, 'src = ["lib"]\nexclude = ["/gen"]\n')
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    settings = settle(["."], Table())
    assert settings.src == ("../lib",)
    assert settings.choice.excludes_any(f"{folder}/gen/")
    assert not settings.choice.excludes_any(f"{folder}/sub/gen/")


def test_extend(folder: Path) -> None:
    configure(folder, 'select = ["NN1"]\nfail-on = "note"\n')
    configure(folder / "a", 'extend = "../nnlint.toml"\nextend-select = ["NN2"]\n')
    settings = settle(["a"], Table())
    assert [(layer.select, layer.extend_select) for layer in settings.layers] == [(("NN1",), ()), (None, ("NN2",)), (None, ())]
    assert settings.fail_on == "note"
    assert settings.files == (folder / "nnlint.toml", folder / "a" / "nnlint.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", r"nnlint\.toml: unknown key `selct`; did you mean `select`\?"),
        ("fail_on = 'note'", r"nnlint\.toml: unknown key `fail_on`; did you mean `fail-on`\?"),
        ("colour = 1", r"nnlint\.toml: unknown key `colour`"),
        ("select = 'NN1'", r"nnlint\.toml: `select`: expected `array.*`, got `str`"),
        ("select = [1]", r"nnlint\.toml: `select\[0\]`: expected `str`, got `int`"),
        ("fail-on = 'fatal'", r"nnlint\.toml: `fail-on`: invalid enum value 'fatal'"),
        ("select = ", r"nnlint\.toml: invalid value"),
        ("extend = 'nnlint.toml'", r"nnlint\.toml: `extend` leads back to the same file"),
        ("extend = 'nope.toml'", r"nope\.toml: cannot be read: No such file"),
    ],
)
def test_trouble_is_loud(folder: Path, text: str, message: str) -> None:
    configure(folder, text)
    with pytest.raises(Trouble, match=message):
        settle(["."], Table())


def chosen(catalogue: Catalogue, *layers: Layer) -> set[str]:
    codes = select(catalogue, layers)
    assert "NN000" in codes, "what could not be looked at is always told"
    return set(codes) - {"NN000"}


DEFAULT = {"NN001", "NN101", "NN201", "NN205", "NN501"}


@pytest.mark.parametrize(
    ("layers", "codes"),
    [
        ([], DEFAULT),
        ([Layer()], DEFAULT),
        ([Layer(("all",))], DEFAULT | {"NN108"}),
        ([Layer(("pedantic",))], {"NN108"}),
        ([Layer(("NN2",))], {"NN201", "NN205"}),
        ([Layer(("missing-zero-grad", "NN501"))], {"NN201", "NN501"}),
        ([Layer(extend_select=("NN1",))], DEFAULT | {"NN108"}),
        ([Layer(ignore=("NN2", "softmax-before-logit-loss"))], DEFAULT - {"NN201", "NN205", "NN101"}),
        ([Layer(("NN201",), ignore=("NN2",))], {"NN201"}),
        ([Layer(("NN2",), ignore=("NN201",))], {"NN205"}),
        ([Layer(("NN201",), ignore=("NN201",))], set()),
        ([Layer(ignore=("NN201",)), Layer(extend_select=("NN201",))], DEFAULT),
        ([Layer(ignore=("NN201",)), Layer(("NN2",))], {"NN201", "NN205"}),
        ([Layer(("NN1",)), Layer(ignore=("NN108",))], {"NN101"}),
    ],
)
def test_selection(catalogue: Catalogue, layers: list[Layer], codes: set[str]) -> None:
    assert chosen(catalogue, *layers) == codes


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("missing-zero-gard", r"the command line: unknown rule or group `missing-zero-gard`; did you mean `missing-zero-grad`\?"),
        ("NN9", "unknown rule or group `NN9`"),
        ("defualt", r"did you mean `default`\?"),
        ("softmax", r"did you mean `softmax-before-logit-loss`\?"),
        ("", "unknown rule or group ``"),
    ],
)
def test_unknown_words(catalogue: Catalogue, word: str, message: str) -> None:
    with pytest.raises(Trouble, match=message):
        chosen(catalogue, Layer((word,)))


def test_settings_have_defaults() -> None:
    assert Settings().fail_on == "warning"
