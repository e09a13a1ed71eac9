"""The training step: what optimizers hold, and which ways of zeroing, stepping and accumulating are understood.

A program marks what zeroes with `# zero`, and the backward whose gradients pile up without it with `# leak`: as it stands nothing is
found, and without the marked lines just that.
"""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from stories import Text, events, held, lines, said, stepping

from nnlint.trace.story import Backward

HEAD = """\
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

net, other = nn.Linear(4, 3), nn.Linear(4, 3)
loader = DataLoader(TensorDataset(torch.randn(8, 4), torch.randint(3, (8,))))
opt = torch.optim.SGD(net.parameters(), 0.1)
"""
_ZERO = re.compile(r"^( *).*# zero$", re.MULTILINE)


def leaks(text: Text) -> list[str]:
    return lines(text, "NN201", "NN202")


def zeroed(program: str) -> None:
    text = HEAD + dedent(program)
    assert any(isinstance(event, Backward) for event in events(text)) and stepping(text)
    assert leaks(text) == []
    wrong = [f"NN201 {line.strip()}" for line in text.splitlines() if line.endswith("# leak")]
    assert wrong and leaks(_ZERO.sub(r"\1pass", text)) == sorted(wrong)


ZEROED = {
    "before backward": """
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            opt.zero_grad()  # zero
            loss.backward()  # leak
            opt.step()
        """,
    "first in the round": """
        for x, y in loader:
            opt.zero_grad(set_to_none=True)  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "after the step": """
        for x, y in loader:
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
            opt.zero_grad()  # zero
        """,
    "between the forward and the loss": """
        for x, y in loader:
            out = net(x)
            opt.zero_grad(False)  # zero
            loss = F.cross_entropy(out, y)
            loss.backward()  # leak
            opt.step()
        """,
    "through the network": """
        for x, y in loader:
            net.zero_grad()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "grad set to None": """
        for x, y in loader:
            for p in net.parameters():
                p.grad = None  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "grad zeroed in place": """
        for x, y in loader:
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.zero_()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "grad detached and zeroed": """
        for x, y in loader:
            for name, p in net.named_parameters():
                if p.grad is not None:
                    p.grad.detach_()
                    p.grad.zero_()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "grad data zeroed": """
        for x, y in loader:
            for p in net.parameters():
                p.grad.data.zero_()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "groups of the optimizer": """
        for x, y in loader:
            for group in opt.param_groups:
                for p in group['params']:
                    p.grad = None  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "list of optimizers": """
        opts = [opt, torch.optim.Adam(other.parameters())]
        for x, y in loader:
            for o in opts:
                o.zero_grad()  # zero
            F.cross_entropy(net(x) + other(x), y).backward()  # leak
            for o in opts:
                o.step()
        """,
    "comprehension over optimizers": """
        opts = {'a': opt, 'b': torch.optim.Adam(other.parameters())}
        for x, y in loader:
            [o.zero_grad() for o in opts.values()]  # zero
            F.cross_entropy(net(x) + other(x), y).backward()  # leak
            [o.step() for o in opts.values()]
        """,
    "helper": """
        def reset(o):
            o.zero_grad()  # zero
        def update(o, loss):
            loss.backward()  # leak
            o.step()
        for x, y in loader:
            reset(opt)
            update(opt, F.cross_entropy(net(x), y))
        """,
    "function of one step": """
        def train_step(model, optimizer, batch):
            x, y = batch
            optimizer.zero_grad()  # zero
            loss = F.cross_entropy(model(x), y)
            loss.backward()  # leak
            optimizer.step()
            return loss.item()
        for epoch in range(3):
            for batch in loader:
                train_step(net, opt, batch)
        """,
    "closure over the outer names": """
        def main():
            def step(x, y):
                opt.zero_grad()  # zero
                F.cross_entropy(net(x), y).backward()  # leak
                opt.step()
            for x, y in loader:
                step(x, y)
        main()
        """,
    "methods": """
        class Trainer:
            def __init__(self, model, lr):
                self.model = model
                self.optim = torch.optim.SGD(model.parameters(), lr)
            def reset(self):
                self.optim.zero_grad()  # zero
            def fit(self, source):
                for x, y in source:
                    self.reset()
                    self.descend(F.cross_entropy(self.model(x), y))
            def descend(self, loss):
                loss.backward()  # leak
                self.optim.step()
        Trainer(net, 0.1).fit(loader)
        """,
    "methods of a base class": """
        class Base:
            def fit(self):
                for x, y in loader:
                    self.before()
                    self.step(x, y)
            def step(self, x, y):
                F.cross_entropy(net(x), y).backward()  # leak
                opt.step()
        class Trainer(Base):
            def before(self):
                opt.zero_grad()  # zero
        Trainer().fit()
        """,
    "partial": """
        import functools
        reset = functools.partial(opt.zero_grad, set_to_none=True)
        for x, y in loader:
            reset()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "context manager": """
        import contextlib
        @contextlib.contextmanager
        def optimizing(o):
            o.zero_grad()  # zero
            yield o
            o.step()
        for x, y in loader:
            with optimizing(opt):
                F.cross_entropy(net(x), y).backward()  # leak
        """,
    "closure of LBFGS": """
        lbfgs = torch.optim.LBFGS(net.parameters())
        for x, y in loader:
            def closure():
                lbfgs.zero_grad()  # zero
                loss = F.cross_entropy(net(x), y)
                loss.backward()  # leak
                return loss
            lbfgs.step(closure)
        """,
    "closure of another optimizer": """
        for x, y in loader:
            def closure():
                opt.zero_grad()  # zero
                loss = F.cross_entropy(net(x), y)
                loss.backward()  # leak
                return loss
            opt.step(closure)
        """,
    "scaler": """
        scaler = torch.cuda.amp.GradScaler()
        for x, y in loader:
            opt.zero_grad()  # zero
            with torch.autocast('cuda'):
                loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()  # leak
            scaler.unscale_(opt)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(opt)
            scaler.update()
        """,
    "scaler or not": """
        import sys
        amp = len(sys.argv) > 1
        scaler = torch.amp.GradScaler('cuda', enabled=amp)
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            opt.zero_grad()  # zero
            if amp:
                scaler.scale(loss).backward()  # leak
                scaler.step(opt)
                scaler.update()
            else:
                loss.backward()  # leak
                opt.step()
        """,
    "accelerator": """
        from accelerate import Accelerator
        accelerator = Accelerator()
        net, opt, loader = accelerator.prepare(net, opt, loader)
        for x, y in loader:
            opt.zero_grad()  # zero
            accelerator.backward(F.cross_entropy(net(x), y))  # leak
            accelerator.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
        """,
    "accelerator that accumulates": """
        from accelerate import Accelerator
        accelerator = Accelerator(gradient_accumulation_steps=4)
        net, opt, loader = accelerator.prepare(net, opt, loader)
        for x, y in loader:
            with accelerator.accumulate(net):
                accelerator.backward(F.cross_entropy(net(x), y))  # leak
                opt.step()
                opt.zero_grad()  # zero
        """,
    "fabric": """
        from lightning.fabric import Fabric
        fabric = Fabric()
        net, opt = fabric.setup(net, opt)
        for x, y in fabric.setup_dataloaders(loader):
            opt.zero_grad()  # zero
            fabric.backward(F.cross_entropy(net(x), y))  # leak
            opt.step()
        """,
    "while loop": """
        step = 0
        while step < 100:
            for x, y in loader:
                opt.zero_grad()  # zero
                F.cross_entropy(net(x), y).backward()  # leak
                opt.step()
                step += 1
        """,
    "iterator": """
        batches = iter(loader)
        for step in range(100):
            x, y = next(batches)
            opt.zero_grad()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """,
    "several backwards for each step": """
        for x, y in loader:
            opt.zero_grad()  # zero
            out = net(x)
            F.cross_entropy(out, y).backward(retain_graph=True)
            out.pow(2).mean().backward()  # leak
            opt.step()
        """,
    "optimizer of the project": """
        class Descent(torch.optim.Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, dict(lr=lr))
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group['params']:
                        p.data.add_(p.grad, alpha=-group['lr'])
        descent = Descent(net.parameters(), 0.1)
        for x, y in loader:
            descent.zero_grad()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            descent.step()
        """,
    "optimizer chosen by name": """
        OPTIMIZERS = {'sgd': torch.optim.SGD, 'adam': torch.optim.Adam}
        chosen = OPTIMIZERS['adam'](net.parameters(), lr=0.1)
        for x, y in loader:
            chosen.zero_grad()  # zero
            F.cross_entropy(net(x), y).backward()  # leak
            chosen.step()
        """,
    "first backward without a loop": """
        opt.zero_grad()
        F.cross_entropy(net(torch.ones(2, 4)), torch.ones(2).long()).backward()
        opt.step()
        opt.zero_grad()  # zero
        F.cross_entropy(net(torch.ones(2, 4)), torch.zeros(2).long()).backward()  # leak
        opt.step()
        """,
}


