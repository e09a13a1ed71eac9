"""What reaches each loss: the producers of its input, and how to tell the way from there to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from nnlint.findings import Remark, Site
from nnlint.knowledge.schema import Kind, Loss, Wants
from nnlint.trace.producers import Producer, classes, producers
from nnlint.trace.story import Backward, LossCall, Story
from nnlint.trace.values import Network, Tensor, tensors_of


class LossInput:
    """One loss call whose input was followed to its producers."""

    __slots__ = ("call", "loss", "producers")

    def __init__(self, call: LossCall, found: list[Producer]) -> None:
        self.call = call
        self.loss: Loss = call.loss
        self.producers = found

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
            if tensor.op.name == "returned":
                for forward in tensor.forwards | tensor.seen:
                    if forward.site == tensor.site and isinstance(forward.network, Network) and forward.network.label:
                        return f"`{forward.network.label}` ends in"
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
    for event in story.events():
        if not isinstance(event, LossCall):
            continue
        found = producers(event.input)
        if found is None:
            continue
        training = event.output.id in trained or event.grad
        kept = [producer for producer in found if _of_mode(producer, training)]
        # What an exception handler leaves behind (no checkpoint to load) is a way that programs take.
        kept = [producer for producer in kept if producer.known or not _after_trying(producer)] or kept
        if kept and all(producer.known for producer in kept):
            yield LossInput(event, kept)


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
