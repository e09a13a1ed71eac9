"""Measure what the probe adds to a training step, and to the start of a script.

    python benchmarks/overhead.py

Two processes train the same network side by side, one plainly and one under the probe, and take turns: each computes for a quarter of a
second while the other waits (CPU, one thread). Whatever else the machine does, it does to both. Compared are the medians of all steps but
the first turn's; counted is the CPU time of the one thread that trains. The start is that of a script which only imports torch, by the wall
clock, the two one after the other.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnlint.confirm.job import Job  # noqa: E402
from nnlint.confirm.launch import launch  # noqa: E402

STEP = """
import sys, time, torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
{network}
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
mine, begin, end = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
while time.time() < end:
    turn = int((time.time() - begin) * {pace})
    if turn % 2 != mine:
        time.sleep(0.001)
        continue
    start = time.thread_time()
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    print("step", turn, time.thread_time() - start)
"""
CNN = """
def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
net = nn.Sequential(block(3, 32), block(32, 32), nn.MaxPool2d(2), block(32, 64), block(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(64, 10))
x, y = torch.randn(16, 3, 48, 48), torch.randint(10, (16,))
"""
MLP = """
net = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
x, y = torch.randn(128, 128), torch.randint(10, (128,))
"""
SCRIPTS = {"CNN": (STEP.format(network=CNN, pace=1), 60), "MLP": (STEP.format(network=MLP, pace=4), 30)}
"""What is trained, and for how many seconds."""
_START = 8.0  # seconds that a process gets to be ready


def plainly(path: Path) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, str(path)], check=True)
    return time.monotonic() - began


def watched(path: Path, *args: str) -> tuple[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        outcome = launch(Job(script=str(path), folder=str(path.parent), steps=10**9, args=list(args)), Path(os.path.realpath(scratch)))
    return outcome.output, outcome.seconds


def steps(output: str) -> list[float]:
    """The seconds of each step, without the first turn's."""
    told = [line.split() for line in output.splitlines() if line.startswith("step ")]
    if not told:
        raise click.ClickException(f"no step was taken: {output.strip()[-400:]}")
    return [float(seconds) for _, turn, seconds in told if turn != told[0][1]]


def side_by_side(path: Path, lasting: int) -> tuple[list[float], list[float]]:
    """The steps of both."""
    begin = time.time() + _START
    times = (str(begin), str(begin + lasting))
    # Started before the other: at its end, `launch` puts away what has been started meanwhile.
    plain = subprocess.Popen([sys.executable, str(path), "0", *times], stdout=subprocess.PIPE, text=True)
    with plain, ThreadPoolExecutor(1) as reader:
        told = reader.submit(plain.communicate)
        seen, _ = watched(path, "1", *times)
        return steps(told.result()[0]), steps(seen)


@click.command()
@click.option("--rounds", default=3, help="How often each is measured.")
def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, lasting) in SCRIPTS.items():
            path = Path(folder, f"{name.lower()}.py")
            path.write_text(text)
            pairs = [tuple(map(statistics.median, side_by_side(path, lasting))) for _ in range(rounds)]
            told = ", ".join(f"{other / one:.3f}" for one, other in pairs)
            ratio = statistics.median(other / one for one, other in pairs)
            step = statistics.median(one for one, _ in pairs)
            click.echo(f"{name}: median step {step * 1e3:.2f} ms plain, ratio under the probe {ratio:.3f} (rounds: {told})")
        path = Path(folder, "start.py")
        path.write_text("import torch\n")
        begins = [(plainly(path), watched(path)[1]) for _ in range(2 * rounds + 1)]
        told = ", ".join(f"{other - one:+.2f}" for one, other in begins)
        one, more = statistics.median(one for one, _ in begins), statistics.median(other - one for one, other in begins)
        click.echo(f"start: {one:.2f} s plain, {more:+.2f} s under the probe (pairs: {told})")


if __name__ == "__main__":
    main()
