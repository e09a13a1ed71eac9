"""How a fix is written down: one-line loops, semicolons, comments, closures, arguments in columns; and where there is none."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from nnlint.fix.session import Session
from nnlint.lint import lint_text
from nnlint.registry import catalogue
from nnlint.settings import Table, settle

HEAD = """import torch
from torch import nn
import torch.nn.functional as F

X, Y = torch.randn(8, 4), torch.randint(3, (8,))
"""
NET = """\
net = nn.Linear(4, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
"""
DROPOUT = """\
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
"""
LOOP = """\
for _ in range(3):
    opt.zero_grad()
    loss = F.cross_entropy(net(X), Y)
    loss.backward()
    opt.step()
"""
BUILT = "net = Net()\nopt = torch.optim.SGD(net.parameters(), lr=0.1)\n" + LOOP

CASES = {
    "one-line loop": (
        NET
        + """
for _ in range(3): loss = F.cross_entropy(net(X), Y); loss.backward(); opt.step()
""",
        [
            "-for _ in range(3): loss = F.cross_entropy(net(X), Y); loss.backward(); opt.step()",
            "+for _ in range(3): loss = F.cross_entropy(net(X), Y); opt.zero_grad(); loss.backward(); opt.step()",
        ],
    ),
    "first in a one-line loop": (
        NET
        + """
for _ in range(3): F.cross_entropy(net(X), Y).backward(); opt.step()
""",
        [
            "-for _ in range(3): F.cross_entropy(net(X), Y).backward(); opt.step()",
            "+for _ in range(3): opt.zero_grad(); F.cross_entropy(net(X), Y).backward(); opt.step()",
        ],
    ),
    "one-line method": (
        """
class T:
    def __init__(self, net): self.net = net; self.opt = torch.optim.SGD(net.parameters(), lr=0.1)
    def step(self): F.cross_entropy(self.net(X), Y).backward(); self.opt.step()
t = T(nn.Linear(4, 3))
for _ in range(3): t.step()
""",
        [
            "-    def step(self): F.cross_entropy(self.net(X), Y).backward(); self.opt.step()",
            "+    def step(self): self.opt.zero_grad(); F.cross_entropy(self.net(X), Y).backward(); self.opt.step()",
        ],
    ),
    "statement in parentheses over lines": (
        NET
        + """
for _ in range(3):
    # go
    (
        F.cross_entropy(net(X), Y)
        / 2
    ).backward()
    opt.step()
""",
        [
            "+    opt.zero_grad()",
        ],
    ),
    "closure": (
        """
net = nn.Linear(4, 3)
opt = torch.optim.LBFGS(net.parameters())
for _ in range(3):
    def closure():
        loss = F.cross_entropy(net(X), Y)
        loss.backward()
        return loss
    opt.step(closure)
""",
        [
            "+        opt.zero_grad()",
        ],
    ),
    "optimizers in a dictionary": (
        """
net = nn.Linear(4, 3)
opts = {'main': torch.optim.SGD(net.parameters(), lr=0.1)}
for _ in range(3):
    F.cross_entropy(net(X), Y).backward()
    opts['main'].step()
""",
        [
            "+    opts['main'].zero_grad()",
        ],
    ),
    "a loop over optimizers": (
        """
a, b = nn.Linear(4, 4), nn.Linear(4, 3)
opts = [torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.SGD(b.parameters(), lr=0.1)]
for _ in range(3):
    F.cross_entropy(b(a(X)), Y).backward()
    for o in opts:
        o.step()  # one by one
""",
        [
            "+        o.zero_grad()",
        ],
    ),
    "no name that means it": (
        """
a, b = nn.Linear(4, 4), nn.Linear(4, 3)
opts = [torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.SGD(b.parameters(), lr=0.1)]
for _ in range(3):
    F.cross_entropy(b(a(X)), Y).backward()
    [o.step() for o in opts]
""",
        [],
    ),
    "a name that means another one by then": (
        """
a, b = nn.Linear(4, 3), nn.Linear(4, 3)
p, q = torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.SGD(b.parameters(), lr=0.1)
for _ in range(3):
    opt = p
    F.cross_entropy(a(X), Y).backward()
    opt.step()
    opt = q
    opt.zero_grad()
    F.cross_entropy(b(X), Y).backward()
    opt.step()
""",
        [
            "+    opt.zero_grad()",
        ],
    ),
    "accumulation under Accelerate": (
        """
from accelerate import Accelerator
accelerator = Accelerator(gradient_accumulation_steps=4)
net = nn.Linear(4, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
net, opt = accelerator.prepare(net, opt)
for _ in range(8):
    with accelerator.accumulate(net):
        accelerator.backward(F.cross_entropy(net(X), Y))
        opt.step()
""",
        [
            "+        opt.zero_grad()",
        ],
    ),
    "moved between semicolons": (
        NET
        + """
for _ in range(3):
    loss = F.cross_entropy(net(X), Y)
    loss.backward(); opt.zero_grad(); opt.step()
""",
        [
            "-    loss.backward(); opt.zero_grad(); opt.step()",
            "+    opt.zero_grad(); loss.backward(); opt.step()",
        ],
    ),
    "moved with its comments": (
        NET
        + """
for _ in range(3):
    loss = F.cross_entropy(net(X), Y)
    # compute
    loss.backward()
    # clear
    opt.zero_grad(set_to_none=True)  # all
    # update
    opt.step()
""",
        [
            "+    # clear",
            "+    opt.zero_grad(set_to_none=True)  # all",
            "-    # clear",
            "-    opt.zero_grad(set_to_none=True)  # all",
        ],
    ),
    "moved into a one-line condition": (
        NET
        + """
for i in range(8):
    opt.zero_grad()
    F.cross_entropy(net(X), Y).backward()
    if (i + 1) % 4 == 0: opt.step()
""",
        [
            "-    opt.zero_grad()",
            "-    if (i + 1) % 4 == 0: opt.step()",
            "+    if (i + 1) % 4 == 0: opt.step(); opt.zero_grad()",
        ],
    ),
    "gradients of another loss would pile up": (
        """
a, b = nn.Linear(4, 4), nn.Linear(4, 3)
p, q = torch.optim.SGD(a.parameters(), lr=0.1), torch.optim.SGD(b.parameters(), lr=0.1)
for i in range(8):
    h = a(X)
    F.mse_loss(b(h), torch.zeros(8, 3)).backward()
    if (i + 1) % 4 == 0:
        p.step()
        p.zero_grad()
    q.zero_grad()
    F.cross_entropy(b(h.detach()), Y).backward()
    if (i + 1) % 4 == 0:
        q.step()
""",
        [],
    ),
    "eval before a block": (
        DROPOUT
        + LOOP
        + """
with torch.no_grad(): print((net(X).argmax(1) == Y).float().mean())
""",
        [
            "+net.eval()",
        ],
    ),
    "eval before loops and conditions, train within the epoch": (
        DROPOUT
        + """
data = [(X, Y)] * 3
for epoch in range(2):
    for x, y in data:
        opt.zero_grad()
        F.cross_entropy(net(x), y).backward()
        opt.step()
    right = 0
    with torch.no_grad():
        for x, y in data:
            if x.is_cuda:
                out = net(x.cuda())
            else:
                out = net(x)
            right += (out.argmax(1) == y).sum()
    print(right)
""",
        [
            "+    net.train()",
            "+    net.eval()",
        ],
    ),
    "a loop that makes a name for each network": (
        """
nets = [nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)) for _ in range(2)]
for net in nets:
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        F.cross_entropy(net(X), Y).backward()
        opt.step()
