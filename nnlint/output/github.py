"""Annotations of GitHub Actions: workflow commands, one line a finding."""

from __future__ import annotations

from nnlint.findings import Finding, Severity
from nnlint.lint import Result
from nnlint.output.line import location, sentences
from nnlint.output.spots import Spot, Spots

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(result: Result) -> str:
    spots = Spots(result)
    return "".join(_command(finding, spots(finding.place)) + "\n" for finding in result.findings)


def _command(finding: Finding, spot: Spot) -> str:
    command = "notice" if finding.refuted else _COMMANDS[finding.severity]
    properties: dict[str, object] = {"title": f"nnlint ({finding.code} {finding.name})", "file": spot.path, "line": 1}
    if spot.span is not None:
        properties |= {"line": spot.span.row, "endLine": spot.span.end_row}
        if spot.span.row == spot.span.end_row:  # columns are only allowed within one line
            properties |= {"col": spot.span.column, "endColumn": spot.span.end_column}
    # The log shows nothing but the text.
    text = "\n".join((f"{location(finding.place)}: {finding.code} {finding.message}", *sentences(finding)[1:]))
    return f"::{command} {','.join(f'{name}={_property(str(value))}' for name, value in properties.items())}::{_text(text)}"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
