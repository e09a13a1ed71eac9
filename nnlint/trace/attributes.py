"""Attributes and items: what `a.b` and `a[i]` are, and what writing them does."""

from __future__ import annotations

import builtins
from collections.abc import Hashable
from typing import Any, Union

from nnlint.findings import Site
from nnlint.knowledge.functions import FUNCTIONS
from nnlint.knowledge.layers import LAYERS
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.names import ANY_MEMBER, public
from nnlint.knowledge.networks import head_of
from nnlint.knowledge.optimizers import OPTIMIZERS
from nnlint.trace import calls, iteration, library, measures, modules, networks, tensors, training
from nnlint.trace.arguments import Args
from nnlint.trace.machine import MAX_ITEMS, Machine
from nnlint.trace.story import GradUse, ModeRead, Zero
from nnlint.trace.values import (
    MAX_ALTERNATIVES,
    NONE,
    PAST,
    TRUE,
    Batches,
    Bound,
    ClassVal,
    Const,
    DictVal,
    External,
    FuncVal,
    GradVal,
    Instance,
    Iterable,
    ListVal,
    ModeFlag,
    ModuleVal,
    Network,
    Obj,
    Optimizer,
    Params,
    Partial,
    Range,
    Service,
    Shape,
    SuperVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    born_of,
    choice,
    key_of,
)

BUILTINS = frozenset(dir(builtins))
_FIELDS = {"values": 0, "indices": 1}
"""Of the pairs that `max`, `sort`, `topk` ... return."""


def canonical(name: str) -> str:
    """The public spelling of a qualified name."""
    return public(name)


def library_name(package: str, name: str) -> Union[Value, None]:
    """What `from package import *` gives for a name, if the tables know it."""
    full = canonical(f"{package}.{name}")
    if full in LAYERS or full in FUNCTIONS or full in LOSSES or full in OPTIMIZERS or full in library.SPECIAL:
        return External(full)
    if full in ("torch.nn.functional", "torch.optim", "torch.nn", "torch.nn.Module", "torch.nn.Parameter", "torch.autograd.Variable"):
        return External(full)
    return None


def definite(value: External) -> bool:
    """Whether a name of a library surely means a module, a function or a class, and not a setting such as `config.DEPTH`."""
    top, _, last = value.name.rpartition(".")
    is_class = last[:1].isupper() and not last.isupper()
    return not top or is_class or top.split(".")[0] in ("torch", "builtins") or library_name(top, last) is not None


def mro(cls: ClassVal) -> list[Value]:
    """The class and its bases as Python looks them up: depth first, and what several share after all of these."""
    if cls.line is None:
        found: list[Value] = []
        _line(cls, found)
        last = {base.name if isinstance(base, External) else id(base): base for base in reversed(found)}
        cls.line = list(reversed(last.values()))
    PAST.files.update([base.file.key for base in cls.line if isinstance(base, ClassVal)])
    return cls.line


def _line(base: Value, found: list[Value]) -> None:
    found.append(base)
    if isinstance(base, ClassVal):
        for part in base.bases:
            _line(part, found)


def method(cls: ClassVal, name: str) -> Union[FuncVal, None]:
    """A method that a project class or one of its project bases defines."""
    for base in mro(cls):
        if isinstance(base, ClassVal) and name in base.attrs:
            found = base.attrs[name]
            return found if isinstance(found, FuncVal) else None
    return None


def closed(cls: ClassVal) -> bool:
    """Whether all bases are known, so that a missing method is really missing."""
    return all(isinstance(base, (ClassVal, External)) for base in mro(cls))


# --- reading -----------------------------------------------------------------------------------------------------


