"""Iteration: what `for` and comprehensions see of a value, item by item where the items are known and as one typical item where not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.schema import Kind, Op
from nnlint.trace import attributes, expressions, fields, library, statements, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import ABSENT, Frame, Machine
from nnlint.trace.size import Size
from nnlint.trace.values import (
    MAX_ALTERNATIVES,
    Batches,
    Bound,
    Choice,
    Const,
    DictVal,
    Facts,
    Instance,
    Iterable,
    ListVal,
    Network,
    Params,
    Range,
    Service,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    choice,
    conjunction,
    identity,
    key_of,
)

UNROLLED = 64
BATCH = Op("batch", Kind.SOURCE)


def items(m: Machine, value: Value) -> Union[list[Value], None]:
    """The items of a value, one by one; None where they are not all known."""
    value = m.settle(value)
    if isinstance(value, TupleVal):
        return list(value.items)
    if isinstance(value, ListVal):
        return None if value.growing else list(value.items)
    if isinstance(value, DictVal):
        return None if value.open else [Const(key) if isinstance(key, (str, int, float, bool)) else Unknown() for key in value.entries]
    if isinstance(value, Network) and value.items is not None and value.complete:
        if value.name == "torch.nn.ModuleDict":
            return [Const(name) for name, _ in value.items]
        return [part for _, part in value.items]
    if isinstance(value, Range) and value.count is not None and value.count <= UNROLLED and isinstance(value.start, Const):
        start = value.start.value
        return [Const(start + index * value.step) for index in range(value.count)] if isinstance(start, int) else None
    if isinstance(value, Batches):
        return _combined(m, value)
    if isinstance(value, Instance):
        return fields.items(value)
    if isinstance(value, Const) and isinstance(value.value, str) and len(value.value) <= UNROLLED:
        return [Const(letter) for letter in value.value]
    return None


def _combined(m: Machine, value: Batches) -> Union[list[Value], None]:
    columns = [items(m, part) for part in value.parts]
    known = [column for column in columns if column is not None]
    if not known or (len(known) < len(columns) and value.how != "zip"):
        return None
    if value.how == "enumerate":
        first = value.start.value if isinstance(value.start, Const) else None
        indices = [Const(first + at) if isinstance(first, int) else Unknown(label="index") for at in range(len(known[0]))]
        return [TupleVal((index, item)) for index, item in zip(indices, known[0])]
    if value.how == "zip":
        length = min(len(column) for column in known)
        if len(known) < len(columns):
            return None
        return [TupleVal(tuple(column[index] for column in known)) for index in range(length)]
    if value.how == "reversed":
        return known[0][::-1]
    if value.how == "chain":
        return [item for column in known for item in column]
    return known[0]


def element(m: Machine, value: Value, site: Site) -> Value:
    """A typical item of a value, new at every call."""
    value = m.settle(value)
    if isinstance(value, Iterable):
        return value.item
    if isinstance(value, Batches):
        parts = [element(m, part, site) for part in value.parts]
        if value.how == "enumerate":
            return TupleVal((Unknown(label="index"), parts[0]))
        if value.how == "zip":
            return TupleVal(tuple(parts))
        return choice([((), part) for part in parts])
    if isinstance(value, (ListVal, TupleVal)):
        present = _data_once([part for part in value.items if part is not ABSENT])
        options: list[tuple[Facts, Value]] = [(((("item", value_id(value), index), True),), part) for index, part in enumerate(present)]
        return _without_gaps(choice(_unlike(options))) if present else Unknown()
    if isinstance(value, Choice):
        return choice(_unlike([(facts, element(m, part, site)) for facts, part in value.alternatives]))
    if isinstance(value, Service) and value.kind == "loader":
        columns = _columns(m, m.settle(value.args.get("dataset", Unknown())), site)
        batch = tensors.make(m, BATCH, site, (), {"columns": columns} if columns is not None else {})
        batch.data = frozenset({("loader", value.id)})
        return batch
    if isinstance(value, Params):
        one = Params(value.networks, partial=value.partial)
        return TupleVal((Unknown(label="name"), one)) if value.named else one
    if isinstance(value, Tensor):
        return tensors.item(m, value, [Unknown(label="index")], site)
    if isinstance(value, Network) and value.items is not None:
        return choice([((), part) for _, part in value.items]) if value.items else Unknown()
    if isinstance(value, Range):
        return Unknown(label="index")
    if isinstance(value, Instance):
        return _instance_item(m, value, site)
    if isinstance(value, DictVal):
        return Unknown()
    born = birth()
    return Unknown(("element", key_of(value), born), born=born)


def _columns(m: Machine, dataset: Value, site: Site) -> Union[Value, None]:
    """What a batch is made of, where it is known: the tensors of a `TensorDataset`, the item of a dataset of the project."""
    if isinstance(dataset, Tensor):
        return dataset.args.get("columns")
    if not isinstance(dataset, Instance):
        return None
    key = ("item of", dataset.id, bool(m.warming))  # what is told while warming up is forgotten
    if key not in m.guesses:
        m.guesses[key] = None
        found = attributes.method(dataset.cls, "__getitem__")
        if found is not None and found.node not in m.active:
            from nnlint.trace import calls

            m.guesses[key] = calls.call(m, Bound(dataset, found), Args([Unknown(label="index")]), site)
    return m.guesses[key]  # type: ignore[no-any-return]


def _without_gaps(value: Value) -> Value:
    """An item is one that is there."""
    if not isinstance(value, Choice):
        return value
    left = [(facts, part) for facts, part in value.alternatives if part is not ABSENT]
    return choice(left) if left else Unknown()


def one_of(parts: list[Value]) -> Value:
    """An item that is not known to be the one or the other."""
    present = _data_once([part for part in parts if part is not ABSENT])
    return _without_gaps(choice([((), part) for part in present])) if present else Unknown()


def _data_once(parts: list[Value]) -> list[Value]:
    """Data that one line made in several rounds are all alike."""
    made = {
        (part.op.name, part.site) if isinstance(part, Tensor) and not part.networks and not part.seen else id(part): part for part in parts
    }
    return list(made.values())


def _unlike(options: list[tuple[Facts, Value]]) -> list[tuple[Facts, Value]]:
    """Where there are too many, one network of each class."""
    flat: list[tuple[Facts, Value]] = []
    for outer, value in options:
        for inner, part in value.alternatives if isinstance(value, Choice) else (((), value),):
            facts = conjunction(outer, inner)
            flat += [(facts, part)] if facts is not None else []
    if len(flat) <= MAX_ALTERNATIVES:
        return options
    made = {
        (part.name, part.site if part.cls is None else part.cls.node) if isinstance(part, Network) else id(part): (facts, part)
        for facts, part in flat
    }
    return list(made.values())


def left(m: Machine, source: Value, item: Value, site: Site) -> Union[Size, None]:
    """How many rounds of a loop follow the one with this item, where the loop counts them."""
    if isinstance(source, Range) and source.stop is not None and source.step == 1:
        index, stop = item, source.stop
    elif (
        isinstance(source, Batches)
        and source.how == "enumerate"
        and isinstance(item, TupleVal)
        and not isinstance(source.parts[0], Instance)
    ):
        if not isinstance(source.start, Const) or source.start.value != 0:
            return None
        index, stop = item.items[0], library.length(m, m.settle(source.parts[0]), site)
    else:
        return None
    sizes = expressions.to_size(stop), expressions.to_size(index)
    return sizes[0] - sizes[1] - 1 if sizes[0] is not None and sizes[1] is not None else None


def counter(source: Value, item: Value) -> Union[tuple[Hashable, int], None]:
    """The number that counts the rounds of a loop, of which this is the item, and where it starts."""
    if isinstance(source, Range) and source.step == 1:
        index, start = item, source.start
    elif isinstance(source, Batches) and source.how == "enumerate" and isinstance(item, TupleVal):
        index, start = item.items[0], source.start
    else:
        return None
    known = start.value if isinstance(start, Const) else None
    return (index.key, known) if isinstance(index, Unknown) and isinstance(known, int) else None


def value_id(value: Value) -> Hashable:
    return identity(value)


def _instance_item(m: Machine, value: Instance, site: Site) -> Value:
    from nnlint.trace import calls

    for name, args in (("__iter__", []), ("__next__", []), ("__getitem__", [Unknown(label="index")])):
        found = attributes.method(value.cls, name)
        if found is not None:
            result = calls.call(m, Bound(value, found), Args(list(args)), site)
            if name != "__iter__":
                return result
            if result is not value:
                return element(m, result, site)
    born = birth()
    return Unknown(("element", key_of(value), born), born=born)


def yields_batches(value: Value) -> bool:
    """Whether iterating the value walks over data."""
    if isinstance(value, Batches):
        return any(yields_batches(part) for part in value.parts)
    if isinstance(value, Service):
        return value.kind == "loader"
    return isinstance(value, (Unknown, Instance, Tensor)) or (isinstance(value, Iterable) and value.batches)


def concatenate(m: Machine, left: Value, right: Value, site: Site) -> Union[Value, None]:
    """`left + right` of sequences or parameters; None for anything else."""
    if isinstance(left, TupleVal) and isinstance(right, TupleVal):
        return TupleVal(left.items + right.items)
    if isinstance(left, (ListVal, TupleVal, Params)) and isinstance(right, (ListVal, TupleVal, Params, Range, Unknown)):
        parts: list[Value] = []
        growing = False
        for side in (left, right):
            if isinstance(side, (ListVal, TupleVal)):
                parts += side.items
                growing = growing or (isinstance(side, ListVal) and side.growing)
            elif isinstance(side, Params):
                parts.append(side)
            else:
                found = items(m, side)
                parts += found if found is not None else [element(m, side, site)]
                growing = growing or found is None
        made = ListVal(site, parts)
        made.growing = growing
        return made
    return None


def repeat(left: Union[ListVal, TupleVal], right: Value, site: Site) -> Value:
    """`[x] * n`."""
    count = right.value if isinstance(right, Const) and isinstance(right.value, int) else None
    if count is not None and count * len(left.items) <= UNROLLED:
        parts = list(left.items) * max(count, 0)
        return TupleVal(tuple(parts)) if isinstance(left, TupleVal) else ListVal(site, parts)
    made = ListVal(site, list(left.items))
    made.growing = True
    return made


def comprehend(m: Machine, node: r.Comprehension, frame: Frame) -> Value:
    """Run a comprehension in a scope of its own."""
    inner = Frame(frame.file, frame, frame.calls)
    inner.receiver, inner.owner, inner.func = frame.receiver, frame.owner, None
    inner.vars["<comprehension>"] = True
    inner.handlers = frame.handlers
    site = expressions.site_of(node, frame)
    made: list[tuple[Value, Value]] = []
    state = {"exact": True, "batches": False}

    def level(depth: int) -> None:
        if depth == len(node.clauses):
            key = expressions.evaluate(m, node.key, inner) if node.key is not None else Unknown()
            made.append((key, expressions.evaluate(m, node.value, inner)))
            return
        clause = node.clauses[depth]
        source = m.settle(expressions.evaluate(m, clause.iter, inner))
        known = items(m, source)
        if known is not None and len(known) > 16 and isinstance(source, Range):
            known = known[:2] if _depends(node, clause) else known[:1]
            state["exact"] = False
        if known is None:
            state["exact"] = False
            state["batches"] = state["batches"] or yields_batches(source)
            known = [element(m, source, site)]
        for item in known:
            if item is ABSENT:
                continue
            statements.bind(m, clause.target, item, inner)
            included: Any = True
            for condition in clause.conditions:
                included = expressions.truth(m, expressions.evaluate(m, condition, inner))
                if included is False:
                    break
                if included is not True:
                    state["exact"] = False
            if included is not False:
                level(depth + 1)

    level(0)
    if node.kind == "dict":
        entries: dict[Hashable, Value] = {(key.value if isinstance(key, Const) else ("key", key_of(key))): value for key, value in made}
        return DictVal(site, entries, open=not state["exact"])
    values = [value for _, value in made]
    if node.kind == "generator" and not state["exact"] and len(values) == 1:
        return Iterable(values[0], state["batches"])
    result = ListVal(site, values, node.kind)
    result.growing = not state["exact"]
    return result


def _depends(node: r.Comprehension, clause: r.Clause) -> bool:
    names = {part.id for part in r.walk(clause.target) if isinstance(part, r.Name)}
    return any(isinstance(part, r.Name) and part.id in names for part in r.walk(node.value))


def range_of(args: list[Value]) -> Range:
    """`range(...)`."""
    start: Value = Const(0)
    stop: Value = args[0] if args else Unknown()
    step: Value = Const(1)
    if len(args) > 1:
        start, stop = args[0], args[1]
    if len(args) > 2:
        step = args[2]
    if all(isinstance(part, Const) and isinstance(part.value, int) for part in (start, stop, step)):
        first, last, by = (part.value for part in (start, stop, step))  # type: ignore[attr-defined]
        return Range(start, len(range(first, last, by)) if by else None, by or 1, stop)
    return Range(start, None, stop=stop if len(args) < 3 else None)
