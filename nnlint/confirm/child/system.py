"""The operating system's own functions, kept under their own names before the guard takes their places."""

from __future__ import annotations

import _io
import os
import stat as modes
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than the guard has
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

file = _io.FileIO
file_open = _io.open
code_open = _io.open_code

access = os.access
chdir = os.chdir
chmod = os.chmod
chown = os.chown
close = os.close
fstat = os.fstat
getcwd = os.getcwd
link = os.link
listdir = os.listdir
lseek = os.lseek
lstat = os.lstat
mkdir = os.mkdir
mkfifo = os.mkfifo
mknod = os.mknod
open = os.open
read = os.read
readlink = os.readlink
rename = os.rename
rmdir = os.rmdir
scandir = os.scandir
stat = os.stat
symlink = os.symlink
truncate = os.truncate
unlink = os.unlink
utime = os.utime
write = os.write

extra: dict[str, Callable[..., Any]] = {
    name: getattr(os, name)
    for name in ("chflags", "getxattr", "listxattr", "pathconf", "removexattr", "setxattr", "statvfs")
    if hasattr(os, name)
}
"""Functions that not every system has."""


def look(path: str) -> os.stat_result | None:
    """What `lstat` says, if there is anything."""
    try:
        return lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_folder(path: str) -> bool:
    found = look(path)
    return found is not None and modes.S_ISDIR(found.st_mode)


def path_of(fd: int) -> str:
    """The path of an open file."""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return readlink(f"/proc/self/fd/{fd}")
