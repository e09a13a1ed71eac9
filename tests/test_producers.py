"""From the activation to the loss: every way that a program can take, each once with the mistake and once without it."""

from __future__ import annotations

from textwrap import dedent

import pytest
from stories import HEAD as PLAIN
from stories import lines, said

from nnlint.findings import Confidence

HEAD = """\
import torch
from torch import nn
import torch.nn.functional as F
from collections import OrderedDict
from functools import partial

x, y = torch.randn(8, 4), torch.randint(3, (8,))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.end = END

    def forward(self, x):
        return self.end(self.fc(x))


"""
SOFT, RAW = "nn.Softmax(dim=1)", "nn.Identity()"


def written(program: str, end: str) -> str:
    return (HEAD + dedent(program)).replace("END", end)


def found(program: str, end: str, *codes: str) -> int:
    """How many certain findings of some rules a program has."""
    wanted = codes or ("NN101",)
    return sum(finding.code in wanted and finding.confidence is Confidence.CERTAIN for finding in said(written(program, end)).findings)


def leads(program: str) -> None:
    """The softmax at `END` reaches the loss; where nothing stands in its place there is nothing to report."""
    assert found(program, SOFT) == 1
    assert found(program, RAW) == 0


# --- losses ------------------------------------------------------------------------------------------------------

HELD = {
    "variable": "criterion = nn.CrossEntropyLoss()\ncriterion(Net()(x), y).backward()",
    "never bound": "nn.CrossEntropyLoss()(Net()(x), y).backward()",
    "function": "F.cross_entropy(Net()(x), y).backward()",
    "function by another name": "from torch.nn.functional import cross_entropy as ce\nce(Net()(x), y).backward()",
    "parameter": """
        def train(net, loss_fn):
            loss_fn(net(x), y).backward()
        train(Net(), nn.CrossEntropyLoss())
        """,
    "keyword": """
        def train(net, loss_fn=None):
            loss_fn(net(x), y).backward()
        train(Net(), loss_fn=nn.CrossEntropyLoss())
        """,
    "default": """
        def train(net, loss_fn=nn.CrossEntropyLoss()):
            loss_fn(net(x), y).backward()
        train(Net())
        """,
    "class as parameter": """
        def train(net, loss):
            loss()(net(x), y).backward()
        train(Net(), nn.CrossEntropyLoss)
        """,
    "attribute of a trainer": """
        class Trainer:
            def __init__(self, net, criterion):
                self.net, self.criterion = net, criterion
            def fit(self):
                self.criterion(self.net(x), y).backward()
        Trainer(Net(), nn.CrossEntropyLoss()).fit()
        """,
    "attribute set later": """
        class Trainer:
            def compile(self, loss):
                self.loss = loss
            def fit(self, net):
                self.loss(net(x), y).backward()
        trainer = Trainer()
        trainer.compile(nn.CrossEntropyLoss())
        trainer.fit(Net())
        """,
    "attribute of a network": """
        class Learner(Net):
            def __init__(self):
                super().__init__()
                self.criterion = nn.CrossEntropyLoss()
            def loss(self, x, y):
                return self.criterion(self(x), y)
        Learner().loss(x, y).backward()
        """,
    "attribute of a base class": """
        class Base(nn.Module):
            criterion = nn.CrossEntropyLoss()
            def step(self):
                self.criterion(self(x), y).backward()
        class Learner(Base):
            def __init__(self):
                super().__init__()
                self.fc, self.end = nn.Linear(4, 3), END
            def forward(self, x):
                return self.end(self.fc(x))
        Learner().step()
        """,
    "dictionary": "losses = {'ce': nn.CrossEntropyLoss(), 'mse': nn.MSELoss()}\nlosses['ce'](Net()(x), y).backward()",
    "list": "criteria = [nn.CrossEntropyLoss()]\nfor criterion in criteria:\n    criterion(Net()(x), y).backward()",
    "both arms": """
        import sys
        if 'weighted' in sys.argv:
            criterion = nn.CrossEntropyLoss(weight=torch.ones(3))
        else:
            criterion = nn.CrossEntropyLoss()
        criterion(Net()(x), y).backward()
        """,
    "conditional expression": """
        import sys
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1) if len(sys.argv) > 1 else F.cross_entropy
        criterion(Net()(x), y).backward()
        """,
    "lambda": "criterion = lambda scores, target: F.cross_entropy(scores, target)\ncriterion(Net()(x), y).backward()",
    "partial": "criterion = partial(F.cross_entropy, label_smoothing=0.1)\ncriterion(Net()(x), y).backward()",
    "closure": """
        def make(weight):
            def loss(scores, target):
                return weight * F.cross_entropy(scores, target)
            return loss
        make(0.5)(Net()(x), y).backward()
        """,
    "function that ends in one": """
        def smooth_loss(scores, target, eps=0.1):
            uniform = -F.log_softmax(scores, dim=1).mean()
            return (1 - eps) * F.cross_entropy(scores, target) + eps * uniform
        smooth_loss(Net()(x), y).backward()
        """,
    "class that ends in one": """
        class FocalLoss(nn.Module):
            def __init__(self, gamma=2):
                super().__init__()
                self.gamma = gamma
            def forward(self, input, target):
                ce = F.cross_entropy(input, target, reduction='none')
                return ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()
        criterion = FocalLoss()
        criterion(Net()(x), y).backward()
        """,
    "class that holds one": """
        class Objective(nn.Module):
            def __init__(self):
                super().__init__()
                self.ce = nn.CrossEntropyLoss()
            def forward(self, outputs, target):
                return 2 * self.ce(outputs, target)
        Objective()(Net()(x), y).backward()
        """,
    "subclass": """
        class Weighted(nn.CrossEntropyLoss):
            def forward(self, input, target):
                return 2 * super().forward(input, target)
        Weighted()(Net()(x), y).backward()
        """,
    "by name": "criterion = getattr(nn, 'CrossEntropyLoss')()\ncriterion(Net()(x), y).backward()",
    "moved": "criterion = nn.CrossEntropyLoss().to('cpu')\ncriterion(Net()(x), y).backward()",
    "sum of several": "loss = 0\nfor _ in range(3):\n    loss = loss + F.cross_entropy(Net()(x), y)\nloss.backward()",
}


