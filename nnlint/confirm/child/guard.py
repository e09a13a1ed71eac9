"""The write guard: the script runs as ever, and the user's files stay as they were.

**What Python code writes** goes to the scratch folder. `install` puts its own functions in the places of `open`, `os.open`, `os.remove`,
`os.rename`, `os.mkdir` and all others that take a path. Writing, creating, renaming, removing act on a copy in the scratch folder
(`overlay`); reading, listing and asking see the files of the user with these changes. Temporary files go to the scratch folder by
`TMPDIR`. Functions that write natively (`torch.save`, `sqlite3.connect` and others in `natives`) are handed the path in the scratch
folder. An audit hook (`watch`) refuses what reaches the original functions by another way.

**What native code and subprocesses write** is refused by the kernel where it has Landlock (Linux 5.13 and later, where it is switched on):
the process gives up, for itself and all its descendants, the right to change anything outside of the scratch folder, /dev and /proc.
They get "permission denied". Elsewhere, they are not covered.

**Limits.** A subprocess that is not Python reads the user's files without the changes of the script. Python started by the script is
guarded as well, as far as it finds the guard on its path. Times, modes and owners set by native code or subprocesses are not refused
by any Landlock; its versions before 3 do not refuse `truncate` in native code. Files are copied before they are changed, which takes
time and room for large ones. Windows is not covered.
"""

from __future__ import annotations

import _posixsubprocess
import errno
import os
import sys

from nnlint.confirm.child import landlock, natives, system
from nnlint.confirm.child.environment import environment
from nnlint.confirm.child.files import Files, flags_of
from nnlint.confirm.child.journal import Journal, lines
from nnlint.confirm.child.overlay import Overlay
from nnlint.confirm.child.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Protection", "environment", "install", "lines", "refused", "torch_imported"]

RESTRICTED = "NNLINT_RESTRICTED"
HEAP_TYPE = 1 << 9  # a class whose attributes can be set
OURS = __name__.rpartition(".")[0] + "."


class Protection:
    """What is in force in this process, with its limits in words."""

    def __init__(self, landlock: int) -> None:
        self.landlock = landlock
        self.kernel = landlock > 0
        self.limits = _limits(landlock)


def install(scratch: str) -> Protection:
    """Guard this process and its descendants. The first thing that the child does; again in the same process, it does nothing."""
    if Files.current is None:
        overlay = Overlay(scratch)
        version = _restrict(overlay.root)
        files = Files.current = Files(overlay)
        journal = Journal(overlay.root)
        _replace(files)
        natives.install(files)
        Watch(overlay.root, journal).start()
        _protection.append(Protection(version))
    return _protection[0]


_protection: list[Protection] = []
torch_imported = natives.torch_imported


def refused(error: BaseException | None) -> bool:
    """The kernel's refusal may have caused this error: of native code it is all that can be seen."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EXDEV)) or os.strerror(errno.EACCES) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _limits(version: int) -> str:
    written = "What Python code writes goes to a scratch folder"
    if not version:
        return f"{written}; what native code or a subprocess writes is not covered, because this system has no Landlock."
    but = "changes of mode and time" if version >= 3 else "changes of mode and time, and `truncate`"
    return f"{written}; what native code or a subprocess writes elsewhere is refused by the kernel (Landlock), except {but}."


def _restrict(scratch: str) -> int:
    """Refuse in the kernel; a process whose parent has done so for the same folder has inherited it."""
    before, _, version = os.environ.get(RESTRICTED, "").rpartition(":")
    if before == scratch:
        return int(version)
    in_force = landlock.restrict([scratch, "/dev/shm"], ["/dev", "/proc"])
    if in_force:
        os.environ[RESTRICTED] = f"{scratch}:{in_force}"
    return in_force


def _replace(files: Files) -> None:
    class Kind(type):
        """Files that the system itself has opened are of the kind, too."""

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, system.file) if cls is FileIO else super().__instancecheck__(instance)

    class FileIO(system.file, metaclass=Kind):  # type: ignore[metaclass]
        """`io.FileIO` of a path in the merged view."""

        __module__ = "_io"
        __qualname__ = "FileIO"

        def __init__(self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
            if isinstance(file, int):
                super().__init__(file, mode, closefd, opener)
                return
            try:
                if opener is not None:
                    super().__init__(opener(os.fspath(file), flags_of(mode) | os.O_CLOEXEC), mode)
                else:
                    super().__init__(files.locate(os.fspath(file), flags_of(mode)), mode, closefd)
            except OSError as error:
                error.filename = file
                raise
            self.name = file

    places: dict[Any, Any] = {system.file_open: files.io_open, system.code_open: files.open_code, system.file: FileIO}
    for name in dir(os):
        original = getattr(os, name)
        method = Files.__dict__.get(name)
        if method is not None and callable(original) and not name.startswith("_"):
            places[original] = getattr(files, name)
    places[_posixsubprocess.fork_exec] = _in_folder(files, _posixsubprocess.fork_exec)
    for group in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        group.update([places[function] for function in group if function in places])
    for name, module in list(sys.modules.items()):
        if not name.startswith(OURS) and module is not None:
            _rebind(vars(module), module, places)


def _in_folder(files: Files, fork_exec: Any) -> Any:
    """A subprocess can start in a folder that only the script knows."""

    def start(*arguments: Any) -> Any:
        folder = arguments[4]
        if folder is not None:
            try:
                folder = files.overlay.physical_folder(files.place(folder))
            except OSError:
                folder = arguments[4]  # the child says so
        return fork_exec(*arguments[:4], folder, *arguments[5:])

    return start


def _rebind(names: Any, owner: Any, places: dict[Any, Any]) -> None:
    """Everything that a module, or a class of it, has taken from the system is replaced."""
    for name, value in list(names.items()):
        try:
            place = places.get(value.__func__ if isinstance(value, staticmethod) else value)
        except TypeError:
            continue
        if place is not None:
            setattr(owner, name, place)
        elif isinstance(value, type) and owner is not value and isinstance(owner, type(sys)) and value.__module__ == owner.__name__:
            if value.__flags__ & HEAP_TYPE:
                _rebind(vars(value), value, places)
