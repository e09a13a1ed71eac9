"""Tensors: what an operation makes, and the questions `shape`, `size`, indexing ask of one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Union

from nnlint.findings import Site
from nnlint.knowledge.functions import ARRAY_METHODS, ATTRIBUTES, METHODS, PAIR_WITH_DIM
from nnlint.knowledge.schema import SCORES, Kind, Loss, Op
from nnlint.trace import measures
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Machine
from nnlint.trace.story import LossCall, Normalised
from nnlint.trace.values import (
    NONE,
    TRUE,
    Bound,
    Const,
    DictVal,
    GradVal,
    ListVal,
    ModeFlag,
    Network,
    Params,
    Shape,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    grow,
    key_of,
    tensors_of,
)

if TYPE_CHECKING:
    from nnlint.trace.layout import Layout

INPUT = Op("input", Kind.SOURCE)
FIELD = Op("field", Kind.KEEP)
INDEX = Op("index", Kind.KEEP)
FILLED = Op("filled", Kind.KEEP)
COMPARE = Op("compare", Kind.DECISION)
PARAMETER = Op("parameter", Kind.SOURCE)
OPAQUE = Op("opaque", Kind.ARITHMETIC)
TRAINABLE = frozenset({Kind.AFFINE, Kind.NORM, Kind.RECURRENT, Kind.ATTENTION})
_QUESTIONS = frozenset(
    "size dim ndimension numel nelement backward requires_grad_ register_hook retain_grad is_cuda element_size get_device stride "
    "is_contiguous data_ptr zero_ tolist item type dim_order".split()
)
TENSOR_METHODS = (frozenset(METHODS) | {"size", "dim", "numel"}) - frozenset("split index type where copy count round".split())
_ARITHMETIC = {
    name: Op(title, Kind.ARITHMETIC)
    for name, title in {
        "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floor_divide", "%": "remainder", "**": "pow", "@": "matmul",
        "neg": "neg", "&": "and", "|": "or", "^": "xor", "~": "not", "<<": "shift", ">>": "shift",
    }.items()
}  # fmt: skip


def make(
    m: Machine,
    op: Op,
    site: Site,
    inputs: Sequence[Value],
    args: dict[str, Value],
    module: Union[Network, None] = None,
    layout: Union[Layout, None] = None,
) -> Tensor:
    """A new tensor. Under `no_grad` it has no graph."""
    tensor = Tensor(op, site, tuple(inputs), args, module, layout)
    if m.pending_relabel:
        tensor.relabelled = tensor.relabelled or m.pending_relabel
        m.pending_relabel = 0
    for value in inputs:
        for used in tensors_of(value):
            grow(used, used.users, tensor)
    if not m.grad:
        tensor.networks = frozenset()
        tensor.forwards = frozenset()
    if op.kind in (Kind.DECISION, Kind.LOSS) or op.name == "sub":
        _judge(m, tensor)
    if op.kind in SCORES:
        m.story.scores.append(tensor)
    return tensor


def _judge(m: Machine, tensor: Tensor) -> None:
    """Tell the network calls that a decision was made on their output, or that it was held against something else: a truth."""
    given = [part for value in tensor.inputs for part in tensors_of(value)]
    loss = tensor.op.kind is Kind.LOSS
    unknown = tensor.op is COMPARE and any(isinstance(value, Unknown) for value in tensor.inputs)
    for forward in tensor.seen:
        scored = loss or unknown or any(forward not in other.seen and other.data for other in given)
        forward.scored = forward.scored or scored
        forward.judged = forward.judged or scored or tensor.op.kind is Kind.DECISION
    if loss and m.networks and m.forwards:
        # Computed by the network itself, before its output is known.
        m.forwards[-1].judged = m.forwards[-1].scored = True


def source(m: Machine, op: Op, site: Site, args: dict[str, Value], data: Hashable) -> Tensor:
    """A tensor that comes from outside: `data` names where from ("synthetic" for random and constant ones)."""
    tensor = make(m, op, site, (), args, layout=measures.of_source(m, op, args))
    tensor.data = frozenset({data})
    return tensor


def as_tensor(m: Machine, value: Unknown, site: Site) -> Tensor:
    """An unknown value that is used as a tensor: the same tensor each time."""
    known = m.guesses.get(value.key)
    if known is None:
        known = make(m, INPUT, site, (), {}, layout=m.shapes.get(value.key) or measures.unknown(value.label))
        known.exact = False
        known.data = data_of(value)
        m.guesses[value.key] = known
    return known


def opaque(m: Machine, inputs: list[Value], site: Site) -> Tensor:
    """What code that was not followed makes of tensors."""
    made = make(m, OPAQUE, site, inputs, {}, layout=measures.unknown())
    made.exact = False
    return made


def data_of(value: Value) -> frozenset[Hashable]:
    """Where the value's data comes from."""
    if isinstance(value, Unknown):
        found = _element(value.key)
        return frozenset() if found is None else frozenset({found})
    return frozenset(part for tensor in tensors_of(value) for part in tensor.data)


