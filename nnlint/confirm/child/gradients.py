"""Where the gradients that each step uses come from.

A gradient that a step has used, and that is still there unchanged when the next one is added to it, leaks. Nothing depends on the order
of calls: setting `p.grad = None`, zeroing before or after, accumulation and several optimizers come out right by themselves.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Union

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from nnlint.confirm.records import Chain, StepSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_TESTS = 8  # gradients of one step that are looked at for being zero
_SENTINELS = 2  # parameters of an optimizer that are followed from one backward to the next
_PLACES = 6

Version = tuple[int, int]


def version(grad: torch.Tensor) -> Version:
    """Changes with every write to the gradient, and when another takes its place."""
    try:
        return grad.data_ptr(), grad._version
    except RuntimeError:  # sparse
        return id(grad), grad._version


class Held:
    """A parameter in an optimizer. `used` is the gradient that the last step consumed, until something is added to it."""

    __slots__ = ("dirty", "grown", "made", "parameter", "produced", "used")

    def __init__(self, parameter: torch.Tensor) -> None:
        self.parameter = weakref.ref(parameter)
        self.used: Union[Version, None] = None
        self.dirty = False
        self.grown: Union[Version, None] = None  # a dirty gradient after something was added to it
        self.produced = False  # since the last step
        self.made: Chain = ()  # the backward that made it


class Watch:
    """One optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = weakref.ref(optimizer)
        self.held: dict[int, Held] = {}
        self.records: dict[Chain, StepSeen] = {}
        self.backwards: dict[Chain, None] = {}
        self.zeroings: dict[Chain, None] = {}
        self.steps = 0
        self.edited = self.partial = False
        self.tests = 0
        self.wiped_by: Chain = ()


