"""Where the gradients that each step uses come from.

A gradient that a step has used, and that is still there unchanged when the next one is added to it, leaks. A backward is wasted whose
gradients no step of any optimizer ever uses. Nothing depends on the order of calls: setting `p.grad = None`, zeroing before or after,
accumulation and several optimizers come out right by themselves.
"""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Union

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from nnlint.confirm.records import Chain, StepSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_TESTS = 8  # gradients of one step that are looked at for being zero
_SENTINELS = 2  # parameters of an optimizer that are followed from one backward to the next
_FIRST = 64  # numbers of a gradient that are looked at before all of them
_PLACES = 6
_AGAIN = 16  # steps after which the groups of an optimizer are looked through, whether or not they have grown
_READERS = ("torch.", "nnlint.")  # that read gradients without a purpose of the script's own
_USED = 512  # backwards that are remembered as used
_FLATTENED = "_fsdp_flattened"  # the mark of the first FSDP, which takes gradients away and brings them back as it pleases
_NODES = 20000  # of a graph that are searched for its leaves

Version = tuple[int, int]


def version(grad: torch.Tensor) -> Version:
    """Changes with every write to the gradient, and when another takes its place."""
    if type(grad) is not torch.Tensor:
        grad = getattr(grad, "_local_tensor", grad)  # of a DTensor: it is written to directly
    try:
        return grad.data_ptr(), grad._version
    except RuntimeError:  # sparse
        return id(grad), grad._version


def alive(grad: torch.Tensor) -> bool:
    """Whether a gradient is not zero throughout. Most often its first numbers tell."""
    grad = grad.detach()
    if type(grad) is torch.Tensor and grad.layout is torch.strided and grad.numel() > 4 * _FIRST and grad.is_contiguous():
        return bool(grad.as_strided((_FIRST,), (1,)).count_nonzero()) or bool(grad.count_nonzero())
    return bool(grad.count_nonzero())


class Held:
    """A parameter in an optimizer. `used` is the gradient that the last step consumed, until something is added to it."""

    __slots__ = ("dirty", "grown", "parameter", "produced", "quiet", "sources", "used")

    def __init__(self, parameter: torch.Tensor) -> None:
        self.parameter = weakref.ref(parameter)
        self.used: Union[Version, None] = None
        self.dirty = False
        self.grown: Union[Version, None] = None  # a dirty gradient after something was added to it
        self.produced = False  # since the last step
        self.quiet = False  # its gradient comes by another way than autograd's: FSDP puts it there
        self.sources: set[int] = set()  # the backwards that made its gradient; of sentinels


