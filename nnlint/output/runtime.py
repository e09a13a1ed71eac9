"""What is said of a confirmation run besides its findings: how it goes, how it ended, and the verdicts in one table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nnlint.confirm.ranks import remarks
from nnlint.confirm.records import AnyRecord, Progress
from nnlint.output.json import entry
from nnlint.output.line import COLOURS, location, plain, ruling

if TYPE_CHECKING:
    from nnlint.confirm.session import Confirmation
    from nnlint.findings import Finding

_BAR = 24
_ASIDE = 5  # remarks about the guard
_TAIL = 12  # lines of the script's output that are shown when it failed


class Live:
    """A line on standard error that says how far the run has come; nothing where that is no terminal."""

    def __init__(self, steps: int, *, quiet: bool) -> None:
        self._steps = steps
        self._shown = not quiet and sys.stderr.isatty()
        self._open = False

    def heard(self, record: AnyRecord) -> None:
        if self._shown and isinstance(record, Progress):
            done = min(record.steps, self._steps)
            bar = "#" * (_BAR * done // max(self._steps, 1))
            loss = "" if record.loss is None else f", loss {record.loss:.4g}"
            click.echo(f"\r\x1b[K[{bar:<{_BAR}}] step {record.steps} of {self._steps}{loss}", err=True, nl=False)
            self._open = True

    def settled(self, finding: Finding) -> None:
        """A finding has been confirmed while the run goes on."""
        if self._shown and finding.runtime is not None:
            self.close()
            click.echo(f"{location(finding.place)} {finding.code} {ruling(finding.runtime)}", err=True)

    def close(self) -> None:
        if self._open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._open = False


def report(confirmation: Confirmation) -> str:
    """The end of the run and the table of verdicts, for people."""
    lines = [*_story(confirmation), ""]
    findings = [finding for finding in confirmation.result.findings if finding.runtime is not None]
    if findings:
        lines += _table(findings)
    return "\n".join(lines) + "\n"


def _story(confirmation: Confirmation) -> list[str]:
    outcome, evidence = confirmation.outcome, confirmation.evidence
    ended = outcome.ended
    how = {
        "steps": "enough was seen",
        "end": "the script came to its end",
        "timeout": f"stopped after {outcome.seconds:.0f} s",
        "interrupt": "interrupted",
        "error": f"the script failed: {plain(click.unstyle(ended.error).partition(chr(10))[0])}",
    }[ended.reason]
    device = next((loss.device for loss in evidence.losses if loss.trained), "")
    where = f" on {device}" if device else ""
    lines = [click.style(f"Ran {_script(confirmation)} for {evidence.steps} optimizer steps{where}: {how}.", bold=True)]
    if ended.missing:
        lines.append(f"It needs the file `{plain(ended.missing)}`, which is not there. {_way_out(confirmation)}")
    if ended.reason == "error":
        lines += [f"  {plain(click.unstyle(line))}" for line in (ended.trace or _tail(outcome.output)).splitlines()]
    asked = confirmation.job.device
    if asked not in ("auto", "cpu") and device and not device.startswith(asked.partition(":")[0]):
        lines.append(f"  {asked} was asked for, but the script chooses its device itself, or there is none")
    if not evidence.steps and ended.reason in ("end", "timeout"):
        lines.append("No optimizer took a step.")
    lines += [f"  {plain(note)}" for note in (*remarks(evidence), *evidence.notes, *outcome.aside[:_ASIDE])]
    if evidence.guarded is not None and not evidence.guarded.kernel:
        lines.append(f"  {evidence.guarded.limits}")
    return lines


def _way_out(confirmation: Confirmation) -> str:
    if not confirmation.job.synthetic:
        return "With --synthetic-data, datasets whose data is missing get made-up items."
    return "--synthetic-data stands in for datasets (`torch.utils.data.Dataset`), not for a file that the script reads itself."


def _script(confirmation: Confirmation) -> str:
    job = confirmation.job
    return f"-m {job.script}" if job.module else plain(os.path.basename(dict(job.renamed).get(job.script, job.script)))


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-_TAIL:])


def _table(findings: Sequence[Finding]) -> list[str]:
    places = [location(finding.place) for finding in findings]
    wide = max(map(len, places))
    rows = []
    for finding, place in zip(findings, places, strict=True):
        assert finding.runtime is not None
        word = ruling(finding.runtime) + " " * (len("inconclusive") - len(finding.runtime.ruling.value))
        rows.append(f"{place:<{wide}}  {click.style(finding.code, fg=COLOURS[finding.severity])}  {word}  {plain(finding.runtime.message)}")
    return rows


def document(confirmation: Confirmation, version: str) -> dict[str, Any]:
    """The whole run as plain data: what `--report FILE.json` holds."""
    outcome, evidence, job = confirmation.outcome, confirmation.evidence, confirmation.job
    ended = outcome.ended
    setting = evidence.setting
    return {
        "nnlint": version,
        "torch": None if setting is None else setting.torch,
        "python": None if setting is None else setting.python,
        "device": next((loss.device for loss in evidence.losses if loss.trained), None),
        "command": [*(["-m"] if job.module else []), _script(confirmation).removeprefix("-m "), *job.args],
        "steps": evidence.steps,
        "seconds": round(outcome.seconds, 3),
        "stopped": ended.reason if ended.reason != "interrupt" else "end",
        "error": {"message": ended.error, "trace": ended.trace, "missing": ended.missing or None} if ended.reason == "error" else None,
        "findings": [entry(finding) for finding in confirmation.result.findings],
        "recipe": [],
        "overhead": None if evidence.cost is None else {"start_seconds": evidence.cost.start, "extra_seconds": evidence.cost.extra},
        "synthetic": evidence.synthetic,
        "notes": [*remarks(evidence), *evidence.notes, *outcome.aside],
        "guard": None if evidence.guarded is None else {"kernel": evidence.guarded.kernel, "limits": evidence.guarded.limits},
        "output": outcome.output,
    }
