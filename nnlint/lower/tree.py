"""One pass over a libcst tree: a table from the type of a node to the small function that makes its record.

Each function takes the next ordinal before it looks into its node. `Lowering(recorded=True)` relies on it to tell which node got which
ordinal, at no cost to the ordinary pass. Everything that has an ordinal is therefore made through the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from nnlint import records as r
from nnlint.lower.expression import EXPRESSIONS, PARTS, opaque
from nnlint.lower.failure import DEEP, TooDeep, Unparsable, Unsound, explain
from nnlint.lower.parser import both
from nnlint.lower.statement import STATEMENTS, block

Handler = Callable[["Lowering", Any], Any]

_DEEPEST = 200  # deeper expressions are cut; what reads the records recurses, and so does msgspec


_TABLE: dict[type, Handler] = both({**EXPRESSIONS, **PARTS, **STATEMENTS})


class Lowering:
    """The state of one pass. `nodes` holds the node of each ordinal if `recorded`."""

    __slots__ = ("aliases", "at", "bound", "depth", "elifs", "kind", "nodes", "outside", "table", "words", "yields")

    def __init__(self, *, guarded: bool = False, recorded: bool = False) -> None:
        self.at = 0
        self.words: set[str] = set()
        self.bound: set[str] = set()  # names bound in the scope at hand
        self.outside: set[str] = set()  # its global and nonlocal names
        self.aliases: dict[str, str] = {}  # what torch's own names are called in this file
        self.yields = False
        self.kind = "positional"  # of the parameters at hand
        self.depth = 0
        self.elifs = 0
        self.nodes: dict[int, cst.CSTNode] = {}
        self.table: dict[type, Handler] = _TABLE
        if guarded:
            expressions = both(EXPRESSIONS)
            self.table = {type_: _guarded(made) if type_ in expressions else made for type_, made in self.table.items()}
        if recorded:
            self.table = {type_: _recorded(made) for type_, made in self.table.items()}

    def module(self, text: str, module: cst.Module) -> r.Module:
        """The records of a whole file. Raises `Unparsable` for what is no Python, and for a chain of `elif` that is too long (of light
        nodes `TooDeep`: they have no places).
        """
        try:
            body = block(self, module)
        except TooDeep as error:
            if type(module) is not cst.Module:
                raise
            from nnlint.lower.position import locate, ranges_of

            place = locate(text, ranges_of(module), {0: error.node})[0]
            raise Unparsable(place.row, place.column, DEEP) from None
        except Unsound:
            raise explain(text, "") from None
        return r.Module(body, frozenset(self.words))


def _guarded(handler: Handler) -> Handler:
    def cut(low: Lowering, node: cst.CSTNode) -> Any:
        if low.depth >= _DEEPEST:
            return opaque(low, node)
        low.depth += 1
        record = handler(low, node)
        low.depth -= 1
        return record

    return cut


def _recorded(handler: Handler) -> Handler:
    def note(low: Lowering, node: cst.CSTNode) -> Any:
        low.nodes[low.at] = node
        return handler(low, node)

    return note
