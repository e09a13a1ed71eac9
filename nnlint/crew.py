"""Worker processes. They are started afresh (never forked), only for work that is worth it, and none outlives the run.

What goes to and from them is plain data. Which of them did what makes no difference to the result.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from nnlint.progress import Progress
from nnlint.stack import deep
from nnlint.trouble import Trouble

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from nnlint.inquiry import Answer, Said
    from nnlint.program import File, Program
    from nnlint.trace.units import Before, Course, Unit

TEXT = 800_000
"""Characters of source text from which it is worth to parse in several processes: some seconds of work."""
RECORDS = 2_000_000
"""The same for bytes of records that are to be followed."""
_SHARES = 6
"""Tasks for each worker, so that none waits long for another at the end."""


class Job(msgspec.Struct, array_like=True):
    """What a worker needs to know of a project."""

    records: dict[str, bytes]
    known: list[str]
    src: list[str]
    paths: dict[str, tuple[str, ...]]
    codes: list[str]


def processors() -> int:
    """How many are free for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """Up to `jobs` workers (0: as many as there are processors); with one, everything is done in this process. To be used in a `with`."""

    def __init__(self, jobs: int = 1, progress: Progress | None = None) -> None:
        self.jobs = jobs or processors()
        self.progress = progress or Progress()
        self._job: Job | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._folder = ""
        self._path = ""

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.progress.close()
        if self._pool is not None:
            if kind is not None:
                dismiss()
            # not left to the end of Python: its own clean-up wakes a pool that may be closed already
            self._pool.shutdown(cancel_futures=True)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def brief(self, program: Program, packed: dict[str, bytes], codes: Iterable[str]) -> None:
        """Tell what the project is, before anything of it is to be followed."""
        self._job = Job(packed, sorted(program.known), ["/".join(part) for part in program.src], program.paths, sorted(codes))

    def lowered(self, texts: Sequence[str]) -> list[bytes | None] | None:
        """The packed records of some texts; None where that is not worth a crew."""
        sizes = [len(text) for text in texts]
        return self._share(_lower, texts, sizes) if self.jobs > 1 and sum(sizes) >= TEXT else None

    def islands(self, islands: Sequence[Sequence[str]]) -> list[Said] | None:
        """What the rules say of some islands, given by the keys of their files."""
        sizes = [self._size(keys) for keys in islands]
        if self.jobs < 2 or sum(sizes) < RECORDS:
            return None
        return self._share(_islands, islands, sizes, self._briefing())

    def units(self, course: Course, wave: int, units: Sequence[Unit]) -> dict[Unit, Answer] | None:
        """What some units of a wave have to say."""
        sizes = [self._size([unit.key]) for unit in units]
        if self.jobs < 2 or sum(sizes) < RECORDS:
            return None
        keys = [file.key for file in course.files]
        before = msgspec.msgpack.encode([_plain(course.before(earlier)) for earlier in range(1, wave + 1)])
        answers = self._share(_units, [unit.key for unit in units], sizes, self._briefing(), keys, wave, before)
        return dict(zip(units, answers, strict=True))

    def _size(self, keys: Iterable[str]) -> int:
        return sum(len(self._job.records[key]) for key in keys) if self._job is not None and self.jobs > 1 else 0

    def _share(
        self, work: Callable[..., list[Any]], items: Sequence[Any], sizes: Sequence[int], *about: object
    ) -> list[Any]:
        """Do some work on items, the largest first; the results are in the order of the items."""
        import multiprocessing
        from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
        from concurrent.futures.process import BrokenProcessPool

        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.jobs, multiprocessing.get_context("spawn"), _prepare)
        limit = sum(sizes) / (self.jobs * _SHARES)
        shares: list[list[int]] = []
        room = 0.0
        for index in sorted(range(len(items)), key=lambda index: -sizes[index]):
            if room <= 0:
                shares.append([])
                room = limit
            shares[-1].append(index)
            room -= sizes[index]
        results: list[Any] = [None] * len(items)
        try:
            waiting = {self._pool.submit(work, *about, [items[index] for index in share]): share for share in shares}
            while waiting:
                done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    share = waiting.pop(future)
                    for index, result in zip(share, future.result(), strict=True):
                        results[index] = result
                        self.progress.step()
        except BrokenProcessPool:
            raise Trouble("a worker process has ended before its work was done (was it killed for memory?); try `--jobs 1`") from None
        return results

    def _briefing(self) -> str:
        """A file for the workers to read: most of it is large."""
        if not self._path:
            self._folder = tempfile.mkdtemp(prefix="nnlint-")
            self._path = os.path.join(self._folder, "job")
            with open(self._path, "wb") as file:
                file.write(msgspec.msgpack.encode(self._job))
        return self._path


def dismiss() -> None:
    """End all workers at once: the run was interrupted."""
    if "multiprocessing" in sys.modules:
        for process in sys.modules["multiprocessing"].active_children():
            process.terminate()


# --- in a worker -------------------------------------------------------------------------------------------------


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears of it and ends the others
    gc.set_threshold(50_000, 20, 100)
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


class Worker:
    """What a worker keeps from one task to the next."""

    def __init__(self, path: str) -> None:
        from nnlint.program import Program
        from nnlint.registry import catalogue

        with open(path, "rb") as file:
            self.job = msgspec.msgpack.decode(file.read(), type=Job)
        self.program = Program([], self.job.known, self.job.src)
        for key, folders in self.job.paths.items():
            self.program.look_in(key, folders)
        self.rules = [rule() for rule in catalogue().rules if rule.code in self.job.codes]
        self._course: Course | None = None

    def files(self, keys: Sequence[str]) -> list[File]:
        from nnlint.lower.memory import unpack
        from nnlint.program import File

        return [File(key, unpack(self.job.records[key])) for key in keys]

    def course(self, keys: Sequence[str]) -> Course:
        from nnlint.trace.units import Course

        if self._course is None or keys[0] not in self._course.program.files:
            files = self.files(keys)
            self._course = Course(self.program, files)
        return self._course


@lru_cache(maxsize=1)
def _worker(path: str) -> Worker:
    return Worker(path)


def _lower(texts: Sequence[str]) -> list[bytes | None]:
    from nnlint.lower.memory import pack

    return deep(lambda: [pack(text) for text in texts])


def _islands(path: str, islands: Sequence[Sequence[str]]) -> list[Said]:
    from nnlint.inquiry import whole

    worker = _worker(path)
    return deep(lambda: [whole(worker.program, worker.files(keys), worker.rules) for keys in islands])


def _units(path: str, keys: Sequence[str], wave: int, before: bytes, units: Sequence[str]) -> list[Answer]:
    from nnlint.inquiry import ask
    from nnlint.trace.units import Unit

    def work() -> list[Answer]:
        worker = _worker(path)
        course = worker.course(keys)
        course.follow([_told(each) for each in msgspec.msgpack.decode(before, type=list[Plain])])
        return [ask(course, Unit(wave, key), worker.rules) for key in units]

    return deep(work)


Where = tuple[str, int]
Plain = tuple[list[Where], list[Where], list[tuple[Where, str]], list[Where]]


def _plain(before: Before) -> Plain:
    harmless = [(site.source, site.at) for site in before.harmless]
    return list(before.reached), list(before.visited), list(before.made.items()), harmless


def _told(plain: Plain) -> Before:
    from nnlint.findings import Site
    from nnlint.trace.units import Before

    reached, visited, made, harmless = plain
    return Before(frozenset(reached), frozenset(visited), dict(made), frozenset(Site(*site) for site in harmless))
