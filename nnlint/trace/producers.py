"""What produced a value: back through everything that keeps the values as they are, to the operation that gave them their nature."""

from __future__ import annotations

from typing import Union

from nnlint.knowledge.schema import Kind
from nnlint.trace.values import Choice, Const, DictVal, Facts, ListVal, Network, Tensor, TupleVal, Value, conjunction

_FIRST_ONLY = frozenset({"index", "gather", "index_select", "masked_select", "masked_fill", "take_along_dim", "expand_as", "view_as"})
_SHIFTS = frozenset({"add", "sub"})


class Producer:
    """One operation that a value may come from, under `facts`; `path` are the steps between, from the value back to the operation."""

    __slots__ = ("facts", "path", "tensor")

    def __init__(self, tensor: Tensor, facts: Facts, path: tuple[Tensor, ...]) -> None:
        self.tensor = tensor
        self.facts = facts
        self.path = path

    @property
    def kind(self) -> Kind:
        return self.tensor.op.kind

    @property
    def known(self) -> bool:
        """Whether the value is followed all the way: not data, not an unknown network, not arithmetic."""
        return self.kind not in (Kind.SOURCE, Kind.ARITHMETIC, Kind.HOST) and self.tensor.op.name not in ("network", "field", "opaque")


def producers(value: Value, facts: Facts = (), path: tuple[Tensor, ...] = (), depth: int = 0) -> Union[list[Producer], None]:
    """All operations that the value may come from; None where one of them cannot be told."""
    if depth > 200:
        return None
    if isinstance(value, Choice):
        out: list[Producer] = []
        for inner, part in value.alternatives:
            if isinstance(part, Const) and part.value is None:
                continue
            merged = conjunction(facts, inner)
            if merged is None:
                continue
            found = producers(part, merged, path, depth + 1)
            if found is None:
                return None
            out += found
        return out or None
    if not isinstance(value, Tensor):
        return None
    through = _through(value)
    if through is None:
        return [Producer(value, facts, path)]
    out = []
    for part in through:
        found = producers(part, facts, (*path, value), depth + 1)
        if found is None:
            return None
        out += found
    return out or None


def _through(tensor: Tensor) -> Union[list[Value], None]:
    """The values that a value-keeping operation passes on; None where the operation is itself the producer."""
    op = tensor.op
    if op.name in ("field", "batch", "parameter", "input"):
        return None
    if op.kind in (Kind.KEEP, Kind.DETACH, Kind.CLAMP):
        inputs = [part for value in tensor.inputs for part in _spread(value)]
        if not inputs:
            return None
        return inputs[:1] if op.name in _FIRST_ONLY else inputs if op.name in ("cat", "stack", "returned") or len(inputs) == 1 else inputs[:1]
    if op.kind is Kind.ARITHMETIC and op.name in _SHIFTS:
        tensors = [value for value in tensor.inputs if isinstance(value, (Tensor, Choice))]
        small = [value for value in tensor.inputs if isinstance(value, Const) and isinstance(value.value, float) and abs(value.value) < 1e-3]
        if len(tensors) == 1 and len(small) == 1:
            return [tensors[0]]
    return None


def _spread(value: Value) -> list[Value]:
    if isinstance(value, (TupleVal, ListVal)):
        return [part for item in value.items for part in _spread(item)]
    if isinstance(value, DictVal):
        return []
    return [value] if isinstance(value, (Tensor, Choice)) else []


def last_layer(value: Value) -> Union[Network, None]:
    """The layer with weights whose output a value is, through activations and value-keeping operations, if there is just one."""
    found = producers(value)
    for _ in range(8):
        if found is None or len({id(producer.tensor.op) for producer in found}) == 0:
            return None
        modules = {id(producer.tensor.module): producer.tensor for producer in found}
        if len(modules) != 1:
            return None
        tensor = found[0].tensor
        if tensor.op.kind is Kind.AFFINE:
            return tensor.module
        if tensor.op.kind in (Kind.ACTIVATION, Kind.PROBABILITY, Kind.LOG_PROBABILITY, Kind.LOG) and tensor.inputs:
            found = producers(tensor.inputs[0])
            continue
        return None
    return None


def classes(value: Value) -> Union[int, None]:
    """The number of classes of an output, where the layer that makes it says so."""
    layer = last_layer(value)
    if layer is None or layer.layer is None or not layer.layer.out:
        return None
    out = layer.args.get(layer.layer.out)
    return out.value if isinstance(out, Const) and isinstance(out.value, int) else None
