"""What one item of a dataset is: its fields with their shapes, types and ranges, and how they are put together."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple, Union

import torch

_SEED = 20240607


class Field(NamedTuple):
    """One tensor of an item, without the batch axis. Whole numbers lie in [low, high], others too, drawn evenly."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    low: float = 0.0
    high: float = 1.0

    def __str__(self) -> str:
        name = str(self.dtype).removeprefix("torch.")
        return f"{name} {self.shape}" if self.whole is False else f"{name} {self.shape} in [{self.low:g}, {self.high:g}]"

    @property
    def whole(self) -> bool:
        return not (self.dtype.is_floating_point or self.dtype.is_complex)

    def draw(self, generator: torch.Generator, batch: tuple[int, ...] = ()) -> torch.Tensor:
        size = (*batch, *self.shape)
        if self.whole:
            return torch.randint(int(self.low), int(self.high) + 1, size, generator=generator).to(self.dtype)
        numbers = torch.rand(size, generator=generator, dtype=torch.float64)
        return (self.low + (self.high - self.low) * numbers).to(self.dtype)


class Form(NamedTuple):
    """How an item holds its fields: `size` in a tuple, one under each key, or a single one by itself."""

    size: int = 1
    keys: tuple[Any, ...] = ()
    single: bool = False

    def fill(self, values: list[Any]) -> Any:
        if self.single:
            return values[0]
        return dict(zip(self.keys, values, strict=True)) if self.keys else tuple(values)


SINGLE, PAIR = Form(single=True), Form(2)


class Layout(NamedTuple):
    form: Form
    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.fields))

    def item(self, index: int) -> Any:
        """The same item for the same index, whatever was asked before."""
        generator = torch.Generator().manual_seed(_SEED + index)
        return self.form.fill([_plain(field.draw(generator)) for field in self.fields])


def _plain(value: torch.Tensor) -> Any:
    """A class index is a number of Python's, as datasets give it."""
    return value.item() if value.dim() == 0 and not value.is_floating_point() else value


def form_of(function: Any) -> Union[Form, None]:
    """How the items are put together that a `__getitem__` or `__iter__` returns, as far as its source says."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    shown: dict[str, Form] = {}
    for node in ast.walk(tree):
        form = _form(node.value) if isinstance(node, ast.Assign) else None
        if form is not None and isinstance(node, ast.Assign):
            shown |= {target.id: form for target in node.targets if isinstance(target, ast.Name)}
    for value in _results(tree):
        form = _form(value) or (shown.get(value.id) if isinstance(value, ast.Name) else None)
        if form is not None:
            return form
    return None


def _results(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            yield node.value


def _form(value: ast.expr) -> Union[Form, None]:
    if isinstance(value, (ast.Tuple, ast.List)) and value.elts and not any(isinstance(part, ast.Starred) for part in value.elts):
        return Form(len(value.elts))
    if isinstance(value, ast.Dict) and value.keys and all(isinstance(key, ast.Constant) for key in value.keys):
        keys = tuple(key.value for key in value.keys if isinstance(key, ast.Constant))
        return Form(len(keys), keys)
    return None