def _element(key: Hashable) -> Hashable:
    while isinstance(key, tuple) and len(key) > 1:
        if key[0] == "element":
            return ("element-of", key[1])
        if key[0] not in ("item", "attr", "call"):
            return None
        key = key[1]
    return None


def parameter(m: Machine, net: Network, name: str, site: Site) -> Tensor:
    """`net.weight`."""
    return make(m, PARAMETER, site, (), {"name": Const(name)}, module=net, layout=measures.unknown())


# --- operations --------------------------------------------------------------------------------------------------


def apply(m: Machine, op: Op, inputs: Sequence[Value], args: dict[str, Value], site: Site, module: Union[Network, None] = None) -> Value:
    """The result of an operation: a tensor, or a tuple where it gives several."""
    if op.mode:
        _notice_mode(m, op, args)
    layouts = measures.of_operation(m, op, inputs, args, site)
    owner = module if op.kind in TRAINABLE else None
    keep = [value for value in inputs if not isinstance(value, Const)]
    if op.results == 2 or (op.name in PAIR_WITH_DIM and "dim" in args):
        first = make(m, op, site, keep, args, owner, measures.pick(layouts, 0))
        second = Op(op.name, op.kind if op.kind in TRAINABLE else Kind.DECISION, op.params)
        other: Value = make(m, second, site, keep, args, owner, measures.pick(layouts, 1))
        if op.name == "lstm":
            cell = make(m, second, site, keep, args, owner, measures.pick(layouts, 2))
            other = TupleVal((other, cell))
        return TupleVal((first, other))
    if op.results == 0:
        return _several(m, op, keep, args, site, owner, layouts)
    if op.results > 2:
        return TupleVal(tuple(make(m, op, site, keep, args, owner, measures.pick(layouts, index)) for index in range(op.results)))
    return make(m, op, site, keep, args, owner, measures.pick(layouts, 0))


def _several(
    m: Machine, op: Op, inputs: Sequence[Value], args: dict[str, Value], site: Site, owner: Union[Network, None], layouts: Any
) -> Value:
    parts = (
        args.get("split_size_or_sections", args.get("split_size", args.get("split_sizes"))) if op.name == "split" else args.get("chunks")
    )
    count: Union[int, None] = None
    if isinstance(parts, (TupleVal, ListVal)) and not (isinstance(parts, ListVal) and parts.growing):
        count = len(parts.items)
    elif op.name == "chunk" and isinstance(parts, Const) and isinstance(parts.value, int) and 0 < parts.value <= 16:
        count = parts.value
    if count is not None:
        known = layouts if isinstance(layouts, tuple) and len(layouts) == count else (measures.pick(layouts, 0),) * count
        return TupleVal(tuple(make(m, op, site, inputs, args, owner, part) for part in known))
    # Unpacking or indexing gives pieces that are all alike.
    return make(m, Op(op.name, op.kind, op.params), site, inputs, args, owner, measures.pieces(measures.pick(layouts, 0)))


def _notice_mode(m: Machine, op: Op, args: dict[str, Value]) -> None:
    """A functional dropout or norm that follows `self.training` makes its module care about the mode."""
    flag = args.get(op.mode)
    rate = args.get("p")
    if isinstance(flag, ModeFlag) and not (isinstance(rate, Const) and rate.value in (0, 0.0)):
        owner = flag.network
        if isinstance(owner, Network) and "<mode>" not in owner.attrs:
            m.set(owner.attrs, "<mode>", TRUE)


def function(m: Machine, op: Op, args: Args, site: Site) -> Value:
    """A call of a library function that is an operation on tensors."""
    named = args.named(op.params, op.rest)
    if op.kind is Kind.SOURCE:
        return source(m, op, site, named, _origin(op, named))
    first = named.pop(op.params[0], None) if op.params else None
    if first is None:
        return make(m, op, site, args.values(), named)
    rest = dict(named)
    others = [value for value in rest.values() if tensors_of(value)]
    return m.each(first, site, lambda one: apply(m, op, [one, *others], rest, site))


