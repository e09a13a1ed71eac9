"""Layouts and the verdict on views, cross-checked against torch on index-labelled tensors."""

# ruff: noqa: B023 -- the functions are called within the same turn of the loop
# mypy: disable-error-code="list-item"

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, Union

import pytest

from nnlint.trace.layout import Layout, Mask, Relabel, broadcast, cat, einsum, matmul, stack
from nnlint.trace.relabel import Atom
from nnlint.trace.shapes import UNKNOWN, layout_of
from nnlint.trace.size import Size

torch = pytest.importorskip("torch")

VALUES = {"B": 2, "T": 3, "H": 5, "d": 7, "W": 11, "L": 13, "S": 17}
B, T, H, d, W, L, S = (Size.symbol(name, name) for name in VALUES)
C, E, n, m = (Size.symbol(name, name) for name in "C E n m".split())
VALUES |= {"C": 35, "E": 35, "n": 2, "m": 3}


def number(size: Size) -> int:
    return int(eval(str(size), dict(VALUES)))


def shape(layout: Layout) -> tuple[int, ...]:
    sizes = layout.sizes
    assert sizes is not None
    return tuple(number(size) for size in sizes)


class Labelled:
    """A layout with a real tensor, and for every atom of the source the index it has at each entry."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        self.layout = Layout.fresh(sizes)
        shape = [number(size) for size in sizes]
        self.tensor = torch.arange(int(torch.tensor(shape).prod())).view(shape)
        grids = torch.meshgrid(*(torch.arange(size) for size in shape), indexing="ij")
        self.index = {axis[0]: grid for axis, grid in zip(self.layout.prefix, grids) if axis}

    def apply(self, on_layout: Callable[[Layout], Layout], on_tensor: Callable[[Any], Any]) -> Labelled:
        self.layout = on_layout(self.layout)
        self.tensor = on_tensor(self.tensor)
        self.index = {atom: on_tensor(grid) for atom, grid in self.index.items()}
        self.check()
        return self

    def check(self) -> None:
        assert shape(self.layout) == tuple(self.tensor.shape)
        for at, axis in enumerate(self.layout.prefix):
            stride = 1
            for atom in reversed(axis):
                size = number(atom.size)
                if atom in self.index:
                    view = [1] * self.tensor.dim()
                    view[at] = -1
                    where = (torch.arange(self.tensor.shape[at]) // stride % size).view(view)
                    assert (self.index[atom] == where).all(), (self.layout, atom)
                stride *= size


OPERATIONS: list[tuple[Callable[[Layout], Layout], Callable[[Any], Any]]] = [
    (lambda x: x.permute(2, 0, 1), lambda x: x.permute(2, 0, 1)),
    (lambda x: x.permute(-1, 0, -2), lambda x: x.permute(-1, 0, -2)),
    (lambda x: x.transpose(1, -1), lambda x: x.transpose(1, -1)),
    (lambda x: x.movedim(0, -1), lambda x: x.movedim(0, -1)),
    (lambda x: x.movedim((0, 2), (1, 0)), lambda x: x.movedim((0, 2), (1, 0))),
    (lambda x: x.flatten(1), lambda x: x.flatten(1)),
    (lambda x: x.flatten(0, 1), lambda x: x.flatten(0, 1)),
    (lambda x: x.flatten(), lambda x: x.flatten()),
    (lambda x: x.unsqueeze(1), lambda x: x.unsqueeze(1)),
    (lambda x: x.unsqueeze(-1), lambda x: x.unsqueeze(-1)),
    (lambda x: x.unsqueeze(-3).squeeze(1), lambda x: x.unsqueeze(-3).squeeze(1)),
    (lambda x: x.unsqueeze(2).squeeze(2), lambda x: x.unsqueeze(2).squeeze(2)),
    (lambda x: x.unsqueeze(0).expand([S, None, None, None]), lambda x: x.unsqueeze(0).expand(17, -1, -1, -1)),
    (lambda x: x.repeat([1, W, 1]), lambda x: x.repeat(1, 11, 1)),
    (lambda x: x.repeat([W, 2, 1, 1]), lambda x: x.repeat(11, 2, 1, 1)),
    (lambda x: x.repeat_interleave(W, 1), lambda x: x.repeat_interleave(11, 1)),
    (lambda x: x.repeat_interleave(W), lambda x: x.repeat_interleave(11)),
    (lambda x: x.select(1), lambda x: x.select(1, 1)),
    (lambda x: x.index([0]), lambda x: x[0]),
    (lambda x: x.index([slice(None), 0]), lambda x: x[:, 0]),
    (lambda x: x.index([Ellipsis, 0]), lambda x: x[..., 0]),
    (lambda x: x.index([slice(None), None, Ellipsis]), lambda x: x[:, None]),
    (lambda x: x.index([Ellipsis, None, slice(None)]), lambda x: x[..., None, :]),
    (lambda x: x.index([0, Ellipsis, 0]), lambda x: x[0, ..., 0]),
    (lambda x: x.chunk(2, 0)[0], lambda x: x.chunk(2, 0)[0]),  # type: ignore[index]
    (lambda x: x.reduce(1), lambda x: x.amax(1)),
    (lambda x: x.reduce([0, 2]), lambda x: x.amax([0, 2])),
    (lambda x: x.reduce(-1, True), lambda x: x.amax(-1, True)),
    (lambda x: x.reversed(), lambda x: x.permute(2, 1, 0)),
    (lambda x: x.view([B * T, H])[0], lambda x: x.reshape(6, 5)),
    (lambda x: x.view([B, None])[0], lambda x: x.reshape(2, -1)),
    (lambda x: x.view([B, 1, T, 1, H])[0], lambda x: x.reshape(2, 1, 3, 1, 5)),
    (lambda x: stack([x, x.copied()], 1), lambda x: torch.stack([x, x], 1)),
    (lambda x: stack([x], -1, W), lambda x: torch.stack([x] * 11, -1)),
    (lambda x: cat([x], 1, W), lambda x: torch.cat([x] * 11, 1)),
    (lambda x: cat([x, x.copied()], -1), lambda x: torch.cat([x, x], -1)),
    (lambda x: x.rearrange("b t h -> b (h t)", {}), lambda x: x.permute(0, 2, 1).reshape(2, 15)),
    (lambda x: x.rearrange("b ... -> ... b", {}), lambda x: x.permute(1, 2, 0)),
    (lambda x: x.rearrange("b t h -> b w t h", {"w": W}), lambda x: x.unsqueeze(1).repeat(1, 11, 1, 1)),
    (lambda x: x.rearrange("b t h -> h 1 (b t)", {}), lambda x: x.permute(2, 0, 1).reshape(5, 1, 6)),
    (lambda x: einsum("bth->htb", [x]), lambda x: torch.einsum("bth->htb", x)),
    (lambda x: einsum("...h->h...", [x]), lambda x: torch.einsum("...h->h...", x)),
]


@pytest.mark.parametrize("at", range(len(OPERATIONS)))
def test_operation(at: int) -> None:
    Labelled([B, T, H]).apply(*OPERATIONS[at])


SHAPE_ONLY: list[tuple[Callable[[Layout], Layout], Callable[[Any], Any]]] = [
    (lambda x: x.index([slice(1, None)]), lambda x: x[1:]),
    (lambda x: x.index([slice(None), slice(None, -1)]), lambda x: x[:, :-1]),
    (lambda x: x.index([slice(None), slice(None, None, 2)]).narrow(1, 2), lambda x: x[:, ::2]),
    (lambda x: Layout.fresh([B, 2 * T]).index([slice(None), slice(1, None, 2)]), lambda x: torch.zeros(2, 6)[:, 1::2]),
    (lambda x: x.index([Layout.fresh([W])]), lambda x: x[torch.zeros(11, dtype=torch.long)]),
    (
        lambda x: x.index([slice(None), Layout.fresh([W]), Layout.fresh([W])]),
        lambda x: x[:, torch.zeros(11, dtype=torch.long), torch.zeros(11, dtype=torch.long)],
    ),
    (
        lambda x: x.index([Layout.fresh([W]), slice(None), Layout.fresh([W])]),
        lambda x: x[torch.zeros(11, dtype=torch.long), :, torch.zeros(11, dtype=torch.long)],
    ),
    (lambda x: x.index([slice(None), Layout.fresh([W, S]), None]), lambda x: x[:, torch.zeros(11, 17, dtype=torch.long), None]),
    (lambda x: x.index([0, slice(None), Layout.fresh([W])]), lambda x: x[0, :, torch.zeros(11, dtype=torch.long)]),
    (lambda x: matmul(x, Layout.fresh([H, W])), lambda x: x @ torch.zeros(5, 11, dtype=torch.long)),
    (lambda x: matmul(x, x.transpose(1, 2)), lambda x: x @ x.transpose(1, 2)),
    (lambda x: matmul(x, Layout.fresh([H])), lambda x: x @ torch.zeros(5, dtype=torch.long)),
    (lambda x: matmul(x.unsqueeze(1), Layout.fresh([W, H, S])), lambda x: x.unsqueeze(1) @ torch.zeros(11, 5, 17, dtype=torch.long)),
    (lambda x: broadcast(x, Layout.fresh([T, 1])), lambda x: x + torch.zeros(3, 1)),
    (lambda x: broadcast(x.unsqueeze(2), Layout.fresh([W, 1])), lambda x: x.unsqueeze(2) + torch.zeros(11, 1)),
    (lambda x: broadcast(x.reduce(1, True), x), lambda x: x.amax(1, True) + x),
    (
        lambda x: einsum("bth,whs->bwts", [x, Layout.fresh([W, H, S])]),
        lambda x: torch.einsum("bth,whs->bwts", x, torch.zeros(11, 5, 17).long()),
    ),
    (lambda x: einsum("bth,bth", [x, x]), lambda x: torch.einsum("bth,bth", x, x)),
    (lambda x: cat([x, Layout.fresh([B, 1, H])], 1), lambda x: torch.cat([x, x[:, :1]], 1)),
    (lambda x: Layout.fresh([B, 9]).split(2, 1)[4], lambda x: torch.zeros(2, 9).split(2, 1)[4]),  # type: ignore[index]
    (lambda x: x.split([1, H - 1], -1)[1], lambda x: x.split([1, 4], -1)[1]),  # type: ignore[index]
    (lambda x: x.unflatten(-1, [H, 1]), lambda x: x.unflatten(-1, (5, 1))),
    (lambda x: Layout.fresh([B, T * H]).unflatten(1, [None, H]), lambda x: x.flatten(1).unflatten(1, (-1, 5))),
    (lambda x: x.transpose(1, 2).t().reduce() if x.rank == 2 else x.reduce(), lambda x: x.sum()),
]


@pytest.mark.parametrize("at", range(len(SHAPE_ONLY)))
def test_shape(at: int) -> None:
    on_layout, on_tensor = SHAPE_ONLY[at]
    assert shape(on_layout(Layout.fresh([B, T, H]))) == tuple(on_tensor(torch.zeros(2, 3, 5, dtype=torch.long)).shape)


def test_chains_of_operations() -> None:
    rng = random.Random(1)
    primes = [B, T, H, d, W]
    for _ in range(400):
        labelled = Labelled(rng.sample(primes, rng.randrange(2, 5)))
        for _ in range(rng.randrange(1, 7)):
            rank = labelled.tensor.dim()
            kind = rng.choice(["permute", "flatten", "unsqueeze", "merge", "split", "transpose"])
            if kind == "permute" and rank:
                order = rng.sample(range(rank), rank)
                labelled.apply(lambda x: x.permute(*order), lambda x: x.permute(*order))
            elif kind == "transpose" and rank > 1:
                one, two = rng.sample(range(rank), 2)
                labelled.apply(lambda x: x.transpose(one, two - rank), lambda x: x.transpose(one, two))
            elif kind == "flatten" and rank > 1:
                start = rng.randrange(rank - 1)
                end = rng.randrange(start, rank)
                labelled.apply(lambda x: x.flatten(start, end), lambda x: x.flatten(start, end))
            elif kind == "unsqueeze" and rank < 6:
                at = rng.randrange(rank + 1)
                labelled.apply(lambda x: x.unsqueeze(at), lambda x: x.unsqueeze(at))
            elif kind == "merge" and rank > 1:
                sizes = list(labelled.layout.sizes or ())
                at = rng.randrange(rank - 1)
                target: list[Union[Size, None]] = [*sizes[:at], sizes[at] * sizes[at + 1], *sizes[at + 2 :]]
                if rng.random() < 0.5:
                    target[rng.randrange(len(target))] = None
                assert labelled.layout.view(target)[1] is None
                labelled.apply(lambda x: x.view(target)[0], lambda x: x.reshape([-1 if s is None else number(s) for s in target]))
            elif kind == "split":
                parts = [atom.size for axis in labelled.layout.prefix for atom in axis]
                assert labelled.layout.view(parts)[1] is None
                labelled.apply(lambda x: x.view(parts)[0], lambda x: x.reshape([number(s) for s in parts]))


# --- the verdict


def verdict(layout: Layout, *target: Union[Size, int, None]) -> Union[Relabel, None]:
    return layout.view(list(target))[1]


def mistake(layout: Layout, *target: Union[Size, int, None]) -> Relabel:
    relabel = verdict(layout, *target)
    assert relabel is not None
    return relabel


fresh = Layout.fresh


def test_swapped_axes() -> None:
    relabel = mistake(fresh([B, T, C]), B, C, T)
    assert relabel.kind == "swap" and relabel.certain
    assert str(relabel) == "(B, T, C) is read as (B, C, T)"
    assert relabel.fix() == "x.transpose(1, 2)"
    assert mistake(fresh([B, T, C]), T, B, None).fix("h") == "h.transpose(0, 1)"
    assert mistake(fresh([T, B, C, W]), B, T, None).kind == "swap"


def test_swapped_axes_named_by_the_tensor_itself() -> None:
    x = Layout.unknown(name="x")
    assert mistake(x, x.size(0), x.size(2), x.size(1)).fix() == "x.transpose(1, 2)"
    assert mistake(x, x.size(1), x.size(0), None).certain
    assert mistake(x, x.size(0), x.size(-1), x.size(1)).certain
    assert mistake(x, x.size(0), x.size(2), x.size(1) * x.size(3)).kind == "merge"
    assert mistake(x, x.size(1), x.size(0) * x.size(2), None).certain
    known = x.with_rank(3)
    b, t, c = known.sizes or ()
    assert (b, t, c) == (x.size(0), x.size(1), x.size(2))
    assert mistake(known, b, c, t).fix() == "x.transpose(1, 2)"
    assert verdict(known, c, b, t) is not None


def test_unknown_rank_says_nothing_where_a_rank_would_make_it_right() -> None:
    x = Layout.unknown(name="x")
    assert verdict(x, x.size(0), None) is None
    assert verdict(x, None, x.size(1)) is None
    assert verdict(x, x.size(0), x.size(-1), None) is None
    assert verdict(x, x.size(0), None, x.size(1)) is None  # (B, C) with a new axis
    assert verdict(x, x.size(0), x.size(1)) is None  # pooled to 1 x 1
    assert verdict(x, x.size(0), x.size(2), None) is None
    assert verdict(x, 3, 32, 32) is None  # bytes of a file
    assert verdict(x, B, T, C) is None
    q = x.replaced(-1, C)
    assert verdict(q, x.size(0), None, H, C // H) is None
    assert verdict(q, x.size(0), x.size(1), H, C // H) is None
    assert verdict(q, x.size(0) * x.size(1), C) is None


def test_heads() -> None:
    x = fresh([B, L, C])
    wrong = mistake(x, B, H, L, C // H)
    assert wrong.kind == "split" and wrong.certain
    assert wrong.fix("q") == "q.view(B, L, H, C // H).transpose(1, 2)"
    assert mistake(x, B, H, None, C // H).kind == "split"
    assert mistake(x, B * H, None, C // H).fix() == "x.view(B, L, H, C // H).transpose(1, 2).reshape(B * H, -1, C // H)"
    assert mistake(x, B * H, L, C // H).kind == "split"
    assert verdict(x, B, L, H, C // H) is None
    assert verdict(x, B, None, H, C // H) is None
    assert verdict(x, None, L, H, C // H) is None
    assert verdict(x, B, L, 3, H, None) is None
    assert mistake(fresh([B, L, H * d]), B, H, L, d).fix() == "x.view(B, L, H, d).transpose(1, 2)"
    assert mistake(fresh([B, L, 512]), B, 8, L, 64).kind == "split"
    assert mistake(fresh([B, L, 512]), B, H, L, d).kind == "split"  # 512 is H * d
    assert verdict(fresh([B, L, 512]), B, L, H, d) is None
    assert verdict(fresh([B * H, L, d]), B, H, L, d) is None


def test_heads_joined() -> None:
    x = fresh([B, L, C]).view([B, L, H, C // H])[0].transpose(1, 2)
    assert verdict(x.transpose(1, 2), B, L, C) is None
    assert verdict(x.transpose(1, 2), B, None, H * (C // H)) is None
    wrong = mistake(x, B, L, C)
    assert wrong.kind == "merge" and wrong.certain
    assert wrong.fix("y") == "y.transpose(1, 2).reshape(B, L, C)"
    assert mistake(x, B, None, C).kind == "merge"
    assert mistake(fresh([H, B, L, d]), B, L, H * d).fix() == "x.permute(1, 2, 0, 3).reshape(B, L, H * d)"
    # nobody named the heads: they may be one
    assert not mistake(x, B, L, None).certain
    assert mistake(fresh([8, B, L, d]), B, L, None).certain


def test_one_cause_one_finding() -> None:
    x = fresh([B, L, C])
    wrong, found = x.view([B, H, L, C // H])
    assert found is not None
    assert verdict(wrong, B, L, C) is None
    assert verdict(wrong.transpose(1, 2), B, L, C) is None


def test_recurrent_state() -> None:
    h = fresh([2, B, H])
    assert mistake(h, B, 2 * H).fix("h") == "h.transpose(0, 1).reshape(B, 2 * H)"
    assert mistake(h, B, None).certain
    assert mistake(h, None, 2 * H).certain
    assert verdict(fresh([1, B, H]), B, None) is None
    assert verdict(fresh([1, B, H]), B, H) is None
    assert verdict(h, n, 2, B, H) is None
    assert verdict(fresh([n * 2, B, H]), n, 2, B, H) is None
    assert verdict(h.transpose(0, 1), B, 2 * H) is None
    assert mistake(fresh([B, H * n]), n, B, H).kind == "split"
    assert not mistake(fresh([n, B, H]), B, None).certain
    assert mistake(fresh([n, B, H]), B, n * H).certain


def test_images() -> None:
    assert mistake(fresh([H, W, 3]), 3, H, W).fix("img") == "img.permute(2, 0, 1)"
    assert mistake(fresh([B, H, W, 3]), B, 3, H, W).fix() == "x.permute(0, 3, 1, 2)"
    assert mistake(fresh([32, 3, 64, 64]), 32, 64, 64, 3).certain
    assert mistake(fresh([224, 224, 3]), 3, 224, 224).certain
    assert mistake(fresh([480, 640, 3]), 1, 3, 480, 640).certain
    assert verdict(fresh([H, W, 1]), 1, H, W) is None
    assert verdict(fresh([H, W]), 1, 1, H, W) is None
    assert verdict(fresh([3072]), 3, 32, 32) is None
    assert verdict(fresh([32, 3072]), 32, 3, 32, 32) is None
    assert verdict(fresh([H, W, 3]), H * W, 3) is None
    assert mistake(fresh([H, W, 3]), 3, H * W).fix() == "x.permute(2, 0, 1).reshape(3, H * W)"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ([B, T, C], [B, T, H, d]),
        ([B, T, C], [B * T, C]),
        ([B, T, C], [None, C]),
        ([B, T, C], [B, None]),
        ([B, C, H, W], [B, C, H * W]),
        ([B, C, H, W], [B, C, None]),
        ([B, C, H, W], [B * C, 1, H, W]),
        ([B, C, H, W], [1, B * C, H, W]),
        ([B, C, H, W], [B, 8, C // 8, H, W]),  # channel shuffle, group norm
        ([B, 4, d, H, W], [B, 4 * d, H, W]),
        ([B, C, H, W], [B, C, H // 2, 2, W // 2, 2]),
        ([B, C, H, W], [4, B // 4, 1, C, H, W]),  # minibatch deviation
        ([B, C, H, W], [4, None, 1, C, H, W]),
        ([B, C], [B, C, 1, 1]),
        ([B, C, 1, 1], [B, C]),
        ([B, C, H, W], [B, C]),  # H and W are one, or it raises
        ([B, T, T], [B, T, T]),
        ([T, T], [T, T]),
        ([32, 100], [32, 10, 10]),
        ([10, 10, 32], [10, 10, 32]),
        ([32, 64, 64], [32, 64, 64]),
        ([B, T, C], [n, m, None]),  # sizes of something else
        ([B, T, C], [n, C, T]),
        ([B, T, C], [n, m, C]),
        ([B, C, H, W], [None, C]),  # may be pooled
        ([B * H, L, L], [B, H, L, L]),
        ([L, B, C], [L * B, C]),
        ([L * B, C], [L, B, C]),
        ([L * B, C], [L, B, None]),
        ([B * L, C], [None, L, C]),
        ([B, H, L, L], [B * H, L, L]),
        ([B, 1, T], [B, T, 1]),
        ([B, 1, T], [B, T]),
        ([1, B, T], [B, 1, T]),
        ([B], [B, 1]),
        ([B, T], [B, T, 1, 1]),
        ([B, 2 * H], [B, 2, H]),
        ([T, B, 2 * H], [T, B, 2, H]),
        ([B, n * (5 + m), H, W], [B, n, 5 + m, H, W]),
        ([B, L, 3 * C], [B, L, 3, H, C // H]),
        ([B, C], [B, 512, 4, 4]),
        ([64, 6272], [64, 128, 7, 7]),
        ([8, 6], [4, 12]),
        ([8, 6], [2, 24]),
        ([6, 4], [4, 2, 3]),
    ],
)
def test_right_views(source: list[Union[Size, int]], target: list[Union[Size, int, None]]) -> None:
    # sizes from data, which may be one, where the -1 would hide it
    if source == [B, C, H, W] and target == [None, C]:
        own = Layout.unknown(4)
        assert verdict(own, None, own.size(1)) is None
        return
    relabel = verdict(fresh(source), *target)
    if source == [B, T, C] and target == [n, C, T]:
        assert relabel is not None  # T and C are named, n has to be B
        return
    if source == [6, 4]:
        assert relabel is not None and relabel.kind == "split"  # 4 went in front of the halves of 6
        return
    assert relabel is None


def test_yolo_head() -> None:
    x = fresh([B, n * (5 + m), H, W])
    assert mistake(x, B, n, H, W, 5 + m).kind == "split"


def test_patches() -> None:
    tokens = fresh([B, L, C])
    assert mistake(tokens, B, C, H, W).kind == "split"
    assert verdict(tokens.transpose(1, 2), B, C, H, W) is None
    assert verdict(tokens, B, H, W, C) is None
    # class token first
    tokens = cat([fresh([B, 1, C]), tokens], 1)
    assert mistake(tokens, B, H, L + 1, C // H).kind == "split"
    assert verdict(tokens, B, L + 1, H, C // H) is None


def test_relative_shift_is_meant() -> None:
    scores = fresh([B, H, L, S])
    padded = cat([fresh([B, H, L, 1]), scores], -1)
    askew, found = padded.view([B, H, S + 1, L])
    assert found is None
    shifted = askew.index([slice(None), slice(None), slice(1, None)])
    assert verdict(shifted, B, H, L, S) is None
    # with the sizes of the padded tensor, whose rank nobody knows
    padded = layout_of("pad", [Layout.unknown(name="qe")], {"pad": (1, 0)})  # type: ignore[assignment]
    assert isinstance(padded, Layout)
    assert verdict(padded, *(padded.size(at) for at in (0, 1, 3, 2))) is None


def test_copies() -> None:
    x = fresh([B, T]).repeat([n, 1])
    assert verdict(x, n, B, T) is None
    assert mistake(x, B, n, T).fix() == "x.view(n, B, T).transpose(0, 1)"
    assert verdict(fresh([B, T]).repeat_interleave(n, 0), B, n, T) is None
    assert verdict(fresh([B, T]).unsqueeze(1).repeat([1, n, 1]), B * n, T) is None
    both = cat([fresh([B, C]), fresh([B, C])], 0)
    assert verdict(both, 2, B, C) is None
    assert mistake(both, B, 2, C).certain


def test_merged_then_cut_in_another_order() -> None:
    x = fresh([T, B, C]).flatten(0, 1)
    assert verdict(x, T, B, C) is None
    assert mistake(x, B, T, C).kind in ("swap", "split")
    assert mistake(x, B, T, C).fix() == "x.view(T, B, C).transpose(0, 1)"
    flat = fresh([B, C, H, W]).flatten(1)
    assert verdict(flat, B, C, H, W) is None
    assert mistake(flat, B, H, W, C).certain


def test_values_without_order() -> None:
    noise = layout_of("randn", [], {"size": (B, T, C)})
    assert isinstance(noise, Layout)
    assert verdict(noise, B, C, T) is None
    tokens = layout_of("embedding", [layout_of("randint", [], {"size": (16, 14)})], {"embedding_dim": 8})
    assert isinstance(tokens, Layout)
    assert mistake(tokens, 14, 16, 8).kind == "swap"
    literal = layout_of("tensor", [], {"data": ((1, 2, 3), (4, 5, 6))})
    assert isinstance(literal, Layout)
    assert shape(literal) == (2, 3)
    assert verdict(literal, 3, 2) is None
    heads = layout_of("zeros", [], {"size": (8, B, L, d)})
    assert isinstance(heads, Layout)
    assert mistake(heads.settled(), B, L, None).kind == "merge"
    # a guess at how a learnt vector is laid out is as good as another
    features = layout_of("linear", [fresh([B, T])], {"out_features": 6272})
    assert isinstance(features, Layout)
    assert verdict(features.view([B, 49, 128])[0], B, 128, 7, 7) is None


def test_sizes_of_another_tensor() -> None:
    x, y = Layout.unknown(name="x"), Layout.unknown(name="y")
    assert verdict(y, x.size(0), x.size(2), x.size(1)) is None
    turned = x.with_rank(3).transpose(1, 2)
    assert verdict(turned, x.size(0), x.size(2), x.size(1)) is None
    whitened = x.with_rank(2).t()
    assert verdict(whitened, x.size(1), x.size(0)) is None
    assert verdict(whitened, x.size(0), x.size(1)) is not None


def test_minus_one_may_hide_an_axis_of_one() -> None:
    x = Layout.unknown(3, "x")
    assert not mistake(x, x.size(0), x.size(2), None).certain  # channels may be one
    assert mistake(x, x.size(1), None, x.size(2)).certain  # the batch is not
    assert mistake(fresh([B, 64, T]), B, T, None).certain


def test_unknowns_that_only_the_total_relates() -> None:
    count = Size.symbol("len", "len")
    batch = stack([Layout.unknown()], 0, 16)
    assert verdict(batch, count, 128, 1, 9) is None
    assert verdict(batch, count, 16) is None
    assert verdict(fresh([16, T]), count, 128, 1, 9) is None
    assert verdict(fresh([8, 64, T]), n, 256, 16, 16) is None
    assert verdict(fresh([B, 4, T, 32]), None, 8, 8, 32) is None
    assert verdict(fresh([n, 64, 4, 4, 2, 2]), 16, 64, None, 4) is None  # n may be 16
    assert verdict(fresh([n, 4, 4, C]), 16, None, C) is None


def test_doubt_is_silence() -> None:
    for layout in (Layout.unknown(), Layout.unknown(0), Layout.fresh([]), Layout.fresh([B])):
        for target in ([], [None], [None, None], [0], [B, 0], [T - T], [B, T, None], [-1]):
            assert verdict(layout, *target) is None
        for call in (
            lambda x: x.permute(0, 5),
            lambda x: x.transpose(7, -9),
            lambda x: x.flatten(3, 1),
            lambda x: x.select(9),
            lambda x: x.index([0, 0, 0, 0, Ellipsis, Ellipsis]),
            lambda x: x.index([Mask()]),
            lambda x: x.index(["nonsense"]),
            lambda x: x.squeeze(4),
            lambda x: x.unsqueeze(9),
            lambda x: x.expand([1, 2, 3]),
            lambda x: x.repeat([]),
            lambda x: x.rearrange("(a b", {}),
            lambda x: einsum("ij,jk", [x]),
            lambda x: matmul(x, x),
            lambda x: cat([], 0),
            lambda x: cat([x, x], 5),
            lambda x: stack([x], 7),
            lambda x: x.movedim(1, 9),
            lambda x: x.reduce(5),
            lambda x: x.narrow(5),
            lambda x: x.unflatten(5, [2, 2]),
        ):
            assert isinstance(call(layout), Layout)


# --- truth by torch

BASES = [B, T, H, d]


def evaluate(text: str, tensor: Any) -> Any:
    return eval(text.replace(".view(", ".reshape("), {**VALUES, "x": tensor})


def test_every_order_of_axes() -> None:
    """A target that is the axes in another order is a mistake exactly if torch's permute gives other values."""
    for count in (2, 3, 4):
        source = BASES[:count]
        tensor = Labelled(source).tensor
        for order in itertools.permutations(range(count)):
            target = [source[at] for at in order]
            relabel = verdict(fresh(source), *target)
            same = torch.equal(tensor.permute(*order), tensor.reshape([number(size) for size in target]))
            assert (relabel is None) == same
            if relabel is not None:
                text = relabel.fix()
                assert text is not None and torch.equal(evaluate(text, tensor), tensor.permute(*order))


