"""Activations that go, or become others: only where everything that the story does with their output allows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Union

from nnlint.findings import Applicability, Site
from nnlint.fix.proposal import Drop, Proposal, Rename, Unwrap, Way
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import SCORES, Kind, Wants
from nnlint.trace.losses import LossInput
from nnlint.trace.networks import parts
from nnlint.trace.story import Forward, LossCall, Story, once
from nnlint.trace.values import Network, Tensor, tensors_of

_RANKS = frozenset({"argmax", "argmin", "argsort", "max", "min", "topk", "sort", "median", "kthvalue"})
_MEASURES = frozenset({Kind.ARITHMETIC, Kind.REDUCE, Kind.HOST, Kind.DECISION, Kind.CLAMP})
_WANTS = {loss.name: loss.wants for loss in LOSSES.values()}
_SEEN = 100_000


def removed(story: Story, given: LossInput, tensor: Tensor, caution: str) -> Union[Proposal, None]:
    """The activation that made a tensor taken out. `given` is the loss that it spoils."""
    scores = given.loss.wants is not Wants.ANY and tensor.op.kind is Kind.ACTIVATION
    if not _only_for(story, tensor, {given.loss.wants}, SCORES if scores else ()):
        return None
    site, name = tensor.site, tensor.op.name
    module = tensor.module
    if module is not None and module.site == site:
        if any(_holds(network, module) for network in _networks(story) if network.id in story.picked):
            return None
        return _unsafe(f"remove the `{name}`", caution, Drop(site))
    called = story.called.get(site, "")
    if module is None and not called:
        return None
    if module is not None and (site, module.id) not in story.spelled:
        return None
    return _unsafe(f"remove the `{name}`", caution, Unwrap(site, method=called.startswith(".")))


def logarithmic(story: Story, given: LossInput, tensor: Tensor, caution: str) -> Union[Proposal, None]:
    """The softmax that made a tensor turned into a log-softmax."""
    if tensor.op.name != "softmax" or not _only_for(story, tensor, {Wants.LOG_PROBABILITIES}, ()):
        return None
    module = tensor.module
    if module is not None:
        layers = {id(other.module) for other in _made(story) if other.module is not None and other.module.site == module.site}
        outputs = [other for other in _made(story) if other.module is not None and id(other.module) in layers]
        if module.cls is not None or not all(_only_for(story, other, {Wants.LOG_PROBABILITIES}, ()) for other in outputs):
            return None
        return _unsafe("use `LogSoftmax` in place of `Softmax`", caution, Rename(module.site, "Softmax", "LogSoftmax"))
    if not story.called.get(tensor.site):
        return None
    return _unsafe("use `log_softmax` in place of `softmax`", caution, Rename(tensor.site, "softmax", "log_softmax"))


def logit_loss(story: Story, given: LossInput, alike: Collection[LossInput], caution: str) -> Union[Proposal, None]:
    """The loss on probabilities turned into its counterpart on raw scores. `alike` are all inputs of losses that want what this one got."""
    function, layer = _COUNTERPARTS.get(given.loss.name, (("", ""), ("", "")))
    source = given.call.source
    calls = [event for event in story.events() if isinstance(event, LossCall) and _same_loss(event, given.call)]
    if not function[0] or any(all(event is not one.call for one in alike) for event in calls):
        return None
    if source is None:
        if story.called.get(given.call.site) != f"torch.nn.functional.{function[0]}":
            return None
        return _unsafe(f"use `{function[1]}`", caution, Rename(given.call.site, *function))
    if source.cls is not None:
        return None
    return _unsafe(f"use `{layer[1]}`", caution, Rename(source.site, *layer))


_COUNTERPARTS = {
    "nll_loss": (("nll_loss", "cross_entropy"), ("NLLLoss", "CrossEntropyLoss")),
    "binary_cross_entropy": (("binary_cross_entropy", "binary_cross_entropy_with_logits"), ("BCELoss", "BCEWithLogitsLoss")),
}


def _same_loss(event: LossCall, other: LossCall) -> bool:
    """Whether one change of the text changes both."""
    if event.source is None or other.source is None:
        return event.source is other.source and event.site == other.site
    return event.source.site == other.source.site


def needed(story: Story, wants: Collection[Wants]) -> Iterator[Site]:
    """Where probabilities are made of which the story does more than such losses and decisions by rank allow."""
    for tensor in story.scores:
        if not _allowed(tensor, wants, ()):
            yield tensor.site
            if tensor.module is not None:
                yield tensor.module.site


def _unsafe(message: str, caution: str, change: Union[Drop, Rename, Unwrap]) -> Proposal:
    return Proposal(Applicability.UNSAFE, (Way(message, (change,)),), caution)


def _only_for(story: Story, tensor: Tensor, wants: Collection[Wants], scores: Collection[Kind]) -> bool:
    """Whether all that is made where a tensor is made goes into losses of one kind and into decisions that only its order matters to."""
    if not _allowed(tensor, wants, scores):
        return False
    return all(other.op.name == tensor.op.name and _allowed(other, wants, scores) for other in _made_at(story, tensor.site))


def _allowed(tensor: Tensor, wants: Collection[Wants], scores: Collection[Kind]) -> bool:
    pending, seen = [tensor], {tensor.id}
    while pending:
        for user in pending.pop().users:
            if user.id in seen or user.op.kind in scores:
                continue
            seen.add(user.id)
            if user.op.kind is Kind.LOSS:
                if _WANTS.get(user.op.name) not in wants or not user.inputs or not seen & {part.id for part in tensors_of(user.inputs[0])}:
                    return False
            elif user.op.kind in (Kind.KEEP, Kind.DETACH):
                pending.append(user)
            elif Wants.ANY in wants and user.op.kind in _MEASURES:
                pending.append(user)  # a prediction stays a prediction
            elif user.op.name not in _RANKS or (user.op.kind is not Kind.DECISION and user.users):
                return False
    return True


def _networks(story: Story) -> Iterator[Network]:
    """All networks that are called, and their parts."""
    for event in story.events():
        if isinstance(event, Forward):
            yield from (part for part in parts(event.network).values() if isinstance(part, Network))


def _holds(container: Network, module: Network) -> bool:
    return any(part is module for _, part in container.items or ())


def _made_at(story: Story, site: Site) -> Iterator[Tensor]:
    return (tensor for tensor in _made(story) if tensor.site == site and tensor.op.kind not in (Kind.KEEP, Kind.DETACH))


@once
def _made(story: Story) -> list[Tensor]:
    """All tensors behind what networks gave and losses were given."""
    pending: list[Tensor] = []
    for event in story.events():
        if isinstance(event, Forward) and event.output is not None:
            pending += tensors_of(event.output)
        elif isinstance(event, LossCall):
            pending += tensors_of(event.input)
    found: dict[int, Tensor] = {}
    while pending and len(found) < _SEEN:
        tensor = pending.pop()
        if tensor.id not in found:
            found[tensor.id] = tensor
            pending += [part for value in tensor.inputs for part in tensors_of(value)]
    return list(found.values())
