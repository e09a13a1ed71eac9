"""How the user's process begins: the guard over their files first, then the probe, as soon as their script imports torch.

A `sitecustomize` of ours, in front on PYTHONPATH, calls `begin`; the script is then run by Python itself, as its author does. All Python
processes that the script starts come through here as well: they are guarded and watched, too, for some scripts train in processes of
their own; but how the run ends is told by the first.
"""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import os
import platform
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Union

from nnlint.confirm.child.frames import Frames
from nnlint.confirm.child.wire import Wire
from nnlint.confirm.job import Job, read
from nnlint.confirm.records import Ended, Guarded, Note, Setting

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

SITE = """\
import os, sys
sys.path.remove({folder!r})
try:
    import nnlint
except ImportError:
    sys.path.insert(0, {home!r})
    import nnlint
    sys.path.remove({home!r})
from nnlint.confirm.child.entry import begin, chain
begin({scratch!r})
chain()
"""


class Stop(BaseException):
    """Ends the user's script: enough has been seen."""


def begin(scratch: str) -> None:
    """Called before any code of the user's."""
    from nnlint.confirm.child.guard import install

    job = read(Path(scratch))
    protection = install(scratch)
    _die_with_parent()
    rank = int(os.environ.get("RANK", "0")) if job.ranks > 1 else 0
    if job.ranks > 1 and "RANK" not in os.environ:
        sys.meta_path.insert(0, TorchFinder(None))
        return
    first = _claimed(scratch, rank)
    wire = Wire(os.path.join(scratch, f"evidence.{rank}.{os.getpid()}.jsonl"))
    session = Session(job, wire, rank)
    if not first:
        # A process that the script has started may be the one that trains; how it ends is its own affair.
        session.partial = True
        sys.meta_path.insert(0, TorchFinder(session))
        os.register_at_fork(after_in_child=session.forget)
        return
    wire.send(Guarded(kernel=protection.kernel, limits=protection.limits))
    if "torch" in sys.modules:  # by a `.pth` file, or in the process that this one was forked from
        _torch_imported(session)
    else:
        sys.meta_path.insert(0, TorchFinder(session))
    sys.excepthook = session.uncaught
    atexit.register(session.over)
    signal.signal(signal.SIGTERM, session.ended_from_outside)
    os.register_at_fork(after_in_child=session.forget)
    leave = os._exit

    def leaving(status: int) -> None:
        session.over()
        leave(status)

    os._exit = leaving  # type: ignore[assignment]


def chain() -> None:
    """Run the `sitecustomize` that ours stands in front of."""
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _claimed(scratch: str, rank: int) -> bool:
    """Whether this process is the one to be watched."""
    try:
        os.close(os.open(os.path.join(scratch, f"claim.{rank}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _die_with_parent() -> None:
    """On Linux a process can ask to be killed when its parent is gone."""
    if sys.platform != "linux":
        return
    import ctypes

    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return


class Session:
    """What outlives the probe: how the run ended."""

    def __init__(self, job: Job, wire: Wire, rank: int) -> None:
        self.job, self.wire, self.rank = job, wire, rank
        self.frames = Frames()
        self.ended = self.partial = False
        self.probe: Union[Probe, None] = None

    def torch_imported(self) -> None:
        import torch

        self.wire.send(Setting(torch=str(torch.__version__), python=platform.python_version(), rank=self.rank, ranks=self.job.ranks))
        from nnlint.confirm.child.probe import Probe

        self.probe = Probe(self)
        self.probe.install()

    def end(self, ended: Ended) -> None:
        if not self.ended:
            self.ended = True
            if self.probe is not None:
                self.probe.finish(at_end=ended.reason == "end")
            if not self.partial or ended.reason == "steps":
                self.wire.send(ended)

    def over(self) -> None:
        self.end(Ended(reason="end"))

    def forget(self) -> None:
        """In a forked child nothing is watched."""
        self.ended = True
        if self.probe is not None:
            self.probe.on = False

    def ended_from_outside(self, number: int, frame: object) -> None:
        """The launcher's time is up."""
        self.end(Ended(reason="timeout"))
        raise Stop

    def uncaught(self, kind: type[BaseException], error: BaseException, trace: Union[TracebackType, None]) -> None:
        if isinstance(error, Stop):
            self.end(Ended(reason="steps"))
            return
        if not self.ended:
            if self.probe is not None:
                self.probe.failed(error)
            text = f"{kind.__name__}: {error}" if str(error) else kind.__name__
            own = self._trimmed(kind, error, trace)
            self.end(Ended(reason="error", error=text, trace=own, missing=missing(error)))
        sys.__excepthook__(kind, error, trace)

    def _trimmed(self, kind: type[BaseException], error: BaseException, trace: Union[TracebackType, None]) -> str:
        """The traceback with the user's own frames only."""
        kept = [
            summary
            for (frame, _), summary in zip(traceback.walk_tb(trace), traceback.extract_tb(trace), strict=False)
            if self.frames.mine(frame.f_code)
        ]
        return "".join([*traceback.format_list(kept), *traceback.format_exception_only(kind, error)])


def missing(error: Union[BaseException, None]) -> str:
    """The file that was not there, whether the error says so itself or stands behind another."""
    while error is not None:
        if isinstance(error, FileNotFoundError) and error.filename is not None:
            return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
        error = error.__cause__ or error.__context__
    return ""


class TorchFinder(importlib.abc.MetaPathFinder):
    """Tells the session when the user's script has imported torch, and stays out of everything else."""

    def __init__(self, session: Union[Session, None]) -> None:
        self._session = session

    def find_spec(
        self, name: str, path: Union[Sequence[str], None] = None, target: Union[ModuleType, None] = None
    ) -> Union[importlib.machinery.ModuleSpec, None]:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        run, session = spec.loader.exec_module, self._session

        def exec_module(module: ModuleType) -> None:
            run(module)
            _torch_imported(session)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _torch_imported(session: Union[Session, None]) -> None:
    from nnlint.confirm.child.guard import torch_imported

    torch_imported()
    if session is None:
        return
    try:
        session.torch_imported()
    except Exception as error:  # noqa: BLE001  the user's script goes on, and the report says what happened
        session.wire.send(Note(text=f"the probe could not be installed: {error!r}"))