def test_every_grouping_and_order() -> None:
    """Axes in any order, merged in any way: a finding only where the values differ from what the fix gives, and always there."""
    tensor = Labelled(BASES).tensor
    for order in itertools.permutations(range(4)):
        for cuts in itertools.product((False, True), repeat=3):
            dims: list[list[int]] = [[order[0]]]
            for at, cut in zip(order[1:], cuts):
                if cut:
                    dims.append([at])
                else:
                    dims[-1].append(at)
            target = [Size.product(1, {next(iter(BASES[at].symbols)): 1 for at in dim}) for dim in dims]
            relabel = verdict(fresh(BASES), *target)
            # the product does not say in which order it was meant: any order inside a dim will do
            viewed = tensor.reshape([number(size) for size in target])
            meant = [
                tensor.permute(*itertools.chain(*orders)).reshape(viewed.shape)
                for orders in itertools.product(*map(itertools.permutations, dims))
            ]
            right = any(torch.equal(viewed, one) for one in meant)
            assert (relabel is None) == right, target
            if relabel is not None and relabel.fix() is not None:
                assert any(torch.equal(evaluate(str(relabel.fix()), tensor), one) for one in meant)


def test_every_cut() -> None:
    """A composite last axis cut and its parts put anywhere."""
    source = [B, T, H * d]
    tensor = torch.arange(2 * 3 * 35).view(2, 3, 5, 7)
    flat = tensor.flatten(2)
    parts = [B, T, H, d]
    for order in itertools.permutations(range(4)):
        target = [parts[at] for at in order]
        relabel = verdict(fresh(source), *target)
        viewed = flat.reshape([number(size) for size in target])
        # the parts of an axis that nobody cut before may be meant in either order
        swapped = flat.view(2, 3, 7, 5).transpose(2, 3)
        right = any(torch.equal(viewed, one.permute(*order)) for one in (tensor, swapped))
        assert (relabel is None) == right, target
        if relabel is not None:
            fixed = evaluate(str(relabel.fix()), flat)
            assert any(torch.equal(fixed, one.permute(*order)) for one in (tensor, swapped))


