from __future__ import annotations

from collections.abc import Iterator
from math import e, exp, log, log1p
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Report, Severity, Site
from nnlint.fix.activations import needed, removed
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import Kind, Loss, Wants
from nnlint.rule import Rule
from nnlint.trace.losses import loss_inputs
from nnlint.trace.story import Story
from nnlint.verdict import Fact, Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import LossSeen


class SoftmaxBeforeLogitLoss(Rule):
    """Softmax or sigmoid output reaches a loss that expects raw logits.

    ## Why is this bad?
    `cross_entropy` and its relatives apply (log-)softmax or (log-)sigmoid themselves. Applied twice, the scores are squashed into a
    narrow band: over 10 classes the loss can never fall below 1.4612, gradients fade, and training still looks as if it worked.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    loss = nn.CrossEntropyLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 3))
    logits = net(torch.randn(8, 4))
    loss = nn.CrossEntropyLoss()(logits, torch.randint(3, (8,)))
    loss.backward()
    probabilities = logits.softmax(dim=1)  # only where probabilities are needed
    ```

    ## When it stays silent
    When the output cannot be followed to the activation on every path, when only some alternatives are activated (a flag that is off
    in training), for log-softmax before `cross_entropy` (idempotent: no effect), and for softmax that is used for metrics, attention,
    targets or another loss.

    ## Runtime
    The producer of the loss input is read from the autograd graph, and its rows are checked to be probabilities.

    ## Fix
    The softmax or sigmoid goes: the call, or the item of the `Sequential`. *Unsafe: what reads this output as probabilities gets raw
    scores.* None where the program itself does more with it than losses on logits and decisions by rank: a threshold at 0.5, a mean, a
    plot.

    ## References
    `torch.nn.CrossEntropyLoss`, `torch.nn.BCEWithLogitsLoss`: "the input is expected to contain the unnormalized logits".
    """

    code = "NN101"
    severity = Severity.ERROR
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        for given in loss_inputs(story):
            if given.loss.wants is not Wants.LOGITS:
                continue
            for kind in (Kind.PROBABILITY, Kind.LOG_PROBABILITY):
                activated = given.of_kind(kind)
                if kind is Kind.LOG_PROBABILITY:
                    activated = [producer for producer in activated if producer.tensor.op.name == "logsigmoid"]
                if not activated:
                    continue
                for producer in activated:
                    name = producer.tensor.op.name
                    own = given.loss.activation or "its own activation"
                    floor = _floor(given.loss, name, given.classes(producer))
                    yield Report(
                        site=given.cause(producer),
                        message=f"`{given.title}` gets {_what(name)}: {given.subject(producer)} `{name}`{floor}",
                        help=f"give the loss the raw scores ({given.loss.name} applies {own} itself); "
                        f"use `{name}` only where probabilities are needed",
                        trace=given.trace(producer, f"`{name}` applied here"),
                        confidence=given.confidence(activated),
                        fix=removed(story, given, producer.tensor, "what reads this output as probabilities gets raw scores"),
                    )

    def spares(self, story: Story) -> Iterator[Site]:
        return needed(story, {Wants.LOGITS})

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.losses_of(finding)
        if not seen:
            return not_reached("the loss was not computed")
        wrong = [loss for loss in seen if _squashed(loss)]
        here = [loss for loss in wrong if evidence.made_at(finding.place, loss)] or wrong
        if here:
            return _squashing(here[0])
        loss = seen[0]
        if loss.producer in _OPAQUE and not loss.negative:
            return inconclusive(f"the input of `{loss.name}` was put together from parts, and was never negative", loss.device)
        made = f"was made by `{loss.producer}`" if loss.producer else "was no output of a network"
        return refuted(f"the input of `{loss.name}` {made} on {loss.batches} of {loss.batches} batches", loss.device, batches=loss.batches)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for loss in evidence.losses:
            place = evidence.place(loss.made) or evidence.place(loss.where)
            if not loss.trained or not _squashed(loss) or place is None:
                continue
            message = f"`{loss.name}` gets probabilities: its input is made by `{loss.producer}`"
            help = f"give the loss the raw scores; use `{loss.producer}` only where probabilities are needed"
            yield self.observed(place, message, help, _squashing(loss), evidence.way_of(loss))


def _what(name: str) -> str:
    return "log-probabilities" if name == "logsigmoid" else "probabilities"


def _floor(loss: Loss, name: str, classes: int | None) -> str:
    """What the loss cannot fall below: all scores lie in [0, 1]."""
    if loss.name == "cross_entropy" and name in ("softmax", "sigmoid") and classes is not None and classes > 1:
        return f"; over {classes} classes the loss cannot fall below {log(e + classes - 1) - 1:.4f}"
    if loss.name == "binary_cross_entropy_with_logits" and name == "sigmoid":
        return f"; a positive example cannot cost less than {log1p(exp(-1)):.4f}, a negative one {log(2):.4f}"
    return ""


def _squashed(loss: LossSeen) -> bool:
    """Whether what reached a loss on logits had been squashed: by its maker, or (where that is unknown) by its values."""
    if LOSSES.get(f"torch.nn.functional.{loss.name}", _NO_LOSS).wants is not Wants.LOGITS:
        return False
    if loss.producer in ("softmax", "sigmoid", "logsigmoid"):
        return True
    if loss.checked < 5:
        return False
    return loss.probabilities == loss.checked or (loss.producer in _OPAQUE and loss.unit == loss.checked)


def _squashing(loss: LossSeen) -> Verdict:
    message = f"the input of `{loss.name}` was `{loss.producer}` output on {loss.batches} of {loss.batches} batches"
    if loss.producer not in ("softmax", "sigmoid", "logsigmoid"):
        summed = " and summed to 1" if loss.probabilities == loss.checked else ""
        message = f"the input of `{loss.name}` lay in [0, 1]{summed} on {loss.unit} of {loss.checked} batches"
    facts: dict[str, Fact] = {"batches": loss.batches, "loss": round(loss.last, 4)}
    if loss.name == "cross_entropy" and loss.classes > 1 and not loss.soft:
        floor = log(e + loss.classes - 1) - 1
        message += f"; over {loss.classes} classes the loss cannot fall below {floor:.4f} (now {loss.last:.4f})"
        facts |= {"classes": loss.classes, "floor": round(floor, 4)}
    return confirmed(message, loss.device, **facts)


_OPAQUE = ("copy_slices", "several")  # what was filled part by part, or put together: the graph does not tell which part came from where
_NO_LOSS = Loss("", Wants.ANY)
