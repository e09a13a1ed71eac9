from __future__ import annotations

from collections.abc import Iterator

from nnlint.findings import Remark, Report, Severity
from nnlint.rule import Rule
from nnlint.trace.steps import Leak, gradients
from nnlint.trace.story import Story


class MissingZeroGrad(Rule):
    """Gradients of one optimization step leak into the next.

    ## Why is this bad?
    `backward` adds to `.grad`. Where nothing sets the gradients back after a step has used them, every step follows the sum of all
    gradients so far: momentum without decay, steps that grow, a loss that wanders.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
        loss.backward()
        optimizer.step()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ```

    ## When it stays silent
    Wherever the gradients of this optimizer's parameters are zeroed on every way round the loop, by whatever means (the optimizer, the
    network, a loop over parameters, `p.grad = None`, a helper); for gradient accumulation; where a framework owns the step; and when
    the optimizer was handed to code that cannot be followed.

    ## Runtime
    The provenance of each `.grad` is recorded: a gradient that one step has consumed is consumed again, unchanged underneath.

    ## Fix
    Call `zero_grad()` once for every step, anywhere but between `backward` and `step`.

    ## References
    `torch.optim.Optimizer.zero_grad`.
    """

    code = "NN201"
    severity = Severity.ERROR
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        leaks, _ = gradients(story)
        for leak in leaks:
            name = leak.optimizer.label or "the optimizer"
            yield Report(
                site=leak.backward,
                message=f"gradients of one step of `{name}` leak into the next: {_lack(leak)}",
                help=f"call `{name}.zero_grad()` once for every step, for instance right before this `backward`",
                trace=_way(leak),
            )


def _lack(leak: Leak) -> str:
    if leak.zero is not None:
        return "they are not zeroed on every way from one step to the next"
    return "they are never zeroed"


def _way(leak: Leak) -> tuple[Remark, ...]:
    steps = [Remark(leak.step, "this step has used the gradients"), Remark(leak.backward, "here the next ones are added to them")]
    if leak.zero is not None:
        steps.append(Remark(leak.zero, "zeroed here, but not on every way round"))
    return tuple(steps)
