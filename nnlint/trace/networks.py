"""Networks: how they are built, called, switched, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from nnlint.findings import Site
from nnlint.knowledge.frameworks import METHOD_EFFECTS
from nnlint.knowledge.layers import LAYERS
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.networks import NETWORK_BASES, head_of
from nnlint.knowledge.notation import default
from nnlint.knowledge.schema import Factory, Kind, Op
from nnlint.trace import attributes, calls, expressions, iteration, measures, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import ABSENT, Machine
from nnlint.trace.story import Forward, Mode, Zero
from nnlint.trace.values import (
    NONE,
    Choice,
    ClassVal,
    Const,
    DictVal,
    External,
    Instance,
    ListVal,
    ModeFlag,
    Modules,
    Network,
    Params,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    birth,
    tensors_of,
)

NETWORK = Op("network", Kind.ARITHMETIC)
LOGITS = Op("logits", Kind.AFFINE)
RETURNED = Op("returned", Kind.KEEP)
_SELF = frozenset(
    "to cuda cpu double float half bfloat16 type share_memory requires_grad_ xpu to_empty compile apply "
    "merge_and_unload gradient_checkpointing_enable set_extra_state ipu mtia module".split()
)
METHODS = _SELF | frozenset(
    "train eval parameters named_parameters children named_children modules named_modules zero_grad add_module register_module append "
    "extend insert state_dict load_state_dict register_buffer register_parameter forward buffers named_buffers get_submodule "
    "register_forward_hook items values keys pop clear update __call__ requires_grad_ named_buffers".split()
)


def is_network(name: str) -> bool:
    """Whether a library class makes its subclasses networks."""
    return name in NETWORK_BASES or name in LAYERS or (name in LOSSES and name.rpartition(".")[2][0].isupper())


# --- building ----------------------------------------------------------------------------------------------------


def of_class(m: Machine, cls: ClassVal, site: Site) -> Network:
    """An object of a project class that is a network; library layers among its bases make it that kind of layer too."""
    made = Network(site, cls.name)
    made.cls = cls
    made.loop = m.round
    for base in attributes.mro(cls):
        if isinstance(base, External):
            _adopt(made, base.name)
        elif not isinstance(base, ClassVal):
            made.complete = False
    return made


def _adopt(made: Network, name: str) -> None:
    layer = LAYERS.get(name)
    if layer is not None:
        made.layer = layer
        made.name = name
        if layer.container in ("sequential", "list", "dict"):
            made.items = []
    elif name in LOSSES:
        made.loss = LOSSES[name]
        made.name = name
    elif name not in ("torch.nn.Module", "builtins.object", "abc.ABC", "typing.Generic") and not name.startswith(("typing.", "abc.")):
        made.complete = made.complete and name in NETWORK_BASES


def build(m: Machine, name: str, args: Args, site: Site) -> Network:
    """A layer, container or loss of a library."""
    made = Network(site, name)
    made.loop = m.round
    _adopt(made, name)
    super_init(m, made, args, site)
    return made


def super_init(m: Machine, made: Network, args: Args, site: Site) -> None:
    """The library's own constructor."""
    if made.items is not None:
        _fill(m, made, args)
        return
    if made.layer is not None:
        layer = made.layer
        named = dict(made.args)
        named.update(args.named(layer.op.params, layer.op.rest))
        for key, default in layer.defaults:
            if not args.open:
                named.setdefault(key, Const(default))
        m.assign(made, "args", named)
        if layer.holds and layer.holds in named:
            made.attrs[layer.holds] = named[layer.holds]
    elif made.loss is not None:
        m.assign(made, "args", args.named(made.loss.constructor))


def _fill(m: Machine, made: Network, args: Args) -> None:
    items: list[tuple[str, Value]] = []
    for value in args.positional:
        value = m.settle(value)
        if isinstance(value, DictVal):
            items += [(key if isinstance(key, str) else str(len(items)), part) for key, part in value.entries.items()]
            made.complete = made.complete and not value.open
        elif made.name == "torch.nn.Sequential" and not isinstance(value, (ListVal, TupleVal)):
            items.append((str(len(items)), value))
        else:
            known = value.items if isinstance(value, (ListVal, TupleVal)) else iteration.items(m, value)
            if known is None:
                made.complete = False
                element = iteration.element(m, value, made.site)
                known = [element] if isinstance(element, Network) else []
            items += _pairs(known, len(items))
    if args.rest is not None:
        made.complete = False
    m.assign(made, "items", items)


