"""Symbolic sizes."""

from __future__ import annotations

import itertools
import random

import pytest

from nnlint.trace.size import Size


def symbols(names: str) -> list[Size]:
    return [Size.symbol(name, name) for name in names.split()]


C, heads, d, T = symbols("C heads d T")


def test_equal_by_canonical_form() -> None:
    assert heads * d == d * heads
    assert (T + 1) * C == C * T + C
    assert hash(heads * d) == hash(d * heads)
    assert T - T == Size.of(0) == 0
    assert Size.of(3) == 3 and hash(Size.of(3)) == hash(3)
    assert Size.symbol("a", "x") == Size.symbol("a", "y") != Size.symbol("b", "x")


def test_division_means_what_the_user_means() -> None:
    assert heads * (C // heads) == C
    assert (C // heads) * T * heads == C * T
    assert heads * d // heads == d
    assert (C * T + C) // (T + 1) == C
    assert C // 2 // 3 == C // 6
    assert (2 * C) // 2 == C
    assert 2 * (C // 2) == C
    assert Size.of(10) // 3 == 3
    assert (T * T - 1) // (T - 1) == T + 1


def test_remainder() -> None:
    assert (heads * d) % heads == 0
    assert Size.of(10) % 4 == 2
    assert (C % heads).known is None
    assert C % heads == C % heads


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (C // heads, "C // heads"),
        (heads * (C // heads), "C"),
        (3 * heads, "3 * heads"),
        ((T + 1) * C, "(T + 1) * C"),
        (T - 1, "T - 1"),
        (Size.of(2) + 3, "5"),
        (C // (heads * d), "C // (heads * d)"),
        (C % heads, "C % heads"),
        ((heads * d).named("inner"), "inner"),
    ],
)
def test_text(size: Size, text: str) -> None:
    assert str(size) == text


def test_plural() -> None:
    assert (T + 1).plural and Size.of(2).plural and (2 * T).plural
    assert not T.plural and not (T - 1).plural and not Size.of(1).plural and not (C // heads).plural


def test_nonsense_does_not_raise() -> None:
    assert (C // 0).known is None
    assert (C % 0).known is None
    assert (Size.of(3) // 0).known is None
    assert (C // (C - C)).known is None
    assert Size.of(0) * C == 0


def test_long_stories_stay_short() -> None:
    size = T
    for n in range(2000):
        size = size + (n % 3) * heads + 1
    assert len(str(size)) < 200
    product = T + 1
    for name in "abcdefghij":
        product = product * (Size.symbol(name, name) + 1)
    assert len(str(product)) < 500


def test_factors_multiply_back() -> None:
    for size in (C * T + C, 3 * heads * d, C // heads, (T - 1) * 4, 1 - T, (T + 1) * (C + 2), T * C // 6):
        assert Size.product(*size.factors()) == size


def test_against_numbers() -> None:
    rng = random.Random(0)
    values = {"a": 6, "b": 35, "c": 11, "d": 13}
    for _ in range(500):
        leaves = [(Size.symbol(name, name), value) for name, value in values.items()] + [(Size.of(n), n) for n in range(1, 5)]
        size, value = rng.choice(leaves)
        for _ in range(rng.randrange(1, 6)):
            other, number = rng.choice(leaves)
            op = rng.choice("+-*")
            size = size + other if op == "+" else size - other if op == "-" else size * other
            value = value + number if op == "+" else value - number if op == "-" else value * number
        assert eval(str(size), dict(values)) == value
        for other, _ in itertools.islice(leaves, 6):
            assert (size * other) // other == size
            assert eval(str((size * other) // other), dict(values)) == value
