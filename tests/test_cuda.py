"""The verdicts on a GPU are those on the CPU: every fixture again with its tensors there, and programs that only a GPU can run.

Skipped as a whole, and visibly, where no GPU is at hand; docs/accuracy.md says when it was last run and on what.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Launch, Run, case_id, cases, forking, running
from test_runtime import Done, environment, project, run, write  # noqa: F401
from test_verdicts import judged

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.cuda
if not torch.cuda.is_available():
    pytest.skip("no GPU is at hand", allow_module_level=True)


@pytest.fixture(scope="module")
def fork() -> Iterator[Launch]:
    with forking("cuda") as launch:
        yield launch


@pytest.fixture(scope="module")
def plain() -> Iterator[Run]:
    with running("cuda") as run:
        yield run


@pytest.mark.parametrize("path", cases(), ids=case_id)
def test_fixtures_are_judged_as_on_the_cpu(path: Path, fork: Launch, plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.suffix == ".py":
        (tmp_path / "cwd").mkdir()
        code, output = plain(path, path.parent, tmp_path / "cwd")
        if code:
            pytest.skip(f"does not run with all tensors on a GPU: {output.strip().splitlines()[-1]}")
    judged(path, fork, monkeypatch)


NETWORK = """
    import torch
    from torch import nn
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias={bias}), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 5)).to(device)
    optimizer = torch.optim.{optimizer}(net.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    data = torch.utils.data.TensorDataset(torch.randn(96, 3, 12, 12), torch.randint(5, (96,)))
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True, num_workers=2, pin_memory=True)
"""
PLAIN = """
    for epoch in range(2):
        for x, y in loader:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            {zero}
            loss = criterion({output}, y)
            loss.backward()
            optimizer.step()
            print(device.type, loss.item().hex())
    net.eval()
    with torch.no_grad():
        print(sum((net(x.to(device)).argmax(1).cpu() == y).sum().item() for x, y in loader))
"""
SCALED = """
    scaler = torch.amp.GradScaler(init_scale=1024.0)
    for epoch in range(2):
        for x, y in loader:
            x, y = x.to(device, memory_format=torch.channels_last), y.to(device)
            {zero}
            with torch.autocast(device.type, torch.float16):
                loss = criterion({output}, y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    net.eval()
    with torch.no_grad():
        print(device.type, sum((net(x.to(device)).argmax(1).cpu() == y).sum().item() for x, y in loader))
"""
BFLOAT = """
    for epoch in range(2):
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            {zero}
            with torch.autocast(device.type, torch.bfloat16):
                loss = criterion({output}, y)
            loss.backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        print(device.type, sum((net(x.to(device)).argmax(1).cpu() == y).sum().item() for x, y in loader))
"""
LOOPS = {"plain": PLAIN, "float16 and GradScaler": SCALED, "bfloat16": BFLOAT}


def verdicts(done: Done) -> dict[str, str]:
    return {finding["code"]: finding["runtime"]["verdict"] for finding in done.report["findings"]}


def program(loop: str, optimizer: str, **parts: Any) -> str:
    text = {"bias": "False", "zero": "optimizer.zero_grad()", "output": "net(x)", **parts}
    return NETWORK.format(bias=text["bias"], optimizer=optimizer) + loop.format(zero=text["zero"], output=text["output"])


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "auto", "cpu"])
@pytest.mark.parametrize("loop", LOOPS)
def test_mistakes_are_confirmed(project: Path, loop: str, device: str) -> None:  # noqa: F811
    if (loop, device) == ("float16 and GradScaler", "cpu"):
        pytest.skip("convolutions in float16 are for GPUs")
    write(project, program(LOOPS[loop], "AdamW", bias="True", zero="pass", output="net(x).softmax(1)"))
    done = run(project, "--device", device, "train.py")
    where = "cpu" if device == "cpu" else "cuda"
    assert done.report["device"].startswith(where)
    assert verdicts(done) == {"NN101": "confirmed", "NN201": "confirmed", "NN501": "confirmed"}, done.report["findings"]
    assert {finding["runtime"]["device"].partition(":")[0] for finding in done.report["findings"]} == {where}


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("loop", LOOPS)
def test_right_programs_stay_clean(project: Path, loop: str, optimizer: str) -> None:  # noqa: F811
    write(project, program(LOOPS[loop], optimizer))
    done = run(project, "--device", "cuda", "--steps", "1000", "train.py")
    assert done.report["device"].startswith("cuda") and done.report["stopped"] == "end" and done.report["steps"] == 24
    assert (done.code, done.report["findings"]) == (0, [])


def test_losses_are_the_same_bit_for_bit(project: Path) -> None:  # noqa: F811
    settled = """
        import os
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    """
    write(
        project,
        settled,
        program(PLAIN, "SGD", bias="True", output="net(x).softmax(1)").replace(
            "device =", "torch.use_deterministic_algorithms(True); device ="
        ),
    )
    alone = subprocess.run(
        [sys.executable, "train.py"], cwd=project, env=environment(), capture_output=True, text=True, timeout=120, check=True
    ).stdout
    done = run(project, "--device", "cuda", "--steps", "1000", "train.py")
    losses = [line for line in alone.splitlines() if line.startswith("cuda ")]
    assert len(losses) == 24 and [line for line in done.report["output"].splitlines() if line.startswith("cuda ")] == losses
    assert verdicts(done) == {"NN101": "confirmed", "NN501": "confirmed"}


def test_a_script_that_names_its_device_is_respected(project: Path) -> None:  # noqa: F811
    fixed = program(PLAIN, "SGD", output="net(x).softmax(1)").replace('"cuda" if torch.cuda.is_available() else "cpu"', '"cpu"')
    write(project, fixed)
    done = run(project, "--device", "cuda", "train.py")
    assert done.report["device"] == "cpu" and verdicts(done) == {"NN101": "confirmed"}
    assert "cuda was asked for, but the script chooses its device itself" in done.err + done.out


def test_a_file_of_networks_only(project: Path) -> None:  # noqa: F811
    write(
        project,
        """
            from torch import nn
            class Net(nn.Module):
                def __init__(self, classes=10):
                    super().__init__()
                    self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
                    self.fc = nn.Linear(8, classes)
                def forward(self, x):
                    return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))
        """,
        name="model.py",
    )
    done = run(project, "--device", "cuda", "model.py")
    assert verdicts(done) == {"NN501": "confirmed"}


def test_one_rank_with_nccl(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29555"}.items():
        monkeypatch.setenv(name, value)
    wrapped = "torch.distributed.init_process_group('nccl')\n    net = nn.parallel.DistributedDataParallel(net)\n    optimizer ="
    text = program(PLAIN, "SGD", output="net(x).softmax(1)").replace("optimizer =", wrapped, 1)
    write(project, text, "    torch.distributed.destroy_process_group()\n")
    done = run(project, "--device", "cuda", "--steps", "1000", "train.py")
    assert done.report["device"].startswith("cuda") and verdicts(done) == {"NN101": "confirmed"}
