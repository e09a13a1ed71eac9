"""Calls: what is called decides who answers. Project functions are run in place; libraries are looked up in the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.optimizers import OPTIMIZERS
from nnlint.knowledge.schema import Kind, Op
from nnlint.trace import attributes, collections, expressions, fields, iteration, library, networks, statements, tensors, training
from nnlint.trace.arguments import Args, Pending
from nnlint.trace.machine import MAX_ITEMS, Frame, Machine
from nnlint.trace.story import Escape, Held, Step, steps
from nnlint.trace.values import (
    NONE,
    Batches,
    Bound,
    Choice,
    ClassVal,
    Const,
    DictVal,
    External,
    FuncVal,
    GradVal,
    Instance,
    Iterable,
    ListVal,
    Network,
    Obj,
    Optimizer,
    Params,
    Partial,
    Range,
    Service,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    choice,
    tensors_of,
)

MAX_DEPTH = 48
MAX_PARTS = 6
AUTOGRAD = Op("autograd", Kind.KEEP)


def call(m: Machine, func: Value, args: Args, site: Site) -> Value:
    """`func(args)`."""
    m.spend()
    if isinstance(func, FuncVal):
        return invoke(m, func, args, site)
    if isinstance(func, Bound):
        if isinstance(func.func, FuncVal):
            if isinstance(func.receiver, Network) and not m.networks and _is_forward(func.receiver, func.func):
                return networks.forward(m, func.receiver, args, site)
            if isinstance(func.receiver, Optimizer) and func.func.name == "step":
                return _own_step(m, func.receiver, func.func, args, site)
            return invoke(m, func.func, args, site, func.receiver)
        return _method(m, func.receiver, func.func, args, site)
    if isinstance(func, Partial):
        merged = Args([*func.args, *args.positional], {**func.kwargs, **args.keywords})
        merged.open, merged.rest = args.open, args.rest
        merged.placed = None if args.placed is None else args.placed + len(func.args)
        return call(m, func.func, merged, site)
    if isinstance(func, ClassVal):
        return construct(m, func, args, site)
    if isinstance(func, External):
        return library.call(m, func.name, args, site)
    if isinstance(func, Network):
        return networks.forward(m, func, args, site)
    if isinstance(func, Instance):
        found = attributes.method(func.cls, "__call__")
        if found is not None:
            return invoke(m, found, args, site, func)
        escape(m, [func, *args.values()], site)
        return Unknown()
    if isinstance(func, Service):
        return library.call_service(m, func, args, site)
    if isinstance(func, Choice):
        return m.each(func, site, lambda part: call(m, part, args, site))
    if isinstance(func, Unknown):
        return _unknown(m, func, args, site)
    escape(m, args.values(), site)
    return Unknown()


def _own_step(m: Machine, opt: Optimizer, func: FuncVal, args: Args, site: Site) -> Value:
    """A `step` of the project: where it calls no other, it is itself the step."""
    block, before = m.block, len(m.block.items)
    result = invoke(m, func, args, site, opt)
    if not any(steps(item) for item in block.items[before:]):
        event = Step(site, opt)
        event.calls, event.loop = m.calls, m.round
        block.items.insert(before, event)
    return result


def _is_forward(net: Network, func: FuncVal) -> bool:
    """Whether `net.func(x)` is as good as `net(x)`."""
    return func.name in ("forward", "__call__") and net.cls is not None and attributes.method(net.cls, func.name) is func


def _method(m: Machine, receiver: Value, name: str, args: Args, site: Site) -> Value:
    """A method that is not the project's."""
    if isinstance(receiver, Tensor):
        return tensors.method(m, receiver, name, args, site)
    if isinstance(receiver, Network):
        return networks.method(m, receiver, name, args, site)
    if isinstance(receiver, Optimizer):
        return training.optimizer_method(m, receiver, name, args, site)
    if isinstance(receiver, Service):
        return library.service_method(m, receiver, name, args, site)
    if isinstance(receiver, (ListVal, DictVal, TupleVal, Const, Batches, Iterable, Range)):
        return collections.method(m, receiver, name, args, site)
    if isinstance(receiver, GradVal):
        return training.grad_method(m, receiver, name, site)
    if isinstance(receiver, Params):
        return training.params_method(m, receiver, name, args, site)
    if isinstance(receiver, ClassVal):
        if name == "torch.autograd.Function.apply":
            return _autograd(m, receiver, args, site)
        # An alternative constructor of a library base: `Net.from_pretrained(...)`.
        return construct(m, receiver, _opened(), site) if network_class(receiver) else Unknown()
    if isinstance(receiver, Instance) and name == "super.__init__":
        return NONE
    if isinstance(receiver, FuncVal):
        return call(m, receiver, args, site) if name == "__call__" else Unknown()
    escape(m, [receiver, *args.values()], site)
    return Unknown()


