"""Colours and links, on a terminal that is one."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nnlint.terminal import colours, links

pty = pytest.importorskip("pty", reason="terminals of Unix")

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import torch
from torch import nn

net = nn.Linear(4, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    optimizer.step()
"""
LINK = "\x1b]8;;https://nnlint.readthedocs.io/rules/missing-zero-grad\x1b\\\x1b[31m\x1b[1mNN201\x1b[0m\x1b]8;;\x1b\\"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
OURS = (
    "NO_COLOR FORCE_COLOR FORCE_HYPERLINK TERM TERM_PROGRAM VTE_VERSION CI DOMTERM KITTY_WINDOW_ID KONSOLE_VERSION WT_SESSION "
    "NNLINT_CACHE_DIR PYTHONPATH"
).split()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "train.py").write_text(PROGRAM)
    return folder


HASTY = "import sys; from nnlint import cli, progress; progress.PATIENCE = progress._EVERY = 0; cli.main(sys.argv[1:])"
"""A run that shows its progress from the start."""


def on_a_terminal(project: Path, *args: str, program: Sequence[str] = ("-m", "nnlint"), **variables: str) -> str:
    """What nnlint writes to a terminal."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **variables}
    main, side = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, *program, "--format", "concise", *args], cwd=project, env=environment, stdout=side, stdin=side, stderr=side
        )
        os.close(side)
        found = b""
        while True:
            try:
                data = os.read(main, 10_000)
            except OSError:  # Linux, when nobody writes any more
                break
            if not data:
                break
            found += data
        assert process.wait(timeout=60) == 1
    finally:
        os.close(main)
    return found.decode()


@pytest.mark.parametrize(
    ("flag", "variables", "coloured", "linked"),
    [
        (None, {}, True, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        (None, {"NO_COLOR": ""}, True, False),
        (None, {"TERM": "dumb"}, False, False),
        ("never", {"FORCE_COLOR": "1", "FORCE_HYPERLINK": "1"}, False, True),
        ("always", {"NO_COLOR": "1", "TERM": "xterm-kitty"}, True, True),
        (None, {"TERM_PROGRAM": "vscode"}, True, True),
        (None, {"TERM_PROGRAM": "Apple_Terminal"}, True, False),
        (None, {"TERM_PROGRAM": "vscode", "FORCE_HYPERLINK": "0"}, True, False),
        (None, {"TERM_PROGRAM": "vscode", "TERM": "tmux-256color"}, True, False),
        (None, {"TERM_PROGRAM": "vscode", "CI": "true"}, True, False),
        (None, {"WT_SESSION": "1"}, True, True),
        (None, {"VTE_VERSION": "6003"}, True, True),
        (None, {"VTE_VERSION": "4602"}, True, False),
        (None, {"VTE_VERSION": "x"}, True, False),
        (None, {"FORCE_HYPERLINK": "1"}, True, True),
    ],
)
def test_what_a_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch, flag: str | None, variables: dict[str, str], coloured: bool, linked: bool
) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Screen())
    assert (colours(flag, to_file=False), links(to_file=False)) == (coloured, linked)
    assert links(to_file=True) is False


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured", "linked"),
    [({}, True, False), ({"TERM_PROGRAM": "vscode"}, True, True), ({"FORCE_HYPERLINK": "1", "NO_COLOR": "1"}, False, False)],
)
def test_a_terminal(project: Path, variables: dict[str, str], coloured: bool, linked: bool) -> None:
    text = on_a_terminal(project, **variables)
    assert bool(COLOUR.search(text)) is coloured
    assert (LINK in text, "\x1b]8" in text) == (linked, linked)
    assert "NN201" in text


def test_progress_is_shown_and_goes_away(project: Path) -> None:
    hasty = ("-c", HASTY)
    text = on_a_terminal(project, "--no-cache", program=hasty)
    done = f"following [{'#' * 30}] 1 of 1\x1b[K"
    assert "\rreading [" in text
    assert done in text
    assert text.index(done) < text.rindex("\r\x1b[K") < text.index("NN201")
    assert "[#" not in on_a_terminal(project, "--no-cache", "--quiet", program=hasty)
    command = [sys.executable, *hasty, "--no-cache"]
    apart = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert "NN201" in apart.stdout
    assert apart.stderr == ""


def test_not_a_terminal(project: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-kitty", "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "nnlint", "--format", "full"]
    out = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False).stdout
    assert COLOUR.search(out)
    assert "\x1b]8" not in out
    environment["FORCE_HYPERLINK"] = "1"
    assert LINK in subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False).stdout
    command += ["--output", "out.txt"]
    subprocess.run(command, cwd=project, env=environment, check=False)
    assert "\x1b" not in (project / "out.txt").read_text()
