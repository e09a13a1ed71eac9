"""Functions that read and write files in native code, handed the path in the merged view.

The table names, per module, what takes a path, where it stands among the arguments, and what it does with it. They are wrapped when the
script has imported the module. Native functions that are not in the table read the user's files as they are, and the kernel refuses
their writes.
"""

from __future__ import annotations

import os
import sys

from nnlint.confirm.child import system
from nnlint.confirm.child.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

READ = os.O_RDONLY
CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
CHANGE = os.O_RDWR | os.O_CREAT
CAN_BE_BASE = 1 << 10


class Native:
    """A function or class of a module that takes a path."""

    def __init__(self, name: str, at: int, keyword: str, flags: int | Callable[[tuple[Any, ...], dict[str, Any]], int]) -> None:
        self.name = name
        self.at = at
        self.keyword = keyword
        self.flags = flags


def _shared(arguments: tuple[Any, ...], named: dict[str, Any]) -> int:
    """`from_file(filename, shared=False, size=0)` makes the file where it is shared."""
    return CHANGE if (arguments[1] if len(arguments) > 1 else named.get("shared")) else READ


def _h5py(arguments: tuple[Any, ...], named: dict[str, Any]) -> int:
    mode = arguments[2] if len(arguments) > 2 else named.get("mode", "r")
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return {"w": CREATE, "a": CHANGE, "r+": os.O_RDWR, "w-": new, "x": new}.get(mode, READ)


def _arrow(arguments: tuple[Any, ...], named: dict[str, Any]) -> int:
    mode = arguments[1] if len(arguments) > 1 else named.get("mode", "r")
    return CREATE if mode in ("w", "wb") else os.O_RDWR if "+" in mode else READ


TABLE: dict[str, tuple[Native, ...]] = {
    "torch": (
        Native("_C.PyTorchFileWriter", 0, "file_name", CREATE),
        Native("_C.PyTorchFileReader", 0, "file_name", READ),
        Native("_C.import_ir_module", 1, "filename", READ),
        Native("_C._load_for_lite_interpreter", 0, "filename", READ),
        Native("jit._script.RecursiveScriptModule.save", 1, "f", CREATE),
        Native("jit._script.RecursiveScriptModule._save_for_lite_interpreter", 1, "f", CREATE),
        Native("from_file", 0, "filename", _shared),
        Native("UntypedStorage.from_file", 0, "filename", _shared),
        Native("autograd.profiler.profile.export_chrome_trace", 1, "path", CREATE),
        Native("_C._distributed_c10d.FileStore", 0, "file_name", CHANGE),
    ),
    "cv2": (
        Native("imwrite", 0, "filename", CREATE),
        Native("imread", 0, "filename", READ),
        Native("VideoWriter", 0, "filename", CREATE),
        Native("VideoCapture", 0, "filename", READ),
    ),
    "h5py": (Native("_hl.files.File.__init__", 1, "name", _h5py),),
    "pyarrow": (Native("memory_map", 0, "path", _arrow), Native("OSFile", 0, "path", _arrow)),
    "pyarrow.parquet.core": (
        Native("ParquetDataset.__init__", 1, "path_or_paths", READ),
        Native("ParquetFile.__init__", 1, "source", READ),
        Native("ParquetWriter.__init__", 1, "where", CREATE),
        Native("read_table", 0, "source", READ),
    ),
    "safetensors": (Native("safe_open", 0, "filename", READ), Native("serialize_file", 1, "filename", CREATE)),
    "safetensors.torch": (Native("safe_open", 0, "filename", READ), Native("serialize_file", 1, "filename", CREATE)),
    "safetensors.numpy": (Native("safe_open", 0, "filename", READ), Native("serialize_file", 1, "filename", CREATE)),
    "torchvision.io.image": (
        Native("read_file", 0, "path", READ),
        Native("write_file", 0, "filename", CREATE),
        Native("write_jpeg", 1, "filename", CREATE),
        Native("write_png", 1, "filename", CREATE),
    ),
}


def install(files: Files) -> None:
    """Wrap what is imported from now on."""
    _files.append(files)
    sys.meta_path.insert(0, Finder())


def torch_imported() -> None:
    """For a probe whose own import hook for torch comes before ours."""
    imported("torch")


_files: list[Files] = []
_done: set[str] = set()


class Finder:
    """An import hook that finds nothing by itself, and wraps the native functions of a module once it is there."""

    def __init__(self) -> None:
        self.busy: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if (name not in TABLE and name != "sqlite3") or name in self.busy:
            return None
        self.busy.add(name)
        try:
            for finder in sys.meta_path:
                spec = None if finder is self else finder.find_spec(name, path, target)
                if spec is not None:
                    break
            else:
                return None
        finally:
            self.busy.discard(name)
        loader: Any = spec.loader
        if isinstance(getattr(loader, "__dict__", None), dict):

            def exec_module(module: Any) -> None:
                del loader.exec_module
                loader.exec_module(module)
                imported(name)

            loader.exec_module = exec_module
        return spec


