"""What reaches each loss: the producers of its input, and how to tell the way from there to the loss."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Union

from nnlint.findings import Confidence, Remark, Site
from nnlint.knowledge.schema import Kind, Loss, Wants
from nnlint.trace.producers import Producer, classes, producers
from nnlint.trace.story import Arms, Backward, Block, Loop, LossCall, Scope, Story
from nnlint.trace.values import Network, Tensor, tensors_of


class LossInput:
    """One loss call whose input was followed to its producers: all of them, or all those in one network of several that may be the one.

    `rival` says that a setting decides between this loss and another one that wants something else.
    """

    __slots__ = ("call", "loss", "producers", "rival")

    def __init__(self, call: LossCall, found: list[Producer], rival: bool = False) -> None:
        self.call = call
        self.loss: Loss = call.loss
        self.producers = found
        self.rival = rival

    def confidence(self, wrong: Collection[Producer]) -> Confidence:
        """Certain where no way leads to this loss but the wrong ones, and the loss is the only one."""
        whole = {id(producer) for producer in wrong} == {id(producer) for producer in self.producers}
        return Confidence.CERTAIN if whole and not self.rival else Confidence.SUSPECTED

    @property
    def title(self) -> str:
        """The loss as the user knows it: `CrossEntropyLoss` or `cross_entropy`."""
        source = self.call.source
        return source.name.rpartition(".")[2] if source is not None else self.loss.name

    def of_kind(self, kind: Kind) -> list[Producer]:
        return [producer for producer in self.producers if producer.kind is kind]

    def cause(self, producer: Producer) -> Site:
        """Where the producer was applied."""
        return producer.tensor.site

    def subject(self, producer: Producer) -> str:
        """The network whose output it is, in the user's words, with the verb."""
        for tensor in producer.path:
            net = _returning(tensor)
            name = net.label or (net.cls.name if net.cls is not None else "") if net is not None else ""
            if net is not None and name and (net.cls is not None or net.items is not None or net.factory is not None):
                return f"`{name}` ends in"
        return "its input went through"

    def classes(self, producer: Producer) -> Union[int, None]:
        return classes(producer.tensor)

    def trace(self, producer: Producer, first: str) -> tuple[Remark, ...]:
        """From the producer to the loss."""
        steps = [Remark(producer.tensor.site, first)]
        for tensor in reversed(producer.path):
            if tensor.op.name == "returned" and tensor.site != steps[-1].site:
                steps.append(Remark(tensor.site, "returned by the network here"))
        if self.call.site != steps[-1].site:
            steps.append(Remark(self.call.site, "reaches the loss here"))
        return tuple(steps)


def loss_inputs(story: Story) -> Iterator[LossInput]:
    """All loss calls of a story whose input is known; alternatives of another mode than that of the call are left out."""
    backwards = [event for event in story.events() if isinstance(event, Backward)]
    trained = {tensor.id for event in backwards for tensor in _graph(event)}
    ways = list(_ways(story, story.root, (), ()))
    for event, way in ways:
        found = producers(event.input)
        if found is None:
            continue
        training = event.output.id in trained or event.grad
        kept = [producer for producer in found if _of_mode(producer, training)]
        # What an exception handler leaves behind (no checkpoint to load) is a way that programs take.
        kept = [producer for producer in kept if producer.known or not _after_trying(producer)] or kept
        groups = _by_network(kept)
        for group in groups:
            if all(producer.known for producer in group):
                rival = any(_rivals(event, way, other, its) for other, its in ways)
                yield LossInput(event, group, rival or (len(groups) > 1 and bool(way)))


def _by_network(found: list[Producer]) -> list[list[Producer]]:
    """Apart, where one of several networks is chosen: a mistake in one of them is none of the others."""
    groups: dict[object, list[Producer]] = {}
    for producer in found:
        groups.setdefault(_network(producer), []).append(producer)
    return [found] if None in groups else list(groups.values())


def _network(producer: Producer) -> object:
    """The network that the value was returned by last."""
    for tensor in (*producer.path, producer.tensor):
        if tensor.op.name == "network":
            return tensor.id
        if tensor.op.name == "returned":
            net = _returning(tensor)
            if net is not None:
                return net.id
    return None


def _returning(tensor: Tensor) -> Union[Network, None]:
    """The network that returned a value."""
    for forward in tensor.seen if tensor.op.name == "returned" else ():
        returned = tensors_of(forward.output) if forward.output is not None else []
        if (
            forward.site == tensor.site
            and isinstance(forward.network, Network)
            and (not returned or any(part is tensor for part in returned))
        ):
            return forward.network
    return None


