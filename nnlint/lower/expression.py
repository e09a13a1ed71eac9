"""The records of expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Union

import libcst as cst

from nnlint import records as r
from nnlint.lower.failure import Unsound
from nnlint.lower.literal import prefix, text
from nnlint.lower.parser import both

if TYPE_CHECKING:
    from nnlint.lower.tree import Lowering

    Handler = Callable[[Lowering, Any], Any]


def maybe(low: Lowering, node: cst.CSTNode | None) -> Any:
    """The record of a node, None for None."""
    return None if node is None else low.table[type(node)](low, node)


def bind(low: Lowering, target: Any) -> None:
    """Note the names that an assignment to `target` binds."""
    kind = type(target)
    if kind is r.Name:
        low.bound.add(target.id)
    elif kind is r.Tuple or kind is r.List:
        for item in target.items:
            bind(low, item)
    elif kind is r.Starred:
        bind(low, target.value)


# --- names and literals -------------------------------------------------------------------------------------------


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
    value = text(node.value)
    return r.Opaque(at) if value is None else r.Const(at, value)


def _concatenated(low: Lowering, node: cst.ConcatenatedString) -> r.Expr:
    at = low.at
    low.at = at + 1
    parts: list[cst.BaseString] = []
    rest: cst.BaseString = node
    while isinstance(rest, cst.ConcatenatedString):
        parts.append(rest.left)
        rest = rest.right
    parts.append(rest)
    if len({isinstance(part, cst.SimpleString) and "b" in prefix(part.value) for part in parts}) > 1:
        raise Unsound
    if any(isinstance(part, cst.FormattedString) for part in parts):
        values = [value for part in parts if isinstance(part, cst.FormattedString) for value in _fields(low, part.parts)]
        return r.Format(at, tuple(values))
    texts = [text(part.value) if isinstance(part, cst.SimpleString) else None for part in parts]
    return r.Opaque(at) if None in texts else r.Const(at, "".join(filter(None, texts)))


def _formatted(low: Lowering, node: cst.FormattedString) -> r.Format:
    at = low.at
    low.at = at + 1
    return r.Format(at, tuple(_fields(low, node.parts)), _texts(node.parts))


def _texts(parts: Iterable[cst.BaseFormattedStringContent]) -> tuple[str, ...]:
    """What stands around the expressions; nothing where escapes or format specifications are at work."""
    texts = [""]
    for part in parts:
        if isinstance(part, cst.FormattedStringText):
            if any(sign in part.value for sign in "\\{}\r"):
                return ()
            texts[-1] += part.value
        elif isinstance(part, cst.FormattedStringExpression):
            if part.format_spec is not None or part.conversion is not None or part.equal is not None:
                return ()
            texts.append("")
    return tuple(texts)


def _fields(low: Lowering, parts: Iterable[cst.BaseFormattedStringContent]) -> list[r.Expr]:
    """The expressions of an f-string, those in its format specifications included."""
    values: list[r.Expr] = []
    for part in parts:
        if isinstance(part, cst.FormattedStringExpression):
            values.append(low.table[type(part.expression)](low, part.expression))
            if part.format_spec:
                values += _fields(low, part.format_spec)
    return values


def opaque(low: Lowering, node: cst.CSTNode) -> r.Opaque:
    """A record that keeps nothing but the ordinal."""
    at = low.at
    low.at = at + 1
    return r.Opaque(at)


def _ellipsis(low: Lowering, node: cst.Ellipsis) -> r.Ellipsis_:
    at = low.at
    low.at = at + 1
    return r.Ellipsis_(at)


# --- calls and subscripts -----------------------------------------------------------------------------------------


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
        items = [*map(element, only.elements)] if isinstance(only, cst.Tuple) and only.elements else [only]
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
    return r.Slice(at, maybe(low, node.lower), maybe(low, node.upper), maybe(low, node.step))


# --- displays and comprehensions ----------------------------------------------------------------------------------


def element(item: cst.BaseElement) -> cst.CSTNode:
    """The expression of an item of a tuple, list or set."""
    return item.value if isinstance(item, cst.Element) else item


def _items(low: Lowering, elements: Iterable[cst.BaseElement]) -> tuple[r.Expr, ...]:
    table = low.table
    items = [item.value if isinstance(item, cst.Element) else item for item in elements]
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


def _dict_comprehension(low: Lowering, node: Any) -> r.Comprehension:
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


# --- operators ----------------------------------------------------------------------------------------------------

_BINARY = both({
    cst.Add: "+", cst.Subtract: "-", cst.Multiply: "*", cst.Divide: "/", cst.FloorDivide: "//", cst.Modulo: "%", cst.Power: "**",
    cst.MatrixMultiply: "@", cst.LeftShift: "<<", cst.RightShift: ">>", cst.BitAnd: "&", cst.BitOr: "|", cst.BitXor: "^",
})  # fmt: skip
AUGMENTED = both({
    cst.AddAssign: "+", cst.SubtractAssign: "-", cst.MultiplyAssign: "*", cst.DivideAssign: "/", cst.FloorDivideAssign: "//",
    cst.ModuloAssign: "%", cst.PowerAssign: "**", cst.MatrixMultiplyAssign: "@", cst.LeftShiftAssign: "<<", cst.RightShiftAssign: ">>",
    cst.BitAndAssign: "&", cst.BitOrAssign: "|", cst.BitXorAssign: "^",
})  # fmt: skip
_UNARY = both({cst.Minus: "-", cst.Plus: "+", cst.BitInvert: "~", cst.Not: "not"})
_BOOLEAN = both({cst.And: "and", cst.Or: "or"})
_COMPARED = both({
    cst.Equal: "==", cst.NotEqual: "!=", cst.LessThan: "<", cst.LessThanEqual: "<=", cst.GreaterThan: ">", cst.GreaterThanEqual: ">=",
    cst.Is: "is", cst.IsNot: "is not", cst.In: "in", cst.NotIn: "not in",
})  # fmt: skip


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
    return r.Boolean(at, _BOOLEAN[op], tuple([table[type(value)](low, value) for value in values]))


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
    bind(low, target)
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
    return r.Yield(at, maybe(low, value))


# --- parameters ---------------------------------------------------------------------------------------------------


def params(low: Lowering, node: cst.Parameters) -> tuple[r.Param, ...]:
    """The parameters of a function or lambda, in their order."""
    handler = low.table[cst.Param]
    made: list[r.Param] = []
    for kind, group in (
        ("positional", node.posonly_params),
        ("positional", node.params),
        ("*", [node.star_arg]),
        ("keyword", node.kwonly_params),
        ("**", [node.star_kwarg]),
    ):
        for param in group:
            if isinstance(param, cst.Param):
                low.kind = kind
                made.append(handler(low, param))
    return tuple(made)


def _param(low: Lowering, node: cst.Param) -> r.Param:
    at = low.at
    low.at = at + 1
    kind = low.kind
    annotation = None if node.annotation is None else maybe(low, node.annotation.annotation)
    return r.Param(at, node.name.value, kind, maybe(low, node.default), annotation)


def _lambda(low: Lowering, node: cst.Lambda) -> r.Lambda:
    at = low.at
    low.at = at + 1
    given = params(low, node.params)
    bound, low.bound, yields = low.bound, set(), low.yields
    body = low.table[type(node.body)](low, node.body)
    low.bound, low.yields = bound, yields
    return r.Lambda(at, given, body)


EXPRESSIONS: dict[type, Handler] = {
    cst.Name: _name, cst.Attribute: _attribute, cst.Integer: _integer, cst.Float: _float, cst.Imaginary: opaque,
    cst.SimpleString: _string, cst.ConcatenatedString: _concatenated, cst.FormattedString: _formatted,
    cst.Ellipsis: _ellipsis, cst.Call: _call, cst.Subscript: _subscript, cst.Index: _index, cst.Slice: _slice, cst.Tuple: _tuple,
    cst.List: _list, cst.Set: _set, cst.Dict: _dict, cst.StarredElement: _starred, cst.ListComp: _comprehension("list"),
    cst.SetComp: _comprehension("set"), cst.GeneratorExp: _comprehension("generator"), cst.DictComp: _dict_comprehension,
    cst.BinaryOperation: _binary, cst.UnaryOperation: _unary,
    cst.BooleanOperation: _boolean, cst.Comparison: _comparison, cst.IfExp: _ifexp, cst.NamedExpr: _walrus, cst.Await: _await,
    cst.Yield: _yield, cst.Lambda: _lambda,
}  # fmt: skip

# Only newer releases of libcst know these.
if hasattr(cst, "TemplatedString"):
    EXPRESSIONS[cst.TemplatedString] = opaque
if hasattr(cst, "StarredDictComp"):
    EXPRESSIONS[cst.StarredDictComp] = _dict_comprehension

PARTS: dict[type, Handler] = {cst.Arg: _arg, cst.Param: _param, cst.CompFor: _clause}
