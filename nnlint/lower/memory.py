"""What was read of texts, kept for those who look at them again and again."""

from __future__ import annotations

from collections.abc import Callable, Collection

from nnlint.lower import Unparsable, lower, spans
from nnlint.records import Module, Span


class Memory:
    """Does as `lower` and `spans`, each text once."""

    def __init__(self) -> None:
        self._records: dict[str, Module | Unparsable] = {}
        self._spans: dict[str, dict[int, Span]] = {}

    def lower(self, text: str) -> Module:
        known = self._records.get(text)
        if known is None:
            try:
                known = lower(text)
            except Unparsable as error:
                known = error
            self._records[text] = known
        if isinstance(known, Unparsable):
            raise known.with_traceback(None)
        return known

    def spans(self, text: str, wanted: Collection[int]) -> dict[int, Span]:
        known = self._spans.setdefault(text, {})
        new = [at for at in wanted if at not in known]
        if new:
            known.update(spans(text, new))
        return {at: known[at] for at in wanted if at in known}

    def forget(self, still: Callable[[str], bool]) -> None:
        """Drop all texts but those that are `still` of use."""
        self._records = {text: module for text, module in self._records.items() if still(text)}
        self._spans = {text: found for text, found in self._spans.items() if still(text)}
