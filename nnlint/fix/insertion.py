"""Statements that are put in, and statements that change their place."""

from __future__ import annotations

from typing import Union

import libcst as cst

from nnlint.fix.proposal import Insert, Move
from nnlint.fix.tree import Patch, Point, Statement, Tree

_ENDS = (cst.Return, cst.Raise, cst.Break, cst.Continue)
_HEADS = (cst.If, cst.For, cst.With)  # what is evaluated in their header is evaluated once


def insert(tree: Tree, change: Insert) -> Union[list[Patch], None]:
    """The patch that puts `owner.method()` in its place."""
    node, owner = tree.node(change.site.at), tree.node(change.owner.at)
    if node is None or owner is None or change.owner.source != change.site.source:
        return None
    name = tree.plain(owner)
    inner = tree.statement(node, deferred=not change.after)
    if name is None or inner is None:
        return None
    targets = [inner]
    if change.lifted:
        apart = [found for found in (tree.node(site.at) for site in change.apart if site.source == change.site.source) if found]
        targets = tree.lifts(inner, apart)
    # A loop over networks makes its own name for each.
    target = next((target for target in targets if _reaches(tree, owner, target)), None)
    if target is None or (change.level and not _level(tree, owner, target)):
        return None
    return behind(tree, target, f"{name}.{change.method}()") if change.after else before(tree, target, f"{name}.{change.method}()")


def _reaches(tree: Tree, owner: cst.CSTNode, target: Statement) -> bool:
    """Whether an expression means the same beside a statement as where it stands."""
    here = tree.statement(owner, deferred=True)
    if here is None:
        return False
    if tree.inside(here, target):
        return tree.stays(owner, target)
    there, scope = tree.scope(target), tree.scope(owner)
    if there is scope:
        return _between(tree, owner, here, target)
    # A closure of the function in which the expression stands.
    if not isinstance(there, cst.FunctionDef) or not tree.inside(there, scope) or isinstance(scope, cst.ClassDef):
        return False
    around = [above for above in tree.around(target) if above is not scope and tree.inside(above, scope)]
    return all(tree.stays(owner, above) for above in around if isinstance(above, cst.FunctionDef)) and tree.stays(owner, here)


def _level(tree: Tree, owner: cst.CSTNode, target: Statement) -> bool:
    """Whether every condition around an expression is one around a statement, too."""
    around = {id(above) for above in tree.around(target)}
    conditions = (cst.If, cst.IfExp, cst.ExceptHandler, cst.MatchCase)
    return all(id(above) in around for above in tree.around(owner) if isinstance(above, conditions))


def _between(tree: Tree, owner: cst.CSTNode, here: Statement, target: Statement) -> bool:
    """For two statements of one scope: whether nothing from one to the other binds what the expression names."""
    suites = {id(suite): member for suite, member in _ways(tree, here)}
    for suite, member in _ways(tree, target):
        other = suites.get(id(suite))
        if other is None:
            continue
        members = tree.members(suite)
        first, last = sorted((_index(members, member), _index(members, other)))
        return all(tree.stays(owner, statement) for statement in members[first : last + 1])
    return False


