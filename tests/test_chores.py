"""Chores: what a program does a thousand times and no training depends on is not run each time; all else is."""

from __future__ import annotations

import pytest
from stories import events, sources

from nnlint.lower import lower
from nnlint.program import File, Program
from nnlint.trace.chores import Chores
from nnlint.trace.story import Forward
from nnlint.trace.units import stories
from nnlint.trace.values import Const, Network

TRAINING = """
import torch
from torch import nn

net = nn.Linear(4, {size})
opt = torch.optim.SGD(net.parameters(), 0.1)
for x, y in [(torch.randn(8, 4), torch.randn(8, {size}))] * 3:
    nn.functional.mse_loss(net(x), y).backward()
    opt.step()
"""

ENTRY = """
class Entry:
    def __init__(self, name):
        self.name = name
        self.parts = [part.strip() for part in name.split("/") if part]
        self.kind = "image" if name.endswith(".png") else "text"
        self.size = 10 * len(self.parts) + 1

entries = [Entry(name + ".png") for name in "{names}"]
"""
SCORES = """
TABLE = {{"first": [{numbers}], "second": [{numbers}], "third": [{numbers}]}}

def area(values):
    total = 0
    for value in values:
        total += (value + 1) * 0.5 / 2
    return total

def score(task):
    found = {{}}
    for name in TABLE:
        for other in TABLE:
            if other == task:
                found[name] = area(TABLE[name])
    return found[task]

for task in ["first", "second", "third", "first"]:
    for again in ["first", "second", "third", "first", "second", "third"]:
        score(task)
"""
CHORES = {
    "objects": ENTRY.format(names="abcdefghijklmnopqrstuvwxyz" * 2),
    "numbers": SCORES.format(numbers=", ".join(map(str, range(60)))),
}


def cut(program: str, budget: int) -> bool:
    files = [File(source.key, lower(source.text)) for source in sources(program)]
    return any(story.cut for story in stories(Program(files), budget))


def size(program: str) -> object:
    """The size of the output layer of the network that a program calls."""
    found = next(event.network for event in events(program) if isinstance(event, Forward))
    assert isinstance(found, Network)
    value = found.args["out_features"]
    return value.value if isinstance(value, Const) else None


@pytest.mark.parametrize(("chore", "budget"), [("objects", 1_500), ("numbers", 20_000)])
def test_chores_leave_the_budget_to_the_training(chore: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = CHORES[chore] + TRAINING.format(size=3)
    assert not cut(program, budget)
    monkeypatch.setattr(Chores, "watch", lambda *_: None)
    assert cut(program, budget)


def test_helpers_whose_numbers_make_layers_are_run_each_time() -> None:
    helper = "def rounded(n):\n    return (n + 7) // 8 * 8\n\n"
    helper += "for n in [9, 17, 25, 33, 41, 49, 57, 65, 73, 81, 89, 97, 17]:\n    last = rounded(n)\n"
    assert size(helper + TRAINING.format(size="last")) == 24


def test_what_writes_to_others_is_run_each_time() -> None:
    helper = "seen = []\n\ndef note(name):\n    seen.append(name)\n\nfor name in 'abcdefghijklmnop':\n    note(name)\n"
    assert size(helper + TRAINING.format(size="len(seen)")) == 16


def test_what_makes_layers_is_run_each_time() -> None:
    helper = "from torch import nn\n\ndef layer(n):\n    return nn.Linear(n, n + 1)\n\n"
    helper += "layers = [layer(n) for n in [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]]\n"
    program = helper + TRAINING.format(size=3).replace("nn.Linear(4, 3)", "nn.Sequential(*layers)")
    found = next(event.network for event in events(program) if isinstance(event, Forward))
    assert isinstance(found, Network)
    assert [part.args["out_features"].value for _, part in found.items or () if isinstance(part, Network)] == list(range(5, 17))  # type: ignore[attr-defined]