for net in nets:
    with torch.no_grad():
        print((net(X).argmax(1) == Y).sum())
""",
        ["+    net.eval()"],
    ),
    "the same lines train and evaluate": (
        DROPOUT
        + """
for phase in ['train', 'test']:
    for _ in range(3):
        with torch.set_grad_enabled(phase == 'train'):
            out = net(X)
            loss = F.cross_entropy(out, Y)
            if phase == 'train':
                opt.zero_grad()
                loss.backward()
                opt.step()
            print((out.argmax(1) == Y).sum())
""",
        [],
    ),
    "an argument more": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-        self.fc = nn.Linear(4, 3)",
            "+        self.fc = nn.Linear(4, 3, bias=False)",
        ],
    ),
    "an argument behind a trailing comma": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3,)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-        self.fc = nn.Linear(4, 3,)",
            "+        self.fc = nn.Linear(4, 3, bias=False,)",
        ],
    ),
    "arguments in lines": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(
            in_features=4,
            out_features=3  # classes
        )
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-            out_features=3  # classes",
            "+            out_features=3,  # classes",
            "+            bias=False",
        ],
    ),
    "arguments in lines with a trailing comma": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(
            4,
            3,  # classes
        )
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "+            bias=False,",
        ],
    ),
    "arguments in a column": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4,
                            3)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-                            3)",
            "+                            3,",
            "+                            bias=False)",
        ],
    ),
    "an argument that is there": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3, True)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-        self.fc = nn.Linear(4, 3, True)",
            "+        self.fc = nn.Linear(4, 3, False)",
        ],
    ),
    "arguments that are not there to be seen": (
        """