def _autograd(m: Machine, cls: ClassVal, args: Args, site: Site) -> Value:
    """`Function.apply(x)`: what `forward` computes, with a gradient that `backward` leads to the arguments."""
    found = attributes.method(cls, "forward")
    if found is None:
        return Unknown()
    context = [] if attributes.method(cls, "setup_context") is not None else [Unknown(label="ctx")]
    given = Args([*context, *args.positional], args.keywords)
    inputs = [value for value in args.values() if tensors_of(value)]
    return m.each(invoke(m, found, given, site), site, lambda value: _graded(m, value, inputs, site))


def _graded(m: Machine, value: Value, inputs: list[Value], site: Site) -> Value:
    if isinstance(value, TupleVal):
        return TupleVal(tuple(_graded(m, part, inputs, site) for part in value.items))
    if not isinstance(value, Tensor):
        return tensors.make(m, tensors.OPAQUE, site, inputs, {}) if inputs and isinstance(value, Unknown) else value
    return tensors.make(m, AUTOGRAD, site, [value, *inputs], {}, layout=value.layout)


def _opened() -> Args:
    args = Args()
    args.open = True
    return args


def _unknown(m: Machine, func: Unknown, args: Args, site: Site) -> Value:
    """A call of something that was not followed. Its name and receiver say a little."""
    key = func.key
    if isinstance(key, tuple) and len(key) == 3 and key[0] == "attr":
        receiver = Unknown(key[1], func.label.rpartition(".")[0], func.born)
        answer = training.unknown_method(m, receiver, str(key[2]), args, site)
        if answer is not None:
            return answer
        if key[2] in tensors.TENSOR_METHODS:
            return tensors.method(m, tensors.as_tensor(m, receiver, site), str(key[2]), args, site)
        if key[2] in _ITERATORS and not args.positional:
            born = birth()
            return Unknown(("call", key, born), born=born)
    hand_over(m, args, site)
    escape(m, args.values(), site)
    inputs = [value for value in args.values() if tensors_of(value)]
    if inputs and isinstance(key, tuple) and len(key) == 3 and key[0] == "call" and isinstance(key[1], str):
        return tensors.opaque(m, inputs, site)  # an object that a library made: what it computes depends on what it is given
    born = birth()
    return Unknown(("call", key, born), born=born)


_ITERATORS = frozenset({"items", "keys", "values"})


def hand_over(m: Machine, args: Args, site: Site, first: tuple[Value, ...] = ()) -> None:
    """A function that trains and is given away is run where it goes: as the objective of a search, in another process."""
    for value in args.values():
        func = value.func if isinstance(value, (Bound, Partial)) else value
        if not isinstance(func, FuncVal) or not isinstance(func.node, r.Function) or (func.file.key, func.node.at) in m.reached:
            continue
        if "backward" in func.node.words or trains(m, func):
            given = args.keywords.get("args")
            known = iteration.items(m, given) if given is not None else None
            call(m, value, Args([*first, *known]) if known is not None else _opened(), site)


def trains(m: Machine, func: FuncVal, depth: int = 3) -> bool:
    """Whether a function calls, by names that its module defines or imports, something that trains and was not reached."""
    if func.frame is None or not isinstance(func.node, r.Function):
        return False
    for name in func.node.words:
        value = func.frame.top.vars.get(name)
        if isinstance(value, ClassVal) and (value.file.key, value.node.at) not in m.visited and "backward" in words(value):
            return True
        if isinstance(value, FuncVal) and isinstance(value.node, r.Function) and (value.file.key, value.node.at) not in m.reached:
            if value is not func and ("backward" in value.node.words or (depth and trains(m, value, depth - 1))):
                return True
    return False


def words(cls: ClassVal) -> frozenset[str]:
    """All names in the methods of a class itself."""
    parts = [value.func if isinstance(value, Bound) else value for value in cls.attrs.values()]
    return frozenset().union(*(part.node.words for part in parts if isinstance(part, FuncVal) and isinstance(part.node, r.Function)))


