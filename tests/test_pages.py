"""Every rule has a page, and what is derived from the pages is up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PAGE, rule

from nnlint.pages import Malformed, page, render, url
from nnlint.registry import catalogue
from nnlint.rule import Rule
from nnlint.testing import check

ROOT = Path(__file__).resolve().parent.parent
ALL = catalogue().everything


def with_page(text: str) -> type[Rule]:
    made = rule("GloomyLoss", "XY101")
    made.__doc__ = text
    return made


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name())
def test_pages_are_well_formed(each: type[Rule]) -> None:
    content = page(each)
    assert content.summary[0].isupper() or content.summary[0] == "`"
    compile(content.good, "good", "exec")
    for heading, text in content.sections.items():
        assert text.count("```") in ((2,) if heading in ("Bad", "Good") else (0, 2, 4)), heading


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name())
def test_examples_hold(each: type[Rule]) -> None:
    check(each)


def test_a_page() -> None:
    content = page(with_page(PAGE.format(summary="A loss is gloomy.") + "\n## References\nA book.\n"))
    assert content.summary == "A loss is gloomy."
    assert list(content.sections) == ["Why is this bad?", "Bad", "Good", "When it stays silent", "Runtime", "Fix", "References"]
    assert content.bad == content.good == "import torch\n"


def test_docstrings_are_indented() -> None:
    indented = PAGE.format(summary="A loss is gloomy.").replace("\n", "\n    ")
    assert page(with_page(indented)) == page(with_page(PAGE.format(summary="A loss is gloomy.")))


def test_rendered() -> None:
    text = render(with_page(PAGE.format(summary="A loss is gloomy.")))
    assert text.startswith(
        "# gloomy-loss (XY101)\n\nA loss is gloomy.\n\n*Severity: error. Group: default.*\n\n## Why is this bad?\n\nBecause.\n"
    )
    assert text.endswith("## Fix\n\nNone.\n")
    assert url("gloomy-loss", "NN901").endswith("/rules/gloomy-loss")
    assert url("gloomy-loss", "XY101") == ""


GOOD = PAGE.format(summary="A loss is gloomy.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the page of `gloomy-loss` \(\w+\) does not start with a summary"),
        (GOOD.replace("A loss is gloomy.", "A loss\nis gloomy."), "does not start with a summary"),
        (GOOD.replace("gloomy.", "gloomy"), "does not start with a summary"),
        (GOOD.replace("## Fix", "## Fixes"), "has the headings"),
        (GOOD.replace("## Runtime\nNo.\n", ""), "has the headings"),
        (GOOD.replace("Because.", ""), "has nothing under `Why is this bad\\?`"),
        (GOOD.replace("```python\nimport torch\n```", "text", 1), "has 0 python blocks instead of one under `Bad`"),
        (GOOD.replace("```\n\n## When", "```\n\n```python\nx\n```\n\n## When"), "has 2 python blocks instead of one under `Good`"),
    ],
)
def test_malformed_pages(text: str, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        page(with_page(text))


def test_a_page_is_not_inherited() -> None:
    with pytest.raises(Malformed):
        page(type("Heir", (with_page(GOOD),), {}))


def test_derived_files_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "scripts/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0), "run `make generate`"
