"""Whether a program reads an attribute that a fix would make None."""

from __future__ import annotations

from typing import Any

from nnlint import records as r


def reads(module: r.Module, name: str) -> bool:
    """Whether an attribute of this name is read or written where nothing asked for it before: `if layer.bias is not None:`."""
    return name in module.words and any(_reads(statement, name) for statement in module.body)


def _reads(node: Any, name: str) -> bool:
    if isinstance(node, tuple):
        return any(_reads(part, name) for part in node)
    if not isinstance(node, r.Node):
        return False
    if isinstance(node, r.Attr):
        return node.name == name or _reads(node.value, name)
    if isinstance(node, (r.If, r.IfExp)) and _asks(node.test, name):
        return _reads(node.orelse, name)
    if isinstance(node, r.Boolean) and node.op == "and" and _asks(node.values[0], name):
        return False
    if isinstance(node, r.Compare) and _is_asked(node, name):
        return False
    return any(_reads(getattr(node, field), name) for field in node.__struct_fields__)


def _asks(test: r.Expr, name: str) -> bool:
    """`x.name is not None`, `x.name`, or a conjunction with one of them."""
    if isinstance(test, r.Boolean):
        return test.op == "and" and any(_asks(value, name) for value in test.values)
    return (isinstance(test, r.Compare) and test.ops == ("is not",) and _is_asked(test, name)) or (
        isinstance(test, r.Attr) and test.name == name
    )


def _is_asked(test: r.Compare, name: str) -> bool:
    left, right = test.left, test.rights[0]
    return (
        isinstance(left, r.Attr)
        and left.name == name
        and test.ops[0] in ("is", "is not")
        and isinstance(right, r.Const)
        and right.value is None
    )
