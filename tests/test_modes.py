"""Training and evaluation mode along all ways: where a network is evaluated in train mode, and where that cannot be told."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest
from stories import lines

HEAD = """\
import sys
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import thirdparty

net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
opt = torch.optim.SGD(net.parameters(), 0.1)
train, test = (DataLoader(TensorDataset(torch.randn(8, 4), torch.randint(3, (8,)))) for _ in range(2))
criterion = {criterion}
for epoch in range(3):
    net.train()
    for x, y in train:
        loss = {loss}
        opt.zero_grad()
        loss.backward()
        opt.step()
{switch}
    for x, y in test:
        right = (net(x).argmax(1) == y).sum()
"""

LOSSES = {
    "torch": ("nn.CrossEntropyLoss()", "criterion(net(x), y)"),
    "a function of a library": ("None", "thirdparty.loss(net(x), y)"),
    "an object of a library": ("thirdparty.Loss()", "criterion(net(x), y)"),
    "and what is made of it": ("thirdparty.Loss(reduction='none')", "criterion(net(x), y).mean() / x.size(0)"),
    "in parts": ("thirdparty.Loss()", "sum(criterion(part, y) for part in (net(x), net(x).relu()))"),
}


def found(criterion: str, loss: str, switch: str) -> list[str]:
    text = HEAD.replace("{criterion}", criterion).replace("{loss}", loss)
    return lines(text.replace("{switch}", indent(dedent(switch), "    ")), "NN301", "NN302")


@pytest.mark.parametrize(("criterion", "loss"), LOSSES.values(), ids=LOSSES)
def test_what_a_loss_is_made_of_is_trained(criterion: str, loss: str) -> None:
    assert found(criterion, loss, "net.eval()") == []
    assert found(criterion, loss, "") == ["NN301 right = (net(x).argmax(1) == y).sum()"]


def test_instance_norm_is_at_home_in_train_mode() -> None:
    """It normalises each sample by itself there; in eval mode, with statistics of others. Training in eval mode is another thing."""
    layers = "nn.Linear(4, 8), nn.InstanceNorm1d(8, track_running_stats=True), nn.Linear(8, 3)"
    for inner, wrong in ((layers, []), (f"nn.Dropout(0.1), {layers}", ["NN301 right = (net(x).argmax(1) == y).sum()"])):
        text = HEAD.replace("nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)", inner)
        text = text.replace("{criterion}", "nn.CrossEntropyLoss()").replace("{loss}", "criterion(net(x), y)")
        assert lines(text.replace("{switch}", ""), "NN301", "NN302") == wrong
        text = text.replace("    net.train()\n", "").replace("{switch}", "    net.eval()")
        assert lines(text, "NN301", "NN302") == ["NN302 net.eval()"]


def test_a_loss_of_nobody_knows_what_says_nothing() -> None:
    assert found("thirdparty.Loss(net)", "criterion.step(len(x))", "") == []
