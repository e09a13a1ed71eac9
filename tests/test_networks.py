"""Networks: how they are built, called, wrapped, and what an optimizer that is given them holds."""

from __future__ import annotations

from textwrap import dedent

import pytest
from stories import Text, events, held, reaching, told

from nnlint.trace.networks import parts
from nnlint.trace.story import Forward, Mode, Step
from nnlint.trace.values import Network

HEAD = """\
import torch
from torch import nn
import torch.nn.functional as F
from collections import OrderedDict

x, y = torch.randn(8, 4), torch.randint(3, (8,))
"""
TAIL = "\nF.cross_entropy(net(x), y).backward()\n"


def ends(program: str, tail: str = TAIL) -> None:
    """A network that ends in `END` gives probabilities if that is a softmax, and the scores of its last layer if it is nothing."""
    for end, expected in (("nn.Softmax(dim=1)", "softmax"), ("nn.Identity()", "linear")):
        assert reaching(f"{HEAD}{dedent(program)}{tail}".replace("END", end)) == {expected}


BUILT = {
    "sequential": "net = nn.Sequential(nn.Linear(4, 3), END)",
    "sequential of a list": "net = nn.Sequential(*[nn.Linear(4, 3), END])",
    "sequential of an ordered dict": "net = nn.Sequential(OrderedDict([('fc', nn.Linear(4, 3)), ('end', END)]))",
    "sequential of a dict": "net = nn.Sequential(OrderedDict(fc=nn.Linear(4, 3), end=END))",
    "nested sequential": "net = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Sequential(nn.Linear(8, 3), END))",
    "sequential grown by append": """
        net = nn.Sequential(nn.Linear(4, 3))
        net.append(END)
        """,
    "sequential grown by add_module": """
        net = nn.Sequential()
        net.add_module('fc', nn.Linear(4, 3))
        net.add_module('end', END)
        """,
    "list filled in a loop": """
        layers = []
        for width, out in [(4, 16), (16, 3)]:
            layers.append(nn.Linear(width, out))
        layers += [END]
        net = nn.Sequential(*layers)
        """,
    "comprehension": "net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)], nn.Linear(4, 3), END)",
    "generator of blocks": """
        sizes = [4, 8, 3]
        net = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])), END)
        """,
    "helper that makes blocks": """
        def block(width, out, end):
            return nn.Sequential(nn.Linear(width, out), end)
        net = nn.Sequential(block(4, 8, nn.ReLU()), block(8, 3, END))
        """,
    "last item replaced": """
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
        net[-1] = END
        """,
    "sliced": "net = nn.Sequential(nn.Linear(4, 3), END, nn.Tanh())[:-1]",
    "concatenated lists": "net = nn.Sequential(*([nn.Linear(4, 8)] + [nn.Linear(8, 3), END]))",
    "subclass of sequential": """
        class Net(nn.Sequential):
            def __init__(self, out):
                super().__init__(nn.Linear(4, out), END)
        net = Net(3)
        """,
    "module": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 3)
                self.end = END
            def forward(self, x):
                x = self.fc(x)
                return self.end(x)
        net = Net()
        """,
    "module of the qualified name": """
        class Net(torch.nn.modules.module.Module):
            def __init__(self):
                super(Net, self).__init__()
                self.fc = torch.nn.Linear(4, 3)
                self.end = END
            def forward(self, input):
                return self.end(self.fc(input))
        net = Net()
        """,
    "base class of the project": """
        class Base(nn.Module):
            def __init__(self, out):
                super().__init__()
                self.fc = nn.Linear(4, out)
                self.end = self.make_end()
            def make_end(self):
                return nn.Tanh()
            def forward(self, x):
                return self.end(self.features(x))
            def features(self, x):
                return self.fc(x)
        class Middle(Base):
            pass
        class Net(Middle):
            def make_end(self):
                return END
        net = Net(3)
        """,
    "forward that calls super": """
        class Base(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 3)
            def forward(self, x):
                return self.fc(x)
        class Net(Base):
            def __init__(self):
                super().__init__()
                self.end = END
            def forward(self, x):
                return self.end(super().forward(x))
        net = Net()
        """,
    "module list": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(4)])
                self.layers.append(nn.Linear(4, 3))
                self.layers.append(END)
            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x
        net = Net()
        """,
    "module list by index": """
        class Net(nn.Module):
            def __init__(self, depth=3):
                super().__init__()
                self.depth = depth
                self.layers = nn.ModuleList()
                for i in range(depth):
                    self.layers.append(nn.Linear(4, 4))
                    self.layers.append(END)
            def forward(self, x):
                for i in range(self.depth):
                    x = self.layers[2 * i](x)
                    x = self.layers[2 * i + 1](x)
                return x
        net = Net()
        """,
    "module list in two": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 3), END])
            def forward(self, x):
                for i, layer in enumerate(self.layers[:-1]):
                    x = layer(x)
                return self.layers[-1](x)
        net = Net()
        """,
    "module dict": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleDict({'fc': nn.Linear(4, 3), 'end': END})
            def forward(self, x):
                return self.parts['end'](self.parts['fc'](x))
        net = Net()
        """,
    "module dict walked": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleDict()
                self.parts['fc'] = nn.Linear(4, 3)
                self.parts.update({'end': END})
            def forward(self, x):
                for name, part in self.parts.items():
                    x = part(x)
                return x
        net = Net()
        """,
    "layers under computed names": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                for i, layer in enumerate([nn.Linear(4, 3), END]):
                    setattr(self, f'layer{i}', layer)
            def forward(self, x):
                return getattr(self, 'layer' + '1')(self.layer0(x))
        net = Net()
        """,
    "layers under numbered names": """
        class Net(nn.Module):
            def __init__(self, depth=2):
                super().__init__()
                for i in range(depth):
                    self.add_module(f'fc{i}', nn.Linear(4, 4))
                    setattr(self, f'end{i}', END)
            def forward(self, x):
                for i in range(2):
                    x = getattr(self, f'end{i}')(getattr(self, f'fc{i}')(x))
                return x
        net = Net()
        """,
    "layers added by add_module": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.add_module('fc', nn.Linear(4, 3))
                self.register_module('end', END)
            def forward(self, x):
                return self.end(self.fc(x))
        net = Net()
        """,
    "method of the network makes the layers": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = self._make(4, 3)
            def _make(self, width, out):
                layers = [nn.Linear(width, out)]
                layers.append(END)
                return nn.Sequential(*layers)
            def forward(self, x):
                return self.body(x)
        net = Net()
        """,
    "activation by name": """
        ACTS = {'relu': nn.ReLU(), 'end': END}
        class Net(nn.Module):
            def __init__(self, act='relu'):
                super().__init__()
                self.fc, self.act = nn.Linear(4, 3), ACTS[act]
            def forward(self, x):
                return self.act(self.fc(x))
        net = Net(act='end')
        """,
    "layer class as argument": """
        class Net(nn.Module):
            def __init__(self, layer, **kwargs):
                super().__init__()
                self.fc = layer(4, 3, **kwargs)
                self.end = END
            def forward(self, x):
                return self.end(self.fc(x))
        net = Net(nn.Linear, bias=False)
        """,
    "inner layer replaced from outside": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.end = nn.Linear(4, 3), nn.Tanh()
            def forward(self, x):
                return self.end(self.fc(x))
        net = Net()
        net.end = END
        """,
    "forward replaced": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.end = nn.Linear(4, 3), END
                self.forward = self.other
            def other(self, x):
                return self.end(self.fc(x))
        net = Net()
        """,
    "made by a function": """
        def build(kind, **options):
            if kind == 'mlp':
                return nn.Sequential(nn.Linear(4, options.get('out', 3)), END)
            raise ValueError(kind)
        net = build('mlp', out=3)
        """,
    "made by a registry": """
        MODELS = {}
        def register(cls):
            MODELS[cls.__name__] = cls
            return cls
        @register
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.end = nn.Linear(4, 3), END
            def forward(self, x):
                return self.end(self.fc(x))
        net = MODELS['Net']()
        """,
    "copied": """
        import copy
        net = copy.deepcopy(nn.Sequential(nn.Linear(4, 3), END))
        """,
}


