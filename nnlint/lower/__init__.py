"""From a source text to the records of `nnlint.records`, and from ordinals back to positions. libcst is imported by the first call."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nnlint.lower.depth import measure
from nnlint.lower.failure import DEEP, TooDeep, Unparsable
from nnlint.stack import deep

if TYPE_CHECKING:
    import libcst as cst

    from nnlint.lower.position import Ranges
    from nnlint.records import Module, Span

__all__ = ["Opened", "Unparsable", "lower", "opened", "spans"]

T = TypeVar("T")


def lower(text: str) -> Module:
    """Return the records of a Python source text.

    Ordinals run from 0 in the order of the text, a record before its parts; a function or class comes before its decorators.
    Expressions nested more than 200 deep are cut with `Opaque`. Raises `Unparsable` for a text that is no Python or that is nested
    too deeply.
    """
    nesting = measure(text)

    def work() -> Module:
        from nnlint.lower.parser import parse, sketch
        from nnlint.lower.tree import Lowering

        try:
            return Lowering(guarded=nesting.guarded).module(text, sketch(text))
        except TooDeep:
            return Lowering(guarded=nesting.guarded).module(text, parse(text))

    return _run(work, nesting.frames)


class Opened(NamedTuple):
    """A text with its tree: the node of each ordinal, and the range of each node."""

    text: str
    module: cst.Module
    nodes: dict[int, cst.CSTNode]
    ranges: Ranges

    def spans(self, wanted: Collection[int]) -> dict[int, Span]:
        """As `spans`."""
        from nnlint.lower.position import locate

        return locate(self.text, self.ranges, {at: self.nodes[at] for at in wanted if at in self.nodes})


def opened(text: str) -> Opened:
    """The tree of a text, for those who need more than records. Raises `Unparsable` as `lower`."""
    nesting = measure(text)

    def work() -> Opened:
        from nnlint.lower.parser import parse
        from nnlint.lower.position import ranges_of
        from nnlint.lower.tree import Lowering

        module = parse(text)
        lowering = Lowering(guarded=nesting.guarded, recorded=True)
        lowering.module(text, module)
        return Opened(text, module, {at: node for at, node in lowering.nodes.items() if at < lowering.at}, ranges_of(module))

    return _run(work, 60_000)  # the position provider recurses over the whole tree, long string concatenations included


def spans(text: str, wanted: Collection[int]) -> dict[int, Span]:
    """Return the spans of the records with the ordinals `wanted`; an ordinal that the text does not have is left out.

    Enclosing parentheses and comments are not part of a span. A function, class or parameter is shown by its name, an argument by its
    value, a compound statement, `except` and `case` by the first line of its header up to the colon. Raises `Unparsable` as `lower`.
    """
    return opened(text).spans(wanted)


def _run(work: Callable[[], T], frames: int) -> T:
    try:
        return deep(work, frames)
    except RecursionError:
        raise Unparsable(1, 1, DEEP) from None
