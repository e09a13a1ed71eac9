"""Sizes of abstract tensors: the bridge between values and the algebra of layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnlint.findings import Site
from nnlint.knowledge.schema import Op
from nnlint.trace.machine import Machine
from nnlint.trace.values import Const, Shape, Tensor, Unknown, Value

Layout = Any


def unknown() -> Layout:
    return None


def size(tensor: Tensor, index: int) -> Value:
    return Unknown(("size", tensor.id, index), born=tensor.id)


def sizes(tensor: Tensor, key: tuple[Any, ...]) -> Value:
    return Unknown()


def fix_rank(tensor: Tensor, count: int) -> None:
    return None


def rank(tensor: Tensor) -> Value:
    return Unknown(("rank", tensor.id), born=tensor.id)


def pick(layouts: Any, index: int) -> Layout:
    return None


def of_source(op: Op, args: dict[str, Value]) -> Layout:
    return None


def of_operation(m: Machine, op: Op, inputs: Sequence[Value], args: dict[str, Value], site: Site) -> Any:
    return None


def of_arithmetic(op: Op, inputs: Sequence[Value]) -> Layout:
    return None


def of_index(tensor: Tensor, index: list[Any]) -> Layout:
    return None


def part(shape: Shape, key: Any) -> Value:
    """`x.shape[key]`: one size, or a tuple of sizes for a slice."""
    if isinstance(key, Const) and isinstance(key.value, int):
        return size(shape.tensor, key.value)
    if isinstance(key, tuple):
        return sizes(shape.tensor, key)
    return Unknown()


def unpack(shape: Shape, count: int) -> list[Value]:
    """`b, t, c = x.shape`: this fixes the rank."""
    fix_rank(shape.tensor, count)
    return [size(shape.tensor, index) for index in range(count)]
