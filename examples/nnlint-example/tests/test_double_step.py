from __future__ import annotations

import pytest
from nnlint_example.double_step import DoubleStep

from nnlint.testing import check, findings

TRAINING = """\
import torch
from torch import nn

def train(net: nn.Module, loader, amp: bool):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda", enabled=amp)
    for images, labels in loader:
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
{steps}
        scaler.update()

train(nn.Linear(4, 3), torch.utils.data.DataLoader(torch.load("data.pt"), batch_size=8), AMP)
"""


def rows(*steps: str) -> list[int]:
    program = TRAINING.format(steps="\n".join(f"        {line}" for line in steps))
    return [finding.place.row for finding in findings(program, DoubleStep)]


def test_the_page() -> None:
    check(DoubleStep)


def test_two_steps() -> None:
    assert rows("scaler.step(optimizer)", "optimizer.step()") == [12]


@pytest.mark.parametrize(
    "steps",
    [
        ["scaler.step(optimizer)"],
        ["if amp:", "    scaler.step(optimizer)", "else:", "    optimizer.step()"],
        ["scaler.step(optimizer)", "optimizer.zero_grad()", "net(images).mean().backward()", "optimizer.step()"],
    ],
)
def test_right_programs(steps: list[str]) -> None:
    assert rows(*steps) == []
