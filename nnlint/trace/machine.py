"""The state of one abstract run: frames, the journal that lets branches be undone and joined, and the story that is being told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.program import File, Program
from nnlint.trace.chores import Chores
from nnlint.trace.marks import Marks, Objects
from nnlint.trace.story import EXITS, Arms, Backward, Block, Event, Exit, Forward, Held, Loop, Release, Scope, Step, Story, exits
from nnlint.trace.values import (
    PAST,
    Choice,
    ClassVal,
    Facts,
    Obj,
    Params,
    Slots,
    Tensor,
    Unknown,
    Value,
    age,
    birth,
    choice,
)


class BudgetSpent(Exception):
    """The run from one entry point took more steps than it is worth."""


MAX_ITEMS = 64
"""Longer lists are registries and logs, not layers: they are not joined item by item."""


class Absent(Value):
    """Stands for an item that one branch added to a list and another did not."""

    __slots__ = ()


ABSENT = Absent()
_MISSING = object()

Result = Union[None, str, Value]
"""Of an arm: a value, None where control falls through, or the kind of exit."""


_OF_A_STORY = (
    "active",
    "block",
    "calls",
    "decided",
    "depth",
    "facts",
    "forwards",
    "grad",
    "journal",
    "loop",
    "measured",
    "networks",
    "pending_relabel",
    "round",
    "steps",
    "story",
    "warming",
)


class Frame:
    """One scope that is being run. `outer` is the lexically enclosing scope, `top` the module's; `rounds` is how often the statement at
    hand is run by the unrolled loops around it."""

    __slots__ = (
        "base_facts",
        "calls",
        "file",
        "func",
        "handlers",
        "locals",
        "outer",
        "owner",
        "receiver",
        "redirect",
        "returns",
        "rounds",
        "top",
        "vars",
        "yields",
    )

    def __init__(self, file: File, outer: Union[Frame, None], calls: tuple[Site, ...]) -> None:
        self.file = file
        self.outer = outer
        self.top: Frame = outer.top if outer is not None else self
        self.vars: dict[Any, Any] = Slots(birth())
        self.locals: frozenset[str] = frozenset()
        self.redirect: dict[str, Frame] = {}
        self.returns: list[tuple[Facts, Value]] = []
        self.yields: list[Value] = []
        self.handlers: list[Callable[[Value], Value]] = []
        self.receiver: Union[Value, None] = None
        self.owner: Union[ClassVal, None] = None
        self.func: Union[r.Function, r.Lambda, None] = None
        self.calls = calls
        self.rounds = 1
        self.base_facts: dict[Hashable, bool] = {}


class Machine:
    """Runs a program on abstract values and tells its story.

    `steps` is the budget: the number of records that may still be evaluated for the current entry point.
    """

    def __init__(self, program: Program, budget: int = 200_000) -> None:
        self.program = program
        self.budget = budget
        self.steps = budget
        self.namespaces: dict[str, Frame] = {}
        self.imported: dict[str, Story] = {}
        self.story = Story("", script=False)
        self.block = self.story.root
        self.loop: Union[Loop, None] = None
        self.round: Union[Loop, None] = None
        self.facts: dict[Hashable, bool] = {}
        self.journal: list[tuple[Any, Any, Any]] = []
        self.depth = 0
        self.active: list[object] = []
        self.calls: tuple[Site, ...] = ()
        self.grad = True
        self.networks: list[Value] = []
        self.warming = 0
        self.reached: Marks[tuple[str, int]] = Marks()
        self.visited: Marks[tuple[str, int]] = Marks()
        self.objects: Objects = Objects()
        self.quiet = 0
        self.decided = 0
        self.forwards: list[Forward] = []
        self.guesses: dict[Hashable, Any] = {}
        self.shapes: dict[Hashable, Any] = {}
        self.call: Union[r.Call, None] = None
        self.harmless: Marks[Site] = Marks()
        self.names: dict[Hashable, int] = {}
        self.tried: Counter[tuple[object, object]] = Counter()
        self.measured: Counter[Site] = Counter()
        self.decorated: Counter[tuple[str, int]] = Counter()
        self.pending_relabel = 0
        self.chores = Chores()

    # --- the story -------------------------------------------------------------------------------------------------

    def begin(self, entry: str, script: bool) -> Story:
        """Start the story of one entry point with a fresh budget, from the state in which the imports have left the program."""
        self.undo()
        self.story = Story(entry, script)
        self.block = self.story.root
        self.loop = self.round = None
        self.facts = {}
        self.journal = []
        self.depth = 0
        self.decided = 0
        self.active = []
        self.calls = ()
        self.grad = True
        self.networks = []
        self.warming = 0
        self.forwards = []
        self.measured = Counter()
        self.chores.begin()
        self.steps = self.budget if script else self.budget // 20
        return self.story

    @contextmanager
    def apart(self, entry: str) -> Iterator[Story]:
        """Run something with a story, a budget and facts of its own, as if nothing else were at work."""
        kept = {name: self.__dict__[name] for name in _OF_A_STORY}
        noted = PAST.files, PAST.names
        PAST.files, PAST.names = {entry}, set()
        counts = self.chores.runs, self.chores.spent
        self.chores.begin()
        self.story = Story(entry, script=True)
        self.block = self.story.root
        self.loop = self.round = None
        self.facts = {}
        self.journal = []
        self.depth = self.decided = self.warming = self.pending_relabel = 0
        self.active, self.networks, self.forwards = [], [], []
        self.calls = ()
        self.grad = True
        self.measured = Counter()
        self.steps = self.budget
        try:
            yield self.story
        finally:
            self.story.files, self.story.names = PAST.files, PAST.names
            PAST.files, PAST.names = noted
            self.chores.runs, self.chores.spent = counts
            self.__dict__.update(kept)

    def undo(self) -> None:
        """Forget what the last story did to what was there before it."""
        for container, key, old in reversed(self.journal):
            if age(container) <= PAST.until:
                self._write(container, key, old)
        for items, length in reversed(PAST.grown):
            del items[length:]
        self.journal = []
        PAST.grown = []
        PAST.until = birth()

    def tell(self, event: Event) -> None:
        event.calls = self.calls
        if isinstance(event, (Backward, Step)):
            event.loop = self.round
        if isinstance(event, Backward):
            event.born = birth()
        self.block.items.append(event)

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise BudgetSpent

    # --- the journal -----------------------------------------------------------------------------------------------

    def set(self, container: dict[Any, Any], key: Any, value: Any) -> None:
        """Write a slot of a frame or heap object so that it can be undone."""
        self.journal.append((container, key, container.get(key, _MISSING)))
        container[key] = value

    def remove(self, container: dict[Any, Any], key: Any) -> None:
        if key in container:
            self.journal.append((container, key, container[key]))
            del container[key]

    def assign(self, obj: object, slot: str, value: Any) -> None:
        """Write a slot of a value object (the items of a list, a flag) so that it can be undone."""
        self.journal.append((obj, slot, getattr(obj, slot)))
        setattr(obj, slot, value)

    @staticmethod
    def _write(container: Any, key: Any, value: Any) -> None:
        if isinstance(container, dict):
            if value is _MISSING:
                container.pop(key, None)
            else:
                container[key] = value
        else:
            setattr(container, key, value)

    @staticmethod
    def _read(container: Any, key: Any) -> Any:
        return container.get(key, _MISSING) if isinstance(container, dict) else getattr(container, key)

    def fork(self, arms: Sequence[tuple[Facts, Callable[[], Result]]], site: Site) -> list[tuple[Facts, Result]]:
        """Run each arm from the present state; join the states of those that fall through; return what each gave.

        Arms that contradict what is already decided are not run.
        """
        taken = [(facts, thunk) for facts, thunk in arms if self.possible(facts)]
        if len(taken) == 1:
            before = self.facts
            self.facts = before.copy()
            self.facts.update(taken[0][0])
            result = taken[0][1]()
            if not isinstance(result, str):
                self.facts = before
            return [(taken[0][0], result)]
        node = Arms(site)
        start = birth()
        outer_block, outer_facts, outer_journal, outer_grad = self.block, self.facts, self.journal, self.grad
        results: list[tuple[Facts, Result]] = []
        deltas: list[tuple[Facts, dict[tuple[int, Any], tuple[Any, Any, Any]], bool]] = []
        for facts, thunk in taken:
            self.block = Block()
            self.journal = []
            self.facts = outer_facts.copy()
            self.facts.update(facts)
            self.grad = outer_grad
            result = thunk()
            node.arms.append((facts, self.block))
            delta: dict[tuple[int, Any], tuple[Any, Any, Any]] = {}
            if self.journal:
                # What was made in the arm is known to it alone, and stays as it is.
                journal = [entry for entry in self.journal if age(entry[0]) <= start]
                delta = {(id(container), key): (container, key, self._read(container, key)) for container, key, _ in journal}
                for container, key, old in reversed(journal):
                    self._write(container, key, old)
            deltas.append((facts, delta, not isinstance(result, str)))
            results.append((facts, result))
        self.block, self.facts, self.journal, self.grad = outer_block, outer_facts, outer_journal, outer_grad
        if any([block.items for _, block in node.arms]):
            self.block.items.append(node)
        falling = [(facts, delta) for facts, delta, falls in deltas if falls]
        if not falling and deltas:
            falling = [deltas[-1][:2]]
        self._join(falling)
        if len(falling) == 1 and len(deltas) > 1:
            self.facts = {**outer_facts, **dict(falling[0][0])}
        return results

    def possible(self, facts: Facts) -> bool:
        known = self.facts
        for key, decided in facts:  # noqa: SIM110  (as a generator it takes three times as long, and nothing is asked as often)
            if known.get(key, decided) is not decided:
                return False
        return True

    def _join(self, falling: list[tuple[Facts, dict[tuple[int, Any], tuple[Any, Any, Any]]]]) -> None:
        slots: dict[tuple[int, Any], tuple[Any, Any]] = {}
        for _, delta in falling:
            for slot, (container, key, _) in delta.items():
                slots.setdefault(slot, (container, key))
        for slot, (container, key) in slots.items():
            current = self._read(container, key)
            values = [(facts, delta[slot][2] if slot in delta else current) for facts, delta in falling]
            if key == "layout" and isinstance(container, Tensor):
                # What one arm learned of the shape of a tensor need not hold after it.
                joined: Any = values[0][1] if all(value is not None and value.alike(values[0][1]) for _, value in values) else current
            else:
                joined = _any_params(values) or join_slot(values) if isinstance(container, Obj) else join_slot(values)
            if joined is not current:
                self.journal.append((container, key, current))
                self._write(container, key, joined)

    # --- conditions ------------------------------------------------------------------------------------------------

    def settle(self, value: Value) -> Value:
        """A choice, as far as the present conditions leave it open."""
        if type(value) is not Choice or not self.facts:
            return value
        left = [alternative for alternative in value.alternatives if self.possible(alternative[0])]
        if len(left) == len(value.alternatives) or not left:
            return value
        return choice(left)

    def each(self, value: Value, site: Site, act: Callable[[Value], Value]) -> Value:
        """Do something with a value; with a choice, do it once for each alternative and join."""
        value = self.settle(value)
        if not isinstance(value, Choice):
            return act(value)
        arms: list[tuple[Facts, Callable[[], Result]]] = [(facts, lambda part=part: act(part)) for facts, part in value.alternatives]  # type: ignore[misc]
        return joined(self.fork(arms, site))

    def spread(self, value: Value, act: Callable[[Value], Value]) -> Value:
        """As `each`, for acts that change nothing: no state to undo and join."""
        value = self.settle(value)
        if not isinstance(value, Choice):
            return act(value)
        return choice([(facts, act(part)) for facts, part in value.alternatives])

    # --- exits -----------------------------------------------------------------------------------------------------

    def exit(self, site: Site, kind: str) -> str:
        self.tell(Exit(site, kind))
        return kind

    def since(self, frame: Frame) -> Facts:
        """The conditions decided since the frame was entered."""
        return tuple((key, decided) for key, decided in self.facts.items() if frame.base_facts.get(key) is not decided)

    def open_scope(self, site: Site) -> tuple[Scope, Block]:
        scope = Scope(site)
        outer = self.block
        self.block = scope.body
        return scope, outer

    def close_scope(self, scope: Scope, outer: Block) -> None:
        self.block = outer
        if has_events(scope.body):
            outer.items.append(scope)

    def hold(self, site: Site) -> tuple[Held, Block]:
        """What is told from here to `let_go` stays, and its exits wait for `release`."""
        held = Held(site)
        outer = self.block
        self.block = held.body
        return held, outer

    def let_go(self, held: Held, outer: Block) -> None:
        self.block = outer
        if exits(held.body, EXITS):
            outer.items.append(held)
        else:
            outer.items.extend(held.body.items)

    def release(self, held: Held) -> None:
        if exits(held.body, EXITS):
            self.tell(Release(held.site, held))


@contextmanager
def bounded(story: Story) -> Iterator[None]:
    """A story may end early: its budget is spent, or nnlint itself is at fault, which is said and does not stop the others."""
    try:
        yield
    except BudgetSpent:
        story.cut = True
    except Exception as error:  # noqa: BLE001 (the user is told, and the other stories go on)
        story.trouble = f"{type(error).__name__}: {error}"


def has_events(block: Block) -> bool:
    """Whether anything but exits happens in a block."""
    for item in block.items:
        if isinstance(item, (Exit, Release)):
            continue
        if isinstance(item, Event) or (isinstance(item, Arms) and any(has_events(arm) for _, arm in item.arms)):
            return True
        if isinstance(item, (Loop, Scope)) and has_events(item.body):
            return True
    return False


def joined(results: Sequence[tuple[Facts, Result]]) -> Value:
    """The values of arms, as one."""
    values = [(facts, result) for facts, result in results if isinstance(result, Value)]
    return choice(values) if values else Unknown()


def _any_params(values: list[tuple[Facts, Any]]) -> Union[Params, None]:
    """An optimizer that was given parameters in one arm may hold them all."""
    found = [value for _, value in values if isinstance(value, Params)]
    if not found or len(found) < len(values) or all(value is found[0] for value in found):
        return None
    if any(value.networks is None for value in found):
        return Params(None)
    return Params(
        tuple(dict.fromkeys(network for value in found for network in value.networks or ())), any(value.partial for value in found)
    )


def join_slot(values: list[tuple[Facts, Any]]) -> Any:
    """One slot after a branch. A name that only some arms define is taken as defined; lists are joined item by item."""
    defined = [(facts, value) for facts, value in values if value is not _MISSING]
    if not defined:
        return _MISSING
    first = defined[0][1]
    if all(value is first for _, value in defined):
        return first
    if isinstance(first, list):
        return _join_lists(defined)
    if isinstance(first, Value):
        return choice(defined)
    if isinstance(first, bool):
        return any(value for _, value in defined)
    return first


def _join_lists(values: list[tuple[Facts, list[Any]]]) -> list[Any]:
    longest = max((items for _, items in values), key=len)
    if len(longest) > MAX_ITEMS:
        return longest
    out: list[Any] = []
    for index, first in enumerate(longest):
        if all(index < len(items) and items[index] is first for _, items in values):
            out.append(first)
            continue
        column = [(facts, items[index] if index < len(items) else ABSENT) for facts, items in values]
        named = next((entry for _, entry in column if isinstance(entry, tuple)), None)
        if named is None:
            out.append(choice(column))
        else:
            parts: list[tuple[Facts, Value]] = [(facts, entry[1] if isinstance(entry, tuple) else ABSENT) for facts, entry in column]
            out.append((named[0], choice(parts)))
    return out
