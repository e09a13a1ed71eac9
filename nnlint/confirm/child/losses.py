"""What each loss is given: the operation that made its input, read from the autograd graph, and the values."""

from __future__ import annotations

import re
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import torch

from nnlint.confirm.records import Chain, LossSeen, Spot
from nnlint.knowledge.activations import ACTIVATIONS
from nnlint.knowledge.losses import LOSSES
from nnlint.knowledge.schema import Loss

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_PREFIX = "torch.nn.functional."
_NEAR = 3  # frames that are kept of where an operation was called
_MARK = "nnlint"  # key in the metadata of an autograd node
_REMEMBERED = 64  # results without a graph whose maker is known
_CHECKED = 60  # batches of a record whose values are looked at

# Activations by where they are looked up when they are called; `F.relu` calls `torch.relu`, and so on.
_FUNCTIONS = "relu6 leaky_relu elu gelu silu mish softplus hardtanh hardsigmoid hardswish threshold logsigmoid softsign".split()
_METHODS = "softmax log_softmax sigmoid sigmoid_ relu relu_ tanh tanh_ selu celu clamp clamp_ log exp".split()
_LINEAR = "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d".split()

# Nodes that pass values on as they are.
_VIEWS = frozenset(
    "View UnsafeView ReshapeAlias Reshape Transpose Permute T Mt NumpyT Squeeze Unsqueeze Slice Select ToCopy Clone Expand Alias Split "
    "SplitWithSizes SafeSplit Unbind Chunk Index IndexSelect MaskedSelect Narrow AsStrided Movedim Flatten Unflatten Contiguous Gather "
    "Take TakeAlongDim Roll Flip Diagonal Detach Unsafesplit Tensorsplit Swapaxes Lift Roll "
    # Values between those that are there.
    "UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleLinear1D UpsampleBilinear2D UpsampleTrilinear3D".split()
)
_MANY = frozenset(("Cat", "Stack"))
_PRODUCTS = frozenset("Addmm Mm Bmm Baddbmm Addbmm Addmv Mv Dot Convolution Linear MkldnnLinear Bilinear".split())
_NAME = re.compile(r"(.*?)Backward\d*$")
_SQUASHING = ("softmax", "sigmoid", "log_softmax", "logsigmoid")


class Mark(NamedTuple):
    """What is remembered of a call that made a tensor."""

    name: str
    made: Chain
    layer: Union[Spot, None]
    bias: Union[bool, None]


class Maker(NamedTuple):
    """The operation that made some values. `bias`: of a layer that makes scores, whether it adds one."""

    name: str
    node: Any = None
    made: Chain = ()
    layer: Union[Spot, None] = None
    bias: Union[bool, None] = None


