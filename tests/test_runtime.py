"""`nnlint --runtime`: the real command on real scripts. The run changes nothing, leaves nothing behind, and says how it ended."""

from __future__ import annotations

import html.parser
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="a confirmation run needs torch")

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 120

NETWORK = """
    import sys
    import torch
    from torch import nn
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    inputs, labels = torch.randn(256, 6), torch.randint(3, (256,))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=16, shuffle=True)

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()
"""
TRAIN = """
    for epoch in range(3):
        net.train()
        for x, y in loader:
            print(step(x, y).hex())
        net.eval()
        with torch.no_grad():
            print("accuracy", (net(inputs).argmax(1) == labels).float().mean().item())
    print("torch", torch.rand(1).item())
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str
    report: dict[str, Any]


def write(folder: Path, *parts: str, name: str = "train.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(dedent(part) for part in parts), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def command(folder: Path, *words: str) -> list[str]:
    before, after = (words[: words.index("--")], words[words.index("--") :]) if "--" in words else (words, ())
    return [sys.executable, "-m", "nnlint", "--runtime", "--report", str(folder.parent / "report.json"), *before, *after]


def run(folder: Path, *words: str, stdin: str = "") -> Done:
    done = subprocess.run(
        command(folder, *words), cwd=folder, env=environment(), input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    report = folder.parent / "report.json"
    return Done(done.returncode, done.stdout, done.stderr, json.loads(report.read_text()) if report.exists() else {})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def alive(mark: str) -> list[int]:
    """The processes whose command line or environment holds a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                dead = "State:\tZ" in (entry / "status").read_text()
            except OSError:
                continue
            if mark.encode() in text and not dead:
                found.append(int(entry.name))
    return found


def test_losses_are_the_same_to_the_last_bit(project: Path) -> None:
    path = write(project, NETWORK, TRAIN, 'import random, numpy\nprint("others", random.random(), numpy.random.rand())\n')
    path.write_text("import random, numpy\nrandom.seed(1)\nnumpy.random.seed(2)\n" + path.read_text())
    plain = subprocess.run([sys.executable, str(path)], cwd=project, env=environment(), capture_output=True, text=True, check=True)
    watched = run(project, "--steps", "1000000", "train.py")
    assert watched.code == 0
    assert len(plain.stdout.splitlines()) == 3 * 17 + 2
    assert watched.report["output"] == plain.stdout
    assert watched.report["stopped"] == "end" and watched.report["steps"] == 48


def test_the_run_stops_when_enough_was_seen(project: Path) -> None:
    write(project, NETWORK, TRAIN.replace("range(3)", "range(1000)"))
    done = run(project, "train.py")
    assert done.code == 0 and done.report["stopped"] == "steps"
    assert 20 <= done.report["steps"] <= 40
    assert "accuracy" in done.report["output"], "the run goes on to the next evaluation"


def test_files_of_the_user_stay_as_they_were(project: Path) -> None:
    write(project, "seen = 1\n", name="pack/__init__.py")
    (project / "old.log").write_text("one\n")
    (project / "stale.txt").write_text("stale")
    write(
        project,
        "import os, pathlib, logging, pack\n",
        NETWORK,
        """
        logging.basicConfig(filename="old.log", level=logging.INFO)
        for x, y in loader:
            logging.info("loss %s", step(x, y))
        torch.save(net.state_dict(), "net.pt")
        net.load_state_dict(torch.load("net.pt"))
        os.makedirs("runs/a")
        os.chdir("runs/a")
        pathlib.Path("note.txt").write_text("note")
        os.chdir("../..")
        os.remove("stale.txt")
        assert not os.path.exists("stale.txt") and open("runs/a/note.txt").read() == "note"
        os.rename("old.log", "new.log")
        os.system("true")
        print(sorted(os.listdir(".")), open("new.log").read().count("loss"))
        """,
    )
    before = snapshot(project)
    done = run(project, "--steps", "1000", "train.py")
    assert done.report["error"] is None, done.report["error"]
    assert "['net.pt', 'new.log', 'pack', 'runs', 'train.py'] 16" in done.report["output"]
    assert snapshot(project) == before
    assert "it ran `true`" in done.out


