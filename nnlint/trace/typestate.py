"""Follows the state of one object along all ways through a story: branches apart, loops round and round.

A condition that was decided stays decided as long as its value is the same, so that `if amp: zero_grad()` and `if amp: step()` are
not mixed up; what is born in a loop's round is forgotten when the next begins, and what nothing asks any more is forgotten at once.
Where `a or b` was decided true, not both can be false, and where `a and b` was false, not both can be true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

from nnlint.trace.story import EXITS, SKIPPING, Arms, Block, Event, Exit, Held, Item, Loop, Mode, ModeRead, Release, Scope, Story, exits
from nnlint.trace.values import Facts

S = TypeVar("S", bound=Hashable)
MAX_STATES = 64
"""Beyond as many ways, what is asked at one place only is forgotten, then those that have led to the same state are taken as one."""
MAX_ROUNDS = 5


class Automaton(Protocol[S]):
    """What to watch: which events matter, how each changes the state, and what leaving a branch or loop does."""

    def concerns(self, event: Event) -> bool:
        """Whether the event can change a state."""

    def on(self, event: Event, state: S, known: Known) -> tuple[S, Facts]:
        """The state after the event, and conditions that it settles."""

    def passed(self, arms: Arms, taken: Block, state: S) -> S:
        """The state after one arm was taken and its siblings were not."""

    def again(self, loop: Loop, state: S) -> S:
        """The state when the next round of a loop begins."""

    def left(self, loop: Loop, state: S) -> S:
        """The state when a loop is done."""


Path = tuple[S, int]
"""A state, and the bits of what is known on the way to it."""
Exits = dict[str, set[Path[S]]]


class Bits:
    """Two bits for each condition, one for each answer: sets of facts as whole numbers, which are compared at once."""

    def __init__(self) -> None:
        self.places: dict[Hashable, int] = {}

    def of(self, key: Hashable, decided: bool) -> int:
        return 1 << self.places.setdefault(key, 2 * len(self.places)) + (not decided)

    def all(self, facts: Iterable[tuple[Hashable, bool]]) -> int:
        bits = 0
        for key, decided in facts:
            bits |= self.of(key, decided)
        return bits

    def both(self, keys: Iterable[Hashable]) -> int:
        return self.all((key, decided) for key in keys for decided in (True, False))


class Known:
    """What is known on a way."""

    __slots__ = ("_bits", "_known")

    def __init__(self, bits: Bits, known: int) -> None:
        self._bits = bits
        self._known = known

    def get(self, key: Hashable) -> bool | None:
        """How a condition was decided; None where it is open."""
        return True if self._known & self._bits.of(key, True) else False if self._known & self._bits.of(key, False) else None


class Questions:
    """Which conditions are asked where, to tell after which item the answer to one is of no more use."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.count: Counter[Hashable] = Counter()
        self.whole: Counter[Hashable] = Counter()
        self.again: set[Hashable] = set()
        self.last: dict[Hashable, int] = {}
        self.now = 0
        self.ranges: list[tuple[Item, int, int]] = []

    def ask(self, keys: Collection[Hashable]) -> None:
        self.now += 1
        self.whole.update(key for key in keys if _is_compound(key) and all(part in keys for part in _within(key)))
        for key in keys:
            self.count[key] += 1
            self.last[key] = self.now

    def done(self, item: Item, start: int) -> None:
        """All was asked that an item asks, from `start` on. What a loop asks of something older it asks in its next round again."""
        if isinstance(item, Loop):
            ages = self.story.ages
            self.now += 1
            again = [key for key, when in self.last.items() if when > start and ages.get(key, 0) < item.start]
            self.last.update(dict.fromkeys(again, self.now))
            self.again.update(again)
        self.ranges.append((item, start, self.now))

    def bind(self, group: Collection[Hashable]) -> None:
        """To ask one of these is to ask the others."""
        when = max(self.last.get(key, 0) for key in group)
        for key in group:
            self.last[key] = when
            self.count[key] += 1

    def answered(self) -> dict[int, list[Hashable]]:
        """By item, what may be forgotten after it."""
        order = sorted((when, index) for index, (key, when) in enumerate(self.last.items()) if key not in self.story.lasts)
        keys, times = list(self.last), [when for when, _ in order]
        found: dict[int, list[Hashable]] = {}
        for item, start, end in self.ranges:
            over = order[bisect_right(times, start) : bisect_right(times, end)]
            if over:
                found[id(item)] = [keys[index] for _, index in over]
        return found


