"""Each fix of each fixture silences its finding and brings no other, alone and together with all others; the fixed programs still run."""

from __future__ import annotations

import io
import os
import shutil
import tokenize
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from runs import Run, notebook_code, running
from test_rules import MARK, expected, findings, programs

from nnlint.findings import Finding
from nnlint.fix.apply import compatible, edits_of
from nnlint.fix.session import rewritten

SHARE = 4  # one in so many of the fixed programs is run


def name_of(program: Path) -> str:
    return f"{program.parent.name}/{program.name}"


PROGRAMS = programs()
MARKED = [program for program in PROGRAMS if expected(program)]


def copied(program: Path, folder: Path) -> Path:
    """A copy that may be changed, in a folder of the same name (the pedantic rules are run by it)."""
    target = folder / program.parent.name / program.name
    target.parent.mkdir(parents=True)
    if program.is_dir():
        shutil.copytree(program, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(program, target)
    return target


def applied(program: Path, wanted: Sequence[Finding]) -> None:
    """Write the edits, without the proof that the command line asks for."""
    fixes = [finding.fix for finding in wanted if finding.fix is not None]
    for name in {edit.place.filename for fix in fixes for edit in fix.edits}:
        path = program.parent / name
        path.write_bytes(rewritten(path.read_bytes(), name, edits_of(fixes, name)))


def codes(found: Sequence[Finding]) -> Counter[str]:
    return Counter(finding.code for finding in found)


def comments(program: Path) -> Counter[str]:
    """All comments of a program but the marks."""
    found: Counter[str] = Counter()
    for path in [program] if program.is_file() else sorted(program.rglob("*.py")):
        text = notebook_code(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and not MARK.search(token.string):
                found[token.string] += 1
    return found


@pytest.mark.parametrize("program", MARKED, ids=name_of)
def test_fixes_hold(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixable = [finding for finding in findings(program, monkeypatch) if finding.fix is not None]
    said = comments(program)
    for number, wanted in enumerate([[finding] for finding in fixable] + ([fixable] if len(fixable) > 1 else [])):
        copy = copied(program, tmp_path / str(number))
        before = findings(copy, monkeypatch)
        while wanted:
            taken = compatible(wanted)
            applied(copy, taken.findings)
            after = findings(copy, monkeypatch)
            marks = Counter((f.place.filename, f.place.cell, f.place.row, f.code) for f in after)
            assert not marks - expected(copy), "the fix brings a finding"
            assert codes(after) == codes(before) - codes(taken.findings), "the fix does not silence its finding"
            assert comments(copy) == said, "comments are lost"
            # One fix may leave room for another; each pass mends something, so that there is an end.
            before, wanted = after, [finding for finding in after if finding.fix is not None] if len(wanted) == len(fixable) else []


def test_every_rule_that_promises_a_fix_gives_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many of the marked findings of the fixtures can be fixed, by rule: a floor, so that a fix does not get lost unseen."""
    counts: Counter[str] = Counter()
    for program in MARKED:
        counts.update(finding.code for finding in findings(program, monkeypatch) if finding.fix is not None)
    assert {code: counts[code] for code in FLOORS if counts[code] < FLOORS[code]} == {}


FLOORS = {"NN101": 19, "NN102": 10, "NN103": 13, "NN201": 13, "NN202": 11, "NN301": 13, "NN302": 14, "NN401": 15, "NN501": 10, "NN502": 4}


@pytest.fixture(scope="module")
def execute() -> Iterator[Run]:
    with running() as run:
        yield run


@pytest.mark.skipif(find_spec("torch") is None or not hasattr(os, "fork"), reason="the programs need torch, and a fork")
@pytest.mark.parametrize("program", [program for program in MARKED if zlib.crc32(name_of(program).encode()) % SHARE == 0], ids=name_of)
def test_fixed_programs_run(program: Path, execute: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = copied(program, tmp_path / "made")
    taken = compatible(finding for finding in findings(copy, monkeypatch) if finding.fix is not None)
    if not taken.findings:
        pytest.skip("nothing to fix")
    applied(copy, taken.findings)
    folder = copy if copy.is_dir() else copy.parent
    script = copy / "train.py" if copy.is_dir() else copy
    if copy.suffix == ".ipynb":
        script = copy.with_suffix(".py")
        script.write_text(notebook_code(copy), encoding="utf-8")
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    code, output = execute(script, folder, cwd)
    assert code == 0, output


