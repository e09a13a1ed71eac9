"""Calls of library functions and methods of library objects, by the tables of `nnlint.knowledge`."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Union

from nnlint.findings import Site
from nnlint.knowledge.data import ITERABLES, LOADERS, RANGES
from nnlint.knowledge.frameworks import BROADCASTS, DISTRIBUTED_AUTOGRAD, FRAMEWORKS, INITIALIZERS, METHOD_EFFECTS, SCALING_CONTEXTS
from nnlint.knowledge.functions import FUNCTIONS
from nnlint.knowledge.layers import LAYERS
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.names import GRAD_CONTEXTS, LIBRARIES
from nnlint.knowledge.networks import CALLERS, COPIES, IN_TUPLE, NETWORK_FACTORIES, NETWORK_METHODS, NO_NETWORKS, WRAPPERS
from nnlint.knowledge.optimizers import CLIPS, OPTIMIZER_FACTORIES, OPTIMIZERS, SCALERS, SCHEDULERS, WRAPPING_OPTIMIZERS
from nnlint.knowledge.schema import Factory, Kind, Op
from nnlint.trace import attributes, calls, collections, expressions, fields, hooks, iteration, measures, networks, tensors, training
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Machine
from nnlint.trace.story import Copied, GradUse, Zero
from nnlint.trace.values import (
    FALSE,
    NONE,
    TRUE,
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
    Service,
    SizeVal,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    born_of,
    key_of,
    tensors_of,
)

Handler = Callable[[Machine, "Args", Site], Value]


def call(m: Machine, name: str, args: Args, site: Site) -> Value:
    """A call of the library member with this public qualified name."""
    for value in args.values():
        if isinstance(value, GradVal):
            m.tell(GradUse(site, value.params, written=False))
    special = SPECIAL.get(name)
    if special is not None:
        return special(m, args, site)
    if name in FUNCTIONS:
        return tensors.function(m, FUNCTIONS[name], args, site)
    if name in LOSSES:
        if name.rpartition(".")[2][0].isupper():
            return networks.build(m, name, args, site)
        return tensors.loss(m, LOSSES[name], args, site, None)
    if name in LAYERS:
        return networks.build(m, name, args, site)
    if name in OPTIMIZERS or name in OPTIMIZER_FACTORIES:
        return _optimizer(m, name, args, site)
    if name in WRAPPING_OPTIMIZERS:
        inner = next((value for value in args.values() if isinstance(value, Optimizer)), None)
        return inner if inner is not None else training.optimizer(m, name, args, site)
    if name in WRAPPERS:
        return args.get(0, WRAPPERS[name]) or Unknown()
    if name in COPIES:
        return _copy(m, args.get(0, COPIES[name]), site, exact=name == "copy.deepcopy")
    found = _factory(name)
    if found is not None:
        return _network(m, name, found, args, site)
    if name in CALLERS and args.positional:
        inner_args = Args(
            list(args.positional[1:]), {k: v for k, v in args.keywords.items() if k not in ("use_reentrant", "preserve_rng_state")}
        )
        return m.each(args.positional[0], site, lambda one: calls.call(m, one, inner_args, site))
    if name in LOADERS:
        return Service(site, "loader", name, args.named(LOADERS[name]))
    if name in SCHEDULERS:
        return Service(site, "scheduler", name, dict(enumerate_args(args)))
    if name in SCALERS:
        return Service(site, "scaler", name, dict(args.keywords))
    if name in CLIPS or name in BROADCASTS:
        return Unknown()
    if name in GRAD_CONTEXTS:
        return _grad_context(m, name, args, site)
    if name in SCALING_CONTEXTS or name in DISTRIBUTED_AUTOGRAD:
        return Service(site, "context", name, dict(enumerate_args(args)))
    if name in INITIALIZERS:
        return _initialize(m, name, args, site)
    if name in FRAMEWORKS:
        hooks.supervise(m, name, args, site)
    if name in METHOD_EFFECTS:
        calls.escape(m, [value for value in args.values() if isinstance(value, Optimizer)], site)
        return Service(site, "framework", name, dict(enumerate_args(args)))
    return _other(m, name, args, site)


def enumerate_args(args: Args) -> list[tuple[str, Value]]:
    return [(str(index), value) for index, value in enumerate(args.positional)] + list(args.keywords.items())


def _other(m: Machine, name: str, args: Args, site: Site) -> Value:
    """A library function that no table knows. What depends on tensors goes on depending on them."""
    top = name.split(".")[0]
    calls.hand_over(m, args, site, (Unknown(label="rank"),) if name.endswith(".spawn") else ())
    if top not in LIBRARIES and top not in ("torch", "torchvision", "builtins", "warnings", "transformers", "torchaudio"):
        calls.escape(m, args.values(), site)
    inputs = [value for value in args.values() if tensors_of(value)]
    if inputs and top != "builtins":
        return tensors.opaque(m, inputs, site)
    born = birth()
    value = Unknown(("call", name, born), born=born)
    if name.startswith(
        (
            "torchvision.datasets.",
            "torchtext.",
            "datasets.",
            "sklearn.",
            "pandas.",
            "numpy.load",
            "torch.load",
            "numpy.genfromtxt",
            "numpy.loadtxt",
        )
    ):
        return Unknown(("element", ("data", born)), born=born)
    return value


# --- networks and optimizers -------------------------------------------------------------------------------------


def _factory(name: str) -> Union[Factory, None]:
    known = NETWORK_FACTORIES.get(name)
    if known is not None:
        return known
    owner, _, method = name.rpartition(".")
    library = owner.split(".")[0]
    if method in NETWORK_METHODS.get(library, {}) and not owner.endswith(NO_NETWORKS):
        return NETWORK_METHODS[library][method]
    return None


def _network(m: Machine, name: str, factory: Factory, args: Args, site: Site) -> Value:
    made = Network(site, name)
    made.factory = factory
    made.complete = False
    made.loop = m.round
    weights = args.get(0, "pretrained") or args.keywords.get("weights")
    made.loaded = "pretrained" in name or (weights is not None and not (isinstance(weights, Const) and not weights.value))
    if name in IN_TUPLE:
        items: list[Value] = [Unknown(), Unknown(), Unknown()]
        items[IN_TUPLE[name]] = made
        return TupleVal(tuple(items))
    return made


def _copy(m: Machine, value: Union[Value, None], site: Site, exact: bool) -> Value:
    """A copy is another network of the same kind, in the same mode if `exact`; copies of plain values are as good as the value."""
    if value is None:
        return Unknown()
    done: dict[int, Value] = {}
    result = m.each(value, site, lambda one: _copied(m, one, site, done))
    inner: set[int] = set()
    for made in done.values() if exact else ():
        # Outermost ones come first, and speak for their parts.
        if isinstance(made, Network) and made.origin is not None and id(made) not in inner:
            inner |= networks.parts(made).keys()
            m.tell(Copied(site, made, made.origin))
    return result


def _copied(m: Machine, value: Value, site: Site, done: dict[int, Value]) -> Value:
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, Network):
        made = Network(value.site, value.name, "")
        done[id(value)] = made
        made.cls, made.layer, made.loss, made.factory = value.cls, value.layer, value.loss, value.factory
        made.args, made.complete, made.loaded = dict(value.args), value.complete, value.loaded
        made.origin, made.loop = value, m.round
        made.items = None if value.items is None else [(key, _copied(m, part, site, done)) for key, part in value.items]
        for key, part in value.attrs.items():
            made.attrs[key] = _copied(m, part, site, done)
        return made
    if isinstance(value, Optimizer):
        made_opt = Optimizer(value.site, value.name, value.params)
        made_opt.cls = value.cls
        made_opt.attrs.update(value.attrs)
        return made_opt
    if isinstance(value, ListVal):
        made_list = ListVal(site, [_copied(m, part, site, done) for part in value.items], value.kind)
        made_list.growing = value.growing
        return made_list
    if isinstance(value, DictVal):
        return DictVal(site, {key: _copied(m, part, site, done) for key, part in value.entries.items()}, value.open)
    if isinstance(value, Bound) and id(value.receiver) in done:
        return Bound(done[id(value.receiver)], value.func)
    return value


def _optimizer(m: Machine, name: str, args: Args, site: Site) -> Value:
    holder = OPTIMIZER_FACTORIES.get(name)
    if holder is not None:
        given = args.keywords.get(holder) or next((value for value in args.positional if isinstance(value, Network)), None)
        return Optimizer(site, name, training.params_of(given))
    return training.optimizer(m, name, args, site)


def _initialize(m: Machine, name: str, args: Args, site: Site) -> Value:
    """`apex.amp.initialize(model, optimizer)` gives back what it was given; an engine owns its steps."""
    given = {"models": args.get(0, "models"), "optimizers": args.get(1, "optimizers")}
    items: list[Value] = []
    for role in INITIALIZERS[name]:
        if role in given:
            items.append(given[role] or Unknown())
        elif role == "engine":
            items.append(Service(site, "engine", "deepspeed.DeepSpeedEngine", {"model": args.get(1, "model") or Unknown()}))
        else:
            items.append(Unknown())
    if name == "apex.amp.initialize" and given["optimizers"] is None:
        return items[0]
    return TupleVal(tuple(items))


# --- contexts ----------------------------------------------------------------------------------------------------


def _grad_context(m: Machine, name: str, args: Args, site: Site) -> Value:
    func = args.positional[0] if args.positional else None
    if isinstance(func, FuncVal):
        func.no_grad = name in ("torch.no_grad", "torch.inference_mode")
        return func
    flag = args.get(0, "mode")
    made = Service(site, "grad", name, {"flag": flag} if flag is not None else {})
    if name == "torch.set_grad_enabled" and flag is not None:
        decided = expressions.truth(m, flag)
        if isinstance(decided, bool):
            made.args["before"] = TRUE if m.grad else FALSE
            m.grad = decided
    return made


def enter_service(m: Machine, service: Service, site: Site, inside: Callable[[Value], Value]) -> None:
    """`with service as x:`."""
    if service.kind == "grad":
        kept = m.grad
        if "before" in service.args:
            kept = service.args["before"] is TRUE
        grad = GRAD_CONTEXTS[service.name]
        if grad is None or "flag" in service.args:
            decided = expressions.truth(m, service.args.get("flag", TRUE))
            if grad is None:
                grad = decided if isinstance(decided, bool) else kept
            elif decided is False:
                grad = kept
        m.grad = grad
        inside(NONE)
        m.grad = kept
        return
    if service.name in SCALING_CONTEXTS:
        inside(service.args.get("0", Unknown()))
        return
    if service.name in DISTRIBUTED_AUTOGRAD:
        # Each context keeps gradients of its own: a fresh start.
        m.tell(Zero(site, Params(None)))
        inside(Unknown())
        m.tell(Zero(site, Params(None)))
        return
    inside(service)


# --- library objects ---------------------------------------------------------------------------------------------


def service_attribute(m: Machine, value: Service, name: str, site: Site) -> Value:
    """An attribute of a library object."""
    if value.kind == "loader" and name in ("dataset", "sampler", "batch_size", "collate_fn"):
        return value.args.get(name, Unknown(("attr", value.id, name), name))
    if value.kind == "engine" and name in ("module", "model"):
        return value.args["model"]
    return Bound(value, name)


def service_method(m: Machine, value: Service, name: str, args: Args, site: Site) -> Value:
    """A method of a library object, by what the tables say of its effect."""
    if value.kind == "scaler" or value.kind == "framework" or value.kind == "engine":
        effect = METHOD_EFFECTS.get(value.name, METHOD_EFFECTS["torch.amp.GradScaler"] if value.kind == "scaler" else {}).get(name, "")
        return _effect(m, effect, value, args, site)
    if value.kind in ("scheduler", "loader", "grad"):
        if value.kind == "loader" and name in ("__iter__", "iter"):
            return value
        return Unknown()
    calls.escape(m, args.values(), site)
    return Unknown()


def _effect(m: Machine, effect: str, value: Service, args: Args, site: Site) -> Value:
    first = args.positional[0] if args.positional else next(iter(args.keywords.values()), None)
    if effect == "prepare":
        return first if len(args.positional) == 1 and first is not None else TupleVal(tuple(args.positional))
    if effect in ("same", "scale", "loader", "host"):
        if effect == "scale" and isinstance(first, (ListVal, TupleVal)):
            return first
        return first if first is not None else Unknown()
    if effect == "backward" and first is not None:
        return training.backward(m, first, site) if value.kind != "engine" else NONE
    if effect == "step" and isinstance(first, Optimizer):
        return calls.call(m, attributes.get(m, first, "step", site), Args(args.positional[1:]), site)
    if effect == "step" and isinstance(first, Choice):
        return m.each(first, site, lambda one: _effect(m, effect, value, Args([one]), site))
    if effect in ("autocast", "gate"):
        return Service(site, "context", effect, {})
    if effect in ("clip", "clip-value", "unscale", "none"):
        return Unknown()
    if effect in ("train", "eval") and isinstance(value.args.get("model"), Network):
        networks.switch(m, value.args["model"], Const(effect == "train"), site)
        return value
    if effect == "fit" and value.name in FRAMEWORKS and FRAMEWORKS[value.name].process:
        hooks.process(m, value.name, value, args, site)
    calls.escape(m, args.values() if value.kind != "scaler" else [], site)
    return Unknown()


def call_service(m: Machine, value: Service, args: Args, site: Site) -> Value:
    """A library object that is called: an engine runs its network; a stepping scaler steps."""
    if value.kind == "engine" and isinstance(value.args.get("model"), Network):
        model = value.args["model"]
        assert isinstance(model, Network)
        return networks.forward(m, model, args, site)
    effect = METHOD_EFFECTS.get(value.name, {}).get("__call__", "")
    if "step" in effect:
        if args.positional:
            training.backward(m, args.positional[0], site)
        for opt in args.values():
            if isinstance(opt, Optimizer):
                training.step(m, opt, None, site)
        return NONE
    calls.escape(m, args.values(), site)
    return Unknown()


# --- builtins and friends ----------------------------------------------------------------------------------------


def _combine(how: str) -> Handler:
    return lambda m, args, site: Batches(how, tuple(args.positional))


def _passing(parameter: str) -> Handler:
    def handler(m: Machine, args: Args, site: Site) -> Value:
        return args.get(0, parameter) or Unknown()

    return handler


def _list(kind: str) -> Handler:
    def handler(m: Machine, args: Args, site: Site) -> Value:
        if not args.positional:
            return ListVal(site, [], kind)
        return m.each(
            args.positional[0], site, lambda one: collections.plain_list(m, one, site, kind) if not isinstance(one, Service) else one
        )

    return handler


def _dict(m: Machine, args: Args, site: Site) -> Value:
    entries = dict(args.keywords)
    is_open = args.open
    for value in args.positional:
        if isinstance(value, DictVal):
            entries.update({str(key): part for key, part in value.entries.items()})
            is_open = is_open or value.open
        else:
            for item in iteration.items(m, value) or []:
                if isinstance(item, TupleVal) and len(item.items) == 2 and isinstance(item.items[0], Const):
                    entries[str(item.items[0].value)] = item.items[1]
            is_open = is_open or iteration.items(m, value) is None
    return DictVal(site, dict(entries), is_open)


def _len(m: Machine, args: Args, site: Site) -> Value:
    return m.each(args.positional[0], site, lambda one: length(m, one, site)) if args.positional else Unknown()


def length(m: Machine, value: Value, site: Site) -> Value:
    """`len(value)`."""
    known = iteration.items(m, value)
    if known is not None:
        return Const(len(known))
    if isinstance(value, Tensor):
        return measures.size(value, 0)
    if isinstance(value, Instance):
        found = attributes.method(value.cls, "__len__")
        if found is not None:
            return calls.call(m, Bound(value, found), Args(), site)
    return Unknown(("len", key_of(value)), "len")


def _isinstance(m: Machine, args: Args, site: Site) -> Value:
    if len(args.positional) < 2:
        return Unknown()
    value, kind = (m.settle(part) for part in args.positional[:2])
    options = list(kind.items) if isinstance(kind, TupleVal) else [kind]
    verdicts = [_is_a(value, option) for option in options]
    if True in verdicts:
        return TRUE
    return FALSE if all(verdict is False for verdict in verdicts) else Unknown(("isinstance", key_of(value), key_of(kind)))


_PYTHON = {"int": int, "float": float, "str": str, "bool": bool}
_KINDS: dict[str, type] = {"list": ListVal, "tuple": TupleVal, "dict": DictVal}


def _is_a(value: Value, kind: Value) -> Union[bool, None]:
    if isinstance(kind, External):
        short = kind.name.removeprefix("builtins.")
        if short in _KINDS:
            if isinstance(value, (ListVal, TupleVal, DictVal)):
                return isinstance(value, _KINDS[short])
            return (
                False
                if isinstance(value, (Tensor, Network, Const, Optimizer))
                and getattr(getattr(value, "op", None), "name", "") not in ("batch", "input", "network", "returned", "opaque", "field")
                else None
            )
        if isinstance(value, Const):
            return isinstance(value.value, _PYTHON[short]) if short in _PYTHON else False if value.value is None else None
        if short in _PYTHON:
            return False if isinstance(value, (Obj, Tensor)) and not isinstance(value, Tensor) else None
        if isinstance(value, Network):
            if kind.name == "torch.nn.Module":
                return True
            if value.cls is None and value.factory is None:
                return value.name == kind.name
            if value.cls is not None:
                return any(isinstance(base, External) and base.name == kind.name for base in attributes.mro(value.cls)) or None
        if isinstance(value, Tensor) and kind.name == "torch.Tensor":
            return True if value.op.name not in ("batch", "network", "returned", "opaque", "field", "input") else None
    if isinstance(kind, ClassVal) and isinstance(value, (Instance, Network)):
        if value.cls is not None:
            if any(base is kind for base in attributes.mro(value.cls)):
                return True
            return False if attributes.closed(value.cls) else None
        return False if isinstance(value, Network) and value.factory is None else None
    return None


def _getattr(m: Machine, args: Args, site: Site) -> Value:
    if len(args.positional) < 2:
        return Unknown()
    owner, name = m.settle(args.positional[0]), m.settle(args.positional[1])
    return m.each(owner, site, lambda one: attributes.named(m, one, name, site))


def _setattr(m: Machine, args: Args, site: Site) -> Value:
    if len(args.positional) == 3:
        owner, name, value = args.positional
        name = m.settle(name)
        if isinstance(name, Const) and isinstance(name.value, str):
            attributes.put(m, m.settle(owner), name.value, value, site)
        elif isinstance(m.settle(owner), Network):
            attributes.put(m, m.settle(owner), f"<{birth()}>", value, site)
    return NONE


def _hasattr(m: Machine, args: Args, site: Site) -> Value:
    if len(args.positional) == 2:
        owner, name = (m.settle(part) for part in args.positional)
        if isinstance(owner, (Network, Instance)) and isinstance(name, Const) and name.value in owner.attrs:
            return TRUE
        return Unknown(("hasattr", key_of(owner), key_of(name)))
    return Unknown()


def _map(m: Machine, args: Args, site: Site) -> Value:
    if len(args.positional) < 2:
        return Unknown()
    func, source = args.positional[0], m.settle(args.positional[1])
    known = iteration.items(m, source)
    if known is not None and len(known) <= 32 and len(args.positional) == 2:
        return ListVal(site, [calls.call(m, func, Args([part]), site) for part in known])
    parts = [iteration.element(m, value, site) for value in args.positional[1:]]
    return Iterable(calls.call(m, func, Args(parts), site), iteration.yields_batches(source))


def _filter(m: Machine, args: Args, site: Site) -> Value:
    source = m.settle(args.positional[1]) if len(args.positional) > 1 else Unknown()
    if isinstance(source, Params):
        return Params(source.networks, partial=True, named=source.named)
    return source


def _partial(m: Machine, args: Args, site: Site) -> Value:
    return Partial(args.positional[0], tuple(args.positional[1:]), dict(args.keywords)) if args.positional else Unknown()


def _static(m: Machine, args: Args, site: Site) -> Value:
    """`name = staticmethod(function)` in a class; the function itself stays what it is."""
    func = args.positional[0] if args.positional else Unknown()
    if not isinstance(func, FuncVal):
        return func
    made = copy(func)
    made.is_static = True
    return made


def _next(m: Machine, args: Args, site: Site) -> Value:
    source = m.settle(args.positional[0]) if args.positional else Unknown()
    if isinstance(source, Params):
        return Params(source.networks, partial=True)
    return m.each(source, site, lambda one: iteration.element(m, one, site))


def _range(m: Machine, args: Args, site: Site) -> Value:
    return iteration.range_of([m.settle(value) for value in args.positional])


def _print(m: Machine, args: Args, site: Site) -> Value:
    return NONE


def _int(m: Machine, args: Args, site: Site) -> Value:
    value = m.settle(args.positional[0]) if args.positional else Const(0)
    if isinstance(value, Const) and isinstance(value.value, (int, float)):
        return Const(int(value.value))
    return value if isinstance(value, (Unknown, Choice, SizeVal)) else Unknown(("int", key_of(value)), born=born_of(value))


def _super(m: Machine, args: Args, site: Site) -> Value:
    return Unknown()


def _sum(m: Machine, args: Args, site: Site) -> Value:
    source = m.settle(args.positional[0]) if args.positional else Unknown()
    if tensors_of(source):
        return tensors.make(m, Op("sum", Kind.REDUCE), site, [source], {})
    if isinstance(source, ListVal) and any(isinstance(item, (ListVal, Params)) for item in source.items):
        made = ListVal(site, [part for item in source.items for part in (item.items if isinstance(item, ListVal) else [item])])
        made.growing = source.growing
        return made
    return Unknown()


def _extreme(m: Machine, args: Args, site: Site) -> Value:
    values = [m.settle(value) for value in args.positional]
    if len(values) > 1 and all(isinstance(value, Const) and isinstance(value.value, (int, float)) for value in values):
        return Unknown()
    held = [value for value in values if tensors_of(value)]
    return tensors.make(m, tensors.OPAQUE, site, held, {}) if held else Unknown()


def _parameter(m: Machine, args: Args, site: Site) -> Value:
    data = args.get(0, "data")
    known = tensors_of(data) if data is not None else []
    made = tensors.make(m, tensors.PARAMETER, site, [], {}, layout=known[0].layout if known else measures.unknown())
    made.networks = frozenset({made})
    return made


def _variable(m: Machine, args: Args, site: Site) -> Value:
    return args.get(0, "data") or Unknown()


def _torch_backward(m: Machine, args: Args, site: Site) -> Value:
    given = args.get(0, "tensors")
    return training.backward(m, given, site) if given is not None else NONE


def _torch_grad(m: Machine, args: Args, site: Site) -> Value:
    made = tensors.make(m, tensors.OPAQUE, site, [value for value in args.values() if tensors_of(value)], {})
    made.exact = False
    return made


def _torch_tensor(m: Machine, args: Args, site: Site) -> Value:
    """`torch.tensor(data)` is new data, cut from whatever graph the data had."""
    data = args.get(0, "data")
    inner = sorted({str(part) for tensor in tensors_of(data) for part in tensor.data}) if data is not None else []
    found = [part for tensor in (tensors_of(data) if data is not None else []) for part in tensor.data]
    made = tensors.source(
        m, Op("tensor", Kind.SOURCE), site, {"data": data} if data is not None else {}, found[0] if inner else ("tensor", birth())
    )
    if isinstance(data, Unknown):
        made.data = tensors.data_of(data) or made.data
    if isinstance(args.keywords.get("requires_grad"), Const) and args.keywords["requires_grad"].value:  # type: ignore[attr-defined]
        made.networks = frozenset({made})
    return made


def _apply_cells(m: Machine, args: Args, site: Site) -> Value:
    return Unknown()


def _utils_chain(m: Machine, args: Args, site: Site) -> Value:
    if all(isinstance(value, (Params, ListVal)) for value in args.positional):
        made = ListVal(site, [])
        for value in args.positional:
            attributes.extend(m, made, value, site) if isinstance(value, ListVal) else m.assign(made, "items", [*made.items, value])
        return made
    return Batches("chain", tuple(args.positional))


def _tensor_dataset(m: Machine, args: Args, site: Site) -> Value:
    """Its columns, so that a field of a batch can be traced to the tensor that it comes from."""
    columns = TupleVal(tuple(args.positional))
    return tensors.make(
        m, tensors.OPAQUE, site, [value for value in args.positional if tensors_of(value)], {"columns": columns}, layout=measures.unknown()
    )


def _sample(m: Machine, args: Args, site: Site) -> Value:
    """`random.sample(items, k)`: some of the items, in any order."""
    source = m.settle(args.positional[0]) if args.positional else Unknown()
    made = collections.plain_list(m, source, site)
    if isinstance(made, ListVal):
        made.growing = True
    return made


def _choose(m: Machine, args: Args, site: Site) -> Value:
    return iteration.element(m, args.positional[0], site) if args.positional else Unknown()


def _random_split(m: Machine, args: Args, site: Site) -> Value:
    lengths = args.get(1, "lengths")
    known = iteration.items(m, lengths) if lengths is not None else None
    count = len(known) if known is not None else 2
    return TupleVal(tuple(Unknown(("split", site.source, site.at, index), f"split {index}") for index in range(count)))


def _type(m: Machine, args: Args, site: Site) -> Value:
    value = m.settle(args.positional[0]) if args.positional else Unknown()
    cls = getattr(value, "cls", None)
    return cls if isinstance(cls, ClassVal) else Unknown(("type", key_of(value)))


SPECIAL: dict[str, Handler] = {
    "builtins.enumerate": lambda m, args, site: Batches("enumerate", tuple(args.positional[:1]), args.get(1, "start")),
    "builtins.zip": _combine("zip"),
    "builtins.reversed": _combine("reversed"),
    "builtins.sorted": _list("list"),
    "builtins.list": _list("list"),
    "builtins.tuple": _list("tuple"),
    "builtins.set": _list("set"),
    "builtins.frozenset": _list("set"),
    "builtins.dict": _dict,
    "collections.OrderedDict": _dict,
    "collections.deque": _list("list"),
    "collections.defaultdict": lambda m, args, site: DictVal(site, {}, open=True),
    "types.SimpleNamespace": _dict,
    "builtins.len": _len,
    "builtins.isinstance": _isinstance,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.hasattr": _hasattr,
    "builtins.map": _map,
    "builtins.filter": _filter,
    "builtins.next": _next,
    "builtins.iter": _passing("object"),
    "builtins.range": _range,
    "builtins.print": _print,
    "builtins.int": _int,
    "builtins.sum": _sum,
    "builtins.max": _extreme,
    "builtins.min": _extreme,
    "builtins.super": _super,
    "builtins.type": _type,
    "builtins.staticmethod": _static,
    "functools.partial": _partial,
    "dataclasses.field": fields.field,
    "collections.namedtuple": fields.named_tuple,
    "itertools.chain": _utils_chain,
    "itertools.chain.from_iterable": lambda m, args, site: args.positional[0] if args.positional else Unknown(),
    "torch.nn.Parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.autograd.Variable": _variable,
    "torch.autograd.backward": _torch_backward,
    "torch.autograd.grad": _torch_grad,
    "torch.tensor": _torch_tensor,
    "numpy.random.default_rng": lambda m, args, site: External("numpy.random"),
    "numpy.random.RandomState": lambda m, args, site: External("numpy.random"),
    "torch.utils.data.TensorDataset": _tensor_dataset,
    "torch.utils.data.random_split": _random_split,
    "random.sample": _sample,
    "random.choices": _sample,
    "random.choice": _choose,
    **{
        name if "." in name else f"builtins.{name}": _passing(parameter)
        for name, parameter in ITERABLES.items()
        if name not in ("list", "tuple", "sorted", "reversed")
    },
    **{name: _range for name in RANGES if name.startswith("tqdm")},
}  # fmt: skip