@pytest.mark.parametrize("program", BUILT.values(), ids=BUILT)
def test_networks_however_built(program: str) -> None:
    ends(program)


NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.end = nn.Linear(4, 3), nn.Dropout(0.5), END
    def forward(self, x):
        return self.end(self.fc(x))
    def predict(self, x):
        return self.end(self.fc(x))
    def by_call(self, x):
        return self.__call__(x)
    def by_self(self, x):
        return self(x)
    def loss(self, x, y):
        return F.cross_entropy(self.forward(x), y)
net = Net()
"""

CALLED = {
    "called": "F.cross_entropy(net(x), y)",
    "by keyword": "F.cross_entropy(net(x=x), y)",
    "forward": "F.cross_entropy(net.forward(x), y)",
    "__call__": "F.cross_entropy(net.__call__(x), y)",
    "another method": "F.cross_entropy(net.predict(x), y)",
    "self.__call__": "F.cross_entropy(net.by_call(x), y)",
    "self()": "F.cross_entropy(net.by_self(x), y)",
    "loss inside": "net.loss(x, y)",
    "loss module": "nn.CrossEntropyLoss()(net(x), y)",
    "method as value": "f = net.predict\nF.cross_entropy(f(x), y)",
    "checkpoint": "from torch.utils.checkpoint import checkpoint\nF.cross_entropy(checkpoint(net, x), y)",
    "functional call": "F.cross_entropy(torch.func.functional_call(net, dict(net.named_parameters()), (x,)), y)",
}


@pytest.mark.parametrize("call", CALLED.values(), ids=CALLED)
def test_networks_however_called(call: str) -> None:
    ends(NET, f"\n{call}\n")


WRAPPED = {
    "to": "net = net.to('cuda')",
    "cuda": "net = net.cuda()",
    "float": "net = net.float().to(torch.device('cpu'))",
    "train": "net = net.train()",
    "apply": "net = net.apply(lambda part: None)",
    "data parallel": "net = nn.DataParallel(net)",
    "data parallel, unwrapped": "net = nn.DataParallel(net).module",
    "data parallel on a condition": "if torch.cuda.device_count() > 1:\n    net = torch.nn.DataParallel(net)",
    "distributed": "from torch.nn.parallel import DistributedDataParallel as DDP\nnet = DDP(net.cuda(), device_ids=[0])",
    "distributed, qualified": "net = torch.nn.parallel.DistributedDataParallel(net)",
    "fully sharded": "from torch.distributed.fsdp import FullyShardedDataParallel as FSDP\nnet = FSDP(net)",
    "compile": "net = torch.compile(net, mode='default')",
    "compile in place": "net.compile()",
    "script": "net = torch.jit.script(net)",
    "trace": "net = torch.jit.trace(net, x)",
    "synchronised batch norm": "net = nn.SyncBatchNorm.convert_sync_batchnorm(net)",
    "accelerator": "from accelerate import Accelerator\nnet = Accelerator().prepare(net)",
    "accelerator of several": (
        "from accelerate import Accelerator\naccelerator = Accelerator()\n"
        "opt = torch.optim.SGD(net.parameters(), 0.1)\nnet, opt = accelerator.prepare(net, opt)"
    ),
    "accelerator unwrapped": "from accelerate import Accelerator\na = Accelerator()\nnet = a.unwrap_model(a.prepare(net))",
}


@pytest.mark.parametrize("wrapping", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_networks_stay_themselves(wrapping: str) -> None:
    ends(f"{NET}\n{wrapping}")


@pytest.mark.parametrize("wrapping", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_networks_share_parameters_and_mode(wrapping: str) -> None:
    """The optimizer holds the same layers before and after the wrapping, and a switch of the wrapper is one of the network."""
    program = HEAD + NET.replace("END", "nn.Identity()") + "other = Net()\nwhole = net\n" + wrapping
    program += "\nopt = torch.optim.SGD(net.parameters(), 0.1)\nnet.eval()\nnet(x).sum().backward()\nopt.step()\nwhole(x)\nother(x)\n"
    found = events(program)
    (switched,) = [event.network for event in found if isinstance(event, Mode) and event.mode is False]
    first, second, third = [covered(event.network) for event in found if isinstance(event, Forward)][:3]
    (step,) = [event.optimizer for event in found if isinstance(event, Step)]
    assert step.params.networks is not None
    assert first & second & covered(switched) & covered(*step.params.networks)
    assert not third & (second | covered(*step.params.networks))


def covered(*values: object) -> set[int]:
    """The layers of networks."""
    return {key for value in values if isinstance(value, Network) for key in parts(value)}


BASES: dict[str, str] = {
    "models/base.py": """
        import torch.nn as nn
        class Base(nn.Module):
            def __init__(self, out):
                super().__init__()
                self.fc = nn.Linear(4, out)
        """,
    "models/net.py": """
        from torch.nn import Identity, Softmax
        from .base import Base
        class Net(Base):
            def __init__(self):
                super().__init__(3)
                self.end = END
            def forward(self, x):
                return self.end(self.fc(x))
        """,
    "models/__init__.py": "from .net import Net",
    "train.py": """
        import torch
        from models import Net
        net = Net()
        criterion = torch.nn.CrossEntropyLoss()
        criterion(net(torch.randn(8, 4)), torch.randint(3, (8,))).backward()
        """,
}


def test_bases_in_other_files() -> None:
    for end, expected in (("Softmax(1)", "softmax"), ("Identity()", "linear")):
        assert reaching({path: text.replace("END", end) for path, text in BASES.items()}) == {expected}


HELD: dict[str, tuple[str, set[str]]] = {
    "layers of a list are its own": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(4, 4)
                self.more = nn.ModuleList([nn.Conv1d(4, 4, 1)])
                self.named = nn.ModuleDict({'c': nn.Bilinear(4, 4, 4)})
        net = Net()
        """,
        {"a", "Conv1d", "Bilinear"},
    ),
    "a block inside a block": (
        """
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.Linear(4, 4)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.block, self.outer = Block(), nn.Linear(4, 3)
        net = Net()
        """,
        {"inner", "outer"},
    ),
    "parameters of its own": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(3))
        net = Net()
        """,
        {"parameter"},
    ),
    "another network's layer is not its own": (
        """
        foreign = nn.Linear(4, 4)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.own = nn.Linear(4, 4)
            def forward(self, x):
                return self.own(foreign(x))
        net = Net()
        """,
        {"own"},
    ),
    "a layer added later": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.own = nn.Linear(4, 4)
        net = Net()
        net.head = nn.Linear(4, 3)
        """,
        {"own", "head"},
    ),
}


