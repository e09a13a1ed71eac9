"""The records of statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Union

import libcst as cst

from nnlint import records as r
from nnlint.lower.expression import AUGMENTED, bind, element, maybe, params
from nnlint.lower.failure import TooDeep

if TYPE_CHECKING:
    from nnlint.lower.tree import Lowering

    Handler = Callable[[Lowering, Any], Any]

_ELIFS = 250  # a chain of `elif` nests in the records


# --- functions and classes ----------------------------------------------------------------------------------------


def _function(low: Lowering, node: cst.FunctionDef) -> r.Function:
    at = low.at
    low.at = at + 1
    name = node.name.value
    low.bound.add(name)
    low.words.add(name)
    decorators = _decorators(low, node.decorators)
    given = params(low, node.params)
    returns = None if node.returns is None else maybe(low, node.returns.annotation)
    words, bound, outside, yields = low.words, low.bound, low.outside, low.yields
    low.words, low.bound, low.outside, low.yields = set(), {param.name for param in given}, set(), False
    if node.type_parameters is not None:
        low.bound.update(part.param.name.value for part in node.type_parameters.params)
    body = block(low, node.body)
    low.words.update([own for alias, own in low.aliases.items() if alias in low.words])
    inner, locals_, yielding = frozenset(low.words), frozenset(low.bound - low.outside), low.yields
    words |= inner
    low.words, low.bound, low.outside, low.yields = words, bound, outside, yields
    return r.Function(at, name, given, body, decorators, returns, inner, locals_, node.asynchronous is not None, yielding)


def _class(low: Lowering, node: cst.ClassDef) -> r.Class:
    at = low.at
    low.at = at + 1
    name = node.name.value
    low.bound.add(name)
    low.words.add(name)
    decorators = _decorators(low, node.decorators)
    handler = low.table[cst.Arg]
    bases = tuple([handler(low, arg) for arg in (*node.bases, *node.keywords)])
    bound, outside = low.bound, low.outside
    low.bound, low.outside = set(), set()
    body = block(low, node.body)
    low.bound, low.outside = bound, outside
    return r.Class(at, name, bases, body, decorators)


def _decorators(low: Lowering, decorators: Iterable[cst.Decorator]) -> tuple[r.Expr, ...]:
    return tuple([low.table[type(part.decorator)](low, part.decorator) for part in decorators])


# --- simple statements --------------------------------------------------------------------------------------------


def _target(low: Lowering, node: cst.CSTNode) -> Any:
    target = low.table[type(node)](low, node)
    bind(low, target)
    return target


def _expr(low: Lowering, node: cst.Expr) -> r.ExprStmt | None:
    value = node.value
    if isinstance(value, cst.SimpleString):
        return None
    at = low.at
    low.at = at + 1
    record = low.table[type(value)](low, value)
    if type(record) is r.Const and isinstance(value, cst.ConcatenatedString):
        low.at = at
        return None
    return r.ExprStmt(at, record)


def _assign(low: Lowering, node: cst.Assign) -> r.Assign:
    at = low.at
    low.at = at + 1
    targets = tuple([_target(low, part.target) for part in node.targets])
    return r.Assign(at, targets, low.table[type(node.value)](low, node.value))


def _annotated(low: Lowering, node: cst.AnnAssign) -> r.Assign:
    at = low.at
    low.at = at + 1
    target = _target(low, node.target)
    annotation = maybe(low, node.annotation.annotation)
    return r.Assign(at, (target,), maybe(low, node.value), annotation)


def _augmented(low: Lowering, node: cst.AugAssign) -> r.AugAssign:
    at = low.at
    low.at = at + 1
    target = _target(low, node.target)
    return r.AugAssign(at, AUGMENTED[type(node.operator)], target, low.table[type(node.value)](low, node.value))


def _alias_type(low: Lowering, node: cst.TypeAlias) -> r.Assign:
    at = low.at
    low.at = at + 1
    target = _target(low, node.name)
    return r.Assign(at, (target,), low.table[cst.Imaginary](low, node.value))  # evaluated lazily, by nobody but type checkers


def _return(low: Lowering, node: cst.Return) -> r.Return:
    at = low.at
    low.at = at + 1
    return r.Return(at, maybe(low, node.value))


def _delete(low: Lowering, node: cst.Del) -> r.Delete:
    at = low.at
    low.at = at + 1
    target = node.target
    targets = [element(part) for part in target.elements] if isinstance(target, (cst.Tuple, cst.List)) else [target]
    return r.Delete(at, tuple([_target(low, part) for part in targets]))


def _raise(low: Lowering, node: cst.Raise) -> r.Raise:
    at = low.at
    low.at = at + 1
    return r.Raise(at, maybe(low, node.exc))


def _assert(low: Lowering, node: cst.Assert) -> r.Assert:
    at = low.at
    low.at = at + 1
    return r.Assert(at, low.table[type(node.test)](low, node.test))


def _scope(kind: str) -> Handler:
    def handler(low: Lowering, node: Union[cst.Global, cst.Nonlocal]) -> r.Scope:
        at = low.at
        low.at = at + 1
        names = tuple([item.name.value for item in node.names])
        low.outside.update(names)
        return r.Scope(at, kind, names)

    return handler


def _break(low: Lowering, node: cst.Break) -> r.Break:
    at = low.at
    low.at = at + 1
    return r.Break(at)


def _continue(low: Lowering, node: cst.Continue) -> r.Continue:
    at = low.at
    low.at = at + 1
    return r.Continue(at)


def _pass(low: Lowering, node: cst.Pass) -> None:
    return None


def _import(low: Lowering, node: cst.Import) -> r.Import:
    at = low.at
    low.at = at + 1
    handler = low.table[cst.ImportAlias]
    names = tuple([handler(low, alias) for alias in node.names])
    low.bound.update(alias.asname or alias.name.partition(".")[0] for alias in names)
    return r.Import(at, names)


def _import_from(low: Lowering, node: cst.ImportFrom) -> r.ImportFrom:
    at = low.at
    low.at = at + 1
    module = "" if node.module is None else _dotted(node.module)
    if isinstance(node.names, cst.ImportStar):
        names = (low.table[cst.ImportStar](low, node.names),)
    else:
        handler = low.table[cst.ImportAlias]
        names = tuple([handler(low, alias) for alias in node.names])
        low.bound.update(alias.asname or alias.name for alias in names)
        if module.partition(".")[0] == "torch":
            low.aliases.update((alias.asname, alias.name) for alias in names if alias.asname)
    return r.ImportFrom(at, module, len(node.relative), names)


def _alias(low: Lowering, node: cst.ImportAlias) -> r.Alias:
    at = low.at
    low.at = at + 1
    name = _dotted(node.name)
    low.words.update(name.split("."))
    asname = None if node.asname is None else _dotted(node.asname.name)
    return r.Alias(at, name, asname)


def _star(low: Lowering, node: cst.ImportStar) -> r.Alias:
    at = low.at
    low.at = at + 1
    return r.Alias(at, "*")


def _dotted(node: cst.BaseExpression) -> str:
    names: list[str] = []
    while isinstance(node, cst.Attribute):
        names.append(node.attr.value)
        node = node.value
    if isinstance(node, cst.Name):
        names.append(node.value)
    return ".".join(reversed(names))


# --- compound statements ------------------------------------------------------------------------------------------


def block(low: Lowering, node: Union[cst.BaseSuite, cst.Module]) -> tuple[r.Stmt, ...]:
    """The statements of a suite or module, without `pass` and docstrings."""
    table = low.table
    statements: list[r.Stmt] = []
    for statement in node.body:
        if isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                record = table[type(small)](low, small)
                if record is not None:
                    statements.append(record)
        else:
            record = table[type(statement)](low, statement)
            if record is not None:
                statements.append(record)
    return tuple(statements)


def _else(low: Lowering, node: Union[cst.Else, cst.Finally, None]) -> tuple[r.Stmt, ...]:
    return () if node is None else block(low, node.body)


def _if(low: Lowering, node: cst.If) -> r.If:
    at = low.at
    low.at = at + 1
    test = low.table[type(node.test)](low, node.test)
    body = block(low, node.body)
    orelse = node.orelse
    if not isinstance(orelse, cst.If):
        return r.If(at, test, body, _else(low, orelse))
    low.elifs += 1
    if low.elifs > _ELIFS:
        raise TooDeep(orelse)
    rest = low.table[cst.If](low, orelse)
    low.elifs -= 1
    return r.If(at, test, body, (rest,))


def _for(low: Lowering, node: cst.For) -> r.For:
    at = low.at
    low.at = at + 1
    target = _target(low, node.target)
    iter_ = low.table[type(node.iter)](low, node.iter)
    body = block(low, node.body)
    return r.For(at, target, iter_, body, _else(low, node.orelse))


def _while(low: Lowering, node: cst.While) -> r.While:
    at = low.at
    low.at = at + 1
    test = low.table[type(node.test)](low, node.test)
    body = block(low, node.body)
    return r.While(at, test, body, _else(low, node.orelse))


def _with(low: Lowering, node: cst.With) -> r.With:
    at = low.at
    low.at = at + 1
    handler = low.table[cst.WithItem]
    items = tuple([handler(low, item) for item in node.items])
    return r.With(at, items, block(low, node.body))


def _with_item(low: Lowering, node: cst.WithItem) -> r.WithItem:
    at = low.at
    low.at = at + 1
    value = low.table[type(node.item)](low, node.item)
    return r.WithItem(at, value, None if node.asname is None else _target(low, node.asname.name))


def _try(low: Lowering, node: Union[cst.Try, cst.TryStar]) -> r.Try:
    at = low.at
    low.at = at + 1
    body = block(low, node.body)
    handlers = tuple([low.table[type(part)](low, part) for part in node.handlers])
    orelse = _else(low, node.orelse)
    return r.Try(at, body, handlers, orelse, _else(low, node.finalbody))


def _except(low: Lowering, node: Union[cst.ExceptHandler, cst.ExceptStarHandler]) -> r.Handler:
    at = low.at
    low.at = at + 1
    caught = maybe(low, node.type)
    name = None if node.name is None else _dotted(node.name.name)
    if name is not None:
        low.bound.add(name)
    return r.Handler(at, caught, name, block(low, node.body))


def _match(low: Lowering, node: cst.Match) -> r.Match:
    at = low.at
    low.at = at + 1
    subject = low.table[type(node.subject)](low, node.subject)
    handler = low.table[cst.MatchCase]
    return r.Match(at, subject, tuple([handler(low, case) for case in node.cases]))


def _case(low: Lowering, node: cst.MatchCase) -> r.Case:
    at = low.at
    low.at = at + 1
    pattern = node.pattern
    value = _value(low, pattern, at)
    names: list[str] = []
    _captures(low, pattern, names)
    low.bound.update(names)
    wildcard = isinstance(pattern, cst.MatchAs) and pattern.pattern is None
    guard = maybe(low, node.guard)
    return r.Case(at, value, tuple(names), guard, block(low, node.body), wildcard)


def _value(low: Lowering, pattern: cst.MatchPattern, at: int) -> Union[r.Expr, None]:
    """The value that a pattern names, or all of them (`1 | 2`); None where it asks for more."""
    if isinstance(pattern, cst.MatchAs) and pattern.pattern is not None:
        return _value(low, pattern.pattern, at)
    if isinstance(pattern, cst.MatchOr):
        parts = [part.pattern for part in pattern.patterns]
        plain = [part.value for part in parts if isinstance(part, (cst.MatchValue, cst.MatchSingleton))]
        return r.Tuple(at, tuple([low.table[type(part)](low, part) for part in plain])) if len(plain) == len(parts) else None
    return maybe(low, pattern.value) if isinstance(pattern, (cst.MatchValue, cst.MatchSingleton)) else None


def _captures(low: Lowering, pattern: Union[cst.MatchPattern, cst.MatchStar, None], names: list[str]) -> None:
    """Collect the names that a pattern binds."""
    name: cst.Name | None = None
    if isinstance(pattern, cst.MatchAs):
        _captures(low, pattern.pattern, names)
        name = pattern.name
    elif isinstance(pattern, cst.MatchStar):
        name = pattern.name
    elif isinstance(pattern, cst.MatchSequence):
        for item in pattern.patterns:
            _captures(low, item if isinstance(item, cst.MatchStar) else item.value, names)
    elif isinstance(pattern, cst.MatchMapping):
        for element in pattern.elements:
            _captures(low, element.pattern, names)
        name = pattern.rest
    elif isinstance(pattern, cst.MatchClass):
        low.words.update(_dotted(pattern.cls).split("."))
        for item in pattern.patterns:
            _captures(low, item.value, names)
        for keyword in pattern.kwds:
            _captures(low, keyword.pattern, names)
    elif isinstance(pattern, cst.MatchOr):
        for choice in pattern.patterns:
            _captures(low, choice.pattern, names)
    if name is not None and name.value not in names:
        names.append(name.value)


STATEMENTS: dict[type, Handler] = {
    cst.WithItem: _with_item, cst.ImportAlias: _alias, cst.ImportStar: _star,
    cst.ExceptHandler: _except, cst.ExceptStarHandler: _except, cst.MatchCase: _case,
    cst.Expr: _expr, cst.Assign: _assign, cst.AnnAssign: _annotated, cst.AugAssign: _augmented, cst.TypeAlias: _alias_type,
    cst.Return: _return, cst.Del: _delete, cst.Raise: _raise, cst.Assert: _assert, cst.Global: _scope("global"),
    cst.Nonlocal: _scope("nonlocal"), cst.Break: _break, cst.Continue: _continue, cst.Pass: _pass, cst.Import: _import,
    cst.ImportFrom: _import_from, cst.If: _if, cst.For: _for,
    cst.While: _while, cst.With: _with, cst.Try: _try, cst.TryStar: _try, cst.Match: _match, cst.FunctionDef: _function,
    cst.ClassDef: _class,
}  # fmt: skip

# Only newer releases of libcst know these.
if hasattr(cst, "LazyImport"):
    STATEMENTS[cst.LazyImport] = _import
    STATEMENTS[cst.LazyImportFrom] = _import_from