def get(m: Machine, value: Value, name: str, site: Site) -> Value:
    """`value.name`."""
    if isinstance(value, External):
        return External(canonical(f"{value.name}.{name}"))
    if isinstance(value, ModuleVal):
        return DictVal(site, modules.offered(m, value)) if name == "__dict__" else modules.member(m, value.prefix, name)
    if isinstance(value, Tensor):
        return tensors.attribute(m, value, name, site)
    if isinstance(value, Unknown):
        if name == "shape" and not value.negated:
            return tensors.shape_of(m, tensors.as_tensor(m, value, site))
        if name == "grad":
            return GradVal(Params(None))
        return Unknown(("attr", value.key, name), f"{value.label}.{name}" if value.label else name, value.born)
    if isinstance(value, Obj):
        return _of_object(m, value, name, site)
    if isinstance(value, ClassVal):
        return _of_class(m, value, name)
    if isinstance(value, SuperVal):
        return _of_super(m, value, name, site)
    if isinstance(value, Params):
        if name == "grad":
            return GradVal(value)
        if name in ("data", "requires_grad"):
            return value if name == "data" else TRUE
        return Bound(value, name)
    if isinstance(value, GradVal):
        return value if name == "data" else Bound(value, name)
    if isinstance(value, Partial) and name == "func":
        return value.func
    if isinstance(value, FuncVal) and name == "__name__":
        return Const(value.name)
    if isinstance(value, Bound) and isinstance(value.func, str):
        return Unknown(("attr", key_of(value), name), name)
    if isinstance(value, TupleVal) and name in _FIELDS and len(value.items) == 2 and all(isinstance(part, Tensor) for part in value.items):
        return value.items[_FIELDS[name]]
    if isinstance(value, (TupleVal, Const, Batches, Iterable, Range, Bound, FuncVal)):
        return Bound(value, name)
    return Unknown(("attr", key_of(value), name), name, born_of(value))


def _of_object(m: Machine, value: Obj, name: str, site: Site) -> Value:
    if name in value.attrs:
        return m.settle(value.attrs[name])
    cls = getattr(value, "cls", None)
    if isinstance(value, Network) and name == "training":
        return _mode(m, value, site)
    if isinstance(cls, ClassVal):
        for base in mro(cls):
            if isinstance(base, ClassVal) and name in base.attrs:
                return _bind_member(m, value, base, base.attrs[name], site)
    if isinstance(value, Network):
        if value.items is not None:
            for key, part in value.items:
                if key == name:
                    return part
        if value.layer is not None and name in value.args:
            given = value.args[name]
            if name != "bias" or not isinstance(given, Const):
                return given
            return tensors.parameter(m, value, name, site) if given.value else NONE
        if value.factory is not None and name == head_of(value.name) != "":
            return networks.head(m, value, name, site)
        if name in ("weight", "bias") and (value.layer is not None or value.factory is not None):
            return tensors.parameter(m, value, name, site)
        if name == "module":
            return value  # the network in a wrapper, which is the network itself
        if cls is None or not closed(cls) or name in networks.METHODS:
            return Bound(value, name)
        return Bound(value, name) if not name.startswith("_") else Unknown(("attr", value.id, name), name)
    if isinstance(value, Optimizer):
        if name == "param_groups":
            return ListVal(site, [DictVal(site, {"params": value.params}, open=True)])
        return Bound(value, name)
    if isinstance(value, Service):
        return calls.service_attribute(m, value, name, site)
    if isinstance(value, DictVal) and name in value.entries and not name.startswith("_") and name not in ("items", "keys", "values", "get"):
        return value.entries[name]
    if isinstance(value, (ListVal, DictVal)):
        return Bound(value, name)
    if isinstance(value, Instance):
        if name == "__dict__":
            return DictVal(site, dict(value.attrs), open=True)
        getter = method(value.cls, "__getattr__")
        if getter is not None:
            return calls.call(m, Bound(value, getter), Args([Const(name)]), site)
        if not closed(value.cls):
            return Bound(value, name)
        return Unknown(("attr", value.id, name), name)
    return Bound(value, name)


def _mode(m: Machine, value: Network, site: Site) -> Value:
    """`net.training`. Inside a `forward` it is the mode of this call; outside it is a reading to be restored or tested later."""
    if m.networks:
        return ModeFlag(value, ("training", value.id))
    key = ("was training", value.id, birth())
    m.story.ages[key] = birth()
    m.tell(ModeRead(site, value, key))
    return ModeFlag(value, key)


def _bind_member(m: Machine, value: Value, cls: ClassVal, found: Value, site: Site) -> Value:
    if isinstance(found, FuncVal):
        if found.is_property:
            return calls.call(m, Bound(value, found), Args(), site)
        if found.is_static:
            return found
        if found.is_class:
            return Bound(getattr(value, "cls", None) or cls, found)
        return Bound(value, found) if found.owner is not None else found
    return m.settle(found)


