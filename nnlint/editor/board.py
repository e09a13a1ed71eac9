"""What has been found, by the text that was asked about, and what of it each text of the editor shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lsprotocol import types

from nnlint.editor.diagnostic import Sheet, Shown
from nnlint.editor.documents import Buffer


@dataclass(frozen=True)
class Answered:
    """All that was said of one open text as it was: what is in it, and what is elsewhere but comes through it."""

    buffer: Buffer
    sheet: Sheet
    own: tuple[Shown, ...]
    elsewhere: tuple[Shown, ...]
    final: bool


class Board:
    """An open text shows its own findings. A file that is not open shows those that come through one that is."""

    def __init__(self) -> None:
        self.answers: dict[str, Answered] = {}
        self._told: dict[str, list[types.Diagnostic]] = {}

    def renew(self, buffers: Mapping[str, Buffer]) -> list[tuple[str, list[types.Diagnostic]]]:
        """What has to be told to the editor, now that these texts are open: each address whose findings are others than before."""
        self.answers = {path: answer for path, answer in self.answers.items() if path in buffers}
        told = {uri: [shown.diagnostic for shown in here] for uri, here in self._shown(buffers).items()}
        before, self._told = self._told, told
        return [(uri, told.get(uri, [])) for uri in sorted({*told, *before}) if told.get(uri, []) != before.get(uri, [])]

    def shown(self, uri: str) -> list[tuple[Shown, Sheet]]:
        """What a text of the editor shows."""
        return [(shown, answer.sheet) for answer in self.answers.values() for shown in answer.own if shown.uri == uri]

    def _shown(self, buffers: Mapping[str, Buffer]) -> dict[str, list[Shown]]:
        found: dict[str, list[Shown]] = {}
        for answer in self.answers.values():
            for shown in answer.own:
                found.setdefault(shown.uri, []).append(shown)
        opened = {uri for buffer in buffers.values() for uri in buffer.uris}
        elsewhere = {
            (shown.uri, shown.finding.place, shown.finding.code): shown for answer in self.answers.values() for shown in answer.elsewhere
        }
        for (uri, _, _), shown in sorted(elsewhere.items(), key=lambda item: item[0]):
            if uri not in opened:
                found.setdefault(uri, []).append(shown)
        return found
