"""`--add-ignore`: comments for what is found, and nothing is found any more."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

Run = Callable[..., Outcome]
TEXT = """\
import torch
x = BUG_NN101
y = BUG_NN101, BUG_NN201, BUG_NN101
z = [  # nnlint: ignore[NN205] known
    BUG_NN205 + 1,
    '''BUG_NN501
''']
w = BUG_NN205 + BUG_NN101  # nnlint: ignore[NN205] known
"""
AFTER = """\
import torch
x = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] TODO: say why
y = BUG_NN101, BUG_NN201, BUG_NN101  # nnlint: ignore[softmax-before-logit-loss, missing-zero-grad] TODO: say why
# nnlint: ignore[bias-before-batchnorm] TODO: say why
z = [  # nnlint: ignore[NN205] known
    BUG_NN205 + 1,  # nnlint: ignore[scheduler-before-optimizer] TODO: say why
    '''BUG_NN501
''']
w = BUG_NN205 + BUG_NN101  # nnlint: ignore[NN205, softmax-before-logit-loss] known
"""


def test_everything_is_ignored(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text(TEXT)
    found = json.loads(run("--format", "json", "--ignore", "NN001")[1])
    code, out, err = run("--add-ignore", "a.py")
    assert (folder / "a.py").read_text() == AFTER
    assert (code, out, err) == (0, "No findings in 1 file.\n", f"nnlint: {len(found)} findings are ignored by comments now\n")
    assert run("--add-ignore", "a.py")[2] == "nnlint: 0 findings are ignored by comments now\n"
    assert (folder / "a.py").read_text() == AFTER


def test_reasons(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\r\nx = BUG_NN101")
    assert run("--add-ignore=see #12", "--quiet") == (0, "", "")
    assert (folder / "a.py").read_bytes() == b"import torch\r\nx = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] see #12"
    assert run("--add-ignore=a\nb")[:2] == (2, "")


def test_notebooks(run: Run, folder: Path) -> None:
    cells = [
        {"cell_type": "code", "source": ["import torch\n", "x = BUG_NN101"]},
        {"cell_type": "code", "source": "%time\ny = BUG_NN101\n"},
        {"cell_type": "code", "source": "%time z = BUG_NN101\n"},
    ]
    (folder / "n.ipynb").write_text(json.dumps({"cells": cells}, indent=2))
    assert run("--add-ignore=why")[0] == 0
    assert [cell["source"] for cell in json.loads((folder / "n.ipynb").read_text())["cells"]] == [
        ["import torch\n", "x = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] why"],
        "%time\ny = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] why\n",
        "# nnlint: ignore[softmax-before-logit-loss] why\n%time z = BUG_NN101\n",
    ]


def test_what_is_not_shown_is_not_ignored(run: Run, folder: Path) -> None:
    text = "import torch\nx = GUESS_NN201\ny = BUG_NN205\nz = BUG_NN101\n"
    (folder / "a.py").write_text(text)
    (folder / "known.json").write_text('{"a.py": {"NN205": 1}}')
    run("--add-ignore=why", "--baseline", "known.json", "--select", "NN2")
    assert (folder / "a.py").read_text() == text
    run("--add-ignore=why", "--baseline", "known.json")
    assert (folder / "a.py").read_text() == text[:-1] + "  # nnlint: ignore[softmax-before-logit-loss] why\n"
    run("--add-ignore=why", "--suspected")
    assert (folder / "a.py").read_text().count("# nnlint: ignore") == 3


def test_what_cannot_be_read_stays(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\nx = (\n")
    (folder / "b.py").write_text("import torch\nx = BUG_NN101\ny = 1  # nnlint: ignore[NN205]\n")
    code, out, _ = run("--add-ignore=why", "--format", "json")
    assert code == 2
    assert [entry["code"] for entry in json.loads(out)] == ["NN000"]
    assert (folder / "b.py").read_text().count("why") == 1


def test_only_shown(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\nx = BUG_NN101\n")
    code, out, err = run("--add-ignore", "--diff")
    assert code == 1
    assert "+x = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] TODO: say why\n" in out
    assert err == "a.py:2:5: NN101 would be ignored: a comment ignores it\n"
    assert (folder / "a.py").read_text() == "import torch\nx = BUG_NN101\n"


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"import torch\nx = BUG_NN101\n")))
    code, out, _ = run("--add-ignore=why", "--quiet", "-")
    assert (code, out) == (0, "import torch\nx = BUG_NN101  # nnlint: ignore[softmax-before-logit-loss] why\n")


@pytest.mark.parametrize("option", ["--fix", "--runtime"])
def test_one_thing_at_a_time(run: Run, folder: Path, option: str) -> None:
    (folder / "a.py").write_text("import torch\nx = BUG_NN101\n")
    assert run("--add-ignore", option, "a.py")[0] == 2
    assert (folder / "a.py").read_text() == "import torch\nx = BUG_NN101\n"
