"""GitLab's code quality report."""

from __future__ import annotations

import json

from nnlint.findings import Severity
from nnlint.lint import Result
from nnlint.output.line import cell, sentences
from nnlint.output.spots import Spots

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTE: "minor"}


def render(result: Result) -> str:
    spots = Spots(result)
    entries = []
    for finding, fingerprint in zip(result.findings, spots.fingerprints(result.findings), strict=True):
        path, span = spots(finding.place)
        entries.append(
            {
                "description": f"{finding.code}: {cell(finding.place)}{'; '.join(sentences(finding))}",
                "check_name": finding.name,
                "fingerprint": fingerprint,
                "severity": "info" if finding.refuted else _SEVERITIES[finding.severity],
                "location": {"path": path, "lines": {"begin": 1} if span is None else {"begin": span.row, "end": span.end_row}},
            }
        )
    return json.dumps(entries, indent=2) + "\n"