@pytest.mark.parametrize("program", HELD.values(), ids=HELD.keys())
def test_losses_wherever_they_are_held(program: str) -> None:
    leads(program)


@pytest.mark.parametrize(
    ("end", "loss", "code"),
    [
        ("nn.Softmax(dim=1)", "nn.CrossEntropyLoss()", "NN101"),
        ("nn.Sigmoid()", "nn.CrossEntropyLoss()", "NN101"),
        ("nn.Sigmoid()", "nn.BCEWithLogitsLoss()", "NN101"),
        ("nn.LogSigmoid()", "nn.BCEWithLogitsLoss()", "NN101"),
        ("nn.Softmax(dim=1)", "nn.MultiMarginLoss()", "NN101"),
        ("nn.Sigmoid()", "nn.MultiLabelSoftMarginLoss()", "NN101"),
        ("nn.Softmax(dim=1)", "nn.NLLLoss()", "NN102"),
        ("nn.Identity()", "nn.NLLLoss()", "NN102"),
        ("nn.Identity()", "nn.BCELoss()", "NN102"),
        ("nn.LogSoftmax(dim=1)", "nn.BCELoss()", "NN102"),
        ("nn.Softmax(dim=1)", "nn.KLDivLoss()", "NN102"),
        ("nn.ReLU()", "nn.CrossEntropyLoss()", "NN103"),
        ("nn.Tanh()", "nn.BCEWithLogitsLoss()", "NN103"),
        ("nn.Identity()", "nn.CrossEntropyLoss()", ""),
        ("nn.LeakyReLU()", "nn.CrossEntropyLoss()", ""),
        ("nn.LogSoftmax(dim=1)", "nn.CrossEntropyLoss()", ""),
        ("nn.LogSoftmax(dim=1)", "nn.NLLLoss()", ""),
        ("nn.LogSoftmax(dim=1)", "nn.KLDivLoss()", ""),
        ("nn.Sigmoid()", "nn.BCELoss()", ""),
        ("nn.Softmax(dim=1)", "nn.BCELoss()", ""),
        ("nn.Sigmoid()", "nn.MSELoss()", ""),
        ("nn.ReLU()", "nn.L1Loss()", ""),
    ],
)
def test_pairs_of_activation_and_loss(end: str, loss: str, code: str) -> None:
    program = written(f"criterion = {loss}\ncriterion(Net()(x), y).backward()", end)
    assert {finding.code for finding in said(program).findings} & {"NN101", "NN102", "NN103"} == ({code} if code else set())


