"""Writes what is derived: the rules' pages in docs/rules/, README's table of rules and example of the output, the JSON schema of the
settings and their table in docs/configuration.md.

`--check` only says what is out of date.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click  # noqa: E402
import msgspec  # noqa: E402

from nnlint.lint import lint_paths  # noqa: E402
from nnlint.output import render as render_findings  # noqa: E402
from nnlint.pages import page, render  # noqa: E402
from nnlint.registry import Catalogue, catalogue  # noqa: E402
from nnlint.rule import Group  # noqa: E402
from nnlint.settings import Table, settle  # noqa: E402

DEMO = ROOT / "fixtures" / "demo" / "digits"


def table(rules: Catalogue) -> str:
    """All rules in one Markdown table."""
    rows = ["| code | rule | severity | what is wrong |", "|---|---|---|---|"]
    for rule in rules.rules:
        name = f"[{rule.name()}](docs/rules/{rule.name()}.md)"
        group = "" if rule.group.value == "default" else f" ({rule.group.value})"
        rows.append(f"| {rule.code} | {name} | {rule.severity.value}{group} | {page(rule).summary.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def wanted() -> dict[Path, str]:
    """Every derived file with the text that it should have."""
    found = catalogue()
    # Only our own: other rule packages may be installed beside them.
    rules = Catalogue(tuple(rule for rule in found.rules if rule.__module__.startswith("nnlint.rules")))
    files = {ROOT / "docs" / "rules" / f"{rule.name()}.md": render(rule) for rule in rules.everything}
    readme = ROOT / "README.md"
    text = _block(readme.read_text(encoding="utf-8"), "rules", table(rules))
    files[readme] = _block(text, "output", f"```\n{demo(rules)}```")
    settings = schema(rules)
    files[ROOT / "nnlint.schema.json"] = json.dumps(settings, indent=2) + "\n"
    page_of_settings = ROOT / "docs" / "configuration.md"
    files[page_of_settings] = _block(page_of_settings.read_text(encoding="utf-8"), "settings", settings_table(settings))
    return files


def schema(rules: Catalogue) -> dict[str, Any]:
    """The JSON schema of `nnlint.toml`, which is that of `[tool.nnlint]` too."""
    (_, definitions) = msgspec.json.schema_components([Table], ref_template="#/definitions/{name}")
    top = definitions.pop("Table")
    tables = [top, *definitions.values()]
    for each in tables:
        del each["required"]
        each["properties"] = {name: _without_null(about) for name, about in each["properties"].items()}
    # Known words are offered; rules of plug-ins are right as well.
    words = ["all", *(group.value for group in Group), *sorted(rules.words)]
    definitions["Selector"] = {"anyOf": [{"enum": words}, {"type": "string"}]}
    reference = {"$ref": "#/definitions/Selector"}
    for name in ("select", "extend-select", "ignore"):
        top["properties"][name]["items"] = reference
    top["properties"]["per-file-ignores"]["additionalProperties"]["items"] = reference
    about = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "nnlint",
        "description": "nnlint.toml, or [tool.nnlint] in pyproject.toml.",
    }
    return {**top, **about, "definitions": definitions}


def _without_null(about: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: a key that is not set is not there."""
    about.pop("default", None)
    kinds = [kind for kind in about.pop("anyOf", []) if kind != {"type": "null"}]
    return {**about, **kinds[0]} if kinds else about


def settings_table(schema: dict[str, Any]) -> str:
    """All settings in one Markdown table."""
    rows = ["| key | value | meaning |", "|---|---|---|"]
    for prefix, properties in (("", schema["properties"]), ("runtime.", schema["definitions"]["RuntimeTable"]["properties"])):
        rows += [
            f"| `{prefix}{name}` | {_kind(about)} | {about['description']} |" for name, about in properties.items() if name != "runtime"
        ]
    return "\n".join(rows)


def _kind(about: dict[str, Any]) -> str:
    if "enum" in about:
        return ", ".join(f'`"{word}"`' for word in about["enum"])
    kinds = {"string": "text", "array": "list", "object": "table of lists", "boolean": "`true` or `false`", "integer": "number"}
    return kinds.get(about["type"], str(about["type"]))


def demo(rules: Catalogue) -> str:
    """What nnlint prints for the errors of the demonstration."""
    before = Path.cwd()
    os.chdir(DEMO)
    try:
        result = lint_paths(["."], settle(["."], Table(ignore=("NN5",))), rules)
    finally:
        os.chdir(before)
    # The marks are for the tests.
    return re.sub(r"  # expect: .*", "", click.unstyle(render_findings("full", result)))


def _block(text: str, name: str, content: str) -> str:
    """The text with new content between the two marks of a block."""
    begin, end = f"<!-- {name}: written by scripts/generate.py -->", f"<!-- end of {name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        sys.exit(f"there is no block between `{begin}` and `{end}`")
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: python scripts/generate.py [--check]")
    files = wanted()
    stale = [path for path in (ROOT / "docs" / "rules").glob("*.md") if path not in files]
    changed = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in (*changed, *stale):
        print(f"{'out of date' if check else 'deleted' if path in stale else 'written'}: {path.relative_to(ROOT).as_posix()}")
    if check:
        return int(bool(changed or stale))
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8", newline="\n")
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
