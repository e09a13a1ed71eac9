"""A confirmation run from end to end: lint, run under the probe, judge."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from nnlint.confirm import project
from nnlint.confirm.evidence import Evidence, places_of
from nnlint.confirm.job import Job
from nnlint.confirm.judgement import judge
from nnlint.confirm.launch import Outcome, launch
from nnlint.confirm.records import AnyRecord
from nnlint.files import key
from nnlint.findings import Confidence, Finding
from nnlint.lint import Result, admitted, lint_paths, order
from nnlint.registry import Catalogue
from nnlint.selection import select
from nnlint.settings import Settings
from nnlint.source import Source, read
from nnlint.verdict import Ruling


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


def confirm(
    script: project.Script,
    options: Options,
    settings: Settings,
    catalogue: Catalogue,
    *,
    linted: Callable[[Result], None] = lambda result: None,
    tell: Callable[[AnyRecord], None] = lambda record: None,
) -> Confirmation:
    """Lint the script and what it imports, run it, and settle each finding. `linted` hears the static result, `tell` every record."""
    whole = msgspec.structs.replace(settings, suspected=True)
    result = lint_paths(project.files(script, settings.src), whole, catalogue)
    linted(result)
    waiting = {rule.code for rule in catalogue.rules if rule.patient}
    scratch = Path(os.path.realpath(tempfile.mkdtemp(prefix="nnlint-")))
    try:
        job = _job(script, options, result, scratch, patient=any(finding.code in waiting for finding in result.findings))
        outcome = launch(job, scratch, show=options.show_output, tell=tell)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    evidence = Evidence(outcome.records, project.Map(result.sources.values(), job))
    codes = select(catalogue, settings.layers)
    rules = [rule() for rule in catalogue.rules if rule.code in codes]
    findings = [
        finding
        for finding in judge(result.findings, rules, evidence)
        if finding.confidence is not Confidence.OBSERVED or admitted(finding, result, settings, catalogue)
    ]
    shown = [finding for finding in findings if settings.suspected or not _doubtful(finding)]
    final = Result(sorted(shown, key=order), result.sources, result.files, len(findings) - len(shown))
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
