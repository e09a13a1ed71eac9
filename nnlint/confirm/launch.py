"""Start the user's script in a child process, follow it, and leave no process behind."""

from __future__ import annotations

import compileall
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Union

import msgspec

from nnlint.confirm.job import VARIABLE, Job, write
from nnlint.confirm.records import AnyRecord, Ended

_PACE = 0.03  # seconds between two looks at the child
_GRACE = 8.0  # seconds that a script gets to end by itself
_OUTPUT = "output.log"


Process = tuple[int, int]  # a rank and one of its processes


class Outcome(msgspec.Struct):
    """What the child has left: its records by rank, how it ended, and what it printed."""

    records: list[tuple[Process, AnyRecord]]
    ended: Ended
    code: Union[int, None]
    output: str
    seconds: float
    aside: tuple[str, ...] = ()  # what went past the guard over the user's files


def launch(
    job: Job, scratch: Path, *, show: bool = False, tell: Callable[[Process, AnyRecord], None] = lambda source, record: None
) -> Outcome:
    """Run the job to its end, its time limit or an interrupt. `tell` hears every record as it comes; `show` lets the script print."""
    write(job, scratch)
    _compile_probe()
    others = _adopt_orphans()
    began = time.monotonic()
    readers: dict[Path, _Reader] = {}
    records: list[tuple[Process, AnyRecord]] = []

    def read() -> None:
        for path in sorted(scratch.glob("evidence.*.jsonl")):
            if path not in readers:
                readers[path] = _Reader(path)
            for record in readers[path].new():
                records.append((readers[path].source, record))
                tell(readers[path].source, record)

    with (scratch / _OUTPUT).open("wb") as log:
        child = _start(job, scratch, None if show else log)
        reason = ""
        try:
            reason = _follow(child, job, began, read, records)
        except KeyboardInterrupt:
            reason = "interrupt"
        finally:
            _end(child, read, others)
    read()
    for reader in readers.values():
        reader.close()
    ended = _ended(records, reason, child.returncode)
    output = (scratch / _OUTPUT).read_text(encoding="utf-8", errors="replace")
    return Outcome(records, ended, child.returncode, output, time.monotonic() - began, _past_the_guard(scratch))


def _compile_probe() -> None:
    """The child writes no bytecode, so that none comes beside the user's files; without this it would compile the probe each time."""
    if not sys.dont_write_bytecode:
        home = Path(__file__).resolve().parent.parent
        for folder in ("confirm", "knowledge"):
            compileall.compile_dir(home / folder, quiet=2)


def _follow(
    child: subprocess.Popen[bytes], job: Job, began: float, read: Callable[[], None], records: list[tuple[Process, AnyRecord]]
) -> str:
    """Wait for the end of the child; why it was not waited for, where it was not."""
    over: Union[float, None] = None
    while child.poll() is None:
        read()
        now = time.monotonic()
        if now - began > job.timeout:
            return "timeout"
        ended = [record for _, record in records if isinstance(record, Ended)]
        if over is None and (len(ended) >= job.ranks or any(record.reason == "steps" for record in ended)):
            over = now
        # A script may catch what ends it, train in another thread, or hang in its own clean-up.
        if over is not None and now - over > _GRACE:
            return "late"
        time.sleep(_PACE)
    return ""


def _start(job: Job, scratch: Path, log: Union[IO[bytes], None]) -> subprocess.Popen[bytes]:
    what = ["-m", job.script, *job.args] if job.module else [job.script, *job.args]
    if job.ranks > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.ranks)]
        what = [*torchrun, *what]
    return subprocess.Popen(
        [sys.executable, *what],
        cwd=job.folder,
        env=_environment(job, scratch),
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        start_new_session=True,
    )


def _environment(job: Job, scratch: Path) -> dict[str, str]:
    from nnlint.confirm.child.entry import SITE
    from nnlint.confirm.child.environment import environment

    site = scratch / "site"
    site.mkdir(exist_ok=True)
    home = str(Path(__file__).resolve().parent.parent.parent)
    (site / "sitecustomize.py").write_text(SITE.format(folder=str(site), home=home, scratch=str(scratch)), encoding="utf-8")
    path = os.environ.get("PYTHONPATH", "")
    env = {
        **os.environ,
        **environment(str(scratch)),
        VARIABLE: str(scratch),
        "PYTHONPATH": str(site) + (os.pathsep + path if path else ""),
        "PYTHONUNBUFFERED": "1",
        "TORCH_COMPILE_DISABLE": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "PYTORCH_JIT": "0",
    }
    if job.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    elif job.device.startswith("cuda:"):
        env["CUDA_VISIBLE_DEVICES"] = job.device.removeprefix("cuda:")
    return env


class _Reader:
    """The lines that have come since the last look."""

    def __init__(self, path: Path) -> None:
        _, rank, process, _ = path.name.split(".")
        self.source = (int(rank), int(process))
        self._file = path.open("rb")
        self._rest = b""
        self._decode = msgspec.json.Decoder(AnyRecord).decode

    def new(self) -> Iterator[AnyRecord]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError):
                yield self._decode(line)

    def close(self) -> None:
        self._file.close()


def _ended(records: list[tuple[Process, AnyRecord]], reason: str, code: Union[int, None]) -> Ended:
    said = [record for _, record in records if isinstance(record, Ended)]
    # What fails after a process has seen enough fails because that one has ended.
    for reason_first in ("steps", "error"):
        for record in said:
            if record.reason == reason_first:
                return record
    if said and not (reason == "interrupt" and said[0].reason == "timeout"):
        return said[0]
    if reason in ("timeout", "interrupt"):
        return Ended(reason=reason)
    return Ended(reason="end" if code == 0 else "error", error="" if code == 0 else f"the process ended with code {code}")


def _past_the_guard(scratch: Path) -> tuple[str, ...]:
    """What the script did that its own changes to files do not reach, or that was refused."""
    from nnlint.confirm.child.guard import lines

    said = []
    for line in lines(str(scratch)):
        where = line["where"].rpartition(":")[0]
        if f"{os.sep}site-packages{os.sep}" in where or not where:
            continue
        if line["kind"] == "command":
            said.append(f"it ran `{line['command']}`, which does not see what the script has written")
        else:
            said.append(f"`{line['call']}` of `{line['path']}` was refused, because it went past the guard")
    return tuple(dict.fromkeys(said))


def _end(child: subprocess.Popen[bytes], read: Callable[[], None], others: set[int]) -> None:
    """End the child and all that it has started."""
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        until = time.monotonic() + 2.0
        while child.poll() is None and time.monotonic() < until:
            read()
            time.sleep(_PACE)
    _signal(child, signal.SIGKILL)
    child.wait()
    _reap(others)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _adopt_orphans() -> set[int]:
    """On Linux: what the script leaves behind becomes ours, even in a session of its own, so that it can be ended.

    Returns the children that there are already, which are none of its.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    return _children()


def _reap(others: set[int]) -> None:
    """Kill the orphans that have come to us, and those that come to us by that."""
    for _ in range(50):
        orphans = _children() - others
        if not orphans:
            return
        for orphan in orphans:
            with contextlib.suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(orphan, 0)


def _children() -> set[int]:
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, path.read_text().split()))
    return found
