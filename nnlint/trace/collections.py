"""Methods of lists, dictionaries, strings and iterables."""

from __future__ import annotations

from typing import Any

from nnlint.findings import Site
from nnlint.trace import attributes, iteration
from nnlint.trace.arguments import Args
from nnlint.trace.machine import MAX_ITEMS, Machine
from nnlint.trace.values import NONE, Const, DictVal, ListVal, TupleVal, Unknown, Value, choice, key_of, same


def method(m: Machine, receiver: Value, name: str, args: Args, site: Site) -> Value:
    """`receiver.name(args)`."""
    if isinstance(receiver, ListVal):
        return _list(m, receiver, name, args, site)
    if isinstance(receiver, DictVal):
        return _dict(m, receiver, name, args, site)
    if isinstance(receiver, Const) and isinstance(receiver.value, str):
        return _text(receiver.value, name, args)
    if isinstance(receiver, TupleVal) and name == "index" and args.positional:
        for position, item in enumerate(receiver.items):
            if same(item, args.positional[0]):
                return Const(position)
    return Unknown()


def _list(m: Machine, receiver: ListVal, name: str, args: Args, site: Site) -> Value:
    first = args.positional[0] if args.positional else None
    if name in ("append", "appendleft", "add") and first is not None:
        items = [first, *receiver.items] if name == "appendleft" else [*receiver.items, first]
        if len(items) > MAX_ITEMS:
            if not receiver.growing:
                m.assign(receiver, "growing", True)
            return NONE
        m.assign(receiver, "items", items)
        if m.loop is not None and receiver.id < m.loop.start and len(items) > 2:
            m.assign(receiver, "growing", True)
    elif name in ("extend", "update") and first is not None:
        attributes.extend(m, receiver, first, site)
    elif name == "insert" and len(args.positional) > 1:
        at = first.value if isinstance(first, Const) and isinstance(first.value, int) else 0
        m.assign(receiver, "items", [*receiver.items[:at], args.positional[1], *receiver.items[at:]])
    elif name in ("pop", "popleft"):
        return _pop(m, receiver, name, args)
    elif name == "clear":
        m.assign(receiver, "items", [])
        m.assign(receiver, "growing", False)
    elif name == "copy":
        made = ListVal(site, list(receiver.items), receiver.kind)
        made.growing = receiver.growing
        return made
    elif name == "reverse":
        m.assign(receiver, "items", receiver.items[::-1])
    elif name in ("count", "index"):
        return Unknown()
    return NONE


def _pop(m: Machine, receiver: ListVal, name: str, args: Args) -> Value:
    position: Any = 0 if name == "popleft" else -1
    if args.positional:
        given = args.positional[0]
        position = given.value if isinstance(given, Const) else None
    if receiver.growing or not isinstance(position, int) or not -len(receiver.items) <= position < len(receiver.items):
        return choice([((), item) for item in receiver.items]) if receiver.items else Unknown()
    items = list(receiver.items)
    taken = items.pop(position)
    m.assign(receiver, "items", items)
    return taken


def _dict(m: Machine, receiver: DictVal, name: str, args: Args, site: Site) -> Value:
    if name in ("values", "keys", "items"):
        keys = [Const(key) if isinstance(key, (str, int, float, bool)) else Unknown() for key in receiver.entries]
        values = list(receiver.entries.values())
        parts: list[Value] = values if name == "values" else list(keys)
        if name == "items":
            parts = [TupleVal(pair) for pair in zip(keys, values)]
        made = ListVal(site, parts)
        made.growing = receiver.open
        return made
    if name in ("get", "pop", "setdefault") and args.positional:
        default = args.positional[1] if len(args.positional) > 1 else NONE
        key = m.settle(args.positional[0])
        if isinstance(key, Const) and key.value not in receiver.entries:
            if name == "setdefault":
                m.set(receiver.entries, key.value, default)
                return default
            return default if not receiver.open else Unknown(("item", receiver.id, key.value))
        found = attributes.item(m, receiver, [key], site)
        if name == "pop" and isinstance(key, Const):
            m.remove(receiver.entries, key.value)
        return found
    if name == "update":
        for value in args.positional:
            if isinstance(value, DictVal):
                for key_, part in value.entries.items():
                    m.set(receiver.entries, key_, part)
            m.assign(receiver, "open", receiver.open or not isinstance(value, DictVal) or value.open)
        for key_, part in args.keywords.items():
            m.set(receiver.entries, key_, part)
        return NONE
    if name == "copy":
        return DictVal(site, dict(receiver.entries), receiver.open)
    return Unknown()


def _text(text: str, name: str, args: Args) -> Value:
    if name in ("lower", "upper", "strip", "title", "capitalize") and not args.positional:
        return Const(getattr(text, name)())
    if name in ("startswith", "endswith", "replace", "count", "find") and all(
        isinstance(value, Const) and isinstance(value.value, str) for value in args.positional
    ):
        try:
            return Const(getattr(text, name)(*(value.value for value in args.positional)))  # type: ignore[attr-defined]
        except TypeError:
            return Unknown()
    if name == "format":
        return Unknown(("format", text, *(key_of(value) for value in args.positional)))
    return Unknown()


def plain_list(m: Machine, value: Value, site: Site, kind: str = "list") -> Value:
    """`list(value)`, `tuple(value)`, `set(value)`."""
    known = iteration.items(m, value)
    if known is not None:
        return TupleVal(tuple(known)) if kind == "tuple" else ListVal(site, known, kind)
    made = ListVal(site, list(value.items) if isinstance(value, ListVal) else [iteration.element(m, value, site)], kind)
    made.growing = True
    return made
