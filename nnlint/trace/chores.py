"""Chores: calls that no training depends on, such as listing files, setting up augmentations or computing scores for a plot.

A program may do thousands of them. A function (or constructor) is a chore where nothing that it names leads to a library for training,
and where it was seen to tell nothing, to write to nothing but what it makes, and to give back nothing that is told of. It is not run
again, and what it gives is unknown, once it gave nothing at all for a few times in a story, or cost more than a number is worth.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Union

from nnlint import records as r
from nnlint.source import trains
from nnlint.trace.values import (
    Bound,
    Choice,
    ClassVal,
    Const,
    DictVal,
    External,
    FuncVal,
    Instance,
    Iterable,
    ListVal,
    Partial,
    Service,
    SizeVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    age,
    birth,
)

if TYPE_CHECKING:
    from nnlint.trace.machine import Machine

ENOUGH = 8
"""Runs in a story, of what gives nothing that could decide anything."""
COSTLY = 10_000
"""Records that may be evaluated in a story for what gives numbers or texts."""
HEAVY = 4_000
"""And in one run: what takes more is run once in a project."""
_DEEPEST = 3
_LOUD = frozenset("backward zero_grad step train eval view reshape forward no_grad manual_backward training_step compute_loss".split())
"""Methods that matter whatever they are called on."""


class Chores:
    """What is known of the functions of a project: those whose names lead aside or not, those that were seen to be no chores or heavy
    ones; and in the story at hand, how often each ran and what it cost."""

    def __init__(self) -> None:
        self.aside: dict[object, bool] = {}
        self.never: set[object] = set()
        self.heavy: set[object] = set()
        self.begin()

    def begin(self) -> None:
        self.runs: Counter[object] = Counter()
        self.spent: Counter[object] = Counter()

    def done(self, func: FuncVal, given: list[Value]) -> bool:
        """Whether a call is one more of a chore that was seen often enough."""
        node = func.node
        if self.runs[node] < ENOUGH and self.spent[node] < COSTLY and node not in self.heavy:
            return False
        return all(_harmless(value) for value in given)

    def watch(self, m: Machine, func: FuncVal, receiver: Union[Value, None]) -> Union[Watch, None]:
        """Look at a run of a function that may be a chore."""
        node = func.node
        if node in self.never:
            return None
        if node not in self.aside:
            seen: dict[int, Value] = {}
            self.aside[node] = _aside(func, seen)
            if self.aside[node]:
                self.aside.update((value.node, True) for value in seen.values() if isinstance(value, FuncVal))
        if not self.aside[node]:
            self.never.add(node)
            return None
        return Watch(self, m, func, receiver)


class Watch:
    """What a function does in one run."""

    def __init__(self, chores: Chores, m: Machine, func: FuncVal, receiver: Union[Value, None]) -> None:
        self.chores = chores
        self.node = func.node
        self.born = birth()
        self.steps, self.written = m.steps, len(m.journal)
        self.block, self.told = m.block, len(m.block.items)
        # A constructor fills what it makes.
        self.made = receiver.attrs if isinstance(receiver, Instance) and func.name == "__init__" else None

    def over(self, m: Machine, result: Value) -> None:
        """Count the run, or note that the function is no chore."""
        quiet = m.block is self.block and len(m.block.items) == self.told and _harmless(result)
        if not quiet or any(container is not self.made and age(container) <= self.born for container, _, _ in m.journal[self.written :]):
            self.chores.never.add(self.node)
            return
        if _empty(result):
            self.chores.runs[self.node] += 1
        if self.made is None:
            cost = self.steps - m.steps
            self.chores.spent[self.node] += cost
            if cost >= HEAVY:
                self.chores.heavy.add(self.node)


def _harmless(value: Value, depth: int = 0) -> bool:
    """Whether a value that is handed over holds nothing that a story tells of, and no way to it."""
    if isinstance(value, (Const, Unknown, External, SizeVal)):
        return True
    if isinstance(value, Tensor):
        return not (value.networks or value.forwards or value.seen or value.data)
    if depth > _DEEPEST:
        return False
    if isinstance(value, Choice):
        return all(_harmless(part, depth) for _, part in value.alternatives)
    if isinstance(value, (TupleVal, ListVal)):
        return all(_harmless(part, depth + 1) for part in value.items)
    if isinstance(value, DictVal):
        return all(_harmless(part, depth + 1) for part in value.entries.values())
    return isinstance(value, Instance) and all(_harmless(part, depth + 1) for part in value.attrs.values())


def _empty(value: Value, depth: int = 0) -> bool:
    """Whether nothing is known of a value that could decide anything."""
    if isinstance(value, Unknown) or (isinstance(value, Const) and value.value is None):
        return True
    if depth > _DEEPEST:
        return False
    if isinstance(value, Choice):
        return all(_empty(part, depth) for _, part in value.alternatives)
    if isinstance(value, (TupleVal, ListVal)):
        return all(_empty(part, depth + 1) for part in value.items)
    if isinstance(value, DictVal):
        return all(_empty(part, depth + 1) for part in value.entries.values())
    if isinstance(value, Iterable):
        return _empty(value.item, depth + 1)
    return isinstance(value, Instance) and _harmless(value)


def _aside(value: Value, seen: dict[int, Value]) -> bool:
    """Whether nothing that a function, class or other value names leads to a library for training."""
    if isinstance(value, (Const, Unknown)):
        return True
    if isinstance(value, External):
        return not trains(value.name)
    if isinstance(value, Choice):
        return all(_aside(part, seen) for _, part in value.alternatives)
    if isinstance(value, Bound):
        return isinstance(value.func, FuncVal) and _aside(value.func, seen)
    if isinstance(value, Partial):
        return all(_aside(part, seen) for part in (value.func, *value.args, *value.kwargs.values()))
    if id(value) in seen:
        return True
    seen[id(value)] = value
    if isinstance(value, (TupleVal, ListVal)):
        return all(_aside(part, seen) for part in value.items)
    if isinstance(value, DictVal):
        return all(_aside(part, seen) for part in value.entries.values())
    if isinstance(value, ClassVal):
        return all(_aside(part, seen) for part in (*value.bases, *value.attrs.values()))
    if isinstance(value, Instance):
        return _aside(value.cls, seen)
    if isinstance(value, Service):
        return not trains(value.name) and all(_aside(part, seen) for part in value.args.values())
    return isinstance(value, FuncVal) and _names_aside(value, seen)


def _words(node: r.Lambda) -> frozenset[str]:
    parts = list(r.walk(node.body))
    return frozenset(part.id for part in parts if isinstance(part, r.Name)) | {part.name for part in parts if isinstance(part, r.Attr)}


def _names_aside(func: FuncVal, seen: dict[int, Value]) -> bool:
    node = func.node
    words = node.words if isinstance(node, r.Function) else _words(node)
    if words & _LOUD:
        return False
    for name in words - node.locals if isinstance(node, r.Function) else words:
        scope = func.frame
        while scope is not None:
            value = scope.vars.get(name)
            if value is not None:
                if not _aside(value, seen):
                    return False
                break
            scope = scope.outer
    return True
