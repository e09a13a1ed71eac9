"""Names across files: what an import means, and what only looks like torch."""

from __future__ import annotations

import pytest
from stories import reaching, said

from nnlint.lower import lower
from nnlint.program import File, Program
from nnlint.trace.machine import Machine
from nnlint.trace.modules import namespace
from nnlint.trace.values import External

MAIN = """\
import torch
{}
x, y = torch.randn(8, 4), torch.randint(3, (8,))
torch.nn.functional.cross_entropy(END(torch.nn.Linear(4, 3)(x)), y).backward()
"""
ALIASES = {
    "module": ("import torch", "torch.softmax(END, 1)", "torch.clone(END)"),
    "alias": ("import torch as t", "t.softmax(END, 1)", "t.clone(END)"),
    "dotted": ("import torch.nn.functional", "torch.nn.functional.softmax(END, 1)", "torch.nn.functional.dropout(END)"),
    "dotted alias": ("import torch.nn.functional as F", "F.softmax(END, 1)", "F.dropout(END)"),
    "from": ("from torch.nn.functional import softmax, dropout", "softmax(END, 1)", "dropout(END)"),
    "from alias": ("from torch.nn import functional as G", "G.softmax(END, 1)", "G.dropout(END)"),
    "from member alias": ("from torch import softmax as s, clone as c", "s(END, 1)", "c(END)"),
    "layer": ("from torch.nn import Softmax, Identity", "Softmax(1)(END)", "Identity()(END)"),
    "layer by its own module": (
        "from torch.nn.modules.activation import Softmax",
        "Softmax(1)(END)",
        "torch.nn.modules.linear.Identity()(END)",
    ),
    "star": ("from torch.nn.functional import *", "softmax(END, 1)", "dropout(END)"),
    "star of layers": ("from torch.nn import *", "Softmax(1)(END)", "Identity()(END)"),
    "inside a function": (
        """
def soft(s):
    from torch import softmax
    return softmax(s, 1)
def raw(s):
    import torch.nn as n
    return n.Identity()(s)""",
        "soft(END)",
        "raw(END)",
    ),
    "by assignment": ("nn = torch.nn\nsoft = nn.functional.softmax", "soft(END, 1)", "nn.Identity()(END)"),
    "importlib style fallback": (
        "try:\n    from torch import softmax as soft\nexcept ImportError:\n    from torch.nn.functional import softmax as soft",
        "soft(END, 1)",
        "torch.clone(END)",
    ),
    "by version": (
        "if torch.__version__ >= '2':\n    from torch import softmax as soft\nelse:\n    from torch.nn.functional import softmax as soft",
        "soft(END, 1)",
        "torch.clone(END)",
    ),
    "type checking": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor\nfrom torch import softmax",
        "softmax(END, 1)",
        "torch.clone(END)",
    ),
}


def script(imports: str, expression: str) -> str:
    inner = "torch.nn.Linear(4, 3)(x)"
    return MAIN.format(imports).replace(f"END({inner})", expression.replace("END", inner))


@pytest.mark.parametrize(("imports", "soft", "raw"), ALIASES.values(), ids=ALIASES)
def test_spellings_of_the_library(imports: str, soft: str, raw: str) -> None:
    assert reaching(script(imports, soft)) == {"softmax"}
    assert reaching(script(imports, raw)) == {"linear"}