def imported(name: str) -> None:
    """Wrap the native functions of a module, once."""
    if name in _done or not _files:
        return
    _done.add(name)
    if name == "sqlite3":
        _sqlite(sys.modules[name])
        return
    for native in TABLE[name]:
        *owners, last = native.name.split(".")
        owner: Any = sys.modules[name]
        for step in owners:
            owner = getattr(owner, step, None)
        original = getattr(owner, last, None)
        if original is not None:
            try:
                _wrap(owner, last, original, native)
            except (AttributeError, TypeError):
                continue  # not to be replaced in this version of the library: the kernel stands behind it


def _wrap(owner: Any, name: str, original: Any, native: Native) -> None:
    def mapped(arguments: tuple[Any, ...], named: dict[str, Any], shift: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
        at = native.at + shift
        flags = native.flags
        if callable(flags):
            flags = flags(arguments[shift:], named)
        if at < len(arguments):
            arguments = (*arguments[:at], located(arguments[at], flags), *arguments[at + 1 :])
        elif native.keyword in named:
            named = {**named, native.keyword: located(named[native.keyword], flags)}
        return arguments, named

    import functools

    replacement: Any
    if isinstance(original, type) and original.__flags__ & CAN_BE_BASE:
        replacement = _subclass(original, mapped)
    else:

        @functools.wraps(original, updated=())
        def replacement(*arguments: Any, **named: Any) -> Any:
            arguments, named = mapped(arguments, named)
            return original(*arguments, **named)

        if isinstance(owner, type) and getattr(original, "__self__", None) is not None:
            replacement = staticmethod(replacement)
    setattr(owner, name, replacement)
    if isinstance(owner, type(sys)):
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get(name) is original:
                setattr(module, name, replacement)


def _subclass(original: type, mapped: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]) -> type:
    """Some native classes take their arguments in `__new__`, some in `__init__`, some in both."""
    members: dict[str, Any] = {"__module__": original.__module__, "__qualname__": original.__qualname__, "__doc__": original.__doc__}
    if has_own(original, "__new__"):

        def new(cls: type, *arguments: Any, **named: Any) -> Any:
            arguments, named = mapped(arguments, named)
            return original.__new__(cls, *arguments, **named)

        members["__new__"] = new
    if has_own(original, "__init__"):

        def init(self: Any, *arguments: Any, **named: Any) -> None:
            arguments, named = mapped(arguments, named)
            original.__init__(self, *arguments, **named)  # type: ignore[misc]

        members["__init__"] = init
    return type(original)(original.__name__, (original,), members)


def has_own(kind: type, name: str) -> bool:
    return getattr(kind, name) is not getattr(object, name)


def located(path: Any, flags: int) -> Any:
    """The path in the merged view; what is no path (a buffer, a number) as it is."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return path
    name = os.fspath(path)
    try:
        place = _files[0].locate(name, flags)
    except (FileNotFoundError, NotADirectoryError):
        # The function says so in its own words. What the script has removed is on the lower side still.
        place = _files[0].place(name)
        if system.look(place) is None:
            return path
        place = _files[0].overlay.files + place
    except OSError as error:
        error.filename = name
        raise
    return os.fsencode(place) if isinstance(name, bytes) else place


def _sqlite(module: Any) -> None:
    import functools

    connect = module.connect

    @functools.wraps(connect)
    def replacement(database: Any, *arguments: Any, **named: Any) -> Any:
        uri = named.get("uri", arguments[6] if len(arguments) > 6 else False)
        return connect(_database(database, uri), *arguments, **named)

    module.connect = replacement
    module.dbapi2.connect = replacement


def _database(database: Any, uri: bool) -> Any:
    name = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
    if uri and name.startswith("file:"):
        from urllib.parse import quote, unquote

        path, mark, query = name[5:].partition("?")
        if path.startswith("//"):
            path = "/" + path[2:].partition("/")[2]
        if not path or ":memory:" in path or "mode=memory" in query:
            return database
        return f"file:{quote(_base(unquote(path), 'mode=ro' in query or 'immutable=1' in query))}{mark}{query}"
    return database if not name or name == ":memory:" else _base(name, False)


def _base(name: str, read: bool) -> str:
    """A database with its side files."""
    files = _files[0]
    for suffix in ("-wal", "-shm", "-journal"):
        if files.access(name + suffix, os.F_OK):
            files.locate(name + suffix, os.O_RDWR)
    return files.locate(name, READ if read else CHANGE)