def escape(m: Machine, values: list[Value], site: Site) -> None:
    """Objects go where they cannot be followed."""
    held = [value for value in values if holds(value)]
    if held:
        m.tell(Escape(site, tuple(held)))


def holds(value: Value, depth: int = 0) -> bool:
    """Whether there is a network, an optimizer or a service in a value."""
    if isinstance(value, (Network, Optimizer)):
        return True
    if depth > 3:
        return False
    if isinstance(value, Instance):
        return any(holds(part, depth + 1) for part in value.attrs.values())
    if isinstance(value, (ListVal, TupleVal)):
        return any(holds(part, depth + 1) for part in value.items)
    if isinstance(value, DictVal):
        return any(holds(part, depth + 1) for part in value.entries.values())
    if isinstance(value, Choice):
        return any(holds(part, depth + 1) for _, part in value.alternatives)
    if isinstance(value, Bound):
        return holds(value.receiver, depth + 1)
    if isinstance(value, Partial):
        return any(holds(part, depth + 1) for part in (value.func, *value.args, *value.kwargs.values()))
    return isinstance(value, (FuncVal, Service)) and isinstance(value, Service)


# --- project functions -------------------------------------------------------------------------------------------


def invoke(m: Machine, func: FuncVal, args: Args, site: Site, receiver: Union[Value, None] = None) -> Value:
    """Run a project function in place."""
    node = func.node
    if func.is_context and isinstance(node, r.Function):
        return Pending(func, args, receiver)
    m.reached.add((func.file.key, node.at))
    if m.depth >= MAX_DEPTH or (m.active.count(node) >= 2 and not _building(m, node)):
        escape(m, args.values(), site)
        return Unknown()
    if m.chores.done(func, args.values() if receiver is None else [receiver, *args.values()]):
        return Unknown()
    watch = m.chores.watch(m, func, receiver)
    frame = enter(m, func, args, site, receiver)
    result = execute(m, func, frame, site)
    if watch is not None:
        watch.over(m, result)
    return result


def _building(m: Machine, node: object) -> bool:
    """Whether a function that is at work already makes another class each time: a registry's `build`, called for the parts of a whole."""
    made: list[object] = []
    inside = False
    for active in m.active:
        if active is node:
            if inside:
                return False
            inside = True
        elif inside and isinstance(active, r.Class):
            made.append(active)
            inside = False
    return not inside and len(set(map(id, made))) == len(made) <= MAX_PARTS


def enter(m: Machine, func: FuncVal, args: Args, site: Site, receiver: Union[Value, None]) -> Frame:
    """A frame with the parameters bound."""
    frame = Frame(func.file, func.frame, (*m.calls, site))
    frame.func = func.node
    frame.owner = func.owner
    if isinstance(func.node, r.Function):
        frame.locals = func.node.locals
    if receiver is not None and not func.is_static:
        args = args.after(receiver)
        frame.receiver = receiver
    elif func.frame is not None and func.owner is None:
        frame.receiver = func.frame.receiver
        frame.owner = func.frame.owner
    elif args.positional and func.owner is not None:
        frame.receiver = args.positional[0]
    _bind(m, func, args, frame, site)
    return frame


def _bind(m: Machine, func: FuncVal, args: Args, frame: Frame, site: Site) -> None:
    positional = list(args.positional[: args.placed])
    keywords = dict(args.keywords)
    for param in func.node.params:
        value: Union[Value, None]
        if param.kind == "*":
            extra = TupleVal(tuple(positional))
            positional = []
            value = extra
            if args.open:
                loose = ListVal(site, list(extra.items))
                loose.growing = True
                value = loose
        elif param.kind == "**":
            value = DictVal(site, dict(keywords), open=args.open or args.loose)
            keywords = {}
        elif param.kind == "positional" and positional:
            value = positional.pop(0)
        elif param.name in keywords:
            value = keywords.pop(param.name)
        elif param.name in func.defaults and not args.open:
            value = func.defaults[param.name]
        else:
            value = guess(m, param, func, site)
        frame.vars[param.name] = value


def guess(m: Machine, param: r.Param, func: FuncVal, site: Site) -> Value:
    """An argument that no call site gives: what its annotation says, else unknown."""
    if param.annotation is not None and func.frame is not None:
        named = m.settle(expressions.evaluate(m, param.annotation, func.frame))
        made = training.annotated(m, named, param.name, Site(func.file.key, param.at))
        if made is not None:
            return made
    if param.name in func.defaults:
        default = func.defaults[param.name]
        born = birth()
        return (
            Unknown(("param", func.file.key, func.node.at, param.name, born), param.name, born) if isinstance(default, Const) else default
        )
    born = birth()
    return Unknown(("param", func.file.key, func.node.at, param.name, born), param.name, born)


