"""The arguments of a call."""

from __future__ import annotations

from typing import Union

from nnlint.trace.values import FuncVal, ListVal, Shape, TupleVal, Unknown, Value


class Args:
    """The arguments of a call; `open` where some were not resolved (`*args` of unknown length, `**kwargs`), `loose` where nobody called and
    only what has a default is known. `placed` is the number of positional ones that stand before the first `*` of unknown length."""

    __slots__ = ("keywords", "loose", "open", "placed", "positional", "rest")

    def __init__(self, positional: Union[list[Value], None] = None, keywords: Union[dict[str, Value], None] = None) -> None:
        self.positional = positional if positional is not None else []
        self.keywords = keywords if keywords is not None else {}
        self.open = False
        self.loose = False
        self.placed: Union[int, None] = None
        self.rest: Union[Value, None] = None

    def values(self) -> list[Value]:
        return [*self.positional, *self.keywords.values(), *([self.rest] if self.rest is not None else [])]

    def get(self, index: int, name: str) -> Union[Value, None]:
        """By position or keyword."""
        if name in self.keywords:
            return self.keywords[name]
        return self.positional[index] if index < len(self.positional) else None

    def named(self, params: tuple[str, ...], rest: str = "") -> dict[str, Value]:
        """Arguments by parameter name; a `rest` parameter takes all remaining positional ones."""
        out: dict[str, Value] = {}
        for index, value in enumerate(self.positional):
            if index < len(params):
                if params[index] == rest and (index + 1 < len(self.positional) or not isinstance(value, (TupleVal, ListVal, Shape))):
                    out[rest] = TupleVal(tuple(self.positional[index:])) if self.placed is None else Unknown()
                    break
                if self.placed is not None and index >= self.placed:
                    break
                out[params[index]] = value
        out.update(self.keywords)
        return out

    def after(self, value: Value) -> Args:
        """The same with a first argument put before."""
        made = Args([value, *self.positional], self.keywords)
        made.open, made.rest, made.loose = self.open, self.rest, self.loose
        made.placed = None if self.placed is None else self.placed + 1
        return made


class Pending(Value):
    """A `@contextmanager` function that was called and waits for `with`."""

    __slots__ = ("args", "func", "receiver")

    def __init__(self, func: FuncVal, args: Args, receiver: Union[Value, None]) -> None:
        self.func = func
        self.args = args
        self.receiver = receiver
