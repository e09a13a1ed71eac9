"""Training and evaluation mode of each layer that cares, along all ways through a story."""

from __future__ import annotations

from typing import NamedTuple, Union

from nnlint.findings import Site
from nnlint.trace.networks import parts, sensitive, steady
from nnlint.trace.roles import EVALUATES, TRAINS, Roles
from nnlint.trace.story import Arms, Block, Copied, Escape, Event, Forward, Loop, Mode, ModeRead, Story, once
from nnlint.trace.typestate import Known, Walk
from nnlint.trace.values import Facts, Network, Unknown, Value

TRAIN, EVAL, UNKNOWN = "train", "eval", "unknown"
USED, EVALUATED, CHOSEN = "used", "evaluated", "chosen"


class Switched(NamedTuple):
    """The mode of a layer, the switch that set it, and what came since: it was trained (`USED`), an evaluation ran (`EVALUATED`), or it
    was trained in eval mode without one, which is a choice (`CHOSEN`). `trained` is for ever. `calls` lead to the switch, `back` says
    that it ends an evaluation that began in the same function, `told` that the caller has asked for it."""

    mode: str
    site: Union[Site, None] = None
    since: str = ""
    trained: bool = False
    calls: tuple[Site, ...] = ()
    back: bool = False
    told: bool = False

    def meant(self, forward: Forward) -> bool:
        """Whether `train()` was called for this very forward, and not at the end of something that is over."""
        over = self.back and forward.calls[: len(self.calls)] != self.calls
        return self.site is not None and self.since != USED and not over


class Evaluation(NamedTuple):
    """An evaluation that may run in train mode; `layer` is one that cares; `switch` is a `train()` that put it there."""

    network: Network
    forward: Forward
    layer: Network
    switch: Union[Site, None]

    @property
    def place(self) -> object:
        """The loop or function that evaluates: one cause, however many networks it asks."""
        return self.forward.calls, self.forward.loop.site if self.forward.loop is not None else None


class Training(NamedTuple):
    """A training forward that may run in eval mode after an evaluation."""

    network: Network
    forward: Forward
    layer: Network
    switch: Site


class Modes:
    """The automaton of one layer, and of all others that the same events reach."""

    def __init__(self, layer: Network, reach: Reach, roles: Roles) -> None:
        self.layer = layer
        self.reach = reach
        self.roles = roles
        self.studies = any(forward in roles.trained for forward in reach.forwards if reach.covers(forward.network, layer))
        self.evaluations: dict[Forward, Switched] = {}
        self.trainings: dict[Forward, Site] = {}
        self.copies: dict[Copied, set[Switched]] = {}
        self.born: dict[Copied, set[Switched]] = {}

    def concerns(self, event: Event) -> bool:
        if isinstance(event, Forward):
            return self._covers(event.network)
        if isinstance(event, (Mode, ModeRead)):
            return self._covers(event.network) or isinstance(event.network, Unknown)
        if isinstance(event, Copied):
            return self._covers(event.made) or self._covers(event.source)
        return isinstance(event, Escape) and any(self._covers(value) for value in event.values)

    def _covers(self, value: Value) -> bool:
        return self.reach.covers(value, self.layer)

    def on(self, event: Event, state: Switched, known: Known) -> tuple[Switched, Facts]:
        if isinstance(event, Forward):
            return self._forward(event, state), ()
        if isinstance(event, Mode):
            return self._switch(event, state, known), ()
        if isinstance(event, ModeRead):
            # Code that remembers an unknown mode restores it: the usual one is taken.
            return state, ((event.key, state.mode != EVAL),) if self._covers(event.network) else ()
        if isinstance(event, Copied):
            if self._covers(event.source):
                self.copies.setdefault(event, set()).add(state)
                return state, ()
            born = self.born.get(event, set())
            return next(iter(born)) if len(born) == 1 else Switched(UNKNOWN), ()
        return _lost(state), ()

    def _switch(self, event: Mode, state: Switched, known: Known) -> Switched:
        if not self._covers(event.network):
            return _lost(state)
        mode, restored = event.mode, False
        if mode is None:
            mode, restored = known.get(event.key), True
        if mode is None:
            return _lost(state)
        if mode:
            back = state.mode == EVAL and state.since == EVALUATED and state.calls == event.calls
            return Switched(TRAIN, event.site, USED if restored and state.trained else "", state.trained, event.calls, back, event.chosen)
        if state.mode == EVAL and (restored or state.since == CHOSEN):
            return state
        return Switched(EVAL, event.site, "", state.trained, event.calls)

    def _forward(self, event: Forward, state: Switched) -> Switched:
        role = self.roles.of(event, self.studies)
        if role == TRAINS:
            if state.mode != EVAL:
                return state._replace(since=USED, trained=True)
            if state.since != EVALUATED:
                return state._replace(since=CHOSEN, trained=True)
            if state.site is not None and self.roles.steps_on(event.network, self.layer):
                self.trainings[event] = min(self.trainings.get(event, state.site), state.site)
            return state._replace(trained=True)
        if role == EVALUATES and state.mode == TRAIN and (state.trained or _loaded(event.network)):
            # `train()` right before an evaluation is a decision (dropout as noise), unless its result is a score.
            if not state.meant(event) or (event.scored and not event.moded and not state.told):
                known = self.evaluations.get(event)
                # Ways come in any order.
                if known is None or (state.site is not None and (known.site is None or state.site < known.site)):
                    self.evaluations[event] = state
        if state.mode == EVAL and state.since != CHOSEN and (role == EVALUATES or not event.grad or self.roles.scores(event)):
            return state._replace(since=EVALUATED)
        return state

    def passed(self, arms: Arms, taken: Block, state: Switched) -> Switched:
        return state

    def again(self, loop: Loop, state: Switched) -> Switched:
        """What is built in a loop is new in each round."""
        built = self.layer.loop
        return fresh(self.layer) if built is not None and any(around is loop for around in built.around()) else state

    def left(self, loop: Loop, state: Switched) -> Switched:
        return state


