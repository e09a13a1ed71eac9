"""Writes what is derived: the rules' pages and their list, the pages of options and settings, the JSON schema of the settings, the
example of README and of the site's front page.

`--check` only says what is out of date.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click  # noqa: E402
import msgspec  # noqa: E402

from nnlint.cli import OTHER, command  # noqa: E402
from nnlint.lint import lint_paths  # noqa: E402
from nnlint.notices import NOTICES  # noqa: E402
from nnlint.output import render as render_findings  # noqa: E402
from nnlint.pages import page, render  # noqa: E402
from nnlint.registry import Catalogue, catalogue  # noqa: E402
from nnlint.rule import Group  # noqa: E402
from nnlint.settings import Table, settle  # noqa: E402

EXAMPLE = ROOT / "fixtures" / "demo" / "loop"
FAMILIES = {
    "NN1": "Loss and output",
    "NN2": "Optimization step",
    "NN3": "Train and eval mode",
    "NN4": "Tensor layout",
    "NN5": "Architecture",
    "NN6": "Data",
    "NN7": "Bookkeeping",
    "NN8": "Recipe",
    "NN0": "nnlint itself",
}


def wanted() -> dict[Path, str]:
    """Every derived file with the text that it should have."""
    found = catalogue()
    # Only our own: other rule packages may be installed beside them.
    rules = Catalogue(tuple(rule for rule in found.rules if rule.__module__.startswith("nnlint.rules")))
    docs = ROOT / "docs"
    files = {docs / "rules" / f"{rule.name()}.md": render(rule) for rule in rules.everything}
    settings = schema(rules)
    files[ROOT / "nnlint.schema.json"] = json.dumps(settings, indent=2) + "\n"
    program = _example()
    output = _output(program, rules)
    blocks = {
        "example": "```python\n" + "\n\n".join(f"# {name}\n{text.strip()}" for name, text in program.items()) + "\n```",
        "output": f"```output\n{output}```",
        "finding": "```output\n" + output.partition("\n\n")[0] + "\n```",
        "rules": "\n\n".join(_families(rules)),
        "rule": f"```python\n{_rule(ROOT / 'examples' / 'nnlint-example' / 'nnlint_example' / 'double_step.py')}```",
        "settings": settings_table(settings),
        "options": "\n\n".join(_options()),
    }
    for path in (ROOT / "README.md", docs / "rules" / "index.md", *docs.glob("*.md")):
        files[path] = _filled(path, blocks)
    config = ROOT / "mkdocs.yml"
    names = "\n".join(f"      - {rule.code} {rule.name()}: rules/{rule.name()}.md" for rule in (*rules.rules, *NOTICES))
    marks = "      # rules: written by scripts/generate.py\n", "      # end of rules"
    files[config] = _between(config, config.read_text(encoding="utf-8"), *marks, names + "\n")
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


def _example() -> dict[str, str]:
    """The program of the example, without the docstring and the marks, which are for the tests."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.glob("*.py"))}
    return {name: re.sub(r"  # expect: .*", "", re.sub(r'\A""".*?"""\n', "", text, flags=re.DOTALL)) for name, text in texts.items()}


def _output(program: dict[str, str], rules: Catalogue) -> str:
    """What nnlint prints for a program."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in program.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        os.chdir(folder)
        try:
            result = lint_paths(["."], settle(["."], Table()), rules)
        finally:
            os.chdir(before)
    return click.unstyle(render_findings("full", result))


def _families(rules: Catalogue) -> Iterator[str]:
    """All rules, a table for each family."""
    for prefix, title in FAMILIES.items():
        family = [rule for rule in rules.everything if rule.code.startswith(prefix)]
        if family:
            rows = ["| code | rule | severity | what is wrong |", "|---|---|---|---|"]
            for rule in family:
                group = "" if rule.group.value == "default" else f" ({rule.group.value})"
                summary = page(rule).summary.replace("|", "\\|")
                rows.append(f"| {rule.code} | [{rule.name()}]({rule.name()}.md) | {rule.severity.value}{group} | {summary} |")
            yield f"## {title}\n\n" + "\n".join(rows)


def _rule(path: Path) -> str:
    """A rule's source without most of its page."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"(?<=## Why is this bad\?\n).*?\n(?=    \"\"\")", "    ...\n", text, flags=re.DOTALL)


def _options() -> Iterator[str]:
    """The options of the command line, a table for each heading of the help."""
    groups: dict[str, list[str]] = {}
    for option in command.get_params(command.make_context("nnlint", [], resilient_parsing=True)):
        if isinstance(option, click.Option) and not option.hidden:
            names = ", ".join(f"`{name}`" for name in option.opts)
            value = ", ".join(option.type.choices) if isinstance(option.type, click.Choice) else option.metavar
            shown = f"{names} *{value}*" if value and not option.is_flag else names
            groups.setdefault(getattr(option, "group", OTHER), []).append(f"| {shown} | {option.help or ''} |")
    for group in sorted(groups, key=lambda group: group == OTHER):
        yield f"## {group}\n\n" + "\n".join(["| option | meaning |", "|---|---|", *groups[group]])


def _filled(path: Path, blocks: dict[str, str]) -> str:
    """A file with new content in each block that it has."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- (\w+): written by scripts/generate.py -->", text):
        marks = f"<!-- {name}: written by scripts/generate.py -->\n", f"<!-- end of {name} -->"
        text = _between(path, text, *marks, f"\n{blocks[name]}\n\n")
    return text


def _between(path: Path, text: str, begin: str, end: str, content: str) -> str:
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{path.name} has no block between `{begin.strip()}` and `{end.strip()}`")
    return f"{head}{begin}{content}{end}{tail}"


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
