"""Room for deep recursion: real files hold expressions that are nested by the thousand."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Only addresses are reserved; memory is taken as the recursion goes. Some systems allow less.
_SIZES = (512 << 20, 128 << 20, 32 << 20)
_DEPTH = 100_000


def deep(work: Callable[[], T]) -> T:
    """Do the work in a thread with a large stack; what it raises is raised here, and an interrupt ends the wait at once."""
    outcome: list[T] = []
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised again in the waiting thread
            trouble.append(error)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEPTH))
    thread = _started(run)
    while thread.is_alive():
        thread.join(0.5)  # without a time-out the wait cannot be interrupted everywhere
    sys.setrecursionlimit(limit)
    if trouble:
        raise trouble[0]
    return outcome[0]


def _started(run: Callable[[], None]) -> threading.Thread:
    before = threading.stack_size()
    try:
        for size in _SIZES:
            try:
                threading.stack_size(size)
                thread = threading.Thread(target=run, name="nnlint", daemon=True)
                thread.start()
            except (RuntimeError, ValueError):
                continue
            return thread
    finally:
        threading.stack_size(before)
    thread = threading.Thread(target=run, name="nnlint", daemon=True)
    thread.start()
    return thread
