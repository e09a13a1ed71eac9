"""The values that a tensor can take, as far as the operations that made it tell."""

from __future__ import annotations

from math import inf
from typing import NamedTuple, Union

from nnlint.knowledge.activations import ACTIVATIONS
from nnlint.knowledge.schema import Kind
from nnlint.trace.producers import producers
from nnlint.trace.values import Choice, Const, ListVal, Tensor, TupleVal, Unknown, Value


class Range(NamedTuple):
    """Bounds that the values surely keep and, for targets, surely come near; `sure` is False where nothing is known."""

    low: float
    high: float
    sure: bool = True

    @property
    def unbounded(self) -> bool:
        return self.low == -inf and self.high == inf

    def leaves(self, other: Range) -> bool:
        """Whether values in this range are known to lie well outside the other; a little noise on top does not count."""
        outside = max(other.low - self.low, self.high - other.high)
        inside = min(self.high, other.high) - max(self.low, other.low)
        return self.sure and outside > 1e-6 and (inside in (inf, -inf) or outside > 0.25 * inside)


UNKNOWN = Range(-inf, inf, sure=False)
ANY = Range(-inf, inf)
STANDARD = Range(-2, 2)
"""What standardised or normally distributed values cover: others are too rare to matter."""

_ACTIVATIONS = {name: Range(*bounds) for name, bounds in ACTIVATIONS.items()}
_UNBOUNDED = frozenset({"leaky_relu", "prelu", "rrelu", "tanhshrink", "softshrink", "hardshrink"})
_SOURCES: dict[str, Range] = {
    "randn": STANDARD,
    "randn_like": STANDARD,
    "standard_normal": STANDARD,
    "rand": Range(0, 1),
    "rand_like": Range(0, 1),
    "zeros": Range(0, 0),
    "ones": Range(1, 1),
    "one_hot": Range(0, 1),
    "multinomial": Range(0, 1),  # and more: how many kinds there are is not known
    "randint": Range(0, 1),
    "randperm": Range(0, 1),
    "bernoulli": Range(0, 1),
    "compare": Range(0, 1),
}
_IMAGES: dict[str, Range] = {
    "sin": Range(-1, 1),
    "cos": Range(-1, 1),
    "abs": Range(0, inf),
    "square": Range(0, inf),
    "sqrt": Range(0, inf),
    "exp": Range(0, inf),
}
_DATA = frozenset({"tensor", "as_tensor", "from_numpy", "array", "asarray"})
_INSIDE = frozenset({"mean", "max", "min", "amax", "amin", "median", "cat", "stack"})
_TRUTHS = frozenset({"==", "<", "<=", "in", "and", "or", "not", "isinstance", "hasattr", "truth"})


def range_of(value: Value, depth: int = 0) -> Range:
    """The range of a value; unknown wherever one step is not sure."""
    if depth > 16:
        return UNKNOWN
    if isinstance(value, Const):
        return Range(value.value, value.value) if isinstance(value.value, (int, float)) else UNKNOWN
    if isinstance(value, Unknown):
        return Range(0, 1) if isinstance(value.key, tuple) and value.key[:1] and value.key[0] in _TRUTHS else UNKNOWN
    if isinstance(value, Choice):
        return _union([range_of(part, depth + 1) for _, part in value.alternatives])
    if isinstance(value, (TupleVal, ListVal)):
        return _union([range_of(part, depth + 1) for part in value.items])
    return _of_tensor(value, depth) if isinstance(value, Tensor) else UNKNOWN