@pytest.mark.parametrize(
    "program",
    [
        "F.binary_cross_entropy(Net().fc(x).clamp(0, 1), y).backward()",
        "F.kl_div(F.log_softmax(F.relu(Net().fc(x)), dim=1), F.softmax(x, dim=1)).backward()",
        "(1 + F.nll_loss(F.softmax(Net().fc(x), dim=1), y, reduction='none')).mean().backward()",
        "F.cross_entropy(10 * torch.tanh(Net().fc(x)), y).backward()",
        "F.cross_entropy(F.adaptive_avg_pool2d(F.relu(nn.Conv2d(3, 4, 1)(torch.rand(2, 3, 8, 8))), 1).flatten(1), y).backward()",
    ],
)
def test_what_is_meant_so(program: str) -> None:
    assert found(program, RAW, "NN101", "NN102", "NN103") == 0


@pytest.mark.parametrize(
    "call",
    [
        "F.cross_entropy(input=net(x), target=y)",
        "F.cross_entropy(target=y, input=net(x))",
        "nn.CrossEntropyLoss()(target=y, input=net(x))",
        "F.cross_entropy(*(net(x), y))",
        "F.cross_entropy(**{'input': net(x), 'target': y})",
        "F.binary_cross_entropy_with_logits(net(x), y, reduction='sum')",
        "F.multilabel_soft_margin_loss(net(x), y)",
    ],
)
def test_which_argument_is_the_input(call: str) -> None:
    leads(f"net = Net()\nloss = {call}\nloss.backward()")


@pytest.mark.parametrize(
    "call",
    [
        "F.cross_entropy(net.fc(x), net(x))",  # soft targets
        "F.cross_entropy(net.fc(x), target=net(x).detach())",
        "F.cross_entropy(net.fc(x), y, weight=net(x)[0])",
        "F.kl_div(F.log_softmax(net.fc(x), dim=1), net(x))",
    ],
)
def test_other_arguments_may_be_probabilities(call: str) -> None:
    assert found(f"net = Net()\n({call}).backward()", SOFT, "NN101", "NN102") == 0


# --- outputs -----------------------------------------------------------------------------------------------------

ELEMENTS = {
    "tuple": ("return raw, self.end(raw)", "raw, soft = net(x)", "soft", "raw"),
    "tuple by index": ("return raw, self.end(raw)", "out = net(x)", "out[1]", "out[0]"),
    "last of a tuple": ("return raw, raw, self.end(raw)", "out = net(x)", "out[-1]", "out[-2]"),
    "starred": ("return self.end(raw), raw, raw", "soft, *rest = net(x)", "soft", "rest[0]"),
    "nested": ("return raw, (raw, self.end(raw))", "_, (raw, soft) = net(x)", "soft", "raw"),
    "dictionary": ("return {'logits': raw, 'probs': self.end(raw)}", "out = net(x)", "out['probs']", "out['logits']"),
    "dictionary by get": ("return dict(logits=raw, probs=self.end(raw))", "out = net(x)", "out.get('probs')", "out['logits']"),
    "list": ("return [raw, self.end(raw)]", "out = net(x)", "out[1]", "out[0]"),
    "slice": ("return [raw, self.end(raw), self.end(raw)]", "out = net(x)[1:]", "out[0]", "net(x)[:1][0]"),
    "piece": ("return torch.cat([raw, raw]), self.end(raw)", "raw, soft = net(x)", "soft[:4]", "raw[:8]"),
    "named tuple": ("return Out(raw, self.end(raw))", "out = net(x)", "out.probs", "out.logits"),
}


