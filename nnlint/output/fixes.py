"""What was fixed and what was not, for people."""

from __future__ import annotations

from nnlint.findings import Applicability
from nnlint.fix.session import Mended
from nnlint.output.line import location, plain


def applied(mended: Mended, tense: str) -> str:
    """Each fix with its place, and the reason why an unsafe one is unsafe."""
    lines = []
    for finding in mended.fixed:
        fix = finding.fix
        assert fix is not None
        caution = f" (unsafe: {fix.caution})" if fix.applicability is Applicability.UNSAFE else ""
        lines.append(f"{location(finding.place)}: {finding.code} {tense}: {plain(fix.message + caution)}\n")
    return "".join(lines)


def left(mended: Mended) -> str:
    """Fixes that were not made, and files that were left alone."""
    lines = [f"nnlint: {location(finding.place)}: {finding.code} is left: {reason}\n" for finding, reason in mended.left]
    return "".join(lines + [f"nnlint: {plain(key)} is left as it is: {reason}\n" for key, reason in mended.refused.items()])
