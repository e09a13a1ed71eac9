"""Where a program starts: classes and functions that no script has come to are tried as their own project uses them."""

from __future__ import annotations

from stories import lines

HEAD = """\
import torch
from torch import nn


class Unit(nn.Module):
    def __init__(self, width, normed=True, bias=True):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, bias=bias)
        self.norm = nn.BatchNorm2d(width) if normed else nn.Identity()

    def forward(self, x):
        return self.norm(self.conv(x))
"""
CONV = "NN501 self.conv = nn.Conv2d(width, width, 3, bias=bias)"


def test_a_class_alone_has_its_defaults() -> None:
    assert lines(HEAD, "NN501") == [CONV]


def test_layers_may_go_by_other_names() -> None:
    renamed = HEAD.replace("from torch import nn\n", "from torch import nn\nfrom torch.nn import BatchNorm2d as BN, Conv2d as Conv\n")
    renamed = renamed.replace("nn.Conv2d", "Conv").replace("nn.BatchNorm2d", "BN")
    assert lines(renamed, "NN501") == [CONV.replace("nn.Conv2d", "Conv")]


def used(*units: str) -> str:
    made = ", ".join(f"Unit(width, {unit})" for unit in units)
    return f"""{HEAD}

class Stage(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.units = nn.Sequential({made})

    def forward(self, x):
        return self.units(x)


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.Sequential(Stage(), Stage(16))

    def forward(self, x):
        return self.stages(x)
"""


def test_a_class_is_what_its_users_make_of_it() -> None:
    assert lines(used("bias=False"), "NN501") == []
    assert lines(used("bias=False", "bias=True"), "NN501") == [CONV]
    assert lines(used("True"), "NN501") == [CONV]


def test_each_setting_is_built() -> None:
    """A line that builds layers of both kinds cannot do without the bias."""
    assert lines(used("True", "True", "True", "True", "normed=False"), "NN501") == []
    assert lines(used("normed=False", "True"), "NN501") == []


def test_a_user_in_another_file() -> None:
    files = {
        "blocks.py": HEAD,
        "whole.py": """\
            from torch import nn
            from blocks import Unit


            class Whole(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.units = nn.ModuleList([Unit(8, bias=False), Unit(8, True, False)])

                def forward(self, x):
                    for unit in self.units:
                        x = unit(x)
                    return x
            """,
    }
    from stories import said

    assert [finding.code for finding in said(files).findings] == []


def test_so_many_layers_and_no_more() -> None:
    """Two or three layers are the first, none or one between, and the last, which is not activated."""
    text = """\
        import torch
        from torch import nn
        import torch.nn.functional as F


        class Net(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = layers
                self.parts = nn.ModuleList([nn.Linear(4, 8)])
                for _ in range(layers - 2):
                    self.parts.append(nn.Linear(8, 8))
                self.parts.append(nn.Linear(8, 3))

            def forward(self, x):
                for i, part in enumerate(self.parts):
                    x = part(x)
                    if i != LAST:
                        x = F.elu(x)
                return x


        F.cross_entropy(Net(LAYERS)(torch.randn(8, 4)), torch.randint(3, (8,))).backward()
        """
    for layers in ("2", "3", "4"):
        assert lines(text.replace("LAYERS", layers).replace("LAST", "self.layers - 1"), "NN103") == []
        assert lines(text.replace("LAYERS", layers).replace("LAST", "self.layers"), "NN103") == ["NN103 x = F.elu(x)"]


def built(unit: str) -> str:
    return f"import torch\nfrom unit import Unit\n\nnet = {unit}\nprint(net(torch.randn(2, 8, 9, 9)))\n"


def test_each_story_of_a_line_has_a_say() -> None:
    """One script cancels the bias, another one needs it."""
    needs = {
        "unit.py": HEAD,
        "plain.py": built("torch.nn.Sequential(Unit(8, normed=False), torch.nn.ReLU())"),
        "train.py": built("Unit(8)"),
    }
    cancels = {**needs, "plain.py": built("Unit(8, normed=True)")}
    assert lines(needs, "NN501") == []
    assert lines(cancels, "NN501") == [CONV]


def test_what_becomes_of_an_output_elsewhere_is_no_objection() -> None:
    inside = HEAD.replace("return self.norm(self.conv(x))", "return self.conv(x)")
    whole = "import torch\nfrom unit import Unit\n\nunit = Unit(8)\nprint(torch.nn.Sequential(unit, unit.norm)(torch.randn(2, 8, 9, 9)))\n"
    assert lines({"unit.py": inside, "alone.py": built("Unit(8)"), "train.py": whole}, "NN501") == [CONV]


ZOO = """\
from torch import nn


def block(c, normed=False):
    layers = [nn.Conv2d(c, c, 3)]
    if normed:
        layers.append(nn.BatchNorm2d(c))
    return nn.Sequential(*layers, nn.ReLU())


def stack(depth, normed):
    return nn.Sequential(*(block(8, normed) for _ in range(depth)))


def deep():
    return stack(4, NORMED)


def deep_normed():
    return stack(4, True)
"""


def test_what_only_builds_is_applied_where_it_decides_on_a_normalisation() -> None:
    """A user of the other function of a zoo needs the bias."""
    train = "import torch\nfrom zoo import deep_normed\n\nnet = deep_normed()\nprint(net(torch.randn(2, 8, 9, 9)))\n"
    assert lines({"zoo.py": ZOO.replace("NORMED", "False", 1), "train.py": train}, "NN501") == []
    found = lines({"zoo.py": ZOO.replace("NORMED", "True", 1), "train.py": train}, "NN501")
    assert found == ["NN501 layers = [nn.Conv2d(c, c, 3)]"]


def test_a_class_that_takes_layers_from_a_helper_has_a_say() -> None:
    helper = """\
        from torch import nn


        def conv(c, norm):
            return nn.Sequential(nn.Conv2d(c, c, 3), *([norm(c)] if norm else []), nn.ReLU())
        """
    other = """\
        from torch import nn
        from helper import conv


        class Other(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = conv(8, NORM)

            def forward(self, x):
                return self.body(x)
        """
    train = "import torch\nfrom torch import nn\nfrom helper import conv\n\nprint(conv(8, nn.BatchNorm2d)(torch.randn(2, 8, 9, 9)))\n"
    for norm, found in (("None", 0), ("nn.BatchNorm2d", 1)):
        assert len(lines({"helper.py": helper, "other.py": other.replace("NORM", norm), "train.py": train}, "NN501")) == found


BASE = """\
import torch


class Base:
    def __init__(self, net, loader):
        self.net, self.loader = net, loader
        self.opt = torch.optim.SGD(net.parameters(), 0.1)

    def loss(self, batch):
        raise NotImplementedError

    def after(self):
        pass

    def fit(self):
        for batch in self.loader:
            loss = self.loss(batch)
            loss.backward()
            self.opt.step()
            self.after()
"""
BUILT = """\
import torch.nn.functional as F
from base import Base


class Built(Base):
    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def after(self):
        self.opt.zero_grad()
"""


def test_what_is_left_to_others_is_told_of_them() -> None:
    """Of a class that cannot be used as it is, only what is built on it tells."""
    assert lines({"base.py": BASE, "built.py": BUILT}, "NN201") == []
    assert lines({"base.py": BASE, "built.py": BUILT.replace("opt.zero_grad()", "loader.reset()")}, "NN201") == ["NN201 loss.backward()"]
