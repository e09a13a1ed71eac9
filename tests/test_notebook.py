"""Notebooks: cells to text, IPython's own syntax, and the way back to the cells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import complaint

from nnlint.findings import Place
from nnlint.notebook import mend
from nnlint.records import Span
from nnlint.source import Source, Unreadable, load


def notebook(*cells: str | dict[str, Any], **metadata: Any) -> bytes:
    """Texts are code cells, anything else stands as it is."""
    full = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"nbformat": 4, "cells": full, "metadata": metadata}).encode()


MARKDOWN = {"cell_type": "markdown", "source": ["# title\n", "text"]}


def source(*cells: str | dict[str, Any], **metadata: Any) -> Source:
    loaded = load(notebook(*cells, **metadata), "n.ipynb")
    assert loaded is not None
    return loaded


def masked(cell: str) -> str:
    loaded = source(cell)
    assert loaded.shown == cell.removesuffix("\n") + "\n"
    assert loaded.text.count("\n") == loaded.shown.count("\n")
    return loaded.text.removesuffix("\n")


def test_cells_are_one_text_and_places_lead_back() -> None:
    loaded = source(MARKDOWN, "import torch\n", MARKDOWN, "", "a = 1\nb = 2")
    assert loaded.text == "import torch\n\na = 1\nb = 2\n"
    assert loaded.place(Span(1, 1, 1, 13)) == Place("n.ipynb", 2, 1, 1, 1, 13)
    assert loaded.place(Span(3, 1, 4, 6)) == Place("n.ipynb", 5, 1, 1, 2, 6)
    assert loaded.row(Place("n.ipynb", 5, 2, 1, 2, 6)) == 4


def test_sources_as_text_and_with_other_newlines() -> None:
    cell = {"cell_type": "code", "source": "a = 1\r\nb = 2\rc = 3\n"}
    assert source(cell, "d = 4").text == "a = 1\nb = 2\nc = 3\nd = 4\n"


def test_version_3() -> None:
    sheets = [
        {"cells": [{"cell_type": "heading", "source": "x"}, {"cell_type": "code", "input": ["a = 1\n", "b"]}]},
        {"cells": [{"cell_type": "code", "input": "c"}]},
    ]
    loaded = load(json.dumps({"nbformat": 3, "worksheets": sheets}).encode(), "n.ipynb")
    assert loaded is not None
    assert loaded.text == "a = 1\nb\nc\n"
    assert loaded.place(Span(3, 1, 3, 2)).cell == 3


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("%matplotlib inline", "pass"),
        ("if x:\n    !pip install torch", "if x:\n    pass"),
        ("?torch.nn", "pass"),
        ("torch.nn??", "pass"),
        ("torch.nn? ", "pass"),
        ("files = !ls *.py", "files = get_ipython()"),
        ("a, b = %lsmagic", "a, b = get_ipython()"),
        ("self.x[0] = !pwd", "self.x[0] = get_ipython()"),
        ("%time net.fit(x)", "0;    net.fit(x)"),
        ("%timeit -n 10 -r3 net(x)", "0;                net(x)"),
        ("%time for x in y: pass", "pass"),
        ("pip install torch", "pass"),
        ("cd 'My Drive'", "pass"),
        ("matplotlib inline", "pass"),
        ("net.train();", "net.train();"),
        ("x = a % b", "x = a % b"),
        ("x %= 2", "x %= 2"),
        ("a != b", "a != b"),
        ("print('loss = %d' % loss)", "print('loss = %d' % loss)"),
        ("# really?", "# really?"),
        ("s = 'what?'", "s = 'what?'"),
        ("time = 3", "time = 3"),
        ("run in loop", "run in loop"),
    ],
)
def test_magics(line: str, python: str) -> None:
    assert masked(line) == python


def test_magics_only_at_the_start_of_a_statement() -> None:
    text = "x = (a\n% b)\ns = '''\n%d\n!x\n'''\ny = a \\\n% b\nt = 'it\\'s' # ( '\n%env A\n"
    assert masked(text) == text.removesuffix("\n").replace("%env A", "pass")


def test_continued_shell_lines() -> None:
    assert masked("!pip install \\\n   torch \\\n   numpy\nx = 1") == "pass\n\n\nx = 1"


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%%time\nx = 1\n%env A\n", "\nx = 1\npass"),
        ("\n%%capture out\nx = 1", "\n\nx = 1"),
        ("%%timeit -n 1\n%%time\nx = 1", "\n\nx = 1"),
        ("%%bash\nls -l | grep x\nrm (", "\n\n"),
        ("%%html\n<b>", "\n"),
        ("%%writefile net.py\nimport torch", "\n"),
        ("%%time", ""),
    ],
)
def test_cell_magics(cell: str, python: str) -> None:
    assert masked(cell) == python


def test_an_indented_cell_keeps_its_columns() -> None:
    loaded = source("x = 1", "  # note\n  y = 2\n  z = 3\n")
    assert loaded.text == "x = 1\n# note\ny = 2\nz = 3\n"
    assert loaded.place(Span(4, 1, 4, 6)) == Place("n.ipynb", 2, 3, 3, 3, 8)
    assert loaded.lines[3] == "  z = 3"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        notebook(),
        notebook(MARKDOWN),
        notebook("library(torch)", language_info={"name": "R"}),
        notebook("using Flux", kernelspec={"language": "julia", "name": "julia-1.6"}),
    ],
)
def test_nothing_to_lint(data: bytes) -> None:
    assert load(data, "n.ipynb") is None


def test_odd_but_python() -> None:
    odd: dict[str, Any] = {"kernelspec": {"name": "conda-env", "language": ""}, "language_info": None}
    assert source("x = 1", {"cell_type": "raw", "source": 3}, {"cell_type": "code"}, **odd).text == "x = 1\n\n"
    assert source("x = '\ud800 \0'").text == "x = '?  '\n"


@pytest.mark.parametrize(
    ("data", "row", "column", "message"),
    [
        (b'{"cells": [\n  {"cell_type": oops}]}', 2, 17, "the notebook is not valid JSON: Expecting value"),
        (b"<<<<<<< HEAD", 1, 1, "the notebook is not valid JSON: Expecting value"),
        (b"[]", 1, 1, "the file is not a notebook: it has no list of cells"),
        (b'{"a": 1}', 1, 1, "the file is not a notebook: it has no list of cells"),
        (b'{"cells": "\xe9"}', 1, 12, "the file is not UTF-8: byte 0xe9 at line 1, column 12"),
    ],
)
def test_broken_notebooks(data: bytes, row: int, column: int, message: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        load(data, "n.ipynb")
    failure = unreadable.value.failure
    assert (failure.place.row, failure.place.column, failure.message) == (row, column, message)


def test_a_cell_that_does_not_parse_does_not_hide_the_others() -> None:
    mended, failures = mend(source("import torch", MARKDOWN, "x = 1\ndef f(:\n    pass\n", "y = (1", "z = 2"), complaint)
    assert [(failure.place.cell, failure.place.row, failure.message) for failure in failures] == [
        (3, 2, "invalid syntax"),
        (4, 1, "'(' was never closed"),
    ]
    assert mended.text == "import torch\n\n\n\n\nz = 2\n"
    assert mended.lines[2] == "def f(:"
    assert mended.place(Span(6, 1, 6, 6)).cell == 5


def test_whole_notebooks_are_left_alone() -> None:
    loaded = source("x = '''", "'''")  # no cell parses, but all together do
    assert mend(loaded, complaint) == (loaded, [])
