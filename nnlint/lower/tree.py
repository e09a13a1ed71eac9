"""One pass over a libcst tree: a table from the type of a node to the small function that makes its record.

Each function takes the next ordinal before it looks into its node. `Lowering(recorded=True)` relies on it to tell which node got which
ordinal, at no cost to the ordinary pass. Everything that has an ordinal is therefore made through the table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Union

import libcst as cst

from nnlint import records as r
from nnlint.lower.depth import shorten
from nnlint.lower.failure import DEEP, Unparsable, explain

Handler = Callable[["Lowering", Any], Any]

_EXPRESSIONS = 200  # deeper expressions are cut; what reads the records recurses, and so does msgspec
_ELIFS = 250


def parse(text: str) -> cst.Module:
    """The tree of a text. Raises `Unparsable`."""
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        shorter = shorten(text)
        if shorter != text:
            return parse(shorter)
        raise explain(text, error.message) from None
    except RecursionError:
        raise Unparsable(1, 1, DEEP) from None
    except UnicodeError as error:
        raise Unparsable(1, 1, str(error)) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of the native parser, and no Exception
            raise explain(text, "") from None
        raise


class Lowering:
    """The state of one pass. `nodes` holds the node of each ordinal if `recorded`."""

    __slots__ = ("at", "bound", "depth", "elifs", "kind", "nodes", "outside", "table", "words", "yields")

    def __init__(self, *, guarded: bool = False, recorded: bool = False) -> None:
        self.at = 0
        self.words: set[str] = set()
        self.bound: set[str] = set()  # names bound in the scope at hand
        self.outside: set[str] = set()  # its global and nonlocal names
        self.yields = False
        self.kind = "positional"  # of the parameters at hand
        self.depth = 0
        self.elifs = 0
        self.nodes: dict[int, cst.CSTNode] = {}
        self.table: dict[type, Handler] = _TABLE
        if guarded:
            self.table = {type_: _guarded(made) if type_ in _EXPRESSION else made for type_, made in self.table.items()}
        if recorded:
            self.table = {type_: _recorded(made) for type_, made in self.table.items()}

    def module(self, module: cst.Module) -> r.Module:
        """The records of a whole file. Raises `Unparsable` for a chain of `elif` that is too long."""
        body = _block(self, module)
        return r.Module(body, frozenset(self.words))


def _guarded(handler: Handler) -> Handler:
    def cut(low: Lowering, node: cst.CSTNode) -> Any:
        if low.depth >= _EXPRESSIONS:
            return _opaque(low, node)
        low.depth += 1
        record = handler(low, node)
        low.depth -= 1
        return record

    return cut


def _recorded(handler: Handler) -> Handler:
    def note(low: Lowering, node: cst.CSTNode) -> Any:
        low.nodes[low.at] = node
        return handler(low, node)

    return note


def _maybe(low: Lowering, node: cst.CSTNode | None) -> Any:
    return None if node is None else low.table[type(node)](low, node)


# --- names and literals ------------------------------------------------------------------------------------------


def _name(low: Lowering, node: cst.Name) -> r.Expr:
    at = low.at
    low.at = at + 1
    name = node.value
    if name in _SINGLETONS:
        return r.Const(at, _SINGLETONS[name])
    low.words.add(name)
    return r.Name(at, name)


_SINGLETONS = {"None": None, "True": True, "False": False}


def _attribute(low: Lowering, node: cst.Attribute) -> r.Attr:
    at = low.at
    low.at = at + 1
    value = node.value
    record = low.table[type(value)](low, value)
    name = node.attr.value
    low.words.add(name)
    return r.Attr(at, record, name)


def _integer(low: Lowering, node: cst.Integer) -> r.Expr:
    at = low.at
    low.at = at + 1
    try:
        value = int(node.value, 0)
    except ValueError:  # zeros such as 00, or more digits than Python converts
        return r.Const(at, 0) if not node.value.strip("0_") else r.Opaque(at)
    return r.Const(at, value) if value < 1 << 64 else r.Opaque(at)


def _float(low: Lowering, node: cst.Float) -> r.Const:
    at = low.at
    low.at = at + 1
    return r.Const(at, float(node.value))


def _string(low: Lowering, node: cst.SimpleString) -> r.Expr:
    at = low.at
    low.at = at + 1
    value = _text(node.value)
    return r.Opaque(at) if value is None else r.Const(at, value)


_PREFIX = re.compile(r"[A-Za-z]*")
_ESCAPE = re.compile(
    r"\\(?:(\n)|([\\'\"abfnrtv])|([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]+)\})",
)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _text(literal: str) -> str | None:
    """What a plain string literal stands for; None for bytes and for texts that UTF-8 cannot hold."""
    prefix = "" if literal[0] in "\"'" else _PREFIX.match(literal)[0].lower()  # type: ignore[index]
    if "b" in prefix:
        return None
    start = len(prefix)
    quotes = 3 if literal[start : start + 3] in ('"""', "'''") and len(literal) >= start + 6 else 1
    value = literal[start + quotes : -quotes]
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" not in value or "r" in prefix:
        return value
    try:
        value = _ESCAPE.sub(_unescape, value)
        value.encode()
    except (KeyError, ValueError):
        return None
    return value


