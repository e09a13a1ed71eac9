"""From edits to new texts: which fixes go together, and what a file becomes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nnlint.findings import Edit, Finding, Fix
from nnlint.source import NEWLINE


class Taken(NamedTuple):
    """The findings whose fixes are applied together, and those whose fixes overlap with one of these."""

    findings: list[Finding]
    left: list[Finding]


def compatible(findings: Iterable[Finding]) -> Taken:
    """Of fixes that overlap, the first by position. Edits that two fixes have in common are made once."""
    taken = Taken([], [])
    edits: dict[tuple[str, int | None], list[Edit]] = defaultdict(list)
    for finding in findings:
        assert finding.fix is not None
        if any(_clashes(edit, other) for edit in finding.fix.edits for other in edits[_text(edit)]):
            taken.left.append(finding)
            continue
        taken.findings.append(finding)
        for edit in finding.fix.edits:
            edits[_text(edit)].append(edit)
    return taken


def _text(edit: Edit) -> tuple[str, int | None]:
    return edit.place.filename, edit.place.cell


def _clashes(edit: Edit, other: Edit) -> bool:
    """Whether two edits of one text change the same stretch in different ways."""
    if edit == other:
        return False
    first, second = sorted((_stretch(edit), _stretch(other)))
    return second[0] < first[1] or (first == second and first[0] != first[1])


def _stretch(edit: Edit) -> tuple[tuple[int, int], tuple[int, int]]:
    place = edit.place
    return (place.row, place.column), (place.end_row, place.end_column)


def edits_of(fixes: Iterable[Fix], filename: str) -> dict[int | None, list[Edit]]:
    """The edits of one file, by cell: each once, in order."""
    found: dict[int | None, list[Edit]] = defaultdict(list)
    for fix in fixes:
        for edit in fix.edits:
            if edit.place.filename == filename and edit not in found[edit.place.cell]:
                found[edit.place.cell].append(edit)
    return found


def edited(text: str, edits: Sequence[Edit]) -> str:
    """A text (a file's, or a cell's) after its edits. Of two insertions at one point the first given comes first."""
    starts, ends = [0], []
    for newline in NEWLINE.finditer(text):
        ends.append(newline.start())
        starts.append(newline.end())
    ends.append(len(text))

    def offset(row: int, column: int) -> int:
        if row > len(starts):
            return len(text)
        return min(starts[row - 1] + column - 1, ends[row - 1])

    parts: list[str] = []
    done = 0
    for edit in sorted(edits, key=_stretch):
        begin, end = (offset(*point) for point in _stretch(edit))
        parts += [text[done:begin], edit.content]
        done = end
    return "".join([*parts, text[done:]])