def _pairs(known: list[Value] | tuple[Value, ...], start: int) -> list[tuple[str, Value]]:
    out: list[tuple[str, Value]] = []
    for index, part in enumerate(known):
        if isinstance(part, TupleVal) and len(part.items) == 2 and isinstance(part.items[0], Const):
            out.append((str(part.items[0].value), part.items[1]))
        else:
            out.append((str(start + index), part))
    return out


# --- calling -----------------------------------------------------------------------------------------------------


def forward(m: Machine, net: Network, args: Args, site: Site) -> Value:
    """`net(args)`."""
    if net.loss is not None and (net.cls is None or attributes.method(net.cls, "forward") is None):
        return tensors.loss(m, net.loss, args, site, net)
    outermost = not m.networks
    event: Union[Forward, None] = None
    if outermost:
        event = _announce(m, net, args, site)
        for tensor in [tensor for value in args.values() for tensor in tensors_of(value)]:
            measures.entered(m, tensor)
    m.networks.append(net)
    try:
        value = _apply(m, net, args, site)
    finally:
        m.networks.pop()
    if event is None:
        return value
    event.moded = isinstance(value, Choice) and any(_by_mode(key) for facts, _ in value.alternatives for key, _ in facts)
    value = returned(m, value, event, site)
    event.output = value
    return value


def _by_mode(key: object) -> bool:
    return isinstance(key, tuple) and key[:1] == ("training",)


def _announce(m: Machine, net: Network, args: Args, site: Site) -> Forward:
    data: set[object] = set()
    synthetic = True
    for value in args.values():
        for tensor in tensors_of(value):
            data |= tensor.data
            synthetic = synthetic and tensor.data <= {"synthetic"}
        found = tensors.data_of(value)
        data |= found
        synthetic = synthetic and found <= {"synthetic"} and not isinstance(value, Unknown)
    event = Forward(site, net, m.grad, frozenset(data), m.round, synthetic)
    m.tell(event)
    m.forwards.append(event)
    return event


def returned(m: Machine, value: Value, event: Forward, site: Site) -> Value:
    """The output of a network call, element by element, marked with the call."""
    value = m.settle(value)
    if isinstance(value, Tensor):
        out = tensors.make(m, RETURNED, site, (value,), {}, layout=value.layout)
        out.seen = value.seen | {event}
        if m.grad:
            out.forwards = value.forwards | {event}
        return out
    if isinstance(value, TupleVal):
        return TupleVal(tuple(returned(m, part, event, site) for part in value.items))
    if isinstance(value, Choice):
        return Choice(tuple((facts, returned(m, part, event, site)) for facts, part in value.alternatives))
    if isinstance(value, ListVal):
        made = ListVal(site, [returned(m, part, event, site) for part in value.items])
        made.growing = value.growing
        return made
    if isinstance(value, DictVal):
        return DictVal(site, {key: returned(m, part, event, site) for key, part in value.entries.items()}, value.open)
    if isinstance(value, Unknown):
        out = tensors.make(m, NETWORK, site, (), {}, module=event.network if isinstance(event.network, Network) else None)
        out.exact = False
        out.seen = out.seen | {event}
        if m.grad:
            out.forwards = out.forwards | {event}
        return out
    return value


def _apply(m: Machine, net: Network, args: Args, site: Site) -> Value:
    if net.cls is not None and not net.hollow:
        found = attributes.method(net.cls, "forward") or attributes.method(net.cls, "__call__")
        if found is not None:
            return calls.invoke(m, found, args, site, net)
    if net.items is not None and net.name == "torch.nn.Sequential":
        return _chain(m, net, args, site)
    if net.layer is not None and net.items is None:
        return tensors.layer(m, net, args, site)
    if net.factory is None and "forward" in net.attrs:
        return calls.call(m, net.attrs["forward"], args, site)
    head = head_of(net.name) if net.factory is not None else ""
    if head and isinstance(net.attrs.get(head), Network):
        return calls.call(m, net.attrs[head], Args([opaque(m, args, site, net)]), site)
    return tensors.make(m, LOGITS, site, tuple(args.values()), {}, module=net) if head else opaque(m, args, site, net)


