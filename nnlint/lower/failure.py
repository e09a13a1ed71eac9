"""Why a text cannot be lowered, in CPython's words where it has some: libcst's own only list the tokens it had hoped for."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libcst import CSTNode

DEEP = "nested too deeply"

_PLACE = re.compile(r"error at (\d+):(\d+)")


class Unparsable(Exception):
    """A text that cannot be lowered; `row` and `column` count from 1."""

    def __init__(self, row: int, column: int, message: str) -> None:
        super().__init__(row, column, message)
        self.row = row
        self.column = column
        self.message = message

    def __str__(self) -> str:
        return f"{self.row}:{self.column}: {self.message}"


class TooDeep(Exception):
    """A node of the tree at which the records would get too deep."""

    def __init__(self, node: CSTNode) -> None:
        super().__init__(node)
        self.node = node


class Unsound(Exception):
    """A tree that the parser makes though the text is no Python."""


def explain(text: str, complaint: str) -> Unparsable:
    """The failure to raise for a text that libcst refuses with `complaint`."""
    place = _PLACE.search(complaint)
    row, column = (int(place[1]), max(int(place[2]), 1)) if place else (1, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<text>", "exec", flags=0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
    except SyntaxError as error:
        end = max(error.lineno or 0, getattr(error, "end_lineno", None) or 0)
        # Where libcst came further than CPython, this interpreter is older than the syntax of the file.
        if error.lineno and (end >= row or "never closed" in error.msg):
            return Unparsable(error.lineno, max(error.offset or 1, 1), error.msg)
        return Unparsable(row, column, "invalid syntax")
    except (ValueError, MemoryError, RecursionError, OverflowError):
        return Unparsable(row, column, "invalid syntax")
    return Unparsable(row, column, "syntax that libcst cannot parse")