def _ways(tree: Tree, statement: Statement) -> list[tuple[cst.CSTNode, Statement]]:
    """The blocks around a statement up to its scope, each with its member that holds the statement."""
    found: list[tuple[cst.CSTNode, Statement]] = []
    member: Union[cst.CSTNode, None] = statement
    scope = tree.scope(statement)
    while member is not None and member is not scope:
        if isinstance(member, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
            suite = tree.suite(member)
            if suite is not None:
                found.append((suite, member))
        member = tree.parent(member)
    return found


def _index(members: list[Statement], wanted: Statement) -> int:
    return next(index for index, member in enumerate(members) if member is wanted)


def before(tree: Tree, target: Statement, text: str) -> Union[list[Patch], None]:
    """Put a statement before another one."""
    if isinstance(target, cst.BaseCompoundStatement) and (not isinstance(target, _HEADS) or _is_elif(tree, target)):
        return None
    start = tree.start(target)
    if isinstance(target, cst.BaseSmallStatement) and _shares(tree, target):
        return [Patch(start, start, f"{text}; ")]
    indent = tree.indent(start)
    return None if indent is None else [Patch(start, start, f"{text}{tree.newline}{indent}")]


def behind(tree: Tree, target: Statement, text: str) -> Union[list[Patch], None]:
    """Put a statement behind another one."""
    if isinstance(target, _ENDS) or tree.leaves(target) or isinstance(target, (cst.If, cst.While)):
        return None
    if isinstance(target, cst.BaseSmallStatement) and _shares(tree, target):
        end = tree.end(target)
        return [Patch(end, end, f"; {text}")]
    indent = tree.indent(tree.start(target))
    if indent is None:
        return None
    end = tree.row_end(tree.last_row(target))
    return [Patch(end, end, f"{tree.newline}{indent}{text}")]


def _is_elif(tree: Tree, target: cst.CSTNode) -> bool:
    above = tree.parent(target)
    return isinstance(target, cst.If) and isinstance(above, cst.If) and above.orelse is target


def _shares(tree: Tree, target: cst.BaseSmallStatement) -> bool:
    """Whether a statement has its line not for itself: `a; b`, `for x in y: a`."""
    return len(tree.neighbours(target)) > 1 or isinstance(tree.parent(target), cst.SimpleStatementSuite)


def move(tree: Tree, change: Move) -> Union[list[Patch], None]:
    """The patches that take a statement from its place and put it behind, or before, another one."""
    node, beside = tree.node(change.site.at), tree.node(change.beside.at)
    what = tree.statement(node) if node is not None else None
    target = tree.statement(beside) if beside is not None else None
    if not isinstance(what, cst.Expr) or not isinstance(target, cst.BaseSmallStatement) or change.site.source != change.beside.source:
        return None
    call = what.value
    if what is target or not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return None
    owner = call.func.value
    if tree.plain(owner) is None or tree.scope(what) is not tree.scope(target) or not _between(tree, owner, what, target):
        return None
    text = tree.code(what)
    taken = remove(tree, what)
    if "\n" in text or taken is None:
        return None
    put = behind(tree, target, text) if change.after else before(tree, target, text)
    if put is None:
        return None
    if _shares(tree, what) or _shares(tree, target):
        return taken + put
    return _with_comments(tree, what, target, text, change.after)


def _with_comments(tree: Tree, what: Statement, target: Statement, text: str, after: bool) -> Union[list[Patch], None]:
    """A statement that moves with the comment behind it, and with those right above it."""
    start, end = tree.start(what), tree.end(what)
    above = _comments_above(tree, start)
    text += tree.rest(end).rstrip()
    indent = tree.indent(tree.start(target))
    if indent is None:
        return None
    lines = [tree.rows[row - 1].strip() for row in range(above, start[0])]
    taken = rows(tree, (above, 1), end)
    if after:
        place = tree.row_end(tree.last_row(target))
        return [taken, Patch(place, place, "".join(f"{tree.newline}{indent}{line}" for line in (*lines, text)))]
    place = tree.start(target)
    if lines:  # above what is said of the target
        row = _comments_above(tree, place)
        place = row, len(tree.rows[row - 1]) - len(tree.rows[row - 1].lstrip()) + 1
    return [taken, Patch(place, place, "".join(f"{line}{tree.newline}{indent}" for line in (*lines, text)))]


def _comments_above(tree: Tree, start: Point) -> int:
    """The first row of the comments right above a statement, at the same indent; its own row where there are none."""
    row = start[0]
    while row > 1 and not _starts_cell(tree, row):
        line = tree.rows[row - 2]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != start[1] - 1:
            break
        row -= 1
    return row


def remove(tree: Tree, what: Statement) -> Union[list[Patch], None]:
    """Take a simple statement out, with its line where it has one for itself; None where it is the only one of its block."""
    if not isinstance(what, cst.BaseSmallStatement):
        return None
    around = tree.neighbours(what)
    at = next(index for index, small in enumerate(around) if small is what)
    if at + 1 < len(around):
        return [Patch(tree.start(what), tree.start(around[at + 1]), "")]
    if at:
        return [Patch(tree.end(around[at - 1]), tree.end(what), "")]
    suite = tree.suite(what)
    if suite is None or len(tree.members(suite)) < 2 or isinstance(tree.parent(what), cst.SimpleStatementSuite):
        return None
    start, end = tree.start(what), tree.end(what)
    if tree.indent(start) is None:
        return None
    return [rows(tree, start, end)]


def rows(tree: Tree, start: Point, end: Point) -> Patch:
    """All rows from one point to another, without what ends the last of them: the rows before and behind meet there."""
    if end[0] < len(tree.rows) and not _starts_cell(tree, end[0] + 1):
        return Patch((start[0], 1), (end[0] + 1, 1), "")
    return Patch(tree.row_end(start[0] - 1) if start[0] > 1 else (1, 1), tree.row_end(end[0]), "")


def _starts_cell(tree: Tree, row: int) -> bool:
    return tree.source.cells is not None and row in tree.source.cells.starts
