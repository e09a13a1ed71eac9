"""Where a comment goes that suppresses one finding, so that it does and the program stays the same."""

from __future__ import annotations

import tokenize

from nnlint.findings import Edit, Finding
from nnlint.records import Span
from nnlint.source import Source
from nnlint.suppression import comments_in, tokens_of

REASON = "TODO: say why"
_ROOM = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)


def ignoring(source: Source, finding: Finding, reason: str = REASON) -> Edit | None:
    """The edit that suppresses a finding: a word more in the comment that holds for its row, a comment at the row's end, or, where a string
    or a line that goes on stands there, one above the statement. None where the text cannot be split into tokens."""
    row = source.row(finding.place)
    for comment in list(comments_in(source.text)):  # where one holds is known only when the statement below it is read
        if comment.words and not comment.noqa and comment.first and comment.covers(row):
            text = comment.text
            return _insertion(source, text.row, text.offset + text.words[-1][1] + 1, f", {finding.name}")
    suppression = f"# nnlint: ignore[{finding.name}] {reason}"
    first = 0
    for token in tokens_of(source.text):
        here = token.start[0]
        if here == row and token.type in (tokenize.NL, tokenize.NEWLINE) and not _masked(source, row):
            return _insertion(source, row, len(_line(source, row).rstrip()) + 1, f"  {suppression}")
        if token.type == tokenize.NEWLINE:
            if first <= row <= here:
                line = _line(source, first)
                indent = line[: len(line) - len(line.lstrip())]
                return _insertion(source, first, 1, f"{indent}{suppression}\n", whole=True)
            first = 0
        elif token.type not in _ROOM and not first:
            first = here
    return None


def _line(source: Source, row: int) -> str:
    return source.text.split("\n")[row - 1].rstrip("\r")


def _masked(source: Source, row: int) -> bool:
    """Whether the user wrote something there that only IPython understands: a comment would be a part of it."""
    return source.shown is not None and not source.lines[row - 1].endswith(_line(source, row))


def _insertion(source: Source, row: int, column: int, content: str, *, whole: bool = False) -> Edit:
    place = source.place(Span(row, column, row, column))
    if whole and source.cells is not None:
        # The text of a cell may stand further left than the cell.
        shown, line = source.lines[row - 1], _line(source, row)
        content = shown[: len(shown) - len(line)] + content
        place = type(place)(place.filename, place.cell, place.row, 1, place.row, 1)
    return Edit(place, content)