HELPER = "import torch\ndef end(s):\n    return END\n"
REGISTRY = "# torch\nTABLE = {}\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n"
LAYOUTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "sibling": ("train.py", "from helper import end", {"helper.py": HELPER}),
    "sibling module": ("train.py", "import helper\nend = helper.end", {"helper.py": HELPER}),
    "sibling in a folder": ("code/train.py", "from helper import end", {"code/helper.py": HELPER}),
    "package": ("train.py", "from pack.helper import end", {"pack/__init__.py": "", "pack/helper.py": HELPER}),
    "package without __init__": ("train.py", "from pack.helper import end", {"pack/helper.py": HELPER}),
    "package module": ("train.py", "from pack import helper\nend = helper.end", {"pack/__init__.py": "", "pack/helper.py": HELPER}),
    "dotted module": ("train.py", "import pack.sub.helper\nend = pack.sub.helper.end", {"pack/sub/helper.py": HELPER}),
    "dotted module alias": ("train.py", "import pack.sub.helper as h\nend = h.end", {"pack/sub/helper.py": HELPER}),
    "re-exported": ("train.py", "from pack import end", {"pack/__init__.py": "from .helper import end", "pack/helper.py": HELPER}),
    "re-exported under another name": (
        "train.py",
        "from pack import finish as end",
        {"pack/__init__.py": "from pack.helper import end as finish", "pack/helper.py": HELPER},
    ),
    "re-exported by star": (
        "train.py",
        "from pack import *",
        {"pack/__init__.py": "from .helper import *", "pack/helper.py": "__all__ = ['end']\n" + HELPER},
    ),
    "re-exported twice": (
        "train.py",
        "from a import end",
        {"a/__init__.py": "from .b import end", "a/b/__init__.py": "from .c import end", "a/b/c.py": HELPER},
    ),
    "relative": ("pack/train.py", "from .helper import end", {"pack/__init__.py": "", "pack/helper.py": HELPER}),
    "relative module": ("pack/train.py", "from . import helper\nend = helper.end", {"pack/__init__.py": "", "pack/helper.py": HELPER}),
    "relative from above": (
        "pack/tools/train.py",
        "from ..helper import end",
        {"pack/__init__.py": "", "pack/tools/__init__.py": "", "pack/helper.py": HELPER},
    ),
    "from the root of the project": ("scripts/train.py", "from pack.helper import end", {"pack/helper.py": HELPER}),
    "src layout": ("train.py", "from pack.helper import end", {"src/pack/__init__.py": "", "src/pack/helper.py": HELPER}),
    "src layout, inside": ("src/pack/train.py", "from pack.helper import end", {"src/pack/__init__.py": "", "src/pack/helper.py": HELPER}),
    "circular": (
        "train.py",
        "from a import end",
        {
            "a.py": "import b\nimport torch\ndef end(s):\n    return b.finish(s)\nFLAG = 1\n",
            "b.py": "import a\n" + HELPER.replace("end(", "finish("),
        },
    ),
    "circular from": (
        "train.py",
        "from b import end",
        {"a.py": "from b import end\nWIDTH = 3\n", "b.py": HELPER + "from a import WIDTH\n"},
    ),
    "chosen by a condition": (
        "train.py",
        "import sys\nif len(sys.argv) > 1:\n    from one import end\nelse:\n    from two import end",
        {"one.py": HELPER, "two.py": HELPER},
    ),
    "fallback": (
        "train.py",
        "try:\n    from pack.helper import end\nexcept ImportError:\n    from helper import end",
        {"helper.py": HELPER, "pack/helper.py": HELPER},
    ),
    "registered by an import": (
        "train.py",
        "import nets\nfrom table import TABLE\nend = TABLE['end']",
        {"nets.py": "import torch\nfrom table import register\n@register\ndef end(s):\n    return END\n", "table.py": REGISTRY},
    ),
    "registered by an import of a module": (
        "pack/train.py",
        "from . import nets\nfrom .table import TABLE\nend = TABLE['end']",
        {"pack/nets.py": "import torch\nfrom .table import register\n@register\ndef end(s):\n    return END\n", "pack/table.py": REGISTRY},
    ),
    "a constant of another file": (
        "train.py",
        "from config import KIND\nimport torch\ndef end(s):\n    return END if KIND == 'a' else torch.zeros(3)",
        {"config.py": "import torch\nKIND = 'a'\n"},
    ),
    "an object of another file": (
        "train.py",
        "from made import finish\nend = finish.run",
        {"made.py": "import torch\nclass Finish:\n    def run(self, s):\n        return END\nfinish = Finish()\n"},
    ),
    "torch by way of a file of the project": (
        "train.py",
        "from common import *\ndef end(s):\n    return END",
        {"common.py": "import torch\nfrom torch import nn\n"},
    ),
}


