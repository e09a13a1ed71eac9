from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity, Site
from nnlint.fix.activations import logarithmic, logit_loss, needed
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import Kind, Wants
from nnlint.rule import Rule
from nnlint.trace.losses import LossInput, loss_inputs
from nnlint.trace.producers import Producer
from nnlint.trace.story import Story
from nnlint.trace.values import Const
from nnlint.verdict import Fact, Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import LossSeen


class WrongInputForProbabilityLoss(Rule):
    """A loss that expects probabilities or log-probabilities gets something else.

    ## Why is this bad?
    `NLLLoss`, `KLDivLoss` and `CTCLoss` only pick and sum what they are given: fed with probabilities the loss is negative and bounded,
    fed with logits it has no minimum at all. `BCELoss` takes logarithms of its input, which logits do not survive.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    loss = nn.NLLLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
    loss = nn.NLLLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## When it stays silent
    When the input cannot be followed on every path, when the logarithm is taken by hand (`softmax(x).log()`), and for the focal-loss
    idiom `1 + nll_loss(softmax(x), y)`, which computes `1 - p` on purpose.

    ## Runtime
    The producer of the loss input is read from the autograd graph; values are checked (rows of probabilities, positive log-probabilities).

    ## Fix
    `log_softmax` in place of `softmax`. *Unsafe: what reads this output as probabilities gets their logarithms.* For raw scores the loss
    that works on them: `CrossEntropyLoss` in place of `NLLLoss`, `BCEWithLogitsLoss` in place of `BCELoss`. *Unsafe: the loss is another
    one, and its values are not comparable with those before.* Both only where all uses allow it.

    ## References
    `torch.nn.NLLLoss`, `torch.nn.KLDivLoss`, `torch.nn.BCELoss`.
    """

    code = "NN102"
    severity = Severity.ERROR

    def check(self, story: Story) -> Iterator[Report]:
        inputs = list(loss_inputs(story))
        raw = [given for given in inputs if all(_wrong(given, producer) and producer.kind is Kind.AFFINE for producer in given.producers)]
        for given in inputs:
            if given.loss.wants not in (Wants.LOG_PROBABILITIES, Wants.PROBABILITIES) or _complement(given):
                continue
            wrong = [producer for producer in given.producers if _wrong(given, producer)]
            for producer in wrong:
                lacking = producer.kind is Kind.AFFINE
                name = producer.tensor.op.name
                yield Report(
                    site=given.call.site if lacking else given.cause(producer),
                    message=f"`{given.title}` gets {_nature(producer)} where it wants {given.loss.wants.value}"
                    + ("" if lacking else f": {given.subject(producer)} `{name}`"),
                    help=_advice(given, producer),
                    trace=_way(given, producer, lacking),
                    confidence=given.confidence(wrong),
                    fix=logit_loss(story, given, raw, _SCALE) if lacking else logarithmic(story, given, producer.tensor, _LOGS),
                )

    def spares(self, story: Story) -> Iterator[Site]:
        return needed(story, {Wants.LOG_PROBABILITIES})

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.losses_of(finding)
        if not seen:
            return not_reached("the loss was not computed")
        verdicts = [(verdict, loss) for loss in seen for verdict in [_misfed(loss)] if verdict is not None]
        for verdict, loss in verdicts:
            if not _worked_on(loss):
                return verdict
        if verdicts:
            return inconclusive(f"`nll_loss` got probabilities on {verdicts[0][1].batches} batches, perhaps to compute 1 - p")
        loss = seen[0]
        return refuted(f"`{loss.name}` got what it wants on {loss.batches} of {loss.batches} batches", loss.device, batches=loss.batches)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for loss in evidence.losses:
            verdict = _misfed(loss) if loss.trained and not _worked_on(loss) else None
            place = evidence.place(loss.where)
            if verdict is not None and place is not None:
                needs = LOSSES[f"torch.nn.functional.{loss.name}"].needs
                yield self.observed(
                    place,
                    f"`{loss.name}` gets the output of `{loss.producer}`",
                    f"give it `{needs}` output",
                    verdict,
                    evidence.way_of(loss),
                )


