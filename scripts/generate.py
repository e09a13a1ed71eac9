"""Writes what is derived from the rules: docs/rules/ and the table of rules in README.md. `--check` only says what is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnlint.pages import page, render  # noqa: E402
from nnlint.registry import Catalogue, catalogue  # noqa: E402

BEGIN, END = "<!-- rules: written by scripts/generate.py -->", "<!-- end of rules -->"


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
    head, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        sys.exit(f"README.md has no block between `{BEGIN}` and `{END}`")
    files[readme] = f"{head}{BEGIN}\n\n{table(rules)}\n\n{END}{tail}"
    return files


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
