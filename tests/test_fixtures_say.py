"""Every program under fixtures/ says what it is and what is expected of it; tests/test_verdicts.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runs import case_id, cases, explanation, notebook_code

MARK = re.compile(r"#\s*expect:\s*(.*)$")


def program_text(path: Path) -> str:
    if path.suffix == ".ipynb":
        return notebook_code(path)
    files = sorted(path.parent.rglob("*.py")) if path.name == "train.py" else [path]
    return "\n".join(f.read_text(encoding="utf-8") for f in files)


@pytest.mark.parametrize("path", cases(), ids=case_id)
def test_says_what_it_is(path: Path) -> None:
    text = explanation(path)
    assert re.search(r"^Source: \S", text, flags=re.M), "the docstring (first cell) lacks a line `Source: ...`"
    for line in program_text(path).splitlines():
        if mark := MARK.search(line):
            codes = [code.strip() for code in mark[1].split(",")]
            assert all(re.fullmatch(r"NN\d{3}", code) for code in codes), line
            assert line.split("#")[0].strip(), f"a mark needs code on its line: {line}"
