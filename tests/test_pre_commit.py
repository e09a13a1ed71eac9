"""The hooks, as pre-commit runs them: built from this checkout, in a repository of git."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from installs import ROOT, checkout, done, need_registry, once, run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
pytest.importorskip("pre_commit")

GIT = ("git", "-c", "user.name=nnlint", "-c", "user.email=nnlint@localhost", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false")
TRAIN = """\
import torch
from torch import nn

from net import Net

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    optimizer.step()
"""
NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(x).softmax(1)
"""
BLOCK = """\
import torch
from torch import nn

block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
features = block(torch.randn(2, 3, 8, 8))  # nnlint: ignore[NN5]
"""
SETTINGS = '[tool.nnlint]\nextend-exclude = ["old"]\n'

Commit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """This checkout as a repository of git, and the folder in which pre-commit keeps the environment that it builds from it."""
    need_registry()

    def fill(folder: Path) -> None:
        hooks = checkout(folder / "hooks")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "Hooks")):
            done(*GIT, *words, cwd=hooks)

    work = once(tmp_path_factory, "pre-commit", fill)
    return work / "hooks", work / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "old").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "net.py").write_text(NET)
    for name in ("train.py", "old/train.py"):
        (folder / name).write_text(TRAIN)
    source = TRAIN.replace("Net()", "nn.Linear(4, 3)")
    cell: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
    (folder / "train.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done(*GIT, "init", "-q", cwd=folder)
    return folder


@pytest.fixture
def commit(hooks: tuple[Path, Path], project: Path) -> Commit:
    """`pre-commit run` in the project, with one hook configured so."""
    repository, home = hooks
    revision = done(*GIT, "rev-parse", "HEAD", cwd=repository).strip()

    def execute(*words: str, **hook: object) -> subprocess.CompletedProcess[str]:
        config = {"repos": [{"repo": str(repository), "rev": revision, "hooks": [hook]}]}
        (project / ".pre-commit-config.yaml").write_text(json.dumps(config))
        done(*GIT, "add", "-A", cwd=project)
        return run(sys.executable, "-m", "pre_commit", "run", "--color=never", *words, cwd=project, PRE_COMMIT_HOME=str(home))

    return execute


def codes(output: str) -> set[tuple[str, str]]:
    """The findings that are told, by file."""
    return set(re.findall(r"^([\w./]+):.*? (NN\d+) ", output, re.MULTILINE))


def test_files_that_are_committed(commit: Commit) -> None:
    ended = commit(id="nnlint", args=["--format=concise"])
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert codes(ended.stdout) == {("net.py", "NN101"), ("train.py", "NN201"), ("train.ipynb", "NN201")}
    # Excluded files are out though they are named; where nothing is left, the hook is quiet.
    for name, result in (("old/train.py", "Passed"), ("pyproject.toml", "Skipped")):
        ended = commit("--files", name, id="nnlint")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert [line.split(".")[-1] for line in ended.stdout.splitlines()] in ([result], [f"(no files to check){result}"])


def test_the_whole_project(commit: Commit) -> None:
    """Of two files one is committed, and both are needed: what a file imports it brings along, but not who imports it."""
    options = ["--format=concise", "--select=NN101"]
    for committed, args, passed, found in (
        ("train.py", options, True, {("net.py", "NN101")}),
        ("net.py", options, True, set()),
        ("net.py", [*options, "."], False, {("net.py", "NN101")}),
    ):
        ended = commit("--files", committed, id="nnlint", args=args, pass_filenames=passed)
        assert (ended.returncode, codes(ended.stdout)) == (int(bool(found)), found), ended.stdout + ended.stderr


def test_fixes(commit: Commit, project: Path) -> None:
    """What is mended stops the commit once, so that it is looked at; then there is nothing left."""
    block = project / "block.py"
    block.write_text(BLOCK)
    for args, mended in (
        (["--select=NN001,NN5", "."], BLOCK.replace("  # nnlint: ignore[NN5]", "")),
        (["--select=NN001,NN5", "--unsafe-fixes", "."], BLOCK.replace("  # nnlint: ignore[NN5]", "").replace("8, 3)", "8, 3, bias=False)")),
    ):
        ended = commit(id="nnlint-fix", args=args, pass_filenames=False)
        assert ended.returncode == 1, ended.stdout + ended.stderr
        assert "files were modified by this hook" in ended.stdout
        assert block.read_text() == mended
        ended = commit(id="nnlint-fix", args=args, pass_filenames=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_manifest_is_valid() -> None:
    done(sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml", cwd=ROOT)
