"""Files: what they hold now, and how they are replaced in one go."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


class Refused(Exception):
    """A file that is left alone; the message says why."""


def target(path: Path) -> Path:
    """The file itself, where the path is a link to it."""
    return Path(os.path.realpath(path))


def check(path: Path) -> None:
    """Raise `Refused` for a file that may not be written."""
    real = target(path)
    try:
        mode = real.stat().st_mode
    except OSError as error:
        raise Refused(f"it cannot be read any more: {error.strerror or error}") from None
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(real, os.W_OK):
        raise Refused("it is read-only")


def replace(path: Path, before: bytes, after: bytes) -> None:
    """Put new bytes in the place of those that were read: all of them or none, with the same mode. Raise `Refused` where others stand
    there by now, or where it cannot be done."""
    check(path)
    real = target(path)
    made = ""
    try:
        handle, made = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".nnlint", dir=real.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        kept = real.stat()
        os.chmod(made, stat.S_IMODE(kept.st_mode))
        if hasattr(os, "chown") and (kept.st_uid, kept.st_gid) != (os.geteuid(), os.getegid()):
            with contextlib.suppress(OSError):
                os.chown(made, kept.st_uid, kept.st_gid)
        if real.read_bytes() != before:
            raise Refused("it was changed meanwhile")
        os.replace(made, real)
    except OSError as error:
        raise Refused(f"it cannot be written: {error.strerror or error}") from None
    finally:
        if made:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(made)
