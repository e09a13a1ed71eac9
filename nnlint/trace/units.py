"""Units: the parts in which the stories of an island are told. A unit is what is to be told of one file in one wave.

A wave sees what all units of earlier waves have reached and made, and no unit sees another of its own wave. So it does not matter in
which order the units of a wave are run, or in which process, or whether they are run at all where it is known what they would tell.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, Union

from nnlint.cache import digest
from nnlint.findings import Site
from nnlint.islands import islands
from nnlint.program import File, Program
from nnlint.trace import entries, modules
from nnlint.trace.chores import Chores
from nnlint.trace.machine import Machine
from nnlint.trace.marks import Marks, Objects, Where
from nnlint.trace.story import Story
from nnlint.trace.values import PAST, Value, birth, forget

BUDGET = 200_000
WAVES = 6
"""Scripts; functions that lead to a training; classes that no other one names and that are not built on one of another file, other classes;
functions that no other one names, other functions."""
IMPORT = "import"


class Unit(NamedTuple):
    wave: int
    key: str

    def __str__(self) -> str:
        return f"{self.wave} {self.key}"


class Effects(NamedTuple):
    """What a unit leaves to later waves."""

    reached: frozenset[Where]
    visited: frozenset[Where]
    made: frozenset[Where]
    harmless: frozenset[Site]


class Before(NamedTuple):
    """What a wave finds: the effects of all earlier units; for each class the last unit that made an object of it."""

    reached: frozenset[Where]
    visited: frozenset[Where]
    made: dict[Where, str]
    harmless: frozenset[Site]


class Course:
    """The run through an island."""

    def __init__(self, program: Program, files: Sequence[File], budget: int = BUDGET) -> None:
        self.files = sorted(files, key=lambda file: file.key)
        self.program = program.only(files)
        self.budget = budget
        self.effects: dict[Unit, Effects] = {}
        self._before: list[Before] = []
        self._heaps: dict[str, dict[Where, Value]] = {}

    @cached_property
    def machine(self) -> Machine:
        """All files imported: the state from which every story starts."""
        forget()
        m = Machine(self.program, self.budget)
        scripts = [file for file in self.files if entries.is_script(file)]
        for file in (*scripts, *self.files):
            modules.namespace(m, file.key)
        made = dict.fromkeys(m.objects.own, IMPORT)
        self._before.append(Before(frozenset(m.reached.own), frozenset(m.visited.own), made, frozenset(m.harmless.own)))
        self._heaps[IMPORT] = m.objects.own
        self._names = m.names  # of conditions, some of which hold still
        return m

    @cached_property
    def left(self) -> entries.Leftovers:
        self.machine.undo()
        return entries.Leftovers(self.machine, self.files)

    def units(self, wave: int) -> list[Unit]:
        """The units of a wave, in order."""
        if wave == 0:
            return [Unit(wave, file.key) for file in self.files]
        left = self.left.defined if wave == 1 else self.left.classes if wave < 4 else self.left.functions
        return [Unit(wave, file.key) for file in self.files if left.get(file.key)]

    def plan(self, unit: Unit) -> str:
        """A name for what was decided of a unit before it is run."""
        left = self.left
        if unit.wave in (2, 3):
            classes = left.classes[unit.key]
            about = [f"{cls.node.at} {cls.node in left.later}" for cls, _ in classes]
            about += sorted(classes[0][1])  # which is the same for all classes of a file
        elif unit.wave:
            known = left.defined if unit.wave == 1 else left.functions
            about = [f"{func.node.at} {left.called(func)}" for func in known[unit.key]]
        else:
            about = []
        return digest(*about)

    def before(self, wave: int) -> Before:
        """What a wave finds."""
        assert self.machine
        return self._before[wave]

    def made(self, where: Where) -> Value:
        """The object of a class that the imports have made."""
        return self._heaps[IMPORT][where]

    def follow(self, before: Sequence[Before]) -> None:
        """Earlier waves were run in other processes."""
        self._before[1:] = before

    def run(self, unit: Unit) -> Iterator[Story]:
        """The stories of one unit; each must be asked before the next is told."""
        m = self.machine
        before = self.before(unit.wave)
        m.undo()
        m.guesses, m.shapes, m.names = {}, {}, dict(self._names)
        m.tried, m.decorated, m.chores = Counter(), Counter(), Chores()
        m.reached, m.visited, m.harmless = Marks(before.reached), Marks(before.visited), Marks(before.harmless)
        m.objects = Objects(before.made, self._revived)
        PAST.files, PAST.names = {unit.key}, set()
        yield from self._told(m, unit)
        m.undo()
        self._heaps[str(unit)] = m.objects.own
        self.effects[unit] = Effects(
            frozenset(m.reached.own), frozenset(m.visited.own), frozenset(m.objects.own), frozenset(m.harmless.own)
        )

    def _told(self, m: Machine, unit: Unit) -> Iterator[Story]:
        file = self.program.files[unit.key]
        if unit.wave == 0:
            return entries.script(m, file)
        if unit.wave == 1:
            return entries.driven(m, self.left, unit.key)
        tell = entries.classes if unit.wave < 4 else entries.functions
        return tell(m, self.left, unit.key, later=bool(unit.wave % 2))

    def end(self, wave: int) -> None:
        """All units of a wave have been run, or their effects are known."""
        reached, visited, made, harmless = self.before(wave)
        effects = [(unit, effects) for unit, effects in sorted(self.effects.items()) if unit.wave == wave]
        self._before.append(
            Before(
                reached.union(*(each.reached for _, each in effects)),
                visited.union(*(each.visited for _, each in effects)),
                {**made, **{where: str(unit) for unit, each in effects for where in each.made}},
                harmless.union(*(each.harmless for _, each in effects)),
            )
        )

    def stories(self, keys: Union[Container[str], None] = None) -> Iterator[Story]:
        """All stories of the island, or those that start in some of its files."""
        assert self.machine
        for wave in range(WAVES):
            for unit in self.units(wave):
                if keys is None or unit.key in keys:
                    yield from self.run(unit)
            self.end(wave)

    def _revived(self, maker: str, where: Where) -> Value:
        """An object that another unit has made. Where that was not in this process, the unit is run once more."""
        if maker not in self._heaps:
            m = self.machine
            kept, noted = dict(m.__dict__), (PAST.files, PAST.names)
            m.journal, PAST.grown = [], []
            wave, _, key = maker.partition(" ")
            deque(self.run(Unit(int(wave), key)), maxlen=0)
            m.__dict__.update(kept)
            PAST.files, PAST.names = noted
        PAST.until = birth()
        return self._heaps[maker][where]


def stories(program: Program, budget: int = BUDGET, keys: Union[Container[str], None] = None) -> Iterator[Story]:
    """The stories of a project, or those that start in some of its files: island by island, wave by wave, in the order of the paths."""
    for island in islands(program):
        yield from Course(program, island.files, budget).stories(keys)