def head(m: Machine, net: Network, name: str, site: Site) -> Value:
    """The last layer of a library's classifier, when it is taken in hand: from then on it may be anything."""
    made = Network(site, "torch.nn.Module", name)
    made.factory, made.complete = Factory("unknown", None), False
    m.set(net.attrs, name, made)
    return made


def opaque(m: Machine, args: Args, site: Site, net: Union[Network, None] = None) -> Tensor:
    """What a network makes of its input where nothing is known of how."""
    made = tensors.make(m, NETWORK, site, tuple(args.values()), {}, module=net)
    made.exact = False
    return made


def _chain(m: Machine, net: Network, args: Args, site: Site) -> Value:
    value = args.positional[0] if args.positional else Unknown()
    before: Union[Value, None] = None
    repeated = 0
    for _, part in net.items or []:
        repeated = repeated + 1 if part is before else 0
        before = part
        if repeated >= 2:
            continue
        value = m.each(part, site, lambda layer, value=value: _link(m, layer, value, site))  # type: ignore[misc]
    if not net.complete and not net.items:
        return opaque(m, args, site, net)
    return value


def _link(m: Machine, part: Value, value: Value, site: Site) -> Value:
    if part is ABSENT or (isinstance(part, Const) and part.value is None):
        return value
    # A layer in a container is applied where it was made: that is the line a person would point at.
    inner = part.site if isinstance(part, Network) and part.cls is None else site
    return m.each(value, site, lambda one: calls.call(m, part, Args([one]), inner))


# --- methods -----------------------------------------------------------------------------------------------------


def method(m: Machine, net: Network, name: str, args: Args, site: Site) -> Value:
    """A method of `nn.Module` (or of the library base of a project class)."""
    if name.startswith("super."):
        return _super(m, net, name[len("super.") :], args, site)
    if name in ("train", "eval"):
        switch(m, net, args.get(0, "mode") if name == "train" else Const(False), site)
        return net
    if name in ("parameters", "named_parameters"):
        return _named_parameters(net, site) if name == "named_parameters" else Params((net,))
    if name == "zero_grad":
        m.tell(Zero(site, Params((net,))))
        return NONE
    if name in ("forward", "__call__"):
        return forward(m, net, args, site)
    if name == "load_state_dict":
        if not (args.positional and _state(args.positional[0])):
            m.assign(net, "loaded", True)
        return Unknown()
    if name in ("add_module", "register_module", "append", "extend", "insert", "pop", "update", "clear"):
        return _edit(m, net, name, args, site)
    if name in ("children", "named_children", "modules", "named_modules", "values", "items", "keys"):
        return _walk(m, net, name, site)
    if name == "register_parameter" and len(args.positional) > 1:
        attributes.put(m, net, _text(args.positional[0]), args.positional[1], site)
        return NONE
    if name == "register_buffer" and len(args.positional) > 1:
        attributes.put(m, net, _text(args.positional[0]), args.positional[1], site)
        return NONE
    if name == "get_submodule":
        return Unknown()
    if name in _SELF:
        return net
    if name in ("fit", "fit_generator"):
        calls.escape(m, [net, *args.values()], site)
    if name == "backward" and args.positional:
        from nnlint.trace import training

        return training.owned_backward(m, net, args, site)
    effect = _effect(net, name)
    if effect == "backward" and args.positional:
        from nnlint.trace import training

        return training.backward(m, args.positional[0], site)
    if effect == "optimizers":
        from nnlint.trace import hooks

        return hooks.optimizers(net, site)
    if name == "state_dict":
        born = birth()
        return Unknown(("state", net.id, born), born=born)
    if name in ("buffers", "named_buffers"):
        return Unknown()
    born = birth()
    result = Unknown(("call", net.id, name, born), born=born)
    if (
        m.grad
        and name.startswith(("forward", "loss", "encode", "decode", "predict"))
        and not (net.cls is not None and attributes.closed(net.cls))
    ):
        return result
    return result


def _effect(net: Network, name: str) -> str:
    """What a method of a framework's base class does."""
    bases = attributes.mro(net.cls) if net.cls is not None else []
    return next(
        (METHOD_EFFECTS[base.name].get(name, "") for base in bases if isinstance(base, External) and base.name in METHOD_EFFECTS), ""
    )