def test_random_views() -> None:
    """A finding never on a view that gives the values of its own fix, whatever was done before."""
    rng = random.Random(2)
    found = 0
    for _ in range(3000):
        count = rng.randrange(2, 5)
        source = rng.sample([*BASES, Size.of(4), Size.of(9)], count)
        labelled = Labelled(source)
        if rng.random() < 0.5:
            order = rng.sample(range(count), count)
            labelled.apply(lambda x: x.permute(*order), lambda x: x.permute(*order))
        if rng.random() < 0.3:
            labelled.apply(lambda x: x.flatten(0, 1), lambda x: x.flatten(0, 1))
        pieces = [atom.size for axis in labelled.layout.prefix for atom in axis]
        if rng.random() < 0.7:
            rng.shuffle(pieces)
        target: list[Union[Size, None]] = []
        for size in pieces:
            if target and rng.random() < 0.3:
                target[-1] = (target[-1] or size) * size
            else:
                target.append(size)
            if rng.random() < 0.1:
                target.append(Size.of(1))
        if rng.random() < 0.3:
            target[rng.randrange(len(target))] = None
        layout, relabel = labelled.layout.view(target)
        viewed = labelled.tensor.reshape([-1 if size is None else number(size) for size in target])
        assert shape(layout) == tuple(viewed.shape)
        if relabel is None:
            continue
        found += 1
        text = relabel.fix()
        if text is not None:
            fixed = evaluate(text, labelled.tensor)
            assert fixed.shape == viewed.shape
            assert not torch.equal(fixed, viewed), (labelled.layout, target, text)
    assert found > 500


