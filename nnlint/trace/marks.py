"""What the parts of a run know of one another: what was reached, what was made. Each sees what earlier ones have left, and what it asked
is noted, so that it can be told later whether it would see the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, Union, cast

from nnlint.trace.values import Value

T = TypeVar("T", bound=Hashable)
Where = tuple[str, int]
"""A definition: its file and ordinal."""


class Marks(Generic[T]):
    """A set. `before` is what earlier parts have put in, `own` what this one has, `asked` the answers that rest on `before`."""

    __slots__ = ("asked", "before", "own")

    def __init__(self, before: Union[frozenset[T], None] = None) -> None:
        self.before: frozenset[T] = before if before is not None else frozenset()
        self.own: set[T] = set()
        self.asked: dict[T, bool] = {}

    def add(self, item: T) -> None:
        self.own.add(item)

    def __contains__(self, item: object) -> bool:
        if item in self.own:
            return True
        found = self.asked[cast(T, item)] = item in self.before
        return found


class Objects:
    """The object that was made last of each class. Those of earlier parts are had by running the part again (`revive`)."""

    __slots__ = ("asked", "before", "own", "revive")

    def __init__(self, before: Union[dict[Where, str], None] = None, revive: Union[Callable[[str, Where], Value], None] = None) -> None:
        self.before = before if before is not None else {}
        self.revive = revive
        self.own: dict[Where, Value] = {}
        self.asked: dict[Where, str] = {}

    def __setitem__(self, where: Where, value: Value) -> None:
        self.own[where] = value

    def get(self, where: Where) -> Union[Value, None]:
        if where in self.own:
            return self.own[where]
        maker = self.asked[where] = self.before.get(where, "")
        return self.revive(maker, where) if maker and self.revive is not None else None
