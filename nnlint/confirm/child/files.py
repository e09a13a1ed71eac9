"""What the file functions of Python do under the guard: the same as ever, on the merged view.

The methods carry the names and arguments of the functions whose places they take. They are bound methods, which, like the built-in
functions, can be an attribute of a class without becoming its method. File names in errors and of open files are those of the script.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import sys

from nnlint.confirm.child import system
from nnlint.confirm.child.overlay import FREE, LOWER, Overlay, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from nnlint.confirm.child.overlay import Found

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

MODES = {
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


def flags_of(mode: str) -> int:
    """What `os.open` would be told for a mode of `open`; 0 for reading."""
    for letter, flags in MODES.items():
        if letter in mode:
            return flags & ~os.O_WRONLY | os.O_RDWR if "+" in mode else flags
    return os.O_RDWR if "+" in mode else os.O_RDONLY


def installed() -> object:
    """The file functions in force in this process, for what was pickled in another."""
    return Files.current or os


class naming:
    """Errors name the files as the script did."""

    def __init__(self, *names: Any) -> None:
        self.names = names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, OSError):
            error.filename = self.names[0]
            if len(self.names) > 1:
                error.filename2 = self.names[1]


def rename(handle: Any, name: str | bytes) -> None:
    """An open file is called what the script called it."""
    raw = getattr(handle, "buffer", handle)
    raw = getattr(raw, "raw", raw)
    raw.name = name


class Entry:
    """What `os.scandir` yields for a folder that lies on both sides."""

    def __init__(self, files: Files, folder: Any, shown: Any, found: Found) -> None:
        self._files = files
        self._found = found
        name = found[1].rpartition("/")[2]
        self.name: Any = os.fsencode(name) if isinstance(shown, bytes) else name
        self.path: Any = self.name if isinstance(folder, int) else os.path.join(shown, self.name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        info = self._found[3]
        if info is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        return self._files.stat(self._found[1]) if follow_symlinks and modes.S_ISLNK(info.st_mode) else info

    def inode(self) -> int:
        return self.stat(follow_symlinks=False).st_ino

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._is(modes.S_ISDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._is(modes.S_ISREG, follow_symlinks)

    def is_symlink(self) -> bool:
        return self._is(modes.S_ISLNK, False)

    def is_junction(self) -> bool:
        return False

    def _is(self, kind: Callable[[int], bool], follow: bool) -> bool:
        try:
            return kind(self.stat(follow_symlinks=follow).st_mode)
        except FileNotFoundError:
            return False


class Listing:
    """The iterator that `os.scandir` returns."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self.entries = entries

    def __iter__(self) -> Listing:
        return self

    def __next__(self) -> Entry:
        return next(self.entries)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.entries = iter(())


