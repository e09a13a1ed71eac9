"""`--synthetic-data` and files that only define networks: items are made up that the script takes, and verdicts say so."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import pytest

if TYPE_CHECKING:
    from nnlint.confirm.child.layout import Form

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="a confirmation run needs torch")

ROOT = Path(__file__).resolve().parent.parent

# A library's dataset, as those of vision libraries behave where nothing was downloaded.
LIBRARY = """
    import os
    import torch

    class Digits(torch.utils.data.Dataset):
        def __init__(self, root, train=True, transform=None):
            self.transform = transform
            if not os.path.isdir(os.path.join(root, "digits")):
                raise RuntimeError("Dataset not found. You can use download=True to download it")
            self.images, self.labels = torch.load(os.path.join(root, "digits", "train.pt" if train else "test.pt"))

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            image, label = self.images[index], int(self.labels[index])
            if self.transform is not None:
                image = self.transform(image)
            return image, label
"""
DIGITS = """
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader
    from library import Digits

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.fc = nn.Linear(4 * 13 * 13, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv(x)), 2)
            return F.softmax(self.fc(x.flatten(1)), dim=1)

    def main():
        loader = DataLoader(Digits("data"), batch_size=16, shuffle=True, num_workers=2)
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for epoch in range(2):
            for image, label in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(image), label).backward()
                optimizer.step()

    if __name__ == "__main__":
        main()