@pytest.mark.parametrize(("back", "call", "soft", "raw"), ELEMENTS.values(), ids=ELEMENTS.keys())
def test_outputs_element_by_element(back: str, call: str, soft: str, raw: str) -> None:
    program = f"""
        from typing import NamedTuple

        class Out(NamedTuple):
            logits: torch.Tensor
            probs: torch.Tensor

        class Two(Net):
            def forward(self, x):
                raw = self.fc(x)
                {back}

        net = Two()
        {call}
        """
    for element, expected in ((soft, 1), (raw, 0)):
        assert found(f"{dedent(program)}\nF.cross_entropy({element}, y).backward()", SOFT) == expected


KEPT = [
    "out.view(-1, 3)",
    "out.reshape(-1, 3)",
    "out.squeeze()",
    "out.transpose(0, 1)",
    "out.permute(1, 0)",
    "out.t()",
    "out.flatten(1)",
    "out.unsqueeze(0)",
    "out[:, :3]",
    "out[y > 0]",
    "out.float()",
    "out.to('cpu')",
    "out.cuda()",
    "out.contiguous()",
    "out.clone()",
    "torch.cat([out, out])",
    "torch.stack([out, out])",
    "torch.squeeze(out)",
    "F.dropout(out, 0.1)",
    "nn.Dropout()(out)",
    "out.clamp(1e-6, 1)",
    "out + 1e-8",
    "torch.where(y[:, None] > 0, out, out)",
    "out.gather(1, y[:, None])",
    "out.chunk(2)[0]",
    "out.mean(dim=0)",
    "nn.Identity()(out)",
    "out.requires_grad_()",
    "out.detach()",
    "out.data",
    "torch.autograd.Variable(out)",
    "nn.Flatten()(out)",
    "F.interpolate(out, scale_factor=2)",
]


@pytest.mark.parametrize("expression", KEPT)
def test_what_leaves_probabilities_as_they_are(expression: str) -> None:
    leads(f"out = Net()(x)\nF.cross_entropy({expression}, y).backward()")


@pytest.mark.parametrize(
    "expression",
    [
        "torch.log(out)",
        "out * 10",
        "out @ torch.randn(3, 3)",
        "torch.logit(out)",
        "1 - out",
        "nn.Linear(3, 3)(out)",
        "out.sum(dim=0)",
        "f(out)",
    ],
)
def test_what_makes_something_else_of_them(expression: str) -> None:
    assert found(f"from elsewhere import f\nout = Net()(x)\nF.cross_entropy({expression}, y).backward()", SOFT) == 0


# --- modes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "training"),
    [("self.training", True), ("not self.training", False), ("self.training is False", False), ("not (self.training)", False)],
)
def test_arms_of_the_mode_are_kept_apart(test: str, training: bool) -> None:
    program = f"""
        class Moded(Net):
            def forward(self, x):
                out = self.fc(x)
                if {test}:
                    return self.end(out)
                return out

        net = Moded()
        net.train()
        F.cross_entropy(net(x), y).backward()
        """
    assert found(program, SOFT) == int(training)


def test_a_flag_of_the_call_decides() -> None:
    program = """
        class Flagged(Net):
            def forward(self, x, apply_softmax=False):
                out = self.fc(x)
                if apply_softmax:
                    out = self.end(out)
                return out

        net = Flagged()
        F.cross_entropy(net(x{}), y).backward()
        """
    assert found(program.format(""), SOFT) == 0
    assert found(program.format(", apply_softmax=True"), SOFT) == 1
    assert found(program.format(", True"), SOFT) == 1


def test_a_setting_that_is_not_known_is_no_proof() -> None:
    program = """
        import sys

        class Flagged(Net):
            def __init__(self, soft):
                super().__init__()
                self.soft = soft
            def forward(self, x):
                out = self.fc(x)
                return self.end(out) if self.soft else out

        net = Flagged(len(sys.argv) > 1)
        F.cross_entropy(net(x), y).backward()
        """
    assert {finding.confidence for finding in said(written(program, SOFT)).findings if finding.code == "NN101"} == {Confidence.SUSPECTED}


