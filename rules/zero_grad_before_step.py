from __future__ import annotations

from collections.abc import Iterator

from nnlint.findings import Remark, Report, Severity
from nnlint.rule import Rule
from nnlint.trace.steps import gradients
from nnlint.trace.story import Story


class ZeroGradBeforeStep(Rule):
    """Gradients are thrown away before the step that should use them.

    ## Why is this bad?
    Between `backward` and `step`, zeroing leaves the optimizer nothing to follow: the parameters stand still or drift with momentum and
    weight decay. With gradient accumulation, zeroing at every micro-batch keeps the last one only.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
        loss.backward()
        optimizer.zero_grad()
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
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    ```

    ## When it stays silent
    When no step follows, when another `backward` comes between zeroing and step, when the program reads the gradients itself before it
    zeroes them, and when gradients of another network's loss are cleared on purpose.

    ## Runtime
    The norm of the gradients is recorded at each zeroing and each step.

    ## Fix
    Move `zero_grad()` after `step()` or in front of `backward()`; with accumulation, under the condition of the step.

    ## References
    `torch.optim.Optimizer.zero_grad`.
    """

    code = "NN202"
    severity = Severity.ERROR

    def check(self, story: Story) -> Iterator[Report]:
        _, wastes = gradients(story)
        for waste in wastes:
            name = waste.optimizer.label or "the optimizer"
            yield Report(
                site=waste.zero,
                message=f"gradients for `{name}` are zeroed at every micro-batch, though it steps only every few"
                if waste.partial
                else f"gradients for `{name}` are zeroed after `backward` and before the step that should use them",
                help="zero under the same condition as the step, right after it"
                if waste.partial
                else "zero after `step()` or before `backward()`",
                trace=(
                    Remark(waste.backward, "gradients are computed here"),
                    Remark(waste.zero, "thrown away here"),
                    Remark(waste.step, "the step finds only the last of them" if waste.partial else "the step finds nothing"),
                ),
            )