def _of_class(m: Machine, cls: ClassVal, name: str) -> Value:
    if name == "__name__":
        return Const(cls.name)
    for base in mro(cls):
        if isinstance(base, ClassVal) and name in base.attrs:
            found = base.attrs[name]
            if isinstance(found, FuncVal) and found.is_class:
                return Bound(cls, found)
            return found
        if isinstance(base, External):
            full = f"{base.name}.{name}"
            if base.name != "builtins.object" and name not in ("__init__",):
                return Bound(cls, full)
            return External(full)
    return Unknown(("attr", id(cls), name), name)


def _of_super(m: Machine, value: SuperVal, name: str, site: Site) -> Value:
    receiver = value.receiver
    start = getattr(receiver, "cls", None) or (receiver if isinstance(receiver, ClassVal) else value.owner)
    line = mro(start if isinstance(start, ClassVal) else value.owner)
    if any(base is value.owner for base in line):
        line = line[next(index for index, base in enumerate(line) if base is value.owner) + 1 :]
    for base in line:
        if isinstance(base, ClassVal) and name in base.attrs:
            return _bind_member(m, receiver, base, base.attrs[name], site)
        if isinstance(base, External):
            return Bound(receiver, f"super.{name}")
    return Bound(receiver, f"super.{name}")


# --- writing -----------------------------------------------------------------------------------------------------


def put(m: Machine, owner: Value, name: str, value: Value, site: Site) -> None:
    """`owner.name = value`."""
    if isinstance(owner, Params) and name == "grad":
        m.tell(_graded(owner, value, site))
        return
    if isinstance(owner, Params) and name == "data":
        training.rewritten(m, owner)
    if isinstance(owner, (Params, GradVal)):
        return
    if isinstance(owner, Tensor):
        if name == "grad":
            m.tell(_graded(Params((*owner.networks,) or (owner,)), value, site))
        return
    if isinstance(owner, Unknown) and name == "grad":
        m.tell(_graded(Params(None), value, site))
        return
    if isinstance(owner, Obj):
        if isinstance(value, Obj) and not value.label:
            value.label = name
        m.set(owner.attrs, name, value)
    elif isinstance(owner, ClassVal):
        m.set(owner.attrs, name, value)
    elif isinstance(owner, ModuleVal):
        names = modules.namespace(m, owner.prefix)
        if names is not None:
            m.set(names.vars, name, value)


def _graded(params: Params, value: Value, site: Site) -> Union[Zero, GradUse]:
    return Zero(site, params) if isinstance(value, Const) and value.value is None else GradUse(site, params, written=True)


def put_item(m: Machine, owner: Value, index: list[Any], value: Value, site: Site) -> None:
    """`owner[index] = value`."""
    key = index[0] if len(index) == 1 else None
    if isinstance(owner, DictVal):
        if len(owner.entries) >= MAX_ITEMS and not (isinstance(key, Const) and key.value in owner.entries):
            if not owner.open:
                m.assign(owner, "open", True)
        elif isinstance(key, Const):
            if isinstance(value, Obj) and not value.label and isinstance(key.value, str):
                value.label = key.value
            m.set(owner.entries, key.value, value)
        else:
            m.set(owner.entries, ("key", key_of(key)) if isinstance(key, Value) else ("key", birth()), value)
            m.assign(owner, "open", True)
    elif isinstance(owner, ListVal):
        position = key.value if isinstance(key, Const) and isinstance(key.value, int) else None
        items = list(owner.items)
        if position is not None and -len(items) <= position < len(items):
            items[position] = value
        else:
            items = [choice([((), item), ((), value)]) for item in items]
        m.assign(owner, "items", items)
    elif isinstance(owner, Network) and owner.items is not None:
        _put_layer(m, owner, key, value)
    elif isinstance(owner, Tensor):
        measures.written(m, owner)
    elif isinstance(owner, Instance):
        setter = method(owner.cls, "__setitem__")
        if setter is not None:
            calls.call(m, Bound(owner, setter), Args([_index_value(key), value]), site)


def _index_value(key: Any) -> Value:
    return key if isinstance(key, Value) else Unknown()


def _put_layer(m: Machine, owner: Network, key: Any, value: Value) -> None:
    items = list(owner.items or [])
    if isinstance(key, Const) and isinstance(key.value, int) and -len(items) <= key.value < len(items):
        items[key.value] = (items[key.value][0], value)
        m.assign(owner, "items", items)
    elif isinstance(key, Const) and isinstance(key.value, str):
        names = [name for name, _ in items]
        if key.value in names:
            items[names.index(key.value)] = (key.value, value)
        else:
            items.append((key.value, value))
        m.assign(owner, "items", items)
    else:
        m.assign(owner, "complete", False)


