"""Views in small programs, through the real pipeline: which re-label axes, which do not, and what is said of them."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from nnlint import registry
from nnlint.analysis import analyse
from nnlint.findings import Finding
from nnlint.source import Source

RULE = registry.catalogue().find("NN401")

NET = """\
import numpy as np
import torch
from einops import rearrange
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, width=24, heads=3, hidden=16, layers=2, words=50):
        super().__init__()
        self.width, self.heads, self.hidden, self.layers = width, heads, hidden, layers
        self.embed = nn.Embedding(words, width)
        self.proj = nn.Linear(width, width)
        self.conv = nn.Conv1d(width, hidden, 3, padding=1)
        self.lstm = nn.LSTM(width, hidden, num_layers=layers, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(width, hidden)

    def forward(self, x):
"""


def found(body: str, head: str = NET) -> list[Finding]:
    """The findings in a `forward` with this body."""
    text = head + indent(dedent(body), "        ")
    return analyse([Source("net.py", text)], [RULE()]).findings


WRONG = {
    "sizes unpacked": ("b, t, c = x.shape\nreturn x.view(b, c, t)", "x.transpose(1, 2)"),
    "sizes asked one by one": ("return x.view(x.size(0), x.size(2), x.size(1))", "x.transpose(1, 2)"),
    "shape indexed": ("return x.reshape(x.shape[1], x.shape[0], x.shape[2])", "x.transpose(0, 1)"),
    "a tuple": ("b, c, h, w = x.size()\nreturn x.view((b, h, w, c))", "x.permute(0, 2, 3, 1)"),
    "torch.reshape": ("b, t, c = x.shape\nreturn torch.reshape(x, (b, c, t))", "x.transpose(1, 2)"),
    "after contiguous": ("b, t, c = x.shape\nreturn x.contiguous().view(b, c, t)", "x.transpose(1, 2)"),
    "through a name": ("b, t, c = x.shape\ny = F.relu(x) + 1\nsize = (b, c, t)\nreturn y.view(size)", "y.transpose(1, 2)"),
    "heads split": (
        "b, t, _ = x.shape\nreturn self.proj(x).view(b, self.heads, t, self.width // self.heads)",
        "self.proj(x).view(b, t, self.heads, self.width // self.heads).transpose(1, 2)",
    ),
    "heads split by -1": (
        "b, t, _ = x.shape\nq = self.proj(x)\nreturn q.view(b, self.heads, t, -1)",
        "q.view(b, t, self.heads, 8).transpose(1, 2)",
    ),
    "heads merged": (
        "b, t, _ = x.shape\nq = self.proj(x).view(b, t, self.heads, 8).transpose(1, 2)\nreturn q.reshape(b, t, self.width)",
        "q.transpose(1, 2).reshape(b, t, self.width)",
    ),
    "attention merged": (
        (
            "b, t, _ = x.shape\nq = rearrange(self.proj(x), 'b t (h d) -> b h t d', h=self.heads)\n"
            "y = F.scaled_dot_product_attention(q, q, q)\nreturn y.reshape(b, t, -1)"
        ),
        "y.transpose(1, 2).reshape(b, t, -1)",
    ),
    "weights by hand": (
        (
            "b, t, _ = x.shape\nq = self.proj(x).view(b, t, self.heads, 8).permute(0, 2, 1, 3)\nw = (q @ q.transpose(-2, -1)).softmax(-1)\n"
            "y = torch.matmul(w, q)\nreturn y.reshape(b, t, self.width)"
        ),
        "y.transpose(1, 2).reshape(b, t, self.width)",
    ),
    "heads stacked": (
        "b, t, _ = x.shape\nheads = [self.proj(x) for _ in range(4)]\ny = torch.stack(heads)\nreturn y.view(b, t, -1)",
        "y.permute(1, 2, 0, 3).reshape(b, t, -1)",
    ),
    "words embedded": ("b, t = x.shape\ny = self.embed(x)\nreturn y.view(b, self.width, t)", "y.transpose(1, 2)"),
    "final state of a batch-first LSTM": (
        "b = x.size(0)\n_, (h, _) = self.lstm(x)\nreturn h.view(b, -1)",
        "h.transpose(0, 1).reshape(b, -1)",
    ),
    "final cell": (
        "b = x.size(0)\n_, (_, c) = self.lstm(x)\nreturn c.view(b, 4 * self.hidden)",
        "c.transpose(0, 1).reshape(b, 4 * self.hidden)",
    ),
    "state of a time-first GRU": ("y, h = self.gru(x)\nreturn y.view(x.size(1), x.size(0), self.hidden)", "y.transpose(0, 1)"),
    "channels first": ("y = self.conv(x.transpose(1, 2))\nb, c, t = y.shape\nreturn y.view(b, t, c)", "y.transpose(1, 2)"),
    "two concatenated": (
        "b, t, c = x.shape\ny = torch.cat([x, x], dim=1)\nreturn y.view(b, c, 2 * t)",
        "y.transpose(1, 2)",
    ),
    "another tensor's sizes": ("y = self.proj(x)\nreturn y.view(x.size(0), x.size(2), x.size(1))", "y.transpose(1, 2)"),
    "repeats put before what they repeat": (
        "b, c, t = x.shape\nreturn x.repeat_interleave(self.heads, dim=1).view(b, self.heads, c, t)",
        "x.repeat_interleave(self.heads, dim=1).view(b, c, self.heads, t).transpose(1, 2)",
    ),
    "columns flattened": ("b, c, h, w = x.shape\nreturn x.view(b, w, c * h)", "x.permute(0, 3, 1, 2).reshape(b, w, c * h)"),
    "an axis squeezed away": ("b, t, c = x.shape\ny = x.unsqueeze(1)\nreturn y.view(b, c, t)", "x.unsqueeze(1)"),
    "sizes of numbers": ("x = torch.zeros(2, 5, 3)\nx[0] = 1\nreturn x.view(2, 3, 5)", "x.transpose(1, 2)"),
    "an image of numpy": ("x = np.zeros((32, 48, 3))\nx[0] = 1\nreturn np.reshape(x, (3, 32, 48))", "x.permute(2, 0, 1)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_view_that_re_labels_is_found(name: str) -> None:
    body, fix = WRONG[name]
    (finding,) = found(body)
    assert finding.help is not None
    if name != "an axis squeezed away":
        assert finding.help == f"write `{fix}`"


RIGHT = {
    "heads split and moved": "b, t, _ = x.shape\nreturn self.proj(x).view(b, t, self.heads, -1).transpose(1, 2)",
    "heads moved and merged": (
        "b, t, _ = x.shape\nq = self.proj(x).view(b, t, self.heads, 8).transpose(1, 2)\nreturn q.transpose(1, 2).reshape(b, t, self.width)"
    ),
    "folded into the batch": "b, t, c = x.shape\ny = self.proj(x.reshape(b * t, c))\nreturn y.view(b, t, -1)",
    "flattened": "y = self.conv(x)\nreturn y.view(y.size(0), -1)",
    "flattened by numbers": "y = F.adaptive_avg_pool1d(self.conv(x), 1)\nreturn y.view(-1, self.hidden)",
    "tokens flattened": "y = self.proj(x)\nreturn y.view(-1, y.size(-1))",
    "state moved first": "b = x.size(0)\n_, (h, _) = self.lstm(x)\nreturn h.transpose(0, 1).reshape(b, -1)",
    "state taken apart": "b = x.size(0)\n_, (h, _) = self.lstm(x)\nh = h.view(self.layers, 2, b, self.hidden)\nreturn h[-1]",
    "the last layer": "_, h = self.gru(x)\nreturn h.view(h.size(1), -1)",
    "an axis of one": "b, t, _ = x.shape\ny = x.mean(2, keepdim=True)\nreturn y.view(b, 1, t)",
    "an unknown axis of one": "y = x.max(1, keepdim=True)[0]\nreturn y.view(-1, y.size(2))",
    "equal sizes": "x = torch.zeros(2, 5, 5)\nx[0] = 1\nreturn x.view(2, 5, 5)",
    "noise": "x = torch.randn(2, 5, 3)\nreturn x.view(2, 3, 5)",
    "further sizes": (
        "x = torch.zeros(7, 5, *input())\nx[0] = 1\ny = x.view(-1, *x.size()[2:])\n"
        "return y.view(int(y.size(0) / 5), 5, y.size(1))"
    ),
    "sizes in one": (
        "x = torch.zeros(7, 5, 3)\nx[0] = 1\ny = x.view(input())\nreturn y.view(int(y.size(0) / 5), 5, y.size(1))"
    ),
    "the first one": (
        "b, t, c = x.shape\nq = self.proj(x[:, 0:1]).reshape(b, 1, self.heads, self.width // self.heads)\n"
        "return q.transpose(1, 2)"
    ),
    "repeated channels made pixels": (
        "y = x.repeat_interleave(repeats=4, dim=1)\nb, c, h, w = y.shape\ny = y.view(b, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2)\n"
        "return y.reshape(b, c // 4, 2 * h, 2 * w)"
    ),
    "pixels made channels, and averaged": (
        "b, c, h, w = x.shape\ny = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(b, 4 * c, h // 2, w // 2)\n"
        "return y.view(b, c, 4, h // 2, w // 2).mean(2)"
    ),
    "segments of a length": (
        "b, t, c = x.shape\nx = torch.cat([x, x[:, :5]], dim=1)\nn = x.shape[1] // 16\nreturn x.view(b * n, 16, self.width)"
    ),
    "patches of a size that is set elsewhere": (
        "p = len(input())\nb, c, h, w = x.shape\ny = nn.Conv2d(3, 24, 2, 2)(x).flatten(2).transpose(1, 2)\n"
        "y = self.proj(y).view(b, h // p, w // p, p, p, -1)\nreturn y.permute(0, 5, 1, 3, 2, 4)"
    ),
    "a vector turned by its own shape": "return x.reshape(x.shape[1], x.shape[0])[0]",
    "a row turned by its own shape": "row, n = x.shape\nreturn x.view(n, row)",
    "a range": "return torch.arange(12).view(3, 4)",
    "einops": "q = rearrange(self.proj(x), 'b t (h d) -> b h t d', h=self.heads)\nreturn rearrange(q, 'b h t d -> b t (h d)')",
    "flatten and unflatten": "b, t, c = x.shape\nreturn self.proj(x.flatten(0, 1)).unflatten(0, (b, t))",
    "stacked where it belongs": "b, t, c = x.shape\ny = torch.stack([x, x], dim=2)\nreturn y.view(b, 2 * t, c)",
    "concatenated": "b, t, c = x.shape\ny = torch.cat([x, x], dim=2)\nreturn y.view(b, t, 2, c)",
    "words": "b, t = x.shape\nreturn self.embed(x.view(-1)).view(b, t, -1)",
    "another tensor's sizes": "y = self.conv(x)\nreturn y.view(x.size(0), -1, x.size(2))",
    "relative shift": (
        "b, h, t, _ = x.shape\npad = torch.zeros(b, h, t, 1)\n"
        "y = torch.cat([pad, x], dim=-1)\ny = y.view(b, h, -1, t)\nreturn y[:, :, 1:].view_as(x)"
    ),
    "channel shuffle": ("b, c, h, w = x.shape\ny = x.view(b, 4, c // 4, h, w).transpose(1, 2)\nreturn y.reshape(b, c, h, w)"),
    "pixels to depth": (
        "b, c, h, w = x.shape\ny = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)\nreturn y.reshape(b, 4 * c, h // 2, w // 2)"
    ),
    "a shape that the arm alone knows": (
        "if x.dim() == 3:\n    b, t, c = x.shape\nelse:\n    b, c, t = 1, 2, 3\nreturn self.proj(x).view(b, c, t)"
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_view_that_keeps_the_order_is_not(name: str) -> None:
    assert not [finding.message for finding in found(RIGHT[name])]


def test_the_message_is_in_the_words_of_the_user() -> None:
    (finding,) = found("batch, time, channels = x.shape\nreturn x.view(batch, channels, time)")
    assert finding.message.endswith("(batch, time, channels) is read as (batch, channels, time)")


def test_a_wrong_split_and_its_wrong_merge_are_one() -> None:
    body = """
        b, t, _ = x.shape
        q = self.proj(x).view(b, self.heads, t, 8)
        y = F.scaled_dot_product_attention(q, q, q)
        return self.proj(y.reshape(b, t, self.width))
    """
    (finding,) = found(body)
    assert "self.heads" in finding.message


def test_a_wrong_swap_and_its_wrong_way_back_are_one() -> None:
    body = """
        b, t, c = x.shape
        y = F.relu(self.conv(x.view(b, c, t)))
        return y.view(y.shape[0], y.shape[2], y.shape[1])
    """
    assert len(found(body)) == 1


def test_a_helper_is_judged_by_what_it_is_given() -> None:
    helper = "def last(x):\n    n, c, t = x.shape\n    return x.view(n, t, c)\n\n\n" + NET
    assert len(found("return last(self.conv(x))", helper)) == 1
    assert not found("return last(F.adaptive_avg_pool1d(self.conv(x), 1))", helper)


def test_lengths_of_data_are_told_apart_in_a_network() -> None:
    script = """\
        import torch
        from torch import nn


        class Net(nn.Module):
            def forward(self, x):
                b, t, c = x.shape
                return x.view(b, c, t)


        Net()(torch.randn(4, 8, 8))
    """
    assert len(analyse([Source("train.py", dedent(script))], [RULE()]).findings) == 1


def test_a_size_that_depends_on_a_flag() -> None:
    script = """\
        import torch
        from torch import nn


        class Net(nn.Module):
            def __init__(self, width, both):
                super().__init__()
                self.width = width
                self.ways = 2 if both else 1
                self.rnn = nn.GRU(width, width, num_layers=2, bidirectional=both, batch_first=True)

            def forward(self, x):
                _, h = self.rnn(x)
                return h.view(x.size(0), self.ways * 2 * self.width)
    """
    assert len(analyse([Source("net.py", dedent(script))], [RULE()]).findings) == 1


def test_a_dataset_s_items() -> None:
    script = """\
        import numpy as np
        import torch
        from torch.utils.data import DataLoader, Dataset


        class Photos(Dataset):
            def __init__(self, n, size):
                self.size = size
                self.photos = [self.photo(i) for i in range(n)]

            def photo(self, bright):
                pixels = np.zeros((self.size, self.size, 3))
                pixels[bright] = 1
                return pixels

            def __getitem__(self, index):
                return torch.from_numpy(self.photos[index].reshape(3, self.size, self.size))


        for batch in DataLoader(Photos(9, 12)):
            print(batch)
    """
    (finding,) = analyse([Source("train.py", dedent(script))], [RULE()]).findings
    assert finding.place.row == 17