def test_a_crash_is_told_with_the_users_own_frames(project: Path) -> None:
    write(project, NETWORK, "def wrong(x):\n    return net(x[:, :3])\n\nstep(inputs, labels)\nwrong(inputs)\n")
    done = run(project, "train.py")
    assert done.code == 0, "something was run, and nothing was found"
    assert done.report["stopped"] == "error" and done.report["steps"] == 1
    trace = done.report["error"]["trace"]
    assert "in wrong" in trace and "site-packages" not in trace and "RuntimeError" in trace
    assert "the script failed: RuntimeError" in done.out


def test_a_missing_file_is_named(project: Path) -> None:
    write(project, NETWORK, 'data = torch.load("data/features.pt")\n')
    done = run(project, "train.py")
    assert "It needs the file `data/features.pt`" in done.out
    assert done.report["error"]["missing"] == "data/features.pt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import torch, not_there_at_all\n", "not_there_at_all"),
        ("raise SystemExit('wants a GPU')\nimport torch\n", ""),
        ("1/0\n", "ZeroDivisionError"),
    ],
)
def test_scripts_that_never_train(project: Path, text: str, message: str) -> None:
    write(project, text)
    done = run(project, "train.py")
    assert message in done.out + done.err
    assert done.code == (2 if "1/0" in text else 0)


def test_what_cannot_be_run(project: Path) -> None:
    assert run(project, "absent.py").code == 2
    assert run(project).code == 2
    write(project, "def broken(:\n")
    assert run(project, "train.py").code == 2


def test_modules_arguments_and_input(project: Path) -> None:
    write(project, "", name="pkg/__init__.py")
    write(
        project,
        "import argparse\n",
        NETWORK,
        """
        from . import __name__ as package
        parser = argparse.ArgumentParser()
        parser.add_argument("--epochs", type=int)
        parser.add_argument("rest", nargs="*")
        args = parser.parse_args()
        print(package, __name__, args.epochs, args.rest, input("name? "))
        for x, y in loader:
            step(x, y)
        """,
        name="pkg/train.py",
    )
    done = run(project, "-m", "pkg.train", "--", "--epochs", "2", "a", "b", stdin="Ada\n")
    assert "pkg __main__ 2 ['a', 'b']" in done.report["output"] and "Ada" in done.report["output"]
    assert done.report["steps"] == 16


def test_a_run_by_its_settings(project: Path) -> None:
    write(project, NETWORK, "print(sys.argv[1:])", TRAIN)
    write(
        project,
        """
        fail-on = "note"
        baseline = "known.json"
        output-format = "github"
        runtime = { steps = 3, timeout = 100, device = "cpu", args = ["--epochs", "two words"] }
        """,
        name="nnlint.toml",
    )
    write(project, '{"train.py": {"NN501": 1}}', name="known.json")
    done = run(project, "--select", "NN501", "train.py")
    assert (done.code, done.out) == (0, "")
    assert done.report["command"] == ["train.py", "--epochs", "two words"]
    assert done.report["output"].startswith("['--epochs', 'two words']")
    assert 3 <= done.report["steps"] < 20
    done = run(project, "--select", "NN501", "--no-baseline", "--steps", "2", "train.py", "--")
    assert done.code == 1
    assert done.out.startswith("::notice title=nnlint (NN501 bias-before-batchnorm),file=train.py,line=7,")
    assert "%0Aruntime: confirmed: " in done.out
    assert done.report["command"] == ["train.py"]


def test_a_script_that_catches_everything_is_ended(project: Path) -> None:
    write(
        project,
        NETWORK,
        """
        while True:
            try:
                for x, y in loader:
                    step(x, y)
            except BaseException as error:
                print("caught", type(error).__name__, flush=True)
        """,
    )
    done = run(project, "--select", "NN201", "train.py")
    assert done.report["stopped"] in ("steps", "timeout")
    assert done.report["steps"] >= 20