def _lost(state: Switched) -> Switched:
    """The mode is not known any more."""
    return Switched(UNKNOWN, trained=state.trained)


def fresh(layer: Network) -> Switched:
    """As it is built; what a copy is like is told where it is made."""
    if layer.origin is not None:
        return Switched(UNKNOWN)
    return Switched(layer.factory.mode if layer.factory is not None else TRAIN)


def _loaded(network: Value) -> bool:
    return isinstance(network, Network) and network.loaded


class Reach:
    """Which layers the events of a story reach."""

    def __init__(self, story: Story) -> None:
        self.inside: dict[int, frozenset[int]] = {}
        self.kept: list[Value] = []
        self.forwards: list[Forward] = []
        self.layers: dict[int, Network] = {}
        self.switches = False
        for event in story.events():
            if isinstance(event, Forward):
                self.forwards.append(event)
                self._see(event.network)
            elif isinstance(event, (Mode, ModeRead)):
                self._see(event.network)
                self.switches = self.switches or isinstance(event, Mode)
            elif isinstance(event, Copied):
                self._see(event.made)
                self._see(event.source)
            elif isinstance(event, Escape):
                for value in event.values:
                    self._see(value)
        for forward in self.forwards:
            for part in parts(forward.network).values():
                if isinstance(part, Network) and sensitive(part):
                    self.layers.setdefault(id(part), part)

    def _see(self, value: Value) -> None:
        if id(value) not in self.inside:
            self.kept.append(value)
            self.inside[id(value)] = frozenset(parts(value))

    def covers(self, value: Value, layer: Network) -> bool:
        return id(layer) in self.inside[id(value)]

    def groups(self) -> list[list[Network]]:
        """Layers that all events treat alike, with the same start; what is copied comes before its copies."""
        alike: dict[object, list[Network]] = {}
        for ident, layer in sorted(self.layers.items(), key=lambda pair: pair[1].id):
            seen = frozenset(value for value, inside in self.inside.items() if ident in inside)
            alike.setdefault((seen, fresh(layer), id(layer.loop), steady(layer)), []).append(layer)
        return list(alike.values())


def modes(story: Story) -> tuple[list[Evaluation], list[Training]]:
    """Evaluations in train mode, one a place, and trainings in eval mode, of networks that were trained before or loaded."""
    evaluations, trainings = _all(story)
    return list({one.place: one for one in reversed(evaluations)}.values())[::-1], trainings


def all_evaluations(story: Story) -> list[Evaluation]:
    """All evaluations in train mode, in the order of the story."""
    return _all(story)[0]


def _tells_more(layer: Network, known: Union[Evaluation, Training, None]) -> bool:
    """A layer of a library says more about what the mode does than a class that asks for its own mode."""
    return known is None or (layer.cls is None and known.layer.cls is not None)


@once
def _all(story: Story) -> tuple[list[Evaluation], list[Training]]:
    reach = Reach(story)
    evaluations: dict[Forward, Evaluation] = {}
    trainings: dict[tuple[Forward, Site], Training] = {}
    if not reach.layers:
        return [], []
    roles = Roles(story)
    copies: dict[int, dict[Copied, set[Switched]]] = {}
    for group in reach.groups():
        layer = group[0]
        automaton = Modes(layer, reach, roles)
        automaton.born = copies.get(id(layer.origin), {})
        Walk(story, automaton).run(fresh(layer))
        left = {event: {Switched(state.mode, trained=state.trained) for state in states} for event, states in automaton.copies.items()}
        copies.update((id(one), left) for one in group)
        shown = next((one for one in group if one.cls is None), layer)
        for forward, state in automaton.evaluations.items():
            if isinstance(forward.network, Network) and not steady(layer) and _tells_more(shown, evaluations.get(forward)):
                evaluations[forward] = Evaluation(forward.network, forward, shown, state.site)
        for forward, site in automaton.trainings.items():
            if isinstance(forward.network, Network) and _tells_more(shown, trainings.get((forward, site))):
                trainings[forward, site] = Training(forward.network, forward, shown, site)
    order = {forward: index for index, forward in enumerate(reach.forwards)}
    return sorted(evaluations.values(), key=lambda one: order[one.forward]), list(trainings.values())
