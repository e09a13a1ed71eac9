"""Where the code of a notebook stands in its file, which is JSON: for readers that know nothing but lines of files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from nnlint.findings import Place
from nnlint.records import Span

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class Raw:
    """The text of a notebook's file, which is known to be a notebook."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._cells = list(self._positions())
        self._characters: dict[int, list[tuple[str, int]]] = {}

    def span(self, place: Place) -> Span | None:
        """The rows and columns of the file for a place in a cell; None where the file is not the one that was linted."""
        if place.cell is None or place.cell > len(self._cells):
            return None
        start = self._offset(place.cell, place.row, place.column)
        end = self._offset(place.cell, place.end_row, place.end_column)
        return None if start is None or end is None else Span(*self._point(start), *self._point(end))

    def _point(self, offset: int) -> tuple[int, int]:
        return self._text.count("\n", 0, offset) + 1, offset - self._text.rfind("\n", 0, offset)

    def _offset(self, cell: int, row: int, column: int) -> int | None:
        """Where a character of a cell stands in the file; behind the last of a row is its line end."""
        if cell not in self._characters:
            self._characters[cell] = list(self._code(self._cells[cell - 1]))
        at, before = 1, ""
        for char, offset in self._characters[cell]:
            if before == "\n" or (before == "\r" and char != "\n"):
                at, row = 1, row - 1
            if row == 1 and at == column:
                return offset
            at, before = at + 1, char
        return None

    def _positions(self) -> Iterator[int]:
        """Where each cell starts: of version 4, or (in work sheets) of version 3."""
        top = self._members(0)
        if "cells" in top:
            yield from self._items(top["cells"])
        elif "worksheets" in top:
            for sheet in self._items(top["worksheets"]):
                members = self._members(sheet)
                if "cells" in members:
                    yield from self._items(members["cells"])

    def _code(self, cell: int) -> Iterator[tuple[str, int]]:
        """The characters of a cell's code, each with its place in the file; at the end of all, a line end."""
        members = self._members(cell)
        source = members.get("source", members.get("input"))
        if source is None:
            return
        parts = self._items(source) if self._text[source] == "[" else [source]
        end = source
        for part in parts:
            if self._text[part] != '"':
                continue
            at = part + 1
            while self._text[at] != '"':
                if self._text[at] != "\\":
                    yield self._text[at], at
                    at += 1
                    continue
                size = 12 if _PAIR.match(self._text, at) else 6 if self._text[at + 1] == "u" else 2
                yield json.loads(f'"{self._text[at : at + size]}"'), at
                at += size
            end = at
        yield "\n", end

    def _members(self, at: int) -> dict[str, int]:
        """Where the values of an object start, by name; of a name that occurs twice, the last counts."""
        at = self._skip(at)
        members: dict[str, int] = {}
        if self._text[at] != "{":
            return members
        at = self._skip(at + 1)
        while self._text[at] != "}":
            name, at = _DECODER.raw_decode(self._text, at)
            at = self._skip(self._skip(at) + 1)
            members[name] = at
            at = self._next(at)
        return members

    def _items(self, at: int) -> list[int]:
        """Where the items of a list start."""
        items: list[int] = []
        if self._text[at] != "[":
            return items
        at = self._skip(at + 1)
        while self._text[at] != "]":
            items.append(at)
            at = self._next(at)
        return items

    def _next(self, at: int) -> int:
        """Behind a value and the comma after it."""
        at = self._skip(_DECODER.raw_decode(self._text, at)[1])
        return self._skip(at + 1) if self._text[at] == "," else at

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        assert match is not None
        return match.end()