def delete_item(m: Machine, owner: Value, index: list[Any]) -> None:
    """`del owner[index]`."""
    key = index[0] if len(index) == 1 else None
    if isinstance(owner, DictVal) and isinstance(key, Const):
        m.remove(owner.entries, key.value)
    elif isinstance(owner, (ListVal, Network)) and owner.items is not None:
        items = list(owner.items)
        if isinstance(key, Const) and isinstance(key.value, int) and -len(items) <= key.value < len(items):
            del items[key.value]
            m.assign(owner, "items", items)
        elif isinstance(owner, Network):
            m.assign(owner, "complete", False)


def extend(m: Machine, owner: ListVal, added: Value, site: Site) -> None:
    """`owner.extend(added)` and `owner += added`."""
    known = iteration.items(m, added)
    if known is None:
        known = [iteration.element(m, added, site)]
        m.assign(owner, "growing", True)
    m.assign(owner, "items", [*owner.items, *known])


# --- items -------------------------------------------------------------------------------------------------------


def named(m: Machine, owner: Value, name: Value, site: Site) -> Value:
    """`getattr(owner, name)`."""
    if isinstance(name, Const) and isinstance(name.value, str):
        return get(m, owner, name.value, site)
    if isinstance(owner, External) and owner.name in ANY_MEMBER:
        return External(ANY_MEMBER[owner.name])
    if isinstance(owner, ModuleVal):
        return _of_dict(m, DictVal(site, modules.offered(m, owner)), name)
    if isinstance(owner, Network):
        born = birth()
        return Unknown(("getattr", owner.id, born), born=born)
    return Unknown(("getattr", key_of(owner), key_of(name)))


def item(m: Machine, value: Value, index: list[Any], site: Site) -> Value:
    """`value[index]`; slices are (lower, upper, step) triples."""
    if isinstance(value, Tensor):
        return tensors.item(m, value, index, site)
    key = index[0] if len(index) == 1 else None
    if isinstance(key, Value):
        key = m.settle(key)
    if isinstance(value, Shape):
        return measures.part(value, key)
    if isinstance(value, (TupleVal, ListVal)):
        return _of_sequence(m, value, key, site)
    if isinstance(value, DictVal):
        return _of_dict(m, value, key)
    if isinstance(value, Network) and value.items is not None:
        if not (isinstance(key, Const) and isinstance(key.value, (int, str)) and not (isinstance(key.value, int) and key.value < 0)):
            m.story.picked.add(value.id)
        return _of_container(m, value, key, site)
    if isinstance(value, Const) and isinstance(value.value, str):
        if isinstance(key, Const) and isinstance(key.value, int) and -len(value.value) <= key.value < len(value.value):
            return Const(value.value[key.value])
        return Unknown()
    if isinstance(value, Instance):
        getter = method(value.cls, "__getitem__")
        if getter is not None:
            return calls.call(m, Bound(value, getter), Args([_index_value(key)]), site)
        parts = iteration.items(m, value)
        if parts is not None:
            return _of_sequence(m, TupleVal(tuple(parts)), key, site)
    if isinstance(value, Params):
        return value
    if isinstance(value, External) and value.name.endswith(".__dict__") and isinstance(key, Value):
        return named(m, External(value.name.removesuffix(".__dict__")), key, site)
    if isinstance(value, ClassVal) or (isinstance(value, External) and definite(value)):
        return value
    if isinstance(value, Unknown):
        born = max([value.born, *(born_of(part) for part in index if isinstance(part, Value))])
        label = f"{value.label}[{key.value!r}]" if isinstance(key, Const) and value.label else ""
        return Unknown(("item", value.key, *(_index_key(part) for part in index)), label, born)
    if isinstance(value, External):
        return Unknown(("item", key_of(value), *(_index_key(part) for part in index)), value.name.rpartition(".")[2])
    return Unknown()


def _index_key(part: Any) -> Hashable:
    if isinstance(part, Value):
        return key_of(part)
    if isinstance(part, tuple):
        return ("slice", *(None if end is None else key_of(end) for end in part))
    return "..."


