from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Applicability, Finding, Remark, Report, Severity, Site
from nnlint.fix.proposal import Argument, Proposal, Way
from nnlint.knowledge.schema import Kind
from nnlint.rule import Rule
from nnlint.trace.story import Mode, Normalised, Story
from nnlint.trace.values import Const, Network, Tensor, TupleVal, Value
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import BiasSeen


class BiasBeforeBatchnorm(Rule):
    """A Linear or Conv layer has a bias that the following BatchNorm cancels.

    ## Why is this bad?
    BatchNorm subtracts the mean over the batch, and with it any constant per channel. The bias gets no gradient that matters: spurious
    parameters, a little memory and time, and a reader who wonders what they do. Harmless today.

    ## Bad
    ```python
    import torch
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    features = block(torch.randn(2, 3, 8, 8))
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    features = block(torch.randn(2, 3, 8, 8))
    ```

    ## When it stays silent
    When anything but the normalisation uses the layer's output, when an activation stands between, for LayerNorm and GroupNorm (they do
    not cancel a bias per channel), and when it is not known whether the layer has a bias.

    ## Runtime
    The bias is perturbed on a copy: the output of the normalisation does not change, while it does for the weight.

    ## Fix
    `bias=False`, in the call that builds the layer. *Unsafe: checkpoints that were saved before hold a bias for which there is no place
    any more.* None where the program reads a `.bias` without asking whether there is one (an initialization, say).

    ## References
    `torch.nn.BatchNorm2d`.
    """

    code = "NN501"
    severity = Severity.NOTE
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        done: set[int] = set()
        # One line may make many layers: only where all of them are cancelled can its bias go.
        needed = {layer.site for layer in story.layers.values() if _biased(layer) and not _only_normalised(layer)}
        frozen = {
            event.network.id
            for event in story.events()
            if isinstance(event, Mode) and event.mode is False and isinstance(event.network, Network)
        }
        for event in story.events():
            if not isinstance(event, Normalised) or not isinstance(event.norm, Network):
                continue
            layer = _maker(event.input, event.norm)
            if layer is None or layer.id in done or not _biased(layer) or layer.site in needed or event.norm.id in frozen:
                continue
            done.add(layer.id)
            norm = event.norm.name.rpartition(".")[2]
            yield Report(
                site=layer.site,
                message=f"the bias of `{layer.label or layer.name.rpartition('.')[2]}` is cancelled by the `{norm}` that follows"
                + _count(layer),
                help="pass `bias=False`",
                trace=(Remark(layer.site, "this layer adds a bias"), Remark(event.site, f"this `{norm}` subtracts it again")),
                fix=_fix(layer),
                whole=True,
            )

    def spares(self, story: Story) -> Iterator[Site]:
        return (layer.site for layer in story.layers.values() if _biased(layer) and any(map(_arrives, _users(layer))))

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = [bias for bias in evidence.biases if evidence.at(finding.place, bias.made)]
        if not seen:
            return not_reached("no network with this layer was trained, or its bias could not be measured")
        idle = [bias for bias in seen if bias.ratio < _IDLE and bias.cancelled]
        if len(idle) == len(seen):
            return _useless(idle)
        active = [bias for bias in seen if bias.ratio > 100 * _IDLE]
        if active:
            bias = active[0]
            return refuted(f"noise in the bias of `{bias.layer}` changes the output: {bias.ratio:.1e} of what the weights do", bias.device)
        return inconclusive(f"noise in the bias changes the output by {seen[0].ratio:.1e} of what the weights do", seen[0].device)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for bias in evidence.biases:
            place = evidence.place(bias.made)
            if place is not None and bias.ratio < _IDLE and bias.cancelled:
                message = f"the bias of `{bias.layer}` is without effect: {bias.parameters} spurious parameters"
                yield self.observed(place, message, "pass `bias=False`", _useless([bias]))