def test_a_rival_loss_that_fits_is_no_proof() -> None:
    program = """
        import sys
        criterion = {'bce': nn.BCELoss(), 'logits': nn.BCEWithLogitsLoss()}[sys.argv[1]]
        criterion(Net()(x), y).backward()
        """
    assert found(program, "nn.Sigmoid()") == 0


def test_one_of_several_networks_is_wrong() -> None:
    program = """
        import sys

        class Other(Net):
            def forward(self, x):
                return self.fc(x)

        net = Net() if sys.argv[1] == 'a' else Other()
        F.cross_entropy(net(x), y).backward()
        """
    leads(program)


# --- networks ----------------------------------------------------------------------------------------------------

BUILT = {
    "positional": "net = nn.Sequential(nn.Linear(4, 3), END)",
    "ordered dict": "net = nn.Sequential(OrderedDict([('fc', nn.Linear(4, 3)), ('end', END)]))",
    "add_module": "net = nn.Sequential()\nnet.add_module('fc', nn.Linear(4, 3))\nnet.add_module('end', END)",
    "append": "net = nn.Sequential(nn.Linear(4, 3))\nnet.append(END)",
    "extend": "net = nn.Sequential()\nnet.extend([nn.Linear(4, 3), END])",
    "unpacked list": """
        layers = []
        for width in (8, 3):
            layers += [nn.Linear(4, width), END if width == 3 else nn.ReLU()]
        net = nn.Sequential(*layers)
        """,
    "list grown in a loop": """
        sizes, layers = [4, 16, 8, 3], []
        for i in range(len(sizes) - 1):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            layers.append(nn.ReLU() if i < len(sizes) - 2 else END)
        net = nn.Sequential(*layers)
        """,
    "sum of lists": "net = nn.Sequential(*([nn.Linear(4, 3)] + [END]))",
    "slice": "net = nn.Sequential(nn.Linear(4, 3), END, nn.Linear(3, 3))[:2]",
    "children": "net = nn.Sequential(*list(nn.Sequential(nn.Linear(4, 3), END, nn.Linear(3, 3)).children())[:-1])",
    "item replaced": "net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())\nnet[1] = END",
    "nested": "net = nn.Sequential(nn.Sequential(nn.Linear(4, 3)), nn.Sequential(nn.Dropout(), END))",
    "subclass": """
        class Stack(nn.Sequential):
            def __init__(self):
                super().__init__(nn.Linear(4, 3), END)
        net = Stack()
        """,
    "function": "def build(width):\n    return nn.Sequential(nn.Linear(4, width), END)\nnet = build(3)",
    "module list": """
        class Listed(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(4, 3), END])
            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x
        net = Listed()
        """,
    "module list by position": """
        class Listed(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList()
                self.layers.append(nn.Linear(4, 3))
                self.layers.append(END)
            def forward(self, x):
                for i in range(len(self.layers)):
                    x = self.layers[i](x)
                return x
        net = Listed()
        """,
    "module dict": """
        class Named(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleDict({'fc': nn.Linear(4, 3), 'end': END})
            def forward(self, x):
                return self.parts['end'](self.parts['fc'](x))
        net = Named()
        """,
    "module dict in a loop": """
        class Named(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleDict({'fc': nn.Linear(4, 3), 'end': END})
            def forward(self, x):
                for name, part in self.parts.items():
                    x = part(x)
                return x
        net = Named()
        """,
    "attributes by name": """
        class Numbered(nn.Module):
            def __init__(self):
                super().__init__()
                setattr(self, 'layer0', nn.Linear(4, 3))
                setattr(self, 'layer1', END)
            def forward(self, x):
                for i in range(2):
                    x = getattr(self, f'layer{i}')(x)
                return x
        net = Numbered()
        """,
    "block as layer": """
        class Block(nn.Module):
            def __init__(self, n_in, n_out, end):
                super().__init__()
                self.fc, self.end = nn.Linear(n_in, n_out), end
            def forward(self, x):
                return self.end(self.fc(x))
        net = nn.Sequential(Block(4, 8, nn.ReLU()), Block(8, 3, END))
        """,
    "class as argument": """
        class Block(nn.Module):
            def __init__(self, act):
                super().__init__()
                self.fc, self.act = nn.Linear(4, 3), act()
            def forward(self, x):
                return self.act(self.fc(x))
        net = Block(lambda: END)
        """,
    "inherited forward": "class Child(Net):\n    pass\nnet = Child()",
    "forward of the base": "class Child(Net):\n    def forward(self, x):\n        return super().forward(x)\nnet = Child()",
    "tail replaced": "net = Net()\nnet.end = END",
    "made in forward": """
        class Late(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 3)
            def forward(self, x):
                end = END
                return end(self.fc(x))
        net = Late()
        """,
    "data parallel": "net = nn.DataParallel(Net())",
    "distributed": "net = nn.parallel.DistributedDataParallel(Net())",
    "compiled": "net = torch.compile(Net())",
    "scripted": "net = torch.jit.script(Net())",
    "prepared": "from accelerate import Accelerator\nnet = Accelerator().prepare(Net())",
    "prepared with others": """
        from accelerate import Accelerator
        accelerator, net = Accelerator(), Net()
        net, opt = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.1))
        """,
    "moved": "net = Net().to('cpu')",
    "cuda": "net = Net().cuda()",
    "train": "net = Net()\nnet = net.train()",
    "moved where it was": "net = Net()\nnet.to('cpu')",
    "copied": "import copy\nnet = copy.deepcopy(Net())",
    "unwrapped": "net = nn.DataParallel(Net()).module",
}


