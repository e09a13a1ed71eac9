"""What the user has asked for: the command line over the nearest configuration file, typed, and loud about what it does not know."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from nnlint.files import EXCLUDED, Choice, Patterns, key, patterns_at
from nnlint.selection import Layer
from nnlint.trouble import Trouble, near

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Threshold = Literal["error", "warning", "note", "never"]


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The keys of `[tool.nnlint]` and of `nnlint.toml`; the command line is read into the same shape."""

    extend: str | None = None
    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = {}
    exclude: tuple[str, ...] | None = None
    extend_exclude: tuple[str, ...] = ()
    fail_on: Threshold | None = None
    suspected: bool | None = None
    src: tuple[str, ...] | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All tables in force, merged. `files` are the configuration files that were read, the strongest last."""

    layers: tuple[Layer, ...] = ()
    per_file_ignores: tuple[tuple[Patterns, Layer], ...] = ()
    choice: Choice = Choice()
    fail_on: Threshold = "warning"
    suspected: bool = False
    src: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def settle(paths: Sequence[str], flags: Table, *, force_exclude: bool = False, gitignore: bool = True) -> Settings:
    """The settings for a run over some paths: those of the configuration file nearest to all of them, under the command line."""
    tables = list(_chain(nearest(_common(paths))))
    origins = [path for path, _ in tables]
    tables.append((Path.cwd() / "the command line", flags))
    excludes = [patterns_at(origins[-1].parent if origins else Path.cwd(), EXCLUDED)]
    ignores: list[tuple[Patterns, Layer]] = []
    layers = []
    fail_on: Threshold = "warning"
    suspected = False
    src: tuple[str, ...] = ()
    for path, table in tables:
        origin = path.name if table is flags else key(path)
        layers.append(Layer(table.select, table.extend_select, table.ignore, origin))
        root = path.parent
        if table.exclude is not None:
            excludes = [patterns_at(root, table.exclude)]
        excludes.append(patterns_at(root, table.extend_exclude))
        ignores += [(patterns_at(root, [glob]), Layer(ignore=words, origin=origin)) for glob, words in table.per_file_ignores.items()]
        fail_on = table.fail_on or fail_on
        suspected = suspected if table.suspected is None else table.suspected
        src = src if table.src is None else tuple(key(root / folder) for folder in table.src)
    return Settings(
        layers=tuple(layers),
        per_file_ignores=tuple(ignores),
        choice=Choice(tuple(excludes), force_exclude, gitignore),
        fail_on=fail_on,
        suspected=suspected,
        src=src,
        files=tuple(origins),
    )


def nearest(folder: Path) -> Path | None:
    """The configuration file that holds in a folder: its own or that of the nearest folder above that has one."""
    for parent in (folder, *folder.parents):
        for name in ("nnlint.toml", "pyproject.toml"):
            path = parent / name
            if path.is_file() and (name == "nnlint.toml" or _has_table(path)):
                return path
    return None


def _has_table(path: Path) -> bool:
    return "nnlint" in _tool(_parse(path))


def _chain(path: Path | None) -> Iterator[tuple[Path, Table]]:
    """The tables of a file and of those that it extends, the weakest first."""
    chain: list[tuple[Path, Table]] = []
    while path is not None:
        if any(path == other for other, _ in chain):
            raise Trouble(f"{key(path)}: `extend` leads back to the same file")
        table = _read(path)
        chain.append((path, table))
        path = None if table.extend is None else Path(os.path.abspath(path.parent / table.extend))
    return reversed(chain)


def _read(path: Path) -> Table:
    document = _parse(path)
    raw = _tool(document).get("nnlint", {}) if path.name == "pyproject.toml" else document
    if not isinstance(raw, dict):
        raise Trouble(f"{key(path)}: `tool.nnlint` is no table")
    known = [field.encode_name for field in msgspec.structs.fields(Table)]
    for name in raw:
        if name not in known:
            raise Trouble(f"{key(path)}: unknown key `{name}`{near(name.replace('_', '-'), known)}")
    try:
        return msgspec.convert(raw, Table)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        name = re.sub(r"^`\$\.?|`$", "", where)
        raise Trouble(f"{key(path)}: `{name}`: {message[:1].lower()}{message[1:]}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Trouble(f"{key(path)}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise Trouble(f"{key(path)}: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _tool(document: dict[str, Any]) -> dict[str, Any]:
    tool = document.get("tool", {})
    return tool if isinstance(tool, dict) else {}


def _common(paths: Sequence[str]) -> Path:
    """The innermost folder that holds all paths."""
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in map(os.path.abspath, paths or ["."])]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # on several drives
        return Path.cwd()
