"""The gradients of one optimizer along all ways through a story: what piles up, and what is thrown away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Union

from nnlint.findings import Site
from nnlint.trace.machine import has_events
from nnlint.trace.story import (
    SKIPPING,
    Arms,
    Backward,
    Block,
    Escape,
    Event,
    GradUse,
    Loop,
    Scope,
    Step,
    Story,
    Zero,
    exits,
    once,
)
from nnlint.trace.training import held, overlap
from nnlint.trace.typestate import Known, Walk
from nnlint.trace.values import (
    Bound,
    Choice,
    DictVal,
    Facts,
    Instance,
    ListVal,
    Network,
    Optimizer,
    Partial,
    Service,
    TupleVal,
    Value,
)

CLEAN, FRESH, SPENT, PILED, WIPED, REDONE, SKIPPED, USED = "clean", "fresh", "spent", "piled", "wiped", "redone", "skipped", "used"


class Gradient(NamedTuple):
    """What `.grad` of an optimizer's parameters holds: nothing, a gradient of this step (fresh), one that a step has used (spent), both
    (piled), a fresh one that was wiped (in an earlier round: old), one that came after that (redone), one that a conditional step
    passed over (skipped), one that the program itself has read (used)."""

    phase: str
    backward: Union[Site, None] = None
    step: Union[Site, None] = None
    zero: Union[Site, None] = None
    wiped: Union[Site, None] = None
    old: bool = False


class Leak(NamedTuple):
    """Gradients that `step` used are still there when `backward` adds the next ones. `zero` is a zeroing that not all ways meet."""

    optimizer: Optimizer
    backward: Site
    step: Site
    zero: Union[Site, None]
    others: tuple[Optimizer, ...]


class Waste(NamedTuple):
    """Gradients of `backward` are zeroed before `step` could use them; `partial` where a step comes only every few rounds."""

    optimizer: Optimizer
    zero: Site
    backward: Site
    step: Site
    partial: bool


class Gradients:
    """The automaton of one optimizer."""

    def __init__(self, story: Story, optimizer: Optimizer) -> None:
        self.story = story
        self.optimizer = optimizer
        self.params = optimizer.params
        self.held = None if self.params.networks is None else held(self.params)
        self.leaks: dict[tuple[Site, Site], tuple[Site, Site]] = {}
        self.wastes: dict[Site, Waste] = {}
        self.counted_steps = all(_counted(story, way) for way in _ways(story.root, optimizer))
        self.rare_zeros = {id(event) for event in _rare_zeros(story, story.root)}
        self.own = _own_backwards(story, optimizer)
        self.cache: dict[int, bool] = {}

    def concerns(self, event: Event) -> bool:
        known = self.cache.get(id(event))
        if known is None:
            known = self.cache[id(event)] = self._concerns(event)
        return known

    def _concerns(self, event: Event) -> bool:
        if isinstance(event, Step):
            return event.optimizer is self.optimizer
        if isinstance(event, Backward):
            if event.born < self.optimizer.id:
                return False  # nobody meant it for an optimizer that did not exist
            return self.held is None or event.networks is None or any(id(network) in self.held for network in event.networks)
        if isinstance(event, (Zero, GradUse)):
            return overlap(event.params, self.params) or (isinstance(event, GradUse) and self._foreign(event))
        return isinstance(event, Escape) and any(_reaches(value, self.optimizer) for value in event.values)

    def _foreign(self, event: GradUse) -> bool:
        """Whether the gradient of something is read that no optimizer steps (an input): the `backward` before was for that."""
        return not event.written and not any(overlap(event.params, other.params) for other in optimizers(self.story))

    def on(self, event: Event, state: Gradient, known: Known) -> tuple[Gradient, Facts]:
        if isinstance(event, Backward):
            return self._backward(event, state), ()
        if isinstance(event, Step):
            return self._step(event, state), ()
        if isinstance(event, Zero):
            return self._zero(event, state), ()
        if isinstance(event, GradUse):
            if event.written:
                return Gradient(FRESH, event.site), ()
            if state.phase == PILED and self._foreign(event):
                return state._replace(old=True), ()
            return (Gradient(USED, state.backward) if state.phase in (FRESH, SKIPPED, WIPED, REDONE) else state), ()
        return Gradient(CLEAN), ()

    def _backward(self, event: Backward, state: Gradient) -> Gradient:
        if state.phase == SPENT:
            return Gradient(PILED, event.site, state.step)
        if state.phase == PILED:
            return state._replace(backward=event.site)
        if state.phase == WIPED and not state.old and state.zero is not None and state.backward in self.own:
            return Gradient(REDONE, event.site, None, state.zero, state.backward)
        return state if state.phase in (REDONE, SKIPPED) else Gradient(FRESH, event.site)

    def _step(self, event: Step, state: Gradient) -> Gradient:
        if state.phase == PILED and state.backward is not None and state.step is not None:
            self.leaks.setdefault((state.backward, event.site), (state.step, event.site))
        if state.phase == WIPED and state.zero is not None and state.backward is not None:
            self.wastes.setdefault(state.zero, Waste(self.optimizer, state.zero, state.backward, event.site, False))
        if state.phase == REDONE and state.zero is not None and state.wiped is not None:
            self.wastes.setdefault(state.zero, Waste(self.optimizer, state.zero, state.wiped, event.site, False))
        if state.phase == CLEAN:
            return state
        return Gradient(SPENT, None, event.site)

    def _zero(self, event: Zero, state: Gradient) -> Gradient:
        sure = event.sure and event.params.networks is not None
        if state.phase in (FRESH, PILED, REDONE) and sure:
            return Gradient(WIPED, state.backward, None, event.site, old=state.old)
        if state.phase == WIPED:
            return state
        if state.phase == SKIPPED and sure and id(event) not in self.rare_zeros and state.backward is not None and state.step is not None:
            self.wastes.setdefault(event.site, Waste(self.optimizer, event.site, state.backward, state.step, True))
        return Gradient(CLEAN)

    def passed(self, arms: Arms, taken: Block, state: Gradient) -> Gradient:
        """What a counting condition (`i % k == 0`) skips is made up for in another round."""
        keys = {key for facts, _ in arms.arms for key, _ in facts}
        if not keys & self.story.counters:
            return state
        here = self._holds(taken, Step), self._holds(taken, Zero), self._holds(taken, Backward)
        siblings = [arm for _, arm in arms.arms if arm is not taken]
        if state.phase == FRESH and not any(here):
            for arm in siblings:
                step = next((e for e in self.story.events(arm) if isinstance(e, Step) and e.optimizer is self.optimizer), None)
                if step is not None and not self._holds(arm, Backward):
                    return Gradient(SKIPPED, state.backward, step.site)
        if state.phase == SPENT and self.counted_steps and not any(here) and any(self._holds(arm, Zero) for arm in siblings):
            return Gradient(CLEAN)
        return state

    def left(self, loop: Loop, state: Gradient) -> Gradient:
        """An incomplete last window is dropped at the end of the loop: that is how accumulation ends."""
        if state.phase == SKIPPED:
            return Gradient(FRESH, state.backward, old=True)
        return state._replace(old=True) if state.phase in (FRESH, PILED, WIPED, REDONE) else state

    def again(self, loop: Loop, state: Gradient) -> Gradient:
        """What was wiped and redone in one round is no loss to the next; a batch that was skipped may be wiped there."""
        if state.phase == REDONE:
            return Gradient(FRESH, state.backward)
        return state._replace(old=True) if state.phase in (WIPED, FRESH, PILED) else state

    def _holds(self, block: Block, kind: type[Event]) -> bool:
        return any(isinstance(event, kind) and self.concerns(event) for event in self.story.events(block))


def _ways(block: Block, optimizer: Optimizer, way: tuple[Arms, ...] = ()) -> Iterator[tuple[Arms, ...]]:
    """For each step of the optimizer, the branches that it stands in, or behind an early exit of (inside the innermost loop)."""
    for item in block.items:
        if isinstance(item, Step) and item.optimizer is optimizer:
            yield way
        elif isinstance(item, Arms):
            for _, arm in item.arms:
                yield from _ways(arm, optimizer, (*way, item))
            if _skips(item):
                way = (*way, item)
        elif isinstance(item, Loop):
            yield from _ways(item.body, optimizer, ())
        elif isinstance(item, Scope):
            yield from _ways(item.body, optimizer, way)


def _skips(arms: Arms) -> bool:
    """Whether some arm passes over what comes behind the branch."""
    return any(exits(arm, SKIPPING) for _, arm in arms.arms)


def _rare_zeros(story: Story, block: Block, rare: bool = False, start: float = math.inf) -> Iterator[Zero]:
    """Zeroings that do not come in every round: under a condition that counts rounds, or where a batch is given up for what it is. `start`
    is the time when the loop around began."""
    for item in block.items:
        if isinstance(item, Zero) and rare:
            yield item
        elif isinstance(item, Arms):
            for facts, arm in item.arms:
                counted = any(key in story.counters for key, _ in facts)
                fresh = any(story.ages.get(key, 0) >= start and key not in story.firsts for key, _ in facts)
                given_up = fresh and not any(isinstance(event, Backward) for event in story.events(arm))
                yield from _rare_zeros(story, arm, rare or counted or given_up, start)
            rare = rare or (_skips(item) and _counted(story, (item,)))
        elif isinstance(item, Loop):
            yield from _rare_zeros(story, item.body, rare and item.once, start if item.once else item.start)
        elif isinstance(item, Scope):
            yield from _rare_zeros(story, item.body, rare, start)


def _own_backwards(story: Story, optimizer: Optimizer) -> set[Site]:
    """Backwards whose gradients no other stepping optimizer can use."""
    others = [held(other.params) for other in optimizers(story) if other is not optimizer]
    unknown = any(other.params.networks is None for other in optimizers(story) if other is not optimizer)
    own: set[Site] = set()
    for event in story.events():
        if isinstance(event, Backward) and event.networks is not None and not unknown:
            if not any(id(network) in other for other in others for network in event.networks):
                own.add(event.site)
    return own


def _counted(story: Story, way: tuple[Arms, ...]) -> bool:
    return any(key in story.counters for arms in way for facts, _ in arms.arms for key, _ in facts)


def _reaches(value: Value, optimizer: Optimizer, depth: int = 0) -> bool:
    """Whether code that gets the value could get hold of the optimizer."""
    if value is optimizer:
        return True
    if depth > 4:
        return False
    parts: list[Value] = []
    if isinstance(value, (Instance, Optimizer)):
        parts = list(value.attrs.values())
    elif isinstance(value, Network):
        parts = [part for part in value.attrs.values() if isinstance(part, (Optimizer, Instance, ListVal, TupleVal, DictVal))]
    elif isinstance(value, (ListVal, TupleVal)):
        parts = list(value.items)
    elif isinstance(value, DictVal):
        parts = list(value.entries.values())
    elif isinstance(value, Choice):
        parts = [part for _, part in value.alternatives]
    elif isinstance(value, Bound):
        parts = [value.receiver]
    elif isinstance(value, Partial):
        parts = [value.func, *value.args, *value.kwargs.values()]
    elif isinstance(value, Service):
        parts = list(value.args.values())
    return any(_reaches(part, optimizer, depth + 1) for part in parts)


def optimizers(story: Story) -> list[Optimizer]:
    """The optimizers that step, in the order of their first step."""
    found: dict[int, Optimizer] = {}
    for event in story.events():
        if isinstance(event, Step):
            found.setdefault(event.optimizer.id, event.optimizer)
    return list(found.values())


@once
def gradients(story: Story) -> tuple[list[Leak], list[Waste]]:
    """All leaks and all wasted gradients of a story."""
    leaks: list[Leak] = []
    wastes: list[Waste] = []
    stepping = optimizers(story)
    if not stepping or not has_events(story.root):
        return leaks, wastes
    zeros = [event for event in story.events() if isinstance(event, Zero)]
    for optimizer in stepping:
        automaton = Gradients(story, optimizer)
        Walk(story, automaton).run(Gradient(CLEAN))
        zero = next((event.site for event in zeros if automaton.concerns(event)), None)
        others = tuple(other for other in stepping if other is not optimizer)
        done: set[Site] = set()
        for backward, _ in automaton.leaks:
            if backward not in done:
                done.add(backward)
                leaks.append(
                    Leak(optimizer, backward, automaton.leaks[next(k for k in automaton.leaks if k[0] == backward)][0], zero, others)
                )
        wastes += automaton.wastes.values()
    return leaks, wastes
