"""How far a long run is, on one line of the terminal that goes away again."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

PATIENCE = 1.0
"""Seconds for which nothing is said."""
_EVERY = 0.1
_WIDTH = 30


class Progress:
    """Counts in silence; see `Bar`."""

    def begin(self, what: str, total: int) -> None:
        """Something new is done, in so many steps."""

    def step(self) -> None:
        """One more is done."""

    def close(self) -> None:
        """The run is over."""


class Bar(Progress):
    """Shows what is done, from the second on."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self._due = time.monotonic() + PATIENCE
        self._what = ""
        self._done = self._total = 0
        self._shown = False

    def begin(self, what: str, total: int) -> None:
        self._what, self._done, self._total = what, 0, total
        self._show()

    def step(self) -> None:
        self._done += 1
        self._show()

    def close(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _show(self) -> None:
        now = time.monotonic()
        if now < self._due or not self._total:
            return
        self._due = now + _EVERY
        filled = _WIDTH * self._done // self._total
        line = f"{self._what} [{'#' * filled}{'-' * (_WIDTH - filled)}] {self._done} of {self._total}"
        self._write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._shown = True

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # a terminal that has gone away
            self._due = float("inf")


def progress(quiet: bool) -> Progress:
    """A bar where a person looks on."""
    return Bar() if not quiet and sys.stderr.isatty() else Progress()