def _state(value: Value) -> bool:
    """The weights of another network of the program."""
    return isinstance(value, Unknown) and isinstance(value.key, tuple) and value.key[:1] == ("state",)


def _text(value: Value) -> str:
    return value.value if isinstance(value, Const) and isinstance(value.value, str) else "?"


def _super(m: Machine, net: Network, name: str, args: Args, site: Site) -> Value:
    if name == "__init__":
        if net.items is not None or net.layer is not None or net.loss is not None:
            super_init(m, net, args, site)
        return NONE
    if name in ("forward", "__call__"):
        if net.loss is not None:
            return tensors.loss(m, net.loss, args, site, net)
        if net.items is not None and net.name == "torch.nn.Sequential":
            return _chain(m, net, args, site)
        if net.layer is not None:
            return tensors.layer(m, net, args, site)
        return Unknown()
    return method(m, net, name, args, site)


def switch(m: Machine, net: Value, flag: Union[Value, None], site: Site) -> None:
    """`net.train(flag)`: tell the story which mode the network is in from here."""
    flag = Const(True) if flag is None else m.settle(flag)
    if isinstance(flag, ModeFlag):
        m.tell(Mode(site, net, None, flag.key))
        return
    if isinstance(flag, Choice):
        own = [part for _, part in flag.alternatives if isinstance(part, ModeFlag) and part.network is net]
        m.each(own[0] if len(own) == 1 else flag, site, lambda part: _switched(m, net, part, site))
        return
    decided = expressions.truth(m, flag)
    if isinstance(decided, bool):
        event = Mode(site, net, decided)
        event.chosen = m.decided > 0
        m.tell(event)
        _switch_parts(m, net, decided, site)
        return
    m.fork(
        [
            (expressions.conditions(m, flag, True), lambda: _switched(m, net, Const(True), site)),
            (expressions.conditions(m, flag, False), lambda: _switched(m, net, Const(False), site)),
        ],
        site,
    )


def _switch_parts(m: Machine, net: Value, flag: bool, site: Site) -> None:
    """`train` reaches all parts; a part whose class overrides it may keep a mode of its own (frozen BatchNorm)."""
    if not isinstance(net, Network) or m.depth > 20:
        return
    for part in list(parts(net).values()):
        if part is not net and isinstance(part, Network) and part.cls is not None:
            own = attributes.method(part.cls, "train")
            if own is not None and own.node not in m.active:
                calls.invoke(m, own, Args([Const(flag)]), site, part)


def _switched(m: Machine, net: Value, flag: Value, site: Site) -> Value:
    switch(m, net, flag, site)
    return NONE


def _edit(m: Machine, net: Network, name: str, args: Args, site: Site) -> Value:
    values = args.positional
    if net.items is None:
        if name in ("add_module", "register_module") and len(values) > 1:
            attributes.put(m, net, _text(values[0]), values[1], site)
        return NONE
    items = list(net.items)
    if name in ("add_module", "register_module") and len(values) > 1:
        items.append((_text(values[0]), values[1]))
    elif name == "append" and values:
        items.append((str(len(items)), values[0]))
    elif name == "insert" and len(values) > 1:
        at = values[0].value if isinstance(values[0], Const) and isinstance(values[0].value, int) else len(items)
        items.insert(at, (str(at), values[1]))
    elif name in ("extend", "update") and values:
        if isinstance(values[0], DictVal):
            items += [(str(key), part) for key, part in values[0].entries.items()]
        else:
            known = values[0].items if isinstance(values[0], (ListVal, TupleVal)) else iteration.items(m, values[0])
            if known is None:
                m.assign(net, "complete", False)
            items += _pairs(known or [], len(items))
    elif name == "pop":
        if items:
            items.pop()
    elif name == "clear":
        items = []
    m.assign(net, "items", items)
    return net if name in ("append", "extend", "insert") else NONE


