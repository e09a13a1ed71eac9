"""The cells of a notebook changed in its own JSON text: nothing but the sources of these cells becomes another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from json.decoder import JSONDecoder
from typing import NamedTuple, Union

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = JSONDecoder(strict=False)


class Malformed(Exception):
    """A JSON text that is no notebook after all."""


class _Stretch(NamedTuple):
    start: int
    end: int


def replaced(raw: str, texts: Mapping[int, str]) -> str:
    """The JSON text of a notebook with other sources in the cells of these numbers, which count all cells from 1."""
    parts: list[str] = []
    done = 0
    for number, cell in enumerate(_cells(raw), 1):
        if number in texts:
            source = _member(raw, cell, "source") or _member(raw, cell, "input")
            if source is None:
                raise Malformed
            parts += [raw[done : source.start], _written(raw, source, texts[number])]
            done = source.end
    return "".join([*parts, raw[done:]])


def texts(raw: str) -> dict[int, str]:
    """The sources of the code cells."""
    found: dict[int, str] = {}
    for number, cell in enumerate(_cells(raw), 1):
        kind = _member(raw, cell, "cell_type")
        source = _member(raw, cell, "source") or _member(raw, cell, "input")
        if kind is not None and source is not None and json.loads(raw[kind.start : kind.end]) == "code":
            value = _DECODER.decode(raw[source.start : source.end])
            found[number] = "".join(value) if isinstance(value, list) else value
    return found


def _cells(raw: str) -> Iterator[_Stretch]:
    whole = _Stretch(_skip(raw, 0), len(raw))
    cells = _member(raw, whole, "cells")
    if cells is not None:
        yield from _items(raw, cells)
        return
    sheets = _member(raw, whole, "worksheets")
    for sheet in _items(raw, sheets) if sheets is not None else ():
        inner = _member(raw, sheet, "cells")
        if inner is not None:
            yield from _items(raw, inner)


def _skip(raw: str, at: int) -> int:
    space = _SPACE.match(raw, at)
    assert space is not None
    return space.end()


def _value(raw: str, at: int) -> _Stretch:
    """The value that begins here."""
    try:
        return _Stretch(at, _DECODER.raw_decode(raw, at)[1])
    except (json.JSONDecodeError, RecursionError):
        raise Malformed from None


def _items(raw: str, whole: _Stretch) -> Iterator[_Stretch]:
    """The items of a list."""
    at = _skip(raw, whole.start + 1)
    while raw[at] != "]":
        item = _value(raw, at)
        yield item
        at = _skip(raw, item.end)
        if raw[at] == ",":
            at = _skip(raw, at + 1)


def _member(raw: str, whole: _Stretch, name: str) -> Union[_Stretch, None]:
    """The value of a key of an object; the last one, as for every reader of JSON."""
    if raw[whole.start] != "{":
        raise Malformed
    found: Union[_Stretch, None] = None
    at = _skip(raw, whole.start + 1)
    while raw[at] != "}":
        key = _value(raw, at)
        at = _skip(raw, _skip(raw, key.end) + 1)
        value = _value(raw, at)
        if json.loads(raw[key.start : key.end]) == name:
            found = value
        at = _skip(raw, value.end)
        if raw[at] == ",":
            at = _skip(raw, at + 1)
    return found


def _written(raw: str, source: _Stretch, text: str) -> str:
    """A source in the style of the one that stood there: one string or a list of lines, the same space between, the same escapes."""
    old = raw[source.start : source.end]
    ascii_only = old.isascii()
    if old[0] != "[":
        return json.dumps(text, ensure_ascii=ascii_only)
    literals = [raw[item.start : item.end] for item in _items(raw, source)]
    known = {_DECODER.decode(literal): literal for literal in literals}
    lines = [known.get(line) or json.dumps(line, ensure_ascii=ascii_only) for line in text.splitlines(keepends=True)]
    opening = old[1 : _skip(old, 1)]
    closing = old[len(old[:-1].rstrip()) : -1]
    between = "," + opening if opening else ", "
    if len(literals) > 1:
        first, second = list(_items(raw, source))[:2]
        between = raw[first.end : second.start]
    return "[" + opening + between.join(lines) + closing + "]"