def _unescape(match: re.Match[str]) -> str:
    newline, control, octal, *codes, name = match.groups()
    if newline:
        return ""
    if control:
        return _CONTROL.get(control, control)
    if name:
        return unicodedata.lookup(name)
    return chr(int(octal, 8) if octal else int(next(filter(None, codes)), 16))


def _concatenated(low: Lowering, node: cst.ConcatenatedString) -> r.Expr:
    at = low.at
    low.at = at + 1
    parts: list[cst.BaseString] = []
    rest: cst.BaseString = node
    while isinstance(rest, cst.ConcatenatedString):
        parts.append(rest.left)
        rest = rest.right
    parts.append(rest)
    if any(isinstance(part, cst.FormattedString) for part in parts):
        values = [value for part in parts if isinstance(part, cst.FormattedString) for value in _fields(low, part.parts)]
        return r.Format(at, tuple(values))
    texts = [_text(part.value) if isinstance(part, cst.SimpleString) else None for part in parts]
    return r.Opaque(at) if None in texts else r.Const(at, "".join(filter(None, texts)))


def _formatted(low: Lowering, node: cst.FormattedString) -> r.Format:
    at = low.at
    low.at = at + 1
    return r.Format(at, tuple(_fields(low, node.parts)))


def _fields(low: Lowering, parts: Iterable[cst.BaseFormattedStringContent]) -> list[r.Expr]:
    """The expressions of an f-string, those in its format specifications included."""
    values: list[r.Expr] = []
    for part in parts:
        if isinstance(part, cst.FormattedStringExpression):
            values.append(low.table[type(part.expression)](low, part.expression))
            if part.format_spec:
                values += _fields(low, part.format_spec)
    return values


def _opaque(low: Lowering, node: cst.CSTNode) -> r.Opaque:
    at = low.at
    low.at = at + 1
    return r.Opaque(at)


def _ellipsis(low: Lowering, node: cst.Ellipsis) -> r.Ellipsis_:
    at = low.at
    low.at = at + 1
    return r.Ellipsis_(at)


# --- calls and subscripts ----------------------------------------------------------------------------------------


def _call(low: Lowering, node: cst.Call) -> r.Call:
    at = low.at
    low.at = at + 1
    table = low.table
    value = node.func
    func = table[type(value)](low, value)
    handler = table[cst.Arg]
    return r.Call(at, func, tuple([handler(low, arg) for arg in node.args]))


def _arg(low: Lowering, node: cst.Arg) -> r.Arg:
    at = low.at
    low.at = at + 1
    value = node.value
    keyword = node.keyword
    return r.Arg(at, low.table[type(value)](low, value), None if keyword is None else keyword.value, node.star)


