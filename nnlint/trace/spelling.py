"""Expressions as the user wrote them, for messages."""

from __future__ import annotations

from typing import Union

from nnlint import records as r

_LIMIT = 60


def spell(node: r.Expr) -> Union[str, None]:
    """The text of a short expression; None where it is long, or nothing to repeat in a sentence."""
    try:
        text = _text(node)
    except _Odd:
        return None
    return text if len(text) <= _LIMIT else None


class _Odd(Exception):
    pass


def _text(node: r.Expr) -> str:
    if isinstance(node, r.Name):
        return node.id
    if isinstance(node, r.Const):
        return repr(node.value)
    if isinstance(node, r.Attr):
        return f"{_tight(node.value)}.{node.name}"
    if isinstance(node, r.Call):
        return f"{_tight(node.func)}({', '.join(map(_argument, node.args))})"
    if isinstance(node, r.Subscript):
        return f"{_tight(node.value)}[{', '.join(map(_text, node.index))}]"
    if isinstance(node, r.Slice):
        ends = [_text(end) if end is not None else "" for end in (node.lower, node.upper)]
        return ":".join(ends + ([_text(node.step)] if node.step is not None else []))
    if isinstance(node, r.Unary) and node.op != "not":
        return f"{node.op}{_tight(node.value)}"
    if isinstance(node, r.Binary):
        return f"{_operand(node, node.left, 0)} {node.op} {_operand(node, node.right, 1)}"
    if isinstance(node, r.Ellipsis_):
        return "..."
    raise _Odd


def _argument(node: r.Arg) -> str:
    return (f"{node.keyword}=" if node.keyword else node.star) + _text(node.value)


def _tight(node: r.Expr) -> str:
    text = _text(node)
    return f"({text})" if isinstance(node, (r.Binary, r.Unary)) else text


_STRENGTH = {"|": 0, "^": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "//": 5, "%": 5, "@": 5, "**": 6}


def _operand(outer: r.Binary, node: r.Expr, side: int) -> str:
    text = _text(node)
    if not isinstance(node, r.Binary):
        return text
    needed = _STRENGTH[outer.op] + (side if outer.op != "**" else 1 - side)
    return text if _STRENGTH[node.op] >= needed else f"({text})"
