"""`--fix` and `--diff` on files, notebooks and standard input: what is written, how, and what is left alone."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nnlint import cli
from nnlint.findings import Applicability, Confidence, Edit, Finding, Fix, Place, Severity
from nnlint.fix import disk
from nnlint.fix.apply import compatible, edited, edits_of

Outcome = tuple[int, str, str]

HEAD = """import torch
from torch import nn

net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""
LOOP = """for _ in range(5):
    loss = nn.functional.cross_entropy(net(torch.randn(8, 1, 8)), torch.randint(3, (8,)))
    loss.backward()
    optimizer.step()
"""
BUGGY = HEAD + LOOP
ZEROED = BUGGY.replace("    loss.backward()", "    optimizer.zero_grad()\n    loss.backward()")
UNBIASED = ZEROED.replace("Conv1d(1, 4, 3)", "Conv1d(1, 4, 3, bias=False)")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command line in this process and in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def execute(*args: str) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            cli.main(["--no-cache", *args])
        out, err = capfd.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, out, err

    return execute


def given(name: str, text: str) -> Path:
    path = Path(name)
    path.write_bytes(text.encode())
    return path


def test_only_safe_fixes_are_made(run: Callable[..., Outcome]) -> None:
    path = given("train.py", BUGGY)
    code, out, err = run("--fix", "--format", "concise", "train.py")
    assert path.read_bytes().decode() == ZEROED
    assert (code, err) == (0, "")  # what is left is a note
    assert out.splitlines()[-2:] == ["Fixed 1 finding; 1 note left.", "[*] 1 fixable with --fix --unsafe-fixes"]


def test_unsafe_fixes_on_demand(run: Callable[..., Outcome]) -> None:
    path = given("train.py", BUGGY)
    code, out, err = run("--fix", "--unsafe-fixes", "train.py")
    assert path.read_bytes().decode() == UNBIASED
    assert (code, out, err) == (0, "Fixed 2 findings; nothing left.\n", "")
    before = path.stat()
    assert run("--fix", "--unsafe-fixes", "train.py")[0] == 0
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino), "nothing to do, nothing written"


def test_nothing_is_written_without_the_flag(run: Callable[..., Outcome]) -> None:
    path = given("train.py", BUGGY)
    code, out, _ = run("train.py")
    assert code == 1
    assert "= fix: insert `optimizer.zero_grad()`\n" in out
    assert "= fix: pass `bias=False` (unsafe: checkpoints" in out
    assert out.endswith("[*] 1 fixable with --fix, 1 more with --fix --unsafe-fixes\n")
    assert path.read_bytes().decode() == BUGGY
    assert os.listdir() == ["train.py"]


def test_diff_writes_nothing(run: Callable[..., Outcome]) -> None:
    path = given("train.py", BUGGY)
    code, out, err = run("--diff", "train.py")
    assert code == 1
    assert out.splitlines() == [
        "--- train.py",
        "+++ train.py",
        "@@ -5,5 +5,6 @@",
        " optimizer = torch.optim.SGD(net.parameters(), lr=0.1)",
        " for _ in range(5):",
        "     loss = nn.functional.cross_entropy(net(torch.randn(8, 1, 8)), torch.randint(3, (8,)))",
        "+    optimizer.zero_grad()",
        "     loss.backward()",
        "     optimizer.step()",
    ]
    assert err == "train.py:8:5: NN201 would be fixed: insert `optimizer.zero_grad()`\n"
    assert path.read_bytes().decode() == BUGGY
    given("train.py", ZEROED)
    assert run("--diff", "train.py") == (0, "", "")


def test_an_unsafe_fix_says_why(run: Callable[..., Outcome]) -> None:
    given("train.py", ZEROED)
    _, out, err = run("--diff", "--unsafe-fixes", "train.py")
    assert "+net = nn.Sequential(nn.Conv1d(1, 4, 3, bias=False)" in out
    assert "NN501 would be fixed: pass `bias=False` (unsafe: checkpoints that were saved before hold a bias" in err


def test_what_is_suppressed_is_left(run: Callable[..., Outcome]) -> None:
    text = BUGGY.replace("loss.backward()", "loss.backward()  # nnlint: ignore[missing-zero-grad] on purpose")
    path = given("train.py", text)
    run("--fix", "train.py")
    assert path.read_bytes().decode() == text


