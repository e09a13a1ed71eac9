"""A file that only defines networks: each is built, and run forward and backward on synthetic input.

That settles what needs no training loop: biases before a BatchNorm, and views. What cannot be built or run is named.
"""

from __future__ import annotations

import inspect
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Union

import torch

from nnlint.confirm.child import specimen
from nnlint.confirm.child.callsites import Call, CallSites
from nnlint.confirm.child.forwards import tensors
from nnlint.confirm.child.layout import Field
from nnlint.confirm.child.specimen import LENGTHS, Fit, Specimen
from nnlint.confirm.records import Synthetic

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

# Sizes that are seldom those of a network: an axis can be told by its size.
_BATCH = 5
_LENGTHS = (7, 13, *LENGTHS)
_ROUNDS = 5
_SECONDS = 40.0
_SEED = 20240607


class Unbuilt(Exception):
    """The network cannot be built or run; the message says why."""


class Bench:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._given: dict[str, tuple[Any, ...]] = {}  # what the script has tried them with
        self._kept: list[torch.nn.Module] = []  # the watchers hold no networks
        self._until = time.monotonic() + min(_SECONDS, probe.job.timeout / 2)

    def run(self) -> None:
        """After the end of the script, if it has not trained, and called networks for a look at their output at most."""
        probe = self._probe
        given = probe.forwards.tried_out()
        if probe.course.steps or probe.session.rank or given is None:
            return
        self._given = given
        try:
            self._all()
        except Exception as error:  # noqa: BLE001  the report is to come all the same
            probe.note(f"the networks of the file could not be built: {error!r}")

    def _all(self) -> None:
        built: dict[type, torch.nn.Module] = {}
        reasons: dict[type, str] = {}
        kinds = _classes()
        live = {type(network): network for network in specimen.networks()} if kinds else {}
        for kind in kinds:
            try:
                built[kind] = live[kind] if kind in live else self._build(kind)
            except Unbuilt as reason:
                reasons[kind] = str(reason)
        covered: set[type] = set()
        # The largest first: what is a part of one that runs need not run by itself.
        for kind, network in sorted(built.items(), key=lambda pair: -len(list(pair[1].modules()))):
            if kind in covered:
                continue
            try:
                self._run(network)
                covered |= {type(part) for part in network.modules()}
            except Unbuilt as reason:
                reasons[kind] = str(reason)
        for kind, why in reasons.items():
            if kind not in covered:
                self._probe.note(f"`{kind.__name__}` was not run: {why}")

    def _build(self, kind: type) -> torch.nn.Module:
        """By the defaults of its constructor, or as the project constructs it. Raises `Unbuilt`."""
        try:
            signature = inspect.signature(kind)
        except (TypeError, ValueError):
            raise Unbuilt("its constructor does not tell its parameters") from None
        open_ones = [name for name, param in signature.parameters.items() if _required(param)]
        calls = self._calls(kind) if open_ones else [Call((), {})]
        error = ""
        for call in calls:
            try:
                signature.bind(*call.args, **call.kwargs)
                torch.manual_seed(_SEED)
                network = kind(*call.args, **call.kwargs)
            except Exception as failed:  # noqa: BLE001  the user's constructor
                error = error or f"its constructor fails ({type(failed).__name__}: {failed})"
                continue
            assert isinstance(network, torch.nn.Module)
            return network
        names = ", ".join(f"`{name}`" for name in open_ones)
        raise Unbuilt(error or f"nothing says what {names} of its constructor {'is' if len(open_ones) == 1 else 'are'}")

    def _calls(self, kind: type) -> list[Call]:
        job = self._probe.job
        folder = job.folder if job.module else os.path.dirname(os.path.abspath(job.script))
        return CallSites(list(dict.fromkeys((folder, job.folder)))).of(kind.__name__)

    def _run(self, network: torch.nn.Module) -> None:
        """Raises `Unbuilt`."""
        probe, name = self._probe, type(network).__name__
        with probe.aside():
            fields = self._fields(network)
        network.train()
        for round in range(_ROUNDS):
            if time.monotonic() > self._until:
                raise Unbuilt("it took too long")
            args = specimen.arguments(network, fields, _BATCH, _SEED + round)
            try:
                _backward(network(*args))
            except Exception as error:
                raise Unbuilt(f"it fails in train mode ({type(error).__name__}: {error})") from error
        probe.forwards.root(network).given = (tuple(args), {})
        self._kept.append(network)
        probe.wire.send(Synthetic())
        shapes = " and ".join(map(str, fields))
        probe.note(f"nothing was trained: `{name}` was run forward and backward on {_ROUNDS} synthetic batches of {_BATCH} × {shapes}")

    def _fields(self, network: torch.nn.Module) -> tuple[Field, ...]:
        try:
            guess = Specimen(network)
        except Exception as error:
            raise Unbuilt(f"it cannot be copied ({error})") from error
        given = self._given.get(type(network).__name__)
        if given and all(isinstance(value, torch.Tensor) and value.dim() and value.numel() for value in given):
            fields = tuple(_like(value) for value in given)
            if guess.takes(fields, _BATCH):
                return fields
        fit: Union[Fit, None] = next(guess.fits(_LENGTHS, batch=_BATCH), None)
        if fit is None:
            why = guess.error or "none of its layers tells its sizes"
            raise Unbuilt(f"no input was found that its `forward` takes ({' '.join(why.split())})")
        return fit.fields


def _classes() -> list[type]:
    """The networks that the script itself defines."""
    found = [thing for thing in vars(sys.modules["__main__"]).values() if isinstance(thing, type) and issubclass(thing, torch.nn.Module)]
    own = [kind for kind in found if kind.__module__ == "__main__" and kind.forward is not torch.nn.Module.forward]
    return list(dict.fromkeys(own))


def _like(value: torch.Tensor) -> Field:
    """The samples of a batch."""
    shape = tuple(value.shape[1:])
    if value.is_floating_point():
        return Field(shape, value.dtype)
    return Field(shape, value.dtype, 0, float(value.max()))


def _required(param: inspect.Parameter) -> bool:
    return param.default is param.empty and param.kind not in (param.VAR_POSITIONAL, param.VAR_KEYWORD)


def _backward(output: Any) -> None:
    """A random projection: the plain sum of what a normalisation gives has no gradient."""
    parts = [(part * torch.randn_like(part)).sum() for part in tensors(output) if part.requires_grad and part.is_floating_point()]
    if parts:
        torch.stack([part.float() for part in parts]).sum().backward()  # type: ignore[no-untyped-call]
