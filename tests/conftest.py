"""A small catalogue of rules and an analysis that does as the text says, to test what surrounds the real ones."""

from __future__ import annotations

import ast
import re
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from nnlint import cli, registry
from nnlint.findings import Confidence, Failure, Finding, Report, Severity, Step
from nnlint.lower.memory import Memory
from nnlint.records import Span
from nnlint.registry import Catalogue
from nnlint.rule import Group, Rule
from nnlint.source import Source, failure

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what it runs in the background ignore interrupts, and that is inherited by all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PAGE = """{summary}

## Why is this bad?
Because.

## Bad
```python
import torch
```

## Good
```python
import torch
```

## When it stays silent
Often.

## Runtime
No.

## Fix
None.
"""


def rule(name: str, code: str, severity: Severity = Severity.ERROR, group: Group = Group.DEFAULT) -> type[Rule]:
    """A rule that finds nothing."""

    def check(self: Rule, story: object) -> Iterator[Report]:
        return iter(())

    return type(
        name,
        (Rule,),
        {"__doc__": PAGE.format(summary=f"What {name} says."), "code": code, "severity": severity, "group": group, "check": check},
    )


RULES = (
    rule("SoftmaxBeforeLogitLoss", "NN101"),
    rule("RedundantLogSoftmax", "NN108", Severity.NOTE, Group.PEDANTIC),
    rule("MissingZeroGrad", "NN201"),
    rule("SchedulerBeforeOptimizer", "NN205", Severity.WARNING),
    rule("BiasBeforeBatchnorm", "NN501", Severity.NOTE),
)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(RULES)


class Analysis:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.failures: list[Failure] = []


class Analyst:
    """Reports `BUG_NN101` at each such word (`GUESS_NN101` is only suspected), and remembers what it was given."""

    given: ClassVar[list[tuple[list[str], list[str], list[str]]]] = []

    def __call__(self, sources: Sequence[Source], rules: Sequence[Rule], src: Sequence[str] = (), *_: object) -> Analysis:
        analysis = Analysis()
        by_code = {each.code: each for each in rules}
        self.given.append(([source.key for source in sources], sorted(by_code), list(src)))
        for source in sources:
            if not source.relevant:
                continue
            wrong = complaint(source.text)
            if wrong is not None:
                analysis.failures.append(failure(source.key, wrong[2], wrong[0], wrong[1]))
                continue
            for row, line in enumerate(source.text.split("\n"), 1):
                for match in re.finditer(r"(BUG|GUESS)_(NN\d+)", line):
                    found = by_code.get(match[2])
                    if found is None:
                        continue
                    place = source.place(Span(row, match.start() + 1, row, match.end() + 1))
                    doubt = Confidence.CERTAIN if match[1] == "BUG" else Confidence.SUSPECTED
                    name = type(found).name()
                    trace = (Step(place, "here"),)
                    analysis.findings.append(Finding(found.code, name, found.severity, doubt, f"{name} in `x`", "mend `x`", place, trace))
        return analysis


def complaint(text: str) -> tuple[int, int, str] | None:
    """Why a text is no Python."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 1, error.offset or 1, error.msg
    return None


@pytest.fixture
def analyst(monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> Analyst:
    """Puts the catalogue and the analysis above in the place of the real ones."""
    module = types.ModuleType("nnlint.analysis")
    fake = Analyst()
    fake.given = []  # type: ignore[misc]
    monkeypatch.setattr(module, "analyse", fake, raising=False)
    monkeypatch.setitem(sys.modules, "nnlint.analysis", module)
    monkeypatch.setattr(Memory, "complaint", lambda self, text: complaint(text))
    monkeypatch.setattr(registry, "catalogue", lambda: catalogue)
    return fake


Outcome = tuple[int, str, str]


@pytest.fixture
def run(analyst: Analyst, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """The command line in this process: exit code, output, errors."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def execute(*args: str) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            cli.main(["--no-cache", *args])
        out, err = capfd.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, out, err

    return execute


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
