"""Where each layer, network and optimizer was constructed."""

from __future__ import annotations

import sys
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any, Union

import torch

from nnlint.confirm.records import Chain, Spot

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe


class Births:
    """By identity, not in the objects themselves, which may be saved, copied and compared."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._chains: dict[int, Chain] = {}

    def install(self) -> None:
        for kind in (torch.nn.Module, torch.optim.Optimizer):
            self._watch(kind)

    def _watch(self, kind: Any) -> None:
        original = kind.__init__
        probe = self._probe

        def construct(this: Any, *args: Any, **kwargs: Any) -> None:
            if probe.on and id(this) not in self._chains:
                self._born(this, sys._getframe(1))
            original(this, *args, **kwargs)

        construct.__wrapped__ = original  # type: ignore[attr-defined]
        kind.__init__ = construct

    def _born(self, this: Any, frame: Union[FrameType, None]) -> None:
        """The class's own constructors are left out: it was made where they were called."""
        while frame is not None and frame.f_code.co_name == "__init__" and _first(frame) is this:
            frame = frame.f_back
        spots: list[Spot] = []
        frames = self._probe.frames
        while frame is not None and len(spots) < 6:
            path = frames.mine(frame.f_code)
            if path:
                spots.append(frames.spot(frame, path))
            frame = frame.f_back
        key = id(this)
        self._chains[key] = tuple(spots)
        weakref.finalize(this, self._chains.pop, key, None).atexit = False

    def chain(self, thing: Any) -> Chain:
        return self._chains.get(id(thing), ())

    def rank(self, thing: Any) -> int:
        """Its place in the order of births."""
        return next((place for place, key in enumerate(self._chains) if key == id(thing)), len(self._chains))

    def spot(self, thing: Any) -> Union[Spot, None]:
        chain = self.chain(thing)
        return chain[0] if chain else None


def _first(frame: FrameType) -> Any:
    """The value of a function's first parameter."""
    names = frame.f_code.co_varnames
    return frame.f_locals.get(names[0]) if names else None
