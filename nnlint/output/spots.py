"""Where findings stand for readers that know a checkout and lines of files: code hosts, CI."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

from nnlint.findings import Finding, Place
from nnlint.lint import Result
from nnlint.raw import Raw
from nnlint.records import Span
from nnlint.source import Unreadable, decode

# Where CI says that the checkout is.
_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


class Spot(NamedTuple):
    """`path` is relative to the checkout; `span` speaks of the file, also of a notebook's, and is None where that is not known."""

    path: str
    span: Span | None


class Spots:
    """From places to spots; the files of notebooks are read once more, for their lines."""

    def __init__(self, result: Result) -> None:
        self._sources = result.sources
        self._raws: dict[str, Raw | None] = {}
        self._root = _checkout()

    def __call__(self, place: Place) -> Spot:
        return Spot(self.path(place.filename), self._span(place))

    def path(self, filename: str) -> str:
        """A file's path as the code host knows it: relative to the checkout, or to the current folder where there is none."""
        if self._root is None or filename == "-":
            return filename
        try:
            return os.path.relpath(os.path.realpath(filename), self._root).replace(os.sep, "/")
        except ValueError:  # another drive
            return filename

    def fingerprints(self, findings: list[Finding]) -> list[str]:
        """A name for each finding that stays when lines move: its rule, file and code, and a number where all these are the same."""
        seen: Counter[tuple[str, str, str]] = Counter()
        prints = []
        for finding in findings:
            parts = (finding.code, self.path(finding.place.filename), self._code(finding.place))
            seen[parts] += 1
            whole = "\0".join((*parts, str(seen[parts])))
            prints.append(hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:32])
        return prints

    def _code(self, place: Place) -> str:
        """The lines of a place, without what a formatter changes."""
        source = self._sources.get(place.filename)
        if source is None:
            return ""
        row = source.row(place)
        return " ".join("\n".join(source.lines[row - 1 : row + place.end_row - place.row]).split())

    def _span(self, place: Place) -> Span | None:
        if place.cell is None:
            if place.filename in self._sources and self._sources[place.filename].cells is not None:
                return None  # the notebook as a whole
            return Span(place.row, place.column, place.end_row, place.end_column)
        raw = self._raw(place.filename)
        return None if raw is None else raw.span(place)

    def _raw(self, filename: str) -> Raw | None:
        if filename not in self._raws:
            source = self._sources.get(filename)
            self._raws[filename] = None
            if source is not None and source.path is not None:
                with suppress(OSError, Unreadable, ValueError, IndexError):  # another file by now
                    self._raws[filename] = Raw(decode(source.path.read_bytes(), filename, declared=False))
        return self._raws[filename]


def _checkout() -> str | None:
    """The checkout that the current folder lies in, as CI tells it."""
    here = os.path.realpath(os.curdir)
    for name in _CHECKOUTS:
        root = os.environ.get(name, "")
        root = root and os.path.realpath(root)
        if root and (here + os.sep).startswith(root.rstrip(os.sep) + os.sep):
            return root
    return None
