"""Where networks are to be switched to another mode: places that are tried on the story before they are proposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Union

from nnlint.findings import Applicability, Site
from nnlint.fix.proposal import Change, Insert, Proposal, Way
from nnlint.trace import attributes
from nnlint.trace.modes import Evaluation, Training, all_evaluations, modes
from nnlint.trace.networks import parts
from nnlint.trace.roles import Roles
from nnlint.trace.story import Arms, Backward, Block, Event, Forward, Item, Loop, Mode, Scope, Step, Story
from nnlint.trace.supposition import supposing
from nnlint.trace.values import Network

_NUMBERS = "the reported numbers change: from now on they are those of the network in eval mode"
_RESULTS = "training takes another course: until now it went on in eval mode after the first evaluation"


class Switch(NamedTuple):
    """`network.train()` or `network.eval()` beside what happens at `site`: a call, or the outermost loop around it that may hold it."""

    site: Site
    forward: Site
    mode: bool
    after: bool
    change: Insert


def evaluated(story: Story, found: Evaluation) -> Union[Proposal, None]:
    """`eval()` before an evaluation, and `train()` before the next training where nothing else brings it back."""
    together = [one for one in all_evaluations(story) if one.place == found.place]
    apart = _training_sites(story)
    firsts: dict[int, Forward] = {}
    for one in together:
        firsts.setdefault(one.network.id, one.forward)
    each = {one.forward.site: one.forward for one in together}
    for forwards in (list(firsts.values()), list(each.values())):  # the calls of one network may stand in alternatives
        switches = [_switch(story, forward, False, apart) for forward in forwards]
        begin = [switch for switch in switches if switch is not None]
        broken = _broken(story, begin, together)
        if len(begin) < len(switches):
            return None
        if broken is not None:
            break
    else:
        return None
    if not broken:
        return Proposal(Applicability.UNSAFE, (Way("insert {}", _changes(begin)),), _NUMBERS)
    ways: list[Way] = []
    away = {site for one in together for site in (one.forward.site, *one.forward.calls)}
    back = [_switch(story, one.forward, True, away) for one in broken]
    end = [_switch(story, forward, True, apart, after=True) for forward in forwards]
    for more in (back, end):
        added = [switch for switch in more if switch is not None]
        if len(added) == len(more) and _broken(story, [*begin, *added], together) == []:
            ways.append(Way("insert {}", _changes([*begin, *added])))
    return Proposal(Applicability.UNSAFE, tuple(ways), _NUMBERS) if ways else None


def trained(story: Story, found: Training) -> Union[Proposal, None]:
    """`train()` before the training that goes on in eval mode."""
    together = [one for one in modes(story)[1] if one.switch == found.switch]
    away = [event for event in story.events() if isinstance(event, Mode) and event.site == found.switch]
    apart = {site for event in away for site in (event.site, *event.calls)}
    switches = [_switch(story, forward, True, apart) for forward in {one.forward.site: one.forward for one in together}.values()]
    added = [switch for switch in switches if switch is not None]
    if len(added) < len(switches):
        return None
    evaluations, trainings = modes(story)
    with supposing(story, _Beside(added)):
        still, more = modes(story)
    if {one.forward for one in still} - {one.forward for one in evaluations}:
        return None
    if {(one.forward, one.switch) for one in more} - {(one.forward, one.switch) for one in trainings if one.switch != found.switch}:
        return None
    return Proposal(Applicability.UNSAFE, (Way("insert {}", _changes(added)),), _RESULTS)


def _broken(story: Story, switches: Sequence[Switch], wanted: Sequence[Evaluation]) -> Union[list[Training], None]:
    """The trainings that would go on in eval mode if a program switched so; None where the evaluations would not be mended, or others
    be wrong."""
    evaluations, trainings = all_evaluations(story), modes(story)[1]
    with supposing(story, _Beside(switches)):
        still, more = all_evaluations(story), modes(story)[1]
    left = {one.forward for one in still}
    if any(one.forward in left for one in wanted) or left - {one.forward for one in evaluations}:
        return None
    known = {(one.forward, one.switch) for one in trainings}
    return [one for one in more if (one.forward, one.switch) not in known]


class _Beside:
    """The switches as events beside the items of a story."""

    def __init__(self, switches: Sequence[Switch]) -> None:
        self.switches = switches

    def __call__(self, item: Item) -> tuple[Sequence[Event], Sequence[Event]]:
        before: list[Event] = []
        behind: list[Event] = []
        for switch in self.switches:
            if isinstance(item, (Loop, Event)) and item.site == switch.site:
                forward = next((event for event in _events(item) if isinstance(event, Forward) and event.site == switch.forward), None)
                if forward is not None:
                    event = Mode(switch.change.site, forward.network, switch.mode)
                    event.calls = item.calls
                    (behind if switch.after else before).append(event)
        return before, behind


def _events(item: Item) -> Iterator[Event]:
    if isinstance(item, Event):
        yield item
    else:
        blocks = [item.body] if isinstance(item, (Loop, Scope)) else [arm for _, arm in item.arms]
        for block in blocks:
            for inner in block.items:
                yield from _events(inner)


def _switch(story: Story, forward: Forward, mode: bool, apart: set[Site], after: bool = False) -> Union[Switch, None]:
    """A switch beside a forward, outside of the loops around it that hold none of the sites `apart`."""
    network = forward.network
    if not isinstance(network, Network) or _own_modes(network) or (mode and _by_parts(story, network)):
        return None
    owner = story.spelled.get((forward.site, network.id))
    if owner is None:
        return None
    site = forward.site  # as `Tree.lift` does with the text
    for loop in forward.loop.around() if forward.loop is not None else ():
        if loop.calls != forward.calls or any(event.site in apart for event in _events(loop)):
            break
        site = loop.site
    if not mode and _trains_at(story, site):
        return None  # the same lines train and evaluate
    change = Insert(forward.site, owner, "train" if mode else "eval", after, lifted=True, apart=tuple(sorted(apart)))
    return Switch(site, forward.site, mode, after, change)


def _trains_at(story: Story, site: Site) -> bool:
    """Whether a network is trained in what happens at a site, this time or another."""
    trained = Roles(story).trained
    return any(event in trained for item in _items(story.root) if item.site == site for event in _events(item))


def _items(block: Block) -> Iterator[Union[Loop, Forward]]:
    """All loops and forwards of a block, and those in them."""
    for item in block.items:
        if isinstance(item, (Loop, Forward)):
            yield item
        if isinstance(item, Arms):
            for _, arm in item.arms:
                yield from _items(arm)
        elif isinstance(item, (Loop, Scope)):
            yield from _items(item.body)


def _own_modes(network: Network) -> bool:
    """Whether the project has its own idea of the mode of a network."""
    return network.cls is not None and any(attributes.method(network.cls, name) is not None for name in ("train", "eval"))


def _by_parts(story: Story, network: Network) -> bool:
    """Whether a part of a network is switched on its own: `train()` on the whole would undo that."""
    inside = parts(network)
    return any(isinstance(event, Mode) and event.network is not network and id(event.network) in inside for event in story.events())


def _training_sites(story: Story) -> set[Site]:
    """Where something is trained, and the calls that lead there."""
    trained = Roles(story).trained
    events = [event for event in story.events() if isinstance(event, (Step, Backward)) or event in trained]
    return {site for event in events for site in (event.site, *event.calls)}


def _changes(switches: Sequence[Switch]) -> tuple[Change, ...]:
    return tuple(dict.fromkeys(switch.change for switch in switches))