@pytest.mark.parametrize("program", BUILT.values(), ids=BUILT.keys())
def test_networks_however_they_are_built(program: str) -> None:
    leads(f"{dedent(program)}\nF.cross_entropy(net(x), y).backward()")


APPLIED = {
    "function": "F.softmax(scores, dim=1)",
    "function of torch": "torch.softmax(scores, dim=1)",
    "method": "scores.softmax(-1)",
    "layer": "nn.Softmax(dim=1)(scores)",
    "sigmoid": "torch.sigmoid(scores)",
    "sigmoid method": "scores.sigmoid()",
    "old function": "F.sigmoid(scores)",
    "of torch.special": "torch.special.expit(scores)",
    "gumbel": "F.gumbel_softmax(scores)",
    "log sigmoid": "F.logsigmoid(scores)",
    "softmin": "F.softmin(scores, dim=1)",
    "two dimensions": "nn.Softmax2d()(scores)",
}


@pytest.mark.parametrize("expression", APPLIED.values(), ids=APPLIED.keys())
def test_activations_however_they_are_applied(expression: str) -> None:
    program = "scores = Net()(x)\nF.binary_cross_entropy_with_logits({}, y).backward()"
    assert found(program.format(expression), RAW) == 1
    assert found(program.format("scores"), RAW) == 0


CALLED = {
    "forward": "out = net.forward(x)",
    "__call__": "out = net.__call__(x)",
    "keyword": "out = net(x=x)",
    "unpacked": "out = net(*[x])",
    "another method": "out = net.scores(x)",
    "method by itself": "out = net.again(x)",
    "alias": "run = net\nout = run(x)",
    "bound method": "run = net.forward\nout = run(x)",
    "checkpoint": "from torch.utils.checkpoint import checkpoint\nout = checkpoint(net, x)",
    "comprehension": "out = torch.stack([net(x) for _ in range(2)])",
    "autocast": "with torch.autocast('cpu'):\n    out = net(x)",
    "map": "out = list(map(net, [x]))[0]",
}


@pytest.mark.parametrize("call", CALLED.values(), ids=CALLED.keys())
def test_networks_however_they_are_called(call: str) -> None:
    program = """
        class More(Net):
            def scores(self, x):
                return self(x)
            def again(self, x):
                return self.__call__(x)

        net = More()
        """
    leads(f"{dedent(program)}{call}\nF.cross_entropy(out, y).backward()")


# --- frameworks --------------------------------------------------------------------------------------------------

LIGHTNING = """
    import lightning.pytorch as pl

    class Lit(pl.LightningModule):
        def __init__(self, criterion=nn.CrossEntropyLoss()):
            super().__init__()
            self.net, self.criterion = Net(), criterion

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            features, label = batch
            return {training}

        def validation_step(self, batch, batch_idx):
            features, label = batch
            self.log('val_loss', {validation})
    """