def _walk(m: Machine, net: Network, name: str, site: Site) -> Value:
    if name in ("items", "values", "keys") and net.items is not None:
        parts: list[Value] = []
        for key, part in net.items:
            parts.append(TupleVal((Const(key), part)) if name == "items" else part if name == "values" else Const(key))
        return ListVal(site, parts)
    named = name.startswith("named")
    if name.endswith("children") and net.factory is None and net.complete:
        children = list(_children(net))
        made = ListVal(site, [TupleVal((Const(key), part)) if named else part for key, part in children])
        return made
    part = Unknown(("part", net.id), "module")
    return Modules(net, TupleVal((Unknown(label="name"), part)) if named else part, named)


def _named_parameters(net: Network, site: Site) -> Value:
    """(name, parameter) pairs, one by one where all parts of the network are known."""
    pairs = list(_parameters(net, "")) if net.complete else []
    if not pairs or len(pairs) > 200 or any(not part.complete for part in parts(net).values() if isinstance(part, Network)):
        return Params((net,), named=True)
    return ListVal(site, [TupleVal((Const(name), params)) for name, params in pairs])


def _parameters(net: Network, prefix: str) -> Iterator[tuple[str, Params]]:
    if net.layer is not None and net.items is None and net.layer.op.kind in tensors.TRAINABLE:
        yield f"{prefix}weight", Params((net,))
        if net.layer.bias or net.layer.op.kind is Kind.NORM:
            yield f"{prefix}bias", Params((net,))
    for name, part in net.attrs.items():
        if isinstance(part, Tensor) and part.op.name == "parameter":
            yield f"{prefix}{name}", Params((part,))
        elif isinstance(part, Choice):
            yield f"{prefix}{name}.?", Params((net,), partial=True)
    for name, part in _children(net):
        if isinstance(part, Network):
            yield from _parameters(part, f"{prefix}{name}.")


def _children(net: Network) -> Iterator[tuple[str, Value]]:
    yield from net.items or []
    for key, part in net.attrs.items():
        if isinstance(part, Network):
            yield key, part


def modules(source: Modules, site: Site) -> Union[list[Value], None]:
    """All parts of a network, one by one, where they are known."""
    found = [part for part in parts(source.network).values() if isinstance(part, Network)]
    if any(not part.complete for part in found):
        return None
    return [TupleVal((Unknown(label="name"), part)) if source.named else part for part in found]


# --- what a network holds ----------------------------------------------------------------------------------------


def parts(value: Value, seen: Union[dict[int, Value], None] = None) -> dict[int, Value]:
    """All networks and parameters in a value, by identity: the value itself, its layers, what its attributes and lists hold."""
    seen = {} if seen is None else seen
    if isinstance(value, (Network, Tensor)):
        if id(value) in seen:
            return seen
        seen[id(value)] = value
    if isinstance(value, Network):
        for _, part in value.items or []:
            parts(part, seen)
        for part in value.attrs.values():
            if isinstance(part, (Network, ListVal, DictVal, TupleVal, Choice)) or (
                isinstance(part, Tensor) and part.op.name == "parameter"
            ):
                parts(part, seen)
        for part in value.args.values():
            if isinstance(part, Network):
                parts(part, seen)
    elif isinstance(value, (ListVal, TupleVal)):
        for part in value.items:
            parts(part, seen)
    elif isinstance(value, DictVal):
        for part in value.entries.values():
            parts(part, seen)
    elif isinstance(value, Choice):
        for _, part in value.alternatives:
            parts(part, seen)
    elif isinstance(value, Instance):
        for part in value.attrs.values():
            if isinstance(part, (Network, ListVal, DictVal, TupleVal, Choice)):
                parts(part, seen)
    return seen


def steady(net: Network) -> bool:
    """Whether the layer does in train mode what every single sample asks for: its mode matters, but an evaluation may run in it."""
    return net.layer is not None and net.layer.op.name == "instance_norm"


def sensitive(net: Network) -> bool:
    """Whether this very layer behaves differently in train and eval mode."""
    if "<mode>" in net.attrs:
        return True
    if net.factory is not None:
        return net.factory.mode_sensitive is True
    layer = net.layer
    if layer is None or not layer.mode:
        return False
    for off in layer.mode_off.split("|") if layer.mode_off else ():
        name, _, text = off.partition("=")
        value = net.args.get(name)
        if isinstance(value, Const) and value.value == default(text):
            return False
    return not (layer.op.kind in (Kind.RECURRENT, Kind.ATTENTION) and "dropout" not in net.args)
