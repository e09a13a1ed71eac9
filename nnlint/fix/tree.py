"""A source as the fixes need it: which statement a node stands in, what stands around it, and which names it binds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple, Union

import libcst as cst

from nnlint.lower import Opened, opened
from nnlint.records import Span
from nnlint.source import NEWLINE, Source

Statement = Union[cst.BaseSmallStatement, cst.BaseCompoundStatement]
Point = tuple[int, int]
"""A row and a column, both from 1."""

_COMPREHENSIONS = (cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)
_SCOPES = (cst.FunctionDef, cst.ClassDef, cst.Lambda)
_REPEATS = (cst.For, cst.While)


class Patch(NamedTuple):
    """Replace a stretch of a source's text."""

    start: Point
    end: Point
    content: str


class Tree:
    """One parsed source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.opened: Opened = opened(source.text)
        self.rows = NEWLINE.split(source.text)

    @cached_property
    def newline(self) -> str:
        """How the source ends its lines; the lines of a notebook's cell always end in the same way."""
        return "\n" if self.source.cells is not None else self.opened.module.default_newline

    @cached_property
    def parents(self) -> dict[int, cst.CSTNode]:
        """The parent of each node, by identity."""
        found: dict[int, cst.CSTNode] = {}
        pending: list[cst.CSTNode] = [self.opened.module]
        while pending:
            node = pending.pop()
            for child in children(node):
                found[id(child)] = node
                pending.append(child)
        return found

    # --- places ----------------------------------------------------------------------------------------------------

    def node(self, at: int) -> Union[cst.CSTNode, None]:
        return self.opened.nodes.get(at)

    def start(self, node: cst.CSTNode) -> Point:
        place = self.opened.ranges[node].start
        return place.line, place.column + 1

    def end(self, node: cst.CSTNode) -> Point:
        place = self.opened.ranges[node].end
        return place.line, place.column + 1

    def text(self, start: Point, end: Point) -> str:
        """What stands between two points."""
        if start[0] == end[0]:
            return self.rows[start[0] - 1][start[1] - 1 : end[1] - 1]
        middle = self.rows[start[0] : end[0] - 1]
        return "\n".join([self.rows[start[0] - 1][start[1] - 1 :], *middle, self.rows[end[0] - 1][: end[1] - 1]])

    def code(self, node: cst.CSTNode) -> str:
        return self.text(self.start(node), self.end(node))

    def row_end(self, row: int) -> Point:
        return row, len(self.rows[row - 1]) + 1

    def rest(self, point: Point) -> str:
        """What follows in the same row."""
        return self.rows[point[0] - 1][point[1] - 1 :]

    def indent(self, point: Point) -> Union[str, None]:
        """The white space before a point as the user wrote it; None where something else stands there."""
        before = self.rows[point[0] - 1][: point[1] - 1]
        if before.strip() or not self.verbatim(point[0]):
            return None
        shown = self.source.lines[point[0] - 1]
        return shown[: len(shown) - len(self.rows[point[0] - 1])] + before

    def verbatim(self, row: int) -> bool:
        """Whether a row is what the user wrote, and nothing that stands for a notebook's magic."""
        return self.source.lines[row - 1].endswith(self.rows[row - 1])

    def patchable(self, patch: Patch) -> bool:
        last = patch.end[0] if patch.end[1] > 1 or patch.end == patch.start else patch.end[0] - 1
        return all(self.verbatim(row) for row in range(patch.start[0], last + 1)) and self._one_cell(patch)

    def _one_cell(self, patch: Patch) -> bool:
        starts = self.source.cells.starts if self.source.cells is not None else ()
        return not any(patch.start[0] < start <= patch.end[0] for start in starts)

    def span(self, patch: Patch) -> Span:
        return Span(*patch.start, *patch.end)

    # --- what stands around ----------------------------------------------------------------------------------------

    def parent(self, node: cst.CSTNode) -> Union[cst.CSTNode, None]:
        return self.parents.get(id(node))

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """All nodes around a node, innermost first."""
        above = self.parent(node)
        while above is not None:
            yield above
            above = self.parent(above)

    def inside(self, node: cst.CSTNode, outer: cst.CSTNode) -> bool:
        return node is outer or any(above is outer for above in self.around(node))

    def statement(self, node: cst.CSTNode, *, deferred: bool = False) -> Union[Statement, None]:
        """The statement that a node stands in; None where the node is evaluated at another time than the statement (a lambda, a default of
        a function) or, unless `deferred`, once for each item of a comprehension."""
        for above in (node, *self.around(node)):
            if isinstance(above, cst.Lambda) or (isinstance(above, _COMPREHENSIONS) and not deferred):
                return None
            if isinstance(above, cst.BaseSmallStatement):
                return above
            if isinstance(above, cst.BaseCompoundStatement):
                return None if isinstance(above, _SCOPES) else above
        return None

    def suite(self, statement: Statement) -> Union[cst.CSTNode, None]:
        """The block that a statement stands in."""
        above = self.parent(statement)
        return self.parent(above) if isinstance(above, cst.SimpleStatementLine) else above

    def members(self, suite: cst.CSTNode) -> list[Statement]:
        """The statements of a block, in order."""
        found: list[Statement] = []
        for part in getattr(suite, "body", ()):
            found += part.body if isinstance(part, cst.SimpleStatementLine) else [part]
        return found

    def scope(self, node: cst.CSTNode) -> cst.CSTNode:
        """The function or class that a node stands in, or the module."""
        for above in self.around(node):
            if isinstance(above, _SCOPES):
                return above
        return self.opened.module

    def neighbours(self, statement: cst.BaseSmallStatement) -> tuple[cst.BaseSmallStatement, ...]:
        """The statements of the same line, itself included."""
        line = self.parent(statement)
        return tuple(line.body) if isinstance(line, (cst.SimpleStatementLine, cst.SimpleStatementSuite)) else ()

    def last_row(self, statement: cst.CSTNode) -> int:
        """The last row of a statement, with the comments that end its block."""
        if isinstance(statement, cst.BaseSmallStatement):
            return self.end(statement)[0]
        column = self.start(statement)[1]
        row = max(self.end(node)[0] for node in descend(statement) if isinstance(node, cst.BaseSmallStatement))
        bound = self._cell_end(row)
        while row < bound:
            line = self.rows[row]
            if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) < column:
                break
            row += 1
        return row

    def _cell_end(self, row: int) -> int:
        """The last row of the cell, or of the file."""
        starts = self.source.cells.starts if self.source.cells is not None else ()
        return min([start - 1 for start in starts if start > row], default=len(self.rows))

    def lifts(self, statement: Statement, apart: list[cst.CSTNode]) -> list[Statement]:
        """The loops around a statement in its scope that hold none of `apart`, whatever stands between, outermost first; at last the
        statement itself. A `with` right around one of them, which holds none either, stands for it."""
        found: list[Statement] = [statement]
        for above in self.around(statement):
            if isinstance(above, _SCOPES) or any(self.inside(node, above) for node in apart):
                break
            suite = self.suite(found[-1])
            if isinstance(above, _REPEATS):
                found.append(above)
            elif isinstance(above, cst.With) and suite is not None and self.parent(suite) is above:
                found[-1] = above
        return found[::-1]

    # --- names -----------------------------------------------------------------------------------------------------

    def plain(self, node: cst.CSTNode) -> Union[str, None]:
        """The text of a name, of an attribute of one, or of a simple item of one: what may be evaluated twice. None for all else."""
        if not _simple(node):
            return None
        text = self.code(node)
        return None if "\n" in text or "#" in text else text

    def stays(self, owner: cst.CSTNode, region: cst.CSTNode) -> bool:
        """Whether an expression as of `plain` means the same before and after each statement of a region."""
        text = self.code(owner)
        names = {part.value for part in (owner, *descend(owner)) if isinstance(part, cst.Name)}
        return not any(bound in names or text == bound or text.startswith((bound + ".", bound + "[")) for bound in self.bound(region))

    def bound(self, region: cst.CSTNode) -> set[str]:
        """What is bound in a region: names, and the text of attributes and of what items are set of."""
        found: set[str] = set()
        for node in (region, *descend(region, within=True)):
            for target in _targets(node):
                found.add(self.code(target.value) if isinstance(target, cst.Subscript) else self.code(target))
        return found

    def leaves(self, statement: cst.CSTNode) -> bool:
        """Whether what stands behind a statement may be left out: it returns, yields, or leaves a loop around."""
        for node in (statement, *descend(statement, within=True)):
            if isinstance(node, (cst.Return, cst.Yield)):
                return True
            if isinstance(node, (cst.Break, cst.Continue)):
                loop = next((above for above in self.around(node) if isinstance(above, _REPEATS)), None)
                if loop is None or not self.inside(loop, statement):
                    return True
        return False


