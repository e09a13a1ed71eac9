"""The probe: watchers over the places of torch through which all training goes.

Patched are entry points only (losses, activations, `Module.__call__`, `backward`, optimizer hooks), which costs a few microseconds each;
what a watcher computes it computes without gradients and without the random numbers of the user. A watcher that fails is switched off
and says so: the user's script goes on.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Union

import torch

from nnlint.confirm.child.biases import Biases
from nnlint.confirm.child.births import Births
from nnlint.confirm.child.course import Course
from nnlint.confirm.child.forwards import Forwards
from nnlint.confirm.child.gradients import Gradients
from nnlint.confirm.child.losses import Losses
from nnlint.confirm.child.ranks import Ranks
from nnlint.confirm.child.views import Views
from nnlint.confirm.records import Chain, Cost, Note, Record

if TYPE_CHECKING:
    from nnlint.confirm.child.entry import Session

Function = Callable[..., Any]


class Probe:
    """`on` is false while nothing shall be recorded: during replays, and in forked children."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.job, self.wire, self.frames = session.job, session.wire, session.frames
        self.on = True
        self._began = self._extra = 0.0
        self._noted: set[str] = set()
        self._guarded: dict[str, Function] = {}
        self.births = Births(self)
        self.forwards = Forwards(self)
        self.losses = Losses(self)
        self.gradients = Gradients(self)
        self.views = Views(self)
        self.biases = Biases(self)
        self.ranks = Ranks(self)
        self.course = Course(self)

    def install(self) -> None:
        began = time.perf_counter()
        self._install()
        self._began = time.perf_counter() - began

    def _install(self) -> None:
        if self.job.synthetic:
            from nnlint.confirm.child.standin import StandIns

            StandIns(self).install()
        for watcher in (self.births, self.forwards, self.losses, self.gradients, self.views, self.course):
            watcher.install()
        if self.job.ranks > 1:
            self.ranks.install()
        self._switch_off_compilers()

    def finish(self, *, at_end: bool) -> None:
        """The run is over: what is left to be settled. `at_end`: the script came to its own end."""
        if at_end:
            from nnlint.confirm.child.bench import Bench

            self.bench = Bench(self)  # keeps what it has built until it is judged
            self.bench.run()
        self.on = False
        self.course.settle()
        self.wire.send(Cost(start=self._began, extra=self._extra))

    def failed(self, error: BaseException) -> None:
        """The script ends with an error."""
        from nnlint.confirm.child.standin import needing

        name = needing(error)
        if name and not self.job.synthetic:
            self.note(f"the data of `{name}` is missing: with --synthetic-data its items are made up")

    def chain(self) -> Chain:
        return self.frames.chain()

    def suspected(self, chain: Chain) -> bool:
        """Whether a finding speaks of one of these places."""
        return any(
            spot.path == path and spot.row <= last and first <= spot.end_row for spot in chain for path, first, last in self.job.suspects
        )

    def record(self, record: Record) -> None:
        self.wire.number(record)
        self.wire.changed(record)

    def note(self, text: str) -> None:
        """Something for the report, once."""
        if text not in self._noted:
            self._noted.add(text)
            self.wire.send(Note(text=text))

    def after(self, owner: Any, name: str, seen: Function) -> None:
        """Let `seen(result, *args, **kwargs)` look at each call of `owner.name`."""
        original = getattr(owner, name, None)
        if original is None:
            return
        safely = self.safely(seen)

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self.on:
                safely(result, *args, **kwargs)
            return result

        setattr(owner, name, watched)

    def safely(self, seen: Function) -> Function:
        """A watcher whose own mistakes do not reach the user's script."""
        broken = False

        @functools.wraps(seen)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            nonlocal broken
            if broken:
                return None
            self.on = False
            try:
                return seen(*args, **kwargs)
            except Exception as error:  # noqa: BLE001
                broken = True
                self.note(f"the probe lost sight of {seen.__name__.strip('_')}: {error!r}")
                return None
            finally:
                self.on = True

        return guarded

    def safely_step(self, seen: Function, *args: Any) -> Any:
        """The same for what may replace the arguments of a step."""
        key = seen.__name__
        if key not in self._guarded:
            self._guarded[key] = self.safely(seen)
        return self._guarded[key](*args)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Room for computations of our own: the user's random numbers come out of it as they went in."""
        running = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        devices = list(range(torch.cuda.device_count())) if running else []
        state, on = random.getstate(), self.on
        numbers = _numpy_state()
        self.on = False
        began = time.perf_counter()
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            self.on = on
            random.setstate(state)
            _restore_numpy(numbers)
            self._extra += time.perf_counter() - began

    def _switch_off_compilers(self) -> None:
        """Compiled code hides what the probe looks at. The launcher has switched it off; a script that asks for it is told so."""

        def compiled(result: Any, *args: Any, **kwargs: Any) -> None:
            self.note("torch.compile is switched off under the probe")

        def scripted(result: Any, *args: Any, **kwargs: Any) -> None:
            if self.chain():
                self.note("torch.jit.script is switched off under the probe")

        self.after(torch, "compile", compiled)
        self.after(torch.jit, "script", scripted)


def _numpy_state() -> Union[tuple[Any, ...], None]:
    import sys

    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy is not None else None


def _restore_numpy(state: Union[tuple[Any, ...], None]) -> None:
    if state is not None:
        import numpy

        numpy.random.set_state(state)