_RANDOM = frozenset(
    "randn rand randint zeros ones full empty randn_like rand_like zeros_like ones_like full_like empty_like randint_like randperm eye "
    "arange linspace normal uniform bernoulli random randn_ random_sample standard_normal integers choice logspace multinomial".split()
)


def _origin(op: Op, named: dict[str, Value]) -> Hashable:
    if op.name in _RANDOM:
        return "synthetic"
    inner = [part for value in named.values() for tensor in tensors_of(value) for part in tensor.data]
    return inner[0] if inner else ("tensor", birth())


def arithmetic(m: Machine, op: str, left: Value, right: Value, site: Site) -> Value:
    """`left op right` where one side is a tensor."""
    inputs = [left] if right is NONE else [left, right]
    kind = _ARITHMETIC.get(op, OPAQUE)
    return make(m, kind, site, inputs, {}, layout=measures.of_arithmetic(m, kind, inputs))


def comparison(m: Machine, op: str, left: Value, right: Value, site: Site) -> Value:
    return make(m, COMPARE, site, [left, right], {})


def layer(m: Machine, net: Network, args: Args, site: Site) -> Value:
    """A call of a library layer."""
    assert net.layer is not None
    op = net.layer.op
    inputs = args.values()
    first = inputs[0] if inputs else Unknown()
    others = inputs[1:]
    if net.layer.holds and isinstance(net.args.get(net.layer.holds), Network):
        from nnlint.trace import calls

        return calls.call(m, net.args[net.layer.holds], args, site)

    def one(value: Value) -> Value:
        result = apply(m, op, [value, *others], {**net.args, **args.keywords}, site, net)
        if net.layer is not None and net.layer.cancels_bias and isinstance(value, Tensor):
            m.tell(Normalised(site, net, value))
        _remember(m, result, net)
        return result

    return m.each(first, site, one)


def _remember(m: Machine, result: Value, net: Network) -> None:
    """Which layer applied an operation, parameters or not."""
    for tensor in tensors_of(result):
        tensor.module = net
        grow(net, net.outputs, tensor)
    if net.layer is not None and net.layer.op.kind is Kind.AFFINE:
        m.story.layers[net.id] = net


def loss(m: Machine, spec: Loss, args: Args, site: Site, owner: Union[Network, None]) -> Value:
    """A call of a loss."""
    named = args.named(spec.params)
    given = m.settle(named.get(spec.params[0], Unknown()))
    target = named.get(spec.params[1]) if len(spec.params) > 1 else None
    options = {**(owner.args if owner is not None else {}), **{k: v for k, v in named.items() if k not in spec.params[:2]}}
    inputs = [value for value in named.values() if not isinstance(value, Const)]
    output = make(m, Op(spec.name, Kind.LOSS, spec.params), site, inputs, options)
    event = LossCall(site, spec, given, target, output, owner)
    event.grad = m.grad
    m.tell(event)
    return output


# --- methods and attributes --------------------------------------------------------------------------------------


def method(m: Machine, tensor: Tensor, name: str, args: Args, site: Site) -> Value:
    """`tensor.name(args)`."""
    if name == "size":
        return measures.part(Shape(tensor), m.settle(args.positional[0])) if args.positional else Shape(tensor)
    if name in ("dim", "ndimension"):
        return measures.rank(tensor)
    if name == "backward":
        from nnlint.trace import training

        return training.backward(m, tensor, site)
    if name in ("requires_grad_", "retain_grad"):
        return tensor
    if name == "__getitem__" and args.positional:
        return item(m, tensor, [args.positional[0]], site)
    op = METHODS.get(name)
    if op is None or (
        name in ARRAY_METHODS and ("axis" in args.keywords or (name == "transpose" and len(args.positional) != 2 and not args.keywords))
    ):
        op = ARRAY_METHODS.get(name)
    if op is not None:
        named = args.named(op.params, op.rest)
        if op.kind is Kind.SOURCE:
            return source(m, op, site, named, "synthetic")
        others = [value for value in named.values() if tensors_of(value)]
        return apply(m, op, [tensor, *others], named, site)
    if name in _QUESTIONS:
        return Unknown(("ask", tensor.id, name), born=tensor.id)
    made = make(m, OPAQUE, site, [tensor, *args.values()], {})
    made.exact = False
    return made


