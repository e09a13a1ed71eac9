from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity
from nnlint.fix.zeroing import moved
from nnlint.rule import Rule
from nnlint.trace.steps import gradients
from nnlint.trace.story import Story
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import StepSeen


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
    The zeroing moves, with its comments, in front of `backward`, or behind the step under its condition where gradients are accumulated.
    None where other losses leave gradients that would then pile up, too.

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
                fix=moved(story, waste),
            )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.optimizers_of(finding)
        if not seen:
            return not_reached("no optimizer took a step here")
        empty = [optimizer for optimizer in seen if _empty(optimizer)]
        if empty:
            return _wiping(empty[0])
        optimizer = max(seen, key=lambda seen: seen.steps)
        if optimizer.wiped or optimizer.partial:
            some = optimizer.wiped + optimizer.partial
            return inconclusive(f"gradients were thrown away before {some} of {optimizer.steps} steps only", steps=optimizer.steps)
        if optimizer.steps < 5:
            return inconclusive(f"only {optimizer.steps} steps were seen", steps=optimizer.steps)
        return refuted(f"each of {optimizer.steps} steps found the gradients that `backward` had made", steps=optimizer.steps)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for optimizer in evidence.optimizers:
            place = evidence.place(optimizer.wiped_by) or evidence.place(optimizer.where)
            if optimizer.wiped >= 2 and optimizer.wiped == optimizer.steps and place is not None:
                message = f"gradients for `{optimizer.optimizer}` are gone when it steps"
                yield self.observed(place, message, "zero after `step()` or before `backward()`", _wiping(optimizer))


def _empty(seen: StepSeen) -> bool:
    """Whether steps found nothing, or gradients were thrown away before each of them (but the first, perhaps)."""
    return seen.wiped >= 2 or seen.partial >= max(2, seen.steps - 2)


def _wiping(seen: StepSeen) -> Verdict:
    if seen.wiped >= 2:
        message = f"{seen.wiped} of {seen.steps} steps of `{seen.optimizer}` found no gradient, although `backward` had made some"
        return confirmed(message, steps=seen.steps, wiped=seen.wiped)
    message = f"before {seen.partial} of {seen.steps} steps of `{seen.optimizer}` gradients were thrown away that no step had used"
    return confirmed(message, steps=seen.steps, partly_wiped=seen.partial)
