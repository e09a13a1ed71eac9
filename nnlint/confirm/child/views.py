"""Each `view` and `reshape` of the user's with the sizes that it met, and whether samples of a batch mix."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Union

import torch

from nnlint.confirm.child.forwards import tensors
from nnlint.confirm.child.replay import Impossible, Replay
from nnlint.confirm.records import Chain, Spot, ViewSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.forwards import Root
    from nnlint.confirm.child.probe import Probe


_AXES = 3  # of the inputs, along which replays are made smaller


class Views:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._records: dict[tuple[Chain, int], ViewSeen] = {}
        self._replaying = 0  # counts the replays
        self._replayed: list[ViewSeen] = []
        self._settled: set[int] = set()
        self._listening = False
        self._touched: set[Spot] = set()  # what a network comes through, while that is asked

    def install(self) -> None:
        for name in ("view", "reshape"):
            self._watch(torch.Tensor, name)
        self._watch(torch, "reshape")

    def _watch(self, owner: Any, name: str) -> None:
        original, probe = getattr(owner, name), self._probe
        mine = probe.frames.mine

        def watched(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(tensor, *args, **kwargs)
            if (probe.on or self._replaying or self._listening) and mine(sys._getframe(1).f_code):
                if self._listening:
                    self._touched.update(probe.chain()[:1])
                else:
                    self._seen(name, tensor, result)
            return result

        watched.__wrapped__ = original  # type: ignore[attr-defined]
        watched.__name__, watched.__doc__ = name, original.__doc__
        setattr(owner, name, watched)

    def _seen(self, method: str, tensor: Any, result: Any) -> None:
        source, target = getattr(tensor, "shape", None), getattr(result, "shape", None)
        if source is None or target is None or (method == "view" and result.dtype != tensor.dtype):
            return
        where = self._probe.chain()
        key = (where, self._replaying)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = ViewSeen(where=where, method=method, replayed=bool(self._replaying), device=str(tensor.device))
            if self._replaying:
                self._replayed.append(record)
            else:
                self._probe.record(record)
        before, after = _long(source), _long(target)
        relabelled = before != after and sorted(before) == sorted(after)
        if relabelled or not record.relabelled:
            record.source, record.target = tuple(source), tuple(target)
        record.calls += 1
        record.relabelled += relabelled
        record.crossing += crosses(before, after) or moves(before, after)
        record.straddling += straddles(before, after)
        record.ambiguous += len(set(before)) < len(before) and sorted(before) == sorted(after)
        if not self._replaying:
            self._probe.wire.changed(record)

    def settle(self) -> None:
        """Ask a copy of the network whether samples mix; and for other sizes, where equal ones left it open."""
        probe = self._probe
        asked = [record for record in self._records.values() if record.relabelled or probe.suspected(record.where[:1])]
        if not asked:
            return
        with probe.aside():
            for root in probe.forwards.called():
                if id(root.network()) not in self._settled:
                    self._settled.add(id(root.network()))
                    self._ask(root, asked)

    def _ask(self, root: Root, asked: list[ViewSeen]) -> None:
        self._touched.clear()
        mixing: Union[float, None] = None
        why = ""
        self._listening = True
        try:
            mixing = mixing_of(Replay(root))
        except Impossible as reason:
            why = str(reason)
        except Exception as error:  # noqa: BLE001
            why = f"the probe failed: {error!r}"
        finally:
            self._listening = False
        mine = [record for record in asked if record.where[0] in self._touched]
        for record in mine:
            record.mixing, record.why = mixing, why
            self._probe.wire.changed(record)
        if any(not (record.crossing or record.relabelled) for record in mine):
            for axis in range(_AXES):
                self._again(root, axis)

    def _again(self, root: Root, axis: int) -> None:
        """The same with inputs that are smaller by one along an axis: sizes that agreed or divided each other by chance no longer do.

        Counts only if the output has as many samples as it must: a size that is written into the code may not fit the smaller input.
        """
        self._replayed = []
        try:
            replay = Replay(root)
            with torch.no_grad():
                before = _samples(replay.run())
                self._replaying = axis + 1
                after = _samples(replay.run(_fewer(replay.args, axis), _fewer(replay.kwargs, axis)))
        except Impossible:
            return
        finally:
            self._replaying = 0
            for key in [key for key in self._records if key[1]]:
                del self._records[key]
        if after == before - (axis == 0):
            for record in self._replayed:
                self._probe.record(record)


def _samples(output: Any) -> int:
    tensor = next(tensors(output), None)
    return tensor.size(0) if tensor is not None and tensor.dim() else 0


def _long(shape: Iterable[int]) -> list[int]:
    return [int(size) for size in shape if size != 1]


def crosses(source: list[int], target: list[int]) -> bool:
    """Whether no refinement of both shapes keeps the order in memory: the products of leading sizes must divide one another."""
    edges = sorted({math.prod(shape[: count + 1]) for shape in (source, target) for count in range(len(shape))})
    return any(later % earlier for earlier, later in pairwise(edges) if earlier)


def straddles(source: list[int], target: list[int]) -> bool:
    """Whether an axis of the target holds a part of one axis of the source together with something of its neighbour."""
    edges = [{math.prod(shape[:count]) for count in range(len(shape) + 1)} for shape in (source, target)]
    for count, size in enumerate(target):
        start = math.prod(target[:count])
        within = any(start < edge < start * size for edge in edges[0])
        if within and not {start, start * size} <= edges[0]:
            return True
    return False


def moves(source: list[int], target: list[int]) -> bool:
    """Whether an axis that its size tells from all others lies elsewhere in memory: the product of the sizes behind it differs."""
    for size in set(source) & set(target):
        if source.count(size) == target.count(size) == 1:
            behind = [math.prod(shape[shape.index(size) + 1 :]) for shape in (source, target)]
            if behind[0] != behind[1]:
                return True
    return False


def _fewer(value: Any, axis: int) -> Any:
    """The same arguments, smaller by one along an axis in every tensor that has some to spare."""
    if isinstance(value, torch.Tensor):
        return value.narrow(axis, 0, value.size(axis) - 1) if value.dim() > axis and value.size(axis) > 2 else value
    if type(value) in (list, tuple):
        return type(value)(_fewer(item, axis) for item in value)
    if isinstance(value, dict):
        return {name: _fewer(item, axis) for name, item in value.items()}
    return value


def mixing_of(replay: Replay) -> Union[float, None]:
    """The largest gradient from the output of one sample to the input of another, in eval mode; exactly 0 where samples do not meet.

    Which axis counts the samples is not known for sure (sequences may come first): the smallest over the axes that may be it.
    Raises `Impossible`.
    """
    replay.copy.eval()
    entry, handle, args, kwargs = _differentiable(replay)
    try:
        output = next((tensor for tensor in tensors(replay.run(args, kwargs)) if tensor.requires_grad), None)
    finally:
        if handle is not None:
            handle.remove()
    input = entry[0] if entry else None
    if output is None or input is None:
        raise Impossible("its output does not depend on a floating input")
    found = [
        _across(input, output, axis, place)
        for axis in range(min(2, input.dim() - 1) or 1)
        for place in range(min(2, output.dim()))
        if input.size(axis) == output.size(place) >= 2
    ]
    if not found:
        raise Impossible(f"no axis of the output {tuple(output.shape)} has the size of one of the input {tuple(input.shape)}")
    return min(found)


def _across(input: torch.Tensor, output: torch.Tensor, axis: int, place: int) -> float:
    one = output.select(place, 1)
    (gradient,) = torch.autograd.grad((one * torch.randn(one.shape).to(one)).sum(), input, retain_graph=True, allow_unused=True)
    if gradient is None:
        return 0.0
    others = [index for index in range(input.size(axis)) if index != 1]
    return float(gradient.index_select(axis, torch.tensor(others, device=gradient.device)).abs().max())


def _differentiable(replay: Replay) -> tuple[list[torch.Tensor], Any, tuple[Any, ...], dict[str, Any]]:
    """An input that gradients reach: the first floating argument, or what the first embedding makes of the tokens."""
    entry: list[torch.Tensor] = []

    def swap(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not entry:
            entry.append(value.detach().clone().requires_grad_())
            return entry[0]
        if type(value) in (list, tuple):
            return type(value)(swap(item) for item in value)
        if isinstance(value, dict):
            return {name: swap(item) for name, item in value.items()}
        return value

    embedding = next((layer for layer in replay.copy.modules() if isinstance(layer, torch.nn.Embedding)), None)
    integers = any(not tensor.is_floating_point() for tensor in tensors((replay.args, replay.kwargs)))
    if embedding is not None and integers:

        def embedded(layer: Any, args: Any, output: torch.Tensor) -> Union[torch.Tensor, None]:
            if entry:
                return None
            entry.append(output.detach().clone().requires_grad_())
            return entry[0]

        return entry, embedding.register_forward_hook(embedded), replay.args, replay.kwargs
    args, kwargs = swap(replay.args), swap(replay.kwargs)
    return entry, None, args, kwargs