options = {}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3, **options)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [],
    ),
    "a bias that is read": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        nn.init.zeros_(self.fc.bias)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [],
    ),
    "a bias that is asked for": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        if self.fc.bias is not None:
            nn.init.zeros_(self.fc.bias)
        self.bn = nn.BatchNorm1d(3)
    def forward(self, x):
        return self.bn(self.fc(x))
"""
        + BUILT,
        [
            "-        self.fc = nn.Linear(4, 3)",
            "+        self.fc = nn.Linear(4, 3, bias=False)",
        ],
    ),
    "an item of a Sequential": (
        """
net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
"""
        + LOOP,
        [
            "-net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))",
            "+net = nn.Sequential(nn.Linear(4, 3))",
        ],
    ),
    "a Sequential that is counted from its end": (
        """
net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    opt.zero_grad()
    loss = F.cross_entropy(net(X), Y)
    loss.backward()
    opt.step()
print(net[:-1](X))
""",
        [],
    ),
    "an expression that needs parentheses": (
        NET
        + """
for _ in range(3):
    opt.zero_grad()
    F.cross_entropy((net(X) + 1).softmax(1), Y).backward()
    opt.step()
""",
        [
            "-    F.cross_entropy((net(X) + 1).softmax(1), Y).backward()",
            "+    F.cross_entropy((net(X) + 1), Y).backward()",
        ],
    ),
    "an activation over lines": (
        NET
        + """
for _ in range(3):
    opt.zero_grad()
    p = F.softmax(
        net(X),
        dim=1,
    )
    F.cross_entropy(p, Y).backward()
    opt.step()
""",
        [
            "-    p = F.softmax(",
            "-        net(X),",
            "-        dim=1,",
            "-    )",
            "+    p = net(X)",
        ],
    ),
    "an activation in place": (
        NET
        + """
for _ in range(3):
    opt.zero_grad()
    p = net(X)
    p = p.softmax(1)
    F.cross_entropy(p, Y).backward()
    opt.step()
""",
        [
            "-    p = p.softmax(1)",
        ],
    ),
    "a threshold on probabilities": (
        NET
        + """
for _ in range(3):
    opt.zero_grad()
    p = net(X).softmax(1)
    F.cross_entropy(p, Y).backward()
    opt.step()
    print(p > 0.5)
""",
        [],
    ),
    "two names for one number": (
        """
class Heads(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads, self.each = heads, size // heads
        self.fc = nn.Linear(size, size)
    def forward(self, x):
        b, t, _ = x.shape
        return self.fc(x).view(b, self.heads, t, self.each)
Heads(16, 4)(torch.randn(2, 5, 16))
""",
        [
            "-        return self.fc(x).view(b, self.heads, t, self.each)",
            "+        return self.fc(x).view(b, t, self.heads, self.each).transpose(1, 2).contiguous()",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_text_of_a_fix(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, wanted = CASES[case]
    before = HEAD + program
    compile(before, case, "exec")
    rules, settings = catalogue(), settle(["."], Table())
    result = lint_text(before.encode(), "train.py", settings, rules)
    assert result.findings, "nothing to mend"
    mended = Session(result, settings, rules, unsafe=True, data=before.encode()).run(writing=False)
    after = mended.changes[0].after.decode() if mended.changes else before
    compile(after, case, "exec")
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    assert [line for line in changed if not line.startswith(("---", "+++", "@@"))] == wanted
    assert not mended.left