class Gradients:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._watches: dict[int, Watch] = {}
        self._parameters: dict[int, Any] = {}  # all that optimizers hold
        self._backward: Chain = ()

    @property
    def optimizers(self) -> int:
        return len(self._watches)

    def install(self) -> None:
        probe = self._probe
        optimizer: Any = torch.optim.Optimizer
        probe.after(optimizer, "add_param_group", self._group_added)
        probe.after(optimizer, "zero_grad", self._zeroed)
        probe.after(torch.nn.Module, "zero_grad", self._network_zeroed)
        self._watch_backward()
        register_optimizer_step_pre_hook(self._before_step)
        register_optimizer_step_post_hook(self._after_step)

    def owns(self, network: torch.nn.Module) -> bool:
        """Whether an optimizer holds a parameter of the network."""
        return any(id(parameter) in self._parameters for parameter in network.parameters())

    def _watch_backward(self) -> None:
        probe, original = self._probe, torch.autograd.backward

        def backward(*args: Any, **kwargs: Any) -> Any:
            if probe.on:
                self._backward = probe.chain()
            result = original(*args, **kwargs)
            probe.course.turned_back()
            return result

        backward.__wrapped__ = original  # type: ignore[attr-defined]
        torch.autograd.backward = backward

    def _group_added(self, result: Any, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        self._hold(self._watch(optimizer), optimizer)

    def _watch(self, optimizer: torch.optim.Optimizer) -> Watch:
        known = self._watches.get(id(optimizer))
        if known is None or known.optimizer() is not optimizer:
            known = self._watches[id(optimizer)] = Watch(optimizer)
        return known

    def _hold(self, watch: Watch, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                self._parameters.setdefault(id(parameter), weakref.ref(parameter))
                if id(parameter) not in watch.held and parameter.requires_grad and parameter.is_leaf:
                    held = watch.held[id(parameter)] = Held(parameter)
                    parameter.register_hook(self._hook(watch, held, len(watch.held) <= _SENTINELS))

    def _hook(self, watch: Watch, held: Held, sentinel: bool) -> Any:
        """Runs before a new gradient is added to what is there."""
        probe = self._probe

        def arriving(grad: torch.Tensor) -> None:
            if not probe.on:
                return
            if held.used is not None or held.dirty or sentinel:
                self._arriving(watch, held, sentinel)
            held.produced = True

        arriving.__torch_unserializable__ = True  # type: ignore[attr-defined]
        return arriving

    def _arriving(self, watch: Watch, held: Held, sentinel: bool) -> None:
        parameter = held.parameter()
        old = None if parameter is None else parameter.grad
        used, held.used = held.used, None
        if old is None:
            held.dirty = False
        elif used is not None:
            if version(old) == used:
                held.dirty = self._nonzero(watch, old)
            elif sentinel and self._nonzero(watch, old):
                watch.edited = True
        elif held.dirty and version(old) != held.grown:
            held.dirty = self._nonzero(watch, old)
        if held.dirty and old is not None:
            place, number = version(old)
            held.grown = (place, number + 1)
        if sentinel:
            gone = held.produced and (old is None or (used is None and not held.dirty and not self._nonzero(watch, old)))
            if gone and held.made == self._backward and used is None:
                watch.partial = True
            held.made = self._backward
            watch.backwards.setdefault(self._backward)

    def _nonzero(self, watch: Watch, grad: torch.Tensor) -> bool:
        """Looking at values makes a GPU wait, so only a few are looked at in each step; the others are taken to be like them."""
        watch.tests += 1
        return watch.tests > _TESTS or bool(grad.detach().count_nonzero())

    def _zeroed(self, result: Any, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        watch = self._watch(optimizer)
        chain = self._probe.chain()
        watch.zeroings.setdefault(chain)
        watch.wiped_by = chain

    def _network_zeroed(self, result: Any, network: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        chain = self._probe.chain()
        mine = {id(parameter) for parameter in network.parameters()}
        for watch in self._watches.values():
            if any(key in mine for key in watch.held):
                watch.zeroings.setdefault(chain)
                watch.wiped_by = chain

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._probe.on:
            return None
        return self._probe.safely_step(self._look, optimizer, args, kwargs)

    def _look(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch = self._watch(optimizer)
        self._hold(watch, optimizer)
        watch.steps += 1
        watch.tests = 0
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if callable(closure):
            return self._with_closure(watch, optimizer, closure, args, kwargs)
        self._judge(watch, optimizer)
        return None

    def _judge(self, watch: Watch, optimizer: torch.optim.Optimizer) -> None:
        """What the step is about to use."""
        record = self._record(watch, optimizer)
        record.steps += 1
        dirty = [held for held in watch.held.values() if held.dirty and _grad(held) is not None]
        if any(version(grad) == held.grown or self._nonzero(watch, grad) for held in dirty for grad in [_grad(held)] if grad is not None):
            record.dirty += 1
            record.first_dirty = record.first_dirty or watch.steps
        elif watch.edited:
            record.edited += 1
        grads = [grad for grad in map(_grad, watch.held.values()) if grad is not None]
        produced = any(held.produced for held in watch.held.values())
        if not grads and not produced:
            record.bare += 1
        elif produced and not any(grad.is_sparse or bool(grad.detach().count_nonzero()) for grad in grads):
            record.wiped += 1
            record.wiped_by = watch.wiped_by
        if watch.partial:
            record.partial += 1
            record.wiped_by = record.wiped_by or watch.wiped_by
        record.backwards = tuple(watch.backwards)[:_PLACES]
        record.zeroings = tuple(watch.zeroings)[:_PLACES]
        self._probe.wire.changed(record)

    def _record(self, watch: Watch, optimizer: torch.optim.Optimizer) -> StepSeen:
        where = self._probe.chain()
        record = watch.records.get(where)
        if record is None:
            made = self._probe.births.chain(optimizer)
            record = watch.records[where] = StepSeen(where=where, optimizer=type(optimizer).__name__, made=made)
            self._probe.record(record)
        return record

    def _with_closure(
        self, watch: Watch, optimizer: torch.optim.Optimizer, closure: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The step calls its closure, perhaps several times: each call's gradients are used before the next."""
        record = self._record(watch, optimizer)
        record.steps += 1
        calls = 0

        def watched() -> Any:
            nonlocal calls
            if calls:
                self._used(watch)
            calls += 1
            result = closure()
            if any(held.dirty for held in watch.held.values()) and calls <= 2:
                record.dirty += calls == 1
                record.first_dirty = record.first_dirty or watch.steps
            record.backwards = tuple(watch.backwards)[:_PLACES]
            record.zeroings = tuple(watch.zeroings)[:_PLACES]
            self._probe.wire.changed(record)
            return result

        if len(args) > 1:
            return (args[0], watched, *args[2:]), kwargs
        return args, {**kwargs, "closure": watched}

    def _after_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._probe.on:
            self._probe.safely_step(self._consumed, optimizer, args, kwargs)
            self._probe.course.stepped(self._watch(optimizer).steps)

    def _consumed(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watch = self._watch(optimizer)
        self._used(watch)
        for held in watch.held.values():
            held.produced = False
        watch.edited = watch.partial = False

    def _used(self, watch: Watch) -> None:
        for held in watch.held.values():
            grad = _grad(held)
            held.used = None if grad is None else version(grad)
            held.dirty = False


def _grad(held: Held) -> Union[torch.Tensor, None]:
    parameter = held.parameter()
    return None if parameter is None else parameter.grad
