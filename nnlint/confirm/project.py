"""The script that is to be run, and how a spot of the run is found again in the files of its project."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Union

import msgspec

from nnlint.confirm.job import Job
from nnlint.confirm.records import Spot
from nnlint.findings import Place
from nnlint.records import Span
from nnlint.source import Source
from nnlint.trouble import Trouble


class Script(msgspec.Struct, frozen=True):
    """What was named on the command line: a file, or a module and the file that it is."""

    path: Path
    module: str = ""


def find(word: str, *, as_module: bool) -> Script:
    """The script behind an argument; a module is looked for as Python would, from the current folder. Raises `Trouble`."""
    if not as_module:
        path = Path(word)
        if path.is_dir():
            path = path / "__main__.py"
        if not path.is_file():
            raise Trouble(f"`{word}` is no file that can be run")
        return Script(path.absolute())
    relative = Path(*word.split("."))
    for path in (relative.with_suffix(".py"), relative / "__main__.py"):
        if path.is_file():
            return Script(path.absolute(), word)
    raise Trouble(f"there is no module `{word}` below the current folder")


class Map:
    """From spots of the run to places in the user's files."""

    def __init__(self, sources: Iterable[Source], job: Job) -> None:
        self._sources = {os.path.abspath(source.key): source for source in sources}
        self._renamed = dict(job.renamed)

    def __call__(self, spot: Spot) -> Union[Place, None]:
        source = self._sources.get(self._renamed.get(spot.path, spot.path))
        if source is None:
            return None
        return source.place(
            Span(spot.row, _column(source, spot.row, spot.column, 0), spot.end_row, _column(source, spot.end_row, spot.end_column, -1))
        )


def _column(source: Source, row: int, column: int, edge: int) -> int:
    """Characters from 1, for bytes from 0; the edge of the line where Python does not tell the column."""
    lines = source.text.split("\n")
    line = lines[row - 1].encode() if row <= len(lines) else b""
    if column < 0:
        column = len(line) if edge else len(line) - len(line.lstrip())
    return len(line[:column].decode(errors="replace")) + 1