# --- real code (gold and field cases)


def test_sentence_vae() -> None:
    factor, hidden, batch, latent = (Size.symbol(name, name) for name in "factor hidden batch latent".split())
    # 67: hidden = hidden.view(batch_size, hidden_size * hidden_factor)
    assert mistake(fresh([factor, batch, hidden]), batch, hidden * factor).kind == "merge"
    # 84, 129: hidden.view(hidden_factor, batch_size, hidden_size)
    z = layout_of("linear", [fresh([batch, latent])], {"out_features": hidden * factor})
    assert isinstance(z, Layout)
    assert mistake(z, factor, batch, hidden).kind == "split"
    # the one does not excuse the other
    z = layout_of("linear", [fresh([factor, batch, hidden]).view([batch, hidden * factor])[0]], {"out_features": hidden * factor})
    assert isinstance(z, Layout)
    assert mistake(z, factor, batch, hidden).kind == "split"


def test_attention_augmented_convolution() -> None:
    dv, heads, k = (Size.symbol(name, name) for name in "dv Nh k".split())
    x = Layout.unknown(4, "x")
    arguments = {"kernel_size": k, "stride": UNKNOWN, "padding": UNKNOWN}
    known = {"kernel_size": 3, "stride": 1, "padding": 1}
    for given in (arguments, known):
        qkv = layout_of("conv2d", [x], {**given, "out_channels": 3 * dv})
        assert isinstance(qkv, Layout) and qkv.rank == 4
    assert isinstance(qkv, Layout)
    parts = qkv.split([dv, dv, dv], 1)
    assert parts is not None
    size = [qkv.size(at) for at in range(4)]
    q, key, v = (part.view([size[0], heads, dv // heads, size[2], size[3]])[0] for part in parts)
    assert verdict(q, size[0], heads, dv // heads, size[2] * size[3]) is None
    q, key, v = (one.view([size[0], heads, dv // heads, size[2] * size[3]])[0] for one in (q, key, v))
    weights = matmul(q.transpose(2, 3), key)
    out = matmul(weights, v.transpose(2, 3))
    wrong = mistake(out, size[0], heads, dv // heads, size[2], size[3])
    assert wrong.certain
    right, found = out.transpose(2, 3).view([size[0], heads, dv // heads, size[2], size[3]])
    assert found is None
    assert verdict(right, size[0], heads * (dv // heads), size[2], size[3]) is None
    # relative logits
    r = q.view([size[0], heads, dv // heads, size[2], size[3]])[0].transpose(2, 4).transpose(2, 3)
    logits = einsum("bhxyd,md->bhxym", [r, Layout.fresh([2 * size[3] - 1, dv // heads])])
    assert verdict(logits, None, heads * size[2], size[3], 2 * size[3] - 1) is None


def test_qanet() -> None:
    x = Layout.unknown(3, "x")
    b, length, _ = x.sizes or ()
    heads = Layout.uniform([8, b, length, d]).settled()
    assert mistake(heads, b, length, None).certain
    assert verdict(heads.permute(1, 2, 0, 3), b, length, None) is None
    # context-query attention: rows repeated m-major
    c, question = fresh([B, n, d]), fresh([B, m, d])
    rows = question.unsqueeze(1).repeat([1, n, 1, 1]).permute(0, 2, 1, 3).view([B, None, d])[0]
    both = broadcast(rows, c.repeat([1, m, 1]))
    scores = layout_of("linear", [both], {"out_features": 1})
    assert isinstance(scores, Layout)
    assert verdict(scores, B, m, n) is None


def test_text_classification() -> None:
    h = layout_of("rnn", [Layout.unknown(3)], {"hidden_size": H, "num_layers": 2, "bidirectional": True})
    assert isinstance(h, tuple) and isinstance(h[1], Layout)
    turned = h[1].permute(1, 0, 2)
    assert verdict(turned, turned.size(0), turned.size(1) * turned.size(2)) is None
    assert mistake(h[1], h[1].size(1), h[1].size(0) * h[1].size(2)).kind == "merge"


def test_hierarchical_attention() -> None:
    words = Layout.fresh([B, L])
    assert mistake(words, None, B).certain
    assert verdict(words.t(), None, B) is None


def test_informer() -> None:
    x = Layout.unknown(3, "queries")
    b, length, _ = x.sizes or ()
    queries = layout_of("linear", [x], {"out_features": d * H})
    assert isinstance(queries, Layout)
    cut, found = queries.view([b, length, H, None])
    assert found is None and cut.size(-1) == d
    out = einsum("bhls,bshd->blhd", [fresh([b, H, length, length]), cut])
    assert verdict(out, b, length, None) is None
    mixed = mistake(out.transpose(2, 1), b, length, None)
    assert not mixed.certain  # the authors mix on purpose
    # R4-01: [B, L, H, D] viewed as (B, H, L, -1)
    assert mistake(cut, b, H, length, None).certain


def test_gpt() -> None:
    x = Layout.unknown(name="x").with_rank(3)
    b, t, c = x.sizes or ()
    qkv = layout_of("linear", [x], {"out_features": 3 * E})
    assert isinstance(qkv, Layout)
    parts = qkv.split(E, 2)
    assert parts is not None and len(parts) == 3
    k, found = parts[0].view([b, t, H, c // H])
    assert found is None
    k = k.transpose(1, 2)
    y = matmul(matmul(k, k.transpose(-2, -1)), k)
    assert verdict(y.transpose(1, 2), b, t, c) is None
    assert mistake(y, b, t, c).kind == "merge"


def test_chinese_text_classification() -> None:
    x = Layout.unknown(3, "x")
    q = layout_of("linear", [x], {"out_features": d * H})
    assert isinstance(q, Layout)
    wrong, found = q.view([x.size(0) * H, None, d])
    assert found is not None and found.kind == "split"
    context = matmul(matmul(wrong, wrong.permute(0, 2, 1)), wrong)
    assert verdict(context, x.size(0), None, d * H) is None  # reported already


def test_convolution_before_recurrence() -> None:
    x = layout_of("conv2d", [Layout.unknown(4, "x")], {"out_channels": 64, "kernel_size": 3, "padding": 1})
    assert isinstance(x, Layout)
    b, c, h, w = x.sizes or ()
    assert mistake(x, b, w, c * h).kind == "merge"
    assert mistake(x, b, w, None).certain
    assert verdict(x.permute(0, 3, 1, 2), b, w, c * h) is None
    assert verdict(x, b, None) is None
    assert verdict(x, b, c * h, w) is None


def test_series_first_by_view() -> None:
    x = Layout.unknown(2, "X")
    count, steps = x.sizes or ()
    assert mistake(x, steps, None, 1).certain
    assert mistake(x, steps, count, 1).certain
    assert verdict(x, count, steps, 1) is None
    # a row made a column by its own sizes
    assert not mistake(x, steps, count).certain


def test_time_distributed() -> None:
    x = Layout.unknown(name="x")
    flat = x.with_rank(3).view([None, x.size(-1)])[0]
    y = layout_of("linear", [flat], {"out_features": E})
    assert isinstance(y, Layout)
    assert verdict(y, x.size(0), None, y.size(-1)) is None
    assert verdict(y, None, x.size(1), y.size(-1)) is None


def test_windows() -> None:
    x = fresh([B, H, W, C])
    size = Size.of(7)
    cut, found = x.view([B, H // size, size, W // size, size, C])
    assert found is None
    cut = cut.permute(0, 1, 3, 2, 4, 5)
    windows, found = cut.view([None, size, size, C])
    assert found is None
    back, found = windows.view([B, H // size, W // size, size, size, None])
    assert found is None
    assert verdict(back.permute(0, 1, 3, 2, 4, 5), B, H, W, None) is None
    unknown = Layout.unknown(name="windows")
    count = unknown.size(0) // (H * W // size // size)
    assert verdict(unknown, count, H // size, W // size, size, size, None) is None


def test_all_sizes_known() -> None:
    assert mistake(fresh([4, 16, 14, 8]), 16, 14, None).fix() == "x.permute(1, 2, 0, 3).reshape(16, 14, -1)"
    folded = fresh([16, 10, 24]).view([16, 10, 3, 8])[0].permute(0, 2, 1, 3).view([48, 10, 8])[0]
    assert mistake(folded, 16, None, 24).kind == "merge"
    assert verdict(folded, 16, 3, 10, 8) is None
    assert verdict(folded.view([16, 3, 10, 8])[0].transpose(1, 2), 16, None, 24) is None
    assert verdict(fresh([16, 4, 32, 32]), 64, 8, 8, 16) is None


def test_an_axis_that_a_window_went_over_is_not_one() -> None:
    words = layout_of("conv1d", [Layout.unknown(3)], {"out_channels": 24, "kernel_size": 3, "padding": 1})
    scores = layout_of("conv1d", [words if isinstance(words, Layout) else None], {"out_channels": 4, "kernel_size": 1})
    assert isinstance(scores, Layout)
    assert mistake(scores, None, 4).fix() == "x.transpose(1, 2).reshape(-1, 4)"
    assert verdict(scores.transpose(1, 2), None, 4) is None
    pooled = layout_of("conv2d", [Layout.unknown(4)], {"out_channels": 24, "kernel_size": 4})
    assert isinstance(pooled, Layout)
    assert verdict(pooled, None, 24) is None


def test_parts_of_unknown_number() -> None:
    part = layout_of("split", [fresh([B, L, C])], {"split_size": n, "dim": 1})
    assert isinstance(part, Layout) and part.size(0) == B and part.size(2) == C and part.size(1) != L
    assert mistake(part, B, H, part.size(1), C // H).kind == "split"


# --- layers

X = torch.zeros(2, 3, 5, 7)


def layer_shape(op: str, inputs: list[tuple[int, ...]], arguments: dict[str, object]) -> object:
    result = layout_of(op, [Layout.fresh(sizes) for sizes in inputs], arguments)

    def shapes(one: object) -> object:
        return tuple(map(shapes, one)) if isinstance(one, tuple) else shape(one) if isinstance(one, Layout) else one

    return shapes(result)


def real_shape(value: object) -> object:
    return tuple(map(real_shape, value)) if isinstance(value, (tuple, list)) else tuple(value.shape)  # type: ignore[attr-defined]


nn, F = torch.nn, torch.nn.functional

LAYERS: list[tuple[str, list[tuple[int, ...]], dict[str, object], Callable[..., Any]]] = [
    ("linear", [(2, 3, 5)], {"in_features": 5, "out_features": 4}, nn.Linear(5, 4)),
    ("linear", [(5,)], {"out_features": 4}, nn.Linear(5, 4)),
    ("linear", [(2, 5), (4, 5)], {}, F.linear),
    *(
        ("conv2d", [(2, 3, 13, 12)], arguments, nn.Conv2d(3, **arguments))
        for arguments in (
            {"out_channels": 4, "kernel_size": 3},
            {"out_channels": 4, "kernel_size": 3, "padding": 1},
            {"out_channels": 4, "kernel_size": (3, 5), "stride": 2, "padding": (1, 2)},
            {"out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": "same"},
            {"out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1},
            {"out_channels": 4, "kernel_size": 3, "padding": "valid", "stride": (2, 1)},
        )
    ),
    ("conv2d", [(3, 13, 12)], {"out_channels": 4, "kernel_size": 3}, nn.Conv2d(3, 4, 3)),
    ("conv2d", [(2, 3, 13, 12), (4, 3, 3, 3)], {"stride": 2}, lambda x, w: F.conv2d(x, w, stride=2)),
    ("conv1d", [(2, 3, 13)], {"out_channels": 4, "kernel_size": 3, "stride": 2}, nn.Conv1d(3, 4, 3, 2)),
    ("conv3d", [(2, 3, 5, 6, 7)], {"out_channels": 4, "kernel_size": 3}, nn.Conv3d(3, 4, 3)),
    (
        "conv_transpose2d",
        [(2, 3, 5, 6)],
        {"out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1},
        nn.ConvTranspose2d(3, 4, 4, 2, 1),
    ),
    (
        "conv_transpose1d",
        [(2, 3, 5)],
        {"out_channels": 4, "kernel_size": 3, "stride": 2, "output_padding": 1, "dilation": 2},
        nn.ConvTranspose1d(3, 4, 3, 2, 0, 1, dilation=2),
    ),
    ("conv_transpose1d", [(2, 3, 5), (3, 4, 3)], {}, F.conv_transpose1d),
    ("embedding", [(2, 3)], {"num_embeddings": 9, "embedding_dim": 4}, lambda x: nn.Embedding(9, 4)(x.long())),
    ("embedding", [(2, 3), (9, 4)], {}, lambda x, w: F.embedding(x.long(), w)),
    ("embedding_bag", [(2, 3)], {"embedding_dim": 4}, lambda x: nn.EmbeddingBag(9, 4)(x.long())),
    *(
        (name, [(3, 2, 5)], arguments, getattr(nn, name.upper())(5, **arguments))
        for name in ("rnn", "gru", "lstm")
        for arguments in (
            {"hidden_size": 4},
            {"hidden_size": 4, "num_layers": 3, "bidirectional": True},
            {"hidden_size": 4, "num_layers": 2, "batch_first": True},
            {"hidden_size": 4, "bidirectional": True, "batch_first": True},
        )
    ),
    ("lstm", [(3, 2, 5)], {"hidden_size": 4, "proj_size": 3, "bidirectional": True}, nn.LSTM(5, 4, proj_size=3, bidirectional=True)),
    ("gru", [(3, 5)], {"hidden_size": 4, "bidirectional": True}, nn.GRU(5, 4, bidirectional=True)),
    ("gru_cell", [(2, 5)], {"hidden_size": 4}, nn.GRUCell(5, 4)),
    ("lstm_cell", [(2, 5)], {"hidden_size": 4}, nn.LSTMCell(5, 4)),
    *(
        (
            "multi_head_attention",
            [(3, 2, 8), (5, 2, 8) if not first else (3, 5, 8), (5, 2, 8) if not first else (3, 5, 8)],
            {"embed_dim": 8, "num_heads": 4, "batch_first": first, "average_attn_weights": average},
            lambda q, k, v, first=first, average=average: nn.MultiheadAttention(8, 4, batch_first=first)(
                q, k, v, average_attn_weights=average
            ),
        )
        for first in (True, False)
        for average in (True, False)
    ),
    ("scaled_dot_product_attention", [(2, 4, 3, 8), (2, 4, 5, 8), (2, 4, 5, 6)], {}, F.scaled_dot_product_attention),
    ("transformer_encoder_layer", [(3, 2, 8)], {"d_model": 8, "nhead": 2}, nn.TransformerEncoderLayer(8, 2)),
    ("transformer", [(3, 2, 8), (5, 2, 8)], {"d_model": 8}, nn.Transformer(8, 2, 1, 1)),
    *(
        (
            f"{kind}_pool2d",
            [(2, 3, 13, 12)],
            arguments,
            lambda x, kind=kind, arguments=arguments: getattr(F, f"{kind}_pool2d")(x, **arguments),
        )
        for kind in ("max", "avg")
        for arguments in (
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": 3, "stride": 2, "ceil_mode": True},
            {"kernel_size": (2, 3), "stride": (2, 1)},
        )
    ),
    ("max_pool1d", [(2, 3, 13)], {"kernel_size": 3, "return_indices": True}, lambda x: F.max_pool1d(x, 3, return_indices=True)),
    ("lp_pool2d", [(2, 3, 13, 12)], {"norm_type": 2, "kernel_size": 3, "stride": 2}, lambda x: F.lp_pool2d(x, 2, 3, 2)),
    ("adaptive_avg_pool2d", [(2, 3, 13, 12)], {"output_size": 1}, nn.AdaptiveAvgPool2d(1)),
    ("adaptive_avg_pool2d", [(2, 3, 13, 12)], {"output_size": (None, 5)}, nn.AdaptiveAvgPool2d((None, 5))),
    ("adaptive_max_pool1d", [(2, 3, 13)], {"output_size": 4}, nn.AdaptiveMaxPool1d(4)),
    ("batch_norm", [(2, 3, 5)], {"num_features": 3}, nn.BatchNorm1d(3)),
    ("interpolate", [(2, 3, 5, 7)], {"scale_factor": 2}, lambda x: F.interpolate(x, scale_factor=2)),
    ("interpolate", [(2, 3, 5, 7)], {"scale_factor": 2.0}, lambda x: F.interpolate(x, scale_factor=2.0)),
    ("interpolate", [(2, 3, 5, 7)], {"size": (8, 9)}, lambda x: F.interpolate(x, (8, 9))),
    ("interpolate", [(2, 3, 5)], {"size": 8}, lambda x: F.interpolate(x, 8)),
    ("pad", [(2, 3, 5)], {"pad": (1, 2, 0, 4)}, lambda x: F.pad(x, (1, 2, 0, 4))),
    ("flatten", [(2, 3, 5)], {"start_dim": 1}, nn.Flatten()),
    ("unflatten", [(2, 15)], {"dim": 1, "unflattened_size": (3, -1)}, nn.Unflatten(1, (3, -1))),
    ("pixel_shuffle", [(2, 12, 5, 7)], {"upscale_factor": 2}, nn.PixelShuffle(2)),
    ("pixel_unshuffle", [(2, 3, 4, 6)], {"downscale_factor": 2}, nn.PixelUnshuffle(2)),
    ("one_hot", [(2, 3)], {"num_classes": 9}, lambda x: F.one_hot(x.long(), 9)),
    ("sum", [(2, 3, 5)], {"dim": 1}, lambda x: x.sum(1)),
    ("sum", [(2, 3, 5)], {}, lambda x: x.sum()),
    ("mean", [(2, 3, 5)], {"dim": (0, 2), "keepdim": True}, lambda x: x.mean((0, 2), True)),
    ("max", [(2, 3, 5)], {}, lambda x: x.max()),
    ("max", [(2, 3, 5)], {"dim": 1}, lambda x: x.max(1)),
    ("max", [(2, 3, 5), (3, 1)], {}, lambda x, y: torch.max(x, y)),
    ("argmax", [(2, 3, 5)], {"dim": -1}, lambda x: x.argmax(-1)),
    ("mode", [(2, 3, 5)], {}, lambda x: x.mode()),
    ("topk", [(2, 3, 5)], {"k": 2}, lambda x: x.topk(2)),
    ("sort", [(2, 3, 5)], {"dim": 1}, lambda x: x.sort(1)),
    ("cumsum", [(2, 3, 5)], {"dim": 1}, lambda x: x.cumsum(1)),
    ("gather", [(2, 3, 5), (2, 1, 5)], {"dim": 1}, lambda x, i: x.gather(1, i.long())),
    ("index_select", [(2, 3, 5), (7,)], {"dim": 1}, lambda x, i: x.index_select(1, i.long())),
    ("bmm", [(2, 3, 5), (2, 5, 4)], {}, torch.bmm),
    ("matmul", [(2, 1, 3, 5), (4, 5, 6)], {}, torch.matmul),
    ("addmm", [(6,), (3, 5), (5, 6)], {}, torch.addmm),
    ("outer", [(3,), (5,)], {}, torch.outer),
    ("einsum", [(2, 3, 5), (2, 4, 5)], {"equation": "bid, bjd -> bij"}, lambda a, b: torch.einsum("bid, bjd -> bij", a, b)),
    ("cat", [(2, 3), (2, 5)], {"dim": -1}, lambda a, b: torch.cat([a, b], -1)),
    ("stack", [(2, 3), (2, 3)], {"dim": 1}, lambda a, b: torch.stack([a, b], 1)),
    ("add", [(2, 1, 5), (3, 1)], {}, torch.add),
    ("sliding", [(2, 3, 13)], {"dimension": 2, "size": 4, "step": 3}, lambda x: x.unfold(2, 4, 3)),
    ("im2col", [(2, 3, 13, 12)], {"kernel_size": 3, "stride": 2, "padding": 1}, nn.Unfold(3, stride=2, padding=1)),
    ("zeros", [], {"size": (2, 3)}, lambda: torch.zeros(2, 3)),
    ("zeros", [], {"size": ((2, 3),)}, lambda: torch.zeros((2, 3))),
    ("full", [], {"size": (2,), "fill_value": 3}, lambda: torch.full((2,), 3)),
    ("zeros_like", [(2, 3)], {}, torch.zeros_like),
    ("arange", [], {"start": 5}, lambda: torch.arange(5)),
    ("arange", [], {"start": 2, "end": 9, "step": 3}, lambda: torch.arange(2, 9, 3)),
    ("eye", [], {"n": 3}, lambda: torch.eye(3)),
    ("tensor", [], {"data": ((1, 2, 3), (4, 5, 6))}, lambda: torch.tensor([[1, 2, 3], [4, 5, 6]])),
    ("tensor", [], {"data": 3.0}, lambda: torch.tensor(3.0)),
    ("glu", [(2, 3, 6)], {}, F.glu),
    ("chunk", [(2, 7)], {"chunks": 3, "dim": 1}, lambda x: x.chunk(3, 1)),
    ("split", [(2, 7)], {"split_size": 3, "dim": 1}, lambda x: x.split(3, 1)),
    ("split", [(2, 7)], {"split_size_or_sections": (3, 4), "dim": 1}, lambda x: x.split((3, 4), 1)),
    ("unbind", [(2, 7)], {}, lambda x: x.unbind()),
    ("tile", [(2, 7)], {"dims": (2,)}, lambda x: x.tile(2)),
    ("expand_as", [(2, 1), (2, 5)], {}, lambda x, y: x.expand_as(y)),
    ("T", [(2, 7)], {}, lambda x: x.T),
    ("mT", [(2, 3, 7)], {}, lambda x: x.mT),
    ("cosine_similarity", [(2, 3), (2, 3)], {}, F.cosine_similarity),
]


@pytest.mark.parametrize("at", range(len(LAYERS)))
def test_layer(at: int) -> None:
    op, inputs, arguments, real = LAYERS[at]
    assert layer_shape(op, inputs, arguments) == real_shape(real(*(torch.zeros(sizes) for sizes in inputs)))


@pytest.mark.parametrize("at", range(len(LAYERS)))
def test_layer_of_unknowns(at: int) -> None:
    """Nothing known, or everything unknown: no claim that the real shape contradicts, and nothing raises."""
    op, inputs, arguments, real = LAYERS[at]
    expected = real_shape(real(*(torch.zeros(sizes) for sizes in inputs)))
    for given in (
        layout_of(op, [Layout.unknown() for _ in inputs], arguments),
        layout_of(op, [None for _ in inputs], arguments),
        layout_of(op, [Layout.fresh(sizes) for sizes in inputs], dict.fromkeys(arguments, UNKNOWN)),
    ):

        def agrees(one: object, real: object) -> None:
            if isinstance(one, Layout):
                assert one.rank is None or one.rank == len(real)  # type: ignore[arg-type]
                if one.sizes is not None:
                    assert all(size.known in (None, length) for size, length in zip(one.sizes, real))  # type: ignore[call-overload]

        if op in ("conv2d", "gru") and len(inputs[0]) in (2, 3) and inputs[0] != (3, 2, 5):
            continue  # without a batch axis: not assumed
        if op == "max" and len(inputs) == 1:
            continue
        if isinstance(given, Layout):
            agrees(given, expected)


def test_packed_sequences() -> None:
    x = Layout.unknown(3, "x")
    packed = layout_of("pack_padded_sequence", [x], {"batch_first": True})
    assert isinstance(packed, Layout) and packed.packed
    result = layout_of("gru", [packed], {"hidden_size": H, "num_layers": 2})
    assert isinstance(result, tuple) and isinstance(result[0], Layout) and isinstance(result[1], Layout)
    assert result[1].sizes == (Size.of(2), x.size(0), H)
    back = layout_of("pad_packed_sequence", [result[0]], {"batch_first": True})
    assert isinstance(back, tuple) and isinstance(back[0], Layout)
    assert back[0].size(0) == x.size(0) and back[0].size(2) == H


def test_atoms_are_told_apart() -> None:
    assert Atom(B) != Atom(B)
    square = fresh([T, T])
    assert square.t().prefix == square.prefix[::-1] != square.prefix
