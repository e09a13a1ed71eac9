"""The bridge between abstract values and the algebra of layouts: sizes of tensors as values, values as arguments of an operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.schema import Kind, Op
from nnlint.trace import expressions
from nnlint.trace.layout import Layout, some_size
from nnlint.trace.machine import Machine
from nnlint.trace.relabel import Relabel
from nnlint.trace.shapes import UNKNOWN, layout_of
from nnlint.trace.size import Size, Symbol
from nnlint.trace.spelling import spell
from nnlint.trace.story import Relabelled
from nnlint.trace.values import (
    MAX_ALTERNATIVES,
    Choice,
    Const,
    Facts,
    ListVal,
    Shape,
    SizeVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    conjunction,
    tensors_of,
)

_VIEWS = frozenset({"view", "reshape"})


def unknown(name: str = "") -> Layout:
    """A layout of which nothing is known."""
    return Layout.unknown(name=name)


def layout(tensor: Tensor) -> Layout:
    """The tensor's layout; one of its own where nothing is known, so that its sizes stay the same."""
    if tensor.layout is None:
        tensor.layout = Layout.unknown()
    return tensor.layout


def size(tensor: Tensor, index: int) -> Value:
    """`x.size(index)`."""
    return expressions.from_size(layout(tensor).size(index))


def sizes(tensor: Tensor, key: tuple[Any, ...]) -> Value:
    """`x.shape[a:b]`."""
    known = layout(tensor).rank
    ends = [part.value if isinstance(part, Const) else part for part in key]
    first, last, step = (end if isinstance(end, int) else None for end in ends)
    if any(end is not None and not isinstance(end, int) for end in ends) or step not in (None, 1):
        return Unknown()
    first = first or 0
    if known is not None:
        places = range(known)[first:last]
    elif first >= 0 and last is not None and last >= 0:
        places = range(first, last)
    elif first < 0 and (last is None or last < 0):
        places = range(first, last or 0)
    else:
        return Unknown()
    return TupleVal(tuple(size(tensor, index) for index in places))


def part(shape: Shape, key: Any) -> Value:
    """`x.shape[key]`: one size, or a tuple of sizes for a slice."""
    if isinstance(key, Const) and isinstance(key.value, int):
        return size(shape.tensor, key.value)
    if isinstance(key, tuple):
        return sizes(shape.tensor, key)
    return Unknown()


def unpack(m: Machine, shape: Shape, count: int) -> list[Value]:
    """`b, t, c = x.shape`: this fixes the rank."""
    known = layout(shape.tensor)
    if known.rank != count:
        m.assign(shape.tensor, "layout", known.with_rank(count))
    return [size(shape.tensor, index) for index in range(count)]


def all_sizes(shape: Shape) -> Union[tuple[Value, ...], None]:
    """All sizes of a shape; None where its rank is not known."""
    known = layout(shape.tensor).rank
    return None if known is None else tuple(size(shape.tensor, index) for index in range(known))


def rank(tensor: Tensor) -> Value:
    """`x.dim()`."""
    known = layout(tensor).rank
    return Const(known) if known is not None else Unknown(("rank", tensor.id), born=tensor.id)


def pick(made: Any, index: int) -> Union[Layout, None]:
    """One of the layouts of an operation with several results; the third is the second part of a pair (an LSTM's cell)."""
    if isinstance(made, tuple):
        if index == 2 and len(made) == 2 and isinstance(made[1], tuple):
            return pick(made[1], 1)
        found = made[index] if index < len(made) else None
        return pick(found, 0) if isinstance(found, tuple) else found
    return made if index == 0 else None


class Either(NamedTuple):
    """Identity of a size that depends on conditions."""

    sizes: tuple[tuple[Facts, Any], ...]


def pieces(piece: Union[Layout, None]) -> Layout:
    """A sequence of tensors that are alike, as one tensor with an axis more in front."""
    return Layout.unknown() if piece is None else piece.unsqueeze(0).replaced(0, some_size())


