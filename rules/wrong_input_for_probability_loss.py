from __future__ import annotations

from collections.abc import Iterator

from nnlint.findings import Remark, Report, Severity
from nnlint.knowledge.schema import Kind, Wants
from nnlint.rule import Rule
from nnlint.trace.losses import LossInput, loss_inputs
from nnlint.trace.producers import Producer
from nnlint.trace.story import Story
from nnlint.trace.values import Const


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
    `log_softmax` before `NLLLoss` and `KLDivLoss`; `sigmoid` before `BCELoss`; or the loss on logits that does both.

    ## References
    `torch.nn.NLLLoss`, `torch.nn.KLDivLoss`, `torch.nn.BCELoss`.
    """

    code = "NN102"
    severity = Severity.ERROR

    def check(self, story: Story) -> Iterator[Report]:
        for given in loss_inputs(story):
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
                )


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
