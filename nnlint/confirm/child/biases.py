"""What the bias of a layer does to the output of the network, beside what its weights do.

A normalisation by the batch takes every constant away again: noise in such a bias changes nothing but the last digits. Measured on a copy
in double precision, in the modes that training used (a frozen BatchNorm leaves the bias its effect). That it was a normalisation, and no
softmax or difference further on, is seen at its own input and output.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from nnlint.confirm.child.replay import Impossible, Replay
from nnlint.confirm.records import BiasSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.forwards import Root
    from nnlint.confirm.child.probe import Probe

_SECONDS = 4.0
_VALUES = 4096  # of the input and output of a normalisation that are kept
_FELT = 1e-3  # change of the input of a normalisation that counts as one
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
            (not self._suspected(layer), index, name, layer)
            for index, (name, layer, _) in enumerate(replay.layers())
            if _biased(layer) and (self._suspected(layer) or (norms and _idle(layer)))
        )
        if not candidates:
            return
        self._settled.add(id(network))
        replay.double()
        twins = dict(replay.copy.named_modules())
        plain = Outputs(replay)
        for *_, name, layer in candidates:
            if time.monotonic() > until:
                self._probe.note("not all biases were measured: it took too long")
                break
            self._record(replay, plain, norms, name, layer, twins[name])

    def _record(self, replay: Replay, plain: Outputs, norms: int, name: str, layer: torch.nn.Module, twin: torch.nn.Module) -> None:
        births = self._probe.births
        bias, weight = twin.bias, twin.weight
        assert isinstance(bias, torch.Tensor) and isinstance(weight, torch.Tensor)
        by_bias = _changed(replay, bias, torch.randn(bias.shape).to(bias))
        by_weight = _changed(replay, weight, 0.5 * weight.detach() * torch.randn(weight.shape).to(weight))
        effect = plain.distance(by_weight)
        record = BiasSeen(
            network=type(replay.network).__name__,
            layer=name,
            kind=type(layer).__name__,
            made=births.chain(layer),
            parameters=bias.numel(),
            ratio=plain.distance(by_bias) / effect if effect else float("inf"),
            norms=norms,
            cancelled=plain.cancelled(by_bias),
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


def _changed(replay: Replay, tensor: torch.Tensor, noise: torch.Tensor) -> Outputs:
    """The outputs for noise in one tensor of the copy, which is taken back."""
    before = tensor.detach().clone()
    with torch.no_grad():
        tensor += noise
        changed = Outputs(replay)
        tensor.copy_(before)
    return changed


class Outputs:
    """What the network gives, and what its normalisations by the batch are given and give, in one call of the copy."""

    def __init__(self, replay: Replay) -> None:
        self.norms: list[tuple[torch.Tensor, torch.Tensor]] = []
        functional = torch.nn.functional
        originals = {name: getattr(functional, name) for name in ("batch_norm", "instance_norm")}
        try:
            for name, original in originals.items():
                setattr(functional, name, self._listening(name, original))
            self.all = replay.outputs()
        finally:
            for name, original in originals.items():
                setattr(functional, name, original)

    def _listening(self, name: str, original: Any) -> Any:
        flag = "training" if name == "batch_norm" else "use_input_stats"

        def normalise(input: torch.Tensor, *args: Any, **more: Any) -> Any:
            output = original(input, *args, **more)
            if args[4] if len(args) > 4 else more.get(flag, name == "instance_norm"):
                self.norms.append((_some(input), _some(output)))
            return output

        return normalise

    def distance(self, other: Outputs) -> float:
        return float((self.all - other.all).abs().mean())

    def cancelled(self, other: Outputs) -> bool:
        """Whether the first normalisation whose input differs gives the same in spite of it."""
        for (given, gave), (given_too, gave_too) in zip(self.norms, other.norms):
            if given.shape != given_too.shape:
                return False
            change = float((given - given_too).abs().mean())
            if change > _FELT:
                return float((gave - gave_too).abs().mean()) < _FELT * change
        return False


def _some(tensor: torch.Tensor) -> torch.Tensor:
    """A few thousand values from all over a tensor."""
    return tensor.detach().reshape(-1)[:: max(1, tensor.numel() // _VALUES)].clone()
