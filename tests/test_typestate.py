"""States along all ways through a story: branches that belong together, loops, early exits, counters.

The gradients of an optimizer are the state that is watched: a program as it stands and its twin differ in one condition or exit, and
only where a way leads from one step to the next backward without zeroing is there a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent, indent

import pytest
from stories import lines, told

from nnlint.trace.story import Arms, Backward, Event, Loop, Step, Zero
from nnlint.trace.typestate import Known, Walk
from nnlint.trace.values import Facts

HEAD = """\
import random
import sys
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

net = nn.Linear(4, 3)
opt = torch.optim.SGD(net.parameters(), 0.1)
loader = DataLoader(TensorDataset(torch.randn(8, 4), torch.randint(3, (8,))))
flag, n = bool(int(sys.argv[1])), int(sys.argv[2])
other = bool(int(sys.argv[3]))
"""
LOOP = "for i, (x, y) in enumerate(loader):\n    loss = F.cross_entropy(net(x), y)\n"

# Each: the body of the loop, and what makes of it a twin with a finding: (old, new).
BRANCHES: dict[str, tuple[str, tuple[str, str]]] = {
    "same condition twice": (
        """
        if flag:
            opt.zero_grad()
            loss.backward()
        if flag:
            opt.step()
        """,
        ("if flag:\n    opt.step()", "opt.step()\nif not flag:\n    loss.backward()"),
    ),
    "zero under the condition of the step": (
        """
        if flag:
            opt.zero_grad()
        loss.backward()
        if flag:
            opt.step()
        """,
        ("if flag:\n    opt.step()", "if other:\n    opt.step()"),
    ),
    "negated": (
        """
        if flag:
            opt.zero_grad()
        if not flag:
            net.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("if not flag:", "if flag:"),
    ),
    "else": (
        """
        if flag:
            opt.zero_grad()
        else:
            net.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("net.zero_grad()", "pass"),
    ),
    "elif": (
        """
        if flag:
            opt.zero_grad()
        elif other:
            opt.zero_grad()
        else:
            opt.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("else:\n    opt.zero_grad()", "else:\n    pass"),
    ),
    "and implies its parts": (
        """
        if flag:
            opt.zero_grad()
        loss.backward()
        if flag and other:
            opt.step()
        """,
        ("flag and other", "flag or other"),
    ),
    "either of two is asked, and each on its own": (
        """
        if flag:
            opt.zero_grad()
        if other:
            opt.zero_grad()
        loss.backward()
        if flag or other:
            opt.step()
        """,
        ("if flag or other:", "if flag or n:"),
    ),
    "not both, asked one after the other": (
        """
        if flag and other:
            opt.zero_grad()
        loss.backward()
        if flag:
            if other:
                opt.step()
        """,
        ("    if other:\n        opt.step()", "    if n:\n        opt.step()"),
    ),
    "a compound in a compound": (
        """
        if flag and (other or n):
            opt.zero_grad()
        loss.backward()
        if not flag:
            continue
        if n:
            opt.step()
        elif other:
            opt.step()
        """,
        ("flag and (other or n)", "flag and not (other and n)"),
    ),
    "negated parts": (
        """
        if flag and (other and not (n or i)):
            opt.zero_grad()
        loss.backward()
        if flag:
            if n or i or not other:
                pass
            else:
                opt.step()
        """,
        ("if n or i or not other:", "if n or not other:"),
    ),
    "a name for the condition": (
        """
        wanted = flag
        if wanted:
            opt.zero_grad()
        loss.backward()
        if flag:
            opt.step()
        """,
        ("wanted = flag", "wanted = other"),
    ),
    "one of several values": (
        """
        chosen = [0, 2.5, True][n]
        if chosen:
            opt.zero_grad()
        else:
            net.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("net.zero_grad()", "pass"),
    ),
    "a value that depends on a setting": (
        """
        often = 1 if flag else n
        if often > 2:
            opt.zero_grad()
        loss.backward()
        if often > 2:
            opt.step()
        """,
        ("if often > 2:\n    opt.step()", "if other:\n    opt.step()"),
    ),
    "comparison of a setting": (
        """
        if n == 1:
            opt.zero_grad()
        loss.backward()
        if n == 1:
            opt.step()
        """,
        ("if n == 1:\n    opt.step()", "if n == 2:\n    opt.step()"),
    ),
    "comparison and its opposite": (
        """
        if n > 1:
            opt.zero_grad()
        if n <= 1:
            opt.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("n <= 1", "n <= 0"),
    ),
    "is None and is not None": (
        """
        if net.bias is None:
            opt.zero_grad()
        if net.bias is not None:
            opt.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("if net.bias is not None:\n    opt.zero_grad()\n", ""),
    ),
    "a condition that is new in every round": (
        """
        skip = random.random() < 0.5
        if not skip:
            opt.zero_grad()
        loss.backward()
        if not skip:
            opt.step()
        """,
        ("if not skip:\n    opt.step()", "if random.random() < 0.5:\n    opt.step()"),
    ),
    "two draws are two conditions": (
        """
        opt.zero_grad()
        if random.random() < 0.5:
            loss.backward()
        opt.step()
        """,
        ("opt.zero_grad()\n", "if random.random() < 0.5:\n    opt.zero_grad()\n"),
    ),
    "try and except": (
        """
        try:
            opt.zero_grad()
            loss.backward()
            opt.step()
        except RuntimeError:
            continue
        """,
        ("    opt.zero_grad()\n", "    pass\n"),
    ),
    "finally": (
        """
        try:
            loss.backward()
            opt.step()
        finally:
            opt.zero_grad()
        """,
        ("finally:\n    opt.zero_grad()", "finally:\n    pass"),
    ),
    "match": (
        """
        match n:
            case 1:
                opt.zero_grad()
            case _:
                net.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("net.zero_grad()", "pass"),
    ),
    "conditional expression": (
        """
        opt.zero_grad() if flag else net.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("else net.zero_grad()", "else None"),
    ),
}

EXITS: dict[str, tuple[str, tuple[str, str]]] = {
    "continue before everything": (
        """
        if flag:
            continue
        opt.zero_grad()
        loss.backward()
        opt.step()
        """,
        ("opt.zero_grad()\n", ""),
    ),
    "continue that leaves the zeroing out": (
        """
        loss.backward()
        opt.step()
        if flag:
            opt.zero_grad()
            continue
        opt.zero_grad()
        """,
        ("    opt.zero_grad()\n    continue", "    continue"),
    ),
    "continue before the step": (
        """
        opt.zero_grad()
        loss.backward()
        if loss.isnan():
            continue
        opt.step()
        """,
        ("opt.zero_grad()\nloss.backward()", "loss.backward()"),
    ),
    "break after the step": (
        """
        loss.backward()
        opt.step()
        if flag:
            break
        opt.zero_grad()
        """,
        ("break", "continue"),
    ),
    "break out of all": (
        """
        loss.backward()
        opt.step()
        break
        """,
        ("break", "pass"),
    ),
    "raise": (
        """
        loss.backward()
        opt.step()
        if flag:
            raise ValueError(n)
        opt.zero_grad()
        """,
        ("raise ValueError(n)", "continue"),
    ),
}


def check(program: str, change: tuple[str, str]) -> None:
    """Nothing is found, and one backward once the program is changed."""
    program = dedent(program).strip()
    assert change[0] in program
    assert found(program) == []
    wrong = found(program.replace(*change, 1))
    assert wrong and set(wrong) == {"NN201 loss.backward()"}


def found(body: str) -> list[str]:
    return lines(f"{HEAD}{LOOP}{indent(body, '    ')}\n", "NN201", "NN202")


@pytest.mark.parametrize(("program", "change"), BRANCHES.values(), ids=BRANCHES)
def test_branches(program: str, change: tuple[str, str]) -> None:
    check(program, change)


@pytest.mark.parametrize(("program", "change"), EXITS.values(), ids=EXITS)
def test_exits_of_a_loop(program: str, change: tuple[str, str]) -> None:
    check(program, change)


ACCUMULATED = """
opt.zero_grad()
for i, (x, y) in enumerate(loader):
    loss = F.cross_entropy(net(x), y)
    if {}:
        opt.zero_grad()
        {}
    loss.backward()
    if i % n == 0:
        opt.step()
        opt.zero_grad()
"""


@pytest.mark.parametrize(
    ("condition", "then", "wasted"),
    [
        ("loss.isnan()", "continue", False),  # a broken batch, and the window with it
        ("random.random() < 0.1", "continue", False),
        ("flag", "continue", False),  # always or never
        ("flag", "loss.backward()", True),
        ("loss > 0", "loss.backward()", True),  # a batch that counts
        ("i > 0", "pass", True),
        ("True", "pass", True),
    ],
)
def test_a_window_may_be_given_up_for_what_a_batch_is(condition: str, then: str, wasted: bool) -> None:
    found = lines(HEAD + ACCUMULATED.format(condition, then), "NN201", "NN202")
    assert found == ["NN202 opt.zero_grad()"] * wasted


WHOLE: dict[str, tuple[str, tuple[str, str]]] = {
    "early return of a step": (
        """
        def step(x, y):
            opt.zero_grad()
            if flag:
                return
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        for x, y in loader:
            step(x, y)
        """,
        ("    opt.zero_grad()\n", ""),
    ),
    "early return leaves the zeroing out": (
        """
        def step(x, y):
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            if flag:
                opt.zero_grad()
                return 0
            opt.zero_grad()
            return 1
        for x, y in loader:
            step(x, y)
        """,
        ("        opt.zero_grad()\n        return 0", "        return 0"),
    ),
    "a return ends the function and not the loop": (
        """
        def reset():
            if flag:
                opt.zero_grad()
                return
            opt.zero_grad()
        for x, y in loader:
            reset()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        """,
        ("        opt.zero_grad()\n        return\n", "        return\n"),
    ),
    "a return ends both loops": (
        """
        def train():
            for epoch in range(n):
                for x, y in loader:
                    loss = F.cross_entropy(net(x), y)
                    loss.backward()
                    opt.step()
                    return
        train()
        """,
        ("return", "continue"),
    ),
    "a break leaves the inner loop only": (
        """
        for epoch in range(n):
            for x, y in loader:
                opt.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                opt.step()
                break
        """,
        ("        opt.zero_grad()\n", ""),
    ),
    "zeroed before the inner loop": (
        """
        for epoch in range(n):
            opt.zero_grad()
            for x, y in loader:
                loss = F.cross_entropy(net(x), y)
                loss.backward()
            opt.step()
        """,
        ("    opt.step()", "        opt.step()"),
    ),
    "zeroed after each epoch and once before": (
        """
        opt.zero_grad()
        for epoch in range(n):
            for x, y in loader:
                loss = F.cross_entropy(net(x), y)
                loss.backward()
            opt.step()
            opt.zero_grad()
        """,
        ("    opt.step()\n    opt.zero_grad()", "    opt.step()"),
    ),
    "two loops one after the other": (
        """
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
        for x, y in loader:
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        """,
        ("    opt.zero_grad()\n    loss = ", "    loss = "),
    ),
    "while with a counter": (
        """
        step = 0
        while True:
            for x, y in loader:
                opt.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                opt.step()
                step += 1
                if step == 100:
                    break
            if step == 100:
                break
        """,
        ("        opt.zero_grad()\n", ""),
    ),
    "first round apart": (
        """
        for i, (x, y) in enumerate(loader):
            if i > 0:
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        """,
        ("if i > 0:", "if flag:"),
    ),
    "first round apart, counted from one": (
        """
        for i, (x, y) in enumerate(loader, 1):
            if i != 1:
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        """,
        ("if i != 1:", "if i != 2:"),
    ),
    "a flag for the first round": (
        """
        first = True
        for x, y in loader:
            if not first:
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            first = False
        """,
        ("first = False", "first = not first"),
    ),
    "a counter as a condition": (
        """
        for i, (x, y) in enumerate(loader):
            if i:
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
        """,
        ("if i:", "if not i:"),
    ),
    "counted accumulation": (
        """
        for i, (x, y) in enumerate(loader):
            loss = F.cross_entropy(net(x), y) / n
            loss.backward()
            if (i + 1) % n == 0:
                opt.step()
                opt.zero_grad()
        """,
        ("        opt.step()\n        opt.zero_grad()", "        opt.step()"),
    ),
    "the counter decides both": (
        """
        for i, (x, y) in enumerate(loader):
            if i % n == 0:
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y) / n
            loss.backward()
            if (i + 1) % n == 0:
                opt.step()
        """,
        ("    if i % n == 0:\n        opt.zero_grad()\n", ""),
    ),
    "every few rounds, for something else": (
        """
        for i, (x, y) in enumerate(loader):
            opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            if i % n == 0:
                print(loss.item())
        """,
        ("    opt.zero_grad()\n", ""),
    ),
    "what is asked once a round is decided alike in all": (
        """
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            if flag:
                opt.zero_grad()
                loss.backward()
                opt.step()
            else:
                loss.backward()
                opt.step()
                opt.zero_grad()
        """,
        ("    if flag:", "    if random.random() < 0.5:"),
    ),
    "flag of the object": (
        """
        class Trainer:
            def __init__(self, amp):
                self.amp = amp
            def before(self):
                if self.amp:
                    opt.zero_grad()
                else:
                    net.zero_grad()
            def fit(self):
                for x, y in loader:
                    self.before()
                    loss = F.cross_entropy(net(x), y)
                    loss.backward()
                    opt.step()
        Trainer(flag).fit()
        """,
        ("            net.zero_grad()", "            pass"),
    ),
    "setting known where it is used": (
        """
        def fit(zero=True):
            for x, y in loader:
                if zero:
                    opt.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                opt.step()
        fit()
        """,
        ("\nfit()", "\nfit(False)"),
    ),
}


@pytest.mark.parametrize(("program", "change"), WHOLE.values(), ids=WHOLE)
def test_functions_and_loops(program: str, change: tuple[str, str]) -> None:
    program = dedent(program)
    assert change[0] in program
    assert lines(HEAD + program, "NN201", "NN202") == []
    wrong = lines(HEAD + program.replace(*change, 1), "NN201", "NN202")
    assert wrong and set(wrong) == {"NN201 loss.backward()"}


# --- the walk itself ---------------------------------------------------------------------------------------------


class Last:
    """Which of the events came last; remembers all that a step has seen."""

    def __init__(self) -> None:
        self.before_step: set[str] = set()

    def concerns(self, event: Event) -> bool:
        return isinstance(event, (Backward, Step, Zero))

    def on(self, event: Event, state: str, known: Known) -> tuple[str, Facts]:
        if isinstance(event, Step):
            self.before_step.add(state)
        return type(event).__name__, ()

    def passed(self, arms: Arms, taken: object, state: str) -> str:
        return state

    def again(self, loop: Loop, state: str) -> str:
        return state

    def left(self, loop: Loop, state: str) -> str:
        return state


def ways(program: str) -> tuple[set[str], set[str]]:
    """In which states a program may end, and in which a step may find it."""
    text = HEAD + "x, y = torch.randn(8, 4), torch.randint(3, (8,))\nloss = F.cross_entropy(net(x), y)\n" + dedent(program)
    last = Last()
    ends = Walk(told(text)[0], last).run("start")
    return ends, last.before_step


WAYS: dict[str, tuple[str, set[str], set[str]]] = {
    "in order": ("loss.backward(); opt.step()", {"Step"}, {"Backward"}),
    "either": ("if flag: loss.backward()\nelse: opt.zero_grad()", {"Backward", "Zero"}, set()),
    "one or nothing": ("if flag: loss.backward()", {"Backward", "start"}, set()),
    "together": ("if flag: loss.backward()\nif flag: opt.step()", {"Step", "start"}, {"Backward"}),
    "apart": ("if flag: loss.backward()\nif not flag: opt.step()", {"Backward", "Step"}, {"start"}),
    "independent": ("if flag: loss.backward()\nif other: opt.step()", {"Backward", "Step", "start"}, {"Backward", "start"}),
    "loop": ("for i in range(n):\n    opt.step()\n    loss.backward()", {"Backward"}, {"start", "Backward"}),
    "loop that is left": ("while True:\n    loss.backward()\n    if flag: break\n    opt.step()", {"Backward"}, {"Backward"}),
    "loop that is left at once": ("for i in range(n):\n    opt.step()\n    break", {"Step"}, {"start"}),
    "loop that is cut short": (
        "for i in range(n):\n    loss.backward()\n    if random.random() < 0.5: continue\n    opt.step()",
        {"Backward", "Step"},
        {"Backward"},
    ),
    "known number of rounds": ("for o in (opt, opt): o.step()", {"Step"}, {"start", "Step"}),
    "return": (
        "def f():\n    if flag:\n        return loss.backward()\n    opt.zero_grad()\nf()\nopt.step()",
        {"Step"},
        {"Backward", "Zero"},
    ),
    "finally": (
        "def f():\n    try:\n        return loss.backward()\n    finally:\n        opt.zero_grad()\nf()\nopt.step()",
        {"Step"},
        {"Zero"},
    ),
    "never taken": ("if False: loss.backward()\nopt.step()", {"Step"}, {"start"}),
    "decided before": ("if flag:\n    if not flag: loss.backward()\n    opt.step()", {"Step", "start"}, {"start"}),
}


@pytest.mark.parametrize(("program", "ends", "before"), WAYS.values(), ids=WAYS)
def test_all_ways_and_no_others(program: str, ends: set[str], before: set[str]) -> None:
    assert ways(program) == (ends, before)


def test_what_a_round_draws_is_forgotten_in_the_next() -> None:
    """A condition of the round may change in the next one, a setting may not."""
    body = "for i in range(n):\n    if {}: loss.backward()\n    opt.step()"
    assert ways(body.format("flag")) == ({"Step"}, {"Backward", "start", "Step"})
    both = "for i in range(n):\n    if {0}: loss.backward()\n    if not {0}: opt.step()"
    assert ways(both.format("flag")) == ({"Backward", "Step"}, {"start", "Step"})
    drawn = both.replace("    if {0}: l", "    drawn = random.random() < 0.5\n    if {0}: l")
    assert ways(drawn.format("drawn")) == ({"Backward", "Step"}, {"start", "Step", "Backward"})


def test_many_branches_end_in_time() -> None:
    """Conditions that nothing else asks for are not kept apart."""
    program = "\n".join(f"if random.random() < {i}: loss.backward()\nelse: opt.zero_grad()" for i in range(1, 60))
    assert ways(program + "\nopt.step()") == ({"Step"}, {"Backward", "Zero"})


def blocks(program: str) -> Iterator[str]:
    story = told(HEAD + dedent(program))[0]
    for item in story.root.items:
        yield type(item).__name__


def test_branches_in_which_nothing_happens_are_not_told() -> None:
    assert list(blocks("if flag: print(1)\nelse: n = 2")) == []
    assert list(blocks("if flag: opt.step()\nelse: n = 2")) == ["Arms"]
    assert list(blocks("for i in range(n): print(i)")) == []
    assert list(blocks("for i in range(n): opt.step()")) == ["Loop"]
