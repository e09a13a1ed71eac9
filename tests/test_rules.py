"""Every fixture program gives exactly the findings that are marked in it, and no others."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from nnlint import registry
from nnlint.findings import Confidence, Finding
from nnlint.lint import lint_paths
from nnlint.rule import Group
from nnlint.selection import Layer
from nnlint.settings import Settings

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MARK = re.compile(r"#\s*expect:\s*([A-Z0-9, ]+)$")

Mark = tuple[str, int | None, int, str]


def programs() -> list[Path]:
    """Each file or folder below `fixtures/<family>/`."""
    return sorted(path for family in FIXTURES.iterdir() if family.is_dir() for path in family.iterdir() if path.name != "__pycache__")


def expected(program: Path) -> Counter[Mark]:
    """The marks of a program: (file, cell, row, code)."""
    marks: Counter[Mark] = Counter()
    paths = [program] if program.is_file() else sorted(path for path in program.rglob("*") if path.suffix in (".py", ".ipynb"))
    for path in paths:
        name = path.relative_to(program.parent).as_posix()
        for cell, text in texts(path):
            for row, line in enumerate(text.splitlines(), 1):
                found = MARK.search(line.rstrip())
                if found:
                    marks.update((name, cell, row, code.strip()) for code in found[1].split(","))
    return marks


def texts(path: Path) -> list[tuple[int | None, str]]:
    if path.suffix == ".py":
        return [(None, path.read_text(encoding="utf-8"))]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(position, "".join(cell["source"])) for position, cell in enumerate(cells, 1) if cell["cell_type"] == "code"]


def findings(program: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the default rules say of a program, and the pedantic one in its own fixtures."""
    monkeypatch.chdir(program.parent)
    catalogue = registry.catalogue()
    codes = tuple(rule.code for rule in catalogue.rules if rule.group is Group.DEFAULT or rule.name() == program.parent.name)
    settings = Settings(layers=(Layer(codes, (), (), "test"),))
    result = lint_paths([program.name], settings, catalogue)
    return [finding for finding in result.findings if finding.confidence is Confidence.CERTAIN]


@pytest.mark.parametrize("program", programs(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_findings_are_the_marked_ones(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Counter((f.place.filename, f.place.cell, f.place.row, f.code) for f in findings(program, monkeypatch))
    assert found == expected(program)