def attribute(m: Machine, tensor: Tensor, name: str, site: Site) -> Value:
    """`tensor.name`."""
    if name == "shape":
        return Shape(tensor)
    if name == "grad":
        return GradVal(Params(tuple(tensor.networks) or (tensor,)))
    if name == "ndim":
        return measures.rank(tensor)
    if name in ("device", "dtype", "requires_grad", "is_cuda", "grad_fn", "is_leaf", "names", "layout"):
        return Unknown(("ask", tensor.id, name), born=tensor.id)
    if name in ATTRIBUTES:
        return apply(m, ATTRIBUTES[name], [tensor], {}, site)
    if tensor.op.name in ("batch", "network", "returned", "field", "opaque", "input") and name not in _QUESTIONS and name not in METHODS:
        return _field(m, tensor, site)
    if tensor.op.name == "batch" and name not in _QUESTIONS:
        return _field(m, tensor, site)
    return Bound(tensor, name)


def _field(m: Machine, tensor: Tensor, site: Site) -> Tensor:
    field = make(m, FIELD, site, (tensor,), {}, layout=measures.unknown())
    field.exact = tensor.exact and tensor.op.name == "batch"
    return field


def fill(m: Machine, tensor: Value, index: list[Any], value: Value, site: Site) -> Value:
    """What a tensor is after `tensor[index] = value`."""
    if not isinstance(tensor, Tensor):
        return tensor
    spot = _spot(index)
    args: dict[str, Value] = {"spot": TupleVal(tuple(Const(part) for part in spot))} if spot is not None else {}
    return make(m, FILLED, site, (tensor, value), args, layout=tensor.layout)


def _spot(index: list[Any]) -> Union[tuple[int, int, float, bool], None]:
    """Where `[..., 1:3]` or `[:, 2]` lies: the axis, from, to, and whether it is a slice."""
    *before, last = index
    if before == [Ellipsis]:
        axis = -1
    elif all(part == (None, None, None) for part in before):
        axis = len(before)
    else:
        return None
    lower, upper, step = last if isinstance(last, tuple) else (last, None, None)
    start = 0 if lower is None else _entry(lower)
    if start is None or step is not None:
        return None
    if not isinstance(last, tuple):
        return axis, start, start + 1, False
    stop = math.inf if upper is None else _entry(upper)
    return (axis, start, stop, True) if stop is not None else None


def _entry(value: object) -> Union[int, None]:
    """A known place, counted from the start."""
    known = value.value if isinstance(value, Const) else None
    return known if isinstance(known, int) and not isinstance(known, bool) and known >= 0 else None


def _seen(tensor: Tensor, index: list[Any]) -> tuple[Tensor, bool]:
    """What is seen of a tensor that was filled: what it was before if that was elsewhere, or just what it was filled with (True)."""
    here = _spot(index)
    while here is not None and tensor.op is FILLED:
        spot = tensor.args.get("spot")
        before, value = tensor.inputs
        axis, start, stop, cut = (part.value for part in spot.items) if isinstance(spot, TupleVal) else (None, 0, 0, False)  # type: ignore[attr-defined]
        if (axis, start, stop, cut) == here and cut and isinstance(value, Tensor):
            return value, True
        if axis != here[0] or (start < here[2] and here[1] < stop) or not isinstance(before, Tensor):
            break
        tensor = before
    return tensor, False


def item(m: Machine, tensor: Tensor, index: list[Any], site: Site) -> Value:
    """`tensor[index]`: a part of a batch, or a piece of a tensor."""
    tensor, whole = _seen(tensor, index)
    if whole:
        return tensor
    if tensor.op.name in ("batch", "field") and len(index) == 1 and isinstance(index[0], Const):
        field = _field(m, tensor, site)
        column = _column(tensor, index[0].value)
        if column is not None:
            field.args["of"] = column
        return field
    kept = [part for part in index if isinstance(part, Tensor)]
    args: dict[str, Value] = {} if kept else {"index": Const(repr([_key(part) for part in index]))}
    made = make(m, INDEX, site, (tensor, *kept), args, layout=measures.of_index(tensor, index))
    if tensor.op.name in ("network",):
        made.exact = False
    return made


def _key(part: Any) -> object:
    """What tells one index from another."""
    if isinstance(part, Value):
        return key_of(part)
    return tuple(_key(end) for end in part) if isinstance(part, tuple) else part


def _column(tensor: Tensor, key: object) -> Union[Value, None]:
    """The data behind a field of a batch, where it is known."""
    columns = tensor.args.get("columns")
    if isinstance(columns, TupleVal) and isinstance(key, int) and -len(columns.items) <= key < len(columns.items):
        return columns.items[key]
    if isinstance(columns, DictVal) and isinstance(key, str):
        return columns.entries.get(key)
    return None


def shape_of(m: Machine, tensor: Tensor) -> Value:
    return Shape(tensor)
