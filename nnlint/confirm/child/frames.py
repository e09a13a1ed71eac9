"""Whose line is this: the user's own frames of a call."""

from __future__ import annotations

import os
import sys
import sysconfig
from itertools import islice
from types import CodeType, FrameType
from typing import Union

from nnlint.confirm.records import Chain, Spot

_MOST = 8  # frames of a chain
_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_FOREIGN = tuple(
    os.path.join(path, "") for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")} if path
)
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Frames:
    """Cached by code object and instruction, because every step asks for the same few places.

    By identity: Python computes the hash of a code object anew each time. The caches keep the code objects alive. Most frames belong to
    torch, and their module says so: `f_code` and `id` are watched by the audit hook (`watch.py`), and an eighth of a microsecond each.
    """

    def __init__(self) -> None:
        self._foreign: set[str] = set()  # files of modules that are not the user's
        self._mine: dict[int, tuple[str, CodeType]] = {}
        self._spots: dict[tuple[int, int], Spot] = {}

    def chain(self, most: int = _MOST) -> Chain:
        """The user's frames of the call at hand, innermost first."""
        frame: Union[FrameType, None] = sys._getframe(1)
        spots: list[Spot] = []
        foreign, known, where = self._foreign, self._mine, self._spots
        while frame is not None and len(spots) < most:
            file = frame.f_globals.get("__file__")
            if type(file) is not str or file not in foreign:
                code = frame.f_code
                key = id(code)
                path = known[key][0] if key in known else self.mine(code)
                if path:
                    spots.append(where.get((key, frame.f_lasti)) or self.spot(frame, path))
                elif type(file) is str and not _path(file):
                    foreign.add(file)
            frame = frame.f_back
        return tuple(spots)

    def mine(self, code: CodeType) -> str:
        """The absolute path of a user's file; nothing for torch, libraries, the standard library and nnlint."""
        known = self._mine.get(id(code))
        if known is None:
            known = self._mine[id(code)] = (_path(code.co_filename), code)
        return known[0]

    def spot(self, frame: FrameType, path: str) -> Spot:
        key = (id(frame.f_code), frame.f_lasti)
        known = self._spots.get(key)
        if known is None:
            self.mine(frame.f_code)
            known = self._spots[key] = _spot(frame, path)
        return known


def _path(name: str) -> str:
    if name.startswith("<"):
        return ""
    path = os.path.abspath(name)
    if path.startswith(_OWN) or any(part in path for part in _PACKAGES):
        return ""
    # A project may lie below a prefix of Python, never below its library.
    return "" if path.startswith(_FOREIGN) else path


def _spot(frame: FrameType, path: str) -> Spot:
    row = frame.f_lineno or 0
    if sys.version_info >= (3, 11):
        where = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
        first, last, column, end = where or (None,) * 4
        if first is not None and last is not None:
            return Spot(path, first, last, -1 if column is None else column, -1 if end is None else end)
    return Spot(path, row, row)