def bounds(key: tuple[Any, ...], length: int) -> Union[slice, None]:
    """A slice with known ends."""
    ends: list[Union[int, None]] = []
    for part in key:
        if part is None or (isinstance(part, Const) and part.value is None):
            ends.append(None)
        elif isinstance(part, Const) and isinstance(part.value, int):
            ends.append(part.value)
        else:
            return None
    return slice(*ends)


def _of_sequence(m: Machine, value: Union[TupleVal, ListVal], key: Any, site: Site) -> Value:
    growing = isinstance(value, ListVal) and value.growing
    items = list(value.items)
    if isinstance(key, tuple):
        cut = bounds(key, len(items))
        if cut is None or growing:
            made = ListVal(site, items)
            made.growing = True
            return made
        return TupleVal(tuple(items[cut])) if isinstance(value, TupleVal) else ListVal(site, items[cut])
    if isinstance(key, Const) and isinstance(key.value, int) and not isinstance(key.value, bool):
        if -len(items) <= key.value < len(items) and not (growing and key.value not in (0, -1)):
            return m.settle(items[key.value])
    return iteration.one_of(items)


def _one_of(m: Machine, keys: list[Hashable], values: list[Value], born: int) -> Value:
    """One of several values, each under its condition; no two of the conditions hold together."""
    if len(keys) > MAX_ALTERNATIVES:
        return choice([(((key, True),), value) for key, value in zip(keys, values)])
    m.story.ages.update(dict.fromkeys(keys, born))
    return choice([(tuple((other, other is key) for other in keys), value) for key, value in zip(keys, values)])


def _of_dict(m: Machine, value: DictVal, key: Any) -> Value:
    if isinstance(key, Const):
        found = value.entries.get(key.value)
        return found if found is not None else Unknown(("item", value.id, key.value), str(key.value))
    if isinstance(key, Value):
        found = value.entries.get(("key", key_of(key)))
        if found is not None:
            return found
        if value.entries and not value.open:
            keys: list[Hashable] = [("==", key_of(key), ("const", type(name).__name__, name)) for name in value.entries]
            return _one_of(m, keys, list(value.entries.values()), born_of(key))
    return Unknown(("item", value.id, key_of(key) if isinstance(key, Value) else birth()))


def _of_container(m: Machine, value: Network, key: Any, site: Site) -> Value:
    items = list(value.items or [])
    if isinstance(key, tuple):
        cut = bounds(key, len(items))
        made = Network(site, value.name, value.label)
        made.layer = value.layer
        made.items = items[cut] if cut is not None else items
        made.complete = value.complete and cut is not None
        return made
    if isinstance(key, Const) and isinstance(key.value, int) and value.complete and -len(items) <= key.value < len(items):
        return m.settle(items[key.value][1])
    if isinstance(key, Const) and isinstance(key.value, str):
        for name, part in items:
            if name == key.value:
                return m.settle(part)
        return Unknown()
    if not items or len(items) > 4:
        return Unknown()
    ident, born = (key_of(key), born_of(key)) if isinstance(key, Value) else (0, 0)
    return _one_of(m, [("item", value.id, ident, index) for index in range(len(items))], [part for _, part in items], born)


def unpacked(m: Machine, value: Value, count: int, starred: Union[int, None], site: Site) -> list[Value]:
    """The parts of a value that is unpacked into `count` targets."""
    if isinstance(value, Shape):
        if starred is None:
            return measures.unpack(m, value, count)
        return [Unknown() for _ in range(count)]
    known: Union[list[Value], None] = None
    if isinstance(value, (TupleVal, ListVal, DictVal, Batches, Range, Instance)) or (
        isinstance(value, Network) and value.items is not None
    ):
        known = iteration.items(m, value)
    if known is not None:
        if starred is not None and len(known) >= count - 1:
            after = count - starred - 1
            middle = ListVal(site, known[starred : len(known) - after])
            return [*known[:starred], middle, *known[len(known) - after :]]
        if len(known) == count:
            return [m.settle(part) for part in known]
        return [Unknown() for _ in range(count)]
    if isinstance(value, Tensor):
        return [tensors.item(m, value, [Const(index)], site) for index in range(count)]
    if isinstance(value, Unknown):
        return [Unknown(("item", value.key, ("const", "int", index)), "", value.born) for index in range(count)]
    if isinstance(value, (Params, Iterable, ListVal)):
        return [iteration.element(m, value, site) for _ in range(count)]
    return [Unknown() for _ in range(count)]
