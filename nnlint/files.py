"""Which files to lint: arguments, folders, `.gitignore`, excludes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nnlint.findings import Failure
from nnlint.source import failure
from nnlint.trouble import Trouble

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

SUFFIXES = (".py", ".ipynb")

# Ruff's list, and the folders of caches.
EXCLUDED = (
    ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nnlint_cache", ".nox", ".pants.d",
    ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "__pycache__", "__pypackages__", "_build",
    "buck-out", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip


@dataclass(frozen=True)
class Patterns:
    """Patterns as in a `.gitignore` in the folder `root` (absolute)."""

    root: str
    lines: tuple[str, ...]

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines(line for line in self.lines if line not in self.broken)

    @cached_property
    def broken(self) -> tuple[str, ...]:
        """The lines that are no patterns; git passes over them."""
        return tuple(line for line in self.lines if not _is_pattern(line))

    def verdict(self, path: str, base: str = "") -> bool | None:
        """Whether the last pattern that speaks of `path` (absolute; folders end in a slash) takes it in; None where no pattern does.

        A path outside of the root is taken relative to `base`, so that patterns without a folder hold there too.
        """
        if not self.lines:
            return None
        root = self.root if _inside(path, self.root) else base
        if not root:
            return None
        relative = path[len(root) :].lstrip("/")
        return self._spec.check_file(relative).include if relative else None


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True


@dataclass(frozen=True)
class Choice:
    """What narrows the choice of files."""

    excludes: tuple[Patterns, ...] = ()
    force: bool = False
    gitignore: bool = True

    def excludes_any(self, path: str, base: str = "") -> bool:
        return any(patterns.verdict(path, base) for patterns in self.excludes)


@dataclass
class Chosen:
    """The files to lint, in order, and what could not be looked into. `named` are those that no folder led to: only they were asked for."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    named: frozenset[str] = frozenset()


def key(path: str | Path) -> str:
    """A path as the user sees it: relative to the current folder, with forward slashes."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()


def choose(arguments: Sequence[str], choice: Choice) -> Chosen:
    """The files that the arguments mean: each once, in the order of their keys."""
    chosen = Chosen()
    found: list[str] = []
    walked: set[str] = set()
    for argument in arguments:
        path = _slashed(os.path.abspath(argument))
        if os.path.isdir(path):
            inside = list(_walk(path, choice, chosen.failures))
            found += inside
            walked.update(map(os.path.realpath, inside))
        elif not os.path.lexists(path):
            raise Trouble(f"`{argument}` does not exist")
        elif not path.endswith(".pyi") and not (choice.force and forced_out(path, choice)):
            found.append(path)
    # A file that is reached twice is linted once, under its own name rather than that of a link to it.
    by_file: dict[str, str] = {}
    for real, path in sorted(((os.path.realpath(path), path) for path in found), key=lambda pair: (pair[0] != pair[1], pair[1])):
        by_file.setdefault(real, path)
    chosen.files = sorted((key(path), Path(path)) for path in by_file.values())
    chosen.named = frozenset(key(path) for real, path in by_file.items() if real not in walked)
    return chosen


def forced_out(path: str, choice: Choice) -> bool:
    """Whether an exclude speaks of a file or one of its folders, for files that are named one by one (pre-commit, editors)."""
    path = _slashed(os.path.abspath(path))
    return any(choice.excludes_any(part) for part in (path, *_folders(path)))


def _walk(top: str, choice: Choice, failures: list[Failure]) -> Iterator[str]:
    """The files under a folder; links to folders are not followed, as git does not follow them."""
    above = _ignores_above(top) if choice.gitignore else []
    # A folder that was asked for by name is looked into though it is excluded; its own content is then judged by itself.
    if any(patterns.verdict(part) for patterns in above for part in (top + "/", *_folders(top))):
        above = []
    excludes = choice.excludes
    if forced_out(top + "/", choice):
        if choice.force:
            return
        excludes = tuple(Patterns(top, patterns.lines) for patterns in excludes)
    inner = Choice(excludes, choice.force, choice.gitignore)
    stack = [(top, above)]
    while stack:
        folder, ignores = stack.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            failures.append(failure(key(folder), f"the folder cannot be read: {error.strerror or error}"))
            continue
        names = {entry.name for entry in entries}
        if "pyvenv.cfg" in names and folder != top:
            continue  # a virtual environment, whatever its name
        if choice.gitignore and ".gitignore" in names:
            ignores = [*ignores, *_ignore_file(os.path.join(folder, ".gitignore"), folder)]
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not (entry.name.endswith(SUFFIXES) and _is_file(entry)):
                continue
            path = f"{folder.rstrip('/')}/{entry.name}"
            shape = path + "/" if is_folder else path
            if inner.excludes_any(shape, top) or _ignored(shape, ignores):
                continue
            if is_folder:
                stack.append((path, ignores))
            else:
                yield path


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Editors leave dangling links that end in `.py`; they are no files."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _ignored(path: str, ignores: Sequence[Patterns]) -> bool:
    """The deepest file that speaks of a path decides."""
    for patterns in reversed(ignores):
        verdict = patterns.verdict(path)
        if verdict is not None:
            return verdict
    return False


def _ignores_above(top: str) -> list[Patterns]:
    """The ignore files that hold in a folder of a repository, from the repository's root down to above the folder."""
    folders = [top, *(folder.rstrip("/") or "/" for folder in _folders(top))]
    root = next((index for index, folder in enumerate(folders) if os.path.exists(os.path.join(folder, ".git"))), None)
    if root is None:
        return []
    ignores = _ignore_file(os.path.join(folders[root], ".git", "info", "exclude"), folders[root])
    for folder in reversed(folders[1 : root + 1]):
        ignores += _ignore_file(os.path.join(folder, ".gitignore"), folder)
    return ignores


def _ignore_file(path: str, folder: str) -> list[Patterns]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [Patterns(folder, tuple(text.splitlines()))]


def _folders(path: str) -> Iterator[str]:
    """The folders above a path, innermost first, each with a slash at its end."""
    path = path.rstrip("/")
    while "/" in path:
        path = path[: path.rindex("/")]
        yield path + "/"


def _inside(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _slashed(path: str) -> str:
    return path.replace(os.sep, "/")


def patterns_at(root: Path, lines: Iterable[str]) -> Patterns:
    """Patterns relative to a folder."""
    return Patterns(_slashed(os.path.abspath(root)), tuple(lines))
