"""Comments that suppress findings, and those that suppress nothing."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nnlint.findings import Applicability, Confidence, Edit, Finding, Fix, Place
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
_WORD = re.compile(r"[^\s,](?:[^,]*[^\s,])?")
_OTHER = re.compile(r"(?<=\s)#(?!\d)")  # another comment behind a reason, but not the number of an issue in it
_ROOM = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)


@dataclass(frozen=True)
class _Text:
    """How a suppression is written: in the comment `whole`, which starts in this row behind `offset` characters, from `begin` to `end`.

    `words` says where its words stand in the comment.
    """

    whole: str
    row: int
    offset: int
    begin: int
    end: int
    words: tuple[tuple[int, int], ...]
    noqa: bool

    @property
    def span(self) -> Span:
        return Span(self.row, self.offset + self.begin + 1, self.row, self.offset + self.end + 1)


@dataclass
class Comment:
    """One suppression: for the rows from `first` to `last` (all rows where `first` is 0), of these words (of everything where empty)."""

    text: _Text
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
    comments = list(comments_in(source.text))
    left = [finding for finding in findings if finding.code == InvalidSyntax.code or not _suppressed(source, finding, comments, catalogue)]
    if UnusedSuppression.code not in active:
        return left
    unused = list(_unused(source, comments, active, catalogue))
    return left + [finding for finding in unused if not _suppressed(source, finding, comments, catalogue, explicit=True)]


def _suppressed(source: Source, finding: Finding, comments: Iterable[Comment], catalogue: Catalogue, *, explicit: bool = False) -> bool:
    row = source.row(finding.place)
    suppressed = False
    for comment in comments:
        word = comment.hits(finding, catalogue) if comment.covers(row) and (comment.words or not explicit) else None
        if word is not None:
            comment.used |= {word}
            suppressed = True
    return suppressed


def _unused(source: Source, comments: Iterable[Comment], active: frozenset[str], catalogue: Catalogue) -> Iterator[Finding]:
    everything = all(rule.code in active for rule in catalogue.rules if rule.group is Group.DEFAULT)
    for comment in comments:
        if not comment.words:
            if not comment.noqa and not comment.used and everything:
                yield _finding(source, comment, "this comment suppresses no finding", _without(source, comment, ()))
            continue
        words = [word for word in comment.words if word not in comment.used and not _about_comments(word)]
        needless = [word for word in words if (meant := _meant(word, comment.noqa, catalogue)) and meant <= active]
        fix = _without(source, comment, needless) if needless else None
        for word in words:
            known = bool(_meant(word, comment.noqa, catalogue))
            if not known and not comment.noqa:
                yield _finding(source, comment, f"there is no rule `{word}`{near(word, catalogue.words)}")
            elif not known and word.upper().startswith("NN"):
                yield _finding(source, comment, f"there is no rule {word}")
            elif word in needless:
                yield _finding(source, comment, f"no finding of `{word}` is here to suppress", fix)


def _about_comments(word: str) -> bool:
    return word.upper() == UnusedSuppression.code or word == UnusedSuppression.name()


def _finding(source: Source, comment: Comment, message: str, fix: Fix | None = None) -> Finding:
    rule = UnusedSuppression
    help = "remove it, or the part of it that is not needed"
    place = source.place(comment.text.span)
    return Finding(rule.code, rule.name(), rule.severity, Confidence.CERTAIN, message, help, place, fix=fix)


def _without(source: Source, comment: Comment, needless: Sequence[str]) -> Fix:
    """A fix that takes words out of a comment, or all of it where no word is left."""
    kept = [word for word in comment.words if word not in needless]
    if not kept:
        return Fix("remove the suppression", Applicability.SAFE, (_removed(source, comment.text),))
    text = comment.text
    content, before = "", text.words[0][0]
    for word, (begin, end) in zip(comment.words, text.words, strict=True):
        if word in kept:
            content += (text.whole[before:begin] if content else "") + text.whole[begin:end]
        before = end
    edit = Edit(_place(source, text.row, text.offset + text.words[0][0], text.offset + before), content)
    return Fix(f"remove {', '.join(f'`{word}`' for word in needless)} from the comment", Applicability.SAFE, (edit,))


def _removed(source: Source, text: _Text) -> Edit:
    """Take a suppression away and leave what else the comment says; the reason of our own form goes with it."""
    tail = text.whole[text.end :]
    other = _OTHER.search(tail)
    at = len(tail) - len(tail.lstrip()) if text.noqa else other.start() if other else len(tail)
    rest = tail[at:]
    if rest:
        begin, end = text.offset + text.begin, text.offset + text.end + at
        return Edit(_place(source, text.row, begin, end), "" if rest.startswith("#") else "# ")
    end = text.offset + len(text.whole)
    line = source.text.split("\n")[text.row - 1]
    begin = len(line[: text.offset + text.begin].rstrip())
    return Edit(_row(source, text.row, end) if not begin else _place(source, text.row, begin, end), "")


def _place(source: Source, row: int, begin: int, end: int) -> Place:
    """A stretch of a row of the text, by characters from 0."""
    return source.place(Span(row, begin + 1, row, end + 1))


def _row(source: Source, row: int, end: int) -> Place:
    """A whole row with one of its line ends: the one behind it, or the one before it for the last row of a file or cell."""
    here = source.place(Span(row, 1, row, end + 1))
    first = row - here.row + 1
    last = len(source.lines)
    if source.cells is not None:
        last = min((start - 1 for start in source.cells.starts if start > row), default=last - 1)
    if row < last:
        return Place(here.filename, here.cell, here.row, 1, here.row + 1, 1)
    if row == first:
        return Place(here.filename, here.cell, here.row, 1, here.row, here.end_column)
    return Place(here.filename, here.cell, here.row - 1, len(source.lines[row - 2]) + 1, here.row, here.end_column)


def _meant(word: str, noqa: bool, catalogue: Catalogue) -> frozenset[str]:
    """The codes that a word stands for: in a `noqa` only codes and the beginnings of codes."""
    word = word.upper() if noqa or word.upper() in catalogue.words else word
    return frozenset(rule.code for rule in matching(catalogue, word))


def comments_in(text: str) -> Iterator[Comment]:
    """The suppressions of a text. A comment alone on its line speaks for the statement that follows, any other for its own row."""
    waiting: list[Comment] = []
    first = 0
    for token in tokens_of(text):
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


def _read(token: tokenize.TokenInfo) -> Iterator[Comment]:
    row, offset = token.start
    whole = token.string.rstrip()

    def text(match: re.Match[str], words: Sequence[tuple[int, int]], *, noqa: bool) -> _Text:
        return _Text(whole, row, offset, match.start(), match.start() + len(match[0].rstrip()), tuple(words), noqa)

    for match in _OWN.finditer(whole):
        words = [word.span() for word in _WORD.finditer(whole, *match.span("words"))] if match["words"] else []
        rows = (0, 0) if match["file"] else (row, row)
        yield Comment(text(match, words, noqa=False), *rows, tuple(whole[begin:end] for begin, end in words), noqa=False)
    noqa = _NOQA.search(whole)
    # A colon without a code behind it: as in ruff, it suppresses nothing rather than everything.
    if noqa and (noqa["codes"] or not noqa["colon"]):
        words = [word.span() for word in _CODE.finditer(whole, *noqa.span("codes"))] if noqa["codes"] else []
        yield Comment(text(noqa, words, noqa=True), row, row, tuple(whole[begin:end] for begin, end in words), noqa=True)


def tokens_of(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return  # newer syntax than this Python's: what came before it counts
