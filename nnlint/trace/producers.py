"""What produced a value: back through everything that leaves its nature as it is, to the operation that gave it that nature."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Union

from nnlint.knowledge.schema import Kind
from nnlint.trace.machine import ABSENT
from nnlint.trace.values import (
    Choice,
    Const,
    DictVal,
    Facts,
    ListVal,
    Network,
    SizeVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    choice,
    conjunction,
)

_MANY = frozenset({"any of", "cat", "stack", "returned", "hstack", "vstack", "dstack", "concatenate"})
_ENDS = frozenset({"field", "batch", "parameter", "input"})
_PARTS = frozenset({"index", "chunk", "split", "narrow", "unbind", "index_select", "masked_select"})
_SHIFTS = frozenset({"add", "sub"})
_SCALES = frozenset({"mul", "div"})
_PRODUCTS = frozenset({"matmul", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum", "linear", "spmm"})
_MEANS = frozenset({"mean", "nanmean", "amax", "amin", "max", "min", "median"})
_PLACEHOLDERS = frozenset(
    {"zeros", "zeros_like", "zero", "new_zeros", "empty", "empty_like", "new_empty", "full", "full_like", "new_full", "ones"}
)
_MOST = 48  # alternatives: more than a person would tell apart


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

    @property
    def direct(self) -> bool:
        """Whether the very values arrive, and not their means, sums or multiples."""
        return all(step.op.kind in (Kind.KEEP, Kind.DETACH, Kind.CLAMP) for step in self.path)


def producers(value: Value, facts: Facts = ()) -> Union[list[Producer], None]:
    """All operations that the value may come from; None where one of them cannot be told."""
    found: list[Producer] = []
    seen: set[tuple[int, Facts]] = set()
    return found if _collect(value, facts, (), found, seen) and found else None


def _collect(value: Value, facts: Facts, path: tuple[Tensor, ...], found: list[Producer], seen: set[tuple[int, Facts]]) -> bool:
    """Add the producers of a value; False where one cannot be told."""
    if isinstance(value, Choice):
        for inner, part in value.alternatives:
            merged = conjunction(facts, inner)
            if merged is None or _nothing(part):
                continue
            if not _collect(part, merged, path, found, seen):
                return False
        return True
    if not isinstance(value, Tensor) or len(path) > 200 or len(found) > _MOST:
        return False
    if (value.id, facts) in seen:
        return True
    seen.add((value.id, facts))
    through = _through(value)
    if through is None:
        only = _only(value)
        parts: list[Producer] = []
        # What only keeps the nature of some things is the producer of all others.
        if only is not None and all(_collect(part, facts, (*path, value), parts, set()) for part in only.parts) and only.fits(parts):
            found += parts
        else:
            found.append(Producer(value, facts, path))
        return True
    return all(_collect(part, facts, (*path, value), found, seen) for part in through)


def _nothing(value: Value) -> bool:
    """What only stands for a missing value: None, or an item that this alternative does not have."""
    return (isinstance(value, Const) and value.value is None) or value is ABSENT


def _through(tensor: Tensor) -> Union[list[Value], None]:
    """The values whose nature an operation passes on; None where the operation is itself the producer."""
    op = tensor.op
    if op.name in _ENDS:
        return None
    if op.kind in (Kind.KEEP, Kind.DETACH, Kind.CLAMP):
        return _kept(tensor)
    if op.kind in (Kind.POOL, Kind.RESAMPLE) or (op.kind is Kind.REDUCE and op.name in _MEANS and "dim" in tensor.args):
        # Means and maxima of probabilities are probabilities, those of scores are scores.
        return _spread(tensor.inputs[0])[:1] or None if tensor.inputs else None
    if op.kind is Kind.ARITHMETIC and op.name in _SHIFTS:
        # A little safety term does not matter.
        return _beside(tensor, lambda value: isinstance(value, Const) and _tiny(value.value))
    return None


def _kept(tensor: Tensor) -> Union[list[Value], None]:
    name = tensor.op.name
    if name == "where":
        chosen = [tensor.args[key] for key in ("input", "other") if key in tensor.args]
        if "input" not in tensor.args:
            chosen = [*tensor.inputs[:1], *chosen]
        return [value for value in chosen if isinstance(value, (Tensor, Choice))] or None
    inputs = [part for value in tensor.inputs for part in _spread(value)]
    if name == "filled":
        return [part for part in map(_written, inputs) if part is not None] or None
    if name == "copy":
        inputs = inputs[1:]
    if name in ("scatter", "index_put", "masked_scatter", "slice_scatter") and len(inputs) > 2:
        return None
    return (inputs if name in _MANY else inputs[:1]) or None


class _Only(NamedTuple):
    """Parts whose nature an operation keeps if it is of this kind."""

    parts: list[Value]
    kind: Kind

    def fits(self, found: list[Producer]) -> bool:
        return bool(found) and all(
            producer.kind is self.kind and (self.kind is Kind.AFFINE or producer.tensor.op.name == "softmax") for producer in found
        )


def _only(tensor: Tensor) -> Union[_Only, None]:
    """Raw scores stay raw under a scale and in a sum; weights of rows that are one-hot are probabilities (a matching network)."""
    name, inputs = tensor.op.name, tensor.inputs
    if tensor.op.kind is not Kind.ARITHMETIC:
        return None
    if name in _SCALES:
        scaled = _beside(tensor, lambda value: isinstance(value, (Const, SizeVal, Unknown)) and not _negative(value))
        return _Only(scaled, Kind.AFFINE) if scaled is not None and (name == "mul" or scaled[0] is inputs[0]) else None
    if len(inputs) != 2 or not all(isinstance(value, (Tensor, Choice)) for value in inputs):
        return None
    if name in _SHIFTS:
        terms = [value for value in inputs if not _is_parameter(value)]
        return _Only(terms, Kind.AFFINE) if terms else None
    return _Only([inputs[0]], Kind.PROBABILITY) if name in ("matmul", "mm", "bmm") and _one_hot(inputs[1]) else None


def _beside(tensor: Tensor, harmless: Callable[[Value], bool]) -> Union[list[Value], None]:
    """The one tensor of two inputs of which the other is harmless."""
    tensors: list[Value] = [value for value in tensor.inputs if isinstance(value, (Tensor, Choice))]
    return tensors if len(tensors) == 1 and len(tensor.inputs) == 2 and any(harmless(value) for value in tensor.inputs) else None


def _tiny(value: object) -> bool:
    return isinstance(value, float) and abs(value) < 1e-3


def _negative(value: Value) -> bool:
    return isinstance(value, Const) and not (isinstance(value.value, (int, float)) and value.value > 0)


def _is_parameter(value: Value) -> bool:
    return isinstance(value, Tensor) and value.op.name == "parameter"


def _one_hot(value: Value) -> bool:
    """Whether every row is 0 but for a 1."""
    for _ in range(12):
        if not isinstance(value, Tensor) or not value.inputs:
            return False
        if value.op.name == "one_hot":
            return True
        if value.op.name == "scatter":
            source = value.args.get("src") or value.args.get("value")
            return isinstance(source, Const) and source.value in (1, 1.0) and _blank(value.inputs[0])
        if value.op.kind not in (Kind.KEEP, Kind.DETACH) or value.op.name in _ENDS:
            return False
        if value.op.name == "index" and isinstance(value.inputs[0], Tensor) and value.inputs[0].op.name == "eye":
            return True
        value = value.inputs[0]
    return False


def _blank(value: Value) -> bool:
    """Whether a tensor only waits to be filled."""
    while isinstance(value, Tensor) and value.op.kind in (Kind.KEEP, Kind.DETACH) and value.op.name != "filled" and value.inputs:
        value = value.inputs[0]
    return isinstance(value, Tensor) and value.op.name in _PLACEHOLDERS


def _written(value: Value) -> Union[Value, None]:
    """A value less the alternatives in which nothing is written yet."""
    if not isinstance(value, Choice):
        return None if _blank(value) else value
    left = [(facts, part) for facts, part in value.alternatives if not _blank(part)]
    return choice(left) if left else None


def _spread(value: Value) -> list[Value]:
    if isinstance(value, (TupleVal, ListVal)):
        return [part for item in value.items for part in _spread(item)]
    if isinstance(value, DictVal):
        return []
    return [value] if isinstance(value, (Tensor, Choice)) else []


def weighted(value: Value, depth: int = 0) -> bool:
    """Whether a value comes straight from weights: a layer, a norm behind one, or a product with a parameter, possibly scaled or summed."""
    if isinstance(value, Choice):
        return all(weighted(part, depth + 1) for _, part in value.alternatives if not _nothing(part))
    if not isinstance(value, Tensor) or depth > 12:
        return False
    op = value.op
    if op.kind in (Kind.AFFINE, Kind.NORM):
        return True
    inputs = [part for given in value.inputs for part in _spread(given)]
    if op.kind in (Kind.KEEP, Kind.DETACH) and op.name not in _ENDS:
        return bool(inputs) and weighted(inputs[0], depth + 1)
    if op.kind is Kind.ARITHMETIC and op.name in _PRODUCTS:
        return any(_is_parameter(part) or weighted(part, depth + 1) for part in inputs)
    if op.kind is Kind.ARITHMETIC and op.name in _SHIFTS | _SCALES:
        return any(weighted(part, depth + 1) for part in inputs)
    return False


def last_layer(value: Value) -> Union[Network, None]:
    """The layer with weights whose output a value is, through activations and value-keeping operations, if there is just one."""
    found = producers(value)
    for _ in range(8):
        if not found or len({id(producer.tensor.module) for producer in found}) != 1:
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
    """The number of classes of an output, where the layer that makes it says so and no part was taken since."""
    layer = last_layer(value)
    out = layer.args.get(layer.layer.out) if layer is not None and layer.layer is not None and layer.layer.out else None
    if not isinstance(out, Const) or not isinstance(out.value, int) or _cut(value):
        return None
    sizes = value.layout.sizes if isinstance(value, Tensor) and value.layout is not None else None
    known = sizes is None or any(size == out.value or size.counted.known == out.value for size in sizes)
    return out.value if known else None


def _cut(value: Value) -> bool:
    """Whether a part was taken between the layer and here."""
    while isinstance(value, Tensor) and value.op.kind is not Kind.AFFINE and value.inputs:
        if value.op.name in _PARTS:
            return True
        value = value.inputs[0]
    return False