LINGERING = """
    import os, subprocess, sys, time
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", os.environ["MARK"]])
    subprocess.Popen(["sleep", "600"], start_new_session=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("end", "stopped"),
    [("time.sleep(600)", "timeout"), ("os._exit(3)", "end"), ("raise ValueError", "error"), ("os.kill(os.getpid(), 9)", "error")],
)
def test_no_process_is_left(project: Path, end: str, stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"nnlint-test-{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("MARK", mark)
    # What is killed outright loses what changed in the last few hundredths of a second, so this one takes another step after a pause.
    pause = "time.sleep(0.2)\nstep(x, y)\n" if "kill" in end else ""
    write(project, LINGERING, NETWORK, "for x, y in loader:\n    step(x, y)\n", f"{pause}{end}\n")
    done = run(project, "--timeout", "20", "train.py") if stopped == "timeout" else run(project, "train.py")
    assert done.report["stopped"] == stopped
    assert done.report["steps"] >= 16, "the evidence so far is kept"
    assert alive(mark) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_nnlint_is_ended(project: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"nnlint-test-{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("MARK", mark)
    write(
        project,
        NETWORK,
        "import time\nstep(inputs, labels)\nprint('here', flush=True)\ntime.sleep(600)\n",
    )
    child = subprocess.Popen(
        [*command(project, "--show-output", "train.py")],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell lets what it runs in the background ignore an interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stdout is not None
    for line in child.stdout:
        if "here" in line:
            break
    child.send_signal(number)
    rest = child.stdout.read() if number == signal.SIGINT else ""
    child.wait(timeout=60)
    until = time.monotonic() + 20
    while alive(mark) and time.monotonic() < until:
        time.sleep(0.1)
    assert alive(mark) == []
    if number == signal.SIGINT:
        assert "interrupted" in rest, "the evidence so far is shown"


CELL = """\
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(torch.softmax(net(x), 1), y)
        loss.backward()
        optimizer.step()
"""


def test_a_notebook_runs_cell_by_cell(project: Path) -> None:
    cells = [
        "%matplotlib inline\n!pip install nothing\n" + dedent(NETWORK),
        dedent(CELL),
    ]
    document = {
        "cells": [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None} for cell in cells],
        "metadata": {"kernelspec": {"language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (project / "train.ipynb").write_text(json.dumps(document))
    done = run(project, "train.ipynb")
    bias, finding = done.report["findings"]
    assert (bias["code"], bias["cell"], bias["runtime"]["verdict"]) == ("NN501", 1, "confirmed")
    assert (finding["code"], finding["cell"], finding["location"]["row"]) == ("NN101", 2, 3)
    assert finding["runtime"]["verdict"] == "confirmed"
    assert re.search(r"on 16 of 16 batches; over 3 classes the loss cannot fall below 0\.5514", finding["runtime"]["message"])
    assert done.code == 1


CHOOSES = """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    inputs, labels = inputs.to(device), labels.to(device)
    for _ in range(20):
        loss = criterion(net(inputs).softmax(1), labels)
        loss.backward()
        optimizer.step()
    print("ran on", device.type)
"""


def verdicts(done: Done) -> dict[str, str]:
    return {finding["code"]: finding["runtime"]["verdict"] for finding in done.report["findings"]}


def test_a_device_that_there_is_not(project: Path) -> None:
    write(project, NETWORK, CHOOSES)
    done = run(project, "--device", "cpu", "--steps", "1000", "train.py")
    assert "ran on cpu" in done.report["output"] and done.report["device"] == "cpu"
    assert verdicts(done) == {"NN101": "confirmed", "NN201": "confirmed", "NN501": "confirmed"}


def test_the_report_as_a_page(project: Path) -> None:
    write(project, NETWORK, "print('<b>raw</b> & more')\n", TRAIN)
    page = project.parent / "report.html"
    words = [sys.executable, "-m", "nnlint", "--runtime", "--report", str(page), "train.py"]
    done = subprocess.run(words, cwd=project, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr  # the finding is a note
    text = page.read_text(encoding="utf-8")
    html.parser.HTMLParser().feed(text)
    assert '<span class="verdict confirmed">confirmed</span>' in text and "bias-before-batchnorm" in text
    assert "&lt;b&gt;raw&lt;/b&gt; &amp; more" in text and "<b>raw" not in text and "\x1b" not in text
    assert "nn.Linear(6, 16), nn.BatchNorm1d(16)" in text, "the code that it speaks of"


def test_the_report_says_what_the_probe_took(project: Path) -> None:
    write(project, NETWORK, TRAIN)
    report = run(project, "train.py").report
    assert set(report["overhead"]) == {"start_seconds", "extra_seconds"} and all(value > 0 for value in report["overhead"].values())
    assert report["overhead"]["extra_seconds"] < report["seconds"]
