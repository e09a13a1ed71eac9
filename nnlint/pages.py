"""A rule's page of documentation: its class docstring, with fixed headings."""

from __future__ import annotations

import inspect
import re

import msgspec

from nnlint.rule import OURS, Rule
from nnlint.trouble import Trouble

SITE = "https://nnlint.readthedocs.io/rules/"
HEADINGS = ("Why is this bad?", "Bad", "Good", "When it stays silent", "Runtime", "Fix")
OPTIONAL = ("References",)

_HEADING = re.compile(r"^## (.+?)\s*$", re.MULTILINE)
_BLOCK = re.compile(r"^```python\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)


class Malformed(Trouble):
    """A docstring that is no page; the message says what is wrong with it."""


class Page(msgspec.Struct, frozen=True):
    """`bad` and `good` are the programs under these headings; `sections` holds all texts by heading, in order."""

    summary: str
    sections: dict[str, str]
    bad: str
    good: str


def url(name: str, code: str = OURS) -> str:
    """Where the page of a rule can be read; empty for a rule of a plug-in, which has no page on our site."""
    return SITE + name if code.startswith(OURS) else ""


def page(rule: type[Rule]) -> Page:
    """The page of a rule, checked."""
    doc = inspect.cleandoc(rule.__dict__.get("__doc__") or "")
    head, *rest = _HEADING.split(doc)
    sections = {heading: text.strip() for heading, text in zip(rest[::2], rest[1::2], strict=True)}
    problem = _problem(head.strip(), rest[::2], sections)
    if problem:
        raise Malformed(f"the page of `{rule.name()}` ({rule.__module__}) {problem}")
    return Page(head.strip(), sections, _BLOCK.findall(sections["Bad"])[0], _BLOCK.findall(sections["Good"])[0])


def _problem(summary: str, headings: list[str], sections: dict[str, str]) -> str | None:
    if not summary or "\n" in summary or not summary.endswith("."):
        return "does not start with a summary: one sentence in one line"
    wanted = [heading for heading in (*HEADINGS, *OPTIONAL) if heading in HEADINGS or heading in headings]
    if headings != wanted:
        return f"has the headings {headings} instead of {wanted}"
    for heading, text in sections.items():
        if not text:
            return f"has nothing under `{heading}`"
    for heading in ("Bad", "Good"):
        blocks = len(_BLOCK.findall(sections[heading]))
        if blocks != 1:
            return f"has {blocks} python blocks instead of one under `{heading}`"
    return None


def render(rule: type[Rule]) -> str:
    """The page as Markdown."""
    content = page(rule)
    parts = [f"# {rule.name()} ({rule.code})", content.summary, f"*Severity: {rule.severity.value}. Group: {rule.group.value}.*"]
    parts += [f"## {heading}\n\n{text}" for heading, text in content.sections.items()]
    return "\n\n".join(parts) + "\n"
