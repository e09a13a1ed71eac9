"""Loops that a framework runs: Lightning, Accelerate, the Trainer of transformers; and a script that Hydra starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from test_runtime import Done, project, run, write  # noqa: F401

pytest.importorskip("torch")

LIGHTNING = """
    import lightning as L
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    class Lit(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 32, bias={bias}), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2))
            self.head = nn.Linear(32, 4)

        def forward(self, x):
            return {output}

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_loss", F.cross_entropy(self(x), y))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    if __name__ == "__main__":
        data = TensorDataset(torch.randn(256, 8), torch.randint(4, (256,)))
        trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.fit(Lit(), DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=32))
"""
MANUAL = """
    import lightning as L
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    class Gan(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
            self.critic = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
            self.criterion = nn.BCEWithLogitsLoss()

        def training_step(self, batch):
            (real,) = batch
            first, second = self.optimizers()
            ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
            fake = self.generator(torch.randn(len(real), 4))
            second.zero_grad()
            loss = self.criterion(self.critic(real), ones) + self.criterion(self.critic(fake.detach()), zeros)
            self.manual_backward(loss)
            second.step()
            {zero}
            self.manual_backward(self.criterion(self.critic(fake), ones))
            first.step()

        def configure_optimizers(self):
            return torch.optim.Adam(self.generator.parameters()), torch.optim.Adam(self.critic.parameters())

    data = TensorDataset(torch.randn(256, 8))
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(Gan(), DataLoader(data, batch_size=16))
"""
ACCELERATE = """
    import torch
    from accelerate import Accelerator
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps={every})
    net = nn.Sequential(nn.Linear(8, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    train = DataLoader(TensorDataset(torch.randn(512, 8), torch.randint(4, (512,))), batch_size=16, shuffle=True)
    test = DataLoader(TensorDataset(torch.randn(64, 8), torch.randint(4, (64,))), batch_size=16)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    net, optimizer, train, test, scheduler = accelerator.prepare(net, optimizer, train, test, scheduler)
    criterion = nn.NLLLoss()
    for epoch in range(3):
        net.train()
        for x, y in train:
            with accelerator.accumulate(net):
                accelerator.backward(criterion(net(x), y))
                optimizer.step()
                scheduler.step()
                {zero}
        {evaluate}
        hits = 0
        with torch.no_grad():
            for x, y in test:
                guess, y = accelerator.gather_for_metrics((net(x).argmax(1), y))
                hits += (guess == y).sum().item()
        print(epoch, hits)
"""
TRAINER = """
    import torch
    from torch import nn
    from torch.utils.data import Dataset
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    class Toy(Dataset):
        def __len__(self):
            return 96

        def __getitem__(self, at):
            numbers = torch.Generator().manual_seed(at)
            return {{"input_ids": torch.randint(5, 50, (12,), generator=numbers), "labels": at % 3}}

    class Own(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = nn.CrossEntropyLoss()({output}, labels)
            return (loss, outputs) if return_outputs else loss

    if __name__ == "__main__":
        sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
        model = BertForSequenceClassification(BertConfig(vocab_size=64, num_labels=3, **sizes))
        arguments = TrainingArguments(
            "out", num_train_epochs=2, per_device_train_batch_size=8, report_to=[], eval_strategy="epoch", save_strategy="no", use_cpu=True)
        Own(model, arguments, train_dataset=Toy(), eval_dataset=Toy()).train()
"""
HYDRA = """
    import hydra
    import torch
    from omegaconf import DictConfig
    from torch import nn

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg: DictConfig) -> None:
        net = nn.Sequential(nn.Linear(8, cfg.model.hidden), nn.ReLU(), nn.Linear(cfg.model.hidden, 4), {last})
        optimizer = torch.optim.SGD(net.parameters(), lr=cfg.lr)
        criterion = nn.CrossEntropyLoss()
        data = torch.utils.data.TensorDataset(torch.randn(256, 8), torch.randint(4, (256,)))
        for x, y in torch.utils.data.DataLoader(data, 16):
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
        torch.save(net.state_dict(), "last.pt")
        print("hidden", cfg.model.hidden)

    if __name__ == "__main__":
        main()
"""
CASES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "lightning": (LIGHTNING, {"bias": False, "output": "self.head(self.body(x))"}, set()),
    "lightning, mistakes": (LIGHTNING, {"bias": True, "output": "self.head(self.body(x)).softmax(-1)"}, {"NN101", "NN501"}),
    "lightning, by hand": (MANUAL, {"zero": "first.zero_grad()"}, set()),
    "lightning, by hand, mistake": (MANUAL, {"zero": "pass"}, {"NN201"}),
    "accelerate": (ACCELERATE, {"every": 2, "zero": "optimizer.zero_grad()", "evaluate": "net.eval()"}, set()),
    "accelerate, mistakes": (ACCELERATE, {"every": 1, "zero": "pass", "evaluate": "pass"}, {"NN201", "NN301"}),
    "transformers": (TRAINER, {"output": "outputs.logits"}, set()),
    "transformers, mistake": (TRAINER, {"output": "outputs.logits.softmax(-1)"}, {"NN101"}),
}


@pytest.mark.parametrize("name", CASES)
def test_loops_of_a_framework(name: str, project: Path) -> None:  # noqa: F811
    framework = name.partition(",")[0]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    text, parts, wanted = CASES[name]
    write(project, text.format(**parts))
    done = run(project, "--ignore", "NN502", "train.py")
    assert verdicts(done) == dict.fromkeys(wanted, "confirmed"), done.report
    assert done.report["stopped"] in ("steps", "end") and done.report["steps"] >= 12, done.report
    assert sorted(path.name for path in project.iterdir()) == ["train.py"]


@pytest.mark.parametrize(("last", "wanted"), [("nn.Identity()", {}), ("nn.Softmax(1)", {"NN101": "confirmed"})])
def test_hydra(project: Path, last: str, wanted: dict[str, str]) -> None:  # noqa: F811
    if importlib.util.find_spec("hydra") is None:
        pytest.skip("hydra is not installed")
    write(project, "lr: 0.01\nmodel:\n  hidden: 32\n", name="conf/config.yaml")
    write(project, HYDRA.format(last=last))
    done = run(project, "--ignore", "NN502", "train.py", "--", "model.hidden=24")
    assert verdicts(done) == wanted and done.report["stopped"] == "end" and "hidden 24" in done.report["output"]
    assert sorted(path.name for path in project.iterdir()) == ["conf", "train.py"]


def verdicts(done: Done) -> dict[str, str]:
    return {finding["code"]: finding["runtime"]["verdict"] for finding in done.report["findings"]}
