"""Odd files through the whole tool: a clear entry for each that cannot be analysed, the rest linted, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

BUGGY = """import torch
from torch import nn

net = nn.Linear(4, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    loss = nn.functional.cross_entropy(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    optimizer.step()
"""
TORCH = "import torch\n"


def lint(folder: Path, *args: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "nnlint", "--format", "json", *args]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def codes(found: list[dict[str, Any]], name: str) -> set[str]:
    return {entry["code"] for entry in found if entry["filename"] == name}


BROKEN = {
    "syntax": TORCH + "def f(:\n    pass\n",
    "indentation": TORCH + "if x:\npass\n",
    "unfinished": TORCH + "f((((\n",
    "unclosed_string": TORCH + "x = '''\n",
    "python_2": TORCH + "print 'hello'\n",
    "merge": TORCH + "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n",
    "html": "<!DOCTYPE html><title>torch</title>\n",
    "invisible": TORCH + "x\u200b = 1\n",
}


def test_broken_files(tmp_path: Path) -> None:
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"import torch\n# caf\xe9\n")
    (tmp_path / "nul.py").write_bytes(b"import torch\nx = '\0'\n")
    (tmp_path / "json.ipynb").write_text('{"cells": [')
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "loop").symlink_to("..")
    (tmp_path / "buggy.py").write_text(BUGGY)
    code, found = lint(tmp_path)
    assert code == 2
    broken = [*(f"{name}.py" for name in BROKEN), "latin.py", "nul.py", "json.ipynb"]
    for name in broken:
        assert codes(found, name) == {"NN000"}, name
    for entry in found:
        assert entry["message"]
        assert entry["location"]["row"] >= 1
        assert entry["location"]["column"] >= 1
    assert codes(found, "buggy.py") == {"NN201"}
    assert {entry["filename"] for entry in found} == {*broken, "buggy.py"}


def test_harmless_files(tmp_path: Path) -> None:
    texts = {
        "empty": b"",
        "bom": b"\xef\xbb\xbfimport torch\n",
        "only_a_comment": b"# torch",
        "crlf": BUGGY.replace("\n", "\r\n").encode(),
        "cr": TORCH.replace("\n", "\r").encode(),
        "form_feed": b"import torch\n\x0c\nx = 1\n",
        "backslash": b"import torch\nx = 1 + \\\n  2\n",
        "declared": b"# coding: latin-1\nimport torch\nx = '\xe9'\n",
        "tabs": b"import torch\nif torch:\n\tx = 1\n",
        "names": "import torch\nмодель = torch.nn.Linear(1, 1)\n".encode(),
    }
    for name, data in texts.items():
        (tmp_path / f"{name}.py").write_bytes(data)
    (tmp_path / "empty.ipynb").write_bytes(b"")
    code, found = lint(tmp_path)
    assert [(entry["filename"], entry["code"], entry["location"]["row"]) for entry in found] == [("crlf.py", "NN201", 8)]
    assert code == 1


DEEP = {
    "parentheses": "x = " + "(" * 5000 + "1" + ")" * 5000,
    "lists": "x = " + "[" * 3000 + "]" * 3000,
    "calls": "x = " + "f(" * 3000 + ")" * 3000,
    "sum": "x = " + " + ".join(["y"] * 20_000),
    "text": "x = " + " + ".join(["'y'"] * 20_000),
    "attributes": "x = y" + ".z" * 20_000,
    "unary": "x = " + "-" * 5000 + "1",
    "not": "x = " + "not " * 5000 + "1",
    "lambdas": "x = " + "lambda: " * 2000 + "1",
    "choices": "x = " + "1 if y else " * 5000 + "2",
    "elif": "if x:\n    pass\n" + "elif y:\n    pass\n" * 3000,
    "blocks": "".join(f"{' ' * depth}if x:\n" for depth in range(95)) + " " * 95 + "pass",
    "functions": "".join(f"{' ' * depth}def f():\n" for depth in range(95)) + " " * 95 + "pass",
    "network": "net = torch.nn.Sequential(" * 500 + "torch.nn.Linear(1, 1)" + ")" * 500,
    "applied": "from torch.nn import functional as F\nx = torch.zeros(1)\ny = " + "F.relu(" * 2000 + "x" + ")" * 2000,
    "functions_in_a_row": "".join(f"def f{index}(x):\n    return f{index + 1}(x)\n" for index in range(3000)) + "f0(torch.zeros(1))",
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting(tmp_path: Path, name: str) -> None:
    (tmp_path / "deep.py").write_text(TORCH + DEEP[name] + "\n")
    (tmp_path / "buggy.py").write_text(BUGGY)
    code, found = lint(tmp_path)
    assert codes(found, "buggy.py") == {"NN201"}
    assert codes(found, "deep.py") <= {"NN000"}
    assert code == (2 if codes(found, "deep.py") else 1)


@pytest.mark.parametrize("kind", ["statements", "functions", "data", "one line"])
def test_large_files(tmp_path: Path, kind: str) -> None:
    text = {
        "statements": "x = torch.zeros(3)\n" * 50_000,
        "functions": "".join(f"def f{index}(x):\n    y = x + 1\n    return torch.relu(y)\n\n" for index in range(2_500)),
        "data": "x = [\n" + "    [0.25, 0.5, 'text'],\n" * 20_000 + "]\n",
        "one line": "x = [" + "1, " * 100_000 + "]\n",
    }[kind]
    (tmp_path / "large.py").write_text(TORCH + text)
    (tmp_path / "buggy.py").write_text(BUGGY)
    begin = time.monotonic()
    code, found = lint(tmp_path)
    assert (code, codes(found, "large.py"), codes(found, "buggy.py")) == (1, set(), {"NN201"})
    assert time.monotonic() - begin < 120
