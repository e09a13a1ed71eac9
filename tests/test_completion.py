"""What shells are told when a command is being typed, by click's own protocol; bash and fish themselves where they are."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program `nnlint`, as an installation puts it on the path."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "nnlint"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m nnlint "$@"\n')
    program.chmod(0o755)
    return folder


def call(programs: Path, *command: str, **variables: str) -> list[str]:
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def offered(programs: Path, *words: str) -> list[str]:
    """What bash is told for the last of some words."""
    line = " ".join(["nnlint", *words])
    lines = call(programs, "nnlint", _NNLINT_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))
    return [line.removeprefix("plain,") for line in lines if line]


def test_rules(programs: Path) -> None:
    everything = offered(programs, "--select", "")
    assert {"all", "default", "pedantic", "missing-zero-grad", "unused-suppression"} <= set(everything)
    assert not any(word.startswith("NN") for word in everything), "names say more than codes"
    assert offered(programs, "--ignore", "softm") == ["softmax-before-logit-loss"]
    assert {"NN1", "NN101", "NN102"} <= set(offered(programs, "--extend-select", "nn1"))


def test_within_a_list(programs: Path) -> None:
    assert offered(programs, "--select", "NN101,all,missing-z") == ["NN101,all,missing-zero-grad"]
    found = offered(programs, "--select", "missing-zero-grad,mis")
    assert "missing-zero-grad,missing-zero-grad" not in found, "it is there already"
    assert "missing-zero-grad,missing-eval-mode" in found
    assert offered(programs, "--select", "nowhere") == []


def test_one_rule(programs: Path) -> None:
    assert offered(programs, "--explain", "NN20")[0] == "NN201"
    assert offered(programs, "--explain", "missing-z") == ["missing-zero-grad"]
    assert not {"all", "NN1"} & set(offered(programs, "--explain", "") + offered(programs, "--explain", "NN1"))


def test_options_formats_and_files(programs: Path) -> None:
    assert {"--select", "--show-settings"} <= set(offered(programs, "--s"))
    assert offered(programs, "--format", "s") == ["sarif"]
    assert offered(programs, "tr") == offered(programs, "--baseline", "tr") == ["file,tr"], "the shell itself looks for files"


def test_zsh_and_fish_are_told_the_meaning(programs: Path) -> None:
    zsh = call(programs, "nnlint", _NNLINT_COMPLETE="zsh_complete", COMP_WORDS="nnlint --select missing-z", COMP_CWORD="2")
    assert zsh[:2] == ["plain", "missing-zero-grad"]
    assert zsh[2].startswith("NN201: Gradients of one optimization step")
    fish = call(programs, "nnlint", _NNLINT_COMPLETE="fish_complete", COMP_WORDS="nnlint --select missing-z", COMP_CWORD="missing-z")
    assert fish == [f"plain,missing-zero-grad\t{zsh[2]}"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself(programs: Path) -> None:
    script = """
        eval "$(_NNLINT_COMPLETE=bash_source nnlint)"
        COMP_WORDS=(nnlint --select NN101,missing-z) COMP_CWORD=2
        _nnlint_completion nnlint
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert call(programs, "bash", "-c", script) == ["NN101,missing-zero-grad"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
def test_fish_itself(programs: Path) -> None:
    script = '_NNLINT_COMPLETE=fish_source nnlint | source; complete -C "nnlint --select NN101,missing-z"'
    (line,) = call(programs, "fish", "--no-config", "-c", script)
    assert line.startswith("NN101,missing-zero-grad\tNN201: ")


def test_a_rule_package_that_cannot_be_loaded(programs: Path, tmp_path: Path) -> None:
    about = tmp_path / "broken-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[nnlint.rules]\nbroken = no_such_package\n")
    program = tmp_path / "nnlint"
    program.write_text((programs / "nnlint").read_text().replace("PYTHONPATH=", f"PYTHONPATH={tmp_path}:"))
    program.chmod(0o755)
    assert offered(tmp_path, "--select", "mis") == []
    assert offered(tmp_path, "--sel") == ["--select"]