def children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The nodes right below a node, white space and all."""
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (part for part in value if isinstance(part, cst.CSTNode))


def descend(node: cst.CSTNode, *, within: bool = False) -> Iterator[cst.CSTNode]:
    """All nodes below a node; with `within` those of the same scope only."""
    pending = list(children(node))
    while pending:
        below = pending.pop()
        yield below
        if not (within and isinstance(below, _SCOPES)):
            pending += children(below)


_FIELDS: dict[type, tuple[str, ...]] = {}


def _fields(kind: type) -> tuple[str, ...]:
    known = _FIELDS.get(kind)
    if known is None:
        known = _FIELDS[kind] = tuple(field.name for field in dataclasses.fields(kind))
    return known


def _simple(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Name):
        return True
    if isinstance(node, cst.Attribute):
        return _simple(node.value)
    if isinstance(node, cst.Subscript) and len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
        index = node.slice[0].slice.value
        return _simple(node.value) and (_simple(index) or isinstance(index, (cst.Integer, cst.SimpleString)) or _negative(index))
    return False


def _negative(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus) and isinstance(node.expression, cst.Integer)


def _targets(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """What a node binds."""
    if isinstance(node, (cst.AssignTarget, cst.AnnAssign, cst.AugAssign, cst.For, cst.CompFor, cst.NamedExpr, cst.Del)):
        yield from _flat(node.target)
    elif isinstance(node, cst.AsName):
        yield from _flat(node.name)
    elif isinstance(node, cst.ImportAlias):
        if node.asname is None:
            yield from (part for part in (node.name, *descend(node.name)) if isinstance(part, cst.Name))
    elif isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Param)):
        yield node.name
    elif isinstance(node, (cst.MatchAs, cst.MatchStar)):
        if node.name is not None:
            yield node.name


def _flat(target: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(target, (cst.Tuple, cst.List)):
        for element in target.elements:
            yield from _flat(element.value)
    elif isinstance(target, (cst.Name, cst.Attribute, cst.Subscript)):
        yield target
