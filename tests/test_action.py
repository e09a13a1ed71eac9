"""The steps of the GitHub Action, run by bash as a runner does."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from installs import ROOT, checkout, need_registry, once, run

yaml: Any = pytest.importorskip("yaml")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXAMPLE = ROOT / "fixtures" / "demo" / "loop"


class Runner:
    """What a runner gives to the steps of one job, in a folder of its own. What has been installed lies beside the action."""

    def __init__(self, action: Path, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.summary = folder / "summary.md"
        self.path = action / "path"
        self.workspace.mkdir()
        self.environment = {
            "GITHUB_ACTION_PATH": str(action / "checkout"),
            "GITHUB_PATH": str(self.path),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(folder),
        }

    def step(self, name: str, **inputs: str) -> tuple[int, str]:
        (step,) = (step for step in ACTION["runs"]["steps"] if step["name"] == name)
        values = {name: inputs.get(name, given["default"]) for name, given in ACTION["inputs"].items()}
        given = {name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: values[match[1]], text) for name, text in step["env"].items()}
        added = self.path.read_text().split() if self.path.exists() else []
        given["PATH"] = os.pathsep.join([*added, os.environ["PATH"]])
        bash = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")
        ended = run(*bash, step["run"], cwd=self.workspace, **self.environment, **given)
        return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    need_registry()

    def fill(folder: Path) -> None:
        checkout(folder / "checkout")
        code, output = Runner(folder, folder).step("Install nnlint")
        assert code == 0, output

    made = Runner(once(tmp_path_factory, "action", fill), tmp_path_factory.mktemp("runner"))
    for path in EXAMPLE.glob("*.py"):
        shutil.copy(path, made.workspace)
    return made


def test_findings(runner: Runner) -> None:
    runner.summary.unlink(missing_ok=True)
    code, output = runner.step("Lint")
    assert code == 1
    assert re.search(r"^::error title=nnlint \(NN201 missing-zero-grad\),file=train\.py,line=16,", output, re.MULTILINE), output
    summary = runner.summary.read_text()
    assert summary.startswith("### nnlint\n")
    assert "train.py:16:5 NN201 [error]" in output
    assert "train.py:16:5 NN201 [error]" in summary
    assert "Found 2 errors." in summary


def test_inputs(runner: Runner) -> None:
    """Words in quotes stay together, and nothing in them is carried out."""
    code, output = runner.step("Lint", args="--ignore 'NN101,NN2' --extend-exclude 'a b'", src="train.py $(touch carried-out)")
    assert code == 2
    assert "`$(touch` does not exist" in output
    assert not (runner.workspace / "carried-out").exists()
    assert runner.step("Lint", args="--ignore 'NN101, NN2'", src="net.py train.py")[0] == 0
    assert runner.step("Lint", args="--no-such-option")[0] == 2
