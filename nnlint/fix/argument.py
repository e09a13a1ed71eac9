"""Arguments of calls."""

from __future__ import annotations

from typing import Union

import libcst as cst

from nnlint.fix.proposal import Argument
from nnlint.fix.tree import Patch, Tree


def argument(tree: Tree, change: Argument) -> Union[list[Patch], None]:
    """The patch that gives a call an argument, or another value for one that it has."""
    call = tree.node(change.site.at)
    if not isinstance(call, cst.Call) or any(arg.star for arg in call.args):
        return None
    given = next((arg for arg in call.args if arg.keyword is not None and arg.keyword.value == change.name), None)
    places = [arg for arg in call.args if arg.keyword is None]
    if given is None and change.index < len(places):
        given = places[change.index]
    if given is not None:
        value = given.value
        return [Patch(tree.start(value), tree.end(value), change.value)] if tree.code(value) in change.instead else None
    return _added(tree, call, f"{change.name}={change.value}")


def _added(tree: Tree, call: cst.Call, text: str) -> Union[list[Patch], None]:
    """An argument more: in a line of its own where the last one has that too."""
    row, column = tree.end(call)
    close = row, column - 1
    if not call.args:
        between = tree.text(tree.end(call.func), close)
        return [Patch(close, close, text)] if between.strip() == "(" else None
    last = call.args[-1]
    comma = last.comma if isinstance(last.comma, cst.Comma) else None
    end = tree.end(last) if comma is None else tree.end(comma)
    start = tree.start(last)
    own = close[0] != end[0] or (len(call.args) > 1 and tree.start(call.args[-2])[0] != start[0])
    indent = tree.indent(start) if own else None
    if indent is None:
        return [Patch(end, end, f", {text}" if comma is None else f" {text},")]
    line = tree.row_end(end[0])
    if close[0] == end[0]:
        return [Patch(end, end, f",{tree.newline}{indent}{text}" if comma is None else f"{tree.newline}{indent}{text},")]
    if comma is not None:
        return [Patch(line, line, f"{tree.newline}{indent}{text},")]
    if line == end:
        return [Patch(end, end, f",{tree.newline}{indent}{text}")]
    return [Patch(end, end, ","), Patch(line, line, f"{tree.newline}{indent}{text}")]
