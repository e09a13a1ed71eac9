"""Names and expressions that are written in another way."""

from __future__ import annotations

from typing import Union

import libcst as cst

from nnlint.fix.proposal import Rename, Rewrite
from nnlint.fix.tree import Patch, Tree


def rename(tree: Tree, change: Rename) -> Union[list[Patch], None]:
    """The patch that calls another member of the same module or object; a name that was imported by itself stays."""
    call = tree.node(change.site.at)
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute) or call.func.attr.value != change.old:
        return None
    name = call.func.attr
    return [Patch(tree.start(name), tree.end(name), change.new)]


def rewrite(tree: Tree, change: Rewrite) -> Union[list[Patch], None]:
    """The patch that writes an expression anew; one that holds a comment stays."""
    node = tree.node(change.site.at)
    if node is None or "#" in tree.code(node):
        return None
    return [Patch(tree.start(node), tree.end(node), change.text)]