@pytest.mark.parametrize("program", ZEROED.values(), ids=ZEROED)
def test_zeroing_is_seen(program: str) -> None:
    zeroed(program)


CONDITIONS = {
    "after every fourth": "(i + 1) % 4 == 0",
    "not": "not (i + 1) % 4",
    "zero of a remainder": "0 == i % n",
    "or at the end": "(i + 1) % n == 0 or i + 1 == len(loader)",
    "last of the window": "i % n == n - 1",
    "on a flag": "(i % n == 0) and i > 0",
    "named": "due",
}
ACCUMULATED = """
import sys
n = int(sys.argv[1])
for i, (x, y) in enumerate(loader):
    due = (i + 1) % n == 0
    loss = F.cross_entropy(net(x), y) / n
    loss.backward()  # leak
    if CONDITION:
        opt.step()
        opt.zero_grad()  # zero
"""


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_accumulation(condition: str) -> None:
    zeroed(ACCUMULATED.replace("CONDITION", condition))


def test_accumulation_counted_by_hand() -> None:
    zeroed("""
        count = 0
        for x, y in loader:
            F.cross_entropy(net(x), y).backward()  # leak
            count += 1
            if count == 4:
                opt.step()
                opt.zero_grad()  # zero
                count = 0
        """)


def test_accumulation_in_an_inner_loop() -> None:
    zeroed("""
        for big, target in loader:
            opt.zero_grad()  # zero
            for x, y in zip(big.chunk(4), target.chunk(4)):
                F.cross_entropy(net(x), y).backward()  # leak
            opt.step()
        """)


