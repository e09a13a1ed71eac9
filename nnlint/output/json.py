"""One JSON list, in the shape that readers of ruff's JSON know, with more keys."""

from __future__ import annotations

import json
from typing import Any

from nnlint.findings import Finding, Place
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
        "url": url(finding.name),
        **_start(place),
        "end_location": {"row": place.end_row, "column": place.end_column},
        "trace": [{**_start(step.place), "message": step.message} for step in finding.trace],
        "fix": None,
        "runtime": None if finding.runtime is None else verdict(finding.runtime),
    }


def verdict(verdict: Verdict) -> dict[str, Any]:
    """What a run says of a finding."""
    return {"verdict": verdict.ruling.value, "message": verdict.message, "evidence": verdict.evidence, "device": verdict.device or "cpu"}


def _start(place: Place) -> dict[str, Any]:
    return {"filename": place.filename, "cell": place.cell, "location": {"row": place.row, "column": place.column}}
