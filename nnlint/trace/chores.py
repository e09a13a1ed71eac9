"""Chores: calls that no training depends on, such as listing files or setting up augmentations.

A program may do thousands of them before it trains. A function (or constructor) is a chore where nothing that it names leads to a
library for training, and where it was seen to tell nothing, to write to nothing but what it makes, and to give back no number, text,
function, network or tensor. Seen often enough in a story, it is not run again: what it gives is unknown.
"""

from __future__ import annotations

from typing import Union

from nnlint import records as r
from nnlint.source import trains
from nnlint.trace.machine import Machine, age
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
    TupleVal,
    Unknown,
    Value,
    birth,
)

ENOUGH = 8
_FIRST = 4
"""Runs that are not looked at: most functions run less often."""
_NEVER = -1_000_000
_DEEPEST = 3
_LOUD = frozenset("backward zero_grad step train eval view reshape forward no_grad manual_backward training_step compute_loss".split())
"""Methods that matter whatever they are called on."""


def done(m: Machine, func: FuncVal, given: list[Value]) -> bool:
    """Whether a call is one more of a chore that was seen often enough."""
    return m.chores[func.node] >= ENOUGH and all(_harmless(value) for value in given)


class Watch:
    """What a function does in one run."""

    def __init__(self, m: Machine, func: FuncVal, receiver: Union[Value, None]) -> None:
        self.born = birth()
        self.written = len(m.journal)
        self.block, self.told = m.block, len(m.block.items)
        # A constructor fills what it makes.
        self.made = receiver.attrs if isinstance(receiver, Instance) and func.name == "__init__" else None

    def over(self, m: Machine, func: FuncVal, result: Value) -> None:
        """Count the run, or note that the function is no chore."""
        quiet = m.block is self.block and len(m.block.items) == self.told and _empty(result)
        apart = all(container is self.made or age(container) > self.born for container, _, _ in m.journal[self.written :])
        m.chores[func.node] = m.chores[func.node] + 1 if quiet and apart else _NEVER


def watch(m: Machine, func: FuncVal, receiver: Union[Value, None]) -> Union[Watch, None]:
    """Look at a run of a function that may be a chore."""
    count = m.chores[func.node]
    if count < _FIRST:
        m.chores[func.node] = count + 1 if count >= 0 else count
        return None
    if count == _FIRST and not _aside(m, func, set()):
        m.chores[func.node] = _NEVER
        return None
    return Watch(m, func, receiver)


def _harmless(value: Value, depth: int = 0) -> bool:
    """Whether a value that is handed over holds nothing that a story tells of, and no way to it."""
    if isinstance(value, (Const, Unknown, External)):
        return True
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


def _aside(m: Machine, value: Value, seen: set[int]) -> bool:
    """Whether nothing that a function, class or other value names leads to a library for training."""
    if isinstance(value, (Const, Unknown)):
        return True
    if isinstance(value, External):
        return not trains(value.name)
    if isinstance(value, Choice):
        return all(_aside(m, part, seen) for _, part in value.alternatives)
    if isinstance(value, Bound):
        return isinstance(value.func, FuncVal) and _aside(m, value.func, seen)
    if isinstance(value, Partial):
        return all(_aside(m, part, seen) for part in (value.func, *value.args, *value.kwargs.values()))
    if id(value) in seen:
        return True
    seen.add(id(value))
    if isinstance(value, (TupleVal, ListVal)):
        return all(_aside(m, part, seen) for part in value.items)
    if isinstance(value, DictVal):
        return all(_aside(m, part, seen) for part in value.entries.values())
    if isinstance(value, ClassVal):
        return all(_aside(m, part, seen) for part in (*value.bases, *value.attrs.values()))
    if isinstance(value, Instance):
        return _aside(m, value.cls, seen)
    return isinstance(value, FuncVal) and _names_aside(m, value, seen)


def _names_aside(m: Machine, func: FuncVal, seen: set[int]) -> bool:
    if isinstance(func.node, r.Lambda):
        return False
    if func.node.words & _LOUD:
        return False
    for name in func.node.words - func.node.locals:
        scope = func.frame
        while scope is not None:
            value = scope.vars.get(name)
            if value is not None:
                if not _aside(m, value, seen):
                    return False
                break
            scope = scope.outer
    return True