def _of_tensor(value: Tensor, depth: int) -> Range:
    name, kind = value.op.name, value.op.kind
    for table in (_ACTIVATIONS, _SOURCES, _IMAGES):
        if name in table:
            return table[name]
    if name in _UNBOUNDED:
        return ANY
    if name == "field":
        return range_of(value.args["of"], depth + 1) if "of" in value.args else UNKNOWN
    if name == "linspace":
        return _union([range_of(value.args[end], depth + 1) for end in ("start", "end") if end in value.args])
    if name in _DATA:
        return range_of(value.args["data"], depth + 1) if "data" in value.args else UNKNOWN
    if kind is Kind.ARITHMETIC:
        return _arithmetic(value, depth)
    if kind is Kind.CLAMP and value.inputs:
        return _clamped(range_of(value.inputs[0], depth + 1), value.args.get("min"), value.args.get("max"))
    if kind is Kind.REDUCE and name in _INSIDE and value.inputs:
        return range_of(value.inputs[0], depth + 1)
    if kind in (Kind.KEEP, Kind.DETACH):
        found = producers(value)
        if found is None or any(producer.tensor is value or not producer.direct for producer in found):
            return UNKNOWN
        return _union([range_of(producer.tensor, depth + 1) for producer in found])
    return UNKNOWN


def _union(ranges: list[Range]) -> Range:
    if not ranges or not all(part.sure for part in ranges):
        return UNKNOWN
    return Range(min(part.low for part in ranges), max(part.high for part in ranges))


def _clamped(inner: Range, low: Union[Value, None], high: Union[Value, None]) -> Range:
    bottom, top = (range_of(end) if end is not None else ANY for end in (low, high))
    if not bottom.sure or not top.sure:
        return UNKNOWN
    return Range(max(inner.low, bottom.low), min(inner.high, top.high), inner.sure)


def _arithmetic(value: Tensor, depth: int) -> Range:
    name = value.op.name
    if len(value.inputs) == 1 and name == "neg":
        inner = range_of(value.inputs[0], depth + 1)
        return Range(-inner.high, -inner.low, inner.sure)
    if len(value.inputs) != 2:
        return UNKNOWN
    left, right = value.inputs
    if name == "pow" and isinstance(right, Const):
        return Range(0, inf) if right.value in (2, 4, 0.5) else UNKNOWN
    if _leaves(left) & _leaves(right):
        return _standardised(name, left, right)
    first, second = range_of(left, depth + 1), range_of(right, depth + 1)
    if not first.sure or not second.sure:
        return UNKNOWN
    if name == "add":
        return Range(first.low + second.low, first.high + second.high)
    if name == "sub":
        return Range(first.low - second.high, first.high - second.low)
    if name in ("mul", "matmul", "mm", "bmm", "mv"):
        corners = [_product(a, b) for a in (first.low, first.high) for b in (second.low, second.high)]
        return Range(min(corners), max(corners))
    if name == "div" and second.low == second.high and second.low not in (0, inf, -inf):
        ends = sorted((first.low / second.low, first.high / second.low))
        return Range(ends[0], ends[1])
    return UNKNOWN


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


# --- values that depend on each other ----------------------------------------------------------------------------


def _leaves(value: Value, depth: int = 0) -> frozenset[object]:
    """What a value is computed from; parts of one tensor that are cut out differently count as different."""
    if not isinstance(value, Tensor):
        return frozenset()
    if depth > 16 or not value.inputs:
        return frozenset({value.id})
    if value.op.name == "index" and isinstance(value.inputs[0], Tensor):
        index = value.args.get("index")
        return frozenset({(value.inputs[0].id, index.value if isinstance(index, Const) else value.id)})
    return frozenset(leaf for part in value.inputs for leaf in _leaves(part, depth + 1))


def _standardised(name: str, left: Value, right: Value) -> Range:
    """`x - x.mean()` has both signs; divided by `x.std()` it covers what standardised values do."""
    if name == "sub" and _statistic(right, ("mean",)):
        return Range(-1e-3, 1e-3)
    centred = isinstance(left, Tensor) and left.op.name == "sub" and _statistic(left.inputs[-1], ("mean",))
    if name == "div" and centred and _statistic(right, ("std", "var")):
        return STANDARD
    return UNKNOWN


def _statistic(value: Value, names: tuple[str, ...]) -> bool:
    """A mean or deviation, give or take a safety term."""
    while isinstance(value, Tensor) and value.inputs:
        if value.op.kind is Kind.REDUCE:
            return value.op.name in names
        if value.op.kind not in (Kind.KEEP, Kind.DETACH, Kind.CLAMP) and value.op.name not in ("add", "sqrt"):
            return False
        value = value.inputs[0]
    return False
