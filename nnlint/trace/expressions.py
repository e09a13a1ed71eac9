"""Evaluates expressions: record in, abstract value out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Any, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.trace import attributes, calls, iteration, networks, statements, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import ABSENT, BudgetSpent, Frame, Machine, joined
from nnlint.trace.size import Size
from nnlint.trace.values import (
    FALSE,
    NONE,
    TRUE,
    Bound,
    Choice,
    ClassVal,
    Const,
    DictVal,
    External,
    Facts,
    FuncVal,
    GradVal,
    ListVal,
    ModeFlag,
    ModuleVal,
    Network,
    Obj,
    Optimizer,
    Params,
    Partial,
    SizeVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    born_of,
    key_of,
    same,
)


def site_of(node: r.Node, frame: Frame) -> Site:
    return Site(frame.file.key, node.at)


def evaluate(m: Machine, node: r.Expr, frame: Frame) -> Value:
    m.steps -= 1  # as `spend`; a call for each record would be a tenth of the run
    if m.steps < 0:
        raise BudgetSpent
    return _EVALUATE[type(node)](m, node, frame)


def _name(m: Machine, node: r.Name, frame: Frame) -> Value:
    value = lookup(m, node.id, frame)
    return m.settle(value) if type(value) is Choice else value


def lookup(m: Machine, name: str, frame: Frame) -> Value:
    """A name, as Python finds it: local, enclosing, module, builtin."""
    scope: Union[Frame, None] = frame.redirect.get(name, frame) if frame.redirect else frame
    while scope is not None:
        value = scope.vars.get(name)
        if value is not None:
            return value  # type: ignore[no-any-return]
        if name in scope.locals and scope is frame and scope is not frame.top:
            return Unknown(label=name)
        scope = scope.outer
    for library in frame.top.vars.get("*", ()):
        found = attributes.library_name(library, name)
        if found is not None:
            return found
    if name in attributes.BUILTINS:
        return External(f"builtins.{name}")
    return Unknown(("name", frame.top.file.key, name), name)


def _const(m: Machine, node: r.Const, frame: Frame) -> Value:
    return Const(node.value)


def _attr(m: Machine, node: r.Attr, frame: Frame) -> Value:
    value = evaluate(m, node.value, frame)
    site = site_of(node, frame)
    if type(value) is Choice:
        value = m.settle(value)
    if type(value) is not Choice:
        found = attributes.get(m, value, node.name, site)
        return m.settle(found) if type(found) is Choice else found
    return m.spread(value, lambda part: m.settle(attributes.get(m, part, node.name, site)))


def _call(m: Machine, node: r.Call, frame: Frame) -> Value:
    site = site_of(node, frame)
    if isinstance(node.func, r.Name) and node.func.id == "super" and "super" not in frame.vars:
        return calls.super_of(m, node, frame)
    func = evaluate(m, node.func, frame)
    args = arguments(m, node.args, frame)
    _spell(m, node, func, args, site)
    if type(func) is not Choice:
        return _called(m, func, args, site, node)
    if isinstance(func, Choice) and any(isinstance(part, Network) and part.loss is None for _, part in func.alternatives):
        return m.each(func, site, lambda part: _one_of_networks(m, part, args, site))
    return m.each(func, site, lambda part: _called(m, part, args, site, node))


def _called(m: Machine, func: Value, args: Args, site: Site, node: r.Call) -> Value:
    m.call = node
    return calls.call(m, func, args, site)


def _spell(m: Machine, node: r.Call, func: Value, args: Args, site: Site) -> None:
    """Note which expressions of a call stand for networks and optimizers: what is called, its receiver, the arguments."""
    _named(m, func, node.func.at, site)
    called = m.story.called
    for part in _parts(func):
        if type(part) is Bound and isinstance(node.func, r.Attr):
            _named(m, part.receiver, node.func.value.at, site)
        name = _library_name(part)
        if called.setdefault(site, name) != name:
            called[site] = ""
    if args.rest is None and not any([arg.star for arg in node.args]):
        placed = iter(args.positional)
        for arg in node.args:
            _named(m, next(placed) if arg.keyword is None else args.keywords[arg.keyword], arg.value.at, site)


def _library_name(func: Value) -> str:
    if type(func) is External:
        return func.name
    if type(func) is Bound and isinstance(func.func, str):
        return f".{func.func}"
    key = func.key if type(func) is Unknown else None
    return f".{key[2]}" if isinstance(key, tuple) and len(key) == 3 and key[0] == "attr" else ""


def _parts(value: Value) -> Iterable[Value]:
    return [part for _, part in value.alternatives] if type(value) is Choice else (value,)


def _named(m: Machine, value: Value, at: int, site: Site) -> None:
    kind = type(value)
    if kind is Network or kind is Optimizer or kind is Choice:
        for part in _parts(value):
            if isinstance(part, (Network, Optimizer)):
                m.story.spelled.setdefault((site, part.id), Site(site.source, at))


def _one_of_networks(m: Machine, func: Value, args: Args, site: Site) -> Value:
    """What is called in place of a network is one, even where it is not known which."""
    result = calls.call(m, func, args, site)
    if isinstance(func, Unknown) and isinstance(result, Unknown):
        return networks.opaque(m, args, site)
    return result


def arguments(m: Machine, nodes: tuple[r.Arg, ...], frame: Frame) -> Args:
    """Evaluate call arguments; a `*` or `**` of unknown length leaves the call open."""
    args = Args()
    for node in nodes:
        value = evaluate(m, node.value, frame)
        if type(value) is Choice:
            value = m.settle(value)
        if not node.star:
            if node.keyword is not None:
                args.keywords[node.keyword] = value
            else:
                args.positional.append(value)
        elif node.star == "*":
            items = iteration.items(m, value)
            if items is None and args.placed is None:
                args.placed = len(args.positional)
            if isinstance(value, ListVal) and value.growing:
                args.open = True
                args.positional.extend(item for item in value.items if item is not ABSENT)
            elif items is None:
                args.open = True
                args.rest = value
            else:
                args.positional.extend(item for item in items if item is not ABSENT)
        elif isinstance(value, DictVal):
            for key, part in value.entries.items():
                if isinstance(key, str):
                    args.keywords[key] = part
            args.open = args.open or value.open
        else:
            args.open = True
    return args


def _subscript(m: Machine, node: r.Subscript, frame: Frame) -> Value:
    value = evaluate(m, node.value, frame)
    index = [evaluate_index(m, part, frame) for part in node.index]
    site = site_of(node, frame)
    return m.spread(value, lambda part: m.settle(attributes.item(m, part, index, site)))


def evaluate_index(m: Machine, node: r.Expr, frame: Frame) -> Any:
    """An index: a value, a (lower, upper, step) triple of values or None, or Ellipsis."""
    if isinstance(node, r.Slice):
        return tuple(None if part is None else evaluate(m, part, frame) for part in (node.lower, node.upper, node.step))
    if isinstance(node, r.Ellipsis_):
        return Ellipsis
    return evaluate(m, node, frame)


def _sequence(kind: str) -> Callable[[Machine, Any, Frame], Value]:
    def build(m: Machine, node: Any, frame: Frame) -> Value:
        items: list[Value] = []
        growing = False
        for part in node.items:
            if isinstance(part, r.Starred):
                value = m.settle(evaluate(m, part.value, frame))
                found = iteration.items(m, value)
                if found is None:
                    growing = True
                    items.append(iteration.element(m, value, site_of(part, frame)))
                else:
                    items.extend(found)
            else:
                items.append(evaluate(m, part, frame))
        if kind == "tuple" and not growing:
            return TupleVal(tuple(items))
        made = ListVal(site_of(node, frame), items, kind)
        made.growing = growing
        return made

    return build


def _dict(m: Machine, node: r.Dict, frame: Frame) -> Value:
    entries: dict[Hashable, Value] = {}
    is_open = False
    for key, part in zip(node.keys, node.values):
        value = evaluate(m, part, frame)
        if key is None:
            value = m.settle(value)
            if isinstance(value, DictVal):
                entries.update(value.entries)
                is_open = is_open or value.open
            else:
                is_open = True
            continue
        name = evaluate(m, key, frame)
        if isinstance(name, Const):
            entries[name.value] = value
        else:
            entries[("key", key_of(name))] = value
            is_open = True
    return DictVal(site_of(node, frame), entries, is_open)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod,
    "**": operator.pow, "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip


def _binary(m: Machine, node: r.Binary, frame: Frame) -> Value:
    left = evaluate(m, node.left, frame)
    right = evaluate(m, node.right, frame)
    return binary(m, node.op, left, right, site_of(node, frame))


def binary(m: Machine, op: str, left: Value, right: Value, site: Site) -> Value:
    """`left op right`."""
    return m.spread(left, lambda a: m.spread(right, lambda b: _operate(m, op, a, b, site)))


def _operate(m: Machine, op: str, left: Value, right: Value, site: Site) -> Value:
    if isinstance(left, Const) and isinstance(right, Const):
        return _fold(op, left, right)
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        return tensors.arithmetic(m, op, left, right, site)
    if op == "+":
        joined_list = iteration.concatenate(m, left, right, site)
        if joined_list is not None:
            return joined_list
    if op == "*" and isinstance(left, (ListVal, TupleVal)) and isinstance(right, (Const, SizeVal, Unknown)):
        return iteration.repeat(left, right, site)
    if op == "|" and isinstance(left, DictVal) and isinstance(right, DictVal):
        return DictVal(site, {**left.entries, **right.entries}, left.open or right.open)
    sizes = to_size(left), to_size(right)
    if sizes[0] is not None and sizes[1] is not None and op in ("+", "-", "*", "//", "%"):
        if op == "%" and isinstance(right, Const) and right.value == 1:
            return Const(0)
        if op == "%":
            made = Unknown(("%", key_of(left), key_of(right)), born=max(born_of(left), born_of(right)))
            return made
        result: Size = _ARITHMETIC[op](sizes[0], sizes[1])
        return from_size(result, max(born_of(left), born_of(right)))
    return Unknown((op, key_of(left), key_of(right)), born=max(born_of(left), born_of(right)))


def _fold(op: str, left: Const, right: Const) -> Value:
    if op == "**" and isinstance(right.value, (int, float)) and abs(right.value) > 64:
        return Unknown()
    if op in ("*", "<<") and isinstance(left.value, str) != isinstance(right.value, str):
        return Unknown()
    try:
        value = _ARITHMETIC[op](left.value, right.value)
    except (ArithmeticError, TypeError, ValueError, MemoryError):
        return Unknown()
    return (
        Const(value) if isinstance(value, (bool, int, float, str)) and not (isinstance(value, str) and len(value) > 10_000) else Unknown()
    )


def to_size(value: Value) -> Union[Size, None]:
    """A value as a symbolic integer, if it can be one."""
    if isinstance(value, Const):
        return Size.of(value.value) if isinstance(value.value, int) and not isinstance(value.value, bool) else None
    if isinstance(value, SizeVal):
        return value.size
    if isinstance(value, Unknown) and not value.negated:
        return Size.symbol(value.key, value.label or "?")
    return None


def from_size(size: Size, born: int = 0) -> Value:
    known = size.known
    return Const(known) if known is not None else SizeVal(size, born)


def _unary(m: Machine, node: r.Unary, frame: Frame) -> Value:
    value = evaluate(m, node.value, frame)
    site = site_of(node, frame)
    if node.op == "not":
        return negate(m, value)
    return m.spread(value, lambda part: _minus(m, node.op, part, site))


def _minus(m: Machine, op: str, value: Value, site: Site) -> Value:
    if isinstance(value, Const) and isinstance(value.value, (int, float)):
        return Const(-value.value if op == "-" else ~value.value if op == "~" and isinstance(value.value, int) else value.value)
    if isinstance(value, Tensor):
        return tensors.arithmetic(m, "neg" if op == "-" else op, value, NONE, site)
    size = to_size(value)
    if size is not None and op == "-":
        return from_size(Size.of(0) - size, born_of(value))
    return Unknown((op, key_of(value)), born=born_of(value))


def negate(m: Machine, value: Value) -> Value:
    """`not value`."""
    decided = truth(m, value)
    if isinstance(decided, bool):
        return Const(not decided)
    key, polarity, born = decided
    return Unknown(key, born=born, negated=polarity)


def truth(m: Machine, value: Value) -> Union[bool, tuple[Hashable, bool, int]]:
    """Whether a value is true: decided, or the condition (key, polarity, age) on which it depends."""
    if type(value) is Choice:
        value = m.settle(value)
    if type(value) is Const:
        return bool(value.value)
    if type(value) is Unknown:
        known = m.facts.get(value.key)
        if known is not None:
            return known is not value.negated
        compared = _excluded(m, value)
        if compared is not None:
            return compared is not value.negated
        return value.key, not value.negated, value.born
    if isinstance(value, ModeFlag):
        known = m.facts.get(value.key)
        return known if known is not None else (value.key, True, 0)
    if isinstance(value, (ListVal, TupleVal)):
        if isinstance(value, ListVal) and value.growing:
            return True
        return bool(value.items)
    if isinstance(value, DictVal) and not value.open:
        return bool(value.entries)
    if isinstance(value, (Obj, FuncVal, Bound, Partial, ClassVal, ModuleVal, GradVal, Params)) and not isinstance(value, DictVal):
        return True
    if isinstance(value, External) and attributes.definite(value):
        return True
    if isinstance(value, Choice):
        outcomes = [(facts, truth(m, part)) for facts, part in value.alternatives]
        return outcomes[0][1] if len({outcome for _, outcome in outcomes}) == 1 else _either(m, outcomes)
    return ("truth", key_of(value)), True, born_of(value)


def _either(m: Machine, outcomes: list[tuple[Facts, Union[bool, tuple[Hashable, bool, int]]]]) -> tuple[Hashable, bool, int]:
    """The condition on which it depends whether one of several values is true."""
    ages = m.story.ages
    if len(outcomes) == 2 and all(isinstance(outcome, bool) and len(facts) == 1 for facts, outcome in outcomes):
        ((key, decided),), first = outcomes[0]
        ((other, opposite),), _ = outcomes[1]
        if key == other and decided is not opposite:
            return key, decided is first, ages.get(key, 0)
    parts = tuple((facts, outcome if isinstance(outcome, bool) else outcome[:2]) for facts, outcome in outcomes)
    # A short name, for such conditions are built on one another.
    name = m.names.setdefault(parts, len(m.names))
    born = [outcome[2] for _, outcome in outcomes if not isinstance(outcome, bool)]
    age = max((0, *born, *(ages.get(key, 0) for facts, _ in outcomes for key, _ in facts)))
    return ("either", name, any(map(counts, parts))), True, age


def _excluded(m: Machine, value: Unknown) -> Union[bool, None]:
    """`x == 'a'` is false where `x == 'b'` was decided true."""
    key = value.key
    if not (isinstance(key, tuple) and len(key) == 3 and key[0] == "=="):
        return None
    for other, decided in m.facts.items():
        if decided and isinstance(other, tuple) and len(other) == 3 and other[0] == "==" and other[1] == key[1] and other[2] != key[2]:
            if _is_const(other[2]) and _is_const(key[2]):
                return False
    return None


def _is_const(key: Hashable) -> bool:
    return isinstance(key, tuple) and bool(key) and key[0] == "const"


def conditions(m: Machine, value: Value, decided: bool) -> Facts:
    """What is known when a test came out as `decided`."""
    found = truth(m, value)
    return () if isinstance(found, bool) else facts_of(m, found, decided)


def facts_of(m: Machine, found: tuple[Hashable, bool, int], decided: bool) -> Facts:
    """What is known when that on which the truth of a test depends came out as `decided`."""
    facts: list[tuple[Hashable, bool]] = []
    _unfold(m, found, decided, facts)
    facts += [fact for part, holds in facts if holds for fact in _implied(part) if fact[0] in m.story.ages]
    return tuple(facts)


def _unfold(m: Machine, found: tuple[Hashable, bool, int], decided: bool, facts: list[tuple[Hashable, bool]]) -> None:
    """A condition and, where that decides them, its parts."""
    key, polarity, born = found
    if key not in m.story.ages:
        m.story.ages[key] = born
        if counts(key):
            m.story.counters.add(key)
    holds = decided is polarity
    facts.append((key, holds))
    if isinstance(key, tuple) and key and key[0] in ("and", "or") and holds is (key[0] == "and"):
        for part in key[1:]:
            _unfold(m, part, holds, facts)


def _implied(key: Hashable) -> Facts:
    """What is equal is not less, and the other way round."""
    if not (isinstance(key, tuple) and len(key) == 3 and key[0] in ("==", "<")):
        return ()
    other = "<" if key[0] == "==" else "=="
    return ((other, key[1], key[2]), False), ((other, key[2], key[1]), False)


@lru_cache(maxsize=1 << 16)  # keys are built of others that were asked about before
def counts(key: Hashable) -> bool:
    """Whether a condition is built on a remainder: what counts rounds."""
    if not isinstance(key, tuple):
        return False
    if key[:1] == ("either",):
        return bool(key[2])
    return key[:1] == ("%",) or any([isinstance(part, tuple) and counts(part) for part in key])


def _boolean(m: Machine, node: r.Boolean, frame: Frame) -> Value:
    parts: list[tuple[Hashable, bool, int]] = []
    last: Value = NONE
    decided: Union[bool, tuple[Hashable, bool, int]] = False
    stop = node.op == "or"
    before = m.facts
    try:
        for index, part in enumerate(node.values):
            last = m.settle(evaluate(m, part, frame))
            decided = truth(m, last)
            if isinstance(decided, bool):
                if decided is stop:
                    if not parts:
                        return last
                    return _compound(node.op, parts, last, stop) if stop else FALSE
                continue
            parts.append(decided)
            if index + 1 < len(node.values):
                m.facts = {**m.facts, **dict(conditions(m, last, not stop))}
    finally:
        m.facts = before
    before_last = parts if isinstance(decided, bool) else parts[:-1]
    if not before_last:
        return last
    if len(parts) == 1 and len(node.values) > 1 and isinstance(last, Const):
        key, polarity, born = parts[0]
        return Unknown(key, born=born, negated=not polarity)
    if not isinstance(last, (Unknown, Const, ModeFlag, SizeVal)):
        return _compound(node.op, before_last, last, stop)
    return Unknown((node.op, *parts), born=max(part[2] for part in parts))


def _compound(op: str, parts: list[tuple[Hashable, bool, int]], last: Value, stop: bool) -> Value:
    """`x or default`, `x and y`: the last value where the test before it let it through, something unknown otherwise."""
    key, polarity, born = parts[-1]
    if isinstance(last, Const) and (last.value is None or isinstance(last.value, bool)):
        return Unknown((op, *parts, (key_of(last), True, 0)), born=born)
    through: Facts = ((key, polarity is not stop),)
    short: Facts = ((key, polarity is stop),)
    return Choice(((short, Unknown(("value", key), born=born)), (through, last)))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": lambda a, b: a is b, "is not": lambda a, b: a is not b,
}  # fmt: skip


def _compare(m: Machine, node: r.Compare, frame: Frame) -> Value:
    left = m.settle(evaluate(m, node.left, frame))
    site = site_of(node, frame)
    result: Value = TRUE
    for op, part in zip(node.ops, node.rights):
        right = m.settle(evaluate(m, part, frame))
        result = m.spread(left, lambda a, op=op, right=right: m.spread(right, lambda b: compare(m, op, a, b, site)))  # type: ignore[misc]
        left = right
    if len(node.ops) > 1 and not isinstance(result, (Const, Tensor)):
        return Unknown(("chain", key_of(result)), born=born_of(result))
    return result


def compare(m: Machine, op: str, left: Value, right: Value, site: Site) -> Value:
    """`left op right`, decided where both sides are known."""
    if isinstance(left, Const) and isinstance(right, Const):
        if op in ("in", "not in"):
            found = isinstance(left.value, str) and isinstance(right.value, str) and left.value in right.value
            return Const(found is (op == "in"))
        try:
            return Const(bool(_COMPARE[op](left.value, right.value)))
        except TypeError:
            return Unknown()
    if op in ("in", "not in"):
        return _contains(m, op, left, right)
    if isinstance(right, Const) and right.value is None and op in ("is", "is not", "==", "!="):
        firm = (Obj, Tensor, FuncVal, Partial, ClassVal, TupleVal, ModuleVal, Bound, GradVal, Params, SizeVal, ModeFlag)
        if isinstance(left, firm) or (isinstance(left, External) and attributes.definite(left)):
            return FALSE if op in ("is", "==") else TRUE
    if (isinstance(left, Tensor) or isinstance(right, Tensor)) and op not in ("is", "is not"):
        return tensors.comparison(m, op, left, right, site)
    if op in ("is", "is not", "==", "!="):
        equal = op in ("is", "==")
        if same(left, right):
            return Const(equal)
        decided = _different(left, right)
        if decided:
            return Const(not equal)
        if isinstance(left, (Unknown, ModeFlag)) and isinstance(right, Const) and isinstance(right.value, bool):
            return left if right.value is equal else negate(m, left)
        if isinstance(left, Const):
            left, right = right, left
        if isinstance(left, SizeVal) and isinstance(right, Const) and left.size.counted.known is not None:
            return Const((left.size.counted.known == right.value) is equal)
        made = Unknown(("==", key_of(left), key_of(right)), born=max(born_of(left), born_of(right)), negated=not equal)
        _notice_last(m, made.key, left, right)
        _notice_first(m, "==", made.key, left, right)
        return made
    sizes = to_size(left), to_size(right)
    if sizes[0] is not None and sizes[1] is not None and sizes[0] == sizes[1]:
        return Const(op in ("<=", ">="))
    known = [size.counted.known if size is not None else None for size in sizes]
    if known[0] is not None and known[1] is not None:
        return Const(bool(_COMPARE[op](*known)))
    flipped = {">": "<=", "<=": ">", "<": ">=", ">=": "<"}[op]
    negated = op in (">", ">=")
    key = (flipped if negated else op, key_of(left), key_of(right))
    _notice_first(m, key[0], key, left, right)
    return Unknown(key, born=max(born_of(left), born_of(right)), negated=negated)


def _notice_first(m: Machine, op: str, key: Hashable, left: Value, right: Value) -> None:
    """Tell the story of a condition on a counter that comes out in one way in the first round, and in the other way ever after."""
    for loop in m.round.around() if m.round is not None else ():
        sides = (left, right) if loop.counter is not None and isinstance(left, Unknown) else (right, left)
        if loop.counter is None or key_of(sides[0]) != loop.counter[0] or not isinstance(sides[1], Const):
            continue
        bound = sides[1].value
        if isinstance(bound, int) and not isinstance(bound, bool):
            rounds = [loop.counter[1] + n for n in range(3)]
            first, second, third = (_COMPARE[op](*((n, bound) if sides[0] is left else (bound, n))) for n in rounds)
            if first is not second and second is third:
                m.story.firsts[key] = loop, first


def _notice_last(m: Machine, key: Hashable, left: Value, right: Value) -> None:
    """Tell the story of a condition that holds in the last round only."""
    sizes = to_size(left), to_size(right)
    if m.round is None or sizes[0] is None or sizes[1] is None:
        return
    for loop in m.round.around():
        if loop.left is not None and loop.left in (sizes[0] - sizes[1], sizes[1] - sizes[0]):
            m.story.lasts[key] = loop


def _different(left: Value, right: Value) -> bool:
    """Known to be unequal: two objects, or an object and a constant."""
    firm = (Obj, FuncVal, ClassVal, External)
    if any(isinstance(side, External) and not attributes.definite(side) for side in (left, right)):
        return False
    if isinstance(left, firm) and isinstance(right, firm):
        return type(left) is not type(right) or (isinstance(left, Obj) and isinstance(left, Network)) or isinstance(left, External)
    return (isinstance(left, firm) and isinstance(right, Const)) or (isinstance(left, Const) and isinstance(right, firm))


def _contains(m: Machine, op: str, left: Value, right: Value) -> Value:
    if isinstance(right, DictVal) and isinstance(left, Const) and not right.open:
        return Const((left.value in right.entries) is (op == "in"))
    if isinstance(right, (ListVal, TupleVal)) and isinstance(left, Const) and all(isinstance(item, Const) for item in right.items):
        found = any(isinstance(item, Const) and item.value == left.value for item in right.items)
        return Const(found is (op == "in"))
    return Unknown(("in", key_of(left), key_of(right)), born=max(born_of(left), born_of(right)), negated=op == "not in")


def _ifexp(m: Machine, node: r.IfExp, frame: Frame) -> Value:
    test = evaluate(m, node.test, frame)
    site = site_of(node, frame)
    decided = truth(m, test)
    if isinstance(decided, bool):
        return evaluate(m, node.body if decided else node.orelse, frame)
    return joined(
        m.fork(
            [
                (conditions(m, test, True), lambda: evaluate(m, node.body, frame)),
                (conditions(m, test, False), lambda: evaluate(m, node.orelse, frame)),
            ],
            site,
        )
    )


def _lambda(m: Machine, node: r.Lambda, frame: Frame) -> Value:
    return FuncVal(node, frame.file, frame, {p.name: evaluate(m, p.default, frame) for p in node.params if p.default is not None})


def _comprehension(m: Machine, node: r.Comprehension, frame: Frame) -> Value:
    return iteration.comprehend(m, node, frame)


def _walrus(m: Machine, node: r.Walrus, frame: Frame) -> Value:
    value = evaluate(m, node.value, frame)
    scope = frame
    while scope.func is None and scope.outer is not None and scope.vars.get("<comprehension>"):
        scope = scope.outer
    statements.bind(m, node.target, value, scope)
    return value


def _yield(m: Machine, node: r.Yield, frame: Frame) -> Value:
    value = evaluate(m, node.value, frame) if node.value is not None else NONE
    if frame.handlers:
        return frame.handlers[-1](value)
    frame.yields.append(iteration.element(m, value, site_of(node, frame)) if node.delegated else value)
    return Unknown()


def _inner(m: Machine, node: Any, frame: Frame) -> Value:
    return evaluate(m, node.value, frame)


def _format(m: Machine, node: r.Format, frame: Frame) -> Value:
    values = [m.settle(evaluate(m, part, frame)) for part in node.values]
    known = [str(value.value) for value in values if isinstance(value, Const)]
    if node.texts and len(known) == len(values):
        return Const("".join(part for pair in zip(node.texts, (*known, "")) for part in pair))
    return Unknown(
        ("format", node.texts or node.at, *(key_of(value) for value in values)), born=max((born_of(value) for value in values), default=0)
    )


def _opaque(m: Machine, node: r.Node, frame: Frame) -> Value:
    return Unknown()


_EVALUATE: dict[type, Callable[[Machine, Any, Frame], Value]] = {
    r.Name: _name, r.Const: _const, r.Attr: _attr, r.Call: _call, r.Subscript: _subscript, r.Tuple: _sequence("tuple"),
    r.List: _sequence("list"), r.Set: _sequence("set"), r.Dict: _dict, r.Binary: _binary, r.Unary: _unary, r.Boolean: _boolean,
    r.Compare: _compare, r.IfExp: _ifexp, r.Lambda: _lambda, r.Comprehension: _comprehension, r.Walrus: _walrus, r.Yield: _yield,
    r.Starred: _inner, r.Await: _inner, r.Format: _format, r.Opaque: _opaque, r.Ellipsis_: _opaque, r.Slice: _opaque,
}  # fmt: skip
