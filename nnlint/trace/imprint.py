"""What a file looks like to a story when everything is imported: its own records, and the values behind its names.

Two runs in which all files that a unit looks into have the same imprints tell the same stories. Functions and classes of other files are
named only: who looks into them has looked into their files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from nnlint import records as r
from nnlint.findings import Site
from nnlint.program import File
from nnlint.trace.machine import Frame, Machine
from nnlint.trace.marks import Where
from nnlint.trace.story import Arms, Block, Event, Loop, Scope, Story
from nnlint.trace.units import Course
from nnlint.trace.values import Choice, ClassVal, FuncVal, ModuleVal, Unknown

_TIMES = frozenset({"born", "id", "relabelled"})
_PASSING = frozenset({"_hash", "line", "outputs", "users"})
"""What is worked out on the way and says nothing new."""


class Imprints:
    """The imprints of the files of a program whose imports have been run; `records` names the records of each file."""

    def __init__(self, course: Course, records: Mapping[str, str]) -> None:
        self._course = course
        self._records = records
        self._made: dict[str, str] = {}
        self._named: dict[tuple[str, str], str] = {}

    def of(self, key: str) -> str:
        if key not in self._made:
            frame = self._course.machine.namespaces.get(key)
            if frame is None:
                self._made[key] = ""
            else:
                walk = _Walk(self._course.machine, key)
                walk.value(frame.vars)
                self._made[key] = f"{self._records[key]} {walk.digest()}"
        return self._made[key]

    def name(self, key: str, name: str) -> str:
        """Of one name of a file."""
        if (key, name) not in self._named:
            frame = self._course.machine.namespaces.get(key)
            walk = _Walk(self._course.machine, "")
            if frame is not None and name in frame.vars:
                walk.value(frame.vars[name])
            self._named[key, name] = walk.digest()
        return self._named[key, name]

    def stamp(self, where: Where) -> str:
        """Of the object of a class that the imports have made."""
        walk = _Walk(self._course.machine, where[0])
        walk.value(self._course.made(where))
        return walk.digest()


class _Walk:
    """One pass over all that can be reached from the names of a file."""

    def __init__(self, m: Machine, key: str) -> None:
        self.m = m
        self.key = key
        self.seen: dict[int, int] = {}
        self.kept: list[object] = []  # so that no identity is given away twice
        self.times: dict[object, int] = {}
        self.parts: list[str] = []

    def digest(self) -> str:
        return hashlib.blake2b("\0".join(self.parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def say(self, *words: object) -> None:
        self.parts += map(repr, words)

    def time(self, moment: object) -> None:
        """Times differ from run to run; what counts is which are the same."""
        self.say("time", self.times.setdefault(moment, len(self.times)))

    def value(self, value: Any) -> None:
        kind = type(value)
        if value is None or kind in (bool, int, float, str, bytes, complex):
            self.say(value)
            return
        if isinstance(value, Enum):
            self.say(kind.__name__, value.value)
            return
        if isinstance(value, Site):
            self.say("site", value.source, value.at if value.source == self.key else "")
            return
        if isinstance(value, (ModuleVal, File)):
            self.say(kind.__name__, value.prefix if isinstance(value, ModuleVal) else value.key)
            return
        if isinstance(value, r.Node):
            self.say(kind.__name__, value.at)
            return
        if isinstance(value, (Event, Arms, Block, Scope, Story)):
            self.say(kind.__name__)
            return
        if kind is tuple:
            self.say("(")
            for item in value:
                self.value(item)
            self.say(")")
            return
        known = self.seen.get(id(value))
        if known is not None:
            self.say("again", known)
            return
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        self._compound(value, kind)

    def _compound(self, value: Any, kind: type) -> None:
        if isinstance(value, dict):
            self.say("{")
            for key, item in value.items():
                self.key_(key)
                self.value(item)
            self.say("}")
        elif isinstance(value, (list, tuple)):
            self.say(kind.__name__, "[")
            for item in value:
                self.value(item)
            self.say("]")
        elif isinstance(value, (set, frozenset)):
            self.say(kind.__name__, len(value), *sorted(repr(item) for item in value if isinstance(item, str)))
        elif isinstance(value, Unknown):
            self.say("Unknown", value.label, value.negated)
            self.key_(value.key)
        elif isinstance(value, Choice):
            self.say("Choice")
            for facts, part in value.alternatives:
                self.key_(facts)
                self.value(part)
        elif isinstance(value, (FuncVal, ClassVal)):
            self._definition(value)
        elif isinstance(value, Frame):
            self._frame(value)
        elif isinstance(value, Loop):
            self.say("Loop", value.batches, value.once)
            self.value(value.site)
        elif isinstance(value, msgspec.Struct):
            self.say(kind.__name__)
            for name in value.__struct_fields__:
                self.value(getattr(value, name))
        else:
            self._object(value, kind)

    def _object(self, value: object, kind: type) -> None:
        self.say(kind.__name__)
        names = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())] or list(getattr(value, "__dict__", ()))
        for name in names:
            if name in _PASSING or name.startswith("__"):
                continue
            part = getattr(value, name, None)
            self.say(name)
            if name in _TIMES:
                self.time(part)
            elif name == "key":
                self.key_(part)
            else:
                self.value(part)

    def _definition(self, value: FuncVal | ClassVal) -> None:
        node = value._node
        home = isinstance(value.frame, Frame) and value.frame is self.m.namespaces.get(value.file.key)
        mine = value.file.key == self.key
        named = home and isinstance(node, (r.Function, r.Class))
        self.say(type(value).__name__, value.file.key, value.name, "" if named and not mine else node.at)
        if isinstance(value, FuncVal):
            self.say(value.is_class, value.is_context, value.is_property, value.is_static, value.no_grad)
            if value.owner is not None:
                self.value(value.owner)
            if mine or not named:
                self.value(value.defaults)
        elif mine or not named:
            self.value(value._bases)
            self.value(value._attrs)
        if not home and value.frame is not None:
            self.value(value.frame)

    def _frame(self, frame: Frame) -> None:
        """A scope that outlived its call."""
        if frame is self.m.namespaces.get(frame.file.key):
            self.say("names of", frame.file.key)
            return
        self.say("Frame", frame.file.key)
        self.value(frame.vars)
        if frame.outer is not None:
            self.value(frame.outer)

    def key_(self, key: object) -> None:
        """An identity: numbers in it are times, unless they are constants of the program."""
        if isinstance(key, tuple):
            if key[:1] == ("const",):
                self.value(key)
                return
            self.say("(")
            for part in key:
                self.key_(part)
            self.say(")")
        elif type(key) is int:
            self.time(key)
        else:
            self.value(key)