def test_zeroing_at_every_micro_batch_throws_gradients_away() -> None:
    text = HEAD + ACCUMULATED.replace("CONDITION", CONDITIONS["after every fourth"])
    wrong = text.replace("    loss.backward()  # leak", "    opt.zero_grad()\n    loss.backward()  # leak").replace(
        "        opt.zero_grad()  # zero\n", ""
    )
    assert (leaks(text), leaks(wrong)) == ([], ["NN202 opt.zero_grad()"])


LOOP = """
for x, y in loader:
    loss = F.cross_entropy(net(x), y)
    {}
"""

ORDERS = {
    "right": ("opt.zero_grad(); loss.backward(); opt.step()", []),
    "never": ("loss.backward(); opt.step()", ["NN201"]),
    "between": ("loss.backward(); opt.zero_grad(); opt.step()", ["NN202"]),
    "between, through the network": ("loss.backward(); net.zero_grad(); opt.step()", ["NN202"]),
    "another's between": ("opt.zero_grad(); loss.backward(); other.zero_grad(); opt.step()", []),
    "only another's": ("other.zero_grad(); loss.backward(); opt.step()", ["NN201"]),
    "step, backward, zero": ("opt.step(); loss.backward(); opt.zero_grad()", ["NN202"]),
    "twice": ("opt.zero_grad(); opt.zero_grad(); loss.backward(); opt.step()", []),
}


@pytest.mark.parametrize(("order", "expected"), ORDERS.values(), ids=ORDERS)
def test_orders(order: str, expected: list[str]) -> None:
    assert [finding.code for finding in said(HEAD + LOOP.format(order)).findings] == expected


def test_zeroing_in_one_branch_only_is_named() -> None:
    text = HEAD + LOOP.format("""if x.sum() > 0:
        opt.zero_grad()
    loss.backward()
    opt.step()
""")
    (found,) = said(text).findings
    assert found.code == "NN201" and "not zeroed on every way" in found.message
    assert [text.splitlines()[step.place.row - 1].strip() for step in found.trace] == ["opt.step()", "loss.backward()", "opt.zero_grad()"]
    both = text.replace("        opt.zero_grad()\n", "        opt.zero_grad()\n    else:\n        net.zero_grad()\n")
    assert leaks(both) == []
    (never,) = said(text.replace("        opt.zero_grad()\n", "        pass\n")).findings
    assert "never zeroed" in never.message


