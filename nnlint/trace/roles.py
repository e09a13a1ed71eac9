"""Which network calls train, which evaluate, and which are neither or cannot be told."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Union

from nnlint.trace import tensors
from nnlint.trace.networks import parts
from nnlint.trace.story import Backward, Forward, Loop, Step, Story
from nnlint.trace.training import held
from nnlint.trace.values import Network, Value

TRAINS, EVALUATES, NEITHER = "trains", "evaluates", "neither"


class Roles:
    """The roles of the network calls of one story."""

    def __init__(self, story: Story) -> None:
        steps = [event for event in story.events() if isinstance(event, Step)]
        backwards = [event for event in story.events() if isinstance(event, Backward)]
        near = [event for event in backwards if any(_near(event.loop, step.loop) for step in steps)]
        self.reached = frozenset(forward for event in backwards for forward in event.forwards)
        self.seen = frozenset(forward for event in backwards for forward in event.seen) - self.reached
        self.stepped = [event.optimizer.params for event in steps]
        self.everything = any(params.networks is None for params in self.stepped)
        self.held = frozenset(part for params in self.stepped for part in held(params))
        self.trained = frozenset(forward for event in near for forward in event.forwards if self._optimized(forward))
        # What is behind a backward whose loss was not followed cannot be told from an evaluation.
        self.blind = [event.loop for event in backwards if event.networks is None and not event.forwards]
        self.loops = {key for event in backwards for key in _keys(event.loop)}
        self.data: dict[Hashable, list[Forward]] = {}
        for forward in self.trained:
            for key in _keys(forward.loop):
                self.data.setdefault(key, []).append(forward)

    def of(self, forward: Forward, studies: bool) -> str:
        """`studies` says that the network is trained anywhere: if not, and loaded, it is there to be asked."""
        if forward in self.trained:
            return TRAINS
        if forward in self.reached or forward in self.seen:
            return EVALUATES if not studies and _teaches(forward.network) else NEITHER
        if forward.dropped or (forward.synthetic and not forward.judged):
            return NEITHER
        if forward.grad and any(_near(loop, forward.loop) for loop in self.blind):
            return NEITHER
        if forward.grad and not forward.judged and not forward.data:
            return NEITHER
        if forward.loop is None or forward.loop.key not in self.loops:
            return EVALUATES
        return EVALUATES if self._apart(forward) and (forward.judged or not forward.grad) else NEITHER

    def scores(self, forward: Forward) -> bool:
        """Whether an output is only held against the truth: an evaluation where the mode says so, whatever the data."""
        return forward.scored and forward not in self.reached and forward not in self.seen

    def _apart(self, forward: Forward) -> bool:
        """In a loop that also trains: whether the data are others than those that are trained on."""
        known = self.data.get(forward.loop.key, []) if forward.loop is not None else []
        return bool(forward.data) and all(other.data and not other.data & forward.data for other in known)

    def _optimized(self, forward: Forward) -> bool:
        return self.everything or bool(parts(forward.network).keys() & self.held)

    def steps_on(self, network: Value, layer: Network) -> bool:
        """Whether an optimizer moves the part of the network in which the layer works."""
        if self.everything:
            return True
        for owner in [layer, *reversed(_way(network, layer))]:
            inside = parts(owner)
            if any(isinstance(part, Network) and trainable(part) for part in inside.values()):
                return bool(inside.keys() & self.held)
        return True


def trainable(net: Network) -> bool:
    return net.factory is not None or (net.layer is not None and net.layer.op.kind in tensors.TRAINABLE)


def _teaches(network: Value) -> bool:
    return isinstance(network, Network) and network.loaded and not network.averaged


def _way(network: Value, layer: Network) -> list[Network]:
    """The networks around a layer, outermost first."""
    if not isinstance(network, Network) or network is layer:
        return []
    for part in _held_by(network):
        if part is layer:
            return [network]
        if id(layer) in parts(part):
            return [network, *_way(part, layer)]
    return [network]


def _held_by(network: Network) -> Iterator[Network]:
    for value in [*(part for _, part in network.items or []), *network.attrs.values(), *network.args.values()]:
        if isinstance(value, Network):
            yield value
        elif not isinstance(value, (str, bool)):
            yield from (part for part in parts(value).values() if isinstance(part, Network) and part is not network)


def _keys(loop: Union[Loop, None]) -> set[Hashable]:
    return {outer.key for outer in loop.around()} if loop is not None else set()


def _near(left: Union[Loop, None], right: Union[Loop, None]) -> bool:
    """Whether two events share a loop, or one of them stands in none: a backward far from any step trains nothing."""
    return left is None or right is None or bool(_keys(left) & _keys(right))
