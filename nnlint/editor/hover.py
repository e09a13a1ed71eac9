"""The page of a rule, where one of its findings is shown or a comment names it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nnlint import pages
from nnlint.registry import Catalogue
from nnlint.rule import Rule

_NAMED = re.compile(r"#\s*noqa\s*:(?P<codes>[^#]*)|nnlint\s*:\s*(?:file-)?ignore\s*\[(?P<words>[^\]]*)\]?", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")


def named(line: str, column: int, catalogue: Catalogue) -> tuple[type[Rule], int, int] | None:
    """The rule whose name or code a comment of the line holds at a column (from 0), and from where to where."""
    for comment in _NAMED.finditer(line):
        group = "codes" if comment["codes"] is not None else "words"
        for word in _WORD.finditer(line, *comment.span(group)):
            rule = catalogue.words.get(word[0]) or catalogue.words.get(word[0].upper())
            if rule is not None and word.start() <= column <= word.end():
                return rule, word.start(), word.end()
    return None


def page(rules: Sequence[type[Rule]]) -> str:
    """The pages of some rules as Markdown, each with the address where it can be read in full width."""
    return "\n\n---\n\n".join(_pages(rules))


def _pages(rules: Sequence[type[Rule]]) -> Iterator[str]:
    for rule in dict.fromkeys(rules):
        address = pages.url(rule.name(), rule.code)
        yield pages.render(rule).rstrip() + (f"\n\n[{address}]({address})" if address else "")
