"""The files of a project, linked: which file an import means, and what is outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Union

from nnlint import records as r


class File:
    """One lowered source. `key` is its path as the user sees it, `folder` the parts of its directory."""

    __slots__ = ("folder", "is_package", "key", "module")

    def __init__(self, key: str, module: r.Module) -> None:
        self.key = key
        self.module = module
        parts = key.split("/")
        self.folder = tuple(parts[:-1])
        self.is_package = parts[-1] == "__init__.py"


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part not in ("", "."))


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """How many folders two paths have in common."""
    return next((depth for depth, (one, other) in enumerate(zip(first, second)) if one != other), min(len(first), len(second)))


Question = tuple[str, str, str]
"""What was looked up: how, from where, and which name."""


class Program:
    """All files by path; imports are looked up as Python would from the folders that may be on `sys.path`. While `asked` is a table,
    what was looked up is noted there.

    `known` also holds the paths of project files that were not lowered (they name no training library): an import of one of these
    is inside the project, though nothing is known of it.
    """

    def __init__(self, files: Sequence[File], known: Sequence[str] = (), src: Sequence[str] = ()) -> None:
        self.files = {file.key: file for file in files}
        self.known = frozenset(known) | frozenset(self.files)
        self.folders = frozenset("/".join(path.split("/")[:depth]) for path in self.known for depth in range(1, path.count("/") + 1))
        self.asked: Union[dict[Question, Union[str, None]], None] = None
        self.src = tuple(map(_parts, src))
        self.paths: dict[str, tuple[str, ...]] = {}
        self._nearest: dict[str, list[tuple[str, ...]]] = {}

    def look_in(self, key: str, folders: Iterable[str]) -> None:
        """The file puts these on `sys.path`: its imports may start from there, and those of what is run with it."""
        new = tuple(dict.fromkeys(folders))
        if new:
            self.paths[key] = new
            self._nearest = {}

    def only(self, files: Sequence[File]) -> Program:
        """The same project, of which nothing but some files was lowered."""
        other = copy(self)
        other.asked = None
        other.files = {file.key: file for file in files}
        return other

    def roots(self, file: File) -> list[tuple[str, ...]]:
        """Folders from which an absolute import in `file` may start, likeliest first."""
        roots = [file.folder[:depth] for depth in range(len(file.folder), -1, -1)]
        roots += [(*root, "src") for root in roots if self.is_folder("/".join((*root, "src")))]
        return roots + list(self.src) + self._added(file)

    def _added(self, file: File) -> list[tuple[str, ...]]:
        """What files put on `sys.path`: this one, then those of the same part of the project, then others."""
        if self.paths and file.key not in self._nearest:
            keys = sorted(self.paths, key=lambda key: (key != file.key, -_shared(key.split("/")[:-1], file.folder), key))
            self._nearest[file.key] = list(dict.fromkeys(_parts(folder) for key in keys for folder in self.paths[key]))
        return self._nearest.get(file.key, [])

    def absolute(self, file: File, name: str) -> Union[str, None]:
        """The path (of a file or a folder) that `import name` means in `file`; None where it is outside the project."""
        return self._noted(("absolute", file.key, name), self._absolute(file, name))

    def _absolute(self, file: File, name: str) -> Union[str, None]:
        head = name.split(".")
        for root in self.roots(file):
            found = self._path((*root, *head))
            if found is not None and found != file.key:
                return found
        return None

    def relative(self, file: File, module: str, level: int) -> Union[str, None]:
        """The path that `from ..module import` means in `file`."""
        return self._noted(("relative", file.key, "." * level + module), self._relative(file, module, level))

    def _relative(self, file: File, module: str, level: int) -> Union[str, None]:
        if level > len(file.folder) + 1:
            return None
        base = file.folder[: len(file.folder) - level + 1]
        parts = (*base, *(part for part in module.split(".") if part))
        return self._path(parts) if parts else ""

    def inside(self, folder: str, name: str) -> Union[str, None]:
        """The submodule `name` of a package folder."""
        return self._noted(("inside", folder, name), self._path((*(part for part in folder.split("/") if part), name)))

    def answer(self, question: Question) -> Union[str, None]:
        """What a look-up gives that was noted in another run."""
        how, place, name = question
        if how == "inside":
            return self._path((*(part for part in place.split("/") if part), name))
        file = self.files.get(place)
        if file is None:
            return None
        if how == "absolute":
            return self._absolute(file, name)
        module = name.lstrip(".")
        return self._relative(file, module, len(name) - len(module))

    def _noted(self, question: Question, found: Union[str, None]) -> Union[str, None]:
        if self.asked is not None:
            self.asked[question] = found
        return found

    def _path(self, parts: tuple[str, ...]) -> Union[str, None]:
        path = "/".join(parts)
        for candidate in (f"{path}/__init__.py", f"{path}.py"):
            if self.is_file(candidate):
                return candidate
        return path if self.is_folder(path) else None

    def is_file(self, path: str) -> bool:
        return path in self.known

    def is_folder(self, path: str) -> bool:
        return path in self.folders

    @staticmethod
    def package(path: str) -> str:
        """The folder of a package given by its `__init__.py` or by the folder itself."""
        return path[: -len("/__init__.py")] if path.endswith("/__init__.py") else ("" if path == "__init__.py" else path)
