"""Runs statements: control flow, assignment, loops, and what they tell the story."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.functions import METHODS
from nnlint.trace import attributes, calls, expressions, iteration, modules, networks, tensors
from nnlint.trace.machine import ABSENT, Frame, Machine, has_events
from nnlint.trace.story import Block, Loop
from nnlint.trace.values import (
    NONE,
    TRUE,
    Batches,
    Bound,
    Choice,
    ClassVal,
    Const,
    Facts,
    FuncVal,
    ListVal,
    Modules,
    Obj,
    Range,
    Service,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    choice,
    key_of,
    same,
    tensors_of,
)

Status = Union[None, str]


def run(m: Machine, body: Sequence[r.Stmt], frame: Frame) -> Status:
    """Run statements in order; None when control falls through, else the kind of exit."""
    for statement in body:
        m.spend()
        status = _RUN[type(statement)](m, statement, frame)
        if status is not None:
            return status
    return None


def site_of(node: r.Node, frame: Frame) -> Site:
    return Site(frame.file.key, node.at)


# --- simple statements -------------------------------------------------------------------------------------------


def _expression(m: Machine, node: r.ExprStmt, frame: Frame) -> Status:
    value = expressions.evaluate(m, node.value, frame)
    call = node.value
    if isinstance(value, Tensor) and isinstance(call, r.Call) and isinstance(call.func, r.Attr) and isinstance(call.func.value, r.Name):
        _changed_in_place(m, call.func.value, call.func.name, value, frame)
    for tensor in tensors_of(value):
        for forward in tensor.seen:
            forward.dropped = forward.dropped or forward.site == tensor.site
    return None


def _changed_in_place(m: Machine, target: r.Name, method: str, value: Tensor, frame: Frame) -> None:
    """`x.clamp_(0)`: from here on the name stands for the result. A leaf of the graph stays what it is."""
    if not method.endswith("_") or method.endswith("__") or method not in METHODS:
        return
    old = m.settle(expressions.lookup(m, target.id, frame))
    if isinstance(old, Tensor) and old is not value and old.op.name != "parameter" and old not in old.networks:
        bind(m, target, value, frame)


def _assign(m: Machine, node: r.Assign, frame: Frame) -> Status:
    if node.value is None:
        return None
    value = expressions.evaluate(m, node.value, frame)
    for target in node.targets:
        bind(m, target, value, frame)
    return None


def _augment(m: Machine, node: r.AugAssign, frame: Frame) -> Status:
    old = expressions.evaluate(m, node.target, frame)
    added = expressions.evaluate(m, node.value, frame)
    site = site_of(node, frame)
    settled = m.settle(old)
    if isinstance(settled, ListVal) and node.op == "+":
        attributes.extend(m, settled, added, site)
        return None
    bind(m, node.target, expressions.binary(m, node.op, old, added, site), frame)
    return None


def bind(m: Machine, target: r.Expr, value: Value, frame: Frame) -> None:
    """Assign a value to a target."""
    if isinstance(target, r.Name):
        if isinstance(value, Obj) and not value.label:
            value.label = target.id
        scope = frame.redirect.get(target.id, frame)
        m.set(scope.vars, target.id, value)
        return
    if isinstance(target, (r.Tuple, r.List)):
        _unpack(m, target.items, value, frame)
        return
    if isinstance(target, r.Starred):
        bind(m, target.value, value, frame)
        return
    site = site_of(target, frame)
    if isinstance(target, r.Attr):
        owner = expressions.evaluate(m, target.value, frame)
        m.each(owner, site, lambda part: _set_attribute(m, part, target.name, value, site))
    elif isinstance(target, r.Subscript):
        owner = expressions.evaluate(m, target.value, frame)
        index = [expressions.evaluate_index(m, part, frame) for part in target.index]
        m.each(owner, site, lambda part: _set_item(m, part, index, value, site))
        if isinstance(target.value, r.Name):
            _filled(m, target.value, owner, index, value, site, frame)


def _filled(m: Machine, target: r.Name, owner: Value, index: list[Any], value: Value, site: Site, frame: Frame) -> None:
    """`x[i] = y`: from here on the name stands for a tensor with both in it. A leaf of the graph stays what it is."""
    held = [part for _, part in owner.alternatives] if isinstance(owner, Choice) else [owner]
    if not tensors_of(value) or not all(
        isinstance(part, Tensor) and part.op.name != "parameter" and part not in part.networks for part in held
    ):
        return
    bind(m, target, m.each(owner, site, lambda part: tensors.fill(m, part, index, value, site)), frame)


def _set_attribute(m: Machine, owner: Value, name: str, value: Value, site: Site) -> Value:
    attributes.put(m, owner, name, value, site)
    return NONE


def _set_item(m: Machine, owner: Value, index: list[Any], value: Value, site: Site) -> Value:
    attributes.put_item(m, owner, index, value, site)
    return NONE


def _unpack(m: Machine, targets: tuple[r.Expr, ...], value: Value, frame: Frame) -> None:
    value = m.settle(value)
    site = site_of(targets[0], frame) if targets else Site(frame.file.key, 0)
    starred = next((index for index, target in enumerate(targets) if isinstance(target, r.Starred)), None)
    if isinstance(value, Choice):
        columns = [(facts, attributes.unpacked(m, part, len(targets), starred, site)) for facts, part in value.alternatives]
        for index, target in enumerate(targets):
            bind(m, target, choice([(facts, parts[index]) for facts, parts in columns]), frame)
        return
    for target, part in zip(targets, attributes.unpacked(m, value, len(targets), starred, site)):
        bind(m, target, part, frame)


def _delete(m: Machine, node: r.Delete, frame: Frame) -> Status:
    for target in node.targets:
        if isinstance(target, r.Name):
            m.remove(frame.vars, target.id)
        elif isinstance(target, r.Subscript):
            owner = m.settle(expressions.evaluate(m, target.value, frame))
            index = [expressions.evaluate_index(m, part, frame) for part in target.index]
            attributes.delete_item(m, owner, index)
    return None


def _return(m: Machine, node: r.Return, frame: Frame) -> Status:
    value = expressions.evaluate(m, node.value, frame) if node.value is not None else NONE
    frame.returns.append((m.since(frame), value))
    return m.exit(site_of(node, frame), "return")


def _raise(m: Machine, node: r.Raise, frame: Frame) -> Status:
    return m.exit(site_of(node, frame), "raise")


def _break(m: Machine, node: r.Break, frame: Frame) -> Status:
    return m.exit(site_of(node, frame), "break")


def _continue(m: Machine, node: r.Continue, frame: Frame) -> Status:
    return m.exit(site_of(node, frame), "continue")


def _scope(m: Machine, node: r.Scope, frame: Frame) -> Status:
    for name in node.names:
        scope = frame.top
        if node.kind == "nonlocal":
            outer = frame.outer
            while outer is not None and name not in outer.vars:
                outer = outer.outer
            scope = outer or frame.top
        frame.redirect[name] = scope
    return None


def _assert(m: Machine, node: r.Assert, frame: Frame) -> Status:
    expressions.evaluate(m, node.test, frame)
    return None


# --- definitions -------------------------------------------------------------------------------------------------


def _function(m: Machine, node: r.Function, frame: Frame) -> Status:
    defaults = {p.name: expressions.evaluate(m, p.default, frame) for p in node.params if p.default is not None}
    scope = frame
    while scope.vars.get("<class>") and scope.outer is not None:
        scope = scope.outer
    func = FuncVal(node, frame.file, scope, defaults)
    value: Value = func
    for decorator in reversed(node.decorators):
        value = calls.decorate(m, value, func, decorator, frame)
    m.set(frame.vars, node.name, value)
    return None


def _class(m: Machine, node: r.Class, frame: Frame) -> Status:
    bases: list[Value] = []
    for base in node.bases:
        if base.keyword is None and base.star == "":
            found = m.settle(expressions.evaluate(m, base.value, frame))
            bases.append(found)
    cls = ClassVal(node, frame.file, frame, tuple(bases))
    inner = Frame(frame.file, frame, frame.calls)
    inner.vars["<class>"] = True
    inner.vars.update({"__class__": cls})
    run(m, node.body, inner)
    for name, value in inner.vars.items():
        if name in ("<class>", "__class__"):
            continue
        own = value.func if isinstance(value, Bound) else value
        if isinstance(own, FuncVal) and own.owner is None:
            own.owner = cls
        cls.attrs[name] = value
    made: Value = cls
    for decorator in reversed(node.decorators):
        made = calls.decorate_class(m, made, decorator, frame)
    m.set(frame.vars, node.name, made)
    return None


def _import(m: Machine, node: r.Import, frame: Frame) -> Status:
    for alias in node.names:
        modules.bind_import(m, alias.name, alias.asname, frame)
    return None


def _import_from(m: Machine, node: r.ImportFrom, frame: Frame) -> Status:
    modules.bind_import_from(m, node, frame)
    return None


# --- branches ----------------------------------------------------------------------------------------------------


def _if(m: Machine, node: r.If, frame: Frame) -> Status:
    test = expressions.evaluate(m, node.test, frame)
    decided = expressions.truth(m, test)
    if isinstance(decided, bool):
        m.decided += 1
        status = run(m, node.body if decided else node.orelse, frame)
        m.decided -= 1
        return status
    return branch(
        m,
        [
            (expressions.facts_of(m, decided, True), lambda: run(m, node.body, frame)),
            (expressions.facts_of(m, decided, False), lambda: run(m, node.orelse, frame)),
        ],
        site_of(node, frame),
    )


def branch(m: Machine, arms: list[tuple[Facts, Callable[[], Status]]], site: Site) -> Status:
    """Run the arms of a branch; an exit only where all arms exit."""
    results = m.fork(arms, site)
    statuses = [result for _, result in results]
    if None in statuses:
        return None
    return str(statuses[0]) if len(set(statuses)) == 1 else "return" if "return" in statuses else str(statuses[0])


def _match(m: Machine, node: r.Match, frame: Frame) -> Status:
    subject = m.settle(expressions.evaluate(m, node.subject, frame))
    site = site_of(node, frame)
    arms: list[tuple[Facts, Callable[[], Status]]] = []
    excluded: Facts = ()
    for case in node.cases:
        for name in case.names:
            m.set(frame.vars, name, subject if case.wildcard or case.pattern is not None else Unknown(label=name))
        tests = [_matches(m, subject, case, frame, site)]
        if case.guard is not None:
            tests.append(expressions.evaluate(m, case.guard, frame))
        if any(expressions.truth(m, test) is False for test in tests):
            continue
        taken = [expressions.conditions(m, test, True) for test in tests]
        arms.append((sum(taken, excluded), lambda case=case: run(m, case.body, frame)))  # type: ignore[misc]
        open_ = [test for test, facts in zip(tests, taken) if facts]
        if not open_:
            break
        if len(open_) == 1:
            excluded = (*excluded, *expressions.conditions(m, open_[0], False))
    else:
        arms.append((excluded, lambda: None))
    return branch(m, arms, site) if arms else None


def _matches(m: Machine, subject: Value, case: r.Case, frame: Frame, site: Site) -> Value:
    """Whether the subject meets a pattern, as far as that can be told."""
    if case.wildcard:
        return TRUE
    if case.pattern is None:
        born = birth()
        return Unknown(("case", case.at, born), born=born)
    value = m.settle(expressions.evaluate(m, case.pattern, frame))
    return expressions.compare(m, "in" if isinstance(case.pattern, r.Tuple) else "==", subject, value, site)


_SWITCHING = frozenset({"eval", "train", "zero_grad"})


def _try(m: Machine, node: r.Try, frame: Frame) -> Status:
    """Either nothing is raised, or the body gives up at its start, or (where it matters) just before its end."""
    site = site_of(node, frame)
    importing = all(isinstance(part, (r.Import, r.ImportFrom)) for part in node.body)
    if not node.handlers or importing:
        return _ensured(m, node, frame, lambda: _quiet(m, node, frame))
    key = ("raised", node.at, birth())
    m.story.ages[key] = birth()
    arms: list[tuple[Facts, Callable[[], Status]]] = [(((key, False),), lambda: _quiet(m, node, frame))]
    late = len(node.body) > 1 and any(isinstance(part, r.Attr) and part.name in _SWITCHING for s in node.body for part in r.walk(s))
    for index, handler in enumerate(node.handlers):
        arms.append((((key, True), ((key, index), True)), lambda handler=handler: _handle(m, handler, frame)))  # type: ignore[misc]
        if late:
            facts: Facts = ((key, True), ((key, index), True), ((key, "late"), True))
            arms.append((facts, lambda handler=handler: run(m, node.body[:-1], frame) or _handle(m, handler, frame)))  # type: ignore[misc]
    return _ensured(m, node, frame, lambda: branch(m, arms, site))


def _ensured(m: Machine, node: r.Try, frame: Frame, body: Callable[[], Status]) -> Status:
    """The `finally` runs however the body was left."""
    if not node.final:
        return body()
    held, outer = m.hold(site_of(node, frame))
    status = body()
    m.let_go(held, outer)
    last = run(m, node.final, frame)
    m.release(held)
    return last or status


def _quiet(m: Machine, node: r.Try, frame: Frame) -> Status:
    return run(m, node.body, frame) or run(m, node.orelse, frame)


def _handle(m: Machine, handler: r.Handler, frame: Frame) -> Status:
    if handler.name is not None:
        m.set(frame.vars, handler.name, Unknown(label=handler.name))
    return run(m, handler.body, frame)


# --- loops -------------------------------------------------------------------------------------------------------

_TRAINING = frozenset({"backward", "step", "zero_grad", "eval", "train"})


def _for(m: Machine, node: r.For, frame: Frame) -> Status:
    source = m.settle(expressions.evaluate(m, node.iter, frame))
    if isinstance(source, Choice):
        source = source.alternatives[0][1] if all(iteration.yields_batches(part) for _, part in source.alternatives) else source
    known = iteration.items(m, source)
    site = site_of(node, frame)
    if isinstance(source, Modules) and _touches(node, _SWITCHING):
        known = networks.modules(source, site)
    if known is not None and _unrolls(m, source, known, node, frame):
        return _unrolled(m, node, known, frame)

    def act() -> Status:
        item = m.settle(iteration.element(m, source, site))
        if m.loop is not None:
            m.loop.left = iteration.left(m, source, item, site)
            m.loop.counter = iteration.counter(source, item)
            if m.loop.counter is not None and m.loop.counter[1] == 0:
                m.story.firsts[m.loop.counter[0]] = m.loop, False
        if isinstance(item, Choice) and _touches(node, _TRAINING) and all(_pairs(part) for _, part in item.alternatives):
            # What belongs together stays together.
            return branch(m, [(facts, lambda part=part: _taken(m, node, part, frame)) for facts, part in item.alternatives], site)  # type: ignore[misc]
        return _taken(m, node, item, frame)

    status = repeat(m, site, frame, act, source_key(source), iteration.yields_batches(source))
    return status or run(m, node.orelse, frame)


def _taken(m: Machine, node: r.For, item: Value, frame: Frame) -> Status:
    bind(m, node.target, item, frame)
    return run(m, node.body, frame)


def _pairs(value: Value) -> bool:
    """Whether a value holds several objects that are trained, or train, together."""
    return isinstance(value, TupleVal) and sum(calls.holds(part) for part in value.items) > 1


def source_key(source: Value) -> Any:
    """Identifies the data that a loop walks over."""
    if isinstance(source, Service):
        return ("loader", source.id)
    if isinstance(source, Batches):
        return source_key(source.parts[0]) if source.parts else None
    return ("element-of", key_of(source))


MAX_ROUNDS = 256
"""Of nested loops in one function, all unrolled: more than that is data, not layers."""


def _unrolls(m: Machine, source: Value, known: list[Value], node: r.For, frame: Frame) -> bool:
    if len(known) <= 1:
        if isinstance(source, Range):
            # One epoch stands for many; but no layer, or one, is exactly that.
            return (bool(m.networks) or any(isinstance(part, r.Class) for part in m.active)) and not _touches(node, _TRAINING)
        return len(known) == 1
    if frame.rounds * len(known) > MAX_ROUNDS:
        return False
    trains = _touches(node, _TRAINING) and not isinstance(source, Modules)
    if isinstance(source, Range) or _counted(source):
        return not trains and len(known) <= 16
    return len(known) <= (6 if trains else iteration.UNROLLED)


def _touches(node: r.For, names: frozenset[str]) -> bool:
    return any(isinstance(part, r.Attr) and part.name in names for statement in node.body for part in r.walk(statement))


def _counted(source: Value) -> bool:
    return isinstance(source, Batches) and any(isinstance(part, Range) for part in source.parts)


def _unrolled(m: Machine, node: r.For, known: list[Value], frame: Frame) -> Status:
    """One pass for each item, each in a loop node of its own so that `break` and `continue` stay inside."""
    site = site_of(node, frame)
    previous: Union[Value, None] = None
    twice = False
    outer, frame.rounds = frame.rounds, frame.rounds * len(known)
    for item in known:
        if item is ABSENT:
            continue
        if item is previous:
            if twice:
                continue
            twice = True
        else:
            twice = False
        previous = item
        loop = Loop(site, m.round, None, batches=False)
        loop.once = True
        status = _round(m, loop, lambda item=item: _taken(m, node, item, frame))  # type: ignore[misc]
        if status in ("return", "raise"):
            frame.rounds = outer
            return status
        if status == "break":
            break
    frame.rounds = outer
    return run(m, node.orelse, frame)


def _round(m: Machine, loop: Loop, act: Callable[[], Status]) -> Status:
    outer = m.block, m.facts, m.loop, m.round
    m.block, m.round = loop.body, loop
    loop.start = birth()
    loop.calls = m.calls
    if not loop.once:
        m.loop = loop
    status = act()
    m.block, m.facts, m.loop, m.round = outer
    if has_events(loop.body) or any(True for _ in loop.body.items):
        m.block.items.append(loop)
    return status


def repeat(m: Machine, site: Site, frame: Frame, act: Callable[[], Status], data: Any, batches: bool, endless: bool = False) -> Status:
    """A loop of unknown length: once to learn what flows round, then once for the story. It is taken to run at least once."""
    if not m.warming:
        m.warming += 1
        outer_block, outer_facts, outer_journal = m.block, m.facts, m.journal
        m.block, m.journal = Block(), []
        returns, yields = len(frame.returns), len(frame.yields)
        warm = Loop(site, m.round, data, batches)
        _round(m, warm, act)
        del frame.returns[returns:]
        del frame.yields[yields:]
        changed = m.journal
        m.block, m.facts, m.journal = outer_block, outer_facts, outer_journal + changed
        m.warming -= 1
        flags = _carry(m, changed, warm)
    else:
        flags = []
    loop = Loop(site, m.round, data, batches)
    loop.endless = endless
    status = _round(m, loop, act)
    # Flags that every round leaves as the first one did tell the first round from the others.
    if flags and all(same(m._read(container, key), now) for container, key, now in flags):
        m.story.firsts[_mark(warm)] = loop, True
    if loop.body.items and not has_events(loop.body):
        m.block.items.remove(loop)
    return status if status in ("return", "raise") else None


def _mark(loop: Loop) -> Hashable:
    return ("first round", loop.start)


def _carry(m: Machine, changed: list[tuple[Any, Any, Any]], loop: Loop) -> list[tuple[Any, Any, Value]]:
    """At the head of the second round a slot holds what it held before the loop, or what the first round left. Returns the flags that
    the first round has set, and to what."""
    first: dict[tuple[int, Any], tuple[Any, Any, Any]] = {}
    for container, key, old in changed:
        first.setdefault((id(container), key), (container, key, old))
    flags: list[tuple[Any, Any, Value]] = []
    mark = _mark(loop)
    m.story.ages[mark] = loop.start
    for container, key, old in first.values():
        now = m._read(container, key)
        if not isinstance(old, Value) or not isinstance(now, Value) or old is now:
            continue
        m.journal.append((container, key, now))
        # A number that changes counts something, or adds it up: any round may find any.
        counted = _number(old) and _number(now)
        m._write(container, key, Unknown() if counted else choice([(((mark, True),), old), (((mark, False),), now)]))
        if _flag(old) and _flag(now):
            flags.append((container, key, now))
    return flags


def _flag(value: Value) -> bool:
    return isinstance(value, Const) and isinstance(value.value, bool)


def _number(value: Value) -> bool:
    return isinstance(value, Const) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool)


def _while(m: Machine, node: r.While, frame: Frame) -> Status:
    site = site_of(node, frame)

    def act() -> Status:
        test = expressions.evaluate(m, node.test, frame)
        m.facts = {**m.facts, **dict(expressions.conditions(m, test, True))}
        return run(m, node.body, frame)

    if expressions.truth(m, expressions.evaluate(m, node.test, frame)) is False:
        return run(m, node.orelse, frame)
    status = repeat(m, site, frame, act, None, False, endless=isinstance(node.test, r.Const) and bool(node.test.value))
    return status or run(m, node.orelse, frame)


# --- with --------------------------------------------------------------------------------------------------------


def _with(m: Machine, node: r.With, frame: Frame) -> Status:
    outcome: list[Status] = [None]

    def enter(index: int) -> None:
        if index == len(node.items):
            outcome[0] = run(m, node.body, frame)
            return
        item = node.items[index]
        manager = m.settle(expressions.evaluate(m, item.value, frame))

        def inside(value: Value) -> Value:
            if item.target is not None:
                bind(m, item.target, value, frame)
            enter(index + 1)
            return Unknown()

        calls.within(m, manager, site_of(item.value, frame), inside)

    before = m.facts
    enter(0)
    if outcome[0] is None:
        m.facts = before
    return outcome[0]


_RUN: dict[type, Callable[[Machine, Any, Frame], Status]] = {
    r.ExprStmt: _expression, r.Assign: _assign, r.AugAssign: _augment, r.Return: _return, r.If: _if, r.For: _for, r.While: _while,
    r.With: _with, r.Try: _try, r.Match: _match, r.Function: _function, r.Class: _class, r.Import: _import, r.ImportFrom: _import_from,
    r.Scope: _scope, r.Delete: _delete, r.Raise: _raise, r.Assert: _assert, r.Break: _break, r.Continue: _continue,
}  # fmt: skip