@pytest.mark.parametrize(("entry", "imports", "files"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_of_projects(entry: str, imports: str, files: dict[str, str]) -> None:
    main = script(imports, "end(END)").replace(f"end({'torch.nn.Linear(4, 3)(x)'})", "end(torch.nn.Linear(4, 3)(x))")
    for end, expected in (("torch.softmax(s, 1)", "softmax"), ("s", "linear")):
        project = {path: text.replace("END", end) for path, text in {**files, entry: main}.items()}
        assert reaching(project) == {expected}


def test_source_folders_by_setting() -> None:
    project = {
        "train.py": script("from pack.helper import end", "end(END)"),
        "lib/pack/helper.py": HELPER.replace("END", "torch.softmax(s, 1)"),
    }
    assert reaching(project) == {"?"}
    assert reaching(project, src=("lib",)) == {"softmax"}


def test_a_file_is_run_once_for_all_that_import_it() -> None:
    """An object that two files import is one object: what one of them changes the other sees."""
    project = {
        "train.py": script("import change\nfrom state import holder\ndef end(s):\n    return holder.f(s)", "end(END)"),
        "change.py": "from state import holder\nimport torch\nholder.f = END\n",
        "state.py": "import torch\nclass Holder:\n    f = None\nholder = Holder()\n",
    }
    for end, expected in (("lambda s: torch.softmax(s, 1)", "softmax"), ("lambda s: s", "linear")):
        assert reaching({path: text.replace("END", end) for path, text in project.items()}) == {expected}


def test_only_the_script_is_main() -> None:
    project = {
        "helper.py": HELPER.replace("END", "s") + "if __name__ == '__main__':\n    end = lambda s: torch.softmax(s, 1)\n",
        "train.py": script("from helper import end", "end(END)"),
    }
    assert reaching(project) == {"linear"}
    assert reaching({**project, "helper.py": project["helper.py"].replace("== '__main__'", "!= '__main__'")}) == {"softmax"}


# --- what only looks like torch ----------------------------------------------------------------------------------

LOOK = """\
{}
net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
loss = nn.CrossEntropyLoss()(net(x), y)
loss.backward()
"""
LIKE = {
    "paddle": "import paddle\nimport paddle.nn as nn",
    "flax": "from flax import linen as nn",
    "flax, dotted": "import flax.linen as nn",
    "mindspore": "import mindspore.nn as nn\nimport torch",
    "jittor": "from jittor import nn",
    "tinygrad": "import tinygrad.nn as nn",
    "a file of the project": "import nn",
    "a folder of the project": "from mine import nn",
    "unknown": "from somewhere import *",
}
MADE = "# torch\n" + "".join(f"def {name}(*a): return len\n" for name in ("Linear", "Softmax", "Sequential", "CrossEntropyLoss"))
FILES = {"nn.py": MADE, "mine/nn.py": MADE}


@pytest.mark.parametrize("imports", LIKE.values(), ids=LIKE)
def test_libraries_that_look_alike(imports: str) -> None:
    assert said({**FILES, "train.py": LOOK.format(imports)}).findings == []
    right = {**FILES, "train.py": LOOK.format(f"{imports}\nfrom torch import nn")}
    assert [finding.code for finding in said(right).findings] == ["NN101"]


SHADOWS = {
    "a file called torch.py": {"torch.py": "import nothing  # nn.\nclass nn: pass\ndef softmax(s, d): return s\n"},
    "a folder called torch": {"torch/__init__.py": "# nn.\n", "torch/nn/__init__.py": "# nn.\n", "torch/nn/functional.py": "# nn.\n"},
}


@pytest.mark.parametrize("files", SHADOWS.values(), ids=SHADOWS)
def test_a_project_that_hides_torch(files: dict[str, str]) -> None:
    """Python would import the project's: nothing is known of it."""
    train = script("import torch.nn.functional as F", "F.softmax(END, 1)")
    assert said({**files, "train.py": train}).findings == []
    assert [finding.code for finding in said({"train.py": train}).findings] == ["NN101"]


OWN = """\
import torch
from torch import nn
import torch.nn.functional as F

class Own:
    @staticmethod
    def softmax(s, dim):
        return s
{}
net = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(3, (8,))
torch.nn.functional.cross_entropy(F.softmax(net(x), 1), y).backward()
"""


def test_names_of_the_project_hide_those_of_the_library() -> None:
    assert reaching(OWN.format("F = Own")) == {"linear"}
    assert reaching(OWN.format("G = Own")) == {"softmax"}
    assert reaching(OWN.format("def softmax(s, dim):\n    return s\nF.other = softmax")) == {"softmax"}


def test_a_layer_of_the_same_name() -> None:
    """`Softmax` is what the project says it is."""
    own = "class Softmax(torch.nn.Module):\n    def __init__(self, dim): super().__init__()\n    def forward(self, s): return s"
    assert reaching(script(own, "Softmax(1)(END)")) == {"linear"}
    assert reaching(script("from torch.nn import Softmax", "Softmax(1)(END)")) == {"softmax"}


def test_public_names() -> None:
    """Whatever module of the library a name was taken from, it is one name."""
    text = "import torch\nfrom torch.nn.modules.linear import Linear as A\nfrom torch.nn import Linear as B\nimport torch.nn.modules as C\n"
    frame = namespace(Machine(Program([File("train.py", lower(text))])), "train.py")
    assert frame is not None
    named = {key: value.name for key, value in frame.vars.items() if isinstance(value, External)}
    assert named == {"torch": "torch", "A": "torch.nn.Linear", "B": "torch.nn.Linear", "C": "torch.nn.modules"}
