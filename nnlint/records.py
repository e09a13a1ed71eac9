"""The small immutable records that a source file is lowered to.

They are what the rest of the engine reads instead of a libcst tree: plain data, serialisable with msgspec, and without whitespace.
Every expression and every statement carries `at`, its ordinal in the file (pre-order, from 0). A span is looked up from the ordinal
only when a finding needs it (`nnlint.lower.spans`), because positions cost more than the parse itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union

import msgspec


class Node(msgspec.Struct, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """Base of all records; `at` is the ordinal of the node in its file."""

    at: int


# --- expressions -------------------------------------------------------------------------------------------------


class Name(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    id: str


class Const(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """A literal. Bytes, complex numbers and integers beyond 64 bits are `Opaque` instead."""

    value: Union[None, bool, int, float, str]


class Attr(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Expr
    name: str


class Arg(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """One call argument; `star` is "", "*" or "**"."""

    value: Expr
    keyword: Union[str, None] = None
    star: str = ""


class Call(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    func: Expr
    args: tuple[Arg, ...] = ()


class Subscript(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`value[index, index, ...]`; one item where the index is no literal tuple."""

    value: Expr
    index: tuple[Expr, ...]


class Slice(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    lower: Union[Expr, None] = None
    upper: Union[Expr, None] = None
    step: Union[Expr, None] = None


class Ellipsis_(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    pass


class Tuple(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    items: tuple[Expr, ...]


class List(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    items: tuple[Expr, ...]


class Set(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    items: tuple[Expr, ...]


class Dict(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """Keys are None where the item is `**value`."""

    keys: tuple[Union[Expr, None], ...]
    values: tuple[Expr, ...]


class Binary(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`op` is the operator as written: + - * / // % ** @ << >> & | ^"""

    op: str
    left: Expr
    right: Expr


class Unary(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`op` is one of - + ~ not"""

    op: str
    value: Expr


class Boolean(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`op` is "and" or "or"; chains are flattened where the tree nests on the left."""

    op: str
    values: tuple[Expr, ...]


class Compare(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`ops` as written: == != < <= > >= is "is not" in "not in"."""

    left: Expr
    ops: tuple[str, ...]
    rights: tuple[Expr, ...]


class IfExp(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    test: Expr
    body: Expr
    orelse: Expr


class Param(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`kind` is "positional" (also positional-only), "*", "keyword" or "**"."""

    name: str
    kind: str = "positional"
    default: Union[Expr, None] = None
    annotation: Union[Expr, None] = None


class Lambda(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    params: tuple[Param, ...]
    body: Expr


class Clause(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """One `for target in iter if cond ...` of a comprehension."""

    target: Expr
    iter: Expr
    conditions: tuple[Expr, ...] = ()


class Comprehension(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`kind` is "list", "set", "dict" or "generator"; `key` only for dicts."""

    kind: str
    value: Expr
    clauses: tuple[Clause, ...]
    key: Union[Expr, None] = None


class Walrus(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    target: Expr
    value: Expr


class Starred(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Expr


class Await(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Expr


class Yield(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Union[Expr, None] = None
    delegated: bool = False


class Format(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """An f-string: the interpolated expressions, and the `texts` around them (one more) where nothing else shapes it."""

    values: tuple[Expr, ...]
    texts: tuple[str, ...] = ()


class Opaque(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """An expression that the engine never looks into (bytes, complex numbers, template strings ...)."""


Expr = Union[
    Name,
    Const,
    Attr,
    Call,
    Subscript,
    Slice,
    Ellipsis_,
    Tuple,
    List,
    Set,
    Dict,
    Binary,
    Unary,
    Boolean,
    Compare,
    IfExp,
    Lambda,
    Comprehension,
    Walrus,
    Starred,
    Await,
    Yield,
    Format,
    Opaque,
]


# --- statements --------------------------------------------------------------------------------------------------


class ExprStmt(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Expr


class Assign(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`a = b = value` has two targets; `a: T = value` has one; `annotation` only for the latter."""

    targets: tuple[Expr, ...]
    value: Union[Expr, None]
    annotation: Union[Expr, None] = None


class AugAssign(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`op` without the equals sign."""

    op: str
    target: Expr
    value: Expr


class Return(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Union[Expr, None] = None


class If(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


class For(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    target: Expr
    iter: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


class While(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


class WithItem(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Expr
    target: Union[Expr, None] = None


class With(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    items: tuple[WithItem, ...]
    body: tuple[Stmt, ...]


class Handler(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    caught: Union[Expr, None]
    name: Union[str, None]
    body: tuple[Stmt, ...]


class Try(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    body: tuple[Stmt, ...]
    handlers: tuple[Handler, ...]
    orelse: tuple[Stmt, ...] = ()
    final: tuple[Stmt, ...] = ()


class Case(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`pattern` is the value of a literal or dotted-name pattern, a tuple of these where there are several, else None; `names` are those
    the pattern binds; `wildcard` is `case _` and `case name`."""

    pattern: Union[Expr, None]
    names: tuple[str, ...]
    guard: Union[Expr, None]
    body: tuple[Stmt, ...]
    wildcard: bool = False


class Match(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    subject: Expr
    cases: tuple[Case, ...]


class Function(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`words` are all names and attribute names used in the body (nested functions included): a cheap first look at what it may do.
    What is imported from torch under another name is in them by its own as well.
    `locals` are the names bound in this scope (parameters included), so that a name can be told from a global without running."""

    name: str
    params: tuple[Param, ...]
    body: tuple[Stmt, ...]
    decorators: tuple[Expr, ...] = ()
    returns: Union[Expr, None] = None
    words: frozenset[str] = frozenset()
    locals: frozenset[str] = frozenset()
    is_async: bool = False
    is_generator: bool = False


class Class(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`bases` holds keywords (`metaclass=...`) too, as written."""

    name: str
    bases: tuple[Arg, ...]
    body: tuple[Stmt, ...]
    decorators: tuple[Expr, ...] = ()


class Alias(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    name: str
    asname: Union[str, None] = None


class Import(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    names: tuple[Alias, ...]


class ImportFrom(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`module` is "" for `from . import x`; `level` counts the dots; a star import has one name "*"."""

    module: str
    level: int
    names: tuple[Alias, ...]


class Scope(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    """`global` or `nonlocal`."""

    kind: str
    names: tuple[str, ...]


class Delete(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    targets: tuple[Expr, ...]


class Raise(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    value: Union[Expr, None] = None


class Assert(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    test: Expr


class Break(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    pass


class Continue(Node, frozen=True, array_like=True, tag=True, eq=False, gc=False):
    pass


Stmt = Union[
    ExprStmt,
    Assign,
    AugAssign,
    Return,
    If,
    For,
    While,
    With,
    Try,
    Match,
    Function,
    Class,
    Import,
    ImportFrom,
    Scope,
    Delete,
    Raise,
    Assert,
    Break,
    Continue,
]


def walk(node: Any) -> Iterator[Node]:
    """All records below a record, itself included."""
    if isinstance(node, Node):
        yield node
        for name in node.__struct_fields__:
            yield from walk(getattr(node, name))
    elif isinstance(node, tuple):
        for part in node:
            yield from walk(part)


class Module(msgspec.Struct, frozen=True, array_like=True, eq=False, gc=False):
    """One lowered file. `words` as in `Function`, over the whole file. `pass` statements are dropped."""

    body: tuple[Stmt, ...]
    words: frozenset[str] = frozenset()


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """A stretch of a source text: rows and columns count from 1, columns in characters, the end is exclusive."""

    row: int
    column: int
    end_row: int
    end_column: int
