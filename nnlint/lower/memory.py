"""What was read of texts, kept for those who look at them again and again: in this process, and in a cache for the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from functools import cache
from typing import TYPE_CHECKING, Any, Union

import msgspec

from nnlint.lower import Unparsable, lower, spans
from nnlint.records import Module, Span

if TYPE_CHECKING:
    from nnlint.cache import Cache


class Refused(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """What `Unparsable` carries."""

    row: int
    column: int
    message: str


class Lowered(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    module: Module


_Outcome = Union[Lowered, Refused]


@cache
def _decoder(type: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(type)


def pack(text: str) -> bytes | None:
    """What `lower` makes of a text, as bytes: equal records are equal bytes. None where there are none (half of a surrogate pair in it)."""
    return _encoded(_lowered(text))


def unpack(data: bytes) -> Module:
    """The records that `pack` has made of a text that could be lowered."""
    found = _decoder(_Outcome).decode(data)
    assert isinstance(found, Lowered)
    return found.module


class Memory:
    """Does as `lower` and `spans`, each text once. Texts that are `passing`, as one is that somebody types, are not put into the cache."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache
        self.passing: Container[str] = ()
        self._packed: dict[str, bytes] = {}
        self._records: dict[str, _Outcome] = {}
        self._spans: dict[str, dict[int, Span]] = {}

    def lower(self, text: str) -> Module:
        known = self._records.get(text)
        if known is None:
            known = self._records[text] = self._cached(text)
        if isinstance(known, Refused):
            raise Unparsable(known.row, known.column, known.message)
        return known.module

    def complaint(self, text: str) -> tuple[int, int, str] | None:
        """Where and why a text cannot be lowered; None where it can."""
        try:
            self.lower(text)
        except Unparsable as error:
            return error.row, error.column, error.message
        return None

    def knows(self, text: str) -> bool:
        """Whether a text need not be parsed any more."""
        if text in self._records or text in self._packed:
            return True
        data = self._found("records", text)
        if data is not None:
            self._packed[text] = data
        return data is not None

    def learn(self, text: str, data: bytes) -> None:
        """Another process has packed a text."""
        self._packed[text] = data
        self._keep("records", text, data)

    def packed(self, text: str) -> bytes:
        """The records of a text as bytes: equal records are equal bytes."""
        data = self._packed.get(text)
        if data is None:
            self.lower(text)
            data = self._packed.get(text) or _encoded(self._records[text]) or repr(text).encode()
            self._packed[text] = data
        return data

    def spans(self, text: str, wanted: Collection[int]) -> dict[int, Span]:
        known = self._spans.get(text)
        if known is None:
            known = self._spans[text] = self._decoded(self._found("spans", text), dict[int, Span]) or {}
        new = [at for at in wanted if at not in known]
        if new:
            known.update(spans(text, new))
            self._keep("spans", text, msgspec.msgpack.encode(known))
        return {at: known[at] for at in wanted if at in known}

    def forget(self, still: Callable[[str], bool]) -> None:
        """Drop all texts but those that are `still` of use."""
        self._packed = {text: data for text, data in self._packed.items() if still(text)}
        self._records = {text: module for text, module in self._records.items() if still(text)}
        self._spans = {text: found for text, found in self._spans.items() if still(text)}

    def _cached(self, text: str) -> _Outcome:
        known: _Outcome | None = None
        if self.knows(text):
            known = self._decoded(self._packed[text], _Outcome)
        if known is None:
            known = _lowered(text)
            if self.cache is not None and (data := _encoded(known)) is not None:
                self.learn(text, data)
        return known

    def _decoded(self, data: bytes | None, type: Any) -> Any:
        try:
            return None if data is None else _decoder(type).decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return None

    def _found(self, kind: str, text: str) -> bytes | None:
        return None if self.cache is None else self.cache.get(_name(kind, text))

    def _keep(self, kind: str, text: str, data: bytes) -> None:
        if self.cache is not None and text not in self.passing:
            self.cache.put(_name(kind, text), data)


def _lowered(text: str) -> _Outcome:
    try:
        return Lowered(lower(text))
    except Unparsable as error:
        return Refused(error.row, error.column, error.message)


def _encoded(outcome: _Outcome) -> bytes | None:
    try:
        return msgspec.msgpack.encode(outcome, order="deterministic")
    except (ValueError, OverflowError, RecursionError):  # half of a surrogate pair in a text, a nest of statements
        return None


def _name(kind: str, text: str) -> str:
    from nnlint.cache import digest

    return digest(kind, text)
