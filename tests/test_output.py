"""What findings look like."""

from __future__ import annotations

import json
import re

import click
import pytest

from nnlint.findings import Confidence, Finding, Place, Severity, Step
from nnlint.lint import Result
from nnlint.output import render
from nnlint.source import Source, load

NET = """import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 100)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        return F.softmax(self.fc2(x), dim=1)
"""
TRAIN = """for epoch in range(3):
    for images, labels in loader:
        loss = criterion(net(images), labels)
        loss.backward()
        print(loss)
        log(loss)

        optimizer.step()
"""


def place(filename: str, row: int, column: int, end_column: int, cell: int | None = None, end_row: int = 0) -> Place:
    return Place(filename, cell, row, column, end_row or row, end_column)


def finding(
    at: Place, *trace: Step, message: str = "x is wrong", help: str = "mend it", severity: Severity = Severity.ERROR, **more: Confidence
) -> Finding:
    return Finding("NN101", "softmax-before-logit-loss", severity, more.get("confidence", Confidence.CERTAIN), message, help, at, trace)


def result(*findings: Finding, **texts: str) -> Result:
    sources = {f"{name}.py": Source(f"{name}.py", text) for name, text in texts.items()}
    return Result(list(findings), sources, files=len(texts))


def full(outcome: Result) -> list[str]:
    lines = click.unstyle(render("full", outcome, quiet=True)).splitlines()
    assert all(line == line.rstrip() for line in lines)
    return lines


SOFTMAX = place("net.py", 12, 16, 45)
STORY = finding(
    SOFTMAX,
    Step(SOFTMAX, "softmax applied here"),
    Step(place("train.py", 3, 16, 46), "reaches the loss here"),
    message="`CrossEntropyLoss` gets probabilities: `net` ends in `softmax`",
    help="return `self.fc2(x)` from `forward`",
)


def test_full_over_two_files() -> None:
    assert (
        "\n".join(full(result(STORY, net=NET, train=TRAIN)))
        == """\
net.py:12:16 NN101 [error] `CrossEntropyLoss` gets probabilities: `net` ends in `softmax`
    |
 11 |         x = F.relu(self.fc1(x))
 12 |         return F.softmax(self.fc2(x), dim=1)
    |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 1. softmax applied here
    ::: train.py:3:16
    |
  2 |     for images, labels in loader:
  3 |         loss = criterion(net(images), labels)
    |                ------------------------------ 2. reaches the loss here
  4 |         loss.backward()
    |
    = help: return `self.fc2(x)` from `forward`
    = more: https://nnlint.readthedocs.io/rules/softmax-before-logit-loss
"""
    )


def test_full_in_one_file_leaves_out_what_says_nothing() -> None:
    backward, step = place("train.py", 4, 9, 24), place("train.py", 8, 9, 25)
    found = finding(backward, Step(backward, "adds"), Step(step, "uses"), severity=Severity.WARNING, confidence=Confidence.SUSPECTED)
    assert (
        "\n".join(full(result(found, train=TRAIN)))
        == """\
train.py:4:9 NN101 [warning, suspected] x is wrong
    |
  3 |         loss = criterion(net(images), labels)
  4 |         loss.backward()
    |         ^^^^^^^^^^^^^^^ 1. adds
  5 |         print(loss)
    ...
  8 |         optimizer.step()
    |         ---------------- 2. uses
    |
    = help: mend it
    = more: https://nnlint.readthedocs.io/rules/softmax-before-logit-loss
"""
    )


def test_full_without_a_trace_has_more_context() -> None:
    lines = full(result(finding(place("net.py", 8, 20, 39)), net=NET))
    assert lines[1:8] == [
        "    |",
        "  6 |     def __init__(self):",
        "  7 |         super().__init__()",
        "  8 |         self.fc1 = nn.Linear(784, 100)",
        "    |                    ^^^^^^^^^^^^^^^^^^^",
        "  9 |",
        " 10 |     def forward(self, x):",
    ]


def test_full_of_several_rows_marks_the_first() -> None:
    lines = full(result(finding(place("train.py", 2, 5, 25, end_row=8)), train=TRAIN))
    assert "   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^" in lines


def test_full_without_a_text_is_header_and_help() -> None:
    assert full(result(finding(place("gone.py", 1, 1, 2)))) == [
        "gone.py:1:1 NN101 [error] x is wrong",
        "   = help: mend it",
        "   = more: https://nnlint.readthedocs.io/rules/softmax-before-logit-loss",
        "",
    ]


def test_full_when_the_story_starts_elsewhere() -> None:
    found = finding(place("train.py", 3, 16, 46), Step(SOFTMAX, "softmax"), Step(place("train.py", 3, 16, 46), "loss"))
    lines = full(result(found, net=NET, train=TRAIN))
    assert lines[1] == "    --> net.py:12:16"
    assert "    |                ----------------------------- 1. softmax" in lines
    assert "    |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 2. loss" in lines


