"""The training step: optimizers, gradients, scalers, and the events they tell."""

from __future__ import annotations

from typing import Union

from nnlint.findings import Site
from nnlint.knowledge.optimizers import CLOSURE_OPTIMIZERS, OPTIMIZERS
from nnlint.knowledge.schema import Factory, Kind, Op
from nnlint.trace import calls, measures, networks, tensors
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Machine
from nnlint.trace.story import Backward, GradUse, Step, Zero
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
    Iterable,
    ListVal,
    Network,
    Optimizer,
    Params,
    Partial,
    Service,
    Tensor,
    TupleVal,
    Unknown,
    Value,
    tensors_of,
)

SCALED = Op("scaled", Kind.ARITHMETIC)
_SAME = frozenset("to cuda cpu float half double bfloat16 to_device contiguous requires_grad_".split())


# --- parameters --------------------------------------------------------------------------------------------------


def params_of(value: Union[Value, None]) -> Params:
    """The parameters in what an optimizer is given: `net.parameters()`, lists, groups, sums and filters of these."""
    found: list[Value] = []
    if value is None or not _collect(value, found):
        return Params(None)
    return Params(tuple(found))


def _collect(value: Value, found: list[Value]) -> bool:
    if isinstance(value, Params):
        if value.networks is None:
            return False
        found.extend(value.networks)
        return True
    if isinstance(value, Tensor):
        found.extend(value.networks or (value,))
        return True
    if isinstance(value, (ListVal, TupleVal)):
        return all([_collect(part, found) for part in value.items])
    if isinstance(value, DictVal):
        return (
            _collect(value.entries["params"], found)
            if "params" in value.entries
            else all([_collect(p, found) for p in value.entries.values()])
        )
    if isinstance(value, Iterable):
        return _collect(value.item, found)
    if isinstance(value, Batches):
        return all([_collect(part, found) for part in value.parts])
    if isinstance(value, Choice):
        return all([_collect(part, found) for _, part in value.alternatives])
    if isinstance(value, Network):
        found.append(value)
        return True
    return isinstance(value, Const)


def overlap(left: Params, right: Params) -> bool:
    """Whether two sets of parameters may have any in common."""
    if left.networks is None or right.networks is None:
        return True
    return bool(held(left) & held(right))


def held(params: Params) -> frozenset[int]:
    """The networks and leaf tensors of some parameters, by identity."""
    out: set[int] = set()
    for value in params.networks or ():
        out |= networks.parts(value).keys()
    return frozenset(out)


# --- optimizers --------------------------------------------------------------------------------------------------


def optimizer(m: Machine, name: str, args: Args, site: Site) -> Optimizer:
    """`torch.optim.X(params, ...)`."""
    given = args.get(0, "params")
    if given is None:
        given = args.get(0, "model")
    return Optimizer(site, name, params_of(given) if given is not None else Params(None))


def super_init(m: Machine, made: Optimizer, args: Args) -> None:
    m.assign(made, "params", params_of(args.get(0, "params")))


def optimizer_method(m: Machine, opt: Optimizer, name: str, args: Args, site: Site) -> Value:
    """`optimizer.name(args)`, the library's."""
    if name.startswith("super."):
        name = name[len("super.") :]
    if name == "__init__":
        super_init(m, opt, args)
        return NONE
    if name == "step":
        return step(m, opt, args.get(0, "closure"), site)
    if name == "zero_grad":
        m.tell(Zero(site, opt.params))
        return NONE
    if name == "add_param_group" and args.positional:
        added = params_of(args.positional[0])
        if opt.params.networks is not None and added.networks is not None:
            m.assign(opt, "params", Params((*opt.params.networks, *added.networks)))
        else:
            m.assign(opt, "params", Params(None))
        return NONE
    if name == "backward" and args.positional:
        return backward(m, args.positional[0], site)
    if name == "_zero_grad_pool" or name.startswith("_"):
        return Unknown()
    if name in ("state_dict", "load_state_dict", "register_step_pre_hook", "register_step_post_hook", "train", "eval", "state"):
        return Unknown()
    return Unknown()


def step(m: Machine, opt: Optimizer, closure: Union[Value, None], site: Site) -> Value:
    """`optimizer.step(closure)`; LBFGS evaluates the closure again and again."""
    result: Value = NONE
    if isinstance(closure, (FuncVal, Bound, Partial)):
        for _ in range(2 if opt.name in CLOSURE_OPTIMIZERS else 1):
            result = calls.call(m, closure, Args(), site)
            m.tell(Step(site, opt))
        return result
    m.tell(Step(site, opt))
    return result


# --- gradients ---------------------------------------------------------------------------------------------------


