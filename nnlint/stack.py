"""Room for deep recursion: real files hold expressions that are nested by the thousand."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Only addresses are reserved; memory is taken as the recursion goes. Some systems allow less.
_SIZES = (512 << 20, 128 << 20, 64 << 20, 32 << 20)
_ENOUGH = 64 << 20  # for libcst's parser, whose costliest construct, a lambda as a default of a lambda, takes 15 KB a level
_DEPTH = 100_000

_here = threading.local()


def deep(work: Callable[[], T], frames: int = _DEPTH) -> T:
    """Do the work on a large stack, with room for `frames` Python frames; what it raises is raised here, and an interrupt ends the wait
    at once.

    A thread that has such a stack already does the work itself: a new thread for each file costs a fifth of the parse.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, frames))
    try:
        return work() if getattr(_here, "stack", 0) >= _ENOUGH else _elsewhere(work)
    finally:
        sys.setrecursionlimit(limit)


def _elsewhere(work: Callable[[], T]) -> T:
    outcome: list[T] = []
    trouble: list[BaseException] = []

    def run(size: int) -> None:
        _here.stack = size
        try:
            outcome.append(_roomy(work))
        except BaseException as error:  # noqa: BLE001  it is raised again in the waiting thread
            trouble.append(error)

    thread = _started(run)
    while thread.is_alive():
        thread.join(0.5)  # without a time-out the wait cannot be interrupted everywhere
    if trouble:
        raise trouble[0]
    return outcome[0]


def _roomy(work: Callable[[], T]) -> T:
    return work()


if sys.version_info >= (3, 11):
    # Python keeps its frames in pieces of 16 KB and maps and unmaps one whenever a call crosses an edge, which deep recursion does all the
    # time. A frame that asks for 8 MB gets a piece of 16, whose rest serves the calls below it. Untouched, it is but addresses.
    _roomy.__code__ = _roomy.__code__.replace(co_stacksize=1 << 20)


def _started(run: Callable[[int], None]) -> threading.Thread:
    before = threading.stack_size()
    try:
        for size in _SIZES:
            try:
                threading.stack_size(size)
                thread = threading.Thread(target=run, args=(size,), name="nnlint", daemon=True)
                thread.start()
            except (RuntimeError, ValueError):
                continue
            return thread
    finally:
        threading.stack_size(before)
    thread = threading.Thread(target=run, args=(0,), name="nnlint", daemon=True)
    thread.start()
    return thread