def execute(m: Machine, func: FuncVal, frame: Frame, site: Site, handler: Union[Callable[[Value], Value], None] = None) -> Value:
    """Run the body of a function whose frame is set up; `handler` takes what it yields."""
    node = func.node
    kept = m.calls, m.facts, m.grad, m.decided
    m.calls, m.decided = frame.calls, 0
    m.grad = m.grad and not func.no_grad
    frame.base_facts = m.facts
    m.depth += 1
    m.active.append(node)
    scope, outer = m.open_scope(site)
    try:
        if isinstance(node, r.Lambda):
            return expressions.evaluate(m, node.body, frame)
        if handler is not None:
            frame.handlers.append(handler)
        status = statements.run(m, node.body, frame)
        if node.is_generator:
            if handler is not None:
                return NONE
            return Iterable(choice([((), value) for value in frame.yields]) if frame.yields else Unknown(), batches=True)
        if status is None:
            frame.returns.append((m.since(frame), NONE))
        return choice(_informative(frame.returns)) if frame.returns else Unknown()
    finally:
        m.close_scope(scope, outer)
        m.active.pop()
        m.depth -= 1
        m.calls, m.facts, m.grad, m.decided = kept


def _informative(returns: list[tuple[tuple[tuple[object, bool], ...], Value]]) -> list[tuple[tuple[tuple[object, bool], ...], Value]]:
    """An early `return None` beside returned values is a way out that callers test for, not a value they use."""
    useful = [(facts, value) for facts, value in returns if not (isinstance(value, Const) and value.value is None)]
    return useful or returns


# --- classes -----------------------------------------------------------------------------------------------------


def network_class(cls: ClassVal) -> bool:
    return any(isinstance(base, External) and networks.is_network(base.name) for base in attributes.mro(cls))


def optimizer_class(cls: ClassVal) -> bool:
    return any(
        isinstance(base, External) and (base.name in OPTIMIZERS or base.name == "torch.optim.Optimizer") for base in attributes.mro(cls)
    )


def construct(m: Machine, cls: ClassVal, args: Args, site: Site) -> Value:
    """`Cls(args)`: a network, an optimizer or a plain object."""
    m.visited.add((cls.file.key, cls.node.at))
    made: Union[Network, Optimizer, Instance]
    if network_class(cls):
        made = networks.of_class(m, cls, site)
    elif optimizer_class(cls):
        made = Optimizer(site, cls.name, Params(None))
        made.cls = cls
    else:
        made = Instance(site, cls)
    m.objects[cls.file.key, cls.node.at] = made
    if m.depth >= MAX_DEPTH or m.active.count(cls.node) >= 3 or (isinstance(made, Network) and _tried(m, cls, args)):
        if isinstance(made, Network):
            made.hollow = True
            made.complete = False
        return made
    init = attributes.method(cls, "__init__")
    if init is None:
        _fields(m, made, cls, args, site)
        return made
    m.active.append(cls.node)
    kept, m.networks = m.networks, []
    try:
        invoke(m, init, args, site, made)
    finally:
        m.networks = kept
        m.active.pop()
    return made


ENOUGH = 1


def _tried(m: Machine, cls: ClassVal, args: Args) -> bool:
    """Where no script runs, a class that was built a few times already with the same flags shows nothing new."""
    if m.story.script:
        return False
    given = [*enumerate(args.positional), *args.keywords.items()]
    flags = tuple((name, value.value) for name, value in given if isinstance(value, Const) and type(value.value) not in (int, float))
    m.tried[cls.node, flags] += 1
    return m.tried[cls.node, flags] > ENOUGH


def _fields(m: Machine, made: Union[Network, Optimizer, Instance], cls: ClassVal, args: Args, site: Site) -> None:
    """No `__init__` of its own: the library's, or the fields of a dataclass."""
    if isinstance(made, Network):
        networks.super_init(m, made, args, site)
        return
    if isinstance(made, Optimizer):
        training.super_init(m, made, args)
        return
    fields.fill(m, made, cls, args, site)


