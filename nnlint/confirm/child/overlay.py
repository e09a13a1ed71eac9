"""The merged view of the user's files and the scratch folder.

The *lower* side is the file system as the user knows it, and it is never written. The *upper* side is `files/` in the scratch folder,
which mirrors absolute paths: what the script writes to `/home/u/run/log.txt` lies in `files/home/u/run/log.txt`. A path is looked up
in the upper side first. A file that is changed is copied up before; a file that is removed leaves a mark, a symbolic link to `GONE`,
which hides the lower one; a folder on both sides is the union of both. All state is in the scratch folder, so that several processes
(workers, ranks, a script started by the script) see the same files. `epoch` is eight shared bytes that change with the shape of the
upper side, so that every process knows when what it remembers of folders has become old.

Paths are canonical inside: absolute, without links, dots and trailing slashes, and "" for the root.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import stat as modes

from nnlint.confirm.child import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    Found = tuple[int, str, str, os.stat_result | None]
    """Where a path leads: the side, its canonical path, the path to hand to the system, and what `lstat` says of that."""

GONE = "/dev/null/nnlint-gone"  # no path leads through /dev/null: what lies behind the mark is "not a directory"
SPECIAL = ("/dev/", "/proc/", "/sys/")
UNNAMED = getattr(os, "O_TMPFILE", 0)  # of Linux: a file without a name in a folder
MAX_LINKS = 40
MAX_FOLDERS = 4096

MISSING, LOWER, UPPER, FREE = range(4)  # FREE: in the scratch folder or a special file system, as it is


def fail(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))


class Overlay:
    def __init__(self, scratch: str) -> None:
        self.root = os.path.realpath(scratch)
        self.files = self.root + "/files"
        self.inside = self.root + "/"
        self.outside = (*SPECIAL, self.inside)
        self.numbers = itertools.count()
        for folder in (self.root, self.files, self.root + "/work", self.root + "/tmp"):
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
        fd = os.open(self.root + "/epoch", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if system.fstat(fd).st_size < 8:
                os.ftruncate(fd, 8)
            self.epoch = mmap.mmap(fd, 8)
        finally:
            os.close(fd)
        self.folders: dict[str, tuple[bytes, str, bool]] = {}

    def changed(self) -> None:
        self.epoch[:] = os.urandom(8)

    # Names

    def shown(self, path: str) -> str:
        """The path as the script knows it, of one that may lie in the upper side."""
        if path == self.files:
            return "/"
        return path[len(self.files) :] if path.startswith(self.files + "/") else path

    def folder_of(self, fd: int) -> str:
        """The path of an open file or folder."""
        return self.shown(system.path_of(fd))

    def absolute(self, path: str, dir_fd: int | None = None) -> str:
        if path.startswith("/"):
            return path
        if not path:
            fail(errno.ENOENT)
        return f"{self.shown(system.getcwd()) if dir_fd is None else self.folder_of(dir_fd)}/{path}"

    # Looking

    def entry(self, path: str, upper: bool) -> Found:
        """What lies at a canonical path, links not followed. `upper`: its folder is on the upper side, too."""
        if upper:
            physical = self.files + path
            try:
                found = system.lstat(physical)
            except FileNotFoundError:
                pass
            except NotADirectoryError:
                return MISSING, path, physical, None
            else:
                if modes.S_ISLNK(found.st_mode) and system.readlink(physical) == GONE:
                    return MISSING, path, physical, None
                return UPPER, path, physical, found
        physical = path or "/"
        try:
            return LOWER, path, physical, system.lstat(physical)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING, path, physical, None

    def free(self, path: str) -> Found:
        try:
            return FREE, path, path, system.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return FREE, path, path, None

    def is_free(self, path: str) -> bool:
        return path.startswith(self.outside) or path == self.root

    def folder(self, path: str, depth: int = 0) -> tuple[str, bool]:
        """The canonical path of a folder, and whether it is on the upper side."""
        now = self.epoch[:]
        known = self.folders.get(path)
        if known is not None and known[0] == now:
            return known[1], known[2]
        if depth > MAX_LINKS:
            fail(errno.ELOOP)
        if len(self.folders) > MAX_FOLDERS:
            self.folders.clear()
        rest = []
        result = "", True
        while path.strip("/"):
            known = self.folders.get(path)
            if known is not None and known[0] == now:
                result = known[1], known[2]
                break
            rest.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(rest):
            result = self._step(*result, path.rpartition("/")[2], depth)
            self.folders[path] = now, *result
        return result

    def _step(self, base: str, upper: bool, name: str, depth: int) -> tuple[str, bool]:
        if name in ("", "."):
            return base, upper
        if name == "..":
            return self.folder(base.rpartition("/")[0], depth + 1)
        path = f"{base}/{name}"
        if path.startswith(SPECIAL):
            return path, False
        side, path, physical, found = self.free(path) if self.is_free(path) else self.entry(path, upper)
        if found is None:
            fail(errno.ENOENT)
        if modes.S_ISLNK(found.st_mode):
            target = system.readlink(physical)
            return self.folder(target if target.startswith("/") else f"{base}/{target}", depth + 1)
        if not modes.S_ISDIR(found.st_mode):
            fail(errno.ENOTDIR)
        return path, side == UPPER

    def quick(self, path: str) -> os.stat_result | None:
        """What lies in a folder that is known to have nothing on the upper side: most of what imports ask for. None for all else."""
        head, _, name = path.rpartition("/")
        known = self.folders.get(head)
        if known is None or known[2] or known[0] != self.epoch[:] or name in ("", ".", ".."):
            return None
        try:
            return system.lstat(f"{known[1]}/{name}")
        except OSError:
            return None

    def find(self, path: str, follow: bool = True) -> Found:
        """What lies at an absolute path. A path without its folder is an error, one that is not there is `MISSING`."""
        for _ in range(MAX_LINKS):
            if path.startswith(SPECIAL) and "/../" not in path:
                return FREE, path, path, None
            head, _, name = path.rpartition("/")
            if name in ("", ".", ".."):
                place, upper = self.folder(path)
                if self.is_free(place):
                    return self.free(place)
                return self.entry(place, upper)
            base, upper = self.folder(head)
            place = f"{base}/{name}"
            if self.is_free(place):
                result = self.free(place)
            else:
                result = self.entry(place, upper)
            found = result[3]
            if found is None or not follow or not modes.S_ISLNK(found.st_mode):
                return result
            target = system.readlink(result[2])
            path = target if target.startswith("/") else f"{base}/{target}"
        fail(errno.ELOOP)

    def last(self, path: str) -> tuple[Found, bool]:
        """What is to be made, removed or renamed, the last link not followed, and whether the name asks for a folder with a slash."""
        name = path.rstrip("/")
        return self.find(name or "/", follow=False), name != path

    def existing(self, path: str, follow: bool = True) -> Found:
        result = self.find(path, follow)
        if result[0] == MISSING:
            fail(errno.ENOENT)
        return result

    def names(self, path: str) -> list[str]:
        """The names in a folder, given by its canonical path."""
        if self.is_free(path):
            return system.listdir(path)
        shown, hidden = [], set()
        try:
            with system.scandir(self.files + path) as entries:
                for entry in entries:
                    hidden.add(entry.name)
                    if not (entry.is_symlink() and system.readlink(entry.path) == GONE):
                        shown.append(entry.name)
        except FileNotFoundError:
            return system.listdir(path or "/")
        try:
            lower = system.listdir(path or "/")
        except (FileNotFoundError, NotADirectoryError):
            lower = []
        return [name for name in lower if name not in hidden] + shown

    def is_folder(self, found: Found) -> bool:
        return found[3] is not None and modes.S_ISDIR(found[3].st_mode)

    # Changing

    def permit(self, folder: str) -> None:
        """The error of a folder in which the user may not create or remove."""
        lower = folder or "/"
        if system.is_folder(lower) and not system.access(lower, os.W_OK | os.X_OK):
            fail(errno.EACCES)

    def raise_folder(self, folder: str) -> str:
        """The folder on the upper side, made where it is not yet there."""
        physical = self.files + folder
        try:
            found = system.lstat(physical)
        except FileNotFoundError:
            self.raise_folder(folder.rpartition("/")[0])
        else:
            if modes.S_ISDIR(found.st_mode):
                return physical
            fail(errno.ENOTDIR)
        try:
            system.mkdir(physical)
        except FileExistsError:
            return physical
        lower = system.stat(folder)
        system.chmod(physical, modes.S_IMODE(lower.st_mode) | 0o700)
        system.utime(physical, ns=(lower.st_atime_ns, lower.st_mtime_ns))
        self.changed()
        return physical

    def clear_mark(self, physical: str) -> bool:
        """Take the mark of a removed file away, so that a new one can be put there."""
        try:
            if system.readlink(physical) != GONE:
                return False
        except OSError:
            return False
        system.unlink(physical)
        return True

    def room(self, path: str) -> str:
        """Where a new file goes, its folder made and its place free."""
        folder, _, name = path.rpartition("/")
        self.permit(folder)
        physical = f"{self.raise_folder(folder)}/{name}"
        self.clear_mark(physical)
        return physical

    def hide(self, path: str) -> None:
        """The lower file is gone for the script."""
        if system.look(path) is None:
            return
        folder, _, name = path.rpartition("/")
        try:
            system.symlink(GONE, f"{self.raise_folder(folder)}/{name}")
        except FileExistsError:
            return  # another process has just said so

    def seal(self, path: str) -> None:
        """A folder that came new to the upper side shows nothing of a lower one of the same name."""
        try:
            lower = system.listdir(path)
        except OSError:
            return
        for name in lower:
            below = f"{path}/{name}"
            try:
                found = system.lstat(self.files + below)
            except FileNotFoundError:
                system.symlink(GONE, self.files + below)
            else:
                if modes.S_ISDIR(found.st_mode):
                    self.seal(below)

    def drop(self, physical: str) -> None:
        """Remove an upper folder in which only marks are left."""
        for name in system.listdir(physical):
            below = f"{physical}/{name}"
            if modes.S_ISDIR(system.lstat(below).st_mode):
                self.drop(below)
            else:
                system.unlink(below)
        system.rmdir(physical)

    def copy_up(self, found: Found, content: bool = True) -> str:
        """The upper copy of what was found."""
        side, path, physical, info = found
        if side != LOWER or info is None:
            return physical
        target = self.files + path
        if modes.S_ISDIR(info.st_mode):
            return self.raise_folder(path)
        self.raise_folder(path.rpartition("/")[0])
        copy = f"{self.root}/work/{os.getpid()}-{next(self.numbers)}"
        if modes.S_ISLNK(info.st_mode):
            system.symlink(system.readlink(physical), copy)
        elif modes.S_ISREG(info.st_mode):
            if content:
                duplicate(physical, copy)
            else:
                system.close(system.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            system.chmod(copy, modes.S_IMODE(info.st_mode) | 0o600)
            system.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))
        else:
            return physical
        try:
            system.link(copy, target, follow_symlinks=False)
        except FileExistsError:
            pass  # another process was faster
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            move(copy, target)
            return target
        system.unlink(copy)
        return target

    def copy_tree(self, found: Found) -> str:
        target = self.copy_up(found)
        if found[0] in (LOWER, UPPER) and self.is_folder(found):
            for below in self.children(found[1]):
                self.copy_tree(below)
        return target

    def children(self, path: str) -> Iterator[Found]:
        upper = system.is_folder(self.files + path)
        for name in self.names(path):
            yield self.entry(f"{path}/{name}", upper)

    # What the script asks for

    def reading(self, path: str) -> str:
        """Where to read the file of an absolute path."""
        return self.existing(path)[2]

    def writing(self, path: str, flags: int) -> str:
        """Where to open a file that is written."""
        if flags & os.O_CREAT and path.endswith("/"):
            self.last(path)
            fail(errno.EISDIR)
        exclusive = flags & (os.O_CREAT | os.O_EXCL) == os.O_CREAT | os.O_EXCL
        found = self.find(path, not exclusive and not flags & os.O_NOFOLLOW)
        side, place, physical, info = found
        if side == FREE:
            return physical
        if side == MISSING:
            if not flags & os.O_CREAT:
                fail(errno.ENOENT)
            return self.room(place)
        if exclusive:
            fail(errno.EEXIST)
        if self.is_folder(found):
            if UNNAMED and flags & UNNAMED == UNNAMED:
                return self.raise_folder(place)
            fail(errno.EISDIR)
        if side == UPPER or info is None:
            return physical
        if not system.access(physical, os.W_OK):
            fail(errno.EACCES)
        return self.copy_up(found, content=not flags & os.O_TRUNC)

    def changing(self, path: str, follow: bool = True) -> str:
        """Where to change what the system knows of a file (its mode, its times)."""
        found = self.existing(path, follow)
        return self.copy_up(found)

    def vacant(self, path: str, folder: bool = False) -> Found:
        """Nothing is there yet, where something new is to be made."""
        found, slash = self.last(path)
        if found[0] != FREE:
            if found[0] != MISSING:
                fail(errno.EEXIST)
            if slash and not folder:
                fail(errno.ENOENT)
        return found

    def making(self, path: str) -> str:
        """Where to make a new link, pipe or node."""
        side, place, physical, _ = self.vacant(path)
        return physical if side == FREE else self.room(place)

    def mkdir(self, path: str, mode: int) -> None:
        side, place, physical, _ = self.vacant(path, folder=True)
        if side == FREE:
            system.mkdir(physical, mode)
        else:
            system.mkdir(self.room(place), mode)
            self.seal(place)

    def unlink(self, path: str) -> None:
        found, slash = self.last(path)
        side, place, physical, info = found
        if side == FREE:
            system.unlink(physical)
        elif info is None:
            fail(errno.ENOENT)
        else:
            if self.is_folder(found):
                fail(errno.EISDIR)
            if slash:
                fail(errno.ENOTDIR)
            self.permit(place.rpartition("/")[0])
            if side == UPPER:
                system.unlink(physical)
            self.hide(place)
        if info is not None and modes.S_ISLNK(info.st_mode):
            self.changed()

    def rmdir(self, path: str) -> None:
        found, _ = self.last(path)
        side, place, physical, info = found
        if side == FREE:
            system.rmdir(physical)
            self.changed()
            return
        if info is None:
            fail(errno.ENOENT)
        if not self.is_folder(found):
            fail(errno.ENOTDIR)
        if path.rstrip("/").endswith("/."):
            fail(errno.EINVAL)
        if path.rstrip("/").endswith("/..") or self.names(place):
            fail(errno.ENOTEMPTY)
        self.permit(place.rpartition("/")[0])
        if side == UPPER:
            self.drop(physical)
        self.hide(place)
        self.changed()

    def rename(self, source: str, target: str) -> None:
        (old, old_slash), (new, new_slash) = self.last(source), self.last(target)
        if source.endswith(("/.", "/..")) or target.endswith(("/.", "/..")):
            fail(errno.EBUSY)
        if old[0] == FREE and new[0] == FREE:
            self._move(old[2], new[2])
            self.reshaped(old, new)
            return
        if old[3] is None:
            fail(errno.ENOENT)
        folder = self.is_folder(old)
        if not folder and (old_slash or new_slash):
            fail(errno.ENOTDIR)
        if new[1].startswith(old[1] + "/"):
            fail(errno.EINVAL)
        if old[1].startswith(new[1] + "/"):
            fail(errno.ENOTEMPTY)
        if old[1] == new[1]:
            return
        if new[3] is not None and folder != self.is_folder(new):
            fail(errno.ENOTDIR if folder else errno.EISDIR)
        if folder and new[3] is not None and self.names(new[1]):
            fail(errno.ENOTEMPTY)
        if old[0] != FREE:
            self.permit(old[1].rpartition("/")[0])
        upper = self.copy_tree(old)
        if new[0] == FREE:
            place = new[2]
        else:
            if new[0] == UPPER and self.is_folder(new):
                self.drop(new[2])
            place = self.room(new[1])
        self._move(upper, place)
        if self.is_folder(old) and new[0] != FREE:
            self.seal(new[1])
        if old[0] != FREE:
            self.hide(old[1])
        self.reshaped(old, new)

    def reshaped(self, *names: Found) -> None:
        """Folders or links have changed their place."""
        if any(found is None or not modes.S_ISREG(found.st_mode) for _, _, _, found in names):
            self.changed()

    def _move(self, source: str, target: str) -> None:
        try:
            system.rename(source, target)
        except OSError as error:
            # The first version of Landlock lets nothing change its folder.
            if error.errno != errno.EXDEV or not (source.startswith(self.inside) and target.startswith(self.inside)):
                raise
            move(source, target)

    def link(self, source: str, target: str, follow: bool) -> None:
        old = self.existing(source, follow)
        self.vacant(target)
        if self.is_folder(old):
            fail(errno.EPERM)
        place = self.making(target)
        upper = self.copy_up(old)
        try:
            system.link(upper, place, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EXDEV or old[0] == FREE:
                raise
            duplicate(upper, place)

    def chdir(self, path: str) -> None:
        system.chdir(self.physical_folder(path))

    def physical_folder(self, path: str) -> str:
        """Where a process goes that enters a folder: to the user's own if there is one."""
        found = self.existing(path)
        if found[0] != FREE and not self.is_folder(found):
            fail(errno.ENOTDIR)
        lower = found[1] or "/"
        return lower if found[0] == UPPER and system.is_folder(lower) else found[2]


