"""What string literals stand for."""

from __future__ import annotations

import re
import unicodedata

_PREFIX = re.compile(r"[A-Za-z]*")
_ESCAPE = re.compile(
    r"\\(?:(\n)|([\\'\"abfnrtv])|([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]+)\})",
)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def prefix(literal: str) -> str:
    """What stands before the quotes of a string literal, in lower case."""
    return "" if literal[0] in "\"'" else _PREFIX.match(literal)[0].lower()  # type: ignore[index]


def text(literal: str) -> str | None:
    """What a plain string literal stands for; None for bytes and for texts that UTF-8 cannot hold."""
    signs = prefix(literal)
    if "b" in signs:
        return None
    start = len(signs)
    quotes = 3 if literal[start : start + 3] in ('"""', "'''") and len(literal) >= start + 6 else 1
    value = literal[start + quotes : -quotes]
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" not in value or "r" in signs:
        return value
    try:
        value = _ESCAPE.sub(_unescape, value)
        value.encode()
    except (KeyError, ValueError):
        return None
    return value


def _unescape(match: re.Match[str]) -> str:
    newline, control, octal, *codes, name = match.groups()
    if newline:
        return ""
    if control:
        return _CONTROL.get(control, control)
    if name:
        return unicodedata.lookup(name)
    return chr(int(octal, 8) if octal else int(next(filter(None, codes)), 16))
