"""A program that is written in another way gives the same findings: the marks of a fixture travel with its lines."""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest
from rewrites import REWRITES, NotApplicable, Sources, alike
from test_fixtures_run import execute, notebook_code  # noqa: F401 -- a fixture
from test_rules import Mark, expected, findings, programs

from nnlint.findings import Finding

# Minutes of work: run on demand, `NNLINT_METAMORPHIC=1 pytest tests/test_metamorphic.py -n auto`.
pytestmark = pytest.mark.skipif("NNLINT_METAMORPHIC" not in os.environ, reason="takes minutes: set NNLINT_METAMORPHIC=1")

PROGRAMS = programs()
# Programs that are run before and after each rewrite, to see that they print the same.
SAMPLE = 4


def sources(program: Path) -> Sources:
    """The files of a program; the cells of a notebook as a script."""
    if program.suffix == ".ipynb":
        return {f"{program.stem}.py": notebook_code(program)}
    if program.is_file():
        return {program.name: program.read_text(encoding="utf-8")}
    return {path.relative_to(program).as_posix(): path.read_text(encoding="utf-8") for path in sorted(program.rglob("*.py"))}


def place(folder: Path, texts: Sources) -> Path:
    for key, text in texts.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def located(found: list[Finding]) -> Counter[Mark]:
    return Counter((f.place.filename, f.place.cell, f.place.row, f.code) for f in found)


@lru_cache(maxsize=4)
def right(program: Path) -> bool:
    """Whether the program itself gives the marked findings; what `test_rules` tests is not tested again."""
    with pytest.MonkeyPatch.context() as patch:
        return located(findings(program, patch)) == expected(program)


# Program by program, so that each is parsed once.
@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_findings_stay(program: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources(program)
    try:
        after = REWRITES[name](before)
    except NotApplicable as reason:
        pytest.skip(str(reason))
    if not right(program):
        pytest.skip("the program itself fails in test_rules")
    codes = {key: compile(text, key, "exec") for key, text in after.items()}
    if name == "names":
        assert all(alike(compile(before[key], key, "exec"), code, {}) for key, code in codes.items())
    # The family's folder gives the pedantic rule its fixtures.
    copy = place(tmp_path / program.parent.name / "program", after)
    assert sum(expected(copy).values()) == sum(expected(program).values())
    assert located(findings(copy, monkeypatch)) == expected(copy)


@pytest.mark.parametrize("name", REWRITES)
def test_rewrites_apply_to_most_programs(name: str) -> None:
    texts = [found for program in PROGRAMS if len(found := sources(program)) == 1]
    applied = 0
    for text in texts:
        try:
            REWRITES[name](text)
        except NotApplicable:
            continue
        applied += 1
    assert applied >= len(texts) / 2
