"""Methods that a framework calls on the user's objects, and losses that it computes for the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.frameworks import FRAMEWORKS, HOOKS
from nnlint.knowledge.schema import Factory, Hook
from nnlint.trace import attributes, calls, iteration, networks, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Machine
from nnlint.trace.story import Mode
from nnlint.trace.values import ClassVal, External, FuncVal, Instance, Network, Unknown, Value


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
    for func, hook in hooks(cls):
        site = Site(func.file.key, func.node.at)
        args = Args()
        args.open = True
        for position, param in enumerate(func.node.params[1:]):
            if param.name == hook.module:
                args.keywords[param.name] = module
            elif param.name == hook.batch or (position == 0 and hook.batch and not hook.module):
                args.keywords[param.name] = _batch(m, func, site)
        if hook.mode and isinstance(made, Network):
            m.tell(Mode(site, made, hook.mode == "train"))
        kept, m.grad = m.grad, m.grad and hook.grad
        calls.invoke(m, func, args, site, made)
        m.grad = kept


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
