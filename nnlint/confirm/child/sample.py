"""A small sample that the user gives: what the items of the stand-ins look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

import torch

from nnlint.confirm.child.layout import SINGLE, Field, Form, Layout


class Unusable(Exception):
    """The sample cannot be used; the message says why."""


def load(name: str) -> Layout:
    """The layout of a sample. Where all its arrays have as many rows, these are its items; otherwise it is one item. Raises `Unusable`."""
    try:
        content = _content(Path(name))
    except Exception as error:
        raise Unusable(f"the sample `{name}` cannot be read ({error})") from error
    if isinstance(content, dict):
        values, form = list(content.values()), Form(len(content), tuple(content))
    elif isinstance(content, (list, tuple)):
        values, form = list(content), Form(len(content))
    else:
        values, form = [content], SINGLE
    try:
        arrays = [torch.as_tensor(value) for value in values]
    except (TypeError, ValueError, RuntimeError) as error:
        raise Unusable(f"the sample `{name}` holds what is no array ({error})") from error
    if not arrays or any(not array.numel() for array in arrays):
        raise Unusable(f"the sample `{name}` is empty")
    rows = {array.size(0) if array.dim() else 0 for array in arrays}
    batch = len(rows) == 1 and rows != {0}
    return Layout(form, tuple(_field(array, batch=batch) for array in arrays))


def _content(path: Path) -> Any:
    if path.suffix == ".npz":
        import numpy

        with numpy.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    if path.suffix == ".npy":
        import numpy

        return numpy.load(path, allow_pickle=False)
    return torch.load(path, map_location="cpu", weights_only=True)


def _field(array: torch.Tensor, *, batch: bool) -> Field:
    shape = tuple(array.shape[1:] if batch else array.shape)
    values = array.to(torch.float64) if not array.dtype.is_complex else array.real.to(torch.float64)
    low, high = (float(value) for value in values.aminmax())
    return Field(shape, array.dtype, low, high)


def fitting(layout: Layout, form: Union[Form, None]) -> Layout:
    """The sample in the form that the dataset gives its items, where that has as many fields."""
    return layout if form is None or form.size != len(layout.fields) else layout._replace(form=form)
