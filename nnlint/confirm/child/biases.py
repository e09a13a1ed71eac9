"""What the bias of a layer does to the output of the network, beside what its weights do.

A normalisation by the batch takes every constant away again: noise in such a bias changes nothing but the last digits. Measured on a copy
in the modes that training used (a frozen BatchNorm leaves the bias its effect).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from nnlint.confirm.child.replay import Impossible, Replay
from nnlint.confirm.records import BiasSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.forwards import Root
    from nnlint.confirm.child.probe import Probe

_SECONDS = 4.0
_LIKELY = 1e-3  # gradient of the bias over that of the weights, below which a bias may be without effect


class Biases:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._settled: set[int] = set()

    def settle(self) -> None:
        """Measure the layers that findings speak of, and those whose gradients look as if the bias had no effect."""
        probe = self._probe
        until = time.monotonic() + _SECONDS
        with probe.aside():
            for root in probe.forwards.called():
                try:
                    self._measure(root, until)
                except Impossible as reason:
                    probe.note(f"the biases of `{type(root.network()).__name__}` were not measured: {reason}")
                except Exception as error:  # noqa: BLE001
                    probe.note(f"the probe lost sight of biases: {error!r}")

    def _measure(self, root: Root, until: float) -> None:
        network = root.network()
        if network is None or id(network) in self._settled:
            return
        if not any(_biased(layer) and self._suspected(layer) for layer in network.modules()) and not any(
            map(normalises, network.modules())
        ):
            return
        replay = Replay(root)
        norms = sum(normalises(layer) for layer in replay.copy.modules())
        candidates = sorted(
            (not self._suspected(layer), index, name, layer, twin)
            for index, (name, layer, twin) in enumerate(replay.layers())
            if _biased(layer) and (self._suspected(layer) or (norms and _idle(layer)))
        )
        if not candidates:
            return
        self._settled.add(id(network))
        plain = replay.outputs()
        for *_, name, layer, twin in candidates:
            if time.monotonic() > until:
                self._probe.note("not all biases were measured: it took too long")
                break
            self._record(replay, plain, norms, name, layer, twin)

    def _record(self, replay: Replay, plain: torch.Tensor, norms: int, name: str, layer: torch.nn.Module, twin: torch.nn.Module) -> None:
        births = self._probe.births
        bias, weight = twin.bias, twin.weight
        assert isinstance(bias, torch.Tensor) and isinstance(weight, torch.Tensor)
        by_bias = _effect(replay, plain, bias, torch.randn(bias.shape).to(bias))
        by_weight = _effect(replay, plain, weight, 0.5 * weight.detach() * torch.randn(weight.shape).to(weight))
        record = BiasSeen(
            network=type(replay.network).__name__,
            layer=name,
            kind=type(layer).__name__,
            made=births.chain(layer),
            parameters=bias.numel(),
            ratio=by_bias / by_weight if by_weight else float("inf"),
            norms=norms,
            device=str(bias.device),
        )
        self._probe.record(record)

    def _suspected(self, layer: torch.nn.Module) -> bool:
        return self._probe.suspected(self._probe.births.chain(layer)[:1])


def normalises(layer: torch.nn.Module) -> bool:
    """Whether a layer subtracts the mean over the batch or over each sample, in the mode that it is in."""
    if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
        return bool(layer.training) or layer.running_mean is None
    if isinstance(layer, torch.nn.modules.instancenorm._InstanceNorm):
        return bool(layer.training) or not layer.track_running_stats
    return False


def _biased(layer: torch.nn.Module) -> bool:
    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    return isinstance(layer, kinds) and layer.bias is not None and layer.bias.requires_grad


def _idle(layer: torch.nn.Module) -> bool:
    """Whether the bias gets next to no gradient beside the weights."""
    bias, weight = getattr(layer.bias, "grad", None), getattr(layer.weight, "grad", None)
    if bias is None or weight is None or weight.is_sparse:
        return False
    return bool(bias.detach().abs().max() <= _LIKELY * weight.detach().abs().max())


def _effect(replay: Replay, plain: torch.Tensor, tensor: torch.Tensor, noise: torch.Tensor) -> float:
    """The change of the outputs for noise in one tensor of the copy, which is taken back."""
    before = tensor.detach().clone()
    with torch.no_grad():
        tensor += noise
        changed = replay.outputs()
        tensor.copy_(before)
    return float((changed - plain).abs().mean())
