"""What a source text is lowered to, where its records stand in it, and what is refused."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nnlint import records as r
from nnlint.lower import Unparsable, lower, spans
from nnlint.lower.depth import Nesting, measure

ROOT = Path(__file__).parent.parent


def show(record: object) -> object:
    """A record without ordinals and without fields that hold nothing, as nested tuples: `("Name", "a")`."""
    if isinstance(record, tuple):
        return [show(part) for part in record]
    if isinstance(record, frozenset):
        return set(record)
    if not isinstance(record, r.Node):
        return record
    parts = [show(getattr(record, field)) for field in record.__struct_fields__ if field not in ("at", "words", "locals")]
    while parts and (parts[-1] in (None, "", [], False)) and not isinstance(record, r.Const):
        parts.pop()
    return (type(record).__name__, *parts)


def statement(text: str) -> r.Stmt:
    (only,) = lower(text).body
    return only


def expression(text: str) -> object:
    found = statement(f"x = {text}")
    assert isinstance(found, r.Assign)
    return show(found.value)


def function(text: str) -> r.Function:
    found = statement(text)
    assert isinstance(found, r.Function)
    return found


def walk(record: object) -> Iterator[r.Node]:
    if isinstance(record, tuple):
        for part in record:
            yield from walk(part)
    elif isinstance(record, r.Node):
        yield record
        for field in record.__struct_fields__:
            yield from walk(getattr(record, field))


def cut(text: str, span: r.Span) -> str:
    """The stretch of the text that a span covers."""
    rows = text.split("\n")[span.row - 1 : span.end_row]
    rows[-1] = rows[-1][: span.end_column - 1]
    rows[0] = rows[0][span.column - 1 :]
    return "\n".join(rows)


def shown(text: str, kind: type[r.Node]) -> list[str]:
    """The stretches of the text that stand for the records of one kind."""
    found = [record.at for record in walk(lower(text).body) if type(record) is kind]
    places = spans(text, found)
    return [cut(text, places[at]) for at in sorted(found)]


A, B, C = ("Name", "a"), ("Name", "b"), ("Name", "c")
ONE, TWO = ("Const", 1), ("Const", 2)


# --- expressions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ONE),
        ("0x_ff", ("Const", 255)),
        ("00", ("Const", 0)),
        ("1_0.5e1", ("Const", 105.0)),
        (str(2**64 - 1), ("Const", 2**64 - 1)),
        (str(2**64), ("Opaque",)),
        ("9" * 5000, ("Opaque",)),
        ("2j", ("Opaque",)),
        ("b'a'", ("Opaque",)),
        ("-1", ("Unary", "-", ONE)),
        ("not a", ("Unary", "not", A)),
        ("None", ("Const", None)),
        ("False", ("Const", False)),
        ("...", ("Ellipsis_",)),
        ("a.b", ("Attr", A, "b")),
        ("a + b @ c", ("Binary", "+", A, ("Binary", "@", B, C))),
        ("a // b", ("Binary", "//", A, B)),
        ("a and b and c or a", ("Boolean", "or", [("Boolean", "and", [A, B, C]), A])),
        ("a < b is not c", ("Compare", A, ["<", "is not"], [B, C])),
        ("a not in b", ("Compare", A, ["not in"], [B])),
        ("a if b else c", ("IfExp", B, A, C)),
        ("(a := 1)", ("Walrus", A, ONE)),
        ("(a, *b)", ("Tuple", [A, ("Starred", B)])),
        ("[a, *b]", ("List", [A, ("Starred", B)])),
        ("{a, b}", ("Set", [A, B])),
        ("{a: 1, **b}", ("Dict", [A, None], [ONE, B])),
        ("()", ("Tuple",)),
        ("a()", ("Call", A)),
        ("a(1, *b, k=2, **c)", ("Call", A, [("Arg", ONE), ("Arg", B, None, "*"), ("Arg", TWO, "k"), ("Arg", C, None, "**")])),
        ("print(a, file=b)", ("Call", ("Name", "print"), [("Arg", A), ("Arg", B, "file")])),
        ("a[1]", ("Subscript", A, [ONE])),
        ("a[1, 2]", ("Subscript", A, [ONE, TWO])),
        ("a[(1, 2)]", ("Subscript", A, [ONE, TWO])),
        ("a[()]", ("Subscript", A, [("Tuple",)])),
        ("a[:, 1:2:b, ..., None]", ("Subscript", A, [("Slice",), ("Slice", ONE, TWO, B), ("Ellipsis_",), ("Const", None)])),
        ("a[*b, 1]", ("Subscript", A, [("Starred", B), ONE])),
        ("lambda a, *, b=1: c", ("Lambda", [("Param", "a", "positional"), ("Param", "b", "keyword", ONE)], C)),
        ("[a for a in b if c if a]", ("Comprehension", "list", A, [("Clause", A, B, [C, A])])),
        ("{a for a in b}", ("Comprehension", "set", A, [("Clause", A, B)])),
        ("{a: 1 for a in b for c in a}", ("Comprehension", "dict", ONE, [("Clause", A, B), ("Clause", C, A)], A)),
        ("a(b for b in c)", ("Call", A, [("Arg", ("Comprehension", "generator", B, [("Clause", B, C)]))])),
        ("f'x'", ("Format", [], ["x"])),
        ("f'x{a}{b}y'", ("Format", [A, B], ["x", "", "y"])),
        ("f'{{{a}'", ("Format", [A])),
        ("f'{a!r:>{b}} {c=}'", ("Format", [A, B, C])),
        ("f'{f\"{a}\"}'", ("Format", [("Format", [A], ["", ""])], ["", ""])),
        ('f"{a["k"]}"', ("Format", [("Subscript", A, [("Const", "k")])], ["", ""])),
        ("'x' f'{a}' 'y'", ("Format", [A])),
        ("b'x' b'y'", ("Opaque",)),
        ("t'{a}'", ("Opaque",)),
    ],
)
def test_expressions(text: str, expected: object) -> None:
    assert expression(text) == expected


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'a'", "a"),
        ("''", ""),
        ('""""""', ""),
        ('"""a\nb"""', "a\nb"),
        (r"r'\n'", r"\n"),
        ("u'a'", "a"),
        (r"'\x41\101\u00e9\U0001F600\N{BULLET}\'\\n'", "AA\u00e9\U0001f600\u2022'\\n"),
        (r"'\d'", r"\d"),
        ("'a\\\nb'", "ab"),
        ("('a' \"b\"\n 'c')", "abc"),
    ],
)
def test_a_string_has_the_value_that_python_gives_it(literal: str, value: str) -> None:
    assert show(statement(f"x = {literal}")) == ("Assign", [("Name", "x")], ("Const", value))


def test_a_text_that_utf8_cannot_hold_is_opaque() -> None:
    assert show(statement(r"x = '\ud800'")) == ("Assign", [("Name", "x")], ("Opaque",))


# --- statements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b = 1", ("Assign", [A, B], ONE)),
        ("a, *b = c", ("Assign", [("Tuple", [A, ("Starred", B)])], C)),
        ("a: b = 1", ("Assign", [A], ONE, B)),
        ("a: b", ("Assign", [A], None, B)),
        ("a **= 1", ("AugAssign", "**", A, ONE)),
        ("type a[b] = c", ("Assign", [A], ("Opaque",))),
        ("del a, b.c", ("Delete", [A, ("Attr", B, "c")])),
        ("del (a)", ("Delete", [A])),
        ("assert a, b", ("Assert", A)),
        ("raise", ("Raise",)),
        ("raise a from b", ("Raise", A)),
        ("global a, b", ("Scope", "global", ["a", "b"])),
        ("import a.b, c as d", ("Import", [("Alias", "a.b"), ("Alias", "c", "d")])),
        ("from a.b import c as d, e", ("ImportFrom", "a.b", 0, [("Alias", "c", "d"), ("Alias", "e")])),
        ("from .. import (a)", ("ImportFrom", "", 2, [("Alias", "a")])),
        ("from .a import *", ("ImportFrom", "a", 1, [("Alias", "*")])),
        ("if a: 1\nelif b: 2\nelse: c", ("If", A, [("ExprStmt", ONE)], [("If", B, [("ExprStmt", TWO)], [("ExprStmt", C)])])),
        ("for a, b in c:\n  break\nelse: 1", ("For", ("Tuple", [A, B]), C, [("Break",)], [("ExprStmt", ONE)])),
        ("while a: continue", ("While", A, [("Continue",)])),
        ("with (a as b, c): 1", ("With", [("WithItem", A, B), ("WithItem", C)], [("ExprStmt", ONE)])),
        (
            "try: a\nexcept b as c: 1\nexcept: 2\nelse: a\nfinally: b",
            (
                "Try",
                [("ExprStmt", A)],
                [("Handler", B, "c", [("ExprStmt", ONE)]), ("Handler", None, None, [("ExprStmt", TWO)])],
                [("ExprStmt", A)],
                [("ExprStmt", B)],
            ),
        ),
        ("try: a\nexcept* (b, c): 1", ("Try", [("ExprStmt", A)], [("Handler", ("Tuple", [B, C]), None, [("ExprStmt", ONE)])])),
        ("class a(b, metaclass=c): pass", ("Class", "a", [("Arg", B), ("Arg", C, "metaclass")])),
        ("@a\n@b(1)\nclass c: pass", ("Class", "c", [], [], [A, ("Call", B, [("Arg", ONE)])])),
    ],
)
def test_statements(text: str, expected: object) -> None:
    assert show(statement(text)) == expected


def test_semicolons_separate_statements() -> None:
    assert [show(part) for part in lower("a = 1; b; pass; c").body] == [("Assign", [A], ONE), ("ExprStmt", B), ("ExprStmt", C)]


def test_pass_and_docstrings_are_dropped() -> None:
    text = "'''Module.'''\ndef f():\n    'doc' 'string'\n    pass\nif a:\n    pass\nelse:\n    ...\n"
    defined, branch = lower(text).body
    assert isinstance(defined, r.Function)
    assert defined.body == ()
    assert show(branch) == ("If", A, [], [("ExprStmt", ("Ellipsis_",))])
    assert [record.at for record in walk(lower(text).body)] == list(range(5))


def test_match() -> None:
    text = (
        "match a:\n"
        "    case 1 | 2: pass\n"
        "    case -1: pass\n"
        "    case None: pass\n"
        "    case b.c if a: pass\n"
        "    case [x, *rest]: pass\n"
        "    case {'k': v, **more}: pass\n"
        "    case Point(p, q=z) as whole: pass\n"
        "    case other: pass\n"
        "    case _: pass\n"
    )
    found = statement(text)
    assert isinstance(found, r.Match)
    assert [(show(case.pattern), case.names, show(case.guard), case.wildcard) for case in found.cases] == [
        (("Tuple", [ONE, TWO]), (), None, False),
        (("Unary", "-", ONE), (), None, False),
        (("Const", None), (), None, False),
        (("Attr", B, "c"), (), A, False),
        (None, ("x", "rest"), None, False),
        (None, ("v", "more"), None, False),
        (None, ("p", "z", "whole"), None, False),
        (None, ("other",), None, True),
        (None, (), None, True),
    ]
    assert "Point" in lower(text).words


# --- functions ---------------------------------------------------------------------------------------------------


def test_parameters() -> None:
    found = function("async def f(a, /, b: T = 1, *args, c, d=2, **kwargs) -> R: pass")
    assert show(found.params) == [
        ("Param", "a", "positional"),
        ("Param", "b", "positional", ONE, ("Name", "T")),
        ("Param", "args", "*"),
        ("Param", "c", "keyword"),
        ("Param", "d", "keyword", TWO),
        ("Param", "kwargs", "**"),
    ]
    assert show(found.returns) == ("Name", "R")
    assert found.is_async


def test_a_default_that_is_a_lambda_does_not_change_the_kind_of_the_next_parameter() -> None:
    found = function("def f(a=lambda *, x: x, b=1): pass")
    assert [param.kind for param in found.params] == ["positional", "positional"]


def test_words_are_the_names_used_in_the_body_and_nested_functions() -> None:
    found = function("@d\ndef f(p=q):\n    x = a.b(k=1)\n    def g(): return y.z\n")
    assert found.words == {"x", "a", "b", "g", "y", "z"}
    module = lower("from torch.nn import functional as F\n@d\ndef f(p=q): F.relu(p)\nclass K:\n    t = u\n")
    assert module.words == {"functional", "d", "f", "q", "F", "relu", "p", "K", "t", "u"}


def test_what_is_torchs_has_its_own_name_among_the_words() -> None:
    module = lower("from torch.nn import Linear as L, ReLU as R\nfrom mine import train as fit\ndef f(p): return L(p, fit)\n")
    found = module.body[-1]
    assert isinstance(found, r.Function)
    assert found.words == {"L", "Linear", "p", "fit"}


def test_locals_are_the_names_bound_in_the_scope() -> None:
    text = (
        "def f(p, *args):\n"
        "    global g\n"
        "    g = a = used\n"
        "    (b, [c, *d]), e.attribute, e[0] = p\n"
        "    for i in p: pass\n"
        "    with p as w: pass\n"
        "    try: import m.n, o as q\n"
        "    except E as err: del a\n"
        "    h: int\n"
        "    k += [skipped for skipped in p if (walrus := skipped)]\n"
        "    def inner(): hidden = 1\n"
        "    class Inner: hidden = 1\n"
        "    lambda hidden: (hidden := 1)\n"
        "    match p:\n"
        "        case [captured]: pass\n"
    )
    expected = "p args a b c d i w m q err h k walrus inner Inner captured"
    assert function(text).locals == set(expected.split())
    assert function("def f[T](a: T): pass").locals == {"a", "T"}
    assert function("def f():\n    def g():\n        nonlocal x\n        x = 1\n").locals == {"g"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(): yield", True),
        ("def f(): x = yield 1", True),
        ("def f(): yield from g()", True),
        ("def f():\n    def g(): yield\n", False),
        ("def f(): return lambda: (yield)", False),
        ("def f(): return [x for x in y]", False),
    ],
)
def test_generators(text: str, expected: bool) -> None:
    assert function(text).is_generator is expected


def test_yield_and_await() -> None:
    found = function("async def f():\n    async with a: pass\n    async for b in c: await b\n    yield 1\n")
    assert show(found.body) == [
        ("With", [("WithItem", A)]),
        ("For", B, C, [("ExprStmt", ("Await", B))]),
        ("ExprStmt", ("Yield", ONE)),
    ]
    assert show(function("def f(): yield from a").body) == [("ExprStmt", ("Yield", A, True))]


# --- spans -------------------------------------------------------------------------------------------------------


def test_spans_of_a_call_over_several_rows() -> None:
    text = "loss = F.cross_entropy(\n    model(x),  # logits\n    target=(\n        y\n    ),\n)\n"
    assert shown(text, r.Call) == [text[7:-1], "model(x)"]
    assert shown(text, r.Arg) == ["model(x)", "x", "y"]
    assert spans(text, [0]) == {0: r.Span(1, 1, 6, 2)}


def test_columns_count_characters() -> None:
    assert spans("é = '😀'; b\n", [3]) == {3: r.Span(1, 10, 1, 11)}
    assert spans("if a:\n\tb\n", [2]) == {2: r.Span(2, 2, 2, 3)}
    assert spans("a\r\nb\r\n", [2]) == {2: r.Span(2, 1, 2, 2)}


def test_spans_leave_out_parentheses_and_comments() -> None:
    assert shown("x = ((a  # why\n    + b))  # what\n", r.Binary) == ["a  # why\n    + b"]
    assert shown("x = (1,\n  2)\n", r.Tuple) == ["1,\n  2"]
    assert shown("f(())", r.Tuple) == ["()"]


def test_a_definition_is_shown_by_its_name() -> None:
    text = "@d(1)\n@e\nasync def run(first, *rest: int, k=2):\n    class Inner(Base): pass\n"
    assert shown(text, r.Function) == ["run"]
    assert shown(text, r.Class) == ["Inner"]
    assert shown(text, r.Param) == ["first", "rest", "k"]
    assert shown(text, r.Call) == ["d(1)"]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("if (a) :  # c: d\n  b\nelif b: c\n", r.If, ["if (a)", "elif b"]),
        ("for i, x in f({1: 2}):\n  pass\n", r.For, ["for i, x in f({1: 2})"]),
        ("async def f():\n  async for i in x: pass\n", r.For, ["async for i in x"]),
        ("while a: b\n", r.While, ["while a"]),
        ("with a as b, c(): d\n", r.With, ["with a as b, c()"]),
        ("with (\n  a as b,\n): d\n", r.With, ["with ("]),
        ("try : a\nexcept E as e : b\nexcept: c\n", r.Try, ["try"]),
        ("try : a\nexcept E as e : b\nexcept: c\n", r.Handler, ["except E as e", "except"]),
        ("match a:\n  case [b] if c : d\n  case _: d\n", r.Match, ["match a"]),
        ("match a:\n  case [b] if c : d\n  case _: d\n", r.Case, ["case [b] if c", "case _"]),
    ],
)
def test_a_compound_statement_is_shown_by_its_header(text: str, kind: type[r.Node], expected: list[str]) -> None:
    assert shown(text, kind) == expected


def test_spans_of_simple_statements_and_parts() -> None:
    assert shown("a = 1 ; b = 2  # c\n", r.Assign) == ["a = 1", "b = 2"]
    assert shown("from a import b as c, d\n", r.Alias) == ["b as c", "d"]
    assert shown("x = [a  for a in b if c\n  for d in a]\n", r.Clause) == ["for a in b if c", "for d in a"]
    assert shown("a[1 : 2, *b]\n", r.Slice) == ["1 : 2"]


def test_unknown_ordinals_are_left_out() -> None:
    assert spans("a\n", [-1, 1, 2]) == {1: r.Span(1, 1, 1, 2)}


SAMPLES = sorted([*glob.glob(str(ROOT / "nnlint/lower/*.py")), __file__])


@pytest.mark.parametrize("path", SAMPLES, ids=[Path(path).name for path in SAMPLES])
def test_every_record_of_a_file_has_a_span(path: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    rows = text.split("\n")
    ordinals = [record.at for record in walk(lower(text).body)]
    assert sorted(ordinals) == list(range(len(ordinals)))
    found = spans(text, ordinals)
    assert sorted(found) == sorted(ordinals)
    for span in found.values():
        assert (span.row, span.column) < (span.end_row, span.end_column)
        assert span.row >= 1 and span.column >= 1
        assert span.end_row <= len(rows) and span.end_column <= len(rows[span.end_row - 1]) + 1
        assert not cut(text, span)[0].isspace() and not cut(text, span)[-1].isspace()


def test_ordinals_follow_the_text() -> None:
    """A record comes before its parts, and the parts come in the order of the text (decorators apart)."""
    text = "x: int = a if f(b, k=[i for i in c]) else {d: e}[0:1]\ndef g(p: T = 1, *, q) -> r:\n    return p < q\n"
    ordinals = [record.at for record in walk(lower(text).body)]
    places = spans(text, ordinals)
    starts = [(places[at].row, places[at].column) for at in sorted(ordinals)]
    assert starts == sorted(starts)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "row", "column", "message"),
    [
        ("a = 1\nprint x\n", 2, 1, "Missing parentheses"),
        ("a\n\nexec 'b'\n", 3, 1, "Missing parentheses"),
        ("a\n  b\n", 2, 2, "unexpected indent"),
        ("if a:\n\tb\n        c\n", 3, None, "tabs"),
        ("a\nx = 'b\n", 2, 5, "unterminated string"),
        ("a\nf(b,\n\n", 2, 2, "never closed"),
        ("a\nb = c)\n", 2, 6, "unmatched"),
        ("a\nb = 'é' \0\n", 2, 9, "null byte"),
        ("a\nb ? c\n", 2, 3, "invalid syntax"),
        ("type X = int\nx = = 1\n", 2, None, "invalid syntax"),
        ("a\nx = 'b' b'c'\n", 2, None, "cannot mix bytes"),
        ("a = '\ud800'\n", 1, 1, "surrogate"),
    ],
)
def test_what_is_no_python_is_refused_where_it_fails(text: str, row: int, column: int | None, message: str) -> None:
    with pytest.raises(Unparsable) as caught:
        lower(text)
    assert message in caught.value.message
    assert caught.value.row == row
    assert column in (None, caught.value.column)


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "\ufeffx = 1\n", "x = 1", "x\n\x0c\ny\n", "def f():\n    return*a, b\n"])
def test_odd_texts_are_fine(text: str) -> None:
    lower(text)


DEEP = {
    "brackets": "x = " + "(" * 3000 + "1" + ")" * 3000,
    "unclosed": "[" * 3000,
    "sum": "x = " + "+".join("1" * 10_000),
    "and": "x = " + " and ".join("a" * 10_000),
    "or in brackets": "x = [\n" + " or\n".join("a" * 10_000) + "]",
    "not": "x = " + "not " * 10_000 + "a",
    "minus": "x = " + "-" * 10_000 + "a",
    "power": "x = " + "**".join("a" * 10_000),
    "attributes": "x = a" + ".b" * 10_000,
    "calls": "x = a" + "()" * 10_000,
    "methods": "x = (a" + "\n.b(c, d)" * 5_000 + ")",
    "backslashes": "x = a" + " + \\\nb" * 5_000,
    "conditional": "x = " + "a if b else " * 10_000 + "c",
    "lambda": "x = " + "lambda: " * 10_000 + "c",
    "lambda defaults": "x = " + "lambda a=" * 3_000 + "1" + ": 1" * 3_000,
    "elif": "if a: pass\n" + "elif a: pass\n" * 10_000,
    "blocks": "".join(" " * depth + "if a:\n" for depth in range(300)) + " " * 300 + "pass\n",
    "import": "import a" + ".b" * 10_000,
    "pattern": "match a:\n  case " + "[" * 60 + "]" * 60 + ": pass",
    "f-strings": "x = " + 'f"{' * 3000 + "1" + '}"' * 3000,
    "in an f-string": 'x = f"{' + "(" * 3000 + "1" + ")" * 3000 + '}"',
    "clauses": "x = [a " + "for a in b " * 10_000 + "]",
}
SOUND = {
    "sum": "x = " + "+".join(["a"] * 900),
    "methods": "x = (a" + "\n.b(c)" * 300 + ")",
    "calls": "x = " + "f(" * 150 + ")" * 150,
    "lambda defaults": "x = " + "lambda a=" * 500 + "1" + ": 1" * 500,
    "elif": "if a: pass\n" + "elif a: pass\n" * 200,
    "strings": "x = (" + "'a'  # b\n" * 10_000 + ")",
    "list": "x = [\n" + "  (1.5, -2, {'k': [a.b, 'c']}),\n" * 600 + "]",
    "statements": "x.y = (a + b).c(d)\n" * 600,
    "comparisons": "x = " + " < ".join("a" * 3_000),
    "page": 'x = f"""<p>{a}' + "((( - {{ + }} * [x].y </p> {b.c}" * 300 + '"""',
    "quotes in f-strings": 'x = f"{a["it\'s"]} ("\n' * 1_500 + "def f():\n    y = a + b\n" * 1_500,
    "prose": 'def f():\n    """It\'s ((((([[[[ not - a . b."""\n    # it\'s (((\n' * 500,
}


