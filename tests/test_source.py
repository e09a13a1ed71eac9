"""Texts: how bytes become one, which are worth a look, and where their rows lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnlint.findings import Place
from nnlint.records import Span
from nnlint.source import Source, Unreadable, decode, load, read, relate


def complaint(data: bytes, key: str = "a.py") -> tuple[int, int, str]:
    with pytest.raises(Unreadable) as unreadable:
        load(data, key)
    failure = unreadable.value.failure
    assert failure.place.filename == key
    return failure.place.row, failure.place.column, failure.message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("x = 'é'\n".encode(), "x = 'é'\n"),
        (b"\xef\xbb\xbfx = 1\r\n", "x = 1\r\n"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        (
            "#!/bin/python\n# vim: set fileencoding=gbk :\nx = '损失'\n".encode("gbk"),
            "#!/bin/python\n# vim: set fileencoding=gbk :\nx = '损失'\n",
        ),
    ],
)
def test_decoding(data: bytes, text: str) -> None:
    assert decode(data, "a.py") == text


def test_latin_1_without_a_declaration() -> None:
    row, column, message = complaint("import torch\n\n\nx = 'hé".encode() + b"\xe9'\n")
    assert (row, column) == (4, 8)
    assert message == "the file is not UTF-8: byte 0xe9 at line 4, column 8; save it as UTF-8 or declare its encoding in the first line"


def test_latin_1_in_the_first_line() -> None:
    assert complaint(b"# caf\xe9\nimport torch\n")[:2] == (1, 6)


def test_utf_16() -> None:
    assert "byte 0xff at line 1, column 1" in complaint("import torch\n".encode("utf-16"))[2]


def test_nul_bytes() -> None:
    assert complaint(b"import torch\nx\0y\n") == (2, 2, "the file holds a NUL byte at line 2, column 2; it is no text")


@pytest.mark.parametrize("name", ["klingon", "rot13", "hex"])
def test_declared_encodings_that_are_none(name: str) -> None:
    assert name in complaint(f"# coding: {name}\nx = 1\n".encode())[2]


def test_wrongly_declared_encoding() -> None:
    row, column, message = complaint(b"# coding: ascii\nimport torch\nx = '\xe9'\n")
    assert (row, column) == (3, 6)
    assert message == "the file is not ascii: byte 0xe9 at line 3, column 6"


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="the file cannot be read: Is a directory"):
        read(tmp_path, "a.py")


@pytest.mark.parametrize(
    "text",
    [
        "import torch",
        "from pytorch_lightning import Trainer",
        "import timm",
        "loss.backward()",
        "optimizer.zero_grad()",
        "class Net(nn.Module): ...",
        "from accelerate import Accelerator",
    ],
)
def test_relevant(text: str) -> None:
    assert Source("a.py", text).relevant


@pytest.mark.parametrize("text", ["", "import os\nprint('hello')\n", "xtimmy = 1", "import numpy as np\nnp.ones(3)"])
def test_irrelevant(text: str) -> None:
    assert not Source("a.py", text).relevant


def test_places_and_rows() -> None:
    source = Source("a/b.py", "a\r\nb\rc\x0c\u2028d\n")
    place = source.place(Span(2, 1, 3, 2))
    assert place == Place("a/b.py", None, 2, 1, 3, 2)
    assert source.row(place) == 2
    assert source.lines == ["a", "b", "c\x0c\u2028d", ""]


def test_what_imports_something_relevant_is_relevant() -> None:
    texts = {
        "pkg/__init__.py": "from .net import Net\n",
        "pkg/net.py": "import torch\n",
        "main.py": "import argparse\n\ndef main():\n    from pkg import (\n        Net,\n    )\n",
        "start.py": "import os, main\n",
        "other.py": "import os  # main reason\nnet = 1\n",
    }
    sources = relate([Source(key, text) for key, text in texts.items()])
    assert [source.key for source in sources] == list(texts)
    assert [source.relevant for source in sources] == [True, True, True, True, False]


def test_without_training_nothing_is_relevant() -> None:
    sources = [Source("a.py", "import b\n"), Source("b.py", "import a\n")]
    assert relate(sources) == sources
