"""Writes what is derived: the rules' pages in docs/rules/, and README's table of rules and example of the output.

`--check` only says what is out of date.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from nnlint.lint import lint_paths  # noqa: E402
from nnlint.output import render as render_findings  # noqa: E402
from nnlint.pages import page, render  # noqa: E402
from nnlint.registry import Catalogue, catalogue  # noqa: E402
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
    return files


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
        sys.exit(f"README.md has no block between `{begin}` and `{end}`")
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
