"""Where a project constructs a class, and with which values, as far as they are written down as constants."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

_FILES = 400
_FOREIGN = frozenset(("site-packages", "dist-packages", "node_modules", "build", "__pycache__"))


class Call(NamedTuple):
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class CallSites:
    def __init__(self, folders: list[str]) -> None:
        self._calls: dict[str, list[Call]] = {}
        for path in _paths(folders):
            self._read(path)

    def of(self, name: str) -> list[Call]:
        """The calls of a class, by its last name, all of whose arguments are constants."""
        return self._calls.get(name, [])

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        known: dict[str, Any] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        known |= _constant(target.id, statement.value, known)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
                try:
                    args = tuple(_value(arg, known) for arg in node.args)
                    kwargs = {word.arg: _value(word.value, known) for word in node.keywords if word.arg}
                except ValueError:
                    continue
                if name and len(kwargs) == len(node.keywords):
                    self._calls.setdefault(name, []).append(Call(args, kwargs))


def _paths(folders: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for top in folders:
        for folder, inner, files in os.walk(top):
            inner[:] = sorted(name for name in inner if not _foreign(os.path.join(folder, name), name))
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name.endswith(".py") and path not in seen and len(seen) < _FILES:
                    seen.add(path)
                    yield path


def _foreign(path: str, name: str) -> bool:
    return name in _FOREIGN or name.startswith(".") or os.path.exists(os.path.join(path, "pyvenv.cfg"))


def _constant(name: str, value: ast.expr, known: dict[str, Any]) -> dict[str, Any]:
    try:
        return {name: _value(value, known)}
    except ValueError:
        return {}


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    """Raises `ValueError` for what is no constant."""
    if isinstance(node, ast.Name):
        if node.id not in known:
            raise ValueError(node.id)
        return known[node.id]
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(part, known) for part in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    try:
        return ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None