@pytest.mark.parametrize(("program", "expected"), HELD.values(), ids=HELD)
def test_networks_hold_their_layers(program: str, expected: set[str]) -> None:
    tail = "\nopt = torch.optim.SGD(net.parameters(), 0.1)\nopt.step()\n"
    assert held(HEAD + dedent(program) + tail) == {"opt": expected}


def forwards(text: Text) -> list[str]:
    """The networks that the script calls, by name."""
    return [event.network.label for event in told(text)[0].events() if isinstance(event, Forward) and isinstance(event.network, Network)]


def test_only_the_outermost_call_is_a_forward() -> None:
    program = HEAD + dedent("""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
            def forward(self, x):
                return self.inner(x)
        net = Net()
        """)
    assert forwards(program + "net(x)\n") == ["net"]
    assert forwards(program + "net.inner(x)\n") == ["inner"]
    assert forwards(program) == []


def test_shared_and_separate_weights() -> None:
    """One layer under two names is one layer; two of a class are two."""
    program = HEAD + dedent("""
        class Net(nn.Module):
            def __init__(self, tied):
                super().__init__()
                self.a = nn.Linear(4, 4)
                self.b = self.a if tied else nn.Linear(4, 4)
        net = Net(TIED)
        net.a(x)
        net.b(x)
        """)
    for tied, count in (("True", 1), ("False", 2)):
        found = [event.network for event in events(program.replace("TIED", tied)) if isinstance(event, Forward)]
        assert len(found) == 2 and len({id(network) for network in found}) == count