_CIRCUMSTANCES = (("training",), ("was training",), ("raised",), ("first round",))

Way = tuple[tuple[Arms, int], ...]
"""The arms that lead to an event and that a setting decides on: no mode, exception, or condition that changes from round to round."""


def _ways(story: Story, block: Block, way: Way, loops: tuple[Loop, ...]) -> Iterator[tuple[LossCall, Way]]:
    for item in block.items:
        if isinstance(item, LossCall):
            yield item, way
        elif isinstance(item, Arms):
            for index, (facts, arm) in enumerate(item.arms):
                fixed = facts and all(_is_setting(story, key, loops) for key, _ in facts)
                yield from _ways(story, arm, (*way, (item, index)) if fixed else way, loops)
        elif isinstance(item, Loop):
            yield from _ways(story, item.body, way, loops if item.once else (*loops, item))
        elif isinstance(item, Scope):
            yield from _ways(story, item.body, way, loops)


def _is_setting(story: Story, key: object, loops: tuple[Loop, ...]) -> bool:
    if isinstance(key, tuple) and key[:1] in _CIRCUMSTANCES:
        return False
    return not any(story.ages.get(key, 0) > loop.start for loop in loops)


def _rivals(event: LossCall, way: Way, other: LossCall, its: Way) -> bool:
    """Whether a setting decides between two losses that want different inputs and get the same."""
    if other.loss.wants is event.loss.wants or not way or not its:
        return False
    apart = any(arms is others and index != position for arms, index in way for others, position in its)
    return apart and bool({tensor.id for tensor in _origins(event)} & {tensor.id for tensor in _origins(other)})


def _origins(event: LossCall) -> list[Tensor]:
    return [producer.tensor for producer in producers(event.input) or ()]


_LIKELIHOOD = Loss("log-likelihood", Wants.PROBABILITIES)
_BETWEEN = frozenset({Kind.KEEP, Kind.ARITHMETIC, Kind.CLAMP, Kind.REDUCE, Kind.LOG})


def likelihoods(story: Story) -> Iterator[LossInput]:
    """Network outputs of which a loss written by hand takes the logarithm, as losses that want probabilities."""
    done: set[int] = set()
    for event in story.events():
        if not isinstance(event, Backward):
            continue
        for log, output in _logged(event):
            if output.id in done:
                continue
            done.add(output.id)
            found = producers(output)
            if found is None or not all(producer.known for producer in found):
                continue
            call = LossCall(log.site, _LIKELIHOOD, output, None, log, None)
            kept = [producer for producer in found if _of_mode(producer, True)]
            if kept:
                yield LossInput(call, kept)


def _logged(event: Backward) -> Iterator[tuple[Tensor, Tensor]]:
    """The logarithms in a loss, each with the network output that it is taken of."""
    pending: list[tuple[Tensor, Union[Tensor, None]]] = [(tensor, None) for tensor in tensors_of(event.loss)]
    seen: set[tuple[int, bool]] = set()
    while pending and len(seen) < 400:
        tensor, log = pending.pop()
        if (tensor.id, log is None) in seen:
            continue
        seen.add((tensor.id, log is None))
        if tensor.op.name == "returned":
            if log is not None:
                yield log, tensor
        elif tensor.op.kind in _BETWEEN:
            log = tensor if tensor.op.kind is Kind.LOG else log
            pending += [(part, log) for value in tensor.inputs for part in tensors_of(value)]


def _graph(event: Backward) -> Iterator[Tensor]:
    """The tensors just behind a loss: sums and scalings down to the loss calls."""
    pending = tensors_of(event.loss)
    seen: set[int] = set()
    while pending:
        tensor = pending.pop()
        if tensor.id in seen:
            continue
        seen.add(tensor.id)
        yield tensor
        if tensor.op.kind is not Kind.LOSS and len(seen) < 400:
            pending += [part for value in tensor.inputs for part in tensors_of(value)]


def _of_mode(producer: Producer, training: bool) -> bool:
    """Whether the alternative belongs to the mode in which this loss is computed."""
    return all(decided is training for key, decided in producer.facts if isinstance(key, tuple) and key[:1] == ("training",))


def _after_trying(producer: Producer) -> bool:
    return any(isinstance(key, tuple) and key[:1] == ("raised",) for key, _ in producer.facts)
