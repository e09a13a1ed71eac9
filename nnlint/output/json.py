"""One JSON list, in the shape that readers of ruff's JSON know, with more keys."""

from __future__ import annotations

import json
from typing import Any

from nnlint.findings import Finding, Fix, Place
from nnlint.lint import Result
from nnlint.pages import url
from nnlint.verdict import Verdict


def render(result: Result) -> str:
    return json.dumps([entry(finding) for finding in result.findings], indent=2) + "\n"


def entry(finding: Finding) -> dict[str, Any]:
    """One finding as plain data."""
    place = finding.place
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        "help": finding.help,
        "url": url(finding.name, finding.code) or None,
        **_start(place),
        "end_location": _end(place),
        "trace": [{**_start(step.place), "message": step.message} for step in finding.trace],
        "fix": None if finding.fix is None else fix(finding.fix),
        "runtime": None if finding.runtime is None else verdict(finding.runtime),
    }


def fix(fix: Fix) -> dict[str, Any]:
    """A fix in the shape of ruff's, with the file of each edit and the reason why an unsafe one is unsafe."""
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "caution": fix.caution or None,
        "edits": [{"content": edit.content, **_start(edit.place), "end_location": _end(edit.place)} for edit in fix.edits],
    }


def verdict(verdict: Verdict) -> dict[str, Any]:
    """What a run says of a finding."""
    return {"verdict": verdict.ruling.value, "message": verdict.message, "evidence": verdict.evidence, "device": verdict.device or "cpu"}


def _start(place: Place) -> dict[str, Any]:
    return {"filename": place.filename, "cell": place.cell, "location": {"row": place.row, "column": place.column}}


def _end(place: Place) -> dict[str, int]:
    return {"row": place.end_row, "column": place.end_column}
