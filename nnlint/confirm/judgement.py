"""From findings and evidence to verdicts: each rule judges its own findings, and adds what only the run has shown."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nnlint.confirm.evidence import Evidence, overlap, places_of
from nnlint.findings import Finding
from nnlint.rule import Rule
from nnlint.trouble import Trouble
from nnlint.verdict import Ruling, Verdict


def judge(findings: Sequence[Finding], rules: Sequence[Rule], evidence: Evidence) -> list[Finding]:
    """The findings with their verdicts, and the observed ones that none of them tells already."""
    by_code = {rule.code: rule for rule in rules}
    judged = [
        _settled(finding, _verdict(by_code[finding.code], finding, evidence), evidence) if finding.code in by_code else finding
        for finding in findings
    ]
    told = {Ruling.CONFIRMED, Ruling.INCONCLUSIVE}
    for rule in rules:
        for finding in _observed(rule, evidence):
            if not any(_same(finding, other) for other in judged if other.runtime is not None and other.runtime.ruling in told):
                judged.append(finding if finding.runtime is None else _settled(finding, finding.runtime, evidence))
    return judged


def _verdict(rule: Rule, finding: Finding, evidence: Evidence) -> Verdict:
    try:
        return rule.judge(finding, evidence)
    except Exception as error:
        raise Trouble(rule.complaint(error, "what the run has shown")) from error


def _observed(rule: Rule, evidence: Evidence) -> list[Finding]:
    try:
        return list(rule.observe(evidence))
    except Exception as error:
        raise Trouble(rule.complaint(error, "what the run has shown")) from error


def _settled(finding: Finding, verdict: Verdict, evidence: Evidence) -> Finding:
    """The finding with its verdict, which says whether it rests on made-up data."""
    if evidence.synthetic and verdict.ruling is not Ruling.NOT_REACHED:
        message, facts = f"{verdict.message} (on synthetic data)", {**verdict.evidence, "synthetic": True}
        verdict = msgspec.structs.replace(verdict, message=message, evidence=facts)
    return msgspec.structs.replace(finding, runtime=verdict)


def _same(one: Finding, other: Finding) -> bool:
    """Whether two findings tell of one defect."""
    return one.code == other.code and any(overlap(place, there) for place in places_of(one) for there in places_of(other))
