from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity
from nnlint.fix.activations import removed
from nnlint.knowledge.activations import ACTIVATIONS
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import Kind, Wants
from nnlint.rule import Rule
from nnlint.trace.losses import LossInput, likelihoods, loss_inputs
from nnlint.trace.producers import Producer, producers, weighted
from nnlint.trace.ranges import range_of
from nnlint.trace.story import Story
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import LossSeen


class FinalActivation(Rule):
    """An activation on the last layer, where the use needs an unbounded output.

    ## Why is this bad?
    Logits cut off by ReLU can say "yes" but never "no": half of the scores get no gradient, and an unlucky start leaves constant
    outputs. A regression head whose range does not hold the targets can never reach them.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.ReLU())
    loss = nn.CrossEntropyLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    loss = nn.CrossEntropyLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## When it stays silent
    For hidden layers, feature extractors and blocks, whatever they end in; for outputs that are meant to be bounded (policies, images,
    rates, probabilities); for regression unless the targets are known to leave the activation's range; when only some paths are
    activated.

    ## Runtime
    The producer of the loss input is read from the autograd graph, and the share of outputs at the activation's bound is counted.

    ## Fix
    The activation goes: the call, or the item of the `Sequential`. *Unsafe: the output is no longer bounded, on which others may rely.*
    None where more layers follow in some use of it, where the output also goes into anything but such losses, softmax and decisions by
    rank, and where a `Sequential` is sliced or counted from its end.

    ## References
    The former PyTorch tutorial with this mistake: pytorch/tutorials#1526.
    """

    code = "NN103"
    severity = Severity.ERROR
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        for given in [*loss_inputs(story), *likelihoods(story)]:
            cut = [(producer, inner) for producer in given.producers for inner in _bounded(given, producer)]
            confidence = given.confidence([producer for producer, _ in cut])
            for producer, inner in cut:
                name = inner.tensor.op.name
                where = "" if inner is producer else f", before `{producer.tensor.op.name}`"
                yield Report(
                    site=inner.tensor.site,
                    message=f"`{name}` on the last layer{where}: {_why(given, producer, inner)}",
                    help=f"remove the `{name}` after the last layer",
                    trace=_way(given, producer, inner),
                    confidence=confidence,
                    severity=Severity.WARNING if given.loss.wants is Wants.ANY else None,
                    fix=removed(story, given, inner.tensor, f"the output is no longer bounded by `{name}`, on which others may rely"),
                )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.losses_of(finding)
        if not seen:
            return not_reached("the loss was not computed")
        here = [loss for loss in seen if evidence.at(finding.place, loss.made, loss.layer, loss.before_made, loss.before_layer)]
        verdicts = [verdict for loss in here or seen for verdict in [_cut_off(loss)] if verdict is not None]
        if verdicts:
            return verdicts[0]
        loss = (here or seen)[0]
        if loss.producer in ACTIVATIONS:
            if evidence.guessed and LOSSES[f"torch.nn.functional.{loss.name}"].wants is Wants.ANY:
                return inconclusive(
                    f"whether targets lie outside the range of `{loss.producer}` only the missing data can tell", loss.device
                )
            message = f"no target of `{loss.name}` left the range of `{loss.producer}` on {loss.checked} batches"
            return refuted(message, loss.device, batches=loss.checked)
        return refuted(f"the input of `{loss.name}` was made by `{loss.producer}` on {loss.batches} of {loss.batches} batches", loss.device)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for loss in evidence.losses:
            verdict = _cut_off(loss) if loss.trained else None
            place = evidence.place(loss.made)
            if verdict is None or place is None or _last(loss) != loss.producer:
                continue
            message = f"`{loss.producer}` on the last layer before `{loss.name}`"
            yield self.observed(place, message, f"remove the `{loss.producer}` after the last layer", verdict, evidence.way_of(loss))


def _why(given: LossInput, producer: Producer, inner: Producer) -> str:
    if given.loss.wants is Wants.ANY:
        return f"targets of `{given.title}` lie outside its range"
    if inner is not producer:
        return "the scores that it works on must be unbounded"
    return f"`{given.title}` works on logits, which must be unbounded"


def _bounded(given: LossInput, producer: Producer) -> list[Producer]:
    """The activations on the last layer that this input comes from: directly, or through the softmax or sigmoid that the loss wants."""
    # Divergences compare features too (distillation), which may end in any activation.
    if not producer.direct or given.loss.name == "kl_div":
        return []
    if given.loss.wants is Wants.ANY:
        return _regression(given, producer)
    if producer.kind is Kind.ACTIVATION:
        return [producer] if given.loss.wants is Wants.LOGITS and _cuts(producer) else []
    if producer.tensor.op.name in ("softmax", "log_softmax", "sigmoid", "logsigmoid") and producer.tensor.inputs:
        inner = producers(producer.tensor.inputs[0])
        if inner and all(part.kind is Kind.ACTIVATION and part.direct and _cuts(part) for part in inner):
            return inner
    return []


def _cuts(producer: Producer) -> bool:
    """Whether the activation bounds its output on one side at least, and stands on a layer with weights."""
    return not range_of(producer.tensor).unbounded and bool(producer.tensor.inputs) and weighted(producer.tensor.inputs[0])


def _regression(given: LossInput, producer: Producer) -> list[Producer]:
    if given.loss.name not in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss") or given.call.target is None:
        return []
    if producer.kind not in (Kind.ACTIVATION, Kind.PROBABILITY) or producer.tensor.op.name == "softmax":
        return []
    output, target = range_of(producer.tensor), range_of(given.call.target)
    return [producer] if _cuts_or_squashes(producer) and target.leaves(output) else []


def _cuts_or_squashes(producer: Producer) -> bool:
    return producer.kind is Kind.PROBABILITY or _cuts(producer)


def _way(given: LossInput, producer: Producer, inner: Producer) -> tuple[Remark, ...]:
    steps = list(given.trace(producer, f"`{producer.tensor.op.name}` applied here"))
    if inner is not producer:
        steps.insert(0, Remark(inner.tensor.site, f"`{inner.tensor.op.name}` applied here"))
    return tuple(steps)


def _cut_off(loss: LossSeen) -> Verdict | None:
    """What the values say where an activation stands last: nothing where it does no harm."""
    wants = LOSSES[f"torch.nn.functional.{loss.name}"].wants
    name = _last(loss)
    if name not in ACTIVATIONS or loss.name == "kl_div":
        return None
    if wants is Wants.ANY:
        if not loss.outside:
            return None
        message = f"targets lay outside the range of `{name}` on {loss.outside} of {loss.checked} batches"
        return confirmed(message, loss.device, batches=loss.checked, outside=loss.outside)
    if name == loss.producer and (wants is not Wants.LOGITS or name == "sigmoid"):
        return None
    message = f"the scores for `{loss.name}` came from `{name}` on {loss.batches} of {loss.batches} batches"
    if name == loss.producer and loss.zeros:
        message += f"; {loss.zeros:.0%} of them were exactly 0"
    return confirmed(message, loss.device, batches=loss.batches, zeros=round(loss.zeros, 4), dead_rows=round(loss.dead, 4))


def _last(loss: LossSeen) -> str:
    """The activation on the last layer: what made the input of a loss, or what the softmax or sigmoid in front of it was given."""
    return loss.before if loss.producer in _SQUASHING and loss.before in ACTIVATIONS else loss.producer


_SQUASHING = ("softmax", "log_softmax", "sigmoid", "logsigmoid")
