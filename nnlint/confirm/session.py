"""A confirmation run from end to end: lint, run under the probe, judge."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from nnlint.confirm import project
from nnlint.confirm.evidence import Evidence, Locate, places_of
from nnlint.confirm.job import Job
from nnlint.confirm.judgement import judge
from nnlint.confirm.launch import Outcome, Process, launch
from nnlint.confirm.records import AnyRecord, Progress
from nnlint.files import key
from nnlint.findings import Confidence, Finding
from nnlint.lint import Result, admitted, lint_paths, order
from nnlint.registry import Catalogue
from nnlint.rule import Rule
from nnlint.selection import select
from nnlint.settings import Settings
from nnlint.source import Source, read
from nnlint.stack import deep
from nnlint.verdict import Ruling

_PAUSE = 1.0  # seconds between two looks at what is known so far


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a run. `steps` are optimizer steps, `timeout` seconds."""

    args: tuple[str, ...] = ()
    steps: int = 20
    timeout: float = 300.0
    device: str = "auto"
    ranks: int = 1
    show_output: bool = False
    synthetic: str = ""


class Confirmation(NamedTuple):
    """The findings with their verdicts, and the run that they rest on."""

    result: Result
    outcome: Outcome
    evidence: Evidence
    job: Job

    @property
    def started(self) -> bool:
        """Whether anything of the script could be watched: it came as far as to import torch, or to its end."""
        return self.evidence.setting is not None or self.outcome.ended.reason != "error"


class Settling:
    """Judges now and then while the run goes on, so that what is confirmed is said at once."""

    def __init__(self, findings: Sequence[Finding], rules: Sequence[Rule], locate: Locate, settled: Callable[[Finding], None]) -> None:
        self._open = list(findings)
        self._rules, self._locate, self._settled = rules, locate, settled
        self._records: list[tuple[Process, AnyRecord]] = []
        self._due = time.monotonic() + _PAUSE

    def heard(self, source: Process, record: AnyRecord) -> None:
        self._records.append((source, record))
        if not self._open or not isinstance(record, Progress) or time.monotonic() < self._due:
            return
        for before, after in zip(self._open[:], judge(self._open, self._rules, Evidence(self._records, self._locate)), strict=False):
            if after.runtime is not None and after.runtime.ruling is Ruling.CONFIRMED:
                self._open.remove(before)
                self._settled(after)
        self._due = time.monotonic() + _PAUSE


def confirm(
    script: project.Script,
    options: Options,
    settings: Settings,
    catalogue: Catalogue,
    *,
    tell: Callable[[AnyRecord], None] = lambda record: None,
    settled: Callable[[Finding], None] = lambda finding: None,
) -> Confirmation:
    """Lint the script and what it imports, run it, and settle each finding.

    `tell` hears every record as it comes, `settled` every finding as soon as it is confirmed.
    """
    whole = msgspec.structs.replace(settings, suspected=True)
    result = deep(lambda: lint_paths([str(script.path)], whole, catalogue))
    codes = select(catalogue, settings.layers)
    rules = [rule() for rule in catalogue.rules if rule.code in codes]
    waiting = {rule.code for rule in catalogue.rules if rule.patient}
    scratch = Path(os.path.realpath(tempfile.mkdtemp(prefix="nnlint-")))
    try:
        job = _job(script, options, result, scratch, patient=any(finding.code in waiting for finding in result.findings))
        locate = project.Map(result.sources.values(), job)
        settling = Settling(result.findings, rules, locate, settled)

        def heard(source: Process, record: AnyRecord) -> None:
            tell(record)
            settling.heard(source, record)

        outcome = launch(job, scratch, show=options.show_output, tell=heard)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    evidence = Evidence(outcome.records, locate)
    findings = [
        finding
        for finding in judge(result.findings, rules, evidence)
        if finding.confidence is not Confidence.OBSERVED or admitted(finding, result, settings, catalogue)
    ]
    shown = [finding for finding in findings if settings.suspected or not _doubtful(finding)]
    final = replace(result, findings=sorted(shown, key=order), hidden=len(findings) - len(shown))
    return Confirmation(final, outcome, evidence, job)


def _doubtful(finding: Finding) -> bool:
    """A suspicion that the run has not made certain."""
    return finding.confidence is Confidence.SUSPECTED and (finding.runtime is None or finding.runtime.ruling is not Ruling.CONFIRMED)


def _suspects(findings: Sequence[Finding], sources: dict[str, Source], renamed: dict[str, str]) -> Iterator[tuple[str, int, int]]:
    """Where findings speak of, in the files as they run."""
    for finding in findings:
        for place in places_of(finding):
            source = sources.get(place.filename)
            if source is None:
                continue
            path, row = os.path.abspath(place.filename), source.row(place)
            yield renamed.get(path, path), row, row + place.end_row - place.row


def _program(path: Path) -> str:
    """The code cells of a notebook as one script, with the same rows as its source."""
    source = read(path, key(path))
    return "" if source is None else source.text


def _job(script: project.Script, options: Options, result: Result, scratch: Path, *, patient: bool) -> Job:
    path, folder = script.path, os.getcwd()
    copies: dict[str, str] = {}
    if path.suffix == ".ipynb":
        copy = scratch / f"{path.stem}.py"
        copy.write_text(_program(path), encoding="utf-8")
        copies, path, folder = {str(path): str(copy)}, copy, str(path.parent)
    return Job(
        script=script.module or str(path),
        module=bool(script.module),
        args=options.args,
        folder=folder,
        steps=options.steps,
        timeout=options.timeout,
        device=options.device,
        ranks=options.ranks,
        suspects=tuple(dict.fromkeys(_suspects(result.findings, result.sources, copies))),
        patient=patient,
        renamed=tuple((copy, original) for original, copy in copies.items()),
        synthetic=options.synthetic,
    )