def _subscript(low: Lowering, node: cst.Subscript) -> r.Subscript:
    at = low.at
    low.at = at + 1
    table = low.table
    value = table[type(node.value)](low, node.value)
    items: list[cst.CSTNode] = [element.slice for element in node.slice]
    if len(items) == 1 and isinstance(items[0], cst.Index) and not items[0].star:
        only = items[0].value
        # a[(i, j)] is a[i, j]
        items = [*map(_element, only.elements)] if isinstance(only, cst.Tuple) and only.elements else [only]
    index = [table[type(item)](low, item) for item in items]
    return r.Subscript(at, value, tuple(index))


def _index(low: Lowering, node: cst.Index) -> r.Expr:
    value = node.value
    if not node.star:
        return low.table[type(value)](low, value)  # type: ignore[no-any-return]
    at = low.at
    low.at = at + 1
    return r.Starred(at, low.table[type(value)](low, value))


def _slice(low: Lowering, node: cst.Slice) -> r.Slice:
    at = low.at
    low.at = at + 1
    return r.Slice(at, _maybe(low, node.lower), _maybe(low, node.upper), _maybe(low, node.step))


# --- displays and comprehensions ---------------------------------------------------------------------------------


def _element(element: cst.BaseElement) -> cst.CSTNode:
    return element.value if type(element) is cst.Element else element


def _items(low: Lowering, elements: Iterable[cst.BaseElement]) -> tuple[r.Expr, ...]:
    table = low.table
    items = [element.value if type(element) is cst.Element else element for element in elements]
    return tuple([table[type(item)](low, item) for item in items])


def _tuple(low: Lowering, node: cst.Tuple) -> r.Tuple:
    at = low.at
    low.at = at + 1
    return r.Tuple(at, _items(low, node.elements))


def _list(low: Lowering, node: cst.List) -> r.List:
    at = low.at
    low.at = at + 1
    return r.List(at, _items(low, node.elements))


def _set(low: Lowering, node: cst.Set) -> r.Set:
    at = low.at
    low.at = at + 1
    return r.Set(at, _items(low, node.elements))


def _dict(low: Lowering, node: cst.Dict) -> r.Dict:
    at = low.at
    low.at = at + 1
    table = low.table
    keys: list[r.Expr | None] = []
    values: list[r.Expr] = []
    for element in node.elements:
        key = element.key if isinstance(element, cst.DictElement) else None
        keys.append(None if key is None else table[type(key)](low, key))
        values.append(table[type(element.value)](low, element.value))
    return r.Dict(at, tuple(keys), tuple(values))


def _starred(low: Lowering, node: cst.StarredElement) -> r.Starred:
    at = low.at
    low.at = at + 1
    return r.Starred(at, low.table[type(node.value)](low, node.value))


def _comprehension(kind: str) -> Handler:
    def handler(low: Lowering, node: Union[cst.ListComp, cst.SetComp, cst.GeneratorExp]) -> r.Comprehension:
        at = low.at
        low.at = at + 1
        value = low.table[type(node.elt)](low, node.elt)
        return r.Comprehension(at, kind, value, _clauses(low, node.for_in))

    return handler


def _dict_comprehension(low: Lowering, node: Union[cst.DictComp, cst.StarredDictComp]) -> r.Comprehension:
    at = low.at
    low.at = at + 1
    key = low.table[type(node.key)](low, node.key) if isinstance(node, cst.DictComp) else None
    value = low.table[type(node.value)](low, node.value)
    return r.Comprehension(at, "dict", value, _clauses(low, node.for_in), key)


def _clauses(low: Lowering, clause: cst.CompFor | None) -> tuple[r.Clause, ...]:
    clauses: list[r.Clause] = []
    handler = low.table[cst.CompFor]
    while clause is not None:
        clauses.append(handler(low, clause))
        clause = clause.inner_for_in
    return tuple(clauses)


