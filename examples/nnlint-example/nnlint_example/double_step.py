from __future__ import annotations

from collections.abc import Iterator

from nnlint.findings import Remark, Report, Severity, Site
from nnlint.rule import Rule
from nnlint.trace.story import Arms, Backward, Block, Escape, Event, GradUse, Loop, Step, Story, Zero
from nnlint.trace.typestate import Known, Walk
from nnlint.trace.values import Facts, Optimizer


class DoubleStep(Rule):
    """An optimizer steps twice with the same gradients.

    ## Why is this bad?
    The second step takes no new look at the loss. With plain SGD it doubles the learning rate; with momentum or Adam it counts the same
    gradients twice in the averages. It often comes with mixed precision: `scaler.step(optimizer)` steps already.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(net.parameters())
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        optimizer.step()
        scaler.update()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(net.parameters())
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    ```

    ## When it stays silent
    Where anything happens to gradients between the two steps, where the steps stand in different rounds of a loop or on ways that exclude
    each other, and where something was handed to code that cannot be followed.

    ## Runtime
    A run does not settle it.

    ## Fix
    None: only you know which of the two steps was meant.
    """

    code = "EX101"
    severity = Severity.WARNING

    def check(self, story: Story) -> Iterator[Report]:
        stepping = [event.optimizer for event in story.events() if isinstance(event, Step)]
        for optimizer in dict.fromkeys(stepping):
            steps = Steps(optimizer)
            Walk(story, steps).run(None)
            name = optimizer.label or "the optimizer"
            for second, first in steps.doubled.items():
                yield Report(
                    site=second,
                    message=f"`{name}` steps twice with the same gradients",
                    help="take one of the two steps out",
                    trace=(Remark(first, "they are used here"), Remark(second, "and once more here")),
                )


# What is known of the gradients: nothing, that they are new, or the step that has used them.
State = Site | str | None
NEW = "new"


class Steps:
    """The gradients of one optimizer, along every way through a story."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.doubled: dict[Site, Site] = {}

    def concerns(self, event: Event) -> bool:
        if isinstance(event, Step):
            return event.optimizer is self.optimizer
        return isinstance(event, (Backward, Zero, GradUse, Escape))

    def on(self, event: Event, state: State, known: Known) -> tuple[State, Facts]:
        if isinstance(event, Backward):
            return NEW, ()
        if not isinstance(event, Step):
            return None, ()
        if isinstance(state, Site):
            self.doubled.setdefault(event.site, state)
        return (None if state is None else event.site), ()

    def passed(self, arms: Arms, taken: Block, state: State) -> State:
        return state

    def again(self, loop: Loop, state: State) -> State:
        return None

    def left(self, loop: Loop, state: State) -> State:
        return None
