"""One line a finding."""

from __future__ import annotations

from nnlint.findings import Finding
from nnlint.lint import Result
from nnlint.output.line import header, plain, ruling


def render(result: Result, *, links: bool = False) -> str:
    return "".join(f"{header(finding, links=links)}{_runtime(finding)}\n" for finding in result.findings)


def _runtime(finding: Finding) -> str:
    return "" if finding.runtime is None else f" ({ruling(finding.runtime)}: {plain(finding.runtime.message)})"