_SCALE = "the loss is another one, and its values are not comparable with those before"
_LOGS = "what reads this output as probabilities gets their logarithms"


def _wrong(given: LossInput, producer: Producer) -> bool:
    # Scores that were clamped may well be probabilities by now.
    raw = producer.kind is Kind.AFFINE and not any(step.op.kind is Kind.CLAMP for step in producer.path)
    if given.loss.wants is Wants.LOG_PROBABILITIES:
        return raw or producer.kind is Kind.PROBABILITY
    return raw or producer.tensor.op.name == "log_softmax"


def _complement(given: LossInput) -> bool:
    """`1 + nll_loss(softmax(x), y, reduction="none")` is `1 - p`: the loss is not used as a loss."""
    return given.loss.name == "nll_loss" and any(
        user.op.name in ("add", "sub", "exp", "neg") and any(isinstance(value, Const) for value in user.inputs)
        for user in given.call.output.users
    )


def _nature(producer: Producer) -> str:
    return {Kind.PROBABILITY: "probabilities", Kind.AFFINE: "raw scores", Kind.LOG_PROBABILITY: "log-probabilities"}[producer.kind]


def _advice(given: LossInput, producer: Producer) -> str:
    name = producer.tensor.op.name
    if producer.kind is Kind.PROBABILITY:
        return f"use `log_{name}` in place of `{name}`" if name == "softmax" else f"give the loss `{given.loss.needs}` output"
    if producer.kind is Kind.LOG_PROBABILITY:
        return "use `sigmoid` output, or a loss on logits"
    if given.loss.name == "nll_loss":
        return "use `cross_entropy`, which applies log-softmax itself, or apply `log_softmax` first"
    if given.loss.name == "binary_cross_entropy":
        return "use `binary_cross_entropy_with_logits`, or apply `sigmoid` first"
    return f"apply `{given.loss.needs}` first"


def _way(given: LossInput, producer: Producer, lacking: bool) -> tuple[Remark, ...]:
    first = "the scores are made here, and nothing follows" if lacking else f"`{producer.tensor.op.name}` applied here"
    return given.trace(producer, first)


def _misfed(loss: LossSeen) -> Verdict | None:
    """What the maker and the values of the input say; nothing where they fit."""
    wants = LOSSES[f"torch.nn.functional.{loss.name}"].wants
    facts: dict[str, Fact] = {"batches": loss.batches, "loss": round(loss.last, 4)}
    # Only a layer's output is raw for sure: a product of probabilities holds probabilities.
    raw = loss.producer == "linear" and loss.bias_layer is not None
    if wants is Wants.LOG_PROBABILITIES:
        if loss.producer in ("softmax", "sigmoid") or (loss.checked >= 5 and loss.probabilities == loss.checked):
            return confirmed(f"`{loss.name}` got probabilities on {loss.batches} of {loss.batches} batches", loss.device, **facts)
        if raw:
            message = f"`{loss.name}` got raw scores on {loss.batches} of {loss.batches} batches"
            if loss.positive:
                message += f"; some were positive, which no log-probability is, on {loss.positive} of {loss.checked}"
            return confirmed(message, loss.device, **facts)
    if wants is Wants.PROBABILITIES and (raw or loss.producer == "log_softmax"):
        message = f"`{loss.name}` got the output of `{loss.producer}` on {loss.batches} of {loss.batches} batches"
        outside = loss.checked - loss.unit
        if outside:
            message += f"; it left [0, 1] on {outside} of {loss.checked}"
        return confirmed(message, loss.device, **facts)
    return None


def _worked_on(loss: LossSeen) -> bool:
    """Whether `1 - p` may be what is meant: `nll_loss` of probabilities, which the script goes on with before they are a loss."""
    return loss.name == "nll_loss" and loss.elements