def argument(m: Machine, value: Value) -> object:
    """A value as the algebra takes it: a size, a number, a flag, a tuple of these, or `UNKNOWN`."""
    value = m.settle(value)
    if isinstance(value, Const):
        return value.value
    if isinstance(value, (SizeVal, Unknown)):
        return expressions.to_size(value) or UNKNOWN
    if isinstance(value, Choice):
        sizes = [(facts, expressions.to_size(part)) for facts, part in value.alternatives]
        return UNKNOWN if any(known is None for _, known in sizes) else Size.symbol(Either(tuple(sizes)), "?")
    if isinstance(value, TupleVal):
        return tuple(argument(m, item) for item in value.items)
    if isinstance(value, ListVal):
        return UNKNOWN if value.growing else tuple(argument(m, item) for item in value.items)
    if isinstance(value, Shape):
        known = all_sizes(value)
        return UNKNOWN if known is None else tuple(argument(m, item) for item in known)
    return UNKNOWN


def _flat(value: object) -> object:
    """`view(*x.shape[:2], -1)` and `view((a, b))` are tuples of sizes, nested ones spliced."""
    if isinstance(value, tuple):
        out: list[object] = []
        for item in value:
            inner = _flat(item)
            out += inner if isinstance(inner, tuple) else [inner]
        return tuple(out)
    return value


_NUMPY = {
    "axis": "dim", "axes": "dims", "keepdims": "keepdim", "newshape": "shape", "reps": "dims", "num": "steps", "stop": "end",
    "object": "data", "N": "n", "M": "m", "subscripts": "equation",
}  # fmt: skip
"""What numpy calls the parameters that torch has too."""


def arguments(m: Machine, args: Mapping[str, Value]) -> dict[str, object]:
    """Arguments by name, as the algebra takes them."""
    out: dict[str, object] = {}
    for name, value in args.items():
        name = _NUMPY.get(name, name)
        if name in _SHAPES and _whole(m, value):
            out[name] = UNKNOWN
            continue
        known = argument(m, value)
        out[name] = _flat(known) if name in _SHAPES else known
    return out


_SHAPES = frozenset({"shape", "size", "sizes", "dims", "repeats"})


def _whole(m: Machine, value: Value) -> bool:
    """Something unknown alone may be all sizes at once."""
    value = m.settle(value)
    return isinstance(value, Unknown) or (isinstance(value, TupleVal) and len(value.items) == 1 and _whole(m, value.items[0]))


def of_source(m: Machine, op: Op, args: Mapping[str, Value]) -> Layout:
    """The layout of a tensor that comes from outside."""
    known = arguments(m, args)
    if op.name in _LITERALS:
        return _literal(m, next(iter(args.values()), Unknown()))
    made = layout_of(op.name, [item.layout for value in args.values() for item in tensors_of(value)[:1]], known)
    return made if isinstance(made, Layout) else Layout.unknown()


_LITERALS = frozenset({"tensor", "as_tensor", "asarray"})


def _literal(m: Machine, data: Value) -> Layout:
    """`torch.tensor(data)`: a copy of one tensor, a stack of several, or numbers."""
    data = m.settle(data)
    inner = _layout(m, data)
    if inner is not None:
        return inner
    if isinstance(data, (TupleVal, ListVal)) and data.items:
        parts = [_layout(m, item) for item in data.items]
        if any(part is not None for part in parts):
            count = Size.symbol(("length", data.id), "length") if isinstance(data, ListVal) and data.growing else None
            made = layout_of("stack", parts, {} if count is None else {"count": count})
            return made if isinstance(made, Layout) else Layout.unknown()
    known = argument(m, data)
    made = layout_of("tensor", [], {"data": known}) if isinstance(known, (tuple, int, float)) else None
    return made if isinstance(made, Layout) else Layout.unknown()


def written(m: Machine, tensor: Tensor) -> None:
    """Values were written into a tensor: from here on its axes mean something."""
    if tensor.layout is not None and not tensor.layout.is_settled:
        m.assign(tensor, "layout", tensor.layout.settled())


