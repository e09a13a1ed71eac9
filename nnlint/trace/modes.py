"""Training and evaluation mode of one network along all ways through a story."""

from __future__ import annotations

from typing import NamedTuple, Union

from nnlint.findings import Site
from nnlint.trace.networks import cares_about_mode, parts
from nnlint.trace.story import Arms, Backward, Block, Escape, Event, Forward, Loop, Mode, ModeRead, Step, Story
from nnlint.trace.training import held
from nnlint.trace.typestate import Walk
from nnlint.trace.values import Facts, Network, Unknown, Value

TRAIN, EVAL, UNKNOWN = "train", "eval", "unknown"


class Switched(NamedTuple):
    """The mode, the switch that set it, and whether an evaluation ran since."""

    mode: str
    site: Union[Site, None] = None
    evaluated: bool = False


class Evaluation(NamedTuple):
    """An evaluation that may run in train mode; `layer` is one that cares; `switch` is a `train()` that put it there."""

    network: Network
    forward: Forward
    layer: Network
    switch: Union[Site, None]


class Training(NamedTuple):
    """A training forward that may run in eval mode after an evaluation."""

    network: Network
    forward: Forward
    layer: Network
    switch: Site


class Modes:
    """The automaton of one network."""

    def __init__(self, story: Story, network: Network, roles: Roles) -> None:
        self.story = story
        self.network = network
        self.inside = frozenset(parts(network))
        self.roles = roles
        self.evaluations: dict[Forward, Switched] = {}
        self.trainings: dict[Forward, Site] = {}

    def concerns(self, event: Event) -> bool:
        if isinstance(event, Forward):
            return event.network is self.network
        if isinstance(event, (Mode, ModeRead)):
            return self._covers(event.network) or isinstance(event.network, Unknown)
        return isinstance(event, Escape) and any(self._covers(value) for value in event.values)

    def _covers(self, value: Value) -> bool:
        return value is self.network or id(self.network) in parts(value)

    def on(self, event: Event, state: Switched, facts: Facts) -> tuple[Switched, Facts]:
        if isinstance(event, Forward):
            return self._forward(event, state), ()
        if isinstance(event, Mode):
            if not self._covers(event.network):
                return Switched(UNKNOWN), ()
            mode = event.mode
            if mode is None:
                known = dict(facts).get(event.key)
                if known is None:
                    return Switched(UNKNOWN), ()
                mode = known
            return Switched(TRAIN if mode else EVAL, event.site), ()
        if isinstance(event, ModeRead):
            if state.mode == UNKNOWN or not self._covers(event.network):
                return state, ()
            return state, ((event.key, state.mode == TRAIN),)
        return Switched(UNKNOWN), ()

    def _forward(self, event: Forward, state: Switched) -> Switched:
        role = self.roles.of(event)
        if role == TRAIN:
            if state.mode == EVAL and state.evaluated and state.site is not None:
                self.trainings.setdefault(event, state.site)
            return state
        if role == EVAL and state.mode == TRAIN:
            self.evaluations.setdefault(event, state)
        return state._replace(evaluated=True)

    def passed(self, arms: Arms, taken: Block, state: Switched) -> Switched:
        return state

    def again(self, loop: Loop, state: Switched) -> Switched:
        return state

    def left(self, loop: Loop, state: Switched) -> Switched:
        return state


class Roles:
    """Which network calls train, which evaluate, and which are neither (targets, samples, what cannot be told)."""

    def __init__(self, story: Story) -> None:
        steps = [event for event in story.events() if isinstance(event, Step)]
        self.backwards = [event for event in story.events() if isinstance(event, Backward) and any(_near(event.loop, step.loop) for step in steps)]
        self.trained = frozenset(forward for event in self.backwards for forward in event.forwards)
        self.seen = frozenset(forward for event in self.backwards for forward in event.seen)
        self.loops: set[int] = set()
        for event in self.backwards:
            loop = event.loop
            while loop is not None:
                self.loops.add(id(loop))
                loop = loop.parent
        self.data = frozenset(part for forward in self.trained for part in forward.data) - {"synthetic"}

    def of(self, forward: Forward) -> str:
        if forward in self.trained:
            return TRAIN
        if forward in self.seen or (forward.synthetic and not forward.judged) or not forward.data:
            return UNKNOWN
        if forward.loop is None or id(forward.loop) not in self.loops:
            return EVAL
        apart = not (forward.data & self.data)
        return EVAL if apart and (not forward.grad or forward.judged) else UNKNOWN


def _chain(loop: Union[Loop, None]) -> list[Loop]:
    out: list[Loop] = []
    while loop is not None:
        out.append(loop)
        loop = loop.parent
    return out


def _near(left: Union[Loop, None], right: Union[Loop, None]) -> bool:
    """Whether two events share a loop, or one of them stands in none: a backward far from any step trains nothing."""
    return left is None or right is None or bool({id(loop) for loop in _chain(left)} & {id(loop) for loop in _chain(right)})


def modes(story: Story) -> tuple[list[Evaluation], list[Training]]:
    """Evaluations in train mode and trainings in eval mode, for the networks that care and that were trained or loaded."""
    forwards = [event for event in story.events() if isinstance(event, Forward)]
    roles = Roles(story)
    evaluations: list[Evaluation] = []
    trainings: list[Training] = []
    networks: dict[int, Network] = {}
    done: set[int] = set()
    for forward in forwards:
        if isinstance(forward.network, Network):
            networks.setdefault(id(forward.network), forward.network)
    stepped = [event.optimizer.params for event in story.events() if isinstance(event, Step)]
    for network in networks.values():
        layer = cares_about_mode(network)
        if layer is None or not (network.loaded or _trained(network, roles, stepped)):
            continue
        automaton = Modes(story, network, roles)
        start = network.factory.mode if network.factory is not None else TRAIN
        Walk(story, automaton).run(Switched(start))
        for forward, state in automaton.evaluations.items():
            place = id(forward.loop) if forward.loop is not None else hash(forward.calls)
            if place not in done:
                done.add(place)
                evaluations.append(Evaluation(network, forward, layer, state.site))
        trainings += [Training(network, forward, layer, site) for forward, site in automaton.trainings.items()]
    return evaluations, trainings


def _trained(network: Network, roles: Roles, stepped: list[object]) -> bool:
    inside = parts(network).keys()
    for event in roles.backwards:
        if event.networks is not None and any(id(part) in inside for part in event.networks):
            return True
        if any(forward.network is network for forward in event.forwards):
            return True
    unknown = any(event.networks is None for event in roles.backwards)
    return unknown and any(held(params) & inside for params in stepped)  # type: ignore[arg-type]
