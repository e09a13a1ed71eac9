"""Measure what the probe adds to a training step, and to the start of a script.

    python benchmarks/overhead.py --rounds 3

One script trains a network and prints how long each step took; it is run plainly and under the probe in turns (CPU, one thread), and the
medians of all steps after the first ten are compared. The start is that of a script which only imports torch. Ratios say more than times:
both sides share whatever else the machine does. Counted is the CPU time of the one thread that trains.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnlint.confirm.job import Job  # noqa: E402
from nnlint.confirm.launch import launch  # noqa: E402

STEP = """
import time, torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
{network}
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.{optimizer}(net.parameters(), lr=1e-3)
for step in range({steps}):
    start = time.thread_time()
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    print("step", time.thread_time() - start)
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
SCRIPTS = {
    "CNN": STEP.format(network=CNN, optimizer="SGD", steps=60),
    "MLP": STEP.format(network=MLP, optimizer="SGD", steps=600),
}


def plainly(path: Path) -> tuple[str, float]:
    began = time.monotonic()
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    return done.stdout, time.monotonic() - began


def watched(path: Path) -> tuple[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        outcome = launch(Job(script=str(path), folder=str(path.parent), steps=10**9), Path(os.path.realpath(scratch)))
    return outcome.output, outcome.seconds


def steps(output: str) -> list[float]:
    return [float(line.split()[1]) for line in output.splitlines() if line.startswith("step ")][10:]


@click.command()
@click.option("--rounds", default=3, help="How often each side runs.")
def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SCRIPTS.items():
            path = Path(folder, f"{name.lower()}.py")
            path.write_text(text)
            # Ratios within a round: what else the machine does changes from one round to the next.
            pairs = [(statistics.median(steps(plainly(path)[0])), statistics.median(steps(watched(path)[0]))) for _ in range(rounds)]
            told = ", ".join(f"{other / one:.3f}" for one, other in pairs)
            ratio = statistics.median(other / one for one, other in pairs)
            step = statistics.median(one for one, _ in pairs)
            click.echo(f"{name}: median step {step * 1e3:.2f} ms plain, ratio under the probe {ratio:.3f} (rounds: {told})")
        path = Path(folder, "start.py")
        path.write_text("import torch\n")
        begins = [(plainly(path)[1], watched(path)[1]) for _ in range(rounds)]
        one, other = (statistics.median(side) for side in zip(*begins, strict=True))
        click.echo(f"start: {one:.2f} s plain, {other:.2f} s under the probe, {other - one:+.2f} s")


if __name__ == "__main__":
    main()
