"""One pass over a libcst tree: a table from the type of a node to the small function that makes its record.

Each function takes the next ordinal before it looks into its node. `Lowering(recorded=True)` relies on it to tell which node got which
ordinal, at no cost to the ordinary pass. Everything that has an ordinal is therefore made through the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from nnlint import records as r
from nnlint.lower.depth import shorten
from nnlint.lower.expression import EXPRESSIONS, PARTS, opaque
from nnlint.lower.failure import DEEP, TooDeep, Unparsable, Unsound, explain
from nnlint.lower.statement import STATEMENTS, block

Handler = Callable[["Lowering", Any], Any]

_DEEPEST = 200  # deeper expressions are cut; what reads the records recurses, and so does msgspec


# libcst checks every node as it is made, for those who make them by hand: a quarter of the time of a parse. What its parser lets through
# and Python does not, the lowering finds itself (`Unsound`). Set once and for all: a class that is changed for each file loses Python's
# attribute caches.
cst.CSTNode.__post_init__ = lambda self: None  # type: ignore[method-assign]

_TABLE: dict[type, Handler] = {**EXPRESSIONS, **PARTS, **STATEMENTS}


def parse(text: str) -> cst.Module:
    """The tree of a text. Raises `Unparsable`."""
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        shorter = shorten(text)
        if shorter != text:
            return parse(shorter)
        raise explain(text, error.message) from None
    except UnicodeError as error:
        raise Unparsable(1, 1, str(error)) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of the native parser, and no Exception
            raise explain(text, "") from None
        raise


class Lowering:
    """The state of one pass. `nodes` holds the node of each ordinal if `recorded`."""

    __slots__ = ("at", "bound", "depth", "elifs", "kind", "nodes", "outside", "table", "words", "yields")

    def __init__(self, *, guarded: bool = False, recorded: bool = False) -> None:
        self.at = 0
        self.words: set[str] = set()
        self.bound: set[str] = set()  # names bound in the scope at hand
        self.outside: set[str] = set()  # its global and nonlocal names
        self.yields = False
        self.kind = "positional"  # of the parameters at hand
        self.depth = 0
        self.elifs = 0
        self.nodes: dict[int, cst.CSTNode] = {}
        self.table: dict[type, Handler] = _TABLE
        if guarded:
            self.table = {type_: _guarded(made) if type_ in EXPRESSIONS else made for type_, made in self.table.items()}
        if recorded:
            self.table = {type_: _recorded(made) for type_, made in self.table.items()}

    def module(self, text: str, module: cst.Module) -> r.Module:
        """The records of a whole file. Raises `Unparsable` for what is no Python, and a chain of `elif` that is too long."""
        try:
            body = block(self, module)
        except TooDeep as error:
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
