from __future__ import annotations

from collections.abc import Iterator

from nnlint.findings import Remark, Report, Severity
from nnlint.knowledge.schema import Kind
from nnlint.rule import Rule
from nnlint.trace.story import Normalised, Story
from nnlint.trace.values import Const, Network, Tensor


class BiasBeforeBatchnorm(Rule):
    """A Linear or Conv layer has a bias that the following BatchNorm cancels.

    ## Why is this bad?
    BatchNorm subtracts the mean over the batch, and with it any constant per channel. The bias gets no gradient that matters: spurious
    parameters, a little memory and time, and a reader who wonders what they do. Harmless today.

    ## Bad
    ```python
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    ```

    ## Good
    ```python
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    ```

    ## When it stays silent
    When anything but the normalisation uses the layer's output, when an activation stands between, for LayerNorm and GroupNorm (they do
    not cancel a bias per channel), and when it is not known whether the layer has a bias.

    ## Runtime
    The bias is perturbed on a copy: the output of the normalisation does not change, while it does for the weight.

    ## Fix
    `bias=False`.

    ## References
    `torch.nn.BatchNorm2d`.
    """

    code = "NN501"
    severity = Severity.NOTE
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        done: set[int] = set()
        for event in story.events():
            if not isinstance(event, Normalised) or not isinstance(event.norm, Network):
                continue
            layer = _maker(event.input)
            if layer is None or layer.id in done or not _biased(layer) or not _only_normalised(layer):
                continue
            done.add(layer.id)
            norm = event.norm.name.rpartition(".")[2]
            yield Report(
                site=layer.site,
                message=f"the bias of `{layer.label or layer.name.rpartition('.')[2]}` is cancelled by the `{norm}` that follows{_count(layer)}",
                help="pass `bias=False`",
                trace=(Remark(layer.site, "this layer adds a bias"), Remark(event.site, f"this `{norm}` subtracts it again")),
            )


def _maker(tensor: Tensor) -> Network | None:
    """The layer with weights whose output, unchanged, this is."""
    while tensor.op.name == "returned" and len(tensor.inputs) == 1 and isinstance(tensor.inputs[0], Tensor):
        tensor = tensor.inputs[0]
    return tensor.module if tensor.op.kind is Kind.AFFINE else None


def _biased(layer: Network) -> bool:
    if layer.layer is None or not layer.layer.bias:
        return False
    bias = layer.args.get(layer.layer.bias)
    return isinstance(bias, Const) and bias.value is True


def _only_normalised(layer: Network) -> bool:
    """Whether every output of the layer goes into a cancelling normalisation and nowhere else."""
    return all(output.users and all(_cancels(user) for user in output.users) for output in layer.outputs)


def _cancels(user: Tensor) -> bool:
    if user.op.name == "returned":
        return all(_cancels(next_user) for next_user in user.users)
    module = user.module
    return module is not None and module.layer is not None and module.layer.cancels_bias


def _count(layer: Network) -> str:
    out = layer.args.get(layer.layer.out) if layer.layer is not None and layer.layer.out else None
    return f": {out.value} spurious parameters" if isinstance(out, Const) and isinstance(out.value, int) else ""
