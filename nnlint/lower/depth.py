"""How deeply a text is nested, found without parsing it: libcst's native parser crashes the process on a text that is too deep.

The measure is an upper bound for expressions: brackets that are open, and operators and trailers since the last comma or statement.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nnlint.lower.failure import DEEP, Unparsable

_STRING = (
    r'[A-Za-z]{0,2}(?:"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|' + r"'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''|"
    r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|' + r"'[^'\\\n]*(?:\\.[^'\\\n]*)*')"
)
_TOKEN = re.compile(_STRING + r"|\#[^\r\n]*|\\\r?\n|[()\[\]{},;\r\n+*/%@&|^.~-]|[^\W\d]\w*", re.DOTALL)
_OPERATOR = re.compile(r"[(\[{+*/%@&|^.~-]|\b(?:and|or|not|if|for|lambda|await)\b")

_OPEN, _CLOSE, _COMMA, _END, _CHAIN, _START = range(6)
_KINDS = {
    **dict.fromkeys("([{", _OPEN),
    **dict.fromkeys(")]}", _CLOSE),
    ",": _COMMA,
    **dict.fromkeys(";\r\n", _END),
    **dict.fromkeys([*"+*/%@&|^.~-", "and", "or", "not", "if", "for", "lambda", "await"], _CHAIN),
    # At the start of a line these begin a statement, whatever brackets seemed open: a quote inside an f-string may have misled us.
    **dict.fromkeys("def class import return raise try while assert del global pass except finally".split(), _START),
}

_BRACKETS = 200  # as CPython
_PATTERN = 8  # libcst's time doubles or worse with each bracket of a `case`
_CHAINED = 1_000
_ELIFS = 5_000
_SAFE = 80


class Nesting(NamedTuple):
    """`guarded`: expressions have to be cut when lowered; `frames`: room for Python's own recursion."""

    guarded: bool
    frames: int


def measure(text: str) -> Nesting:
    """Return how deep the text is. Raises `Unparsable` where it is too deep for libcst, and for NUL bytes."""
    if "\0" in text:
        raise Unparsable(*_place(text, text.index("\0")), "source code cannot contain null bytes")
    deepest = 0
    level = 0  # of nesting, here
    floor = 0  # what a comma brings the level back to
    outer: list[tuple[int, int]] = []  # level and floor of the brackets that are open
    start = -1
    kinds = _KINDS.get
    tokens: list[str] = _TOKEN.findall(text)
    for index, token in enumerate(tokens):
        kind = kinds(token)
        if kind is None:
            if token[-1] in "\"'" and token[0] in "fFtTrR":
                deepest = max(deepest, level + _fields(token))
        elif kind == _CHAIN:
            level += 1
            if level > deepest:
                deepest = level
        elif kind == _COMMA:
            level = floor
        elif kind == _END:
            if not outer:
                level = floor = 0
                start = index
        elif kind == _OPEN:
            outer.append((level, floor))
            level += 1
            floor = level
            if level > deepest:
                deepest = level
            depth = len(outer)
            if depth > _PATTERN and (depth > _BRACKETS or tokens[start + 1] == "case"):
                raise _too_deep(text, index)
        elif kind == _CLOSE:
            if outer:
                level, floor = outer.pop()
                level += 1
                if level > deepest:
                    deepest = level
        elif tokens[index - 1] in "\r\n":
            outer.clear()
            level = floor = 0
            start = index - 1
        if deepest > _CHAINED:
            raise _too_deep(text, index)
    elifs = text.count("elif")
    if elifs > _ELIFS:
        raise Unparsable(1, 1, DEEP)
    return Nesting(deepest > _SAFE, 60_000 if deepest > _SAFE or elifs > _SAFE else 0)


def shorten(text: str) -> str:
    """The text with all but the first thousand of adjacent string literals blanked out: libcst takes no more than 3000."""
    pieces: list[str] = []
    done = end = run = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if text[end : match.start()].strip():
            run = 0
        end = match.end()
        if token[-1] in "\"'" and token[0] != "#":
            run += 1
            if run > 1_000:
                pieces += [text[done : match.start()], re.sub(r"[^\r\n]", " ", token)]
                done = end
        elif token[0] not in "#\\\r\n":
            run = 0
    return "".join(pieces) + text[done:]


def _fields(token: str) -> int:
    """An upper bound for the nesting inside an f-string."""
    found = len(_OPERATOR.findall(token))
    if found < _SAFE:
        return found
    parts = token.replace("{{", "").replace("}}", "").split("{")[1:]  # longer texts, such as HTML, count by their fields only
    return sum(1 + len(_OPERATOR.findall(part.split("}")[0])) for part in parts)


def _too_deep(text: str, index: int) -> Unparsable:
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == index:
            return Unparsable(*_place(text, match.start()), DEEP)
    raise IndexError(index)


def _place(text: str, offset: int) -> tuple[int, int]:
    before = re.split(r"\r\n|\r|\n", text[:offset])
    return len(before), len(before[-1]) + 1