def _maker(tensor: Tensor, norm: Network) -> Network | None:
    """The layer with weights whose output is normalised: directly, or after moves that keep each channel apart."""
    rank = {"1d": 3, "2d": 4, "3d": 5}.get(norm.name[-2:].lower(), 0)
    channel = 1
    while tensor.op.kind is not Kind.AFFINE:
        if len(tensor.inputs) != 1 or not isinstance(tensor.inputs[0], Tensor) or not _keeps_channels(tensor):
            return None
        if tensor.op.name in ("transpose", "permute"):
            moved = _before(tensor, channel, rank)
            if moved is None:
                return None
            channel = moved
        tensor = tensor.inputs[0]
    wanted = channel in (rank - 1, 1) if tensor.op.name in ("linear", "bilinear") else channel == 1
    return tensor.module if wanted else None


def _keeps_channels(tensor: Tensor) -> bool:
    """Whether a constant added to a channel before is a constant added to it after."""
    return tensor.op.kind is Kind.POOL or tensor.op.name in ("returned", "contiguous", "transpose", "permute", "to", "clone")


def _before(tensor: Tensor, channel: int, rank: int) -> int | None:
    """The axis that became `channel`."""
    order = list(range(rank))
    if tensor.op.name == "transpose":
        ends = [_number(value) for value in list(tensor.args.values())[:2]]
        if len(ends) != 2 or not all(end is not None and -rank <= end < rank for end in ends):
            return None
        first, second = (end % rank for end in ends if end is not None)
        order[first], order[second] = order[second], order[first]
    else:
        dims = tensor.args.get("dims")
        given = [_number(value) for value in dims.items] if isinstance(dims, TupleVal) else []
        if len(given) != rank or any(dim is None for dim in given):
            return None
        order = [dim % rank for dim in given if dim is not None]
    return order[channel] if channel < len(order) else None


def _number(value: Value) -> int | None:
    return value.value if isinstance(value, Const) and isinstance(value.value, int) else None


def _biased(layer: Network) -> bool:
    if layer.layer is None or not layer.layer.bias:
        return False
    bias = layer.args.get(layer.layer.bias)
    return isinstance(bias, Const) and bias.value is True


def _only_normalised(layer: Network) -> bool:
    """Whether every output of the layer goes into a cancelling normalisation and nowhere else."""
    return all(output.users and all(_cancels(user) for user in output.users) for output in layer.outputs)


def _cancels(user: Tensor) -> bool:
    if _keeps_channels(user):
        return bool(user.users) and all(_cancels(next_user) for next_user in user.users)
    module = user.module
    return module is not None and module.layer is not None and module.layer.cancels_bias


def _users(layer: Network) -> Iterator[Tensor]:
    return (user for output in layer.outputs for user in output.users)


def _arrives(user: Tensor) -> bool:
    """Whether a bias is seen to come to something that does not cancel it."""
    if _keeps_channels(user):
        return any(map(_arrives, user.users))
    return not _cancels(user)


def _fix(layer: Network) -> Proposal | None:
    """`bias=False` in the call that builds the layer."""
    assert layer.layer is not None
    if layer.cls is not None or layer.layer.bias not in layer.layer.op.params:
        return None
    change = Argument(layer.site, layer.layer.bias, "False", layer.layer.op.params.index(layer.layer.bias), ("True",))
    return Proposal(Applicability.UNSAFE, (Way("pass `bias=False`", (change,)),), _CAUTION, unread="bias")


_CAUTION = "checkpoints that were saved before hold a bias for which there is no place any more"


def _count(layer: Network) -> str:
    out = layer.args.get(layer.layer.out) if layer.layer is not None and layer.layer.out else None
    return f": {out.value} spurious parameters" if isinstance(out, Const) and isinstance(out.value, int) else ""


_IDLE = 1e-4


def _useless(seen: list[BiasSeen]) -> Verdict:
    count, worst = sum(bias.parameters for bias in seen), max(seen, key=lambda bias: bias.ratio)
    message = f"noise in the bias changes the output by {worst.ratio:.1e} of what noise in the weights does: {count} spurious parameters"
    return confirmed(message, worst.device, parameters=count, ratio=worst.ratio)
