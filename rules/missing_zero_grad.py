from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity
from nnlint.fix.zeroing import zeroed
from nnlint.rule import Rule
from nnlint.trace.steps import Leak, gradients
from nnlint.trace.story import Story
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import StepSeen


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
    `zero_grad()` of the optimizer that lacks it, right before `backward`, or right behind the step where gradients are accumulated.
    *Unsafe* where gradients are zeroed elsewhere already (it may be that place which is wrong), where the step stands under a condition
    that `backward` is free of (gradients of rounds without a step are thrown away), and where there are several steps or the step stands
    in another function. None where the optimizer has no name there that surely means it.

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
                fix=zeroed(story, leak),
            )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.optimizers_of(finding)
        if not seen:
            return not_reached("no optimizer took a step here")
        leaking = [optimizer for optimizer in seen if optimizer.dirty >= 2]
        if leaking:
            return _leaking(leaking[0])
        optimizer = max(seen, key=lambda seen: seen.steps)
        if optimizer.edited:
            message = f"the old gradients were changed by hand before {optimizer.edited} of {optimizer.steps} steps"
            return inconclusive(message, steps=optimizer.steps)
        if optimizer.unseen:
            steps = f"{optimizer.unseen} of {optimizer.steps} steps"
            return inconclusive(f"before {steps} something else than a backward wrote to the old gradients", steps=optimizer.steps)
        if optimizer.steps < 5 or any(other.dirty for other in seen):
            return inconclusive(f"only {optimizer.steps} steps were seen", steps=optimizer.steps)
        return refuted(f"none of {optimizer.steps} steps used a gradient that an earlier step had used", steps=optimizer.steps)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for optimizer in evidence.optimizers:
            place = evidence.place(optimizer.backwards[0] if optimizer.backwards else optimizer.where)
            if optimizer.dirty >= 2 and optimizer.steps >= 5 and place is not None:
                message = f"gradients of one step of `{optimizer.optimizer}` leak into the next"
                yield self.observed(place, message, "call `zero_grad()` once for every step", _leaking(optimizer))


def _lack(leak: Leak) -> str:
    if leak.zero is not None:
        return "they are not zeroed on every way from one step to the next"
    return "they are never zeroed"


def _way(leak: Leak) -> tuple[Remark, ...]:
    steps = [Remark(leak.step, "this step has used the gradients"), Remark(leak.backward, "here the next ones are added to them")]
    if leak.zero is not None:
        steps.append(Remark(leak.zero, "zeroed here, but not on every way round"))
    return tuple(steps)


def _leaking(seen: StepSeen) -> Verdict:
    message = f"{seen.dirty} of {seen.steps} steps of `{seen.optimizer}` used gradients that an earlier step had used"
    return confirmed(f"{message} (first: step {seen.first_dirty})", steps=seen.steps, leaking=seen.dirty, first=seen.first_dirty)