GAN = """
gen, dis = nn.Linear(4, 4), nn.Linear(4, 1)
opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(dis.parameters())
for x, y in loader:
    fake = gen(torch.randn(8, 4))
    opt_d.zero_grad()  # zero d
    (dis(fake.detach()).mean() - dis(x).mean()).backward()  # d
    opt_d.step()
    opt_g.zero_grad()  # zero g
    (-dis(fake).mean()).backward()  # g
    opt_g.step()
"""


def test_several_optimizers() -> None:
    """Each is judged on the gradients of its own parameters: those that the generator's loss leaves in the discriminator count too."""
    assert leaks(HEAD + GAN) == []
    assert leaks(HEAD + GAN.replace("opt_g.zero_grad()", "pass")) == ["NN201 (-dis(fake).mean()).backward()  # g"]
    without = leaks(HEAD + GAN.replace("opt_d.zero_grad()", "pass"))
    assert without and all(line.startswith("NN201") for line in without)
    assert leaks(HEAD + GAN.replace("opt_g.zero_grad()", "gen.zero_grad()").replace("opt_d.zero_grad()", "dis.zero_grad()")) == []


PARAMETERS = {
    "a network's": ("torch.optim.SGD(net.parameters(), 0.1)", {"net"}),
    "another's": ("torch.optim.SGD(other.parameters(), 0.1)", {"other"}),
    "a sum": ("torch.optim.SGD(list(net.parameters()) + list(other.parameters()), 0.1)", {"net", "other"}),
    "a chain": ("torch.optim.SGD(itertools.chain(net.parameters(), other.parameters()), 0.1)", {"net", "other"}),
    "unpacked": ("torch.optim.Adam([*net.parameters(), *other.parameters()])", {"net", "other"}),
    "groups": ("torch.optim.AdamW([{'params': net.parameters()}, {'params': other.parameters(), 'lr': 0.1}])", {"net", "other"}),
    "by keyword": ("torch.optim.SGD(params=net.parameters(), lr=0.1)", {"net"}),
    "filter": ("torch.optim.SGD(filter(lambda p: p.requires_grad, net.parameters()), 0.1)", {"net"}),
    "comprehension": ("torch.optim.SGD([p for n, p in net.named_parameters() if 'bias' not in n], 0.1)", {"net"}),
    "one weight": ("torch.optim.SGD([net.weight], 0.1)", {"net"}),
    "a leaf": ("torch.optim.SGD([torch.zeros(3, requires_grad=True)], 0.1)", {"parameter"}),
    "a layer of it": ("torch.optim.SGD(whole[1].parameters(), 0.1)", {"other"}),
    "all of it": ("torch.optim.SGD(whole.parameters(), 0.1)", {"net", "other"}),
    "of a list of networks": ("torch.optim.SGD([p for part in (net, other) for p in part.parameters()], 0.1)", {"net", "other"}),
    "made by a function": ("make(other)", {"other"}),
}


@pytest.mark.parametrize(("optimizer", "expected"), PARAMETERS.values(), ids=PARAMETERS)
def test_what_an_optimizer_holds(optimizer: str, expected: set[str]) -> None:
    program = "import itertools\nwhole = nn.Sequential(net, other)\ndef make(n):\n    return torch.optim.Adam(n.parameters())\n"
    assert held(f"{HEAD}{program}one = {optimizer}\none.step()\n") == {"one": expected}


def test_groups_added_later() -> None:
    assert held(HEAD + "opt.add_param_group({'params': other.parameters()})\nopt.step()\n") == {"opt": {"net", "other"}}
    assert held(HEAD + "opt.step()\n") == {"opt": {"net"}}


def test_what_a_backward_reaches() -> None:
    """Detached, frozen under `no_grad` or not part of the loss: no gradient."""
    program = HEAD + "x, y = torch.randn(8, 4), torch.randint(3, (8,))\nwith torch.no_grad():\n    frozen = other(x)\n"
    for loss, expected in (
        ("F.cross_entropy(net(x), y)", {"net"}),
        ("F.cross_entropy(net(x) + other(x), y)", {"net", "other"}),
        ("F.cross_entropy(net(x) + other(x).detach(), y)", {"net"}),
        ("F.cross_entropy(net(x) + frozen, y)", {"net"}),
        ("F.cross_entropy(other(x), net(x).argmax(1))", {"other"}),
    ):
        (backward,) = [event for event in events(f"{program}{loss}.backward()\n") if isinstance(event, Backward)]
        assert backward.networks is not None
        assert {getattr(network, "label", "") for network in backward.networks} == expected


# --- frameworks --------------------------------------------------------------------------------------------------

