"""What was worked out before: small files in a folder, each named by a digest of everything that its content depends on.

Nothing in here can break a run or change its result: an entry that is damaged is not there, and a folder that cannot be written is left
alone. Entries are written under another name and then renamed, so that runs may share a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Union

from nnlint import __version__

if TYPE_CHECKING:
    from nnlint.registry import Catalogue
    from nnlint.settings import Settings

FOLDER = ".nnlint_cache"
VARIABLE = "NNLINT_CACHE_DIR"
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder was made by nnlint. It may be deleted at any time: https://bford.info/cachedir/\n"
FULL = 256 << 20
"""Bytes beyond which the oldest entries go, until half of it is left."""
OLD = 14 * 24 * 3600
"""Seconds after which what another version of nnlint has left is removed."""
_TIDIED = 24 * 3600
_HEAD = 16

_serial = itertools.count()


class Cache(Protocol):
    """Bytes by name. What is put in may be gone at any time."""

    def get(self, name: str) -> Union[bytes, None]: ...

    def put(self, name: str, data: bytes) -> None: ...


class Folder:
    """Entries in a folder, for one version of nnlint and its rules. `trouble` says why nothing is written any more."""

    def __init__(self, root: Path, version: str) -> None:
        self.root = root
        self.version = version
        self.trouble = ""
        self._made = False

    def get(self, name: str) -> Union[bytes, None]:
        try:
            data = self._path(name).read_bytes()
            packed = data[_HEAD:]
            return zlib.decompress(packed) if data[:_HEAD] == _checksum(name, packed) else None
        except (OSError, zlib.error):
            return None

    def put(self, name: str, data: bytes) -> None:
        if self.trouble:
            return
        path = self._path(name)
        scratch = path.with_name(f".{name}.{os.getpid()}.{next(_serial)}")
        packed = zlib.compress(data, 1)
        try:
            self._make()
            try:
                scratch.write_bytes(_checksum(name, packed) + packed)
                os.replace(scratch, path)
            except OSError:
                with contextlib.suppress(OSError):
                    scratch.unlink()
                raise
        except OSError as error:
            # Windows refuses to replace what another run is reading; that is no reason to give up.
            if not isinstance(error, PermissionError) or not path.exists():
                self.trouble = error.strerror or str(error)

    def _path(self, name: str) -> Path:
        return self.root / self.version / name

    def _make(self) -> None:
        if self._made:
            return
        folder = self.root / self.version
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", TAG)):
            if not (self.root / name).exists():
                (self.root / name).write_text(text, encoding="utf-8")
        self._made = True
        self._tidy()

    def _tidy(self) -> None:
        """Once a day: away with what nobody will ask for again."""
        stamp = self.root / self.version / "tidied"
        now = time.time()
        with contextlib.suppress(OSError):
            if now - stamp.stat().st_mtime < _TIDIED:
                return
        stamp.write_bytes(b"")
        entries = sorted(_entries(self.root))
        left = sum(size for _, size, _ in entries)
        for age, size, path in entries:
            foreign = os.path.basename(os.path.dirname(path)) != self.version
            if left > FULL // 2 if left > FULL else foreign and now - age > OLD:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                    left -= size
        for folder in self.root.iterdir():
            if folder.is_dir() and folder != stamp.parent:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only if nothing is left in it


def _entries(root: Path) -> Iterator[tuple[float, int, str]]:
    """Time, size and path of all entries."""
    for folder in root.iterdir():
        if folder.is_dir():
            for entry in os.scandir(folder):
                with contextlib.suppress(OSError):
                    about = entry.stat()
                    yield about.st_mtime, about.st_size, entry.path


def _checksum(name: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_HEAD, key=name.encode()).digest()


def digest(*parts: Union[str, bytes]) -> str:
    """A name for some texts; no two lists of texts have the same."""
    state = hashlib.blake2b(digest_size=_HEAD)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.hexdigest()


def at(settings: Settings, catalogue: Catalogue, folder: Union[str, None] = None) -> Folder:
    """The cache of a project: where the user wants it, or beside the configuration file, or at the root of the repository."""
    wanted = folder or os.environ.get(VARIABLE) or settings.cache_dir
    return Folder(Path(os.path.abspath(wanted)) if wanted else _root(settings) / FOLDER, identity(catalogue))


def _root(settings: Settings) -> Path:
    if settings.files:
        return settings.files[-1].parent
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def identity(catalogue: Catalogue) -> str:
    """A name for all code that has a part in a result, so that neither an update nor a changed checkout is served what another has left."""
    parts = [__version__, sys.implementation.cache_tag or sys.version, installed("libcst"), installed("msgspec")]
    for path in sorted(_code(catalogue)):
        parts.append(os.path.basename(path))
        with contextlib.suppress(OSError), open(path, "rb") as file:
            parts.append(hashlib.blake2b(file.read(), digest_size=_HEAD).hexdigest())
    return digest(*parts)


def _code(catalogue: Catalogue) -> Iterable[str]:
    """The files of nnlint and of every package that rules come from."""
    found: set[str] = set()
    for name in {"nnlint", "nnlint.rules", *(rule.__module__.partition(".")[0] for rule in catalogue.rules)}:
        module = sys.modules[name]
        folders = list(getattr(module, "__path__", ()))
        for top in folders:
            for folder, inner, files in os.walk(top):
                inner[:] = [name for name in inner if name != "__pycache__"]
                found.update(os.path.join(folder, name) for name in files)
        if not folders and module.__file__:
            found.add(module.__file__)
    return found
