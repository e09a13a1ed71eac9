"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile


def write(path: str, text: str) -> None:
    """Write a text into a file: readers see the old content or the new one. What is no ordinary file (a pipe, a device) is written to."""
    data = text.encode("utf-8", "replace")  # names of files may hold what is no text
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG | (0o666 & ~_umask())
    if not stat.S_ISREG(mode):
        _write(target, data)
        return
    try:
        handle, draft = tempfile.mkstemp(prefix=".nnlint-", dir=os.path.dirname(target))
    except PermissionError:  # a file that may be written in a folder that may not
        _write(target, data)
        return
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(draft, stat.S_IMODE(mode))
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _umask() -> int:
    """What the process takes from the rights of new files; it can only be asked for by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
