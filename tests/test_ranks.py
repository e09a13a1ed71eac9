"""Several ranks: launched by torchrun, their evidence merged, and what only ranks can show. With gloo, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_runtime import project, pytestmark, run, write  # noqa: F401

from nnlint.confirm.evidence import Evidence
from nnlint.confirm.ranks import remarks
from nnlint.confirm.records import RankSeen, Spot

SCRIPT = """
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    dist.init_process_group("gloo")
    torch.manual_seed(0)
    net = nn.Linear(4, 2)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.randn(64, 4), torch.randint(2, (64,)))
    sampler = DistributedSampler(data)
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x).softmax(1), y).backward()
            optimizer.step()
    dist.destroy_process_group()
"""


def test_nothing_is_said_of_ranks_that_do_right(project: Path) -> None:  # noqa: F811
    write(project, SCRIPT)
    done = run(project, "--nproc-per-node", "2", "train.py")
    assert done.report["error"] is None, done.report["output"]
    (finding,) = done.report["findings"]
    assert finding["runtime"]["verdict"] == "confirmed"
    assert not [note for note in done.report["notes"] if "rank" in note or "Sampler" in note]


def test_the_wrapped_network_itself_and_an_epoch_that_stays(project: Path) -> None:  # noqa: F811
    write(project, SCRIPT.replace("model(x)", "net(x)").replace("sampler.set_epoch(epoch)", "pass"))
    done = run(project, "--nproc-per-node", "2", "--steps", "24", "train.py")
    assert "the ranks' copies of `Linear` drift apart from step 1 on: train.py:20 calls the wrapped network itself" in done.out
    assert "the DistributedSampler (train.py:18) gave the same order in 3 epochs: `set_epoch` was never called" in done.out


SHARDED = """
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            return x + self.down(torch.relu(self.up(self.norm(x))))

    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("data", "tensor"))
    model = nn.Sequential(nn.Linear(16, 32), Block(32), nn.Linear(32, 8))
    parallelize_module(model[1], mesh["tensor"], {{"up": ColwiseParallel(), "down": RowwiseParallel()}})
    model = fully_shard(model, mesh=mesh["data"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(8):
        torch.manual_seed(step)
        {zero}
        model(torch.randn(8, 16)).pow(2).mean().backward()
        optimizer.step()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("zero", "verdicts"),
    [("pass", ["confirmed"]), ("optimizer.zero_grad()", []), ("optimizer.zero_grad(set_to_none=False)", [])],
)
def test_gradients_that_fsdp_puts_in_their_place(project: Path, zero: str, verdicts: list[str]) -> None:  # noqa: F811
    """No hook of autograd sees them; the rest of the network is split over the ranks as in tensor parallelism."""
    write(project, SHARDED.format(zero=zero))
    done = run(project, "--nproc-per-node", "2", "train.py")
    assert done.report["error"] is None and done.report["steps"] == 8, done.report["output"]
    seen = [(finding["code"], finding["runtime"]["verdict"]) for finding in done.report["findings"]]
    assert seen == [("NN201", word) for word in verdicts]


@pytest.mark.parametrize(("second", "said"), [((1.0, 2.0, 3.0, 4.0, 5.0), True), ((1.0, 2.0, 3.0, 4.0, 6.0), False), ((1.0, 2.0), False)])
def test_the_same_samples_on_all_ranks(second: tuple[float, ...], said: bool) -> None:
    made = (Spot("/train.py", 3, 3),)
    batches = (1.0, 2.0, 3.0, 4.0, 5.0)
    seen = [RankSeen(key=1, network="Net", made=made, batches=values) for values in (batches, second)]
    texts = list(remarks(Evidence([((rank, 1), record) for rank, record in enumerate(seen)], lambda spot: None)))
    assert bool(texts) is said
    assert not said or "on the same samples (5 of 5 batches)" in texts[0]
