"""A thread with a stack that is large enough for libcst's parser, whatever the platform gives to the main thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_STACK = 64 << 20  # the costliest construct, a lambda as a default of a lambda, takes 15 KB a level


def deep(work: Callable[[], T], frames: int) -> T:
    """Return what `work` returns, run on a large stack and with room for `frames` Python frames."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        limit = sys.getrecursionlimit()
        try:
            sys.setrecursionlimit(max(frames, limit))
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)
        finally:
            sys.setrecursionlimit(limit)

    size = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=run, name="nnlint-lower")
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
