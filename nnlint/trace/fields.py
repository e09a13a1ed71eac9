"""Classes that are lists of fields: dataclasses and named tuples."""

from __future__ import annotations

from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.trace import attributes, calls, iteration
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Frame, Machine
from nnlint.trace.values import ClassVal, Const, External, Instance, Optimizer, Service, Unknown, Value

_FACTORY = "default factory"
_TUPLES = frozenset({"typing.NamedTuple", "collections.namedtuple"})


def names(cls: ClassVal) -> list[str]:
    """The annotated names of a class and its bases, in the order of the constructor's parameters."""
    found = [
        statement.targets[0].id
        for base in reversed(attributes.mro(cls))
        if isinstance(base, ClassVal)
        for statement in base.node.body
        if isinstance(statement, r.Assign) and statement.annotation is not None and isinstance(statement.targets[0], r.Name)
    ]
    return list(dict.fromkeys(found))


def fill(m: Machine, made: Union[Instance, Optimizer], cls: ClassVal, args: Args, site: Site) -> None:
    """What the generated constructor does."""
    fields = names(cls)
    for name, value in args.named(tuple(fields)).items():
        m.set(made.attrs, name, value)
    for name in fields:
        if name not in made.attrs:
            default = _default(cls, name)
            if default is None:
                m.set(made.attrs, name, Unknown(label=name))
            elif isinstance(default, Service) and default.kind == _FACTORY:
                m.set(made.attrs, name, calls.call(m, default.args["make"], Args(), site))
    after = attributes.method(cls, "__post_init__")
    if after is not None:
        calls.invoke(m, after, Args(), site, made)


def items(value: Instance) -> Union[list[Value], None]:
    """The fields of a named tuple in order; None for any other object."""
    if not any(isinstance(base, External) and base.name in _TUPLES for base in attributes.mro(value.cls)):
        return None
    return [value.attrs.get(name) or _default(value.cls, name) or Unknown(label=name) for name in names(value.cls)]


def _default(cls: ClassVal, name: str) -> Union[Value, None]:
    return next((base.attrs[name] for base in attributes.mro(cls) if isinstance(base, ClassVal) and name in base.attrs), None)


def field(m: Machine, args: Args, site: Site) -> Value:
    """`dataclasses.field(...)`: a default, or what makes one for each object."""
    if "default_factory" in args.keywords:
        return Service(site, _FACTORY, "dataclasses.field", {"make": args.keywords["default_factory"]})
    return args.keywords.get("default") or Service(site, _FACTORY, "dataclasses.field", {"make": Unknown()})


def named_tuple(m: Machine, args: Args, site: Site) -> Value:
    """`namedtuple("Name", fields)`, as the class statement that says the same."""
    listed = m.settle(args.positional[1]) if len(args.positional) > 1 else args.keywords.get("field_names")
    if isinstance(listed, Const) and isinstance(listed.value, str):
        fields = listed.value.replace(",", " ").split()
    else:
        parts = iteration.items(m, listed) if listed is not None else None
        if parts is None or not all(isinstance(part, Const) and isinstance(part.value, str) for part in parts):
            return Unknown()
        fields = [str(part.value) for part in parts if isinstance(part, Const)]
    title = args.positional[0]
    at = site.at
    body = tuple(r.Assign(at, (r.Name(at, name),), None, r.Name(at, "object")) for name in fields)
    file = m.program.files[site.source]
    node = r.Class(at, str(title.value) if isinstance(title, Const) else "", (), body)
    return ClassVal(node, file, Frame(file, None, ()), (External("collections.namedtuple"),))