def test_the_guard_passes_large_files_of_data() -> None:
    rows = "  (1.5, -2, {'k': [a.b, 'c' 'd']}),  # it's (\n" * 50_000
    assert measure(f"x = [\n{rows}]\n") == Nesting(False, 0)


def alone(text: str) -> str:
    """What a process of its own says about a text."""
    code = (
        "import sys, msgspec\n"
        "from nnlint.lower import lower, spans, Unparsable\n"
        "text = sys.stdin.read()\n"
        "try:\n"
        "    msgspec.msgpack.encode(lower(text)); assert len(spans(text, [0, 1])) == 2; print('fine')\n"
        "except Unparsable as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout.strip()


@pytest.mark.parametrize("name", DEEP)
def test_a_text_that_is_too_deep_is_refused_without_a_crash(name: str) -> None:
    assert re.search("too deeply|levels of indentation", alone(DEEP[name]))


@pytest.mark.parametrize("name", SOUND)
def test_a_text_that_is_long_but_sane_is_lowered(name: str) -> None:
    assert alone(SOUND[name]) == "fine"


def test_the_row_of_what_is_too_deep() -> None:
    for text, row in [("a\n\nx = '''\n''' + " + "(" * 201, 4), ("a\nif a: pass\n" + "elif a: pass\n" * 300, 253)]:
        with pytest.raises(Unparsable, match="too deeply") as caught:
            lower(text)
        assert caught.value.row == row


def test_the_depths_of_a_deep_expression_are_opaque() -> None:
    found = statement("x = " + "+".join(f"a{number}" for number in range(500)))
    kinds = {type(record) for record in walk(found)}
    assert kinds == {r.Assign, r.Name, r.Binary, r.Opaque}
    assert show(found)[2][3] == ("Name", "a499")  # type: ignore[index]


# --- as a whole --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["fixtures", "nnlint", "rules", "tests"])
def test_light_nodes_make_the_same_records(folder: str) -> None:
    from nnlint.lower.parser import parse, sketch
    from nnlint.lower.tree import Lowering

    encoder = msgspec.msgpack.Encoder(order="deterministic")
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert len(paths) > 9
    for path in paths:
        text = path.read_text(encoding="utf-8")
        with contextlib.suppress(Unparsable):
            light, own = (Lowering().module(text, tree) for tree in (sketch(text), parse(text)))
            assert encoder.encode(light) == encoder.encode(own), path


def test_light_nodes_are_made_and_only_where_they_are_asked_for() -> None:
    import libcst as cst

    from nnlint.lower.parser import sketch

    statement = sketch("x = 1\n").body[0]
    assert isinstance(statement, cst.SimpleStatementLine)
    assert not isinstance(statement, cst.If)
    assert isinstance(statement, msgspec.Struct)
    with pytest.raises(Unparsable):
        sketch("x = = 1\n")
    assert type(cst.parse_module("x = 1\n").body[0]) is cst.SimpleStatementLine
    assert sys.modules["libcst"] is cst


def test_importing_the_package_does_not_import_libcst() -> None:
    subprocess.run([sys.executable, "-c", "import nnlint.lower, sys; assert 'libcst' not in sys.modules"], cwd=ROOT, check=True)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the sources of torch")
def test_the_sources_of_torch_survive_a_round_trip() -> None:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    paths = sorted(Path(spec.origin).parent.glob("nn/modules/*.py"))
    assert len(paths) > 20
    for path in paths:
        module = lower(path.read_text(encoding="utf-8"))
        read = msgspec.msgpack.decode(msgspec.msgpack.encode(module), type=r.Module)
        assert show(read.body) == show(module.body), path
        assert read.words == module.words
        assert [record.at for record in walk(read.body)] == [record.at for record in walk(module.body)]
