"""One line a finding."""

from __future__ import annotations

from nnlint.lint import Result
from nnlint.output.line import header


def render(result: Result) -> str:
    return "".join(f"{header(finding)}\n" for finding in result.findings)
