"""The script itself, tried on a guess: a forked child goes on from here to its first optimizer step, and tells how far it came.

What it prints is dropped, it records nothing, and it has the random numbers and the networks of the parent as they are now. Not where
a fork is not safe: after CUDA was started, and among several ranks.
"""

from __future__ import annotations

import atexit
import functools
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn, Union

import msgspec
import torch

from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import Loss

_PREFIX = "torch.nn.functional."
_ENOUGH = 2  # batches asked for after a network was called: the loop goes round
_SAID = 300  # characters of an error

# Losses of as many numbers as there are scores.
POINTWISE = frozenset(
    "binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss soft_margin_loss "
    "multilabel_soft_margin_loss poisson_nll_loss kl_div".split()
)
INDEXED = frozenset(("cross_entropy", "nll_loss", "multi_margin_loss"))


class LossTried(msgspec.Struct, frozen=True):
    name: str
    input: tuple[int, ...]
    target: tuple[int, ...]
    whole: bool  # the target holds whole numbers


class Outcome(msgspec.Struct):
    """`fine` where the script came to a step or round its loop; `network` where it failed inside a network."""

    fine: bool = False
    network: bool = False
    error: str = ""
    losses: list[LossTried] = []


class Trial:
    """`active` in the child that tries."""

    def __init__(self) -> None:
        self.active = False
        self._outcome = Outcome()
        self._pipe = -1
        self._depth = 0
        self._called = self._asked = 0

    def install(self) -> None:
        """Put what the child needs in place, before the script can get hold of the functions. All of it is idle in the parent."""
        self._watch_networks()
        self._watch_loaders()
        for name, loss in LOSSES.items():
            if name.startswith(_PREFIX) and hasattr(torch.nn.functional, name.removeprefix(_PREFIX)):
                self._watch_loss(name.removeprefix(_PREFIX), loss)

    def possible(self) -> bool:
        if not hasattr(os, "fork") or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return False
        return not (torch.distributed.is_available() and torch.distributed.is_initialized())

    def run(self, seconds: float) -> Union[Outcome, None]:
        """What became of the child. In the child itself: nothing, and it goes on."""
        from nnlint.confirm.child.entry import _die_with_parent

        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _die_with_parent()
            self._begin(writer)
            return None
        os.close(writer)
        try:
            told = _read(reader, seconds)
        finally:
            os.close(reader)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if not told:
            return Outcome(error=f"no step within {seconds:.0f} s")
        return msgspec.json.decode(told, type=Outcome)

    def _begin(self, writer: int) -> None:
        self.active, self._pipe = True, writer
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        torch.set_num_threads(1)  # the threads of the parent are not here
        sys.excepthook = lambda kind, error, trace: self._fail(error)
        atexit.register(self._end, fine=False, error="the script came to its end without a step")
        from torch.optim.optimizer import register_optimizer_step_post_hook

        register_optimizer_step_post_hook(lambda *args: self._end(fine=True))

    def _end(self, *, fine: bool, error: str = "", network: bool = False) -> NoReturn:
        outcome = self._outcome
        outcome.fine, outcome.error, outcome.network = fine, error[:_SAID], network
        os.write(self._pipe, msgspec.json.encode(outcome))
        os.close(self._pipe)
        os.kill(os.getpid(), signal.SIGKILL)  # nothing of the script's own clean-up
        raise SystemExit

    def _fail(self, error: BaseException, *, network: bool = False) -> NoReturn:
        self._end(fine=False, error=f"{type(error).__name__}: {error}", network=network)

    def _watch_networks(self) -> None:
        original: Any = torch.nn.Module.__call__

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not self.active:
                return original(module, *args, **kwargs)
            self._depth += 1
            try:
                result = original(module, *args, **kwargs)
            except Exception as error:
                if self._depth > 1 and not isinstance(module, torch.nn.modules.loss._Loss):
                    raise
                self._fail(error, network=not isinstance(module, torch.nn.modules.loss._Loss))
            finally:
                self._depth -= 1
            self._called += next(module.parameters(), None) is not None
            return result

        torch.nn.Module.__call__ = call  # type: ignore[method-assign]

    def _watch_loaders(self) -> None:
        from torch.utils.data import dataloader

        kind: Any = dataloader._BaseDataLoaderIter
        original = kind.__next__

        def advance(iterator: Any) -> Any:
            if self.active and self._called:
                self._asked += 1
                if self._asked > _ENOUGH:
                    self._end(fine=True)
            return original(iterator)

        kind.__next__ = advance

    def _watch_loss(self, name: str, loss: Loss) -> None:
        original = getattr(torch.nn.functional, name)

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if not self.active:
                return original(*args, **kwargs)
            given = dict(zip(loss.params, args, strict=False)) | kwargs
            input, target = (given.get(param) for param in loss.params[:2])
            if not isinstance(input, torch.Tensor) or not isinstance(target, torch.Tensor):
                return original(*args, **kwargs)
            whole = not target.is_floating_point()
            self._outcome.losses.append(LossTried(loss.name, tuple(input.shape), tuple(target.shape), whole))
            # torch stretches targets of another shape, and says no more than a warning.
            if loss.name in POINTWISE and (whole or input.shape != target.shape):
                self._end(fine=False, error=f"{loss.name} of {tuple(input.shape)} and {target.dtype} {tuple(target.shape)}")
            try:
                return original(*args, **kwargs)
            except Exception as error:  # noqa: BLE001
                self._fail(error)

        setattr(torch.nn.functional, name, watched)


def _read(reader: int, seconds: float) -> bytes:
    """All that comes out of the pipe until it is closed, or the time is up."""
    until, told = time.monotonic() + seconds, b""
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return b""
        part = os.read(reader, 65536)
        if not part:
            return told
        told += part