def _clause(low: Lowering, node: cst.CompFor) -> r.Clause:
    at = low.at
    low.at = at + 1
    table = low.table
    target = table[type(node.target)](low, node.target)
    iter_ = table[type(node.iter)](low, node.iter)
    return r.Clause(at, target, iter_, tuple([table[type(part.test)](low, part.test) for part in node.ifs]))


# --- operators ---------------------------------------------------------------------------------------------------

_BINARY: dict[type, str] = {
    cst.Add: "+", cst.Subtract: "-", cst.Multiply: "*", cst.Divide: "/", cst.FloorDivide: "//", cst.Modulo: "%", cst.Power: "**",
    cst.MatrixMultiply: "@", cst.LeftShift: "<<", cst.RightShift: ">>", cst.BitAnd: "&", cst.BitOr: "|", cst.BitXor: "^",
}  # fmt: skip
_AUGMENTED: dict[type, str] = {
    cst.AddAssign: "+", cst.SubtractAssign: "-", cst.MultiplyAssign: "*", cst.DivideAssign: "/", cst.FloorDivideAssign: "//",
    cst.ModuloAssign: "%", cst.PowerAssign: "**", cst.MatrixMultiplyAssign: "@", cst.LeftShiftAssign: "<<", cst.RightShiftAssign: ">>",
    cst.BitAndAssign: "&", cst.BitOrAssign: "|", cst.BitXorAssign: "^",
}  # fmt: skip
_UNARY: dict[type, str] = {cst.Minus: "-", cst.Plus: "+", cst.BitInvert: "~", cst.Not: "not"}
_COMPARED: dict[type, str] = {
    cst.Equal: "==", cst.NotEqual: "!=", cst.LessThan: "<", cst.LessThanEqual: "<=", cst.GreaterThan: ">", cst.GreaterThanEqual: ">=",
    cst.Is: "is", cst.IsNot: "is not", cst.In: "in", cst.NotIn: "not in",
}  # fmt: skip


def _binary(low: Lowering, node: cst.BinaryOperation) -> r.Binary:
    at = low.at
    low.at = at + 1
    table = low.table
    left = table[type(node.left)](low, node.left)
    right = table[type(node.right)](low, node.right)
    return r.Binary(at, _BINARY[type(node.operator)], left, right)


def _unary(low: Lowering, node: cst.UnaryOperation) -> r.Unary:
    at = low.at
    low.at = at + 1
    value = node.expression
    return r.Unary(at, _UNARY[type(node.operator)], low.table[type(value)](low, value))


def _boolean(low: Lowering, node: cst.BooleanOperation) -> r.Boolean:
    at = low.at
    low.at = at + 1
    table = low.table
    op = type(node.operator)
    values = [node.right]
    left = node.left
    while isinstance(left, cst.BooleanOperation) and type(left.operator) is op:
        values.append(left.right)
        left = left.left
    values.append(left)
    values.reverse()
    return r.Boolean(at, "and" if op is cst.And else "or", tuple([table[type(value)](low, value) for value in values]))


def _comparison(low: Lowering, node: cst.Comparison) -> r.Compare:
    at = low.at
    low.at = at + 1
    table = low.table
    left = table[type(node.left)](low, node.left)
    ops = tuple([_COMPARED[type(part.operator)] for part in node.comparisons])
    values = [part.comparator for part in node.comparisons]
    return r.Compare(at, left, ops, tuple([table[type(value)](low, value) for value in values]))


def _ifexp(low: Lowering, node: cst.IfExp) -> r.IfExp:
    at = low.at
    low.at = at + 1
    table = low.table
    body = table[type(node.body)](low, node.body)
    test = table[type(node.test)](low, node.test)
    return r.IfExp(at, test, body, table[type(node.orelse)](low, node.orelse))


def _walrus(low: Lowering, node: cst.NamedExpr) -> r.Walrus:
    at = low.at
    low.at = at + 1
    target = low.table[type(node.target)](low, node.target)
    _bind(low, target)
    return r.Walrus(at, target, low.table[type(node.value)](low, node.value))