def super_of(m: Machine, node: r.Call, frame: Frame) -> Value:
    """`super()` and `super(Cls, self)`."""
    from nnlint.trace.values import SuperVal

    if len(node.args) >= 2:
        owner = m.settle(expressions.evaluate(m, node.args[0].value, frame))
        receiver = m.settle(expressions.evaluate(m, node.args[1].value, frame))
        return SuperVal(owner, receiver) if isinstance(owner, ClassVal) else Unknown()
    if frame.owner is None or frame.receiver is None:
        return Unknown()
    return SuperVal(frame.owner, frame.receiver)


# --- decorators and `with` ---------------------------------------------------------------------------------------

_TRANSPARENT = frozenset({"functools.wraps", "functools.lru_cache", "functools.cache"})


def decorate(m: Machine, value: Value, func: FuncVal, decorator: r.Expr, frame: Frame) -> Value:
    """What a decorator makes of a function. Unknown ones are taken to leave it as it is."""
    found = m.settle(expressions.evaluate(m, decorator, frame))
    name = found.name if isinstance(found, External) else found.name if isinstance(found, Service) else ""
    if name in ("builtins.property", "functools.cached_property"):
        func.is_property = True
    elif name == "builtins.staticmethod":
        func.is_static = True
    elif name == "builtins.classmethod":
        func.is_class = True
    elif name in ("contextlib.contextmanager", "contextlib.asynccontextmanager"):
        func.is_context = True
    elif name in ("torch.no_grad", "torch.inference_mode"):
        func.no_grad = True
    elif isinstance(found, (FuncVal, ClassVal, Instance)) or (isinstance(found, Bound) and isinstance(found.func, FuncVal)):
        if isinstance(found, FuncVal):
            m.decorated[(found.file.key, found.node.at)] += 1
            if m.decorated[(found.file.key, found.node.at)] > MAX_ITEMS:
                return value  # a registry; it is open from here on
        made = call(m, found, Args([value]), expressions.site_of(decorator, frame))
        if isinstance(made, (FuncVal, Partial, Bound, Instance)):
            return made
    return value


def decorate_class(m: Machine, cls: Value, decorator: r.Expr, frame: Frame) -> Value:
    """What a decorator makes of a class: those of the project put it into registries."""
    found = m.settle(expressions.evaluate(m, decorator, frame))
    if isinstance(found, (FuncVal, Instance)) or (isinstance(found, Bound) and isinstance(found.func, FuncVal)):
        made = call(m, found, Args([cls]), expressions.site_of(decorator, frame))
        return made if isinstance(made, ClassVal) else cls
    return cls


def within(m: Machine, manager: Value, site: Site, inside: Callable[[Value], Value]) -> None:
    """`with manager as x:`; `inside` runs the body with the entered value."""
    if isinstance(manager, Choice):
        manager = manager.alternatives[0][1]
    if isinstance(manager, Pending):
        _generated(m, manager, site, inside)
        return
    if isinstance(manager, Service):
        library.enter_service(m, manager, site, inside)
        return
    if isinstance(manager, Instance):
        entered: Value = manager
        begin, end = attributes.method(manager.cls, "__enter__"), attributes.method(manager.cls, "__exit__")
        if begin is not None:
            entered = invoke(m, begin, Args(), site, manager)
        held, outer = m.hold(site)
        inside(entered)
        m.let_go(held, outer)
        if end is not None:
            invoke(m, end, Args([NONE, NONE, NONE]), site, manager)
        m.release(held)
        return
    inside(manager if isinstance(manager, (Batches, Iterable, Obj, Range, Tensor)) else Unknown())


def _generated(m: Machine, manager: Pending, site: Site, inside: Callable[[Value], Value]) -> None:
    """The body of the `with` runs where the generator yields."""
    m.reached.add((manager.func.file.key, manager.func.node.at))
    outer = m.calls
    bodies: list[Held] = []

    def handler(value: Value) -> Value:
        frame.handlers.pop()
        kept, m.calls = m.calls, outer
        held, block = m.hold(site)
        bodies.append(held)
        inside(value)
        m.let_go(held, block)
        m.calls = kept
        frame.handlers.append(handler)
        return Unknown()

    frame = enter(m, manager.func, manager.args, site, manager.receiver)
    execute(m, manager.func, frame, site, handler)
    for held in bodies:
        m.release(held)
    if not bodies:
        inside(Unknown())


def service_attribute(m: Machine, value: Service, name: str, site: Site) -> Value:
    return library.service_attribute(m, value, name, site)
