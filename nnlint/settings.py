"""What the user has asked for: the command line over the nearest configuration file, typed, and loud about what it does not know."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nnlint.files import EXCLUDED, Choice, Patterns, key, patterns_at
from nnlint.output import Format
from nnlint.selection import Layer
from nnlint.trouble import Trouble, near

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST = 10**9
Threshold = Literal["error", "warning", "note", "never"]


class RuntimeTable(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The keys of `[tool.nnlint.runtime]`: how `--runtime` runs a script."""

    steps: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Optimizer steps to watch (default: 20).")] = None
    timeout: Annotated[Annotated[float, Meta(ge=1)] | None, Meta(description="Seconds after which the run is ended (default: 300).")] = None
    device: Annotated[str | None, Meta(description="What the script leaves to choice: cpu, cuda, cuda:N, mps or auto (default).")] = None
    args: Annotated[tuple[str, ...] | None, Meta(description="Arguments of the script, where none are given after `--`.")] = None


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The keys of `[tool.nnlint]` and of `nnlint.toml`; the command line is read into the same shape."""

    extend: Annotated[str | None, Meta(description="Another configuration file, over whose settings these stand.")] = None
    select: Annotated[
        tuple[str, ...] | None,
        Meta(description="The rules to run: codes, prefixes (NN1), names, or the groups default, pedantic, all (default: default)."),
    ] = None
    extend_select: Annotated[tuple[str, ...], Meta(description="Rules to run as well.")] = ()
    ignore: Annotated[tuple[str, ...], Meta(description="Rules not to run. A narrower word wins over a wider one.")] = ()
    per_file_ignores: Annotated[dict[str, tuple[str, ...]], Meta(description="Rules that are not told in files, by glob.")] = {}
    exclude: Annotated[
        tuple[str, ...] | None, Meta(description="Globs of files and folders to leave out, instead of the usual ones (.venv, build ...).")
    ] = None
    extend_exclude: Annotated[tuple[str, ...], Meta(description="Globs of files and folders to leave out as well.")] = ()
    fail_on: Annotated[Threshold | None, Meta(description="The lowest severity that makes the exit code 1 (default: warning).")] = None
    suspected: Annotated[bool | None, Meta(description="Show findings of which one step had to be assumed (default: false).")] = None
    src: Annotated[tuple[str, ...] | None, Meta(description="Folders in which imports are looked up, besides the usual ones.")] = None
    baseline: Annotated[str | None, Meta(description="The file of known findings, which are not shown.")] = None
    output_format: Annotated[Format | None, Meta(description="How findings are written (default: full).")] = None
    cache_dir: Annotated[str | None, Meta(description="Where the cache is (default: .nnlint_cache beside the configuration).")] = None
    runtime: Annotated[RuntimeTable, Meta(description="How `--runtime` runs a script.")] = RuntimeTable()


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """How a script is run."""

    steps: int = 20
    timeout: float = 300.0
    device: str = "auto"
    args: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All tables in force, merged. `files` are the configuration files that were read, the strongest last.

    `origins` says by key where a value comes from that is not the usual one.
    """

    layers: tuple[Layer, ...] = ()
    per_file_ignores: tuple[tuple[Patterns, Layer], ...] = ()
    choice: Choice = Choice()
    fail_on: Threshold = "warning"
    suspected: bool = False
    src: tuple[str, ...] = ()
    baseline: Path | None = None
    output_format: Format = "full"
    cache_dir: Path | None = None
    runtime: Runtime = Runtime()
    files: tuple[Path, ...] = ()
    origins: dict[str, str] = {}


