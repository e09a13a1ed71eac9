"""Methods that a framework calls on the user's objects, and losses that it computes for the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.frameworks import FRAMEWORKS, HOOKS
from nnlint.knowledge.schema import Factory, Hook
from nnlint.trace import attributes, calls, iteration, networks, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Machine, has_events
from nnlint.trace.story import Loop, Mode
from nnlint.trace.values import (
    Bound,
    Choice,
    ClassVal,
    DictVal,
    External,
    FuncVal,
    Instance,
    ListVal,
    Network,
    Optimizer,
    Partial,
    Service,
    TupleVal,
    Unknown,
    Value,
    birth,
    choice,
)


def hooks(cls: ClassVal) -> Iterator[tuple[FuncVal, Hook]]:
    """The hooks that a class defines, in the order in which they are called."""
    for base in attributes.mro(cls):
        if isinstance(base, External) and base.name in HOOKS:
            for name, hook in HOOKS[base.name].items():
                found = attributes.method(cls, name)
                if found is not None and isinstance(found.node, r.Function):
                    yield found, hook
            return


def run(m: Machine, made: Union[Network, Instance], cls: ClassVal) -> None:
    """Let the framework call the hooks of an object, each in its mode, on batches of data."""
    # All hooks of a callback see the same module; what one of them puts there the others find.
    module = Network(Site(cls.file.key, cls.node.at), "lightning.pytorch.LightningModule", "pl_module")
    module.factory, module.complete = Factory("unknown", None), False
    for each, found in groupby(hooks(cls), lambda pair: pair[1].each):
        group = list(found)

        def act(group: list[tuple[FuncVal, Hook]] = group) -> None:
            for func, hook in group:
                _call(m, made, func, hook, module)

        if each:
            repeat(m, Site(cls.file.key, cls.node.at), act)
        else:
            act()


def _call(m: Machine, made: Union[Network, Instance], func: FuncVal, hook: Hook, module: Network) -> None:
    site = Site(func.file.key, func.node.at)
    args = Args()
    args.open = True
    params = func.node.params[1:]
    first = params[0].name if params and not hook.module and all(param.name != hook.batch for param in params) else ""
    counted = False
    for param in params:
        given = made.attrs.get(param.name) if isinstance(made, Instance) else None
        if param.name == hook.module:
            args.keywords[param.name] = module
        elif isinstance(given, Network):
            args.keywords[param.name] = given  # what the framework was given under this name
        elif hook.batch and param.name in (hook.batch, first):
            args.keywords[param.name] = _batch(m, func, site)
            counted = hook.counted
        elif counted and param.kind == "positional":
            args.keywords[param.name] = Unknown(label="index")
    if hook.mode and isinstance(made, Network):
        m.tell(Mode(site, made, hook.mode == "train"))
    kept, m.grad = m.grad, m.grad and hook.grad
    result = calls.invoke(m, func, args, site, made)
    m.grad = kept
    if hook.optimizers:
        m.set(made.attrs, _OPTIMIZERS, result)


_OPTIMIZERS = "<optimizers>"


def optimizers(made: Network, site: Site) -> Value:
    """`self.optimizers()`: those that were configured, one alone or a list of them."""
    found = _configured(made.attrs.get(_OPTIMIZERS, Unknown()))
    return found[0] if len(found) == 1 else ListVal(site, found) if found else Unknown()


def _configured(value: Value) -> list[Value]:
    """The optimizers in what `configure_optimizers` returns: one, several, dictionaries of settings, or pairs with schedulers."""
    if isinstance(value, Optimizer):
        return [value]
    if isinstance(value, DictVal):
        return _configured(value.entries.get("optimizer", Unknown()))
    if isinstance(value, (ListVal, TupleVal)):
        return [found for part in value.items for found in _configured(part)]
    if isinstance(value, Choice):
        ways = [(facts, _configured(part)) for facts, part in value.alternatives]
        longest = max(len(found) for _, found in ways)
        return [choice([(facts, found[at]) for facts, found in ways if at < len(found)]) for at in range(longest)]
    return []


def repeat(m: Machine, site: Site, act: Callable[[], object]) -> None:
    """What a framework does for every batch, told as a loop."""
    loop = Loop(site, m.round, ("framework", site), True)
    outer = m.block, m.facts, m.loop, m.round
    m.block, m.loop, m.round = loop.body, loop, loop
    loop.start = birth()
    loop.calls = m.calls
    act()
    m.block, m.facts, m.loop, m.round = outer
    if has_events(loop.body):
        m.block.items.append(loop)


def process(m: Machine, name: str, made: Service, args: Args, site: Site) -> None:
    """`Engine(update).run(loader)`: the function is called with the engine and each batch."""
    func = made.args.get("0") or made.args.get(FRAMEWORKS[name].process)
    source = args.get(0, "data")
    if isinstance(func, (FuncVal, Bound, Partial)):
        repeat(m, site, lambda: calls.call(m, func, Args([made, iteration.element(m, source or Unknown(), site)]), site))


def _batch(m: Machine, func: FuncVal, site: Site) -> Value:
    made = tensors.make(m, iteration.BATCH, site, (), {})
    made.data = frozenset({("hook", func.file.key, func.node.at)})
    return made


# --- losses that a framework computes ----------------------------------------------------------------------------


def supervise(m: Machine, name: str, args: Args, site: Site) -> None:
    """`NeuralNetClassifier(Net, criterion=...)`, `Learner(data, net, loss_func=...)`: the loss of the network's output on a batch."""
    framework = FRAMEWORKS[name]
    given = [found for found in (_made(m, value, site) for value in args.values()) if found is not None]
    net = next((value for value in given if value.loss is None), None)
    chosen = args.keywords.get(framework.criterion) if framework.criterion else None
    loss: Union[Value, None] = next((value for value in given if value.loss is not None), None)
    if chosen is not None:
        loss = _made(m, chosen, site) or chosen
    if loss is None and framework.default_loss and not args.open:
        loss = _made(m, External(framework.default_loss), site)
    if net is None or loss is None or loss is net:
        return
    if framework.log_first and isinstance(loss, Network) and loss.loss is not None and loss.loss.name == "nll_loss":
        return
    output = networks.forward(m, net, Args([Unknown(label="data")]), site)
    calls.call(m, loss, Args([output, Unknown(label="target")]), site)


def _made(m: Machine, value: Value, site: Site) -> Union[Network, None]:
    """A network or loss, given as an object or as a class."""
    value = m.settle(value)
    if (isinstance(value, ClassVal) and calls.network_class(value)) or (isinstance(value, External) and networks.is_network(value.name)):
        value = calls.call(m, value, Args(), site)
    return value if isinstance(value, Network) else None
