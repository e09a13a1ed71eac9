"""Operations, layers and items that go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import libcst as cst

from nnlint.fix.insertion import remove, rows
from nnlint.fix.proposal import Drop, Unwrap
from nnlint.fix.tree import Patch, Tree

_ATOMS = (cst.Name, cst.Attribute, cst.Call, cst.Subscript)
_ROOMY = (cst.Return, cst.Assign, cst.Arg, cst.AnnAssign, cst.Expr, cst.Element)  # where any expression may stand without parentheses


def unwrap(tree: Tree, change: Unwrap) -> Union[list[Patch], None]:
    """The patches that leave of a call the tensor that it was given."""
    call = tree.node(change.site.at)
    if not isinstance(call, cst.Call):
        return None
    inner = _tensor(call, change.method)
    if inner is None:
        return None
    whole = tree.statement(call, deferred=True)
    if isinstance(whole, cst.Assign) and len(whole.targets) == 1 and whole.value is call:
        if tree.code(whole.targets[0].target) == tree.code(inner):
            return remove(tree, whole)  # `x = softmax(x)`
    start, end = tree.start(call), tree.end(call)
    if isinstance(inner, cst.Arg):
        first, last, value = tree.start(inner.value), tree.end(inner), inner.value
        if inner.keyword is None:
            first = tree.start(inner)
    else:
        assert isinstance(call.func, cst.Attribute)
        first, last, value = start, tree.start(call.func.dot), inner
    before, after = tree.text(start, first), tree.text(last, end)
    if "#" in before + after:
        return None
    if _needs_parentheses(tree, call, value, first, last):
        return [Patch(start, first, "("), Patch(last, end, ")")]
    return [patch for patch in (Patch(start, first, ""), Patch(last, end, "")) if patch.start != patch.end]


def _tensor(call: cst.Call, method: bool) -> Union[cst.Arg, cst.BaseExpression, None]:
    """What the call works on: its receiver, or its first argument."""
    if method:
        return call.func.value if isinstance(call.func, cst.Attribute) else None
    if any(arg.star for arg in call.args):
        return None
    placed = [arg for arg in call.args if arg.keyword is None] or [arg for arg in call.args if arg.keyword and arg.keyword.value == "input"]
    if not placed or isinstance(placed[0].value, (cst.Yield, cst.NamedExpr, cst.GeneratorExp)):
        return None
    return placed[0]


def _needs_parentheses(
    tree: Tree, call: cst.Call, value: cst.BaseExpression, first: tuple[int, int], last: tuple[int, int]
) -> bool:
    if value.lpar:
        return False
    above = tree.parent(call)
    if first[0] != last[0] and not (isinstance(value, cst.Call) and first[0] == tree.end(value.func)[0]):
        return not (isinstance(above, cst.Arg) or call.lpar)
    return not isinstance(value, _ATOMS) and not isinstance(above, _ROOMY)


def drop(tree: Tree, change: Drop) -> Union[list[Patch], None]:
    """The patch that takes an item out of the call or list that it is written in, or the statement that adds it."""
    node = tree.node(change.site.at)
    if node is None:
        return None
    part, above = node, tree.parent(node)
    while isinstance(above, (cst.Arg, cst.Element)):
        part, above = above, tree.parent(above)
        if isinstance(above, cst.Tuple) and len(above.elements) == 2 and above.elements[1] is part:  # ("softmax", nn.Softmax())
            part, above = above, tree.parent(above)
    if isinstance(part, cst.Element) and isinstance(above, cst.List):
        whole = tree.statement(above)
        if len(above.elements) == 1 and isinstance(whole, cst.AugAssign) and whole.value is above:
            return remove(tree, whole)  # `layers += [nn.Softmax()]`
        return _without(tree, above.elements, part)
    if isinstance(part, cst.Arg) and isinstance(above, cst.Call):
        line = tree.parent(above)
        if isinstance(line, cst.Expr) and _adds(above, part):
            return remove(tree, line)
        return _without(tree, above.args, part) if part.keyword is None and not part.star else None
    return None


def _adds(call: cst.Call, item: cst.Arg) -> bool:
    """`layers.append(item)`, `net.add_module("name", item)`."""
    return isinstance(call.func, cst.Attribute) and call.func.attr.value in ("append", "add_module") and call.args[-1] is item


def _without(
    tree: Tree, items: Sequence[Union[cst.Arg, cst.BaseElement]], item: Union[cst.Arg, cst.Element]
) -> Union[list[Patch], None]:
    at = next(index for index, other in enumerate(items) if other is item)
    if len(items) < 2:
        return None
    comma = item.comma if isinstance(item.comma, cst.Comma) else None
    start, end = tree.start(item), tree.end(item if comma is None else comma)
    rest = tree.rest(end).strip()
    if tree.indent(start) is not None and (not rest or rest.startswith("#")):
        return [rows(tree, start, end)]
    if at + 1 < len(items):
        return [Patch(start, tree.start(items[at + 1]), "")]
    before = items[at - 1]
    kept = tree.end(before if comma is None or not isinstance(before.comma, cst.Comma) else before.comma)
    return None if "#" in tree.text(kept, start) else [Patch(kept, end, "")]
