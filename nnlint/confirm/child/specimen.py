"""What a network takes: inputs guessed from its layers, tried on a copy."""

from __future__ import annotations

import copy
import gc
import inspect
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Union

import torch

from nnlint.confirm.child.forwards import tensors
from nnlint.confirm.child.layout import Field

SIDES = (28, 32, 64, 96, 128, 224, 256, 299, 512)  # of images
LENGTHS = (16, 32, 64, 128, 256, 512)  # of sequences
_SPANS = (64, 128, 256, 1024, 4096, 16000)  # of signals
_EDGES = (16, 32, 64)  # of volumes
_ENTRIES = 4  # layers that may be the first
_BATCH = 3
_SEED = 20240607


class Fit(NamedTuple):
    """Fields that a network takes, one for each of its arguments, and the shape of its first output for a batch of `_BATCH`."""

    network: torch.nn.Module
    fields: tuple[Field, ...]
    output: tuple[int, ...]

    @property
    def scores(self) -> tuple[int, ...]:
        """The output of one sample."""
        return self.output[1:]


def networks() -> list[torch.nn.Module]:
    """The networks with parameters that are alive and no part of another one."""
    live = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module) and "_modules" in thing.__dict__]
    parts = {id(part) for module in live for part in module._modules.values()}
    roots = [module for module in live if id(module) not in parts and next(module.parameters(), None) is not None]
    return [_inside(module) for module in roots]