def settle(paths: Sequence[str], flags: Table, *, force_exclude: bool = False, gitignore: bool = True) -> Settings:
    """The settings for a run over some paths: those of the configuration file nearest to all of them, under the command line."""
    chain = list(_chain(nearest(_common(paths))))
    tables = [*((path.parent, key(path), table) for path, table in chain), (Path.cwd(), "the command line", flags)]
    excludes = [patterns_at(chain[-1][0].parent if chain else Path.cwd(), EXCLUDED)]
    ignores: list[tuple[Patterns, Layer]] = []
    layers = []
    values: dict[str, Any] = {}
    running: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for root, origin, table in tables:
        layers.append(Layer(table.select, table.extend_select, table.ignore, origin))
        if table.exclude is not None:
            excludes = [_patterns(root, table.exclude, f"{origin}: `exclude`")]
        excludes.append(_patterns(root, table.extend_exclude, f"{origin}: `extend-exclude`"))
        ignores += [
            (_patterns(root, [glob], f"{origin}: `per-file-ignores`"), Layer(ignore=words, origin=origin))
            for glob, words in table.per_file_ignores.items()
        ]
        found = {
            "fail_on": table.fail_on,
            "suspected": table.suspected,
            "src": None if table.src is None else tuple(key(root / folder) for folder in table.src),
            "baseline": _path(root, table.baseline),
            "output_format": table.output_format,
            "cache_dir": _path(root, table.cache_dir),
        }
        run = msgspec.structs.asdict(table.runtime)
        values |= {name: value for name, value in found.items() if value is not None}
        running |= {name: value for name, value in run.items() if value is not None}
        origins |= {_kebab(name): origin for name, value in found.items() if value is not None}
        origins |= {f"runtime.{_kebab(name)}": origin for name, value in run.items() if value is not None}
    for name, most, what in (("timeout", sys.float_info.max, "seconds"), ("steps", _MOST, "steps")):
        if not running.get(name, 0) <= most:
            raise Trouble(f"{origins[f'runtime.{name}']}: `runtime.{name}`: expected a number of {what}, got {running[name]}")
    return Settings(
        layers=tuple(layers),
        per_file_ignores=tuple(ignores),
        choice=Choice(tuple(excludes), force_exclude, gitignore),
        runtime=Runtime(**running),
        files=tuple(path for path, _ in chain),
        origins=origins,
        **values,
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
    seen: set[str] = set()
    while path is not None:
        table = _read(path, extended=bool(chain))
        chain.append((path, table))
        if table.extend is None:
            break
        seen.add(os.path.realpath(path))
        path = _path(path.parent, table.extend)
        if path is not None and os.path.realpath(path) in seen:
            raise Trouble(f"{key(chain[-1][0])}: `extend` leads back to the same file")
    return reversed(chain)


def _read(path: Path, *, extended: bool = False) -> Table:
    document = _parse(path)
    raw = document
    if path.name == "pyproject.toml":
        raw = _tool(document).get("nnlint", {})
        if extended and "nnlint" not in _tool(document):
            raise Trouble(f"{key(path)}: has no table `tool.nnlint`, and another file extends it")
    if not isinstance(raw, dict):
        raise Trouble(f"{key(path)}: `tool.nnlint` is no table")
    _known(path, raw, Table)
    if isinstance(raw.get("runtime"), dict):
        _known(path, raw["runtime"], RuntimeTable, "runtime.")
    try:
        return msgspec.convert(raw, Table)
    except msgspec.ValidationError as error:
        message, _, where = str(error).replace(" | null`", "`").partition(" - at ")
        name = re.sub(r"^`\$\.?|`$", "", where)
        raise Trouble(f"{key(path)}: `{name}`: {message[:1].lower()}{message[1:]}") from None


def _known(path: Path, raw: Mapping[str, Any], table: type[msgspec.Struct], prefix: str = "") -> None:
    known = [field.encode_name for field in msgspec.structs.fields(table)]
    for name, value in raw.items():
        if name == "tool" and table is Table:
            raise Trouble(f"{key(path)}: unknown key `tool`; `[tool.nnlint]` is for pyproject.toml, here its keys stand without a heading")
        if _holds_nul(value):
            raise Trouble(f"{key(path)}: `{prefix}{name}`: no text here may hold a NUL")
        if name not in known:
            raise Trouble(f"{key(path)}: unknown key `{prefix}{name}`{near(name.replace('_', '-'), known)}")


def _holds_nul(value: Any) -> bool:
    """Whether there is a character that no path or rule can have, and at which the system's own calls fail."""
    if isinstance(value, dict):
        return any(_holds_nul(each) for pair in value.items() for each in pair)
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Trouble(f"{key(path)}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise Trouble(f"{key(path)}: is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}") from None
    except RecursionError:
        raise Trouble(f"{key(path)}: is nested too deeply") from None
    except ValueError as error:
        raise Trouble(f"{key(path)}: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _tool(document: dict[str, Any]) -> dict[str, Any]:
    tool = document.get("tool", {})
    return tool if isinstance(tool, dict) else {}


def _patterns(root: Path, lines: Sequence[str], what: str) -> Patterns:
    patterns = patterns_at(root, lines)
    if patterns.broken:
        raise Trouble(f"{what}: `{patterns.broken[0]}` is no pattern")
    return patterns


def _path(root: Path, word: str | None) -> Path | None:
    return None if word is None else Path(os.path.abspath(root / os.path.expanduser(word)))


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _common(paths: Sequence[str]) -> Path:
    """The innermost folder that holds all paths."""
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in map(os.path.abspath, paths or ["."])]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # on several drives
        return Path.cwd()