def _await(low: Lowering, node: cst.Await) -> r.Await:
    at = low.at
    low.at = at + 1
    return r.Await(at, low.table[type(node.expression)](low, node.expression))


def _yield(low: Lowering, node: cst.Yield) -> r.Yield:
    at = low.at
    low.at = at + 1
    low.yields = True
    value = node.value
    if isinstance(value, cst.From):
        return r.Yield(at, low.table[type(value.item)](low, value.item), True)
    return r.Yield(at, _maybe(low, value))


# --- functions and classes ---------------------------------------------------------------------------------------


def _params(low: Lowering, node: cst.Parameters) -> tuple[r.Param, ...]:
    handler = low.table[cst.Param]
    params: list[r.Param] = []
    for kind, group in (
        ("positional", node.posonly_params),
        ("positional", node.params),
        ("*", [node.star_arg]),
        ("keyword", node.kwonly_params),
        ("**", [node.star_kwarg]),
    ):
        for param in group:
            if type(param) is cst.Param:
                low.kind = kind
                params.append(handler(low, param))
    return tuple(params)


def _param(low: Lowering, node: cst.Param) -> r.Param:
    at = low.at
    low.at = at + 1
    kind = low.kind
    annotation = None if node.annotation is None else _maybe(low, node.annotation.annotation)
    return r.Param(at, node.name.value, kind, _maybe(low, node.default), annotation)


def _lambda(low: Lowering, node: cst.Lambda) -> r.Lambda:
    at = low.at
    low.at = at + 1
    params = _params(low, node.params)
    bound, low.bound, yields = low.bound, set(), low.yields
    body = low.table[type(node.body)](low, node.body)
    low.bound, low.yields = bound, yields
    return r.Lambda(at, params, body)


def _function(low: Lowering, node: cst.FunctionDef) -> r.Function:
    at = low.at
    low.at = at + 1
    name = node.name.value
    low.bound.add(name)
    low.words.add(name)
    decorators = _decorators(low, node.decorators)
    params = _params(low, node.params)
    returns = None if node.returns is None else _maybe(low, node.returns.annotation)
    words, bound, outside, yields = low.words, low.bound, low.outside, low.yields
    low.words, low.bound, low.outside, low.yields = set(), {param.name for param in params}, set(), False
    if node.type_parameters is not None:
        low.bound.update(part.param.name.value for part in node.type_parameters.params)
    body = _block(low, node.body)
    inner, locals_, yielding = frozenset(low.words), frozenset(low.bound - low.outside), low.yields
    words |= inner
    low.words, low.bound, low.outside, low.yields = words, bound, outside, yields
    return r.Function(at, name, params, body, decorators, returns, inner, locals_, node.asynchronous is not None, yielding)


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
    body = _block(low, node.body)
    low.bound, low.outside = bound, outside
    return r.Class(at, name, bases, body, decorators)


def _decorators(low: Lowering, decorators: Iterable[cst.Decorator]) -> tuple[r.Expr, ...]:
    return tuple([low.table[type(part.decorator)](low, part.decorator) for part in decorators])


# --- simple statements -------------------------------------------------------------------------------------------


def _bind(low: Lowering, target: Any) -> None:
    """Note the names that an assignment to `target` binds."""
    kind = type(target)
    if kind is r.Name:
        low.bound.add(target.id)
    elif kind is r.Tuple or kind is r.List:
        for item in target.items:
            _bind(low, item)
    elif kind is r.Starred:
        _bind(low, target.value)


def _target(low: Lowering, node: cst.CSTNode) -> Any:
    target = low.table[type(node)](low, node)
    _bind(low, target)
    return target


def _expr(low: Lowering, node: cst.Expr) -> r.ExprStmt | None:
    value = node.value
    if type(value) is cst.SimpleString:
        return None
    at = low.at
    low.at = at + 1
    record = low.table[type(value)](low, value)
    if type(value) is cst.ConcatenatedString and type(record) is r.Const:
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
    annotation = _maybe(low, node.annotation.annotation)
    return r.Assign(at, (target,), _maybe(low, node.value), annotation)