LIGHTNING = """
import torch
from torch import nn
import torch.nn.functional as F
import lightning.pytorch as pl

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.automatic_optimization = AUTOMATIC
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        BODY
        return loss
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
"""
MANUAL = "opt = self.optimizers()\n        opt.zero_grad()\n        self.manual_backward(loss)\n        opt.step()"


def test_lightning_owns_the_step_where_it_is_automatic() -> None:
    automatic = LIGHTNING.replace("AUTOMATIC", "True").replace("BODY", "self.log('loss', loss)")
    assert leaks(automatic) == []
    assert said(automatic.replace("self.net(x), y", "self.net(x).softmax(1), y")).findings[0].code == "NN101"


def test_lightning_by_hand() -> None:
    text = LIGHTNING.replace("AUTOMATIC", "False").replace("BODY", MANUAL)
    assert leaks(text) == []
    assert leaks(text.replace("opt.zero_grad()", "pass")) == ["NN201 self.manual_backward(loss)"]
    assert leaks(text.replace("opt.step()", "opt.zero_grad()\n        opt.step()")) == ["NN202 opt.zero_grad()"]


OWNED = {
    "hf trainer": """
        from transformers import Trainer, TrainingArguments, AutoModel
        class Own(Trainer):
            def compute_loss(self, model, inputs, return_outputs=False):
                return F.cross_entropy(model(inputs['x']), inputs['y'])
        Own(model=net, args=TrainingArguments('out'), train_dataset=loader).train()
        """,
    "fastai": """
        from fastai.learner import Learner
        Learner(loader, net, loss_func=nn.CrossEntropyLoss()).fit(3)
        """,
    "skorch": """
        from skorch import NeuralNetClassifier
        NeuralNetClassifier(net, criterion=nn.CrossEntropyLoss).fit([[1.0]], [1])
        """,
    "ignite supervised": """
        from ignite.engine import create_supervised_trainer
        create_supervised_trainer(net, opt, nn.CrossEntropyLoss()).run(loader)
        """,
    "deepspeed": """
        import deepspeed
        engine, _, _, _ = deepspeed.initialize(model=net, model_parameters=net.parameters())
        for x, y in loader:
            loss = F.cross_entropy(engine(x), y)
            engine.backward(loss)
            engine.step()
        """,
}


@pytest.mark.parametrize("program", OWNED.values(), ids=OWNED)
def test_frameworks_that_own_the_step(program: str) -> None:
    """Nothing is missing; the same program with a softmax before the loss shows that it was read."""
    text = HEAD + dedent(program)
    assert said(text).findings == []
    softly = text.replace("net, other = nn.Linear(4, 3)", "net, other = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))")
    assert [finding.code for finding in said(softly).findings] == ["NN101"]


def test_ignite_step_by_hand() -> None:
    zeroed("""
        from ignite.engine import Engine
        def update(engine, batch):
            x, y = batch
            net.train()
            opt.zero_grad()  # zero
            loss = F.cross_entropy(net(x), y)
            loss.backward()  # leak
            opt.step()
            return loss.item()
        Engine(update).run(loader, max_epochs=3)
        """)


def test_lightning_optimizers_by_hand() -> None:
    """`self.optimizers()` are those that were configured, in their order."""
    text = LIGHTNING.replace("AUTOMATIC", "False").replace("BODY", MANUAL.replace("opt = ", "first, opt = "))
    for made in ("[a, b]", "(a, b)", "[a, b], [schedule(a)]", "({'optimizer': a}, {'optimizer': b, 'lr_scheduler': schedule(b)})"):
        both = "a, b = torch.optim.SGD([torch.ones(1)], 0.1), torch.optim.Adam(self.parameters())\n        return " + made
        given = text.replace("return torch.optim.Adam(self.parameters())", both)
        assert held(given) == {"b": {"net"}}
        assert leaks(given) == []
        assert leaks(given.replace("opt.zero_grad()", "first.zero_grad()")) == ["NN201 self.manual_backward(loss)"]


def test_an_optimizer_that_went_where_it_cannot_be_followed_is_not_judged() -> None:
    text = HEAD + "import foreign\n" + LOOP.format("foreign.prepare(opt); loss.backward(); opt.step()")
    assert leaks(text) == []
    assert leaks(text.replace("foreign.prepare(opt)", "foreign.prepare(x)")) == ["NN201 foreign.prepare(x); loss.backward(); opt.step()"]
