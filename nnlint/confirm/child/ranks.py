"""What only several ranks can show: fingerprints of parameters and batches, to be compared by the parent."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from nnlint.confirm.records import Chain, RankSeen

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_MOST = 64  # fingerprints of a run


class Wrapped:
    """A network in a wrapper that keeps its copies on all ranks the same."""

    def __init__(self, wrapper: torch.nn.Module, record: RankSeen) -> None:
        self.wrapper = weakref.ref(wrapper)
        self.network: weakref.ref[torch.nn.Module] = weakref.ref(wrapper.get_submodule("module"))
        self.record = record


class Ranks:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._wrapped: list[Wrapped] = []

    def install(self) -> None:
        from torch.nn.parallel import DistributedDataParallel
        from torch.utils.data.distributed import DistributedSampler

        self._probe.after(DistributedDataParallel, "__init__", self._made)
        self._probe.after(DistributedSampler, "__iter__", self._passed)

    def _made(self, result: Any, wrapper: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        network: Any = wrapper.module
        record = RankSeen(network=type(network).__name__, made=self._probe.births.chain(wrapper))
        self._probe.record(record)
        self._wrapped.append(Wrapped(wrapper, record))
        self.stepped()

    def called(self, network: torch.nn.Module, chain: Chain, inputs: list[torch.Tensor]) -> None:
        """A root network was called with gradients."""
        for wrapped in self._wrapped:
            record = wrapped.record
            if network is wrapped.network():
                record.bare = record.bare or chain
            elif network is not wrapped.wrapper():
                continue
            if inputs and len(record.batches) < _MOST:
                record.batches += (fingerprint([inputs[0]]),)
            self._probe.wire.changed(record)

    def stepped(self) -> None:
        for wrapped in self._wrapped:
            network = wrapped.network()
            if network is not None and len(wrapped.record.parameters) < _MOST:
                wrapped.record.parameters += (fingerprint(list(network.parameters())),)
                self._probe.wire.changed(wrapped.record)

    def _passed(self, result: Any, sampler: Any) -> None:
        """A pass over a sampler begins."""
        if not getattr(sampler, "shuffle", False):
            return
        for wrapped in self._wrapped:
            record = wrapped.record
            record.sampler = record.sampler or self._probe.births.chain(sampler) or self._probe.chain()
            record.epochs += 1
            record.epoch_set += sampler.epoch != 0
            self._probe.wire.changed(record)


def fingerprint(tensors: list[torch.Tensor]) -> float:
    """Two numbers in one: equal for equal values, and different for nearly all others."""
    with torch.no_grad():
        total = 0.0
        for index, tensor in enumerate(tensors, 1):
            flat = tensor.detach().double().flatten()
            weights = torch.arange(1, flat.numel() + 1, device=flat.device, dtype=flat.dtype).sin()
            total += index * float((flat * weights).sum())
    return total
