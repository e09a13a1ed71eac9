"""What editors call a file, and what the system calls it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_DRIVE = re.compile(r"/[A-Za-z]:")


def path_of(uri: str) -> str | None:
    """The absolute path of a `file:` address; None for anything else (a text that was never saved, a page of a repository)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    path = unquote(parts.path, errors="surrogateescape")
    if os.name == "nt":
        # Editors write the colon of a drive as it is or as %3A, and its letter as they like.
        path = path[1].upper() + path[2:] if _DRIVE.match(path) else path
        path = f"//{parts.netloc}{path}" if parts.netloc else path
    return os.path.normpath(path) if path.strip("/") else None


def uri_of(path: str) -> str:
    return Path(path).as_uri()
