"""The script that is to be run, the files of its project that it imports, and how a spot of the run is found in them again."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Union

import msgspec

from nnlint.confirm.job import Job
from nnlint.confirm.records import Spot
from nnlint.files import key
from nnlint.findings import Place
from nnlint.records import Span
from nnlint.source import Source, Unreadable, read
from nnlint.trouble import Trouble

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")


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


def files(script: Script, src: Iterable[str] = ()) -> list[str]:
    """The script and the files of the project that it imports, directly or not, where Python would find them."""
    here = Path.cwd()
    roots = [here] if script.module else [script.path.parent]
    if any((here / mark).exists() for mark in _MARKS):
        roots.append(here)
    roots += [here / folder for folder in src]
    found, new = {script.path}, [script.path]
    while new:
        path = new.pop()
        tree = _tree(path)
        roots += [folder for folder in _added(tree, path.parent) if folder not in roots]
        for wanted in _imports(tree, path, roots):
            if wanted not in found:
                found.add(wanted)
                new.append(wanted)
    return sorted(key(path) for path in found)


def _tree(path: Path) -> ast.Module:
    try:
        source = read(path, key(path))
        return ast.parse(source.text) if source is not None else ast.Module([], [])
    except (Unreadable, SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])  # the linter says what is wrong with it


def _added(tree: ast.Module, folder: Path) -> Iterator[Path]:
    """The folders that a file puts on `sys.path`: those that are there among the words of the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.path.insert", "sys.path.append", "sys.path.extend"):
            words = [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value]
            found = [base / word for word in words for base in (folder, folder.parent, Path.cwd())]
            # "the folder above this one" is often spelt without any word
            yield from (path.resolve() for path in [*found, folder.parent] if path.is_dir())


def _imports(tree: ast.Module, path: Path, roots: Iterable[Path]) -> Iterator[Path]:
    """The files that a file imports, those of packages on the way included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name.split("."), roots)
        elif isinstance(node, ast.ImportFrom):
            places = [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else roots
            words = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _modules([*words, alias.name], places)


def _modules(words: Sequence[str], roots: Iterable[Path]) -> Iterator[Path]:
    """The files behind a dotted name, whose last words may be no module."""
    for root in roots:
        path = root
        for word in words:
            path = path / word
            yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())
            if not path.is_dir():
                break


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
