"""From a source text to the records of `nnlint.records`, and from ordinals back to positions. libcst is imported by the first call."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from nnlint.lower.depth import measure
from nnlint.lower.failure import DEEP, Unparsable
from nnlint.stack import deep

if TYPE_CHECKING:
    from nnlint.records import Module, Span

__all__ = ["Unparsable", "lower", "spans"]

T = TypeVar("T")


def lower(text: str) -> Module:
    """Return the records of a Python source text.

    Ordinals run from 0 in the order of the text, a record before its parts; a function or class comes before its decorators.
    Expressions nested more than 200 deep are cut with `Opaque`. Raises `Unparsable` for a text that is no Python or that is nested
    too deeply.
    """
    nesting = measure(text)

    def work() -> Module:
        from nnlint.lower.tree import Lowering, parse

        return Lowering(guarded=nesting.guarded).module(text, parse(text))

    return _run(work, nesting.frames)


def spans(text: str, wanted: Collection[int]) -> dict[int, Span]:
    """Return the spans of the records with the ordinals `wanted`; an ordinal that the text does not have is left out.

    Enclosing parentheses and comments are not part of a span. A function, class or parameter is shown by its name, an argument by its
    value, a compound statement, `except` and `case` by the first line of its header up to the colon. Raises `Unparsable` as `lower`.
    """
    nesting = measure(text)

    def work() -> dict[int, Span]:
        from nnlint.lower.position import locate
        from nnlint.lower.tree import Lowering, parse

        module = parse(text)
        lowering = Lowering(guarded=nesting.guarded, recorded=True)
        lowering.module(text, module)
        return locate(text, module, {at: lowering.nodes[at] for at in wanted if 0 <= at < lowering.at})

    return _run(work, 60_000)  # the position provider recurses over the whole tree, long string concatenations included


def _run(work: Callable[[], T], frames: int) -> T:
    try:
        return deep(work, frames)
    except RecursionError:
        raise Unparsable(1, 1, DEEP) from None