def _augmented(low: Lowering, node: cst.AugAssign) -> r.AugAssign:
    at = low.at
    low.at = at + 1
    target = _target(low, node.target)
    return r.AugAssign(at, _AUGMENTED[type(node.operator)], target, low.table[type(node.value)](low, node.value))


def _alias_type(low: Lowering, node: cst.TypeAlias) -> r.Assign:
    at = low.at
    low.at = at + 1
    target = _target(low, node.name)
    return r.Assign(at, (target,), low.table[cst.TemplatedString](low, node.value))


def _return(low: Lowering, node: cst.Return) -> r.Return:
    at = low.at
    low.at = at + 1
    return r.Return(at, _maybe(low, node.value))


def _delete(low: Lowering, node: cst.Del) -> r.Delete:
    at = low.at
    low.at = at + 1
    target = node.target
    targets = [_element(element) for element in target.elements] if isinstance(target, (cst.Tuple, cst.List)) else [target]
    return r.Delete(at, tuple([_target(low, part) for part in targets]))


def _raise(low: Lowering, node: cst.Raise) -> r.Raise:
    at = low.at
    low.at = at + 1
    return r.Raise(at, _maybe(low, node.exc))


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


def _import(low: Lowering, node: Union[cst.Import, cst.LazyImport]) -> r.Import:
    at = low.at
    low.at = at + 1
    handler = low.table[cst.ImportAlias]
    names = tuple([handler(low, alias) for alias in node.names])
    low.bound.update(alias.asname or alias.name.partition(".")[0] for alias in names)
    return r.Import(at, names)


def _import_from(low: Lowering, node: Union[cst.ImportFrom, cst.LazyImportFrom]) -> r.ImportFrom:
    at = low.at
    low.at = at + 1
    module = "" if node.module is None else _dotted(node.module)
    if isinstance(node.names, cst.ImportStar):
        names = (low.table[cst.ImportStar](low, node.names),)
    else:
        handler = low.table[cst.ImportAlias]
        names = tuple([handler(low, alias) for alias in node.names])
        low.bound.update(alias.asname or alias.name for alias in names)
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


# --- compound statements -----------------------------------------------------------------------------------------


def _block(low: Lowering, node: Union[cst.BaseSuite, cst.Module]) -> tuple[r.Stmt, ...]:
    table = low.table
    statements: list[r.Stmt] = []
    for statement in node.body:
        if type(statement) is cst.SimpleStatementLine:
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
    return () if node is None else _block(low, node.body)


def _if(low: Lowering, node: cst.If) -> r.If:
    at = low.at
    low.at = at + 1
    test = low.table[type(node.test)](low, node.test)
    body = _block(low, node.body)
    orelse = node.orelse
    if not isinstance(orelse, cst.If):
        return r.If(at, test, body, _else(low, orelse))
    low.elifs += 1
    if low.elifs > _ELIFS:
        raise Unparsable(1, 1, DEEP)
    rest = low.table[cst.If](low, orelse)
    low.elifs -= 1
    return r.If(at, test, body, (rest,))


def _for(low: Lowering, node: cst.For) -> r.For:
    at = low.at
    low.at = at + 1
    target = _target(low, node.target)
    iter_ = low.table[type(node.iter)](low, node.iter)
    body = _block(low, node.body)
    return r.For(at, target, iter_, body, _else(low, node.orelse))


def _while(low: Lowering, node: cst.While) -> r.While:
    at = low.at
    low.at = at + 1
    test = low.table[type(node.test)](low, node.test)
    body = _block(low, node.body)
    return r.While(at, test, body, _else(low, node.orelse))


def _with(low: Lowering, node: cst.With) -> r.With:
    at = low.at
    low.at = at + 1
    handler = low.table[cst.WithItem]
    items = tuple([handler(low, item) for item in node.items])
    return r.With(at, items, _block(low, node.body))