def test_standard_input(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    feed(BUGGY)
    code, out, err = run("--fix", "--stdin-filename", "train.py", "-")
    assert (code, out) == (0, ZEROED)
    assert err.endswith("Fixed 1 finding; 1 note left.\n[*] 1 fixable with --fix --unsafe-fixes\n")
    feed(ZEROED)
    assert run("--fix", "-")[:2] == (0, ZEROED)
    feed(BUGGY)
    code, out, _ = run("--diff", "-")
    assert code == 1
    assert out.startswith("--- -\n+++ -\n@@")
    assert os.listdir() == []


def notebook(loop: str | list[str]) -> dict[str, object]:
    code: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {"é": 1e-05}, "outputs": []}
    return {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "<b>ü</b>"]},
            {**code, "source": [*HEAD.splitlines(keepends=True)[:-1], HEAD.splitlines()[-1]]},
            {**code, "source": loop},
        ],
        "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


LINES = ["%%time\n", *LOOP.splitlines(keepends=True)[:-1], LOOP.splitlines()[-1] + "  # ü"]


@pytest.mark.parametrize("style", [{"indent": 1}, {"indent": 4, "ensure_ascii": False}, {}, {"separators": (",", ":")}])
@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("loop", [LINES, "".join(LINES)], ids=["lines", "string"])
def test_notebooks_keep_their_form(run: Callable[..., Outcome], style: dict[str, object], end: str, loop: str | list[str]) -> None:
    path = given("train.ipynb", json.dumps(notebook(loop), **style) + end)  # type: ignore[arg-type]
    assert run("--fix", "train.ipynb")[0] == 0
    new: str | list[str] = [*LINES[:3], "    optimizer.zero_grad()\n", *LINES[3:]]
    wanted = json.dumps(notebook("".join(new) if isinstance(loop, str) else new), **style) + end  # type: ignore[arg-type]
    assert path.read_text(encoding="utf-8") == wanted


def test_a_notebook_of_version_3(run: Callable[..., Outcome]) -> None:
    code: dict[str, object] = {"cell_type": "code", "language": "python", "outputs": []}
    cells = [{**code, "input": HEAD}, {**code, "input": LOOP}]
    path = given("old.ipynb", json.dumps({"metadata": {}, "nbformat": 3, "worksheets": [{"cells": cells}]}))
    run("--fix", "old.ipynb")
    assert "optimizer.zero_grad()" in json.loads(path.read_text())["worksheets"][0]["cells"][1]["input"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n", "\r\n"),  # the newlines of Windows
        ("    ", "\t"),
        ("    optimizer.step()\n", "    optimizer.step()"),  # no newline at the end
        ("import torch\n", "\ufeffimport torch\n"),
        ("import torch\n", "# coding: latin-1\nimport torch  # \xe9\n"),
        ("    loss.backward()\n    optimizer.step()", "    loss.backward(); optimizer.step()"),
    ],
    ids=["crlf", "tabs", "unended", "bom", "latin-1", "semicolon"],
)
def test_the_form_of_a_file_stays(run: Callable[..., Outcome], before: str, after: str) -> None:
    encoding = "latin-1" if "latin" in after else "utf-8"
    path = Path("train.py")
    path.write_bytes(BUGGY.replace(before, after).encode(encoding))
    run("--fix", "train.py")
    wanted = ZEROED.replace(before, after)
    if ";" in after:
        wanted = BUGGY.replace(before, "    optimizer.zero_grad(); " + after.lstrip())
    assert path.read_bytes() == wanted.encode(encoding)


def test_modes_and_links_stay(run: Callable[..., Outcome]) -> None:
    path = given("real.py", BUGGY)
    path.chmod(0o754)
    Path("link.py").symlink_to("real.py")
    assert run("--fix", "link.py")[0] == 0
    assert Path("link.py").is_symlink()
    assert path.read_bytes().decode() == ZEROED
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert sorted(os.listdir()) == ["link.py", "real.py"]


def test_a_read_only_file_is_left_alone(run: Callable[..., Outcome]) -> None:
    path, other = given("train.py", BUGGY), given("other.py", BUGGY)
    path.chmod(0o444)
    code, out, err = run("--fix", ".")
    assert code == 2
    assert err == "nnlint: train.py is left as it is: it is read-only\n"
    assert "train.py:8:5 NN201" in out
    assert path.read_bytes().decode() == BUGGY
    assert other.read_bytes().decode() == ZEROED
    assert run("--diff", ".")[0] == 1, "to show what would change nothing need be written"