"""
TABLE = """
    import csv
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset, random_split

    class Houses(Dataset):
        def __init__(self, path):
            with open(path) as file:
                self.rows = torch.tensor([[float(cell) for cell in row] for row in csv.reader(file)])

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            return {"facts": self.rows[index, :-1], "price": self.rows[index, -1]}

    train, test = random_split(Houses("houses.csv"), [150, 50])
    net = nn.Sequential(nn.Linear(13, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(net.parameters())
    criterion = nn.MSELoss()
    for batch in DataLoader(train, 10, shuffle=True):
        loss = criterion(net(batch["facts"]).squeeze(1), batch["price"])
        loss.backward()
        optimizer.step()
    print(len(train), batch["facts"].dtype, tuple(batch["price"].shape), batch["facts"].max().item() > 1)
"""
TEXT = """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Text(Dataset):
        def __init__(self, path, length=40):
            text = open(path).read()
            self.letters = sorted(set(text))
            self.codes = torch.tensor([self.letters.index(letter) for letter in text])
            self.length = length

        @property
        def size(self):
            return len(self.letters)

        def __len__(self):
            return len(self.codes) - self.length

        def __getitem__(self, start):
            return self.codes[start : start + self.length], self.codes[start + 1 : start + self.length + 1]

    class Writer(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.embed = nn.Embedding(size, 8)
            self.lstm = nn.LSTM(8, 16, batch_first=True)
            self.out = nn.Linear(16, size)

        def forward(self, x, state):
            x, state = self.lstm(self.embed(x), state)
            return torch.softmax(self.out(x), dim=-1), state

    data = Text("novel.txt")
    writer = Writer(data.size)
    optimizer = torch.optim.Adam(writer.parameters())
    criterion = nn.CrossEntropyLoss()
    for x, y in DataLoader(data, batch_size=8, shuffle=True):
        state = torch.zeros(1, x.size(0), 16), torch.zeros(1, x.size(0), 16)
        scores, _ = writer(x, state)
        loss = criterion(scores.reshape(-1, data.size), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
SCENES = """
    import glob
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Dataset

    class Scenes(Dataset):
        def __init__(self, folder):
            self.paths = sorted(glob.glob(folder + "/*.pt"))

        def __len__(self):
            return len(self.paths)

        def __getitem__(self, index):
            image, mask = torch.load(self.paths[index])
            sample = {"image": image, "mask": mask}
            return sample

    class Small(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
            self.deep = nn.Conv2d(4, 4, 3, padding=1, stride=4)
            self.up = nn.ConvTranspose2d(4, 4, 4, stride=4)
            self.out = nn.Conv2d(8, classes, 1)

        def forward(self, x):
            x = self.down(x)
            return self.out(torch.cat([x, self.up(F.relu(self.deep(x)))], 1))

    net = Small(5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in DataLoader(Scenes("scenes"), batch_size=4, shuffle=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch["image"]), batch["mask"])
        loss.backward()
        optimizer.step()
"""
STREAM = """
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, IterableDataset

    class Lines(IterableDataset):
        def __init__(self, path):
            self.path = path

        def __iter__(self):
            for line in open(self.path):
                words, label = line.split(",")
                yield torch.tensor([int(word) for word in words.split()]), int(label)

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(100, 16), nn.Linear(16, 4)

        def forward(self, x):
            return F.log_softmax(self.out(self.embed(x).mean(1)), 1)

    net = Bag()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for words, label in DataLoader(Lines("lines.txt"), 16, num_workers=2):
        optimizer.zero_grad()
        F.nll_loss(net(words), label).backward()
        optimizer.step()
"""
NETWORKS = """
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inner, outer):
            super().__init__()
            self.conv = nn.Conv2d(inner, outer, 3, padding=1)
            self.norm = nn.BatchNorm2d(outer)

        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)))

    class Pictures(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.body = nn.Sequential(Block(3, 8), nn.MaxPool2d(2), Block(8, 16))
            self.head = nn.Linear(16, classes)

        def forward(self, x):
            return self.head(self.body(x).mean((2, 3)))

    class Heads(nn.Module):
        def __init__(self, width=32, heads=4):
            super().__init__()
            self.heads = heads
            self.query = nn.Linear(width, width)

        def forward(self, x):
            batch, length, width = x.shape
            return self.query(x).view(batch, self.heads, length, width // self.heads)

    class Needy(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.fc = nn.Linear(config.width, 2)

        def forward(self, x):
            return self.fc(x)

    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, graph):
            return self.fc(graph.nodes)
"""


class Done(NamedTuple):
    code: int
    out: str
    report: dict[str, Any]

    def verdict(self, code: str) -> Any:
        (found,) = (finding for finding in self.report["findings"] if finding["code"] == code)
        return found["runtime"]

    def said(self, text: str) -> bool:
        return any(text in note for note in self.report["notes"])


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(dedent(text), encoding="utf-8")


def run(folder: Path, *words: str) -> Done:
    report = folder.parent / "report.json"
    command = [sys.executable, "-m", "nnlint", "--runtime", "--steps", "6", "--report", str(report), *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert report.exists(), done.stderr
    return Done(done.returncode, done.stdout, json.loads(report.read_text()))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_without_the_option_the_run_fails_and_names_it(project: Path) -> None:
    write(project, "train.py", TABLE)
    done = run(project, "train.py")
    assert done.report["stopped"] == "error" and done.report["error"]["missing"] == "houses.csv"
    assert not done.report["synthetic"]
    assert "It needs the file `houses.csv`, which is not there. With --synthetic-data" in done.out


def test_images_of_a_library(project: Path) -> None:
    write(project, "library.py", LIBRARY)
    write(project, "train.py", DIGITS)
    done = run(project, "--synthetic-data", "train.py")
    verdict = done.verdict("NN101")
    assert verdict["verdict"] == "confirmed" and verdict["evidence"]["synthetic"] is True
    assert verdict["message"].endswith("(on synthetic data)")
    assert done.report["synthetic"] and done.report["steps"] >= 6
    assert done.said("takes the place of `Digits`, whose data is missing (RuntimeError: Dataset not found")
    assert done.said("float32 (1, 28, 28) and int64 () in [0, 9]"), "28 pixels are the only size that the network takes"


def test_the_samples_of_the_user(project: Path) -> None:
    import numpy

    write(project, "train.py", TABLE)
    rng = numpy.random.default_rng(0)
    facts, price = rng.uniform(5, 9, (4, 13)).astype("float32"), rng.uniform(100, 900, 4).astype("float32")
    numpy.savez(project / "few.npz", facts=facts, price=price)
    done = run(project, "--synthetic-data=few.npz", "--steps", "1000", "train.py")
    assert done.verdict("NN201")["verdict"] == "confirmed"
    assert done.report["output"] == "150 torch.float32 (10,) True\n", "the script knows how many items there are"


def test_text_whose_alphabet_is_unknown(project: Path) -> None:
    write(project, "train.py", TEXT)
    done = run(project, "--synthetic-data", "train.py")
    assert done.verdict("NN101")["verdict"] == "confirmed"
    assert done.said("`Text.size` comes from the missing data, and is taken to be 32")
    assert done.said("int64 (16,) in [0, 31] and int64 (16,) in [0, 31]")


def test_masks_for_pixels_under_keys(project: Path) -> None:
    write(project, "train.py", SCENES)
    done = run(project, "--synthetic-data", "train.py")
    assert done.report["steps"] >= 6
    assert done.said("(3, 28, 28) and int64 (28, 28) in [0, 4]")
    assert done.verdict("NN501")["verdict"] == "confirmed"


def test_a_stream_that_opens_its_file_late(project: Path) -> None:
    write(project, "train.py", STREAM)
    done = run(project, "--synthetic-data", "train.py")
    assert done.report["steps"] >= 6 and done.report["synthetic"]
    assert done.said("int64 (16,) in [0, 99] and int64 () in [0, 3]")


PAIRED = """
    import csv
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Digits(Dataset):
        def __init__(self, path):
            with open(path) as file:
                self.rows = list(csv.reader(file))
        def __len__(self):
            return len(self.rows)
        def __getitem__(self, at):
            row = self.rows[at]
            return torch.tensor([float(value) for value in row[1:]]), int(row[0])

    class Generator(nn.Module):
        def __init__(self, classes=10, latent=32):
            super().__init__()
            self.embed = nn.Embedding(classes, 16)
            self.net = nn.Sequential(nn.Linear(latent + 16, 64), nn.ReLU(), nn.Linear(64, 196), nn.Tanh())
        def forward(self, noise, labels):
            return self.net(torch.cat([noise, self.embed(labels)], 1))

    class Critic(nn.Module):
        def __init__(self, classes=10):
            super().__init__()
            self.embed = nn.Embedding(classes, 16)
            self.net = nn.Sequential(nn.Linear(196 + 16, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), nn.Sigmoid())
        def forward(self, x, labels):
            return self.net(torch.cat([x, self.embed(labels)], 1))

    generator, critic = Generator(), Critic()
    first = torch.optim.Adam(generator.parameters(), 2e-4)
    second = torch.optim.Adam(critic.parameters(), 2e-4)
    criterion = nn.BCEWithLogitsLoss()
    for x, labels in DataLoader(Digits("digits.csv"), batch_size=16):
        fake = generator(torch.randn(len(x), 32), labels)
        ones = torch.ones(len(x), 1)
        second.zero_grad()
        (criterion(critic(x, labels), ones) + criterion(critic(fake.detach(), labels), 0 * ones)).backward()
        second.step()
        criterion(critic(fake, labels), ones).backward()
        first.step()
"""


def test_networks_that_take_data_and_its_class(project: Path) -> None:
    write(project, "train.py", PAIRED)
    done = run(project, "--synthetic-data", "train.py")
    assert done.said("float32 (196,) and int64 () in [0, 9]"), "what is left of the Linear layer's width beside the embedded class"
    assert done.verdict("NN101")["verdict"] == done.verdict("NN201")["verdict"] == "confirmed"


def test_a_file_that_no_dataset_reads_cannot_be_made_up(project: Path) -> None:
    write(project, "train.py", "import torch\nweights = torch.load('weights.pt')\n")
    done = run(project, "--synthetic-data", "train.py")
    assert done.report["error"]["missing"] == "weights.pt"
    assert "not for a file that the script reads itself" in done.out
    assert not done.report["synthetic"]


def test_a_file_of_networks(project: Path) -> None:
    write(project, "model.py", NETWORKS)
    write(project, "train.py", "from model import Pictures\nCLASSES = 7\nnet = Pictures(CLASSES)\n")
    done = run(project, "model.py")
    assert done.report["stopped"] == "end" and done.report["synthetic"]
    bias, view = done.verdict("NN501"), done.verdict("NN401")
    assert bias["verdict"] == "confirmed" and bias["evidence"]["parameters"] == 24 and bias["evidence"]["synthetic"] is True
    assert view["verdict"] == "confirmed" and view["evidence"]["calls"] == 5
    assert done.said("`Pictures` was run forward and backward")
    assert done.said("`Needy` was not run: nothing says what `config` of its constructor is")
    assert done.said("`Strange` was not run: no input was found that its `forward` takes (AttributeError")
    assert not any("`Block`" in note for note in done.report["notes"]), "it ran as a part of another"


def test_networks_that_are_tried_out_get_more_of_the_same(project: Path) -> None:
    write(
        project,
        "model.py",
        """
        import torch
        from torch import nn

        class Signal(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.out = nn.Linear(width, 2)

            def forward(self, x):
                x = x.view(x.size(0), x.size(2), 3)
                return self.out(x.mean(2))

        net = Signal(20)
        print(net(torch.randn(1, 3, 20)).shape)
        """,
    )
    done = run(project, "model.py")
    assert done.said("5 synthetic batches of 5 × float32 (3, 20)")
    assert done.verdict("NN401")["verdict"] == "confirmed"


def first_fit(network: Any) -> tuple[tuple[tuple[int, ...], str], ...]:
    import torch

    from nnlint.confirm.child import specimen

    torch.set_num_threads(1)
    fit = next(specimen.fits(network))
    return tuple((field.shape, str(field.dtype).removeprefix("torch.")) for field in fit.fields)


def test_the_first_layer_tells_the_input() -> None:
    import torch
    from torch import nn

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(50, 8), nn.Embedding(64, 8)
            self.out = nn.Linear(64 * 8, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.out((self.words(x) + self.places(torch.arange(x.size(1)))).flatten(1))

    class Ratings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users, self.films = nn.Embedding(50, 8), nn.Embedding(30, 8)

        def forward(self, user: torch.Tensor, film: torch.Tensor) -> Any:
            return (self.users(user) * self.films(film)).sum(1).view(user.size(0))

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(12, 8, batch_first=True)

        def forward(self, x: torch.Tensor, state: Any) -> Any:
            return self.rnn(x, state)[0][:, -1]

    class Late(nn.Module):
        """What is defined first is used last."""

        def __init__(self) -> None:
            super().__init__()
            self.head, self.body = nn.Linear(4, 2), nn.Conv1d(6, 4, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return self.head(self.body(x).mean(2))

    assert first_fit(nn.Sequential(nn.Conv2d(3, 2, 5), nn.Flatten(), nn.Linear(2 * 60 * 60, 2))) == (((3, 64, 64), "float32"),)
    assert first_fit(nn.Sequential(nn.Conv2d(3, 2, 5).double(), nn.BatchNorm2d(2).double())) == (((3, 28, 28), "float64"),)
    assert first_fit(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))) == (((784,), "float32"),)
    assert first_fit(Tokens()) == (((64,), "int64"),)
    assert first_fit(Ratings()) == (((), "int64"), ((), "int64"))
    assert first_fit(Reader()) == (((16, 12), "float32"),)
    assert first_fit(Late()) == (((6, 16), "float32"),)
    assert first_fit(nn.TransformerEncoderLayer(8, 2, 16)) == (((16, 8), "float32"),)


def test_a_size_in_the_code_must_not_mix_samples() -> None:
    import torch
    from torch import nn

    from nnlint.confirm.child import specimen

    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv, self.out, self.width = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(width, 2), width

        def forward(self, x: torch.Tensor) -> Any:
            return self.out(self.conv(x).view(-1, self.width))

    assert first_fit(Net(2 * 64 * 64)) == (((1, 64, 64), "float32"),)
    # Any size of image runs with rows of half an image, but then there are twice as many of them as samples.
    assert next(specimen.fits(Net(28 * 28)), None) is None


def test_rows_of_an_image_are_a_sequence() -> None:
    from torch import nn

    from nnlint.confirm.child import specimen

    assert [field.shape for field in specimen.fields_for(nn.LSTM(28, 8), (16, 32))] == [(16, 28), (28, 28), (32, 28)]


def test_guessing_leaves_the_network_as_it_was() -> None:
    import torch
    from torch import nn

    from nnlint.confirm.child import specimen

    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert len(list(specimen.fits(network))) > 3
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_items_are_the_same_for_the_same_index_and_spare_the_random_numbers() -> None:
    import torch

    from nnlint.confirm.child.layout import Field, Form, Layout

    layout = Layout(Form(2, ("image", "label")), (Field((3, 4)), Field((), torch.int64, 2, 5)))
    state = torch.get_rng_state()
    items = [layout.item(index) for index in (0, 1, 0)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(items[0]["image"], items[2]["image"]) and not torch.equal(items[0]["image"], items[1]["image"])
    assert {layout.item(index)["label"] for index in range(100)} == {2, 3, 4, 5}


def form_of_source(tmp_path: Path, body: str) -> Union[Form, None]:
    """The form of items by a method with this body, defined in a file."""
    from nnlint.confirm.child.layout import form_of

    path = tmp_path / "items.py"
    path.write_text("class Items:\n    def __getitem__(self, index):\n" + "".join(f"        {line}\n" for line in body.splitlines()))
    spec = importlib.util.spec_from_file_location(f"items_{abs(hash(body))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import linecache

    linecache.clearcache()
    return form_of(module.Items.__getitem__)


def test_the_source_tells_how_items_are_put_together(tmp_path: Path) -> None:
    from nnlint.confirm.child.layout import Form

    assert form_of_source(tmp_path, "return self.a[index], self.b[index], index") == Form(3)
    body = "sample = {'x': 1, 'y': 2}\nif self.t:\n    sample = self.t(sample)\nreturn sample"
    assert form_of_source(tmp_path, body) == Form(2, ("x", "y"))
    assert form_of_source(tmp_path, "return self.a[index]") is None
    assert form_of_source(tmp_path, "return self.f(index), *self.rest") is None


def test_a_sample_is_a_batch_where_all_its_arrays_have_as_many_rows(tmp_path: Path) -> None:
    import numpy
    import torch

    from nnlint.confirm.child import sample
    from nnlint.confirm.child.layout import PAIR, SINGLE

    torch.save((torch.rand(6, 3, 8, 8), torch.tensor([0, 4, 1, 2, 2, 3])), tmp_path / "batch.pt")
    layout = sample.load(str(tmp_path / "batch.pt"))
    assert layout.form == PAIR and [field.shape for field in layout.fields] == [(3, 8, 8), ()]
    assert (layout.fields[1].low, layout.fields[1].high) == (0, 4)
    torch.save((torch.rand(3, 8, 8), torch.tensor(4)), tmp_path / "item.pt")
    assert [field.shape for field in sample.load(str(tmp_path / "item.pt")).fields] == [(3, 8, 8), ()]
    numpy.save(tmp_path / "rows.npy", numpy.arange(12).reshape(6, 2))
    layout = sample.load(str(tmp_path / "rows.npy"))
    assert layout.form == SINGLE and layout.fields[0].shape == (2,) and layout.fields[0].whole
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "bad.pt")
    for name in ("bad.pt", "nowhere.npz"):
        with pytest.raises(sample.Unusable):
            sample.load(str(tmp_path / name))


def test_which_errors_tell_of_missing_data() -> None:
    import urllib.error

    import torch

    from nnlint.confirm.child.standin import absent

    def caught(make: Any) -> BaseException:
        try:
            make()
        except Exception as error:  # noqa: BLE001
            return error
        raise AssertionError("no error")

    def refuse(error: BaseException) -> Any:
        def make() -> None:
            raise error

        return make

    def wrap() -> None:
        try:
            open("nowhere.txt").close()
        except OSError as error:
            raise ValueError("bad folder") from error

    assert absent(caught(lambda: os.listdir("nowhere")))
    assert absent(caught(wrap))
    assert absent(caught(refuse(urllib.error.URLError("no route"))))
    assert absent(caught(refuse(RuntimeError("Dataset not found"))))
    assert not absent(caught(refuse(TypeError("unexpected keyword"))))
    assert not absent(caught(lambda: torch.ones(2, 3) @ torch.ones(2, 3))), "a mistake in the code, by a native function"


def test_call_sites_give_constants_only(tmp_path: Path) -> None:
    from nnlint.confirm.child.callsites import Call, CallSites

    write(tmp_path, "train.py", "WIDTH = 8\nnet = models.Net(WIDTH, sizes=[1, (2, 3)])\nother = Net(args.width)\nlast = Net(*sizes)\n")
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / ".hidden", "old.py", "Net(1)\n")
    assert CallSites([str(tmp_path)]).of("Net") == [Call((8,), {"sizes": [1, (2, 3)]})]
