"""The second line behind the redirected functions: an audit hook, which Python calls in the original functions and nobody can remove.

A script that kept `posix.open` from somewhere still cannot change a file outside of the scratch folder with it. The hook refuses, it
cannot redirect; it also notes the commands that are run.
"""

from __future__ import annotations

import errno
import os
import sys

from nnlint.confirm.child import system
from nnlint.confirm.child.files import WRITING
from nnlint.confirm.child.journal import Journal
from nnlint.confirm.child.overlay import SPECIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Which arguments of an event are files that it changes, and where the folder descriptors of these stand.
CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.chflags": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}


class Watch:
    def __init__(self, scratch: str, journal: Journal) -> None:
        self.allowed = (scratch + "/", *SPECIAL)
        self.journal = journal
        self.events: dict[str, Callable[[str, Any], None]] = {
            "open": self._open,
            "os.system": self._command,
            "os.exec": self._command,
            "os.posix_spawn": self._command,
            "subprocess.Popen": self._command,
            **dict.fromkeys(CHANGES, self._change),
        }

    def start(self) -> None:
        find = self.events.get

        def hook(event: str, arguments: Any) -> None:
            handler = find(event)
            if handler is not None:
                handler(event, arguments)

        sys.addaudithook(hook)

    def _open(self, event: str, arguments: Any) -> None:
        path, _, flags = arguments
        if flags & WRITING and isinstance(path, (str, bytes)) and (flags & WRITING != os.O_CREAT or system.look(os.fsdecode(path)) is None):
            self._check(event, path, None)

    def _change(self, event: str, arguments: Any) -> None:
        for at, folder in CHANGES[event]:
            self._check(event, arguments[at], None if folder is None else arguments[folder])

    def _check(self, event: str, path: Any, folder: int | None) -> None:
        if isinstance(path, int):
            path = system.path_of(path)
        name = os.fsdecode(path)
        if not name.startswith("/"):
            name = f"{system.getcwd() if folder is None or folder < 0 else system.path_of(folder)}/{name}"
        if "/.." in name:
            name = os.path.normpath(name)
        if not name.startswith(self.allowed):
            self.journal.note("refused", call=event.rpartition(".")[2], path=name)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def _command(self, event: str, arguments: Any) -> None:
        if event == "os.system":
            words = [arguments[0]]
        else:
            words = arguments[1]
        if isinstance(words, (str, bytes)):
            words = [words]
        self.journal.note("command", command=" ".join(os.fsdecode(word) for word in words))
