"""Methods that a framework calls: what it hands to them, and what they find."""

from __future__ import annotations

import pytest
from stories import events, lines, stepping

from nnlint.trace.story import Step

MODULE = """\
import torch
from torch import nn
import torch.nn.functional as F
import lightning.pytorch as pl


class Net(pl.LightningModule):
    def __init__(self, window=4, schedule="none"):
        super().__init__()
        self.automatic_optimization = False
        self.window, self.schedule = window, schedule
        self.encode, self.decode = nn.Linear(4, 2), nn.Linear(2, 4)

    def configure_optimizers(self):
        first = torch.optim.SGD(self.encode.parameters(), 0.1)
        second = torch.optim.SGD(self.decode.parameters(), 0.1)
        {configured}

    def training_step(self, batch, number):
        first, second = self.optimizers()
        for opt in (first, second):
            {zero}
        loss = F.mse_loss(self.decode(self.encode(batch)), batch)
        self.manual_backward(loss)
        if (number + 1) % self.window == 0:
            first.step()
            second.step()
            {end}
"""

CONFIGURED = {
    "a list": "return [first, second]",
    "a pair of lists": "return [first, second], [torch.optim.lr_scheduler.StepLR(first, 1)]",
    "dictionaries": "return {'optimizer': first}, {'optimizer': second}",
    "in branches": """if self.schedule == input():
            return [first, second]
        elif input():
            return [{'optimizer': first}, {'optimizer': second}]
        else:
            raise ValueError""",
}


def program(configured: str, zero: str, end: str) -> str:
    return MODULE.replace("{configured}", configured).replace("{zero}", zero).replace("{end}", end)


@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_configured_optimizers_step(configured: str) -> None:
    text = program(configured, "pass", "first.zero_grad(); second.zero_grad()")
    assert [opt.label for opt in stepping(text)] == ["first", "second"]
    assert lines(text, "NN201", "NN202") == []


@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_micro_batches_are_counted(configured: str) -> None:
    text = program(configured, "opt.zero_grad()", "pass")
    assert lines(text, "NN201", "NN202") == ["NN202 opt.zero_grad()"]


def test_one_of_two_optimizers() -> None:
    chosen = "return [first if input() else torch.optim.Adam(self.encode.parameters()), second]"
    text = program(chosen, "pass", "first.zero_grad(); second.zero_grad()")
    assert {event.optimizer.name for event in events(text) if isinstance(event, Step)} == {"torch.optim.SGD", "torch.optim.Adam"}
    assert lines(text, "NN201", "NN202") == []
