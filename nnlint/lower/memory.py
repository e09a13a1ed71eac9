"""What was read of texts, kept for those who look at them again and again: in this process, and in a cache for the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection
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


_OUTCOME = Union[Lowered, Refused]


@cache
def _decoder(type: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(type)


class Memory:
    """Does as `lower` and `spans`, each text once."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache
        self._records: dict[str, Module | Unparsable] = {}
        self._spans: dict[str, dict[int, Span]] = {}

    def lower(self, text: str) -> Module:
        known = self._records.get(text)
        if known is None:
            known = self._records[text] = self._cached(text)
        if isinstance(known, Unparsable):
            raise known.with_traceback(None)
        return known

    def complaint(self, text: str) -> tuple[int, int, str] | None:
        """Where and why a text cannot be lowered; None where it can."""
        try:
            self.lower(text)
        except Unparsable as error:
            return error.row, error.column, error.message
        return None

    def spans(self, text: str, wanted: Collection[int]) -> dict[int, Span]:
        known = self._spans.get(text)
        if known is None:
            known = self._spans[text] = self._found("spans", text, dict[int, Span]) or {}
        new = [at for at in wanted if at not in known]
        if new:
            known.update(spans(text, new))
            self._keep("spans", text, known)
        return {at: known[at] for at in wanted if at in known}

    def forget(self, still: Callable[[str], bool]) -> None:
        """Drop all texts but those that are `still` of use."""
        self._records = {text: module for text, module in self._records.items() if still(text)}
        self._spans = {text: found for text, found in self._spans.items() if still(text)}

    def _cached(self, text: str) -> Module | Unparsable:
        found = self._found("records", text, _OUTCOME)
        if found is not None:
            return _outcome(found)
        try:
            module = lower(text)
        except Unparsable as error:
            self._keep("records", text, Refused(error.row, error.column, error.message))
            return error
        self._keep("records", text, Lowered(module))
        return module

    def _found(self, kind: str, text: str, type: Any) -> Any:
        data = self.cache.get(_name(kind, text)) if self.cache is not None else None
        try:
            return None if data is None else _decoder(type).decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return None

    def _keep(self, kind: str, text: str, value: object) -> None:
        if self.cache is None:
            return
        try:
            data = msgspec.msgpack.encode(value)
        except (ValueError, OverflowError, RecursionError):  # half of a surrogate pair in a text, a nest of statements
            return
        self.cache.put(_name(kind, text), data)


def _outcome(found: Lowered | Refused) -> Module | Unparsable:
    return found.module if isinstance(found, Lowered) else Unparsable(found.row, found.column, found.message)


def _name(kind: str, text: str) -> str:
    from nnlint.cache import digest

    return digest(kind, text)
