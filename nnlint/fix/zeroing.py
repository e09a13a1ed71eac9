"""Where gradients are to be zeroed: places that are tried on the story before they are proposed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Union

from nnlint.findings import Applicability, Site
from nnlint.fix.proposal import Change, Insert, Move, Proposal, Way
from nnlint.trace.steps import Gradients, Leak, Waste, gradients
from nnlint.trace.steps import optimizers as all_optimizers
from nnlint.trace.story import Arms, Backward, Block, Event, GradUse, Item, Step, Story, Zero
from nnlint.trace.supposition import supposing
from nnlint.trace.training import overlap
from nnlint.trace.values import Optimizer

_ROUNDS = 4
_SHARED = "there is more than one step, or it stands in another function, which others may call"
_SKIPPED = "where the condition of the step does not hold, gradients are thrown away that may have been meant to pile up"
_ELSEWHERE = "gradients are zeroed elsewhere already, and it may be that place which is wrong"

Mistakes = set[tuple[int, Site, str]]


def zeroed(story: Story, leak: Leak) -> Union[Proposal, None]:
    """What stops all leaks into one `backward`: zeroing right before it, or right after the steps."""
    backward = leak.backward
    leaks = [other for other in gradients(story)[0] if other.backward == backward]
    optimizers = list({other.optimizer.id: other.optimizer for other in leaks}.values())
    steps = {optimizer.id: _steps(story, optimizer) for optimizer in optimizers}
    before, behind = _before(story, backward, optimizers, steps), _behind(story, backward, optimizers)
    # Accelerate lets a zeroing through only where it lets the step through, which is then too early before the last `backward`.
    gated = ".accumulate" in story.called.values()
    found = tuple(Way("insert {}", way) for way in ((behind,) if gated else (before, behind)) if way)
    if not found:
        return None
    every = [step for each in steps.values() for step in each]
    if any(other.zero is not None for other in leaks):
        return Proposal(Applicability.UNSAFE, found, _ELSEWHERE)
    if any(len({step.site for step in each}) > 1 for each in steps.values()) or not _together(story, backward, every):
        return Proposal(Applicability.UNSAFE, found, _SHARED)
    if before is not None and not gated and not _conditions(story, every) <= _conditions(story, _backwards(story, backward)):
        return Proposal(Applicability.UNSAFE, found, _SKIPPED)
    return Proposal(Applicability.SAFE, found)


def _before(
    story: Story, backward: Site, optimizers: Sequence[Optimizer], steps: dict[int, list[Step]]
) -> Union[tuple[Change, ...], None]:
    """Zeroing right before `backward`."""
    changes: list[Change] = []
    for optimizer in optimizers:
        owner = story.spelled.get((steps[optimizer.id][0].site, optimizer.id))
        if owner is None:
            return None
        # Where the text has a condition and the story has not, it is decided today and need not be tomorrow.
        level = _conditions(story, steps[optimizer.id]) <= _conditions(story, _backwards(story, backward))
        changes.append(Insert(backward, owner, "zero_grad", level=level))
    zeros = [Zero(backward, optimizer.params) for optimizer in optimizers]

    def beside(item: Item) -> tuple[Sequence[Event], Sequence[Event]]:
        return (zeros, ()) if isinstance(item, Backward) and item.site == backward else ((), ())

    before = _mistakes(story)
    with supposing(story, beside):
        return tuple(changes) if _better(before, _mistakes(story), backward) else None


def _behind(story: Story, backward: Site, optimizers: Sequence[Optimizer]) -> Union[tuple[Change, ...], None]:
    """Zeroing right after the steps whose gradients leak; not where the program looks at gradients, which it may do after the step."""
    if len(all_optimizers(story)) > 1 and not all(_alone(story, backward, optimizer) for optimizer in optimizers):
        return None
    if any(isinstance(event, GradUse) and any(overlap(event.params, one.params) for one in optimizers) for event in story.events()):
        return None
    ids = {optimizer.id for optimizer in optimizers}
    wanted: dict[Site, Optimizer] = {}

    def beside(item: Item) -> tuple[Sequence[Event], Sequence[Event]]:
        mine = isinstance(item, Step) and item.optimizer.id in ids and item.site in wanted
        return ((), [Zero(item.site, item.optimizer.params)]) if isinstance(item, Step) and mine else ((), ())

    before = _mistakes(story)
    leaks = [leak for leak in gradients(story)[0] if leak.backward == backward]
    for _ in range(_ROUNDS):
        wanted.update((leak.step, leak.optimizer) for leak in leaks)
        with supposing(story, beside):
            leaks = [leak for leak in gradients(story)[0] if leak.backward == backward]
            better = _better(before, _mistakes(story), backward)
        if better or any(leak.step in wanted for leak in leaks):
            break
    owners = [(site, story.spelled.get((site, optimizer.id))) for site, optimizer in wanted.items()]
    if not better or any(owner is None for _, owner in owners):
        return None
    return tuple(Insert(site, owner, "zero_grad", after=True) for site, owner in owners if owner is not None)


def moved(story: Story, waste: Waste) -> Union[Proposal, None]:
    """The zeroing that wastes gradients at another place: before the `backward`, or after the step."""
    zeros = [event for event in story.events() if isinstance(event, Zero) and event.site == waste.zero]
    if waste.partial and not _alone(story, waste.backward, waste.optimizer):
        return None  # what another loss leaves in these gradients would pile up, too
    before = _mistakes(story)
    ways: list[Way] = []
    for after in (False, True) if not waste.partial else (True,):
        beside = waste.step if after else waste.backward

        def put(item: Item, after: bool = after, beside: Site = beside) -> tuple[Sequence[Event], Sequence[Event]]:
            if not isinstance(item, (Step, Backward)) or item.site != beside:
                return (), ()
            return ((), zeros[:1]) if after else (zeros[:1], ())

        with supposing(story, put, without=zeros.__contains__):
            now = _mistakes(story)
        if now < before:
            place = "behind the step" if after else "in front of `backward`"
            ways.append(Way(f"move {{}} {place}", (Move(waste.zero, beside, after),)))
    return Proposal(Applicability.SAFE, tuple(ways)) if ways else None


def _mistakes(story: Story) -> Mistakes:
    leaks, wastes = gradients(story)
    return {*map(_key, leaks), *map(_key, wastes)}


def _key(one: Union[Leak, Waste]) -> tuple[int, Site, str]:
    return one.optimizer.id, one.backward if isinstance(one, Leak) else one.zero, type(one).__name__


def _better(before: Mistakes, now: Mistakes, backward: Site) -> bool:
    """Whether nothing leaks into a `backward` any more and nothing new is wrong."""
    return now <= before and not any(site == backward and kind == "Leak" for _, site, kind in now)


def _alone(story: Story, backward: Site, optimizer: Optimizer) -> bool:
    """Whether no other `backward` leaves gradients for an optimizer."""
    automaton = Gradients(story, optimizer)
    return all(event.site == backward or not automaton.concerns(event) for event in story.events() if isinstance(event, Backward))


def _conditions(story: Story, events: Collection[Event]) -> set[Site]:
    """The branches that events stand in."""
    wanted = set(map(id, events))
    found: set[Site] = set()

    def look(block: Block, around: tuple[Site, ...]) -> None:
        for item in block.items:
            if isinstance(item, Arms):
                for _, arm in item.arms:
                    look(arm, (*around, item.site))
            elif not isinstance(item, Event):
                look(item.body, around)
            elif id(item) in wanted:
                found.update(around)

    look(story.root, ())
    return found


def _backwards(story: Story, site: Site) -> list[Backward]:
    return [event for event in story.events() if isinstance(event, Backward) and event.site == site]


def _steps(story: Story, optimizer: Optimizer) -> list[Step]:
    return [event for event in story.events() if isinstance(event, Step) and event.optimizer is optimizer]


def _together(story: Story, backward: Site, steps: Collection[Step]) -> bool:
    """Whether each step stands in the same function as the `backward`, or is given it as a closure."""
    calls = {event.calls for event in _backwards(story, backward)}
    return all(any(call[: len(step.calls)] == step.calls for call in calls) for step in steps)

