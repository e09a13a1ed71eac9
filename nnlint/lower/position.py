"""From libcst nodes to spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Union

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from nnlint.records import Span

_NEWLINE = re.compile(r"\r\n|\r|\n")
_COLON = re.compile(r"(?:[\s),\\]|#[^\r\n]*)*:")  # what may stand between the last expression of a header and its colon
_WORD = re.compile(r"\s*(?=\w)")

# What stands for a node that would be too long to show.
_SHOWN: dict[type, Callable[..., cst.CSTNode]] = {
    cst.FunctionDef: lambda node: node.name,
    cst.ClassDef: lambda node: node.name,
    cst.Param: lambda node: node.name,
    cst.Arg: lambda node: node.value,
}


def _caught(node: Union[cst.ExceptHandler, cst.ExceptStarHandler]) -> cst.CSTNode | None:
    return node.name.name if node.name else node.type


# The last part of the header of a compound statement.
_LAST: dict[type, Callable[..., Union[cst.CSTNode, None]]] = {
    cst.If: lambda node: node.test,
    cst.While: lambda node: node.test,
    cst.For: lambda node: node.iter,
    cst.With: lambda node: node.items[-1],
    cst.Match: lambda node: node.subject,
    cst.Try: lambda node: None,
    cst.TryStar: lambda node: None,
    cst.ExceptHandler: _caught,
    cst.ExceptStarHandler: _caught,
    cst.MatchCase: lambda node: node.guard or node.pattern,
}


Ranges = Mapping[cst.CSTNode, CodeRange]


def ranges_of(module: cst.Module) -> Ranges:
    """The range of each node: rows from 1, columns from 0."""
    found: Ranges = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    return found


def locate(text: str, ranges: Ranges, nodes: Mapping[int, cst.CSTNode]) -> dict[int, Span]:
    """The span of each node, by its ordinal."""
    rows = _NEWLINE.split(text)
    found: dict[int, Span] = {}
    for at, node in nodes.items():
        kind = type(node)
        if kind in _LAST:
            last = _LAST[kind](node)
            found[at] = _header(rows, ranges[node], None if last is None else ranges[last])
        elif isinstance(node, cst.CompFor):
            found[at] = _clause(rows, ranges[node], ranges[node.ifs[-1].test if node.ifs else node.iter])
        else:
            found[at] = _span(rows, ranges[_SHOWN[kind](node) if kind in _SHOWN else node])
    return found


def _span(rows: list[str], place: CodeRange) -> Span:
    start, end = place.start, place.end
    if start == end:  # an empty tuple is nothing but its parentheses
        closed = rows[end.line - 1].startswith(")", end.column)
        return Span(start.line, max(start.column, 1), end.line, end.column + 1 + closed)
    return Span(start.line, start.column + 1, end.line, end.column + 1)


def _clause(rows: list[str], place: CodeRange, last: CodeRange) -> Span:
    """From `for` to the last expression; libcst counts the white space before and the clauses behind as parts."""
    row, column = place.start.line, place.start.column
    while not (word := _WORD.match(rows[row - 1], column)):
        row, column = row + 1, 0
    return Span(row, word.end() + 1, last.end.line, last.end.column + 1)


def _header(rows: list[str], place: CodeRange, last: CodeRange | None) -> Span:
    """From the keyword to the colon, or to the end of the first line where the colon comes later."""
    row, column = place.start.line, place.start.column
    line = rows[row - 1]
    after = last.end if last is not None and last.end.line == row else None
    if last is None:
        colon = line.index(":", column)
    elif after is not None and (found := _COLON.match(line, after.column)):
        colon = found.end() - 1
    else:
        colon = len(line)
    return Span(row, column + 1, row, column + len(line[column:colon].rstrip()) + 1)
