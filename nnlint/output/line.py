"""The lines that the formats for people have in common."""

from __future__ import annotations

from collections import Counter

import click

from nnlint.findings import Applicability, Confidence, Finding, Place, Severity
from nnlint.lint import Result
from nnlint.pages import url
from nnlint.terminal import link
from nnlint.verdict import Ruling, Verdict

_RULINGS = {Ruling.CONFIRMED: "red", Ruling.REFUTED: "green", Ruling.INCONCLUSIVE: "yellow", Ruling.NOT_REACHED: "yellow"}
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def plain(text: str) -> str:
    """User text without control characters, which would steer the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)


def location(place: Place) -> str:
    """`path:row:column`, which terminals and editors can open; a notebook's cell stands between."""
    cell = "" if place.cell is None else f"cell {place.cell}:"
    return f"{plain(place.filename)}:{cell}{place.row}:{place.column}"


def header(finding: Finding, *, links: bool = False) -> str:
    path, _, rest = location(finding.place).partition(":")
    doubt = "" if finding.confidence is Confidence.CERTAIN else f", {finding.confidence.value}"
    colour = COLOURS[finding.severity]
    code = click.style(finding.code, fg=colour, bold=True)
    page = url(finding.name, finding.code)
    return (
        f"{click.style(path, bold=True)}:{rest} {link(code, page) if links and page else code} "
        f"{click.style(f'[{finding.severity.value}{doubt}]', fg=colour)} "
        f"{'' if finding.fix is None else click.style('[*]', fg='cyan') + ' '}{plain(finding.message)}"
    )


def cell(place: Place) -> str:
    """The cell in front of a text, for readers that know rows of files only."""
    return "" if place.cell is None else f"cell {place.cell}, line {place.row}: "


def sentences(finding: Finding) -> list[str]:
    """What there is to say of a finding, line by line, for readers outside of a terminal."""
    lines = [finding.message]
    if finding.help:
        lines.append(f"help: {finding.help}")
    if finding.runtime is not None:
        lines.append(f"runtime: {finding.runtime.ruling.value}: {finding.runtime.message}")
    return lines


def ruling(verdict: Verdict) -> str:
    return click.style(verdict.ruling.value, fg=_RULINGS[verdict.ruling], bold=True)


def summary(result: Result) -> str:
    """How many findings there are, and what is not shown."""
    counts = Counter(finding.severity for finding in result.findings)
    parts = [click.style(_count(counts[severity], severity.value), fg=COLOURS[severity]) for severity in Severity if counts[severity]]
    text = f"Found {', '.join(parts)}." if parts else f"No findings in {_count(result.files, 'file')}."
    if result.fixed:
        text = f"Fixed {_count(result.fixed, 'finding')}; {', '.join(parts) or 'nothing'} left."
    if result.hidden:
        text += f" {_count(result.hidden, 'suspected finding')} not shown; see {'it' if result.hidden == 1 else 'them'} with --suspected."
    if result.known:
        text += f" {_count(result.known, 'known one')} in the baseline."
    return text + "\n" + _fixable(result)


def _fixable(result: Result) -> str:
    """How many findings can be mended by the tool itself, where there are any."""
    safe, unsafe = (
        sum(finding.fix is not None and finding.fix.applicability is kind for finding in result.findings)
        for kind in (Applicability.SAFE, Applicability.UNSAFE)
    )
    parts = [f"{safe} fixable with --fix"] if safe else []
    if unsafe:
        parts.append(f"{unsafe}{' more' if safe else ' fixable'} with --fix --unsafe-fixes")
    return f"{click.style('[*]', fg='cyan')} {', '.join(parts)}\n" if parts else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
