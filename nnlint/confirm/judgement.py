"""From findings and evidence to verdicts: each rule judges its own findings, and adds what only the run has shown."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nnlint.confirm.evidence import Evidence, overlap, places_of
from nnlint.findings import Finding
from nnlint.rule import Rule
from nnlint.verdict import Ruling


def judge(findings: Sequence[Finding], rules: Sequence[Rule], evidence: Evidence) -> list[Finding]:
    """The findings with their verdicts, and the observed ones that none of them tells already."""
    by_code = {rule.code: rule for rule in rules}
    judged = [
        msgspec.structs.replace(finding, runtime=by_code[finding.code].judge(finding, evidence)) if finding.code in by_code else finding
        for finding in findings
    ]
    told = {Ruling.CONFIRMED, Ruling.INCONCLUSIVE}
    for rule in rules:
        for finding in rule.observe(evidence):
            if not any(_same(finding, other) for other in judged if other.runtime is not None and other.runtime.ruling in told):
                judged.append(finding)
    return judged


def _same(one: Finding, other: Finding) -> bool:
    """Whether two findings tell of one defect."""
    return one.code == other.code and any(overlap(place, there) for place in places_of(one) for there in places_of(other))