class _Compound(NamedTuple):
    """An `or` (whose outcome one true part settles) or `and`, by the bits of it and of its parts, which may be compounds themselves."""

    stop: bool
    parts: tuple[tuple[int, int, bool, _Compound | None], ...]
    true: int
    false: int

    def outcome(self, known: int) -> bool | None:
        """What it is by its parts."""
        stop = self.stop
        unknown = False
        for true, false, polarity, inner in self.parts:
            decided = True if known & true else False if known & false else None
            if decided is None and inner is not None:
                decided = inner.outcome(known)
            if decided is None:
                unknown = True
            elif (decided is polarity) is stop:
                return stop
        return None if unknown else not stop

    def contradicted(self, known: int) -> bool:
        outcome = self.outcome(known)
        return outcome is not None and bool(known & (self.false if outcome else self.true))


class _Way(NamedTuple):
    """An arm, with what must not be known to take it, what is known in it, and the compounds that this may contradict."""

    arm: Block
    against: int
    new: int
    compounds: tuple[_Compound, ...]


class Walk(Generic[S]):
    """One automaton on one story."""

    def __init__(self, story: Story, automaton: Automaton[S]) -> None:
        self.story = story
        self.automaton = automaton
        self.bits = Bits()
        self.kept: dict[int, list[Item]] = {}
        self.wider: dict[int, Arms] = {}
        self._sift(story.root)
        questions = Questions(story)
        self._question(story.root, questions)
        self.compounds: dict[Hashable, list[Hashable]] = {}
        for key in list(questions.count):
            self._bind(key, questions)
        self.useful = {item: ~self.bits.both(keys) for item, keys in questions.answered().items()}
        self.ways: dict[int, list[_Way]] = {}
        self.asked = frozenset(questions.last) | frozenset(story.firsts)
        self.old: dict[int, int] = {}
        keys = questions.count
        self.tracked = frozenset(key for key, count in keys.items() if count > 1 or key in story.lasts or key in questions.again)
        self.strong = ~self.bits.both(key for key in questions.again if keys[key] == 1)
        self.waits: dict[int, dict[str, int]] = {}
        self.firsts: dict[Loop, list[tuple[Hashable, bool]]] = {}
        for key, (loop, decided) in story.firsts.items():
            if key in keys:
                self.firsts.setdefault(loop, []).append((key, decided))
        self.lasts: dict[Loop, int] = {}
        for key, loop in story.lasts.items():
            self.lasts[loop] = self.lasts.get(loop, 0) | self.bits.of(key, True)

    def run(self, start: S) -> set[S]:
        """All states in which the story may end."""
        falls, exits = self._block(self.story.root, {(start, 0)})
        return {state for state, _ in falls} | {state for paths in exits.values() for state, _ in paths}

    def _sift(self, block: Block) -> bool:
        """Keeps of each block what matters: what may change the state, and what decides which of that is come to."""
        matters = False
        kept: list[Item] = []
        for item in block.items:
            if isinstance(item, (Exit, Release)):
                kept.append(item)
            elif isinstance(item, Event):
                if self.automaton.concerns(item):
                    matters = True
                    kept.append(item)
            elif isinstance(item, Arms):
                inner = any([self._sift(arm) for _, arm in item.arms])
                if inner or any(exits(arm, EXITS) for _, arm in item.arms):
                    kept.append(item)
                matters = matters or inner
            else:
                inner = self._sift(item.body)
                matters = matters or inner or (isinstance(item, Held) and exits(item.body, EXITS))
                if inner or isinstance(item, Held):
                    kept.append(item)
        self.kept[id(block)] = kept
        return matters

    def _question(self, block: Block, questions: Questions) -> None:
        for item in self.kept[id(block)]:
            start = questions.now
            if isinstance(item, (Mode, ModeRead)):
                questions.ask([item.key])
            elif isinstance(item, Arms):
                for _, arm in item.arms:
                    self._question(arm, questions)
                questions.ask({key for facts, _ in item.arms for key, _ in facts})
                questions.done(item, start)
            elif isinstance(item, (Loop, Held, Scope)):
                self._question(item.body, questions)
                questions.done(item, start)

    def _bind(self, whole: Hashable, questions: Questions) -> None:
        """Notes a compound of which parts are asked on their own: they decide it, and it does not go with all that they may be."""
        parts = _within(whole)
        if any(questions.count[part] > questions.whole[whole] for part in parts):
            group = (whole, *parts)
            questions.bind(group)
            for key in group:
                self.compounds.setdefault(key, []).append(whole)

    def _block(self, block: Block, paths: set[Path[S]]) -> tuple[set[Path[S]], Exits[S]]:
        out: Exits[S] = {}
        kept = self.kept[id(block)]
        for item in kept:
            if not paths:
                break
            if isinstance(item, Exit):
                out.setdefault(item.kind, set()).update(paths)
                return set(), out
            if isinstance(item, Release):
                paths = self._released(item.held, paths, out)
            elif isinstance(item, Event):
                paths = {self._on(item, path) for path in paths}
            elif isinstance(item, Arms):
                paths = self._arms(item, paths, out, kept)
            elif isinstance(item, Loop):
                paths = self._loop(item, paths, out)
            elif isinstance(item, Held):
                paths = self._held(item, paths)
            else:
                paths = self._scope(item, paths)
            useful = self.useful.get(id(item))
            if useful is not None and len(paths) > 1:
                paths = {(state, known & useful) for state, known in paths}
            if len(paths) > MAX_STATES:
                strong = self.strong
                paths = {(state, known & strong) for state, known in paths}
            if len(paths) > MAX_STATES:
                paths = self._merged(paths)
        return paths, out

    def _on(self, event: Event, path: Path[S]) -> Path[S]:
        state, known = path
        after, facts = self.automaton.on(event, state, Known(self.bits, known))
        for key, decided in facts:
            known = known & ~self.bits.of(key, not decided) | self.bits.of(key, decided)
        return after, known

    def _arms(self, item: Arms, paths: set[Path[S]], left: Exits[S], around: list[Item]) -> set[Path[S]]:
        out: set[Path[S]] = set()
        ways = self.ways.get(id(item))
        if ways is None:
            ways = self.ways[id(item)] = self._ways(item)
        for arm, against, new, compounds in ways:
            inside = {(state, known | new) for state, known in paths if not known & against}
            if compounds:
                inside = {path for path in inside if not any([whole.contradicted(path[1]) for whole in compounds])}
            falls, inner = self._block(arm, inside)
            for kind, ended in inner.items():
                if kind in SKIPPING:
                    wider = self._wider(item, arm, around)
                    ended = {(self.automaton.passed(wider, arm, state), known) for state, known in ended}
                left.setdefault(kind, set()).update(ended)
            out |= {(self.automaton.passed(item, arm, state), known) for state, known in falls}
        return out

    def _wider(self, item: Arms, taken: Block, around: list[Item]) -> Arms:
        """A branch that one arm leaves early, as if what comes behind it stood in the other arms."""
        wider = self.wider.get(id(taken))
        if wider is None:
            wider = self.wider[id(taken)] = Arms(item.site)
            rest = around[around.index(item) + 1 :]
            for facts, arm in item.arms:
                block = taken
                if arm is not taken:
                    block = Block()
                    block.items = [*arm.items, *rest]
                wider.arms.append((facts, block))
        return wider

    def _ways(self, item: Arms) -> list[_Way]:
        """The arms that can be taken at all."""
        found: list[_Way] = []
        for facts, arm in item.arms:
            against = self.bits.all((key, not decided) for key, decided in facts)
            if not against & self.bits.all(facts):
                new = self.bits.all(fact for fact in facts if fact[0] in self.tracked)
                wholes = {whole: None for key, _ in facts for whole in self.compounds.get(key, ())}
                found.append(_Way(arm, against, new, tuple(map(self._compound, wholes))))
        return found

    def _compound(self, whole: Hashable) -> _Compound:
        made = [
            (self.bits.of(part, True), self.bits.of(part, False), polarity, self._compound(part) if _is_compound(part) else None)
            for part, polarity, _ in whole[1:]  # type: ignore[index]
        ]
        stop = whole[0] == "or"  # type: ignore[index]
        return _Compound(stop, tuple(made), self.bits.of(whole, True), self.bits.of(whole, False))

    def _loop(self, loop: Loop, paths: set[Path[S]], left: Exits[S]) -> set[Path[S]]:
        after: set[Path[S]] = set()
        seen: set[Path[S]] = set()
        firsts = self.firsts.get(loop, [])
        first, further = self.bits.all(firsts), self.bits.all((key, not decided) for key, decided in firsts)
        old, last = self._old(loop.start), self.lasts.get(loop, 0)
        frontier = {(state, known | first) for state, known in paths} if first else paths
        for _ in range(1 if loop.once else MAX_ROUNDS):
            falls, inner = self._block(loop.body, frontier)
            falls = falls | inner.pop("continue", set())
            after |= inner.pop("break", set())
            for kind, ended in inner.items():
                left.setdefault(kind, set()).update(ended)
            if not loop.endless:
                after |= {(state, known & old) for state, known in falls}
            again = {(self.automaton.again(loop, state), known & old & ~first | further) for state, known in falls if not known & last}
            frontier = again - seen
            seen |= again
            if not frontier:
                break
        return {(self.automaton.left(loop, state), known & old & ~first & ~further) for state, known in after}

    def _old(self, start: int) -> int:
        """What is still known when a round is over that began then."""
        old = self.old.get(start)
        if old is None:
            ages = self.story.ages
            old = self.old[start] = ~self.bits.both(key for key in self.asked if ages.get(key, 0) >= start)
        return old

    def _scope(self, scope: Scope, paths: set[Path[S]]) -> set[Path[S]]:
        falls, ended = self._block(scope.body, paths)
        return falls | ended.get("return", set())

    def _held(self, held: Held, paths: set[Path[S]]) -> set[Path[S]]:
        """Ways that would leave go on, marked with what they wait for."""
        falls, ended = self._block(held.body, paths)
        waits = self.waits.setdefault(id(held), {})
        for kind, some in ended.items():
            bit = waits[kind] = self.bits.of((_WAITS, id(held), kind), True)
            falls = falls | {(state, known | bit) for state, known in some}
        return falls

    def _released(self, held: Held, paths: set[Path[S]], out: Exits[S]) -> set[Path[S]]:
        """Ways that waited for this leave now."""
        for kind, bit in self.waits.get(id(held), {}).items():
            leaving = {path for path in paths if path[1] & bit}
            if leaving:
                out.setdefault(kind, set()).update((state, known & ~bit) for state, known in leaving)
                paths = paths - leaving
        return paths

    def _merged(self, paths: set[Path[S]]) -> set[Path[S]]:
        """One way for each state, and for what it waits for, with what is known on all ways that it stands for."""
        waiting = 0
        for waits in self.waits.values():
            for bit in waits.values():
                waiting |= bit
        common: dict[Path[S], int] = {}
        for state, known in paths:
            group = state, known & waiting
            common[group] = common.get(group, known) & known
        return {(state, known) for (state, _), known in common.items()}


_WAITS = "waits"


def _is_compound(key: Hashable) -> bool:
    return isinstance(key, tuple) and key[:1] in (("and",), ("or",))


def _within(key: Hashable) -> frozenset[Hashable]:
    """The parts of a compound, and theirs."""
    if not _is_compound(key):
        return frozenset()
    parts = [part for part, _, _ in key[1:]]  # type: ignore[index]
    return frozenset(parts).union(*map(_within, parts))
