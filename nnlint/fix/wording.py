"""Names and expressions that are written in another way."""

from __future__ import annotations

from typing import Union

import libcst as cst

from nnlint.fix.proposal import Recall, Rename
from nnlint.fix.tree import Patch, Tree


def rename(tree: Tree, change: Rename) -> Union[list[Patch], None]:
    """The patch that calls another member of the same module or object; a name that was imported by itself stays."""
    call = tree.node(change.site.at)
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute) or call.func.attr.value != change.old:
        return None
    name = call.func.attr
    return [Patch(tree.start(name), tree.end(name), change.new)]


def recall(tree: Tree, change: Recall) -> Union[list[Patch], None]:
    """The patches that leave of a call its tensor and put other calls behind it; a call that holds a comment stays."""
    call = tree.node(change.site.at)
    if not isinstance(call, cst.Call):
        return None
    calls = change.calls
    tensor: Union[cst.BaseExpression, None] = None
    if change.method:
        tensor = call.func.value if isinstance(call.func, cst.Attribute) else None
    elif call.args and call.args[0].keyword is None and not call.args[0].star:
        tensor = call.args[0].value
    if change.method and isinstance(tensor, cst.Call) and isinstance(tensor.func, cst.Attribute) and tensor.func.attr.value == "contiguous":
        tensor, calls = tensor.func.value, change.packed
    if not isinstance(tensor, (cst.Name, cst.Attribute, cst.Call, cst.Subscript)) or tensor.lpar:
        return None
    before, behind = (tree.start(call), tree.start(tensor)), (tree.end(tensor), tree.end(call))
    if "#" in tree.text(*before) + tree.text(*behind):
        return None
    return [*([Patch(*before, "")] if before[0] != before[1] else []), Patch(*behind, calls)]
