"""The network once more, on a copy: for questions that the run itself cannot answer.

Parameters, buffers and modes are copied, the random numbers of the user are put back afterwards, and nothing is recorded meanwhile.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Union

import torch

from nnlint.confirm.child.forwards import tensors

if TYPE_CHECKING:
    from nnlint.confirm.child.forwards import Root

_SEED = 20240607


class Impossible(Exception):
    """The network cannot be called once more; the message says why."""


class Replay:
    """A copy of a network that was called with gradients, and what it was called with last. Raises `Impossible`."""

    def __init__(self, root: Root) -> None:
        network = root.network()
        if network is None or root.given is None:
            raise Impossible("the network was not called with gradients")
        self.network: torch.nn.Module = getattr(network, "module", network) if _wrapper(network) else network
        self.args, self.kwargs = root.given
        try:
            self.copy: torch.nn.Module = copy.deepcopy(self.network)
        except Exception as error:
            raise Impossible(f"the network cannot be copied ({error})") from error

    def layers(self) -> list[tuple[str, torch.nn.Module, torch.nn.Module]]:
        """Name, original and copy of each layer."""
        copies = dict(self.copy.named_modules())
        return [(name, layer, copies[name]) for name, layer in self.network.named_modules() if name in copies]

    def double(self) -> None:
        """In double precision from here on, where the network and its device know it."""
        single = copy.deepcopy(self.copy), self.args, self.kwargs
        try:
            self.copy.double()
            self.args, self.kwargs = _doubled(self.args), _doubled(self.kwargs)
            with torch.no_grad():
                self.run()
        except (Impossible, TypeError, RuntimeError):
            self.copy, self.args, self.kwargs = single

    def run(self, args: Union[tuple[Any, ...], None] = None, kwargs: Union[dict[str, Any], None] = None) -> Any:
        """Call the copy with the same random numbers every time."""
        torch.manual_seed(_SEED)
        try:
            return self.copy(*(self.args if args is None else args), **(self.kwargs if kwargs is None else kwargs))
        except Exception as error:
            raise Impossible(f"the network cannot be called once more ({error})") from error

    def outputs(self) -> torch.Tensor:
        """All floating outputs of one more call as one row of numbers."""
        with torch.no_grad():
            found = [tensor.detach().flatten() for tensor in tensors(self.run()) if tensor.is_floating_point()]
        if not found:
            raise Impossible("the network returns no tensor")
        return torch.cat([part if part.dtype == torch.float64 else part.float() for part in found])


def _doubled(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if type(value) in (list, tuple):
        return type(value)(_doubled(item) for item in value)
    if isinstance(value, dict):
        return {name: _doubled(item) for name, item in value.items()}
    return value


def _wrapper(network: torch.nn.Module) -> bool:
    parallel = type(network).__name__ in ("DataParallel", "DistributedDataParallel")
    return parallel and isinstance(getattr(network, "module", None), torch.nn.Module)