def duplicate(source: str, target: str) -> None:
    """Copy the content of a file, in the kernel where it can."""
    reader = system.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writer = system.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not _clone(reader, writer):
                while block := system.read(reader, 1 << 20):
                    view = memoryview(block)
                    while view:
                        view = view[system.write(writer, view) :]
        finally:
            system.close(writer)
    finally:
        system.close(reader)


def _clone(reader: int, writer: int) -> bool:
    copy = getattr(os, "copy_file_range", None)
    if copy is None:
        return False
    try:
        done = 0
        while count := copy(reader, writer, 1 << 30):
            done += count
    except OSError:
        if system.lseek(writer, 0, os.SEEK_CUR):
            raise
        return False
    return done > 0  # files of /proc say that they are empty


def move(source: str, target: str) -> None:
    """Rename step by step, where the system does not let a file change its folder."""
    found = system.lstat(source)
    if modes.S_ISDIR(found.st_mode):
        system.mkdir(target)
        for name in system.listdir(source):
            move(f"{source}/{name}", f"{target}/{name}")
        system.rmdir(source)
    else:
        if modes.S_ISLNK(found.st_mode):
            system.symlink(system.readlink(source), target)
        else:
            if system.look(target) is not None:
                system.unlink(target)
            duplicate(source, target)
        system.unlink(source)
    if not modes.S_ISLNK(found.st_mode):
        system.chmod(target, modes.S_IMODE(found.st_mode))
        system.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