class Files:
    current: Files | None = None

    def __init__(self, overlay: Overlay) -> None:
        self.overlay = overlay

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return installed, ()

    def place(self, path: Path, dir_fd: int | None = None) -> str:
        """The absolute path that is meant."""
        return self.overlay.absolute(path if type(path) is str else os.fsdecode(path), dir_fd)

    # Opening

    def io_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        rest = buffering, encoding, errors, newline, closefd
        if isinstance(file, int) or not isinstance(mode, str):
            return system.file_open(file, mode, *rest, opener)
        name = os.fspath(file)
        if opener is not None:
            # The opener calls our `os.open`. Given a number, `open` has nothing to look up and nothing to refuse.
            fd = opener(name, flags_of(mode) | os.O_CLOEXEC)
            try:
                handle = system.file_open(fd, mode, *rest)
            except BaseException:
                system.close(fd)
                raise
            rename(handle, name)
            return handle
        try:
            physical = self.locate(name, flags_of(mode))
            handle = system.file_open(physical, mode, *rest)
        except OSError as error:
            error.filename = name
            raise
        if physical != name:
            rename(handle, name)
        return handle

    def locate(self, name: str | bytes, flags: int) -> str:
        path = self.place(name)
        return self.overlay.writing(path, flags) if flags & WRITING else self.overlay.reading(path)

    def open_code(self, path: str) -> Any:
        try:
            return system.code_open(self.overlay.reading(self.place(path)))
        except OSError as error:
            error.filename = path
            raise

    def open(self, path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        try:
            place = self.place(path, dir_fd)
            if not flags & WRITING:
                found = self.overlay.find(place, not flags & os.O_NOFOLLOW)
                if found[0] != FREE and found[3] is None:
                    fail(errno.ENOENT)
                return system.open(found[2], flags, mode)
            if flags & WRITING == os.O_CREAT and not flags & os.O_EXCL:
                # A lock file, say: nothing changes if it is there.
                found = self.overlay.find(place)
                if found[0] == LOWER and found[3] is not None:
                    return system.open(found[2], flags & ~os.O_CREAT, mode)
            return system.open(self.overlay.writing(place, flags), flags, mode)
        except OSError as error:
            error.filename = path
            raise

    # Reading

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        if type(path) is str and dir_fd is None:
            known = self.overlay.quick(path)
            if known is not None and not (follow_symlinks and modes.S_ISLNK(known.st_mode)):
                return known
        if isinstance(path, int):
            return system.stat(path)
        try:
            side, _, physical, info = self.overlay.find(self.place(path, dir_fd), follow_symlinks)
            if info is not None:
                return info
            if side == FREE:
                return system.stat(physical, follow_symlinks=follow_symlinks)
            fail(errno.ENOENT)
        except OSError as error:
            error.filename = path
            raise

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return self.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def access(self, path: Any, mode: int, *, dir_fd: int | None = None, effective_ids: bool = False, follow_symlinks: bool = True) -> bool:
        if isinstance(path, int):
            return system.access(path, mode)
        try:
            found = self.overlay.existing(self.place(path, dir_fd), follow_symlinks)
        except OSError:
            return False
        return system.access(found[2], mode, effective_ids=effective_ids, follow_symlinks=follow_symlinks)

    def listdir(self, path: Any = ".") -> list[Any]:
        path = "." if path is None else path
        try:
            names = self.overlay.names(self._folder(path))
        except OSError as error:
            error.filename = path
            raise
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def _folder(self, path: Any) -> str:
        place = self.overlay.folder_of(path) if isinstance(path, int) else self.place(path)
        found = self.overlay.existing(place)
        if found[3] is not None and not self.overlay.is_folder(found):
            fail(errno.ENOTDIR)
        return found[1]

    def scandir(self, path: Any = ".") -> Any:
        path = "." if path is None else path
        shown = path if isinstance(path, int) else os.fspath(path)
        try:
            folder = self._folder(path)
            if self._untouched(shown, folder):
                return system.scandir(shown)
            children = self.overlay.children(folder)
        except OSError as error:
            error.filename = path
            raise
        return Listing(Entry(self, path, shown, child) for child in children)

    def _untouched(self, shown: Any, folder: str) -> bool:
        """The system itself lists this folder rightly, under the name that it was given."""
        if not self.overlay.is_free(folder) and system.is_folder(self.overlay.files + folder):
            return False
        if isinstance(shown, int):
            return True
        name = os.fsdecode(shown)
        cwd = "/" if name.startswith("/") else system.getcwd()
        return cwd == self.overlay.shown(cwd) and os.path.normpath(f"{cwd}/{name}") == (folder or "/")

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        try:
            found = self.overlay.existing(self.place(path, dir_fd), follow=False)
            target = system.readlink(found[2])
        except OSError as error:
            error.filename = path
            raise
        return os.fsencode(target) if isinstance(os.fspath(path), bytes) else target

    def getcwd(self) -> str:
        return self.overlay.shown(system.getcwd())

    def getcwdb(self) -> bytes:
        return os.fsencode(self.getcwd())

    def chdir(self, path: Any) -> None:
        if isinstance(path, int):
            system.chdir(path)
            return
        with naming(path):
            self.overlay.chdir(self.place(path))

    # Changing

    def remove(self, path: Any, *, dir_fd: int | None = None) -> None:
        with naming(path):
            self.overlay.unlink(self.place(path, dir_fd))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.remove(path, dir_fd=dir_fd)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        with naming(path):
            self.overlay.rmdir(self.place(path, dir_fd))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with naming(path):
            self.overlay.mkdir(self.place(path, dir_fd), mode)

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        with naming(src, dst):
            self.overlay.rename(self.place(src, src_dir_fd), self.place(dst, dst_dir_fd))

    def replace(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def link(
        self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> None:
        # Without folder descriptors Python calls `link`, which follows no link on Linux.
        follow = follow_symlinks and (sys.platform != "linux" or src_dir_fd is not None or dst_dir_fd is not None)
        with naming(src, dst):
            self.overlay.link(self.place(src, src_dir_fd), self.place(dst, dst_dir_fd), follow)

    def symlink(self, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
        with naming(src, dst):
            system.symlink(src, self.overlay.making(self.place(dst, dir_fd)))

    def mkfifo(self, path: Any, mode: int = 0o666, *, dir_fd: int | None = None) -> None:
        with naming(path):
            system.mkfifo(self.overlay.making(self.place(path, dir_fd)), mode)

    def mknod(self, path: Any, mode: int = 0o600, device: int = 0, *, dir_fd: int | None = None) -> None:
        with naming(path):
            system.mknod(self.overlay.making(self.place(path, dir_fd)), mode, device)

    def truncate(self, path: Any, length: int) -> None:
        if isinstance(path, int):
            system.truncate(path, length)
            return
        with naming(path):
            system.truncate(self.overlay.writing(self.place(path), os.O_WRONLY), length)

    def _changed(self, path: Any, dir_fd: int | None, follow: bool) -> Any:
        """What to hand to a function that changes mode, owner or times. An open file of the user's is found by its name."""
        if not isinstance(path, int):
            return self.overlay.changing(self.place(path, dir_fd), follow)
        kind = system.fstat(path).st_mode
        if not (modes.S_ISREG(kind) or modes.S_ISDIR(kind)):
            return path
        place = system.path_of(path)
        return path if self.overlay.is_free(place) else self.overlay.changing(place)

    def chmod(self, path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        with naming(path):
            place = self._changed(path, dir_fd, follow_symlinks)
            system.chmod(place, mode, follow_symlinks=follow_symlinks or isinstance(place, int))

    def chown(self, path: Any, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        with naming(path):
            place = self._changed(path, dir_fd, follow_symlinks)
            system.chown(place, uid, gid, follow_symlinks=follow_symlinks or isinstance(place, int))

    def utime(
        self,
        path: Any,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        with naming(path):
            place = self._changed(path, dir_fd, follow_symlinks)
            when: dict[str, Any] = {"times": times} if ns is None else {"ns": ns}
            system.utime(place, follow_symlinks=follow_symlinks or isinstance(place, int), **when)

    def fchmod(self, fd: int, mode: int) -> None:
        self.chmod(fd, mode)

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        self.chown(fd, uid, gid)

    def lchown(self, path: Any, uid: int, gid: int) -> None:
        self.chown(path, uid, gid, follow_symlinks=False)

    def chflags(self, path: Any, flags: int, follow_symlinks: bool = True) -> None:
        with naming(path):
            system.extra["chflags"](self._changed(path, None, follow_symlinks), flags, follow_symlinks)

    def setxattr(self, path: Any, attribute: Any, value: Any, flags: int = 0, *, follow_symlinks: bool = True) -> None:
        with naming(path):
            system.extra["setxattr"](self._changed(path, None, follow_symlinks), attribute, value, flags, follow_symlinks=follow_symlinks)

    def removexattr(self, path: Any, attribute: Any, *, follow_symlinks: bool = True) -> None:
        with naming(path):
            system.extra["removexattr"](self._changed(path, None, follow_symlinks), attribute, follow_symlinks=follow_symlinks)

    # Asked about rarely

    def _asked(self, name: str, path: Any, *rest: Any, **follow: bool) -> Any:
        with naming(path):
            place = path if isinstance(path, int) else self.overlay.existing(self.place(path), **follow)[2]
            return system.extra[name](place, *rest, **{f"{word}_symlinks": value for word, value in follow.items()})

    def statvfs(self, path: Any) -> Any:
        return self._asked("statvfs", path)

    def pathconf(self, path: Any, name: Any) -> Any:
        return self._asked("pathconf", path, name)

    def getxattr(self, path: Any, attribute: Any, *, follow_symlinks: bool = True) -> Any:
        return self._asked("getxattr", path, attribute, follow=follow_symlinks)

    def listxattr(self, path: Any = None, *, follow_symlinks: bool = True) -> Any:
        return self._asked("listxattr", "." if path is None else path, follow=follow_symlinks)
