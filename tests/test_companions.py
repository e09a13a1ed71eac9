"""A file that is named brings along what it imports from its project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent

NET = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))

        def forward(self, x):
            return self.body(x).softmax(-1)
"""
TRAIN = """
    import torch
    from torch.nn.functional import cross_entropy
    {imports}

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, y in torch.utils.data.DataLoader(data, batch_size=8):
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
"""


def lint(folder: Path, *words: str, stdin: str | None = None) -> tuple[int, list[tuple[str, str]], str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nnlint", "--format", "json", "--no-cache", *words]
    done = subprocess.run(command, cwd=folder, env=env, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, [(entry["filename"], entry["code"]) for entry in json.loads(done.stdout or "[]")], done.stderr


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(path.name + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")


@pytest.mark.parametrize(
    ("imports", "place"),
    [
        ("from net import Net", "net"),
        ("from models.net import Net", "models__net"),
        ("from models import net as nets; Net = nets.Net", "models__net"),
        ("from models import (  # all of them\n        net,\n    )\n    Net = net.Net", "models__net"),
        ("import models.net\n    Net = models.net.Net", "models__net"),
    ],
)
def test_the_network_of_another_file(tmp_path: Path, imports: str, place: str) -> None:
    write(tmp_path, train=TRAIN.format(imports=imports), unrelated="import torch\nx = torch.zeros(2).view(1, 3, 4\n", **{place: NET})
    name = place.replace("__", "/") + ".py"
    assert lint(tmp_path, "train.py") == (1, [(name, "NN501"), (name, "NN101")], "")
    assert lint(tmp_path, place.replace("__", "/") + ".py") == (0, [(name, "NN501")], ""), "who uses it is not known"


def test_packages_on_the_way_and_the_folder_src(tmp_path: Path) -> None:
    write(
        tmp_path,
        scripts__train=TRAIN.format(imports="from core import Net"),
        src__core____init="",
        src__core__net=NET,
    )
    (tmp_path / "src/core/__init__.py").write_text("from .net import Net\n")
    assert lint(tmp_path, "scripts/train.py") == (1, [("src/core/net.py", "NN501"), ("src/core/net.py", "NN101")], "")


@pytest.mark.parametrize(
    ("where", "script", "call"),
    [
        (".", "work/train.py", "sys.path.insert(0, 'lib')"),
        (".", "work/train.py", "sys.path.append(os.path.join(os.path.dirname(__file__), '..', 'lib'))"),
        ("work", "train.py", "sys.path.extend(\n        ['../lib'])"),
        (".", "work/one/train.py", "sys.path.append(str(Path(__file__).parent.parent.parent / 'lib'))"),
        (".", "work/train.py", "folder = os.path.join('..', 'lib')\n    if folder not in sys.path:\n        sys.path.append(folder)"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_folders_that_are_put_on_the_path(tmp_path: Path, where: str, script: str, call: str, named: bool) -> None:
    imports = f"import os, sys\n    {call}\n    from net import Net"
    write(tmp_path, lib__net=NET, **{(script if where == "." else "work/train.py")[:-3].replace("/", "__"): TRAIN.format(imports=imports)})
    (tmp_path / "lib/unrelated.py").write_text("import torch\n")
    net = "lib/net.py" if where == "." else "../lib/net.py"
    arguments = [script] if named else ["."] if where == "." else [".", "../lib"]
    assert lint(tmp_path / where, *arguments) == (1, [(net, "NN501"), (net, "NN101")], "")


@pytest.mark.parametrize("argument", ["tools/train.py", "."])
def test_a_module_of_its_own_may_set_the_path(tmp_path: Path, argument: str) -> None:
    paths = """
        import os.path as osp
        import sys

        def add(path):
            sys.path.insert(0, path)

        add(osp.join(osp.dirname(__file__), "..", "lib"))
        """
    write(tmp_path, tools__train=TRAIN.format(imports="import paths\n    from net import Net"), tools__paths=paths, lib__net=NET)
    assert lint(tmp_path, argument) == (1, [("lib/net.py", "NN501"), ("lib/net.py", "NN101")], "")


def test_each_project_has_its_own_folders(tmp_path: Path) -> None:
    """Two projects side by side, each with a module of the same name in a folder of its own."""
    script = TRAIN.format(imports="import sys\n    sys.path.append('lib')\n    from net import Net")
    right = NET.replace(".softmax(-1)", "")
    write(tmp_path, a__train=script, a__lib__net=NET, b__train=script, b__lib__net=right)
    codes = [("a/lib/net.py", "NN501"), ("a/lib/net.py", "NN101"), ("b/lib/net.py", "NN501")]
    assert lint(tmp_path, ".") == (1, codes, "")
    write(tmp_path, a__lib__net=right, b__lib__net=NET)
    assert lint(tmp_path, ".") == (1, [("a/lib/net.py", "NN501"), *((path.replace("a/", "b/"), code) for path, code in codes[:2])], "")


def test_what_is_excluded_stays_out(tmp_path: Path) -> None:
    write(tmp_path, train=TRAIN.format(imports="from vendored.net import Net"), vendored__net=NET)
    assert lint(tmp_path, "--extend-exclude", "vendored", "train.py") == (0, [], "")


def test_a_file_that_is_imported_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, train=TRAIN.format(imports="from net import Net"))
    (tmp_path / "net.py").write_bytes(b"import torch\nname = '\xe9'\n")
    code, findings, _ = lint(tmp_path, "train.py")
    assert (code, findings) == (2, [("net.py", "NN000")])


def test_circles_and_links_end(tmp_path: Path) -> None:
    write(tmp_path, train=TRAIN.format(imports="from net import Net"))
    (tmp_path / "net.py").write_text("import train\nimport again\n" + dedent(NET))
    (tmp_path / "again.py").symlink_to("net.py")
    assert lint(tmp_path, "train.py")[1] == [("net.py", "NN501"), ("net.py", "NN101")]


def test_standard_input_hears_of_its_own_file_only(tmp_path: Path) -> None:
    write(tmp_path, net=NET)
    text = dedent(TRAIN.format(imports="from net import Net")).replace("    optimizer.zero_grad()\n", "")
    assert lint(tmp_path, "--stdin-filename", "train.py", "-", stdin=text)[1] == [("train.py", "NN201")]
    net = dedent(NET) + dedent(TRAIN.format(imports=""))
    assert ("net.py", "NN101") in lint(tmp_path, "--stdin-filename", "net.py", "-", stdin=net)[1]


def test_a_folder_beside_the_file_is_linted_once(tmp_path: Path) -> None:
    write(tmp_path, train=TRAIN.format(imports="from models.net import Net"), models__net=NET)
    name = "models/net.py"
    assert lint(tmp_path, "models", "train.py") == lint(tmp_path, "train.py", "models") == (1, [(name, "NN501"), (name, "NN101")], "")
