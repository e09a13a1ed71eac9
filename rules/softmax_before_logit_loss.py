from __future__ import annotations

from collections.abc import Iterator
from math import e, exp, log, log1p

from nnlint.findings import Report, Severity
from nnlint.knowledge.schema import Kind, Loss, Wants
from nnlint.rule import Rule
from nnlint.trace.losses import loss_inputs
from nnlint.trace.story import Story


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
    Return the logits; apply softmax where probabilities are needed.

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
                    )


def _what(name: str) -> str:
    return "log-probabilities" if name == "logsigmoid" else "probabilities"


def _floor(loss: Loss, name: str, classes: int | None) -> str:
    """What the loss cannot fall below: all scores lie in [0, 1]."""
    if loss.name == "cross_entropy" and name in ("softmax", "sigmoid") and classes is not None and classes > 1:
        return f"; over {classes} classes the loss cannot fall below {log(e + classes - 1) - 1:.4f}"
    if loss.name == "binary_cross_entropy_with_logits" and name == "sigmoid":
        return f"; a positive example cannot cost less than {log1p(exp(-1)):.4f}, a negative one {log(2):.4f}"
    return ""
