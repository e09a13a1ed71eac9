from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Applicability, Finding, Report, Severity
from nnlint.fix.proposal import Argument, Proposal, Way
from nnlint.knowledge.schema import Kind, Wants
from nnlint.rule import Group, Rule
from nnlint.trace.losses import loss_inputs
from nnlint.trace.producers import Producer, producers
from nnlint.trace.story import Story
from nnlint.trace.values import Const, Network, Tensor
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence


class OutputLayerWithoutBias(Rule):
    """The output layer has no bias.

    ## Why is this bad?
    The bias of the last layer holds what is known before any input is seen: the class frequencies, the mean of the targets. Without it
    the network has to spend its features on a constant.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3, bias=False))
    loss = nn.CrossEntropyLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    loss = nn.CrossEntropyLoss()(net(torch.randn(8, 4)), torch.randint(3, (8,)))
    loss.backward()
    ```

    ## When it stays silent
    For tied weights, heads on normalised features (re-identification, cosine and margin heads), outputs to which a bias of its own is
    added, hidden layers, and embeddings.

    ## Runtime
    The layer that makes the loss input is read from the autograd graph.

    ## Fix
    `bias=True`, the default, in place of `bias=False`. *Unsafe: checkpoints that were saved before lack the bias.*

    ## References
    Karpathy, "A Recipe for Training Neural Networks": initialise the final layer's bias.
    """

    code = "NN502"
    severity = Severity.NOTE
    group = Group.PEDANTIC
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        for given in loss_inputs(story):
            if given.loss.wants is Wants.ANY and given.loss.name not in _REGRESSION:
                continue
            for producer in given.producers:
                tensor, layer = _output(producer)
                if layer is None or not _bare(layer) or "weight" in layer.attrs or not _on_features(tensor):
                    continue
                yield Report(
                    site=layer.site,
                    message=f"the output layer `{layer.label or layer.name.rpartition('.')[2]}` has no bias",
                    help="leave `bias` at its default: it holds the class frequencies or the mean of the targets",
                    trace=given.trace(producer, "the output layer is applied here"),
                    fix=_fix(layer),
                )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = [loss for loss in evidence.losses if evidence.at(finding.place, loss.bias_layer)]
        if not seen:
            return not_reached("no loss was computed from this layer")
        bare = [loss for loss in seen if loss.bias is False]
        if bare:
            batches = bare[0].batches
            return confirmed(f"the scores were made without a bias on {batches} of {batches} batches", bare[0].device, batches=batches)
        if all(loss.bias for loss in seen):
            return refuted("the layer that makes the scores adds a bias", seen[0].device, batches=seen[0].batches)
        return inconclusive("the autograd graph does not tell whether a bias was added", seen[0].device)


def _fix(layer: Network) -> Proposal | None:
    """A bias in the call that builds the layer."""
    assert layer.layer is not None
    if layer.cls is not None:
        return None
    change = Argument(layer.site, layer.layer.bias, "True", layer.layer.op.params.index(layer.layer.bias), ("False",))
    return Proposal(Applicability.UNSAFE, (Way("pass `bias=True`", (change,)),), "checkpoints that were saved before lack the bias")


def _output(producer: Producer) -> tuple[Tensor, Network | None]:
    """The layer that makes the scores, and what it made; nothing where arithmetic follows: a scale or a bias of its own is a design."""
    tensor, steps = producer.tensor, producer.path
    if tensor.op.kind in (Kind.PROBABILITY, Kind.LOG_PROBABILITY) and tensor.inputs:
        inner = producers(tensor.inputs[0]) or []
        if len(inner) != 1:
            return tensor, None
        tensor, steps = inner[0].tensor, (*steps, *inner[0].path)
    plain = tensor.op.kind is Kind.AFFINE and not any(step.op.kind is Kind.ARITHMETIC for step in steps)
    return tensor, tensor.module if plain else None


def _on_features(tensor: Tensor) -> bool:
    """Whether the layer stands on hidden features or data; behind a norm of any kind heads without bias are the usual design."""
    before = producers(tensor.inputs[0]) if tensor.inputs else None
    return before is not None and all(part.kind in _FEATURES and part.tensor.op.name != "normalize" for part in before)


_FEATURES = frozenset({Kind.ACTIVATION, Kind.AFFINE, Kind.RECURRENT, Kind.SOURCE, Kind.PROBABILITY, Kind.KEEP})
_REGRESSION = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "gaussian_nll_loss"})


def _bare(layer: Network) -> bool:
    if layer.layer is None or not layer.layer.bias or layer.layer.op.name not in ("linear", "conv1d", "conv2d", "conv3d"):
        return False
    bias = layer.args.get(layer.layer.bias)
    return isinstance(bias, Const) and bias.value is False