def test_a_file_that_changed_meanwhile_is_left_alone(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    path = given("train.py", BUGGY)
    check = disk.check

    def late(target: Path) -> None:
        path.write_text("print('saved in an editor')\n")
        check(target)

    monkeypatch.setattr(disk, "check", late)
    code, _, err = run("--fix", ".")
    assert (code, err) == (2, "nnlint: train.py is left as it is: it was changed meanwhile\n")
    assert path.read_text() == "print('saved in an editor')\n"


def test_a_file_that_changes_while_it_is_replaced_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(b"new")
    with pytest.raises(disk.Refused, match="changed meanwhile"):
        disk.replace(path, b"old", b"fixed")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["train.py"]
    monkeypatch.setattr(os, "replace", lambda source, target: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(disk.Refused, match="No space left on device"):
        disk.replace(path, b"new", b"fixed")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["train.py"]


def test_a_fix_that_brings_another_finding_is_not_made(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlint.fix import session

    monkeypatch.setattr(session, "edited", lambda text, edits: text + "loss.backward()\n" * 2)
    path = given("train.py", BUGGY)
    code, _, err = run("--fix", ".")
    assert code == 1
    assert err == "nnlint: train.py:8:5: NN201 is left: its fix would leave it as it is, or bring another finding\n"
    assert path.read_bytes().decode() == BUGGY


def test_one_bad_fix_does_not_keep_the_others_from_being_made(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlint.fix import session

    def spoiled(text: str, edits: Sequence[Edit]) -> str:
        bad = any("bias" in edit.content for edit in edits)
        return edited(text, edits) + (LOOP if bad else "")

    monkeypatch.setattr(session, "edited", spoiled)
    path = given("train.py", BUGGY)
    code, out, err = run("--fix", "--unsafe-fixes", "--format", "concise", ".")
    assert path.read_bytes().decode() == ZEROED
    assert code == 0
    assert out.splitlines()[1:] == ["Fixed 1 finding; 1 note left.", "[*] 1 fixable with --fix --unsafe-fixes"]
    assert err == "nnlint: train.py:4:21: NN501 is left: its fix would leave it as it is, or bring another finding\n"


def fixed(*edits: tuple[int, int, int, int, str]) -> Finding:
    """A finding whose fix consists of some edits: from row and column to row and column, and what is put there."""
    made = tuple(Edit(Place("a.py", None, row, column, end_row, end_column), text) for row, column, end_row, end_column, text in edits)
    fix = Fix("mend", Applicability.SAFE, made)
    return Finding("NN101", "x", Severity.ERROR, Confidence.CERTAIN, str(edits), "", made[0].place, fix=fix)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ((1, 1, 1, 5, "x"), (1, 5, 1, 9, "y"), "xy\nab"),  # side by side
        ((1, 1, 1, 5, "x"), (1, 4, 1, 9, "y"), None),
        ((1, 3, 1, 5, "x"), (1, 3, 1, 5, "y"), None),
        ((1, 3, 1, 5, "x"), (1, 3, 1, 5, "x"), "12x5678\nab"),  # the same
        ((1, 3, 1, 3, "x"), (1, 3, 1, 3, "y"), "12xy345678\nab"),  # both put something in
        ((1, 3, 1, 3, "x"), (1, 3, 1, 3, "x"), "12x345678\nab"),
        ((1, 3, 1, 3, "x"), (1, 2, 1, 6, "y"), None),
        ((1, 3, 1, 3, "x"), (1, 3, 1, 6, "y"), "12xy678\nab"),  # in front of what is replaced
        ((1, 1, 2, 1, ""), (2, 1, 2, 2, "y"), "yb"),
    ],
)
def test_of_fixes_that_overlap_the_first_is_made(
    first: tuple[int, int, int, int, str], second: tuple[int, int, int, int, str], together: str | None
) -> None:
    one, two = fixed(first), fixed(second)
    taken = compatible([one, two])
    assert taken.findings == ([one, two] if together is not None else [one])
    assert taken.left == ([] if together is not None else [two])
    if together is not None:
        edits = edits_of([finding.fix for finding in taken.findings if finding.fix is not None], "a.py")[None]
        assert edited("12345678\nab", edits) == together


NET = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return nn.functional.softmax(self.fc(x), dim=1)
"""
TRAIN = """import torch
from torch import nn
from net import Net

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,))).backward()
    optimizer.step()
torch.save(net.state_dict(), "net.pt")
"""
PREDICT = """import torch
from net import Net

net = Net()
net.load_state_dict(torch.load("net.pt"))
net.eval()
print((net(torch.randn(8, 4)) > 0.9).sum())
"""


def test_what_another_script_needs_stays(run: Callable[..., Outcome]) -> None:
    given("net.py", NET)
    given("train.py", TRAIN)
    _, out, _ = run("--diff", "--unsafe-fixes", ".")
    assert "+        return self.fc(x)\n" in out
    given("predict.py", PREDICT)
    assert run("--diff", "--unsafe-fixes", ".") == (0, "", "")
    assert "NN101" in run("--format", "concise", ".")[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--unsafe-fixes",), "`--unsafe-fixes` needs `--fix` or `--diff`"),
        (("--fix", "--runtime", "train.py"), "`--fix` and `--diff` do not go with `--runtime`"),
    ],
)
def test_what_does_not_go_together(run: Callable[..., Outcome], args: tuple[str, ...], message: str) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err