def backward(m: Machine, loss: Value, site: Site) -> Value:
    """`loss.backward()`: gradients go where the loss came from."""
    loss = m.settle(loss)
    if isinstance(loss, Choice):
        m.each(loss, site, lambda part: backward(m, part, site))
        return NONE
    if isinstance(loss, Const):
        return NONE
    found = tensors_of(loss)
    reached = frozenset(network for tensor in found for network in tensor.networks)
    exact = bool(found) and all(tensor.exact for tensor in found) and bool(reached)
    forwards = frozenset(forward for tensor in found for forward in tensor.forwards)
    seen = frozenset(forward for tensor in found for forward in tensor.seen)
    m.tell(Backward(site, loss, reached if exact else None, forwards, seen))
    return NONE


def owned_backward(m: Machine, engine: Value, args: Args, site: Site) -> Value:
    """`engine.backward(loss)`: the framework's engine also zeroes."""
    return backward(m, args.positional[0], site)


def grad_method(m: Machine, grad: GradVal, name: str, site: Site) -> Value:
    """`p.grad.zero_()` and other uses of gradients."""
    if name == "zero_":
        m.tell(Zero(site, grad.params))
        return grad
    if name in ("detach_", "detach", "requires_grad_", "contiguous", "to", "float", "cpu", "is_sparse"):
        return grad
    m.tell(GradUse(site, grad.params, written=name in ("copy_", "fill_", "set_", "add_")))
    return Unknown()


def params_method(m: Machine, params: Params, name: str, args: Args, site: Site) -> Value:
    """Methods of a parameter or of an iterator over parameters."""
    if name in ("zero_grad",):
        m.tell(Zero(site, params))
        return NONE
    if name in _WRITES:
        rewritten(m, params)
        return params
    if name in ("detach", "clone", "view", "norm", "to", "cuda", "float", "data", "flatten"):
        made = tensors.make(m, tensors.PARAMETER, site, (), {}, layout=measures.unknown())
        if m.grad:
            made.networks = frozenset(params.networks or ())
        made.exact = params.networks is not None
        return made
    return Unknown()


_WRITES = frozenset("copy_ mul_ add_ sub_ div_ lerp_ addcmul_ addcdiv_ fill_ normal_ uniform_ set_".split())


def rewritten(m: Machine, params: Params) -> None:
    """The program itself writes the weights: an average of another network's, or an initialization."""
    for network in params.networks or ():
        if isinstance(network, Network):
            m.assign(network, "averaged", True)


# --- what a name's use says about an unknown value ---------------------------------------------------------------


def annotated(m: Machine, named: Value, label: str, site: Site) -> Union[Value, None]:
    """A value of the annotated type, for a parameter that no call in the project gives."""
    if isinstance(named, External):
        if named.name == "torch.optim.Optimizer" or named.name in OPTIMIZERS:
            return Optimizer(site, named.name, Params(None), label)
        if named.name == "torch.nn.Module":
            made = Network(site, named.name, label)
            made.factory = Factory("unknown", None)
            made.complete = False
            return made
        if named.name == "torch.Tensor":
            made_tensor = tensors.make(m, tensors.INPUT, site, (), {}, layout=measures.unknown())
            made_tensor.exact = False
            return made_tensor
        if named.name == "torch.utils.data.DataLoader":
            return Service(site, "loader", named.name, {})
    if isinstance(named, ClassVal) and calls.network_class(named) and m.depth < 6 and m.active.count(named.node) == 0:
        args = Args()
        args.open = True
        return calls.construct(m, named, args, site)
    return None


def unknown_method(m: Machine, receiver: Unknown, name: str, args: Args, site: Site) -> Union[Value, None]:
    """What a telling method name says about a receiver that was not followed; None where it says nothing."""
    if name == "backward" and len(args.positional) <= 1:
        if args.positional and tensors_of(args.positional[0]):
            return backward(m, args.positional[0], site)
        m.tell(Backward(site, receiver, None, frozenset(), frozenset()))
        return NONE
    if name == "zero_grad":
        m.tell(Zero(site, Params(None), sure=False))
        return NONE
    if name in ("train", "eval") and not _is_part(receiver):
        if name == "train" and args.values() and not isinstance(args.values()[0], Const):
            calls.escape(m, args.values(), site)
            if len(args.values()) > 1:
                return None
        networks.switch(m, receiver, args.get(0, "mode") if name == "train" else Const(False), site)
        return receiver
    if name in ("train", "eval"):
        return receiver
    if name in _SAME:
        return receiver
    if name in ("parameters", "named_parameters"):
        return Params(None, named=name.startswith("named"))
    return None


def _is_part(receiver: Unknown) -> bool:
    key = receiver.key
    while isinstance(key, tuple) and key:
        if key[0] == "part":
            return True
        key = key[1] if len(key) > 1 else None
    return False
