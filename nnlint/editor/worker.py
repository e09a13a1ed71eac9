"""Linting beside the conversation: one run at a time, a little after the last change, and none to its end that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_SHORTEST, _LONGEST = 0.2, 1.0
"""Seconds of quiet before a run: a tenth of what the last one took, within these bounds."""


class Stale(Exception):
    """Something newer has been asked for."""


class Worker(Generic[T]):
    """Does `work` on what was asked for last; what raises anything but `Stale` must be caught by it."""

    def __init__(self, work: Callable[[T, Callable[[], None]], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._wanted: list[T] = []
        self._due = 0.0
        self._asked = 0
        self._cost = 0.0
        self._over = False
        self._thread = threading.Thread(target=self._run, name="nnlint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, wanted: T, *, soon: bool = False) -> None:
        """Ask for a run, in place of any that was asked for before; `soon` for one that is not one of many."""
        with self._changed:
            self._wanted = [wanted]
            self._asked += 1
            self._due = time.monotonic() + (0.0 if soon else min(max(_SHORTEST, self._cost / 10), _LONGEST))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._over = True
            self._asked += 1
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._over and (not self._wanted or time.monotonic() < self._due):
                    self._changed.wait(max(self._due - time.monotonic(), 0.001) if self._wanted else None)
                if self._over:
                    return
                wanted, asked = self._wanted.pop(), self._asked
            began = time.monotonic()

            def tick(asked: int = asked) -> None:
                if self._asked != asked:
                    raise Stale

            try:
                self._work(wanted, tick)
            except Stale:
                continue
            self._cost = time.monotonic() - began