@pytest.mark.parametrize(
    "run",
    ["", "pl.Trainer(max_epochs=1).fit(Lit())", "lit = Lit(nn.CrossEntropyLoss())\ntrainer = pl.Trainer()\ntrainer.fit(lit, loader)"],
    ids=["nobody", "at once", "by name"],
)
@pytest.mark.parametrize("training", ["self.criterion(self(features), label)", "F.cross_entropy(self.net(batch[0]), batch[1])"])
def test_lightning_modules_are_run_by_their_framework(training: str, run: str) -> None:
    leads(dedent(LIGHTNING.format(training=training, validation="0")) + "\n" + run)


def test_a_validation_step_alone_may_be_wrong() -> None:
    leads(LIGHTNING.format(training="F.cross_entropy(self.net.fc(features), label)", validation="F.cross_entropy(self(features), label)"))


def test_what_a_callback_puts_into_the_module() -> None:
    leads("""
        from lightning.pytorch import Callback

        class Probe(Callback):
            def on_fit_start(self, trainer, pl_module):
                pl_module.probe = nn.Sequential(nn.Linear(4, 3), END)

            def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                features, label = batch
                F.cross_entropy(pl_module.probe(features), label).backward()
        """)


@pytest.mark.parametrize(
    ("program", "end", "wrong"),
    [
        ("from skorch import NeuralNetClassifier\nNeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss)", SOFT, True),
        ("from skorch import NeuralNetClassifier\nNeuralNetClassifier(module=Net(), criterion=nn.CrossEntropyLoss())", SOFT, True),
        ("from skorch import NeuralNetClassifier\nNeuralNetClassifier(Net)", SOFT, False),  # takes the logarithm first
        ("from skorch import NeuralNetBinaryClassifier\nNeuralNetBinaryClassifier(Net)", "nn.Sigmoid()", True),
        ("from fastai.learner import Learner\nLearner(data, Net(), loss_func=nn.CrossEntropyLoss())", SOFT, True),
        ("from ignite.engine import create_supervised_trainer\ncreate_supervised_trainer(Net(), None, nn.CrossEntropyLoss())", SOFT, True),
    ],
)
def test_losses_that_a_framework_computes(program: str, end: str, wrong: bool) -> None:
    assert found(program, end) == int(wrong)
    assert found(program, RAW) == 0


# --- what is said ------------------------------------------------------------------------------------------------


def test_the_finding_stands_at_the_activation_and_tells_the_way() -> None:
    program = written("classifier, criterion = Net(), nn.CrossEntropyLoss()\nlogits = classifier(x)\ncriterion(logits, y).backward()", SOFT)
    assert lines(program, "NN101") == ["NN101 return self.end(self.fc(x))"]
    finding = next(finding for finding in said(program).findings if finding.code == "NN101")
    assert "`classifier` ends in `softmax`" in finding.message
    assert "cannot fall below 0.5514" in finding.message
    rows = [program.splitlines()[step.place.row - 1].strip() for step in finding.trace]
    assert rows == ["return self.end(self.fc(x))", "logits = classifier(x)", "criterion(logits, y).backward()"]


@pytest.mark.parametrize(
    ("scores", "floor"),
    [
        ("net(x)", "over 3 classes the loss cannot fall below 0.5514"),
        ("net(x).view(-1, 3)", "over 3 classes the loss cannot fall below 0.5514"),
        ("net(x)[:, :2]", ""),  # not over all that the layer gives
        ("net(x).split(2, dim=1)[0]", ""),
        ("net(x.view(4, 2, 4)).view(4, 6)", ""),
    ],
)
def test_the_floor_is_that_of_the_classes_compared(scores: str, floor: str) -> None:
    program = PLAIN + f"F.cross_entropy(F.softmax({scores}, dim=1), y).backward()\n"
    (finding,) = (finding for finding in said(program).findings if finding.code == "NN101")
    assert finding.message.endswith(floor) and ("cannot fall" in finding.message) == bool(floor)