def _with_item(low: Lowering, node: cst.WithItem) -> r.WithItem:
    at = low.at
    low.at = at + 1
    value = low.table[type(node.item)](low, node.item)
    return r.WithItem(at, value, None if node.asname is None else _target(low, node.asname.name))


def _try(low: Lowering, node: Union[cst.Try, cst.TryStar]) -> r.Try:
    at = low.at
    low.at = at + 1
    body = _block(low, node.body)
    handlers = tuple([low.table[type(part)](low, part) for part in node.handlers])
    orelse = _else(low, node.orelse)
    return r.Try(at, body, handlers, orelse, _else(low, node.finalbody))


def _except(low: Lowering, node: Union[cst.ExceptHandler, cst.ExceptStarHandler]) -> r.Handler:
    at = low.at
    low.at = at + 1
    caught = _maybe(low, node.type)
    name = None if node.name is None else _dotted(node.name.name)
    if name is not None:
        low.bound.add(name)
    return r.Handler(at, caught, name, _block(low, node.body))


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
    value = _maybe(low, pattern.value) if isinstance(pattern, (cst.MatchValue, cst.MatchSingleton)) else None
    names: list[str] = []
    _captures(low, pattern, names)
    low.bound.update(names)
    wildcard = isinstance(pattern, cst.MatchAs) and pattern.pattern is None and pattern.name is None
    guard = _maybe(low, node.guard)
    return r.Case(at, value, tuple(names), guard, _block(low, node.body), wildcard)


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


_EXPRESSION: dict[type, Handler] = {
    cst.Name: _name, cst.Attribute: _attribute, cst.Integer: _integer, cst.Float: _float, cst.Imaginary: _opaque,
    cst.SimpleString: _string, cst.ConcatenatedString: _concatenated, cst.FormattedString: _formatted, cst.TemplatedString: _opaque,
    cst.Ellipsis: _ellipsis, cst.Call: _call, cst.Subscript: _subscript, cst.Index: _index, cst.Slice: _slice, cst.Tuple: _tuple,
    cst.List: _list, cst.Set: _set, cst.Dict: _dict, cst.StarredElement: _starred, cst.ListComp: _comprehension("list"),
    cst.SetComp: _comprehension("set"), cst.GeneratorExp: _comprehension("generator"), cst.DictComp: _dict_comprehension,
    cst.StarredDictComp: _dict_comprehension, cst.BinaryOperation: _binary, cst.UnaryOperation: _unary,
    cst.BooleanOperation: _boolean, cst.Comparison: _comparison, cst.IfExp: _ifexp, cst.NamedExpr: _walrus, cst.Await: _await,
    cst.Yield: _yield, cst.Lambda: _lambda,
}  # fmt: skip

_TABLE: dict[type, Handler] = {
    **_EXPRESSION,
    cst.Arg: _arg, cst.Param: _param, cst.CompFor: _clause, cst.WithItem: _with_item, cst.ImportAlias: _alias, cst.ImportStar: _star,
    cst.ExceptHandler: _except, cst.ExceptStarHandler: _except, cst.MatchCase: _case,
    cst.Expr: _expr, cst.Assign: _assign, cst.AnnAssign: _annotated, cst.AugAssign: _augmented, cst.TypeAlias: _alias_type,
    cst.Return: _return, cst.Del: _delete, cst.Raise: _raise, cst.Assert: _assert, cst.Global: _scope("global"),
    cst.Nonlocal: _scope("nonlocal"), cst.Break: _break, cst.Continue: _continue, cst.Pass: _pass, cst.Import: _import,
    cst.LazyImport: _import, cst.ImportFrom: _import_from, cst.LazyImportFrom: _import_from, cst.If: _if, cst.For: _for,
    cst.While: _while, cst.With: _with, cst.Try: _try, cst.TryStar: _try, cst.Match: _match, cst.FunctionDef: _function,
    cst.ClassDef: _class,
}  # fmt: skip
