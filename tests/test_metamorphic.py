"""A program that is written in another way gives the same findings: the marks of a fixture travel with its lines."""

from __future__ import annotations

import importlib.util
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rewrites import REWRITES, alike
from runs import Run, notebook_code, running
from test_rules import Mark, expected, findings, programs
from units import NotApplicable, Sources

from nnlint.findings import Finding

PROGRAMS = programs()
# The ways to write the imports, and to move the networks, take turns: each program is written in one of each.
TURNS = (("names",), ("members",), ("imports-alias", "imports-direct", "imports-dotted"), ("main",), ("sibling", "package"))
# To how many of the programs that it is tried on a rewrite must apply at least. (Scripts that are one guarded call have nothing to wrap;
# the networks of projects are in a file of their own already.)
FLOORS = {
    "names": 1.0,
    "members": 0.85,
    "imports-alias": 0.95,
    "imports-direct": 0.95,
    "imports-dotted": 0.95,
    "main": 0.55,
    "sibling": 0.65,
    "package": 0.65,
}
# All of them one after the other, on one program in twelve; these are run before and after, to see that they print the same.
ALL = "all"
SHARE = 12
# What these print is not the same: the time, their network with its names, warnings with the line.
TALKERS = {
    "final-activation/garment_quickstart.ipynb",
    "silent/small_gpt.py",
    "view-instead-of-permute/sine_sequence_first.ipynb",
    "wrong-input-for-probability-loss/nll_in_test_report.py",
}


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


def name_of(program: Path) -> str:
    return f"{program.parent.name}/{program.name}"


def turn(program: Path) -> int:
    """A number from the name: new programs leave the turns of the others as they are."""
    return zlib.crc32(name_of(program).encode())


SAMPLE = [program for program in PROGRAMS if turn(program) % SHARE == 0]


def tried(program: Path) -> list[str]:
    return [names[turn(program) % len(names)] for names in TURNS] + ([ALL] if program in SAMPLE else [])


def composed(before: Sources) -> Sources:
    after = before
    for name in ("names", "members", "package", "main", "imports-direct"):
        try:
            after = REWRITES[name](after)
        except NotApplicable:
            continue
    return after


class Store:
    """What each rewrite made of each program, kept for the processes of one run: a rewrite is done once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def rewritten(self, program: Path, name: str) -> Sources | str:
        """The new sources, or why the rewrite does not apply."""
        path = self.folder / f"{name_of(program).replace('/', '+')}+{name}.json"
        if path.exists():
            known: Sources | str = json.loads(path.read_text(encoding="utf-8"))
            return known
        before = sources(program)
        made: Sources | str
        try:
            made = composed(before) if name == ALL else REWRITES[name](before)
        except NotApplicable as reason:
            made = str(reason)
        assert made != before
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(made), encoding="utf-8")
        unfinished.replace(path)
        return made


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.getbasetemp()
    return Store((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rewritten")


# Program by program, so that each is parsed once.
@pytest.mark.parametrize(
    ("program", "name"),
    [pytest.param(program, name, id=f"{name_of(program)}-{name}") for program in PROGRAMS for name in tried(program)],
)
def test_the_findings_stay(program: Path, name: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after = store.rewritten(program, name)
    if isinstance(after, str):
        pytest.skip(f"does not apply: {after}")
    codes = {key: compile(text, key, "exec", dont_inherit=True) for key, text in after.items()}
    if name in ("names", "members"):
        globals_: dict[str, str] = {}
        members: dict[str, str] = {}
        for key, text in sources(program).items():
            assert alike(compile(text, key, "exec", dont_inherit=True), codes[key], {} if name == "names" else globals_, members)
    # The family's folder gives the pedantic rule its fixtures.
    copy = place(tmp_path / program.parent.name / "program", after)
    assert sum(expected(copy).values()) == sum(expected(program).values())
    assert located(findings(copy, monkeypatch)) == expected(copy)


@pytest.fixture(scope="module")
def execute() -> Iterator[Run]:
    with running() as run:
        yield run


@pytest.mark.skipif(importlib.util.find_spec("torch") is None or not hasattr(os, "fork"), reason="the programs need torch, and a fork")
@pytest.mark.parametrize("program", [program for program in SAMPLE if name_of(program) not in TALKERS], ids=name_of)
def test_the_program_stays(program: Path, store: Store, execute: Run, tmp_path: Path) -> None:
    """All rewrites together leave what a program prints."""
    printed = []
    for number, texts in enumerate((sources(program), store.rewritten(program, ALL))):
        assert not isinstance(texts, str)
        folder = place(tmp_path / str(number), texts)
        cwd = folder / "cwd"
        cwd.mkdir()
        script = "train.py" if "train.py" in texts else next(iter(texts))
        code, output = execute(folder / script, folder, cwd)
        assert code == 0, output
        printed.append(output)
    assert printed[0] == printed[1]


# Last, when nearly all is in the store.
@pytest.mark.parametrize("name", REWRITES)
def test_the_rewrite_applies(name: str, store: Store) -> None:
    candidates = [program for program in PROGRAMS if name in tried(program)]
    applied = [program for program in candidates if not isinstance(store.rewritten(program, name), str)]
    assert len(applied) >= max(FLOORS[name] * len(candidates), 50)
