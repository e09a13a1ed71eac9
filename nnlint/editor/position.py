"""Rows and columns of nnlint (from 1, in characters) and those of editors (from 0, in the units of an encoding)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsprotocol import types

_NEWLINE = re.compile(r"\r\n|\r|\n")


class Units:
    """How an editor counts: in bytes of UTF-8, in pairs of bytes of UTF-16 (usual), or in characters."""

    def __init__(self, encoding: str = "utf-16") -> None:
        self.encoding = encoding

    def width(self, text: str) -> int:
        if self.encoding == "utf-32" or text.isascii():
            return len(text)
        if self.encoding == "utf-8":
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text) + sum(char > "\uffff" for char in text)

    def index(self, text: str, units: int) -> int:
        """How many characters of a text the first `units` are; a position within a character is one before it."""
        if self.encoding == "utf-32" or text.isascii():
            return min(units, len(text))
        for index, char in enumerate(text):
            units -= self.width(char)
            if units < 0:
                return index
        return len(text)

    def position(self, lines: Sequence[str], row: int, column: int) -> types.Position:
        """The position before a character, `lines` being what the editor shows."""
        if row > len(lines):
            return types.Position(max(len(lines) - 1, 0), self.width(lines[-1]) if lines else 0)
        return types.Position(row - 1, self.width(lines[row - 1][: column - 1]))

    def offset(self, text: str, position: types.Position) -> int:
        """Where in a text a position is; one behind the end of a line is at its end."""
        starts = [0, *(match.end() for match in _NEWLINE.finditer(text))]
        if position.line >= len(starts):
            return len(text)
        start = starts[position.line]
        ending = _NEWLINE.search(text, start)
        return start + self.index(text[start : ending.start() if ending else len(text)], position.character)


def rows(text: str) -> list[str]:
    """The lines of a text as the protocol counts them."""
    return _NEWLINE.split(text)


def changed(text: str, changes: Sequence[types.TextDocumentContentChangeEvent], units: Units) -> str:
    """A text after the changes that an editor tells of, in their order."""
    for change in changes:
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = units.offset(text, change.range.start), units.offset(text, change.range.end)
            text = text[:start] + change.text + text[max(start, end) :]
        else:
            text = change.text
    return text
