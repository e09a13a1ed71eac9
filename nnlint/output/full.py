"""Every finding with the code that it speaks of: the steps from cause to effect, marked in the user's own lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click

from nnlint.findings import Applicability, Finding, Place
from nnlint.lint import Result
from nnlint.output.line import COLOURS, header, location, plain, ruling
from nnlint.pages import url
from nnlint.source import Source

_TAB = "    "
_WIDEST = 140  # characters of a source line; of longer ones the part around the first mark is shown


@dataclass(frozen=True)
class _Mark:
    """Something to underline, with what is said of it. The finding's own place is the `primary` one."""

    place: Place
    label: str
    primary: bool


def render(result: Result, *, links: bool = False) -> str:
    return "".join("\n".join([header(finding, links=links), *_finding(finding, result.sources)]) + "\n\n" for finding in result.findings)


def _finding(finding: Finding, sources: dict[str, Source]) -> Iterator[str]:
    marks = _marks(finding)
    rows = [mark.place.row for mark in marks]
    gutter = len(str(max(rows) + 2)) + 1
    bar = _gutter(gutter, "", "|")
    framed = False
    for index, (block, source) in enumerate(_blocks(marks, sources)):
        if index or (block[0].place.filename, block[0].place.cell) != (finding.place.filename, finding.place.cell):
            first = min(block, key=lambda mark: mark.place)
            yield f"{_gutter(gutter, '', '::: ' if index else '--> ')}{location(first.place)}"
        yield bar
        yield from _block(block, source, gutter, len(rows), COLOURS[finding.severity])
        framed = True
    if framed:
        yield bar
    if finding.runtime is not None:
        word, text = "runtime", f"{ruling(finding.runtime)}: {plain(finding.runtime.message)}"
        yield f"{_gutter(gutter, '', '=')} {click.style(word, bold=True)}: {text}"
    page = url(finding.name, finding.code)
    more = click.style(page, underline=True) if page else f"nnlint --explain {finding.code}"
    for word, text in (("help", plain(finding.help)), ("fix", _fix(finding)), ("more", more)):
        if text:
            yield f"{_gutter(gutter, '', '=')} {click.style(word, bold=True)}: {text}"


def _fix(finding: Finding) -> str:
    """What the tool could do itself, and what is to be said against it."""
    fix = finding.fix
    if fix is None:
        return ""
    return plain(fix.message + (f" (unsafe: {fix.caution})" if fix.applicability is Applicability.UNSAFE else ""))


def _marks(finding: Finding) -> list[_Mark]:
    """The finding's place and the steps of its trace, numbered in the order of the story."""
    steps = list(dict.fromkeys((step.place, step.message) for step in finding.trace))
    own = next((index for index, (place, _) in enumerate(steps) if _start(place) == _start(finding.place)), None)
    marks = []
    for number, (place, message) in enumerate(steps, 1):
        label = f"{number}. {message}" if len(steps) > 1 else message
        primary = number - 1 == own
        marks.append(_Mark(finding.place if primary else place, label, primary))
    return marks if own is not None else [_Mark(finding.place, "", True), *marks]


def _blocks(marks: Sequence[_Mark], sources: dict[str, Source]) -> Iterator[tuple[list[_Mark], Source]]:
    """The marks by file and cell, in the order in which the story comes to them."""
    blocks: dict[tuple[str, int | None], list[_Mark]] = {}
    for mark in marks:
        blocks.setdefault((mark.place.filename, mark.place.cell), []).append(mark)
    for (filename, _), block in blocks.items():
        if filename in sources:
            yield block, sources[filename]


def _block(marks: Sequence[_Mark], source: Source, gutter: int, steps: int, colour: str) -> Iterator[str]:
    """The rows of one file (or cell) with its marks; rows between that say nothing are left out."""
    offset = source.row(marks[0].place) - marks[0].place.row
    context = 1 if steps > 1 else 2
    before = None
    for row in _rows(source, {mark.place.row for mark in marks}, offset, context):
        if before is not None and row > before + 1:
            yield _gutter(gutter, "", "...")
        before = row
        here = [mark for mark in marks if mark.place.row == row]
        text = source.lines[row + offset - 1]
        cut = _cut(text, here)
        yield f"{_gutter(gutter, str(row), '|')} {_clipped(text, cut)}".rstrip()
        for mark in here:
            yield f"{_gutter(gutter, '', '|')} {_underline(text, cut, mark, colour)}"


def _rows(source: Source, marked: set[int], offset: int, context: int) -> list[int]:
    """The rows to show: the marked ones and what is around them, in the same cell, without blank edges."""
    first, last = 1, len(source.lines) - offset
    if source.cells is not None:
        last = min([start - 1 - offset for start in source.cells.starts if start > offset + 1] or [last])

    def blank(row: int) -> bool:
        return not source.lines[row + offset - 1].strip()

    rows: set[int] = set()
    for row in marked:
        above, below = max(first, row - context), min(last, row + context)
        while above < row and blank(above):
            above += 1
        while below > row and blank(below):
            below -= 1
        rows.update(range(above, below + 1))
    # A gap of one row takes as much room as the row.
    rows |= {row + 1 for row in rows if row + 2 in rows}
    return sorted(row for row in rows if first <= row <= last)


def _cut(text: str, marks: Iterable[_Mark]) -> int:
    """How many characters of a very long line are left out at its start."""
    start = min((mark.place.column - 1 for mark in marks), default=0)
    return max(start - 40, 0) if len(text) > _WIDEST and start > _WIDEST // 2 else 0


def _clipped(text: str, cut: int) -> str:
    tail = "…" if len(text) > cut + _WIDEST else ""
    return ("…" if cut else "") + _visible(text[cut : cut + _WIDEST]) + tail


def _underline(text: str, cut: int, mark: _Mark, colour: str) -> str:
    place = mark.place
    end = place.end_column - 1 if place.end_row == place.row else len(text.rstrip())
    start = max(place.column - 1, cut)
    end = min(max(end, start), cut + _WIDEST)
    indent = _width(text[cut:start]) + (1 if cut else 0)
    line = ("^" if mark.primary else "-") * max(_width(text[start:end]), 1)
    label = f" {plain(mark.label)}" if mark.label else ""
    return " " * indent + click.style(line + label, fg=colour if mark.primary else "blue", bold=mark.primary or None)


def _gutter(width: int, number: str, sign: str) -> str:
    return click.style(f"{number:>{width}} {sign}", fg="blue", bold=True)


def _visible(text: str) -> str:
    """A piece of source text as a terminal shows it: tabs as blanks, control characters made harmless."""
    return plain(text.replace("\t", _TAB))


def _width(text: str) -> int:
    """The columns that a text takes: two for the wide characters of East Asia, none for combining marks."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in _visible(text))


def _start(place: Place) -> tuple[str, int | None, int, int]:
    return place.filename, place.cell, place.row, place.column