def entered(m: Machine, tensor: Tensor) -> None:
    """A network was given a tensor."""
    if tensor.layout is not None and not tensor.layout.is_entered:
        m.assign(tensor, "layout", tensor.layout.entered())


OFTEN = 48
"""A line that was measured this often in one story has shown what it does."""


def of_operation(m: Machine, op: Op, inputs: Sequence[Value], args: dict[str, Value], site: Site) -> Any:
    """The layout or layouts that an operation makes; a view that re-labels axes is told."""
    m.measured[site] += 1
    if m.measured[site] > OFTEN:
        return None
    layouts, count = _inputs(m, op, inputs)
    known = arguments(m, args)
    if op.name in _VIEWS:
        return _view(m, op, inputs, layouts, known, site)
    if op.name in _LITERALS:
        return _literal(m, inputs[0])
    if count is not None:
        known["count"] = count
    if op.kind is Kind.RECURRENT:
        _directions(m, args, known)
    if op.name == "flatten" and op.params[:1] == ("start_dim",) and "start_dim" not in known and not op.many:
        known["start_dim"] = 0
    made = layout_of(op.name, layouts, known)
    if made is None and op.kind in (Kind.KEEP, Kind.DETACH) and op.name in ("returned", "returned "):
        return layouts[0]
    return made


def _directions(m: Machine, args: Mapping[str, Value], known: dict[str, object]) -> None:
    """Two where `bidirectional` holds, one where it does not."""
    if isinstance(known.get("bidirectional"), bool) or "bidirectional" not in args:
        return
    flag = expressions.truth(m, args["bidirectional"])
    if isinstance(flag, bool):
        known["bidirectional"] = flag
    else:
        both = ((((flag[0], flag[1]),), Size.of(2)), (((flag[0], not flag[1]),), Size.of(1)))
        known["directions"] = Size.symbol(Either(both), "directions")


def _inputs(m: Machine, op: Op, inputs: Sequence[Value]) -> tuple[list[Union[Layout, None]], Union[Size, None]]:
    if not op.many:
        return [_layout(m, value) for value in inputs], None
    out: list[Union[Layout, None]] = []
    count: Union[Size, None] = None
    for value in inputs:
        if isinstance(value, (TupleVal, ListVal)):
            out += [_layout(m, item) for item in value.items]
            if isinstance(value, ListVal) and value.growing:
                count = Size.symbol(("length", value.id), "length")
                out = out[:1]
        elif isinstance(value, Tensor):
            out.append(layout(value))
        else:
            found = tensors_of(value)
            out.append(layout(found[0]) if found else None)
            count = Size.symbol(("length", birth()), "length")
    return out, count


def _layout(m: Machine, value: Value) -> Union[Layout, None]:
    if isinstance(value, Tensor):
        return layout(value)
    if isinstance(value, Choice):
        found = tensors_of(value)
        return layout(found[0]) if len(found) == 1 else None
    if isinstance(value, Unknown):
        known = m.guesses.get(value.key)
        if isinstance(known, Tensor):
            return layout(known)
        # the same unknown tensor each time
        made: Layout = m.shapes.setdefault(value.key, Layout.unknown(name=value.label))
        return made
    return None


def _view(
    m: Machine, op: Op, inputs: Sequence[Value], layouts: list[Union[Layout, None]], known: dict[str, object], site: Site
) -> Union[Layout, None]:
    target = known.get("shape")
    if isinstance(target, (int, Size)):
        target = (target,)
    if not isinstance(target, tuple) or not layouts or layouts[0] is None:
        return None
    if not all(isinstance(item, (int, Size)) and not isinstance(item, bool) for item in target):
        return None
    m.story.harmless = m.harmless
    before = layouts[0]
    sizes = [item for item in target if isinstance(item, (int, Size))]
    outcome = before.judged(sizes)
    after, relabel = Layout(outcome.axes), outcome.relabel
    if relabel is None and outcome.doubt:
        relabel = _decided(m, before, sizes)
    if relabel is not None and relabel.certain:
        serial = birth()
        cause = max((tensor.relabelled for tensor in tensors_of(inputs[0])), default=0)
        receiver, words = _words(m, site)
        event = Relabelled(site, relabel.named(words), op.name, serial, cause)
        event.receiver = receiver
        event.inside = bool(m.networks)
        m.tell(event)
        m.pending_relabel = serial
    elif before.sizes is not None and all(size.counted.known is not None for size in before.sizes) and () in before.prefix:
        m.harmless.add(site)
    return after


