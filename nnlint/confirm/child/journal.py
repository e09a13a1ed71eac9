"""What the guard has to tell of a run, one JSON object a line in `journal.jsonl` of the scratch folder, of all processes of the run.

* `{"kind": "command", "command": "git rev-parse HEAD", "where": "train.py:3"}`: a command that the script ran; what it writes outside
  of the scratch folder is refused by the kernel, or not covered where there is no Landlock;
* `{"kind": "refused", "call": "open", "path": "/home/u/model.pt", "where": "train.py:9"}`: a write that went past the redirection
  (with a function kept from before, say) and was refused.
"""

from __future__ import annotations

import os
import sys

from nnlint.confirm.child import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_LINES = 1000

Line = dict[str, str]


class Journal:
    def __init__(self, scratch: str) -> None:
        self.path = f"{scratch}/journal.jsonl"
        self.seen: set[tuple[tuple[str, str], ...]] = set()
        here = os.path.dirname(__file__)
        library = os.path.dirname(os.__file__)
        self.machinery = (here + os.sep, library + os.sep, "<frozen")
        self.packages = tuple(f"{library}{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))

    def note(self, kind: str, **words: str) -> None:
        line = {"kind": kind, **words, "where": self._where()}
        key = tuple(line.items())
        if key in self.seen or len(self.seen) >= MAX_LINES:
            return
        self.seen.add(key)
        import json

        data = (json.dumps(line) + "\n").encode()
        fd = system.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            system.write(fd, data)
        finally:
            system.close(fd)

    def _where(self) -> str:
        """The innermost line outside of the guard and the standard library."""
        frame: Any = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(self.machinery) or name.startswith(self.packages):
                return f"{name}:{frame.f_lineno}"
            frame = frame.f_back
        return ""


def lines(scratch: str) -> list[Line]:
    """What the processes of a run have noted, for the report."""
    import json

    try:
        with system.file_open(f"{scratch}/journal.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