class Watch:
    """One optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = weakref.ref(optimizer)
        self.held: dict[int, Held] = {}
        self.records: dict[Chain, StepSeen] = {}
        self.backwards: dict[Chain, None] = {}
        self.zeroings: dict[Chain, None] = {}
        self.steps = 0
        self.edited = False
        self.tests = 0
        self.alive = False  # whether one of those tests found a gradient that is not zero
        self.wiped_by: Chain = ()
        self.sources: set[int] = set()  # the backwards that brought it gradients since its last step
        self.lost: dict[int, Chain] = {}  # those of which they were thrown away, and by what
        self.quiet: list[Held] = []
        self.sizes: list[int] = []  # of its groups, when they were looked through
        self.frozen: list[Any] = []  # parameters in them that need no gradients, or did not then

    def sentinels(self) -> Iterator[Held]:
        return islice(self.held.values(), _SENTINELS)

    def grads(self) -> list[Grad]:
        """What it holds, with the gradients as they are."""
        found: list[Grad] = []
        for held in self.held.values():
            parameter = held.parameter()
            if parameter is not None:
                found.append((held, parameter, parameter.grad))
        return found


Grad = tuple[Held, torch.Tensor, Union[torch.Tensor, None]]
Quiet = tuple[Watch, Held, Union[Version, None], bool]


class Gradients:
    """`running` is the number of the backward that is at work, 0 while there is none."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._watches: dict[int, Watch] = {}
        self._parameters: dict[int, Any] = {}  # all that optimizers hold
        self._copies: dict[int, Any] = {}  # copies of them, made in the course of training
        self._backward: Chain = ()
        self._count = self.running = 0
        self._used_up: OrderedDict[int, Watch] = OrderedDict()  # backwards that some step has used, and whose
        self._players: set[int] = set()  # optimizers whose backwards also reach what another one holds, which throws that away
        self._looked_at: deque[int] = deque(maxlen=512)  # and those that have other uses
        self._leaves: dict[Chain, bool] = {}
        self._reading = False

    @property
    def optimizers(self) -> int:
        return len(self._watches)

    @property
    def parameters(self) -> int:
        """How many optimizers hold or have held."""
        return len(self._parameters)

    def install(self) -> None:
        probe = self._probe
        optimizer: Any = torch.optim.Optimizer
        probe.after(optimizer, "add_param_group", self._group_added)
        probe.after(optimizer, "zero_grad", self._zeroed)
        probe.after(torch.nn.Module, "zero_grad", self._network_zeroed)
        probe.after(torch.nn.Parameter, "__deepcopy__", self._copied)
        self._watch_backward()
        register_optimizer_step_pre_hook(self._before_step)
        register_optimizer_step_post_hook(self._after_step)

    def owns(self, network: torch.nn.Module) -> bool:
        """Whether an optimizer holds a parameter of the network."""
        return any(id(parameter) in self._parameters for parameter in network.parameters())

    def copied(self, network: torch.nn.Module) -> bool:
        """Whether the network was copied from one that had been trained."""
        return any(known() is parameter for parameter in network.parameters() for known in [self._copies.get(id(parameter))] if known)

    def adversarial(self, network: torch.nn.Module) -> bool:
        """Whether the network is trained against another one, or by its judgement: a generator, an actor."""
        if not self._players:
            return False
        mine = {id(parameter) for parameter in network.parameters()}
        return any(id(watch) in self._players and not mine.isdisjoint(watch.held) for watch in self._watches.values())

    def _copied(self, result: Any, parameter: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        if id(parameter) in self._parameters and self._probe.course.steps:
            self._copies[id(result)] = weakref.ref(result)

    def _watch_backward(self) -> None:
        probe, original = self._probe, torch.autograd.backward

        def backward(*args: Any, **kwargs: Any) -> Any:
            if not probe.on or self.running:
                return original(*args, **kwargs)
            self._backward = probe.chain()
            self._count += 1
            self.running = self._count
            if self._reading and args and self._other_leaves(args[0]):
                self._looked_at.append(self.running)
            quiet = probe.safely_step(self._before)
            try:
                result = original(*args, **kwargs)
                probe.safely_step(self._arrived, quiet)
            finally:
                self.running = 0
            probe.course.turned_back()
            return result

        backward.__wrapped__ = original  # type: ignore[attr-defined]
        torch.autograd.backward = backward

    def _other_leaves(self, roots: Any) -> bool:
        """Whether a backward also brings gradients to what no optimizer holds: the input of an attack. The same for all of one place."""
        if self._backward not in self._leaves:
            tensors = [roots] if isinstance(roots, torch.Tensor) else list(roots)
            nodes = [tensor.grad_fn for tensor in tensors if isinstance(tensor, torch.Tensor) and tensor.grad_fn is not None]
            seen = set(nodes)
            found = False
            while nodes and len(seen) < _NODES and not found:
                node = nodes.pop()
                variable = getattr(node, "variable", None)
                found = variable is not None and id(variable) not in self._parameters
                new = {inner for inner, _ in node.next_functions if inner is not None} - seen
                seen |= new
                nodes += new
            self._leaves[self._backward] = found
        return self._leaves[self._backward]

    def _watch_reading(self) -> None:
        """From now on it is seen when a script looks at gradients itself, before it throws them away."""
        self._reading = True
        original: Any = torch._C.TensorBase.grad

        def read(tensor: Any) -> Any:
            if self._probe.on and not sys._getframe(1).f_globals.get("__name__", "").startswith(_READERS):
                for watch in self._watches.values():
                    for held in watch.sentinels():
                        self._looked_at.extend(held.sources)
            return original.__get__(tensor)

        torch.Tensor.grad = property(read, original.__set__, original.__delete__, original.__doc__)  # type: ignore[assignment]

    def _group_added(self, result: Any, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        self._hold(self._watch(optimizer), optimizer)

    def _watch(self, optimizer: torch.optim.Optimizer) -> Watch:
        known = self._watches.get(id(optimizer))
        if known is None or known.optimizer() is not optimizer:
            known = self._watches[id(optimizer)] = Watch(optimizer)
        return known

    def _hold(self, watch: Watch, optimizer: torch.optim.Optimizer) -> None:
        groups = [group["params"] for group in optimizer.param_groups]
        sizes = [len(group) for group in groups]
        if sizes == watch.sizes and watch.steps % _AGAIN and not any([_trainable(known()) for known in watch.frozen]):
            return
        watch.sizes, watch.frozen = sizes, []
        for group in groups:
            for parameter in group:
                key = id(parameter)
                if key not in self._parameters:
                    self._parameters[key] = weakref.ref(parameter)
                if key in watch.held:
                    continue
                if _trainable(parameter):
                    held = watch.held[key] = Held(parameter)
                    parameter.register_hook(self._hook(watch, held, len(watch.held) <= _SENTINELS))
                else:
                    watch.frozen.append(weakref.ref(parameter))

    def _hook(self, watch: Watch, held: Held, sentinel: bool) -> Any:
        """Runs before a new gradient is added to what is there."""
        probe = self._probe

        def arriving(grad: torch.Tensor) -> None:
            if not probe.on or not self.running:
                return
            if held.used is not None or held.dirty or sentinel:
                self._arriving(watch, held, sentinel)
            held.produced = True
            watch.sources.add(self.running)

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
            if held.sources and (old is None or not self._nonzero(watch, old)):
                self._lose(watch, held)
            held.sources.add(self.running)
            watch.backwards.setdefault(self._backward)

    def _before(self) -> list[Quiet]:
        """The gradients of quiet parameters in front of a backward, and whether they leak if something is added to them."""
        found: list[Quiet] = []
        for watch in self._watches.values():
            for held in watch.quiet:
                grad = _grad(held)
                old = None if grad is None else version(grad)
                stale = old is not None and (old == held.used or (held.dirty and old == held.grown))
                found.append((watch, held, old, stale and grad is not None and self._nonzero(watch, grad)))
        return found

    def _arrived(self, quiet: list[Quiet]) -> None:
        """What a backward has done to the gradients of quiet parameters."""
        for watch, held, old, leaks in quiet or ():
            grad = _grad(held)
            if grad is None or version(grad) == old:
                continue
            held.produced, held.used = True, None
            held.dirty = leaks and old is not None and version(grad)[0] == old[0]
            held.grown = version(grad)
            watch.sources.add(self.running)
            watch.backwards.setdefault(self._backward)

    def _lose(self, watch: Watch, held: Held) -> None:
        """Gradients that no step of this optimizer has used are gone."""
        watch.lost.update(dict.fromkeys(held.sources, watch.wiped_by))
        watch.sources -= held.sources
        held.sources.clear()

    def _nonzero(self, watch: Watch, grad: torch.Tensor) -> bool:
        """Looking at values makes a GPU wait, so only a few are looked at in each step; the others are taken to be like them."""
        watch.tests += 1
        if watch.tests > _TESTS:
            return watch.alive
        nonzero = alive(grad)
        watch.alive = watch.alive or nonzero
        return nonzero

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
        watch.tests, watch.alive = 0, False
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if callable(closure):
            return self._with_closure(watch, optimizer, closure, args, kwargs)
        self._judge(watch, optimizer)
        return None

    def _judge(self, watch: Watch, optimizer: torch.optim.Optimizer) -> None:
        """What the step is about to use."""
        record = self._record(watch, optimizer)
        grads = watch.grads()
        record.steps += 1
        record.unseen += self._unseen(watch, grads)
        if self._dirty(watch, grads):
            record.dirty += 1
            record.first_dirty = record.first_dirty or watch.steps
        elif watch.edited:
            record.edited += 1
        filled = _filled(grads)
        if filled is None:
            if any(held.produced for held, _, _ in grads):
                record.wiped += 1
                record.wiped_by = watch.wiped_by
            elif all(grad is None for _, _, grad in grads):
                record.bare += 1
        wasted = self._wasted(watch, filled)
        if wasted is not None:
            record.partial += 1
            record.wiped_by = record.wiped_by or wasted
        record.backwards = tuple(watch.backwards)[:_PLACES]
        record.zeroings = tuple(watch.zeroings)[:_PLACES]
        self._probe.wire.changed(record)

    def _unseen(self, watch: Watch, grads: list[Grad]) -> bool:
        """Whether a gradient that a step had used was written to by something else than a backward: added to, or made anew in its place."""
        rewritten = False
        for held, parameter, grad in grads:
            rewritten = rewritten or _FLATTENED in parameter.__dict__
            if held.produced or grad is None:
                continue
            if held.used is None or held.used != version(grad):
                rewritten = rewritten or (held.used is not None and held.used[0] == version(grad)[0])
                if not held.quiet:
                    held.quiet = True
                    watch.quiet.append(held)
        return rewritten

    def _dirty(self, watch: Watch, grads: list[Grad]) -> bool:
        """Whether some gradient was added to one that a step had used."""
        dirty = [(held, grad) for held, _, grad in grads if held.dirty and grad is not None]
        return any(version(grad) == held.grown or self._nonzero(watch, grad) for held, grad in dirty)

    def _wasted(self, watch: Watch, filled: Union[Held, None]) -> Union[Chain, None]:
        """What threw away, since the last step, gradients of a backward that no optimizer has a use for."""
        for held in watch.sentinels():
            grad = _grad(held)
            if held.sources and held is not filled and (grad is None or not self._nonzero(watch, grad)):
                self._lose(watch, held)
        if not watch.lost:
            return None
        kept = {source for other in self._watches.values() for held in other.sentinels() for source in held.sources}
        gone = [source for source in watch.lost if source not in kept]
        self._players.update(id(self._used_up[source]) for source in gone if source in self._used_up)
        excused = {*self._used_up, *self._looked_at}
        wasted = [chain for source, chain in watch.lost.items() if source not in kept and source not in excused]
        for source in gone:
            del watch.lost[source]
        if wasted and not self._reading:
            self._watch_reading()
            return None
        return wasted[0] if wasted else None

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
        dirty = wiped = False

        def watched() -> Any:
            nonlocal calls, dirty, wiped
            if calls:
                self._used(watch)
            calls += 1
            result = closure()
            grads = watch.grads()
            if not dirty and self._dirty(watch, grads):
                dirty = True
                record.dirty += 1
                record.first_dirty = record.first_dirty or watch.steps
            if not wiped and any(held.produced for held, _, _ in grads) and _filled(grads) is None:
                wiped = True
                record.wiped += 1
                record.wiped_by = watch.wiped_by
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
        watch.edited = False

    def _used(self, watch: Watch) -> None:
        for held, _, grad in watch.grads():
            held.used = None if grad is None else version(grad)
            held.dirty = held.produced = False
            if held.sources:
                held.sources.clear()
        self._used_up.update(dict.fromkeys(watch.sources, watch))
        while len(self._used_up) > _USED:
            self._used_up.popitem(last=False)
        self._probe.forwards.trained(watch.held, watch.sources)
        watch.sources.clear()


def _grad(held: Held) -> Union[torch.Tensor, None]:
    parameter = held.parameter()
    return None if parameter is None else parameter.grad


def _filled(grads: list[Grad]) -> Union[Held, None]:
    """The first that has a gradient; without one, the step finds nothing at all."""
    return next((held for held, _, grad in grads if grad is not None and (grad.is_sparse or alive(grad))), None)


def _trainable(parameter: Union[torch.Tensor, None]) -> bool:
    return parameter is not None and parameter.requires_grad and parameter.is_leaf
