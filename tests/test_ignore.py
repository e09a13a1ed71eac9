"""Comments that are put into a program suppress what they are meant to, and leave the program as it was."""

from __future__ import annotations

import ast
import json
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from conftest import RULES

from nnlint.editor.ignore import ignoring
from nnlint.findings import Confidence, Finding, Place, Severity
from nnlint.fix.apply import edited
from nnlint.notebook import load
from nnlint.registry import Catalogue
from nnlint.source import Source
from nnlint.suppression import suppress

ROOT = Path(__file__).resolve().parent.parent

ODD = '''\
def f(a, b):
    x = (a +
         b)  # a sum
    y = a + \\
        b
    text = """one
        two # not a comment
    three""" + g(
        b)
    if a: loss.backward(); opt.step()
    with open(a) as one, \\
            open(b) as two:
        return f"""{
            a}
        b"""


@decorated(
    1)
class C:  # noqa: E501
\tx = 1;  y = """
"""; z = 2   \t
# nnlint: ignore[scheduler-before-optimizer] because
C().step(
    1)
C()  # nnlint: ignore[ scheduler-before-optimizer , NN501 ] because  # and so on
C()  # noqa: NN205'''


def finding(row: int, column: int, cell: int | None = None) -> Finding:
    place = Place("a.py" if cell is None else "a.ipynb", cell, row, column, row, column + 1)
    return Finding("NN201", "missing-zero-grad", Severity.ERROR, Confidence.CERTAIN, "", "", place)


def starts(text: str) -> list[tuple[int, int]]:
    """Where something of the program begins, once for each row."""
    room = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER)
    return list(
        {token.start[0]: token.start for token in tokenize.generate_tokens(StringIO(text).readline) if token.type not in room}.values()
    )


@pytest.mark.parametrize(
    "name", ["", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "fixtures" / "silent").rglob("*.py"))[:2]]
)
def test_any_place_of_a_program(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8") if name else ODD
    catalogue = Catalogue(RULES)
    for row, column in starts(text):
        found = finding(row, column + 1)
        edit = ignoring(Source("a.py", text), found)
        assert edit is not None
        after = edited(text, [edit])
        assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(text)), (row, after)
        moved = row + (edit.content.endswith("\n") and edit.place.row <= row)
        assert suppress(Source("a.py", after), [finding(moved, column + 1)], frozenset(), catalogue) == [], (row, after)
        assert after.count("TODO: say why") + after.count(", missing-zero-grad") == 1


def test_what_is_written() -> None:
    lines = {
        3: "         b)  # a sum  # nnlint: ignore[missing-zero-grad] TODO: say why",
        4: "    # nnlint: ignore[missing-zero-grad] TODO: say why",
        6: "    # nnlint: ignore[missing-zero-grad] TODO: say why",
        21: "\t# nnlint: ignore[missing-zero-grad] TODO: say why",
        22: '"""; z = 2  # nnlint: ignore[missing-zero-grad] TODO: say why   \t',
        24: "C().step(",
        26: "C()  # nnlint: ignore[ scheduler-before-optimizer , NN501, missing-zero-grad ] because  # and so on",
        27: "C()  # noqa: NN205  # nnlint: ignore[missing-zero-grad] TODO: say why",
    }
    for row, line in lines.items():
        edit = ignoring(Source("a.py", ODD), finding(row, 1))
        assert edit is not None
        assert edited(ODD, [edit]).split("\n")[row - 1] == line
    edit = ignoring(Source("a.py", ODD), finding(24, 1))
    assert edit is not None
    assert edited(ODD, [edit]).split("\n")[22] == "# nnlint: ignore[scheduler-before-optimizer, missing-zero-grad] because"
    assert ignoring(Source("a.py", "x = '''\n"), finding(1, 1)) is None


def test_cells() -> None:
    cells = ["%time x = f()\n\ny = 1", "  loss.backward()\n  x = '''\n'''\n", "  %time loss.backward(\n  1)"]
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})
    source = load(notebook, "a.ipynb")
    assert source is not None
    wanted = {
        (1, 3): "%time x = f()\n\ny = 1  # nnlint: ignore[missing-zero-grad] TODO: say why",
        (1, 1): "# nnlint: ignore[missing-zero-grad] TODO: say why\n%time x = f()\n\ny = 1",
        (2, 1): "  loss.backward()  # nnlint: ignore[missing-zero-grad] TODO: say why\n  x = '''\n'''\n",
        (2, 2): "  loss.backward()\n  # nnlint: ignore[missing-zero-grad] TODO: say why\n  x = '''\n'''\n",
    }
    for (cell, row), text in wanted.items():
        edit = ignoring(source, finding(row, 1, cell))
        assert edit is not None
        assert edit.place.cell == cell
        assert edited(cells[cell - 1], [edit]) == text
