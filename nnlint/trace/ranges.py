"""The values that a tensor can take, as far as the operations that made it tell."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from nnlint.knowledge.schema import Kind
from nnlint.trace.producers import producers
from nnlint.trace.values import Choice, Const, ListVal, Tensor, TupleVal, Value


class Range(NamedTuple):
    """Bounds that the values surely reach or approach (`sure`) or surely keep (both ways of reading are the same for activations)."""

    low: float
    high: float
    sure: bool = True

    @property
    def unbounded(self) -> bool:
        return self.low == -inf and self.high == inf

    def leaves(self, other: Range) -> bool:
        """Whether values in this range are known to lie well outside the other."""
        return self.sure and (self.low < other.low - 1e-6 or self.high > other.high + 1e-6)


UNKNOWN = Range(-inf, inf, sure=False)
ANY = Range(-inf, inf)

_ACTIVATIONS: dict[str, Range] = {
    "relu": Range(0, inf),
    "relu6": Range(0, 6),
    "threshold": Range(0, inf),
    "hardtanh": Range(-1, 1),
    "tanh": Range(-1, 1),
    "softsign": Range(-1, 1),
    "sigmoid": Range(0, 1),
    "hardsigmoid": Range(0, 1),
    "softplus": Range(0, inf),
    "elu": Range(-1, inf),
    "celu": Range(-1, inf),
    "selu": Range(-1.7581, inf),
    "gelu": Range(-0.17, inf),
    "silu": Range(-0.2785, inf),
    "mish": Range(-0.3088, inf),
    "hardswish": Range(-0.375, inf),
    "relu_squared": Range(0, inf),
}
_SOURCES: dict[str, Range] = {
    "randn": ANY,
    "randn_like": ANY,
    "normal": ANY,
    "standard_normal": ANY,
    "rand": Range(0, 1),
    "rand_like": Range(0, 1),
    "zeros": Range(0, 0),
    "ones": Range(1, 1),
}
_WAVES = frozenset({"sin", "cos"})


def range_of(value: Value, depth: int = 0) -> Range:
    """The range of a value; unknown wherever one step is not sure."""
    if depth > 12:
        return UNKNOWN
    if isinstance(value, Const):
        return Range(value.value, value.value) if isinstance(value.value, (int, float)) else UNKNOWN
    if isinstance(value, Choice):
        return _union([range_of(part, depth + 1) for _, part in value.alternatives])
    if not isinstance(value, Tensor):
        return UNKNOWN
    name = value.op.name
    if name in _ACTIVATIONS:
        return _ACTIVATIONS[name]
    if name in _SOURCES:
        return _SOURCES[name]
    if name in _WAVES and value.inputs:
        return Range(-1, 1)
    if value.op.kind is Kind.ACTIVATION:
        return ANY if name in ("leaky_relu", "prelu", "rrelu", "tanhshrink", "softshrink", "hardshrink") else UNKNOWN
    if value.op.kind is Kind.ARITHMETIC:
        return _arithmetic(value, depth)
    if value.op.kind in (Kind.KEEP, Kind.DETACH):
        found = producers(value)
        if found is None or any(producer.tensor is value for producer in found):
            return UNKNOWN
        return _union([range_of(producer.tensor, depth + 1) for producer in found])
    return UNKNOWN


def _union(ranges: list[Range]) -> Range:
    if not ranges or not all(part.sure for part in ranges):
        return UNKNOWN
    return Range(min(part.low for part in ranges), max(part.high for part in ranges))


def _arithmetic(value: Tensor, depth: int) -> Range:
    parts = [range_of(part, depth + 1) for part in value.inputs if not isinstance(part, (TupleVal, ListVal))]
    name = value.op.name
    if name == "neg" and len(parts) == 1:
        return Range(-parts[0].high, -parts[0].low, parts[0].sure)
    if len(parts) != 2 or not all(part.sure for part in parts):
        return UNKNOWN
    left, right = parts
    if name == "add":
        return Range(left.low + right.low, left.high + right.high)
    if name == "sub":
        return Range(left.low - right.high, left.high - right.low)
    if name in ("mul", "matmul", "mm", "bmm"):
        if left.low == -inf or right.low == -inf:
            return ANY
        corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high) if not (a == 0 and abs(b) == inf) and not (b == 0 and abs(a) == inf)]
        return Range(min(corners), max(corners)) if corners and name == "mul" else UNKNOWN
    if name == "div" and right.low == right.high and right.low not in (0, inf):
        ends = sorted((left.low / right.low, left.high / right.low))
        return Range(ends[0], ends[1])
    return UNKNOWN