def _decided(m: Machine, before: Layout, target: list[Union[Size, int]]) -> Union[Relabel, None]:
    """What the view re-labels, however the conditions are decided that its sizes depend on."""
    axes = (*before.prefix, *before.tail)
    sizes = [*(atom.size for axis in axes for atom in axis), *(item for item in target if isinstance(item, Size))]
    first = next((symbol.key for size in sizes for symbol in size.symbols if isinstance(symbol.key, Either)), None)
    found: Union[Relabel, None] = None
    for facts, _ in first.sizes[:MAX_ALTERNATIVES] if first is not None else ():
        if not m.possible(facts):
            continue

        def by(symbol: Symbol, facts: Facts = facts) -> Union[Size, None]:
            if not isinstance(symbol.key, Either):
                return None
            left = [known for other, known in symbol.key.sizes if conjunction(other, facts) is not None and m.possible(other)]
            return left[0] if len(left) == 1 else None

        found = before.replaced_sizes(by).view([item.replaced(by) if isinstance(item, Size) else item for item in target])[1]
        if found is None or not found.certain:
            return None
    return found


def _words(m: Machine, site: Site) -> tuple[str, list[str]]:
    """What the user calls the tensor and the sizes in the call of a view; nothing where that is hard to say."""
    node = m.call
    if node is None or node.at != site.at or not isinstance(node.func, r.Attr):
        return "", []
    args = [arg for arg in node.args if arg.keyword in (None, "shape", "newshape", "input", "a")]
    owner = spell(node.func.value)
    if owner in ("torch", "np", "numpy", "F") and args:
        owner = spell(args.pop(0).value)
    shape = args[0].value.items if len(args) == 1 and isinstance(args[0].value, (r.Tuple, r.List)) else [arg.value for arg in args]
    if any(arg.star for arg in args):
        return owner or "", []
    return (owner or "").removesuffix(".contiguous()"), [spell(part) or "" for part in shape]


def of_arithmetic(m: Machine, op: Op, inputs: Sequence[Value]) -> Union[Layout, None]:
    """The layout of `a op b`, broadcast."""
    made = layout_of(op.name, [_layout(m, value) for value in inputs if isinstance(value, (Tensor, Choice))], {})
    if not isinstance(made, Layout):
        return None
    if made.rank is not None and any(isinstance(value, Unknown) for value in inputs) and (made.rank < 2 or not all(made.prefix)):
        return Layout.unknown()  # most often a number; but a larger tensor would be seen in the result
    return made


def of_index(tensor: Tensor, index: list[Any]) -> Layout:
    """The layout of `x[index]`."""
    items: list[object] = []
    for item in index:
        if item is Ellipsis:
            items.append(Ellipsis)
        elif isinstance(item, tuple):
            items.append(slice(*(None if end is None else _bound(end) for end in item)))
        elif isinstance(item, Tensor):
            items.append(layout(item) if item.op.kind is not Kind.DECISION else object())
        elif isinstance(item, Const):
            items.append(item.value if item.value is None or isinstance(item.value, int) else object())
        elif isinstance(item, (SizeVal, Unknown)):
            items.append(expressions.to_size(item) if isinstance(item, SizeVal) or item.label == "index" else object())
        else:
            items.append(object())
    return layout(tensor).index(items)


def _bound(value: Value) -> object:
    if isinstance(value, Const):
        return value.value
    return expressions.to_size(value) or Size.symbol(("bound", birth()), "?")
