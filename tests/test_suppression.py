"""Comments that suppress findings, and those that suppress nothing."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from conftest import Outcome

from nnlint.findings import Applicability, Confidence, Edit, Finding, Fix, Place
from nnlint.records import Span
from nnlint.registry import Catalogue
from nnlint.source import Source, load
from nnlint.suppression import suppress

Run = Callable[..., Outcome]
ALL = frozenset({"NN001", "NN101", "NN201", "NN205", "NN501"})


def finding(source: Source, catalogue: Catalogue, word: str, row: int) -> Finding:
    rule = catalogue.find(word)
    return Finding(rule.code, rule.name(), rule.severity, Confidence.CERTAIN, "m", "h", source.place(Span(row, 1, row, 5)))


def left(catalogue: Catalogue, text: str, *where: tuple[str, int], active: frozenset[str] = ALL) -> list[tuple[str, int]]:
    source = Source("a.py", text)
    found = [finding(source, catalogue, word, row) for word, row in where]
    return [(each.code, each.place.row) for each in suppress(source, found, active, catalogue)]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# type: ignore  # noqa",
        "# noqa: NN101",
        "# noqa:NN101",
        "# noqa : nn101",
        "# noqa: E501,NN101",
        "# noqa: E501 NN101",
        "# noqa: NN1",
        "# noqa: NN101 because",
        "# nnlint: ignore",
        "# nnlint:ignore[NN101]",
        "# nnlint: ignore[nn101]",
        "# nnlint: ignore[softmax-before-logit-loss] our own loss",
        "# nnlint: ignore[ softmax-before-logit-loss , ]",
        "# x # nnlint: ignore[NN1]",
    ],
)
def test_on_the_line(catalogue: Catalogue, comment: str) -> None:
    assert left(catalogue, f"a = 1\nb = 2  {comment}\nc = 3\n", ("NN101", 1), ("NN101", 2)) == [("NN101", 1)]


@pytest.mark.parametrize(
    "comment", ["# noqa: E501", "# noqa: because", "# noqax", "# nnlint: ignored", "'# noqa'", "# nnlint ignore", "# not noqa"]
)
def test_not_a_suppression(catalogue: Catalogue, comment: str) -> None:
    assert left(catalogue, f"a = 1  {comment}\n", ("NN101", 1)) == [("NN101", 1)]


def test_only_what_is_named(catalogue: Catalogue) -> None:
    text = "a = 1  # nnlint: ignore[NN101, missing-zero-grad]\n"
    assert left(catalogue, text, ("NN101", 1), ("NN201", 1), ("NN205", 1)) == [("NN205", 1)]


def test_alone_above_a_statement(catalogue: Catalogue) -> None:
    text = "# nnlint: ignore[NN101] why\n\n# and more\nf(\n    a,\n    b,\n)\ng()\n"
    for row in (4, 5, 6, 7):
        assert left(catalogue, text, ("NN101", row)) == []
    assert left(catalogue, text, ("NN101", 8)) == [("NN101", 8), ("NN001", 1)]


def test_alone_above_a_compound_statement_means_its_head(catalogue: Catalogue) -> None:
    text = "def f():\n    # nnlint: ignore[NN101]\n    for x in y:\n        g()\n"
    assert left(catalogue, text, ("NN101", 3)) == []
    assert left(catalogue, text, ("NN101", 4)) == [("NN101", 4), ("NN001", 2)]


def test_several_lines_above(catalogue: Catalogue) -> None:
    assert left(catalogue, "# nnlint: ignore[NN101]\n# nnlint: ignore[NN201]\nx = 1\n", ("NN101", 3), ("NN201", 3)) == []


def test_within_a_statement(catalogue: Catalogue) -> None:
    text = "f(\n    # nnlint: ignore[NN101]\n    a,\n    b,  # nnlint: ignore[NN201]\n)\n"
    assert left(catalogue, text, ("NN101", 3), ("NN201", 4)) == []


def test_noqa_alone_on_its_line_means_its_line(catalogue: Catalogue) -> None:
    assert left(catalogue, "# noqa: NN101\nx = 1\n", ("NN101", 2)) == [("NN101", 2), ("NN001", 1)]


def test_whole_file(catalogue: Catalogue) -> None:
    assert left(catalogue, "x = 1\n# nnlint: file-ignore[NN101]\ny = 2\n", ("NN101", 1), ("NN101", 3), ("NN201", 3)) == [("NN201", 3)]
    assert left(catalogue, "# nnlint: file-ignore\nx = 1\n", ("NN101", 2), ("NN201", 2)) == []


def test_text_is_no_comment(catalogue: Catalogue) -> None:
    text = "x = '''\n# nnlint: file-ignore\n'''\ny = '# nnlint: ignore'\n"
    assert left(catalogue, text, ("NN101", 1), ("NN101", 4)) == [("NN101", 1), ("NN101", 4)]


def unused(catalogue: Catalogue, text: str, *where: tuple[str, int], active: frozenset[str] = ALL) -> list[tuple[str, int, int, int]]:
    source = Source("a.py", text)
    found = suppress(source, [finding(source, catalogue, word, row) for word, row in where], active, catalogue)
    assert all(each.code == "NN001" for each in found)
    return [(each.message, each.place.row, each.place.column, each.place.end_column) for each in found]


def test_unused(catalogue: Catalogue) -> None:
    assert unused(catalogue, "x = 1  # nnlint: ignore[NN101, NN201] why\n", ("NN101", 1)) == [
        ("no finding of `NN201` is here to suppress", 1, 8, 38)
    ]
    assert unused(catalogue, "x = 1  # nnlint: ignore\n") == [("this comment suppresses no finding", 1, 8, 24)]
    assert unused(catalogue, "# nnlint: file-ignore[missing-zero-grad]\n") == [
        ("no finding of `missing-zero-grad` is here to suppress", 1, 1, 41)
    ]
    assert unused(catalogue, "x = 1  # noqa: E501, NN101\n") == [("no finding of `NN101` is here to suppress", 1, 8, 27)]


def test_unknown_words(catalogue: Catalogue) -> None:
    assert (
        unused(catalogue, "x = 1  # nnlint: ignore[missing-zero-grd]\n")[0][0]
        == "there is no rule `missing-zero-grd`; did you mean `missing-zero-grad`?"
    )
    assert unused(catalogue, "x = 1  # noqa: NN999\n")[0][0] == "there is no rule NN999"


@pytest.mark.parametrize(
    "comment", ["# noqa", "# noqa: E501", "# nnlint: ignore[unused-suppression, NN101]", "# nnlint: ignore[NN108]", "# noqa: XY1"]
)
def test_not_known_to_be_unused(catalogue: Catalogue, comment: str) -> None:
    where = [("NN101", 1)] if "NN101" in comment else []
    assert unused(catalogue, f"x = 1  {comment}\n", *where) == []


def test_rules_that_were_not_run(catalogue: Catalogue) -> None:
    for comment in ("# nnlint: ignore[NN101]", "# nnlint: ignore[NN1]", "# noqa: NN101", "# nnlint: ignore"):
        assert unused(catalogue, f"x = 1  {comment}\n", active=frozenset({"NN001", "NN201"})) == []
        assert unused(catalogue, f"x = 1  {comment}\n", active=ALL - {"NN001"}) == []


def test_unused_can_be_suppressed_by_name_only(catalogue: Catalogue) -> None:
    assert unused(catalogue, "# nnlint: file-ignore[NN001]\nx = 1  # nnlint: ignore[NN101]\n") == []
    assert unused(catalogue, "x = 1  # nnlint: ignore[NN101, NN001] only a run shows it\n") == []
    assert len(unused(catalogue, "x = 1  # nnlint: ignore[NN101]  # noqa\n")) == 1


def test_in_notebooks(catalogue: Catalogue) -> None:
    cells = [
        {"cell_type": "markdown", "source": "x"},
        {"cell_type": "code", "source": "%env A\nx = 1  # noqa: NN101\n"},
        {"cell_type": "code", "source": "  # nnlint: ignore[NN201]\n  y = 2\n  z = 3  # nnlint: ignore\n"},
    ]
    source = load(json.dumps({"cells": cells}).encode(), "n.ipynb")
    assert source is not None
    found = [finding(source, catalogue, "NN101", 2), finding(source, catalogue, "NN201", 4), finding(source, catalogue, "NN101", 4)]
    rest = suppress(source, found, ALL, catalogue)
    assert [(each.code, each.place.cell, each.place.row, each.place.column) for each in rest] == [("NN101", 3, 2, 3), ("NN001", 3, 3, 10)]


def test_a_text_that_cannot_be_split_into_tokens(catalogue: Catalogue) -> None:
    assert left(catalogue, "a = 1  # noqa: NN101\nx = (\n", ("NN101", 1)) == []


def applied(catalogue: Catalogue, text: str, *where: tuple[str, int]) -> str:
    """The text after all fixes, round by round as the engine does."""
    for _ in range(50):
        source = Source("a.py", text)
        found = suppress(source, [finding(source, catalogue, word, row) for word, row in where], ALL, catalogue)
        fixes = [each.fix for each in found if each.fix is not None]
        if not fixes:
            return text
        assert {fix.applicability for fix in fixes} == {Applicability.SAFE}
        text = edited(text, fixes[0])
    raise AssertionError("the fixes do not come to an end")


def edited(text: str, fix: Fix) -> str:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    (edit,) = fix.edits
    begin = starts[edit.place.row - 1] + edit.place.column - 1
    end = starts[edit.place.end_row - 1] + edit.place.end_column - 1
    assert begin <= end <= len(text)
    return text[:begin] + edit.content + text[end:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # noqa: NN101\n", "x = 1\n"),
        ("x = 1  # noqa: NN101", "x = 1"),
        ("x = 1  # noqa: NN101\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n"),
        ("x = 1\t#noqa:nn101  \n", "x = 1  \n"),
        ("x = 1  # noqa: NN101, E501\n", "x = 1  # noqa: E501\n"),
        ("x = 1  # noqa: E501, NN101\n", "x = 1  # noqa: E501\n"),
        ("x = 1  # noqa: E501,NN101,W291 NN201 long line\n", "x = 1  # noqa: E501,W291 long line\n"),
        ("x = 1  # noqa: NN101, NN201\n", "x = 1\n"),
        ("x = 1  # noqa: NN101 because\n", "x = 1  # because\n"),
        ("x = 1  # noqa: NN101  # pylint: disable=y\n", "x = 1  # pylint: disable=y\n"),
        ("x = 1  # type: ignore  # noqa: NN101\n", "x = 1  # type: ignore\n"),
        ("x = 1  # nnlint: ignore[NN101]\n", "x = 1\n"),
        ("x = 1  # nnlint: ignore\n", "x = 1\n"),
        ("x = 1  # nnlint: ignore[missing-zero-grad] our own optimizer\n", "x = 1\n"),
        ("x = 1  # nnlint: ignore[NN101] why  # pragma: no cover\n", "x = 1  # pragma: no cover\n"),
        ("x = 1  # nnlint: ignore[NN101] see #12, C# and a#b\n", "x = 1\n"),
        ("x = 1  # a remark  # nnlint: ignore[NN101] why\n", "x = 1  # a remark\n"),
        ("x = 1  # nnlint: ignore[NN101, NN108] why\n", "x = 1  # nnlint: ignore[NN108] why\n"),
        ("x = 1  # nnlint: ignore[ NN108 , NN101 ]\n", "x = 1  # nnlint: ignore[ NN108 ]\n"),
        ("x = 1  # nnlint: ignore[NN101, NN108, NN201, unheard-of]\n", "x = 1  # nnlint: ignore[NN108, unheard-of]\n"),
        ("x = 1  # nnlint: ignore[NN101]  # noqa: NN201, E1\n", "x = 1  # noqa: E1\n"),
        ("x = 1  # nnlint: ignore[NN101] why  # noqa: NN201\n", "x = 1\n"),
        ("# nnlint: ignore[NN101] why\nx = 1\n", "x = 1\n"),
        ("def f():\n    # nnlint: ignore[NN101]\n    x = 1\n", "def f():\n    x = 1\n"),
        ("x = 1\n# nnlint: file-ignore[NN101]", "x = 1"),
        ("x = 1\r\n# nnlint: file-ignore[NN101]\r\n", "x = 1\r\n"),
        ("# nnlint: file-ignore", ""),
        ("f(\n    a,  # noqa: NN101\n    # nnlint: ignore[NN201]\n    b,\n)\n", "f(\n    a,\n    b,\n)\n"),
        ("x = '''\n'''  # noqa: NN101\n", "x = '''\n'''\n"),
        ("x = 'é😀'  # noqa: NN101, E501\n", "x = 'é😀'  # noqa: E501\n"),
    ],
)
def test_fixes(catalogue: Catalogue, before: str, after: str) -> None:
    assert applied(catalogue, before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # noqa: NN101, NN201\n", "x = 1  # noqa: NN101\n"),
        ("x = 1  # nnlint: ignore[NN201, softmax-before-logit-loss] why\n", "x = 1  # nnlint: ignore[softmax-before-logit-loss] why\n"),
        ("x = 1  # nnlint: ignore[NN101, NN1]\n", "x = 1  # nnlint: ignore[NN101, NN1]\n"),
        ("x = 1  # noqa: NN101  # nnlint: ignore[NN101]\n", "x = 1  # noqa: NN101  # nnlint: ignore[NN101]\n"),
    ],
)
def test_fixes_leave_what_is_used(catalogue: Catalogue, before: str, after: str) -> None:
    assert applied(catalogue, before, ("NN101", 1)) == after


@pytest.mark.parametrize(
    "comment", ["# noqa", "# noqa: E501", "# noqa: NN999", "# nnlint: ignore[missing-zero-grd]", "# nnlint: ignore[NN108]"]
)
def test_no_fix(catalogue: Catalogue, comment: str) -> None:
    assert applied(catalogue, f"x = 1  {comment}\n") == f"x = 1  {comment}\n"


@pytest.mark.parametrize(
    ("cell", "where", "content"),
    [
        ("x = 1  # noqa: NN101", (1, 6, 1, 21), ""),
        ("  %time\n  x = 1  # noqa: NN101, E501", (2, 18, 2, 29), "E501"),
        ("  # nnlint: ignore[NN101]\n  x = 1", (1, 1, 2, 1), ""),
        ("  x = 1\n  # nnlint: file-ignore[NN101]", (1, 8, 2, 31), ""),
        ("# nnlint: file-ignore[NN101]", (1, 1, 1, 29), ""),
    ],
)
def test_fixes_in_notebooks(catalogue: Catalogue, cell: str, where: tuple[int, int, int, int], content: str) -> None:
    cells = [
        {"cell_type": "code", "source": "import torch\n"},
        {"cell_type": "code", "source": cell},
        {"cell_type": "code", "source": "y = 2"},
    ]
    for some in (cells, cells[:2]):
        source = load(json.dumps({"cells": some}).encode(), "n.ipynb")
        assert source is not None
        (found,) = suppress(source, [], ALL, catalogue)
        assert found.fix is not None
        assert found.fix.edits == (Edit(Place("n.ipynb", 2, *where), content),)


def test_needless_only_where_everything_was_seen(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\nx = 1  # nnlint: ignore[NN101]\n")
    (folder / "b.py").write_text("import torch\nx = 1  # nnlint: ignore[NN101]\n")

    def codes(*args: str) -> list[str]:
        return [f"{entry['filename']} {entry['code']}" for entry in json.loads(run("--format", "json", *args)[1])]

    assert codes() == ["a.py NN001", "b.py NN001"]
    assert codes("a.py") == []
    assert codes("a.py", "b.py") == []
    assert codes("a.py", ".") == ["a.py NN001", "b.py NN001"]
    (folder / "c.py").write_text("import torch\nx = (\n")
    assert codes() == ["c.py NN000"]
    (folder / "c.py").unlink()
    (folder / "nnlint.toml").write_text("[per-file-ignores]\n'a.py' = ['NN101']\n")
    assert codes() == ["b.py NN001"]
    assert codes("--ignore", "NN101") == []
    assert codes("--select", "NN001") == []


PIECES = (
    "# noqa", "# noqa:NN101,E501", "# noqa: E501 NN201 , W1", "# noqa : nn101 because é😀", "# noqa:", "#nnlint:ignore",
    "# nnlint: ignore[]", "# nnlint: ignore[NN101, NN201 ,NN108] why not", "# nnlint: ignore[ , ]",
    "# nnlint: file-ignore[NN5]", "# nnlint: ignore[nope, NN205]", "# type: ignore", "# see #12", " text ", "#",
)  # fmt: skip
STATEMENTS = (
    "x = 1", "f(\n    1,\n    2,\n)", "s = '''a\n# noqa: NN101\n'''", "if x:\n    y = 2", "a = 1 + \\\n    2", "z = [  \n]", "",
)  # fmt: skip


def odd_program(random: Random) -> str:
    """Statements with comments of every kind behind and above their lines."""
    lines = []
    for statement in random.choices(STATEMENTS, k=random.randint(1, 6)):
        inside = "'''" in statement
        for number, line in enumerate(statement.split("\n")):
            comment = "#" + "".join(random.choice(["  ", " ", ""]) + piece for piece in random.choices(PIECES, k=random.randint(1, 3)))[1:]
            if random.random() < 0.2 and not (number and (inside or "\\" in statement)):
                lines.append(" " * random.choice([0, 4]) + comment)
            free = not inside and not line.endswith("\\")
            lines.append(f"{line}  {comment}" if free and random.random() < 0.5 else line)
    return random.choice(["\n", "\r\n"]).join([*lines, *random.choice([[], [""]])])


def test_fixes_of_odd_programs(catalogue: Catalogue) -> None:
    random = Random(7)
    changed = 0
    for _ in range(300):
        text = odd_program(random)
        after = applied(catalogue, text)
        assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(text))
        changed += after != text
    assert changed > 100
