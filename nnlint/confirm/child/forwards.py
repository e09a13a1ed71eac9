"""Each call of a network: from where, in which mode, on what, and whether a backward reached what it gave."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import torch

from nnlint.confirm.records import Caring, Chain, ForwardSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_RECENT = 4  # inputs of training calls that are remembered
_LOOKS = 4  # calls of networks in a file that tries them out
_SILENT = 8  # outputs of calls without gradients that are remembered
_WAITING = 512  # calls that a backward has reached, and no step yet
_LOOK_AGAIN = 64  # calls after which a network is searched for new layers
ACTIVE, ASLEEP, MIXED, NONE = "active", "asleep", "mixed", "none"


def _nobody() -> None:
    """A reference to the network above a root."""


class Root:
    """A network that is called from outside any other network."""

    def __init__(self, network: torch.nn.Module, number: int) -> None:
        self.network = weakref.ref(network)
        self.number = number
        self.records: dict[Chain, ForwardSeen] = {}
        self.switched: Chain = ()
        self.above: tuple[int, Chain] = (-1, ())  # where the mode of what it is a part of was switched, and how many switches there were
        self.loaded = False
        self.trained_active = self.slept = False
        self.called = 0
        self.silent: tuple[Chain, int, int] = ((), -1, 0)  # the last call without gradients: from where, at what step, its input in memory
        self.functional: dict[int, tuple[Any, bool]] = {}  # modules that call F.dropout: a reference, and its last `training`
        self.given: Union[tuple[tuple[Any, ...], dict[str, Any]], None] = None  # the arguments of the latest call with gradients
        self._caring: list[Any] = []  # each of these layers, and what it is a child of
        self._layers: list[Any] = []
        self._parts: tuple[int, frozenset[int]] = (-1, frozenset())

    def parts(self, optimized: int) -> frozenset[int]:
        """The identities of its parameters. They are looked up again when optimizers have got more of them, and once in a while."""
        network = self.network()
        if network is None:
            return frozenset()
        if self._parts[0] != optimized or self.called % _LOOK_AGAIN == 1:
            self._parts = (optimized, frozenset(map(id, network.parameters())))
        return self._parts[1]

    def caring(self) -> list[torch.nn.Module]:
        """The layers whose mode matters."""
        network = self.network()
        if network is None:
            return []
        if self.called % _LOOK_AGAIN == 0:
            self._caring = [(weakref.ref(network), _nobody)] if cares(network) else []
            parents = network.modules()
            self._caring += [(weakref.ref(layer), weakref.ref(above)) for above in parents for layer in above.children() if cares(layer)]
            self._layers = list({id(ref()): ref for ref, _ in self._caring}.values())
        self.called += 1
        return [layer for layer in [ref() for ref in self._layers] if layer is not None]

    def mode(self) -> str:
        flags = {bool(layer.training) for layer in self.caring()} | {flag for _, flag in self.functional.values()}
        if not flags:
            return NONE
        if len(flags) == 1 and self._caring and all(above() is not None and above().training not in flags for _, above in self._caring):
            return MIXED  # switched one by one, against the network around them
        return MIXED if len(flags) > 1 else ACTIVE if True in flags else ASLEEP


def cares(layer: torch.nn.Module) -> bool:
    """Whether a layer computes something else in train mode than in eval mode."""
    nn = torch.nn.modules
    if isinstance(layer, nn.dropout._DropoutNd):
        return bool(layer.p > 0)
    if isinstance(layer, (nn.batchnorm._BatchNorm, nn.instancenorm._InstanceNorm)):
        # Without running statistics both modes normalise by the batch.
        return bool(layer.track_running_stats)
    if isinstance(layer, nn.rnn.RNNBase):
        return bool(layer.dropout > 0) and layer.num_layers > 1
    if isinstance(layer, torch.nn.MultiheadAttention):
        return bool(layer.dropout > 0)
    if isinstance(layer, torch.nn.RReLU):
        return True
    # Stochastic depth of the model libraries.
    rate = layer.__dict__.get("drop_prob", layer.__dict__.get("p") if type(layer).__name__ == "StochasticDepth" else None)
    return isinstance(rate, float) and rate > 0


class Waiting(NamedTuple):
    """A call that a backward has reached: it counts as training once a step of an optimizer uses what that backward brought."""

    backward: int
    root: Root
    record: ForwardSeen
    mode: str
    slept: bool
    switched: Chain


class Forwards:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._roots: dict[int, Root] = {}
        self._recent: deque[tuple[int, Any, int]] = deque(maxlen=_RECENT)  # step, input, its place in memory
        self._silent_outputs: deque[tuple[Any, int, ForwardSeen]] = deque(maxlen=_SILENT)
        self._waiting: deque[Waiting] = deque(maxlen=_WAITING)
        self.stack: list[torch.nn.Module] = []
        self.silent = 0  # calls without gradients since the first step
        self._switches = 0

    def install(self) -> None:
        probe, stack, forwards = self._probe, self.stack, self
        original: Any = torch.nn.Module.__call__
        end = probe.safely(self._end)

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not probe.on:
                return original(module, *args, **kwargs)
            if stack:
                stack.append(module)
                try:
                    return original(module, *args, **kwargs)
                finally:
                    stack.pop()
            chain = probe.chain()
            stack.append(module)
            try:
                result = original(module, *args, **kwargs)
            finally:
                stack.pop()
            if probe.on:
                end(module, chain, args, kwargs, result)
            return result

        torch.nn.Module.__call__ = call  # type: ignore[method-assign]
        forwards._watch_modes()
        probe.after(torch.nn.functional, "dropout", self._dropout)
        probe.after(torch.nn.Module, "load_state_dict", self._loaded)

    def roots(self) -> list[Root]:
        return [root for root in self._roots.values() if root.network() is not None]

    def called(self) -> list[Root]:
        """The networks with parameters that were called with gradients."""
        return [root for root in self.roots() if root.given is not None]

    def tried_out(self) -> Union[dict[str, tuple[Any, ...]], None]:
        """What networks were called with, by the name of their class; nothing once one was used for more than a look at its output."""
        records = [record for root in self._roots.values() for record in root.records.values()]
        if sum(record.calls for record in records) > _LOOKS or any(record.trained or record.graph < record.calls for record in records):
            return None
        called = [(root.given, record.network) for root in self._roots.values() for record in root.records.values()]
        return {name: given[0] for given, name in called if given is not None and not given[1]}

    def owned(self) -> list[Root]:
        """The networks that optimizers train and that hold layers that care about the mode."""
        return [root for root in self.roots() if any(record.owned and record.caring for record in root.records.values())]

    def root(self, network: torch.nn.Module) -> Root:
        known = self._roots.get(id(network))
        if known is None or known.network() is not network:
            known = self._roots[id(network)] = Root(network, len(self._roots) + 1)
        return known

    def _watch_modes(self) -> None:
        probe, original = self._probe, torch.nn.Module.train

        def train(module: Any, mode: bool = True) -> Any:
            # Called for every layer below: only the first call is the user's.
            caller = sys._getframe(1)
            own = caller.f_code is train.__code__ or caller.f_code is original.__code__
            result = original(module, mode)
            if probe.on and not own and isinstance(module, torch.nn.Module) and caller.f_code.co_name != "train":
                self.root(module).switched = probe.chain()
                self._switches += 1
            return result

        train.__wrapped__ = original  # type: ignore[attr-defined]
        torch.nn.Module.train = train  # type: ignore[method-assign, assignment]

    def _dropout(self, result: Any, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> None:
        """`F.dropout` in a network's own forward: the network cares, though it holds no layer that does."""
        if not self.stack or p <= 0:
            return
        owner = self.stack[-1]
        if isinstance(owner, torch.nn.modules.dropout._DropoutNd):
            return
        self.root(self.stack[0]).functional[id(owner)] = (weakref.ref(owner), bool(training))

    def _loaded(self, result: Any, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        self.root(module).loaded = True

    def _end(self, module: torch.nn.Module, chain: Chain, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if not chain:
            return
        root = self.root(module)
        record = self._record(root, module, chain)
        mode = root.mode()
        root.slept = root.slept or mode == ASLEEP
        record.calls += 1
        record.switched = self._switch(root, module)
        outputs = [tensor for tensor in tensors(result) if tensor.requires_grad]
        inputs = list(tensors((args, kwargs)))
        if outputs:
            record.graph += 1
            root.given = (args, kwargs)
            self._probe.ranks.called(module, chain, inputs)
            self._feeding(inputs)
            if mode != NONE or root.parts(self._probe.gradients.parameters):
                self._watch_outputs(root, record, mode, outputs, inputs)
        elif not torch.is_grad_enabled():
            self._silent(root, record, mode, inputs, result)
        self._probe.wire.changed(record)

    def _record(self, root: Root, module: torch.nn.Module, chain: Chain) -> ForwardSeen:
        record = root.records.get(chain)
        if record is None:
            births = self._probe.births
            kinds = {(type(layer).__name__, births.spot(layer)): None for layer in root.caring()}
            record = root.records[chain] = ForwardSeen(
                where=chain,
                network=type(module).__name__,
                number=root.number,
                made=births.chain(module),
                caring=tuple(Caring(name, made) for name, made in list(kinds)[:40]),
                loaded=root.loaded,
            )
            first = next(module.parameters(), None)
            record.device = str(first.device) if first is not None else ""
            self._probe.record(record)
        if record.calls % _LOOK_AGAIN == 0:
            record.owned = self._probe.gradients.owns(module)
            record.copied = self._probe.gradients.copied(module)
        if root.functional and not any(caring.name == "dropout" for caring in record.caring):
            record.caring = (*record.caring, Caring("dropout", None))
        return record

    def _switch(self, root: Root, module: torch.nn.Module) -> Chain:
        """Where the mode was switched last: for the network itself, or for one that it is a part of."""
        if root.switched:
            return root.switched
        if root.above[0] != self._switches or root.called % _LOOK_AGAIN == 1:
            root.above = (self._switches, self._switch_above(module))
        return root.above[1]

    def _switch_above(self, module: torch.nn.Module) -> Chain:
        for other in self._roots.values():
            network = other.network()
            if other.switched and network is not None and any(part is module for part in network.modules()):
                return other.switched
        return ()

    def _watch_outputs(self, root: Root, record: ForwardSeen, mode: str, outputs: list[torch.Tensor], inputs: list[torch.Tensor]) -> None:
        course, gradients = self._probe.course, self._probe.gradients
        step, slept, switched = course.steps, root.slept, record.switched
        backward = 0
        reached = False
        if step:
            record.unused_active += mode == ACTIVE
            record.unused_asleep += mode == ASLEEP

        def arriving(grad: torch.Tensor) -> None:
            nonlocal backward, reached
            if step and not reached:
                record.unused_active -= mode == ACTIVE
                record.unused_asleep -= mode == ASLEEP
            reached = True
            if gradients.running in (0, backward):
                return
            backward = gradients.running
            self._waiting.append(Waiting(backward, root, record, mode, slept, switched))
            for tensor in inputs[:1]:
                self._recent.append((course.steps, weakref.ref(tensor), tensor.data_ptr()))
            self._probe.wire.changed(record)

        arriving.__torch_unserializable__ = True  # type: ignore[attr-defined]
        for output in outputs[:4]:
            output.register_hook(arriving)  # type: ignore[no-untyped-call]

    def trained(self, parameters: Iterable[int], backwards: Container[int]) -> None:
        """A step has used what these backwards brought to these parameters."""
        left: list[Waiting] = []
        optimized = self._probe.gradients.parameters
        for waiting in self._waiting:
            parts = waiting.root.parts(optimized)
            if not parts:
                continue  # gone, or a loss: no step will train it
            if waiting.backward not in backwards or parts.isdisjoint(parameters):
                left.append(waiting)
                continue
            _, root, record, mode, slept, switched = waiting
            record.trained += 1
            if mode == ACTIVE:
                record.trained_active += 1
                record.trained_active_later += slept
                root.trained_active = True
            elif mode == ASLEEP:
                record.trained_asleep += 1
                if root.trained_active:
                    record.trained_asleep_later += 1
                    record.asleep_by = record.asleep_by or switched
            self._probe.wire.changed(record)
        self._waiting.clear()
        self._waiting.extend(left)

    def _feeding(self, inputs: list[torch.Tensor]) -> None:
        """What a network gave without gradients is what another one is trained on: no evaluation."""
        for known in list(self._silent_outputs):
            output, place, record = known
            if output() is not None and any(tensor.data_ptr() == place for tensor in inputs):
                self._silent_outputs.remove(known)
                record.silent_fed += 1
                self._probe.wire.changed(record)

    def _silent(self, root: Root, record: ForwardSeen, mode: str, inputs: list[torch.Tensor], result: Any) -> None:
        course = self._probe.course
        if not course.steps and self._probe.gradients.optimizers:
            return
        if inputs and self._seen_in_training(inputs[0]):
            return
        self.silent += 1
        course.evaluated()
        if mode == ACTIVE:
            record.silent_active += 1
            network = root.network()
            record.adversarial = record.adversarial or (network is not None and self._probe.gradients.adversarial(network))
            last, root.silent = root.silent, (record.where, course.steps, inputs[0].data_ptr() if inputs else 0)
            record.silent_again += last == root.silent
            record.moments += last[:2] != root.silent[:2]
            for output in tensors(result):
                self._silent_outputs.append((weakref.ref(output), output.data_ptr(), record))
        elif mode == ASLEEP:
            record.silent_asleep += 1
        elif mode == MIXED:
            record.silent_mixed += 1

    def _seen_in_training(self, input: torch.Tensor) -> bool:
        """Whether the input lies in the memory of one that was trained on a moment ago (and that is still there)."""
        steps = self._probe.course.steps
        place = input.data_ptr()
        return any(ref() is not None and memory == place and steps - step <= 1 for step, ref, memory in self._recent)


def tensors(value: Any, depth: int = 3) -> Iterator[torch.Tensor]:
    """The floating and integer tensors in what was passed or returned."""
    if isinstance(value, torch.Tensor):
        yield value
    elif depth and isinstance(value, (list, tuple)):
        for item in value[:16]:
            yield from tensors(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in list(value.values())[:16]:
            yield from tensors(item, depth - 1)
    elif depth and hasattr(value, "__dataclass_fields__"):
        for name in list(value.__dataclass_fields__)[:16]:
            yield from tensors(getattr(value, name, None), depth - 1)
