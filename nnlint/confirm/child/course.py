"""How far the run has come, and when enough has been seen.

After the wanted number of steps the run goes on only for the sake of the modes: to the next evaluation, and a few steps beyond. To get
there, each further pass over a DataLoader is cut short.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from nnlint.confirm.records import Ended, Progress

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_BEYOND = 5  # optimizer steps after an evaluation
_PASS = 8  # batches of a pass that is cut short
_CALLS = 5  # calls without gradients that are enough
_EVALUATIONS = 2  # the same where an evaluation is a call or two
_ROUNDS = 10  # times the wanted steps without an evaluation after which none is expected, unless a finding speaks of one
_BY_HAND = 5  # times the wanted steps in backwards, after which no optimizer is expected
_PASSES = 60  # passes without an evaluation after which none is expected


class Course:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._began = time.monotonic()
        self._progress = Progress(steps=0, seconds=0.0)
        self.steps = 0  # of the optimizer that has taken most
        self._cutting = False
        self._cut_at = 0
        self._backwards = 0
        self._passes = 0
        self._evaluated_at: int | None = None
        self._evaluations = 0  # with training steps between them
        self._stopped = False

    def install(self) -> None:
        self._probe.wire.number(self._progress)
        try:
            from torch.utils.data import dataloader
        except ImportError:
            return
        course = self
        kind: Any = dataloader._BaseDataLoaderIter
        original = kind.__next__

        def advance(iterator: Any) -> Any:
            if course._cutting and course._probe.on:
                limit = iterator.__dict__.setdefault("_nnlint_left", _PASS if iterator._num_yielded == 0 else 0)
                if limit <= 0:
                    course._passes += 1
                    at = course._cut_at
                    course._probe.note(f"after step {at} each pass over a DataLoader was cut to {_PASS} batches, to come to the evaluation")
                    raise StopIteration
                iterator.__dict__["_nnlint_left"] = limit - 1
            return original(iterator)

        kind.__next__ = advance

    def stepped(self, steps: int) -> None:
        """Called after every optimizer step, with the optimizer's own count."""
        probe = self._probe
        self.steps = max(self.steps, steps)
        self._progress.steps = self.steps
        self._progress.seconds = time.monotonic() - self._began
        self._progress.loss = probe.losses.last
        self._progress.evaluations = probe.forwards.silent
        probe.wire.changed(self._progress)
        probe.ranks.stepped()
        if self.steps == 3:
            self.settle()
        if self.steps >= probe.job.steps and self._enough():
            self._stop()
        probe.wire.tick()

    def turned_back(self) -> None:
        """Called after every backward: a script may update its parameters by hand, without any optimizer."""
        if self.steps or not self._probe.on:
            return
        self._backwards += 1
        self._probe.wire.tick()
        if self._backwards >= _BY_HAND * self._probe.job.steps:
            self._probe.note(f"no optimizer took a step in {self._backwards} backwards: are the parameters updated by hand?")
            self.settle()
            self._stop()

    def evaluated(self) -> None:
        """Called at each evaluating forward."""
        self._evaluations += self._evaluated_at != self.steps
        self._evaluated_at = self.steps

    def settle(self) -> None:
        """What is judged on copies of the network, beside the run."""
        self._probe.biases.settle()
        self._probe.views.settle()

    def _enough(self) -> bool:
        probe = self._probe
        if not probe.forwards.owned():
            return True
        seen = probe.forwards.silent >= _CALLS or self._evaluations >= _EVALUATIONS
        if seen and self._evaluated_at is not None and self.steps >= self._evaluated_at + _BEYOND:
            return True
        if self._passes >= _PASSES:
            return True
        if not probe.job.patient and self.steps >= _ROUNDS * probe.job.steps and not self._evaluations:
            return True
        if not self._cutting:
            self._cutting, self._cut_at = True, self.steps
        return False

    def _stop(self) -> None:
        from nnlint.confirm.child.entry import Stop

        if self._stopped:
            return
        self._stopped = True
        self._probe.session.end(Ended(reason="steps"))
        if threading.current_thread() is threading.main_thread():
            raise Stop