class Losses:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._records: dict[tuple[object, ...], LossSeen] = {}
        self._silent: OrderedDict[int, tuple[Any, Mark]] = OrderedDict()  # makers of tensors without a graph
        self.last: Union[float, None] = None

    def install(self) -> None:
        functional = torch.nn.functional
        for name in _METHODS:
            self._watch_maker(torch, name)
            self._watch_maker(torch.Tensor, name)
        for name in (*_FUNCTIONS, *_LINEAR):
            self._watch_maker(functional, name)
        for name, loss in LOSSES.items():
            if name.startswith(_PREFIX):
                self._watch_loss(functional, name.removeprefix(_PREFIX), loss)

    def _watch_maker(self, owner: Any, name: str) -> None:
        original = getattr(owner, name, None)
        if original is None:
            return
        probe, stack = self._probe, self._probe.forwards.stack
        kind = "linear" if name in _LINEAR else name.rstrip("_")
        squashing = kind in _SQUASHING or kind == "linear"

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if probe.on:
                node = getattr(result, "grad_fn", None)
                if node is not None or squashing:
                    layer = stack[-1] if stack and type(stack[-1]).__module__.startswith("torch.nn.modules") else None
                    made = None if layer is None else probe.births.spot(layer)
                    # Where a linear layer was constructed tells enough; there are many of them.
                    if kind == "linear":
                        mark = Mark(kind, () if layer is not None else probe.frames.chain(_NEAR), made, _bias(name, args, kwargs))
                    else:
                        mark = Mark(kind, probe.frames.chain(_NEAR), made, None)
                    if node is not None:
                        node.metadata[_MARK] = mark
                    elif isinstance(result, torch.Tensor):
                        self._remember(result, mark)
            return result

        watched.__wrapped__ = original  # type: ignore[attr-defined]
        watched.__name__ = name
        watched.__doc__ = original.__doc__
        setattr(owner, name, watched)

    def _remember(self, result: torch.Tensor, mark: Mark) -> None:
        self._silent[id(result)] = (weakref.ref(result), mark)
        if len(self._silent) > _REMEMBERED:
            self._silent.popitem(last=False)

    def _maker(self, input: torch.Tensor) -> Maker:
        if input.grad_fn is not None:
            return made_by(input.grad_fn)
        for tensor in (input, input._base):
            known = None if tensor is None else self._silent.get(id(tensor))
            if known is not None and known[0]() is tensor:
                mark = known[1]
                return Maker(mark.name, None, mark.made, mark.layer, mark.bias)
        return Maker("")

    def _watch_loss(self, owner: Any, name: str, loss: Loss) -> None:
        def seen(result: Any, *args: Any, **kwargs: Any) -> None:
            self._seen(loss, result, args, kwargs)

        seen.__name__ = loss.name
        self._probe.after(owner, name, seen)

    def _seen(self, loss: Loss, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(zip(loss.params, args, strict=False)) | kwargs
        input, target = (given.get(name) for name in loss.params[:2])
        if not isinstance(input, torch.Tensor) or not isinstance(result, torch.Tensor):
            return
        where = self._probe.chain()
        if not where:
            return
        maker = self._maker(input)
        inner = _inner(maker)
        trained = result.requires_grad
        key = (where, loss.name, maker.name, maker.made, maker.layer, inner.name, trained)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = self._new(loss, where, maker, inner, input)
            record.elements = result.dim() > 0
            self._probe.record(record)
        record.batches += 1
        record.trained += trained
        if record.checked < _CHECKED:
            with torch.no_grad():
                _measure(record, maker.name, input.detach(), target, result.detach())
        if trained and result.numel() == 1:
            self.last = record.last
        self._probe.wire.changed(record)

    def _new(self, loss: Loss, where: Chain, maker: Maker, inner: Maker, input: torch.Tensor) -> LossSeen:
        stack = self._probe.forwards.stack
        scores = inner if maker.name in _SQUASHING else maker
        return LossSeen(
            where=where,
            name=loss.name,
            loss=type(stack[-1]).__name__ if stack else "",
            producer=maker.name,
            made=maker.made,
            layer=maker.layer,
            before=inner.name,
            before_made=inner.made,
            before_layer=inner.layer,
            bias=scores.bias,
            bias_layer=scores.layer if scores.name == "linear" else None,
            dtype=str(input.dtype).removeprefix("torch."),
            device=str(input.device),
            classes=classes(input),
        )


def classes(input: torch.Tensor) -> int:
    """The size of the class axis: the second one, the only one of a single sample."""
    return input.size(1 if input.dim() > 1 else 0) if input.dim() else 0


def made_by(node: Any) -> Maker:
    """Walk from an autograd node through what only passes values on."""
    for _ in range(64):
        if node is None:
            return Maker("")
        mark = (node.metadata or {}).get(_MARK)
        match = _NAME.match(type(node).__name__)
        name = match[1] if match else type(node).__name__
        if mark is not None:
            # A layer may be several operations.
            return Maker(mark.name, _inmost(node) if name in _VIEWS else node, mark.made, mark.layer, mark.bias)
        if name in _VIEWS:
            node = node.next_functions[0][0] if node.next_functions else None
        elif name in _MANY:
            makers = [made_by(part) for part, _ in node.next_functions[:16]]
            same = {(maker.name, maker.made) for maker in makers}
            return makers[0] if len(same) == 1 else Maker("several", node)
        elif name in ("Div", "Mul") and not any(other is not None for other, _ in node.next_functions[1:]):
            # Scores divided by a temperature are scores, nothing else stays what it is.
            scaled = made_by(node.next_functions[0][0])
            return scaled if scaled.name == "linear" else Maker(_snake(name), node)
        else:
            return Maker("product" if name in _PRODUCTS else _snake(name), node)
    return Maker("")


def _inmost(node: Any) -> Any:
    """The operation behind what only passes values on."""
    for _ in range(8):
        match = _NAME.match(type(node).__name__)
        if match is None or match[1] not in _VIEWS or not node.next_functions or node.next_functions[0][0] is None:
            break
        node = node.next_functions[0][0]
    return node


def _inner(maker: Maker) -> Maker:
    """What a squashing function was given."""
    if maker.name in _SQUASHING and maker.node is not None and maker.node.next_functions:
        return made_by(maker.node.next_functions[0][0])
    return Maker("")


def _bias(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of an affine function adds a bias."""
    place = 3 if name == "bilinear" else 2
    return (args[place] if len(args) > place else kwargs.get("bias")) is not None


def _snake(name: str) -> str:
    known = {"LogSigmoid": "logsigmoid", "Relu": "relu", "SafeSoftmax": "softmax", "HardtanhBackward": "hardtanh"}
    return known.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _measure(record: LossSeen, producer: str, input: torch.Tensor, target: Any, result: torch.Tensor) -> None:
    """Look at the values of one batch."""
    record.checked += 1
    input = input.float()
    if input.numel() == 0:
        return
    low, high = (value.item() for value in input.aminmax())
    record.positive += high > 0
    record.negative += low < 0
    if low >= 0 and high <= 1:
        record.unit += 1
        axis = 1 if input.dim() > 1 else 0
        tolerance = 1e-4 if record.dtype in ("float32", "float64") else 1e-2
        if record.classes > 1:
            record.probabilities += bool(((input.sum(axis) - 1).abs() < tolerance).all())
    share = 1 / record.checked
    if producer in ("relu", "threshold", "hardtanh", "clamp"):
        record.zeros += ((input == 0).float().mean().item() - record.zeros) * share
        if input.dim() > 1:
            record.dead += ((input.amax(1) == input.amin(1)).float().mean().item() - record.dead) * share
    if isinstance(target, torch.Tensor) and target.is_floating_point() and target.numel():
        record.soft = True
        record.scores = target.shape == input.shape
        least, most = (value.item() for value in target.detach().aminmax())
        record.outside += _leaves(producer, least, most)
    if result.numel() == 1:
        value = result.item()
        record.first = value if record.checked == 1 else record.first
        record.lowest = value if record.checked == 1 else min(record.lowest, value)
        record.last = value


def _leaves(producer: str, least: float, most: float) -> bool:
    """Whether targets lie where the activation cannot reach, by more than rounding."""
    slack = 1e-3
    reach = _REACH.get(producer)
    return reach is not None and (least < reach[0] - slack or most > reach[1] + slack)


_REACH = {**ACTIVATIONS, "softmax": ACTIVATIONS["sigmoid"], "exp": ACTIVATIONS["softplus"]}