def carets(text: str, column: int, end_column: int) -> tuple[str, str]:
    lines = full(result(finding(place("a.py", 1, column, end_column)), a=text))
    return lines[2].partition("| ")[2], lines[3].partition("| ")[2]


def test_carets_stand_below_what_they_mark() -> None:
    assert carets("\tx = \tbad", 7, 10) == ("    x =     bad", "            ^^^")
    assert carets("损失 = bad(图)", 6, 12) == ("损失 = bad(图)", "       ^^^^^^^")
    assert carets("e\u0301 = bad", 6, 9) == ("e\u0301 = bad", "    ^^^")
    assert carets("x", 2, 3) == ("x", " ^")
    assert carets("x = '\x1b[31m'; bad", 14, 17) == ("x = '�[31m'; bad", "             ^^^")


def test_long_lines_are_cut_around_the_mark() -> None:
    text = "x = [" + "0, " * 500 + "bad, " + "1, " * 500 + "]"
    column = text.index("bad") + 1
    shown, mark = carets(text, column, column + 3)
    assert len(shown) < 150
    assert shown[0] == shown[-1] == "…"
    assert shown[mark.index("^") : mark.index("^") + 3] == "bad"
    shown, mark = carets("bad" + text, 1, 4)
    assert (shown[:3], mark) == ("bad", "^^^")


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = finding(place("a\x1b[2J.py", 1, 1, 2), message="\x1b[2J\nx", help="\x07")
    for form in ("full", "concise"):
        text = click.unstyle(render(form, result(evil)))
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_notebooks_show_what_was_written_and_where() -> None:
    cells = [
        {"cell_type": "markdown", "source": ""},
        {"cell_type": "code", "source": "a = 1"},
        {"cell_type": "code", "source": "%env A\n\nb = bad\n"},
        {"cell_type": "code", "source": "c = 2"},
    ]
    source = load(json.dumps({"cells": cells}).encode(), "n.ipynb")
    assert source is not None
    found = finding(
        place("n.ipynb", 3, 5, 8, cell=3), Step(place("n.ipynb", 1, 1, 6, cell=2), "first"), Step(place("n.ipynb", 3, 5, 8, cell=3), "then")
    )
    alone = finding(place("n.ipynb", 3, 5, 8, cell=3))
    lines = full(Result([found, alone], {"n.ipynb": source}, 1))
    assert lines[:12] == [
        "n.ipynb:cell 3:3:5 NN101 [error] x is wrong",
        "   --> n.ipynb:cell 2:1:1",
        "   |",
        " 1 | a = 1",
        "   | ----- 1. first",
        "   ::: n.ipynb:cell 3:3:5",
        "   |",
        " 3 | b = bad",
        "   |     ^^^ 2. then",
        "   |",
        "   = help: mend it",
        "   = more: https://nnlint.readthedocs.io/rules/softmax-before-logit-loss",
    ]
    assert lines[15] == " 1 | %env A"


def test_json_is_the_contract() -> None:
    (entry,) = json.loads(render("json", result(STORY, net=NET, train=TRAIN)))
    assert entry == {
        "code": "NN101",
        "name": "softmax-before-logit-loss",
        "severity": "error",
        "confidence": "certain",
        "message": "`CrossEntropyLoss` gets probabilities: `net` ends in `softmax`",
        "help": "return `self.fc2(x)` from `forward`",
        "url": "https://nnlint.readthedocs.io/rules/softmax-before-logit-loss",
        "filename": "net.py",
        "cell": None,
        "location": {"row": 12, "column": 16},
        "end_location": {"row": 12, "column": 45},
        "trace": [
            {"filename": "net.py", "cell": None, "location": {"row": 12, "column": 16}, "message": "softmax applied here"},
            {"filename": "train.py", "cell": None, "location": {"row": 3, "column": 16}, "message": "reaches the loss here"},
        ],
        "fix": None,
        "runtime": None,
    }
    assert list(entry)[:4] == ["code", "name", "severity", "confidence"]


def test_jsonl_is_json_a_line() -> None:
    outcome = result(STORY, finding(place("n.ipynb", 1, 2, 3, cell=4)), net=NET)
    lines = render("jsonl", outcome).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(render("json", outcome))
    assert json.loads(lines[1])["cell"] == 4


def test_concise_and_summary() -> None:
    outcome = result(STORY, finding(SOFTMAX, severity=Severity.NOTE), net=NET)
    outcome.hidden = 2
    assert click.unstyle(render("concise", outcome)).splitlines() == [
        "net.py:12:16 NN101 [error] `CrossEntropyLoss` gets probabilities: `net` ends in `softmax`",
        "net.py:12:16 NN101 [note] x is wrong",
        "Found 1 error, 1 note. 2 suspected findings not shown; see them with --suspected.",
    ]


@pytest.mark.parametrize(
    ("form", "text"),
    [("full", "No findings in 2 files.\n"), ("concise", "No findings in 2 files.\n"), ("json", "[]\n"), ("gitlab", "[]\n"), ("jsonl", "")],
)
def test_nothing_found(form: str, text: str) -> None:
    assert render(form, result(a="", b="")) == text
