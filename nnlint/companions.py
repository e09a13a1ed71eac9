"""What files that are named one by one bring with them: the files of their project that they import, directly or not, and of the folders
that they put on `sys.path`.

`nnlint train.py` is asked about a program, not about a text: the network that is trained there may stand in another file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnlint.files import Choice, forced_out
from nnlint.findings import Failure
from nnlint.imports import added, imported
from nnlint.program import Program
from nnlint.source import Source, Unreadable, read


class _Disk(Program):
    """Imports as the disk answers them: a project is not walked for what one file imports."""

    def __init__(self, src: Sequence[str]) -> None:
        super().__init__([], (), src)
        self._there: dict[tuple[str, bool], bool] = {}

    def is_file(self, path: str) -> bool:
        return self._asked(path, folder=False)

    def is_folder(self, path: str) -> bool:
        return self._asked(path, folder=True)

    def _asked(self, path: str, *, folder: bool) -> bool:
        if (path, folder) not in self._there:
            self._there[path, folder] = os.path.isdir(path) if folder else os.path.isfile(path)
        return self._there[path, folder]


def companions(
    named: Iterable[Source], src: Sequence[str], choice: Choice, at_hand: Iterable[Source] = ()
) -> tuple[list[Source], list[Failure]]:
    """The files that the named ones import, except those that the configuration excludes and those at hand anyway."""
    program = _Disk(src)
    found: list[Source] = []
    failures: list[Failure] = []
    new = list(named)
    asked: dict[str, Source] = {}
    later = False
    seen = {os.path.realpath(source.key) for source in (*new, *at_hand)}
    while new or later:
        if not new:
            # Folders that came to light meanwhile may hold what earlier files meant.
            new, later = list(asked.values()), False
        source = new.pop()
        folders = [folder for folder in added(source.key, source.text) if program.is_folder(folder)]
        if folders and source.key not in program.paths:
            program.look_in(source.key, folders)
            later = bool(asked)
        asked[source.key] = source
        for key in sorted(imported(program, source.key, source.imports)):
            real = os.path.realpath(key)
            if real in seen:
                continue
            seen.add(real)
            if forced_out(key, choice):
                continue
            try:
                other = read(Path(key), key)
            except Unreadable as unreadable:
                failures.append(unreadable.failure)
                continue
            if other is not None:
                found.append(other)
                new.append(other)
    return found, failures