def losses() -> list[torch.nn.Module]:
    """The loss layers that are alive."""
    kind = torch.nn.modules.loss._Loss
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def entries(network: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers with parameters of their own that may be the first."""
    found: list[torch.nn.Module] = []
    inner: set[int] = set()
    for layer in network.modules():
        if id(layer) in inner:
            continue
        if isinstance(layer, torch.nn.MultiheadAttention):
            inner |= {id(part) for part in layer.modules()}
        if any(parameter is not None for parameter in layer._parameters.values()):
            found.append(layer)
    return found


def fields_for(layer: torch.nn.Module, lengths: Iterable[int] = LENGTHS, sides: Iterable[int] = SIDES) -> Iterator[Field]:
    """What a layer may take, the likeliest first."""
    nn = torch.nn
    weight = next(layer.parameters(recurse=False), None)
    dtype = weight.dtype if weight is not None and weight.dtype.is_floating_point else torch.float32

    def floats(*shape: int) -> Field:
        return Field(shape, dtype)

    if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
        yield from (floats(_width(layer), side, side) for side in sides)
    elif isinstance(layer, nn.ConvTranspose2d):
        yield from (floats(layer.in_channels, side, side) for side in (1, 4, 7, 8, 16, *sides))
    elif isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
        yield from (floats(layer.in_channels, span) for span in (*lengths, *_SPANS))
    elif isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d)):
        yield from (floats(_width(layer), edge, edge, edge) for edge in _EDGES)
    elif isinstance(layer, (nn.Linear, nn.BatchNorm1d)):
        width = layer.in_features if isinstance(layer, nn.Linear) else layer.num_features
        yield from (floats(*shape) for shape in _rows(width, lengths))
    elif isinstance(layer, nn.Embedding):
        yield from (Field((length,), torch.int64, 0, layer.num_embeddings - 1) for length in lengths)
        yield Field((), torch.int64, 0, layer.num_embeddings - 1)
    elif isinstance(layer, nn.modules.rnn.RNNBase):
        # The rows of an image may be read as a sequence.
        first, *others = lengths
        yield from (floats(length, layer.input_size) for length in (first, layer.input_size, *others))
    elif isinstance(layer, nn.modules.rnn.RNNCellBase):
        yield from (floats(*shape) for shape in _rows(layer.input_size, lengths))
    elif isinstance(layer, nn.MultiheadAttention):
        yield from (floats(length, layer.embed_dim) for length in lengths)
    elif isinstance(layer, nn.LayerNorm):
        shape = tuple(layer.normalized_shape)
        yield from (floats(*shape), *(floats(length, *shape) for length in lengths))
    elif weight is not None and weight.dim() == 2:
        yield from (floats(*shape) for width in dict.fromkeys(weight.shape) for shape in _rows(width, lengths))


def _width(layer: Any) -> int:
    return int(layer.in_channels if hasattr(layer, "in_channels") else layer.num_features)


def _rows(width: int, lengths: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Rows of a width: one, several, or an image that is laid out as one."""
    yield (width,)
    for channels in (1, 3):
        side = math.isqrt(width // channels)
        if channels * side * side == width and side >= 8:
            yield (channels, side, side)
            if channels == 1:
                yield (side, side)
    yield from ((length, width) for length in lengths)


def guesses(network: torch.nn.Module, lengths: Iterable[int] = LENGTHS, sides: Iterable[int] = SIDES) -> Iterator[tuple[Field, ...]]:
    """Fields for the arguments that the network must be given, or for the first ones: the others are then `None`."""
    wanted = needed(network)
    layers = entries(network)[: max(_ENTRIES, wanted)]
    by_layer = [fields for fields in (list(fields_for(layer, lengths, sides)) for layer in layers) if fields]
    found: dict[tuple[Field, ...], None] = {}
    if wanted > 1:
        if len(by_layer) >= wanted:
            # One layer for each argument.
            found |= dict.fromkeys(zip(*by_layer[:wanted], strict=False))
            found[tuple(fields[-1] for fields in by_layer[:wanted])] = None
        found |= dict.fromkeys((field,) * wanted for fields in by_layer for field in fields)
        if wanted == 2:
            found |= dict.fromkeys(_conditioned(layers, lengths, sides))
    found |= dict.fromkeys((field,) for fields in by_layer for field in fields)
    yield from found


def _conditioned(layers: Iterable[torch.nn.Module], lengths: Iterable[int], sides: Iterable[int]) -> Iterator[tuple[Field, ...]]:
    """Data and a class, in either order: what the class is embedded in may be laid beside the data, in front of a Linear layer."""
    embeddings = [layer for layer in layers if isinstance(layer, torch.nn.Embedding)]
    others = [layer for layer in layers if not isinstance(layer, torch.nn.Embedding)]
    for embedding, layer in itertools.product(embeddings, others):
        label = Field((), torch.int64, 0, embedding.num_embeddings - 1)
        data = list(fields_for(layer, lengths, sides))
        if isinstance(layer, torch.nn.Linear) and layer.in_features > embedding.embedding_dim:
            shapes = _rows(layer.in_features - embedding.embedding_dim, ())
            data += [Field(shape, layer.weight.dtype) for shape in shapes]
        for field in data:
            yield field, label
            yield label, field


class Specimen:
    """A copy of a network, to be called with guesses. Raises what copying raises."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self._copy: torch.nn.Module = copy.deepcopy(network)
        self.error = ""  # of the likeliest guess that failed

    def fits(self, lengths: Iterable[int] = LENGTHS, sides: Iterable[int] = SIDES, batch: int = _BATCH) -> Iterator[Fit]:
        """The guesses that the network takes. Uses up random numbers, which the caller puts back."""
        for fields in guesses(self.network, lengths, sides):
            output = self._try(fields, batch)
            if output is not None:
                yield Fit(self.network, fields, output)

    def takes(self, fields: tuple[Field, ...], batch: int) -> bool:
        return self._try(fields, batch) is not None

    def _try(self, fields: tuple[Field, ...], batch: int) -> Union[tuple[int, ...], None]:
        torch.manual_seed(_SEED)
        try:
            with torch.no_grad():
                output = self._copy(*arguments(self.network, fields, batch))
        except Exception as error:  # noqa: BLE001  a guess that is none
            self.error = self.error or f"{type(error).__name__}: {error}"
            return None
        found = next(tensors(output), None)
        if found is None or (found.dim() and batch not in found.shape[:2]):
            # A size that is written into the code may deal the numbers of one sample out to several.
            self.error = self.error or "its output has another number of samples than its input"
            return None
        return tuple(found.shape)


def needed(network: torch.nn.Module) -> int:
    """The arguments without which the network cannot be called."""
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds and parameter.default is parameter.empty for parameter in parameters) or 1


def arguments(network: torch.nn.Module, fields: Iterable[Field], batch: int, seed: int = _SEED) -> list[Any]:
    """A batch of each field, where the network lies, and `None` for what else it must be given."""
    generator = torch.Generator().manual_seed(seed)
    place = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    drawn: list[Any] = [field.draw(generator, (batch,)).to(place) for field in fields]
    return drawn + [None] * (needed(network) - len(drawn))


def fits(network: torch.nn.Module) -> Iterator[Fit]:
    """The guesses that a network takes; none where it cannot be copied."""
    try:
        copied = Specimen(network)
    except Exception:  # noqa: BLE001
        return
    yield from copied.fits()


def _inside(module: torch.nn.Module) -> torch.nn.Module:
    wrapped = module._modules.get("module")
    return wrapped if wrapped is not None and type(module).__name__ in ("DataParallel", "DistributedDataParallel") else module
