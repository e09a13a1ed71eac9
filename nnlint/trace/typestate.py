"""Follows the state of one object along all ways through a story: branches apart, loops round and round.

A condition that was decided stays decided as long as its value is the same, so that `if amp: zero_grad()` and `if amp: step()` are
not mixed up; what is born in a loop's round is forgotten when the next begins, and what nothing asks any more is forgotten at once.
Where `a or b` was decided true, not both can be false, and where `a and b` was false, not both can be true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar, Union

from nnlint.trace.story import EXITS, Arms, Block, Event, Exit, Held, Item, Loop, Mode, ModeRead, Release, Scope, Story, exits
from nnlint.trace.values import Facts

S = TypeVar("S", bound=Hashable)
MAX_STATES = 64
"""Beyond as many ways, what is asked at one place only is forgotten, then those that have led to the same state are taken as one."""
MAX_ROUNDS = 5


class Automaton(Protocol[S]):
    """What to watch: which events matter, how each changes the state, and what leaving a branch or loop does."""

    def concerns(self, event: Event) -> bool:
        """Whether the event can change a state."""

    def on(self, event: Event, state: S, facts: Facts) -> tuple[S, Facts]:
        """The state after the event, and conditions that it settles."""

    def passed(self, arms: Arms, taken: Block, state: S) -> S:
        """The state after one arm was taken and its siblings were not."""

    def again(self, loop: Loop, state: S) -> S:
        """The state when the next round of a loop begins."""

    def left(self, loop: Loop, state: S) -> S:
        """The state when a loop is done."""


Known = tuple[Hashable, bool]
Path = tuple[S, frozenset[Known]]
Exits = dict[str, set[Path[S]]]


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

    def answered(self) -> dict[int, frozenset[Known]]:
        """By item, what may be forgotten after it."""
        order = sorted((when, index) for index, (key, when) in enumerate(self.last.items()) if key not in self.story.lasts)
        keys, times = list(self.last), [when for when, _ in order]
        found: dict[int, frozenset[Known]] = {}
        for item, start, end in self.ranges:
            over = order[bisect_right(times, start) : bisect_right(times, end)]
            if over:
                found[id(item)] = frozenset((keys[index], decided) for _, index in over for decided in (True, False))
        return found


class _Way(NamedTuple):
    """An arm, with what must not be known to take it, what is known in it, and the compounds that this may contradict."""

    arm: Block
    against: frozenset[Known]
    new: frozenset[Known]
    compounds: frozenset[Hashable]


class Walk(Generic[S]):
    """One automaton on one story."""

    def __init__(self, story: Story, automaton: Automaton[S]) -> None:
        self.story = story
        self.automaton = automaton
        self.kept: dict[int, list[Item]] = {}
        self._sift(story.root)
        questions = Questions(story)
        self._question(story.root, questions)
        self.compounds: dict[Hashable, list[Hashable]] = {}
        for key in list(questions.count):
            self._bind(key, questions)
        self.answered = questions.answered()
        self.ways: dict[int, list[_Way]] = {}
        self.asked = frozenset(questions.last) | frozenset(story.firsts)
        self.young: dict[int, frozenset[Known]] = {}
        keys = questions.count
        self.tracked = frozenset(key for key, count in keys.items() if count > 1 or key in story.lasts or key in questions.again)
        self.weak = frozenset((key, decided) for key in questions.again if keys[key] == 1 for decided in (True, False))
        self.firsts: dict[Loop, frozenset[Known]] = {}
        for key, (loop, decided) in story.firsts.items():
            if key in keys:
                self.firsts[loop] = self.firsts.get(loop, frozenset()) | {(key, decided)}

    def run(self, start: S) -> set[S]:
        """All states in which the story may end."""
        falls, exits = self._block(self.story.root, {(start, frozenset())})
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
        for item in self.kept[id(block)]:
            if not paths:
                break
            if isinstance(item, Exit):
                out.setdefault(item.kind, set()).update(paths)
                return set(), out
            if isinstance(item, Release):
                paths = _released(item.held, paths, out)
            elif isinstance(item, Event):
                paths = {self._on(item, path) for path in paths}
            elif isinstance(item, Arms):
                paths = self._arms(item, paths, out)
            elif isinstance(item, Loop):
                paths = self._loop(item, paths, out)
            elif isinstance(item, Held):
                paths = self._held(item, paths)
            else:
                paths = self._scope(item, paths)
            answered = self.answered.get(id(item))
            if answered is not None and len(paths) > 1:
                paths = {(state, known - answered) for state, known in paths}
            if len(paths) > MAX_STATES:
                paths = {(state, known - self.weak) for state, known in paths}
            if len(paths) > MAX_STATES:
                paths = _merged(paths)
        return paths, out

    def _on(self, event: Event, path: Path[S]) -> Path[S]:
        state, known = path
        after, facts = self.automaton.on(event, state, tuple(known))
        if not facts:
            return after, known
        merged = dict(known)
        merged.update(facts)
        return after, frozenset(merged.items())

    def _arms(self, item: Arms, paths: set[Path[S]], left: Exits[S]) -> set[Path[S]]:
        out: set[Path[S]] = set()
        ways = self.ways.get(id(item))
        if ways is None:
            ways = self.ways[id(item)] = self._ways(item)
        for arm, against, new, compounds in ways:
            inside = {(state, known | new) for state, known in paths if against.isdisjoint(known)}
            if compounds:
                inside = {path for path in inside if not any(_contradicted(whole, path[1]) for whole in compounds)}
            falls, inner = self._block(arm, inside)
            for kind, ended in inner.items():
                left.setdefault(kind, set()).update(ended)
            out |= {(self.automaton.passed(item, arm, state), known) for state, known in falls}
        return out

    def _ways(self, item: Arms) -> list[_Way]:
        """The arms that can be taken at all."""
        found: list[_Way] = []
        for facts, arm in item.arms:
            against = frozenset((key, not decided) for key, decided in facts)
            if against.isdisjoint(facts):
                new = frozenset(fact for fact in facts if fact[0] in self.tracked)
                found.append(_Way(arm, against, new, frozenset(whole for key, _ in facts for whole in self.compounds.get(key, ()))))
        return found

    def _loop(self, loop: Loop, paths: set[Path[S]], left: Exits[S]) -> set[Path[S]]:
        after: set[Path[S]] = set()
        seen: set[Path[S]] = set()
        first = self.firsts.get(loop, frozenset())
        further = frozenset((key, not decided) for key, decided in first)
        frontier = {(state, known | first) for state, known in paths} if first else paths
        for _ in range(1 if loop.once else MAX_ROUNDS):
            falls, inner = self._block(loop.body, frontier)
            falls = falls | inner.pop("continue", set())
            after |= inner.pop("break", set())
            for kind, ended in inner.items():
                left.setdefault(kind, set()).update(ended)
            if not loop.endless:
                after |= {(state, self._forget(known, loop.start)) for state, known in falls}
            lasts = self.story.lasts
            falls = {path for path in falls if not any(decided and lasts.get(key) is loop for key, decided in path[1])} if lasts else falls
            again = {(self.automaton.again(loop, state), (self._forget(known, loop.start) - first) | further) for state, known in falls}
            frontier = again - seen
            seen |= again
            if not frontier:
                break
        return {(self.automaton.left(loop, state), self._forget(known, loop.start) - first - further) for state, known in after}

    def _forget(self, known: frozenset[Known], start: int) -> frozenset[Known]:
        """What is still known when a round is over that began then."""
        young = self.young.get(start)
        if young is None:
            ages = self.story.ages
            young = frozenset((key, decided) for key in self.asked if ages.get(key, 0) >= start for decided in (True, False))
            self.young[start] = young
        return known - young

    def _scope(self, scope: Scope, paths: set[Path[S]]) -> set[Path[S]]:
        falls, ended = self._block(scope.body, paths)
        return falls | ended.get("return", set())

    def _held(self, held: Held, paths: set[Path[S]]) -> set[Path[S]]:
        """Ways that would leave go on, marked with what they wait for."""
        falls, ended = self._block(held.body, paths)
        waiting = {(state, known | {((_WAITS, id(held), kind), True)}) for kind, some in ended.items() for state, known in some}
        return falls | waiting


def _merged(paths: set[Path[S]]) -> set[Path[S]]:
    """One way for each state, and for what it waits for, with what is known on all ways that it stands for."""
    common: dict[Path[S], frozenset[Known]] = {}
    for state, known in paths:
        group = state, frozenset(fact for fact in known if _waits(fact[0]))
        common[group] = common.get(group, known) & known
    return {(state, known) for (state, _), known in common.items()}


def _is_compound(key: Hashable) -> bool:
    return isinstance(key, tuple) and key[:1] in (("and",), ("or",))


def _within(key: Hashable) -> frozenset[Hashable]:
    """The parts of a compound, and theirs."""
    if not _is_compound(key):
        return frozenset()
    parts = [part for part, _, _ in key[1:]]  # type: ignore[index]
    return frozenset(parts).union(*map(_within, parts))


def _outcome(whole: Hashable, known: frozenset[Known]) -> Union[bool, None]:
    """What a compound is by its parts."""
    stop = whole[0] == "or"  # type: ignore[index]
    unknown = False
    for part, polarity, _ in whole[1:]:  # type: ignore[index]
        decided = True if (part, True) in known else False if (part, False) in known else None
        if decided is None and _is_compound(part):
            decided = _outcome(part, known)
        if decided is None:
            unknown = True
        elif (decided is polarity) is stop:
            return stop
    return None if unknown else not stop


def _contradicted(whole: Hashable, known: frozenset[Known]) -> bool:
    outcome = _outcome(whole, known)
    return outcome is not None and (whole, not outcome) in known


_WAITS = "waits"


def _waits(key: Hashable) -> bool:
    return isinstance(key, tuple) and key[:1] == (_WAITS,)


def _released(held: Held, paths: set[Path[S]], out: Exits[S]) -> set[Path[S]]:
    """Ways that waited for this leave now."""
    falls: set[Path[S]] = set()
    for state, known in paths:
        kind = next((key[2] for key, _ in known if isinstance(key, tuple) and key[:2] == (_WAITS, id(held))), None)
        if kind is None:
            falls.add((state, known))
        else:
            out.setdefault(kind, set()).add((state, frozenset(fact for fact in known if fact[0] != (_WAITS, id(held), kind))))
    return falls
