"""Comments that suppress findings, and those that suppress nothing."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nnlint.findings import Confidence, Finding
from nnlint.notices import InvalidSyntax, UnusedSuppression
from nnlint.records import Span
from nnlint.registry import Catalogue
from nnlint.rule import Group
from nnlint.selection import matching
from nnlint.source import Source
from nnlint.trouble import near

_MARKER = re.compile(r"#\s*noqa\b|nnlint\s*:", re.IGNORECASE)
_NOQA = re.compile(r"#\s*noqa(?!\w)(?P<colon>\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+(?!\w))*)?)?", re.IGNORECASE)
_OWN = re.compile(r"#\s*nnlint\s*:\s*(?P<file>file-)?ignore\b(?:\s*\[(?P<words>[^\]]*)\])?")
_CODE = re.compile(r"[A-Z]+[0-9]+", re.IGNORECASE)
_ROOM = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)


@dataclass
class _Comment:
    """One suppression: for the rows from `first` to `last` (all rows where `first` is 0), of these words (of everything where empty)."""

    span: Span
    first: int
    last: int
    words: tuple[str, ...]
    noqa: bool
    used: frozenset[str] = frozenset()

    def covers(self, row: int) -> bool:
        return not self.first or self.first <= row <= self.last

    def hits(self, finding: Finding, catalogue: Catalogue) -> str | None:
        """The word that suppresses a finding; "" for a comment without words."""
        if not self.words:
            return ""
        for word in self.words:
            if finding.code in _meant(word, self.noqa, catalogue):
                return word
        return None


def suppress(source: Source, findings: Sequence[Finding], active: frozenset[str], catalogue: Catalogue) -> list[Finding]:
    """The findings of one source that no comment suppresses, and those about comments that suppress nothing.

    `active` are the codes of the rules that were run on the file: a comment about another rule may well be needed.
    """
    if not _MARKER.search(source.text):
        return list(findings)
    comments = list(_comments(source.text))
    left = [finding for finding in findings if finding.code == InvalidSyntax.code or not _suppressed(source, finding, comments, catalogue)]
    if UnusedSuppression.code not in active:
        return left
    unused = list(_unused(source, comments, active, catalogue))
    return left + [finding for finding in unused if not _suppressed(source, finding, comments, catalogue, explicit=True)]


def _suppressed(source: Source, finding: Finding, comments: Iterable[_Comment], catalogue: Catalogue, *, explicit: bool = False) -> bool:
    row = source.row(finding.place)
    suppressed = False
    for comment in comments:
        word = comment.hits(finding, catalogue) if comment.covers(row) and (comment.words or not explicit) else None
        if word is not None:
            comment.used |= {word}
            suppressed = True
    return suppressed


def _unused(source: Source, comments: Iterable[_Comment], active: frozenset[str], catalogue: Catalogue) -> Iterator[Finding]:
    everything = all(rule.code in active for rule in catalogue.rules if rule.group is Group.DEFAULT)
    for comment in comments:
        if not comment.words:
            if not comment.noqa and not comment.used and everything:
                yield _finding(source, comment, "this comment suppresses no finding")
            continue
        for word in comment.words:
            if word in comment.used or word.upper() == UnusedSuppression.code or word == UnusedSuppression.name():
                continue
            meant = _meant(word, comment.noqa, catalogue)
            if not meant and not comment.noqa:
                yield _finding(source, comment, f"there is no rule `{word}`{near(word, catalogue.words)}")
            elif not meant and word.upper().startswith("NN"):
                yield _finding(source, comment, f"there is no rule {word}")
            elif meant and all(code in active for code in meant):
                yield _finding(source, comment, f"no finding of `{word}` is here to suppress")


def _finding(source: Source, comment: _Comment, message: str) -> Finding:
    rule = UnusedSuppression
    help = "remove it, or the part of it that is not needed"
    return Finding(rule.code, rule.name(), rule.severity, Confidence.CERTAIN, message, help, source.place(comment.span))


def _meant(word: str, noqa: bool, catalogue: Catalogue) -> frozenset[str]:
    """The codes that a word stands for: in a `noqa` only codes and the beginnings of codes."""
    word = word.upper() if noqa or word.upper() in catalogue.words else word
    return frozenset(rule.code for rule in matching(catalogue, word))


def _comments(text: str) -> Iterator[_Comment]:
    """The suppressions of a text. A comment alone on its line speaks for the statement that follows, any other for its own row."""
    waiting: list[_Comment] = []
    first = 0
    for token in _tokens(text):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            for comment in _read(token):
                if alone and not comment.noqa and comment.first:
                    if first:  # within a statement: for its next row
                        comment.first = comment.last = token.start[0] + 1
                    else:
                        waiting.append(comment)
                yield comment
        elif token.type == tokenize.NEWLINE:
            for comment in waiting:
                comment.first, comment.last = first or token.start[0], token.start[0]
            waiting, first = [], 0
        elif token.type not in _ROOM and not first:
            first = token.start[0]


def _read(token: tokenize.TokenInfo) -> Iterator[_Comment]:
    row, offset = token.start

    def span(match: re.Match[str]) -> Span:
        return Span(row, offset + match.start() + 1, row, offset + match.start() + len(match[0].rstrip()) + 1)

    for match in _OWN.finditer(token.string):
        words = tuple(word.strip() for word in (match["words"] or "").split(",") if word.strip())
        rows = (0, 0) if match["file"] else (row, row)
        yield _Comment(span(match), *rows, words, noqa=False)
    noqa = _NOQA.search(token.string)
    # A colon without a code behind it: as in ruff, it suppresses nothing rather than everything.
    if noqa and (noqa["codes"] or not noqa["colon"]):
        yield _Comment(span(noqa), row, row, tuple(_CODE.findall(noqa["codes"] or "")), noqa=True)


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return  # newer syntax than this Python's: what came before it counts
