"""The layout of a tensor: its logical axes in order, each with its size and what it is made of.

Every operation returns a new layout; where the result is not determined it is an unknown one, and nonsense raises nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Union

from nnlint.trace.relabel import PADDED, Atom, Axis, AxisKey, Cut, Outcome, Relabel, axis_size, judge, marked
from nnlint.trace.size import Counted, IntLike, Size, Symbol

__all__ = ["MASK", "Layout", "Mask", "Relabel", "broadcast", "cat", "einsum", "matmul", "stack"]

Dims = Union[int, Sequence[int], None]

_owners = itertools.count(1)


class Mask(NamedTuple):
    """A boolean mask as an index; `rank` is the number of axes it covers, None where not known."""

    rank: Union[int, None] = None


MASK = Mask()


class Hidden:
    """The axes of a tensor of unknown rank: the same place always gives the same atom."""

    __slots__ = ("atoms", "name", "owner")

    def __init__(self, name: str = "") -> None:
        self.owner = next(_owners)
        self.name = name
        self.atoms: dict[Union[int, tuple[int, int]], Atom] = {}

    def atom(self, place: Union[int, tuple[int, int]]) -> Atom:
        found = self.atoms.get(place)
        if found is None:
            label = f"{self.name}.size({place})" if self.name else f"size({place})"
            if isinstance(place, tuple):
                label = "..."
            found = self.atoms[place] = Atom(Size.symbol(AxisKey(self.owner, place), label))
        return found


def _axis(size: IntLike, mark: int = 0) -> Axis:
    size = size if isinstance(size, Size) else Size.of(size)
    return () if size == 1 else (Atom(size, mark=mark),)


def some_size(label: str = "?") -> Size:
    """A size about which nothing is known."""
    return Size.symbol(AxisKey(next(_owners), 0), label)


class Layout:
    """The axes of one tensor: all of them, or those known from the front and from the back with hidden ones between.

    `packed` marks a PackedSequence; its axes are then (batch, time, ...).
    """

    __slots__ = ("end", "hidden", "packed", "prefix", "start", "tail")

    def __init__(
        self,
        prefix: Iterable[Axis] = (),
        hidden: Union[Hidden, None] = None,
        tail: Iterable[Axis] = (),
        start: int = 0,
        end: int = 0,
        packed: bool = False,
    ) -> None:
        self.prefix = tuple(prefix)
        self.hidden = hidden
        self.tail = tuple(tail)
        self.start = start  # places of `hidden` that are taken from the front
        self.end = end  # and from the back
        self.packed = packed

    # --- making one

    @staticmethod
    def fresh(sizes: Sequence[IntLike]) -> Layout:
        """A tensor of its own with these sizes."""
        return Layout(_axis(size) for size in sizes)

    @staticmethod
    def unknown(rank: Union[int, None] = None, name: str = "") -> Layout:
        """A tensor of which at most the rank is known; `name` is what the user calls it."""
        layout = Layout(hidden=Hidden(name))
        return layout if rank is None else layout.with_rank(rank)

    @staticmethod
    def uniform(sizes: Sequence[IntLike]) -> Layout:
        """Values without an order of their own (noise, constants, literals): no view of them is wrong until they are written to."""
        given = [size if isinstance(size, Size) else Size.of(size) for size in sizes]
        total = Size.of(1)
        for size in given:
            total = total * size
        several = [size for size in given if size != 1]
        if len(several) < 2:
            return Layout.fresh(given)
        cut = Cut((Atom(total),), len(several), made=True)
        parts = itertools.count()
        return Layout(() if size == 1 else (Atom(size, cut, next(parts)),) for size in given)

    def settled(self) -> Layout:
        """The same shape after values were written into it: from here on its axes mean something."""

        def own(axis: Axis) -> Axis:
            return tuple(Atom(a.size, mark=a.mark, several=a.several) if a.cut is not None and a.cut.made else a for a in axis)

        return Layout(map(own, self.prefix), self.hidden, map(own, self.tail), self.start, self.end, self.packed)

    def replaced_sizes(self, by: Callable[[Symbol], Union[Size, None]]) -> Layout:
        """The same layout with other sizes for some symbols."""

        def own(axis: Axis) -> Axis:
            atoms = ((atom, atom.size.replaced(by)) for atom in axis)
            return tuple(
                atom if size is atom.size else Atom(size, atom.cut, atom.part, atom.mark, atom.several) for atom, size in atoms if size != 1
            )

        return Layout(map(own, self.prefix), self.hidden, map(own, self.tail), self.start, self.end, self.packed)

    @property
    def is_entered(self) -> bool:
        return all(atom.size.known is None for axis in (*self.prefix, *self.tail) for atom in axis)

    def entered(self) -> Layout:
        """The same tensor as a network takes it: every axis means something, and tells its length from equal ones of other axes."""
        owner = next(_owners)
        places = itertools.count()

        def own(atom: Atom) -> Atom:
            known, made = atom.size.known, atom.cut is not None and atom.cut.made
            if known is None and not made:
                return atom
            size = atom.size if known is None else Size.symbol(Counted(owner, next(places), known), str(known))
            return Atom(size, None if made else atom.cut, 0 if made else atom.part, atom.mark, known is not None or atom.several)

        def each(axis: Axis) -> Axis:
            return tuple(map(own, axis))

        return Layout(map(each, self.prefix), self.hidden, map(each, self.tail), self.start, self.end, self.packed)

    @property
    def is_settled(self) -> bool:
        return all(atom.cut is None or not atom.cut.made for axis in (*self.prefix, *self.tail) for atom in axis)

    def copied(self) -> Layout:
        """Another tensor of the same sizes."""

        def own(axis: Axis) -> Axis:
            return tuple(Atom(atom.size) for atom in axis)

        return Layout(map(own, self.prefix), self.hidden, map(own, self.tail), self.start, self.end)

    # --- asking

    @property
    def rank(self) -> Union[int, None]:
        return len(self.prefix) if self.hidden is None else None

    @property
    def sizes(self) -> Union[tuple[Size, ...], None]:
        """All sizes; None where the rank is not known."""
        return None if self.hidden is not None else tuple(axis_size(axis) for axis in self.prefix)

    @property
    def numel(self) -> Union[Size, None]:
        sizes = self.sizes
        if sizes is None:
            return None
        total = Size.of(1)
        for size in sizes:
            total = total * size
        return total

    def size(self, dim: int) -> Size:
        """The size of one axis: asked twice, the same."""
        if self.hidden is None:
            return axis_size(self.prefix[dim]) if -len(self.prefix) <= dim < len(self.prefix) else some_size()
        if dim < 0:
            plain = self._plain_prefix()
            if -dim <= len(self.tail):
                return axis_size(self.tail[dim])
            if plain or not self.prefix:
                return self.hidden.atom(dim + len(self.tail) - self.end).size
            return self.hidden.atom((-self.end, dim)).size
        return axis_size(self.prefix[dim]) if dim < len(self.prefix) else self.hidden.atom(self.start + dim - len(self.prefix)).size

    def alike(self, other: Layout) -> bool:
        """The very same axes."""
        return self is other or (self.prefix == other.prefix and self.hidden is other.hidden and self.tail == other.tail)

    def with_rank(self, rank: int) -> Layout:
        """The same tensor once its rank is known; unknown where that contradicts what was known."""
        if self.hidden is None:
            return self if rank == len(self.prefix) else Layout.unknown(rank)
        prefix = self.prefix
        if len(prefix) + len(self.tail) > rank and self._plain_prefix():
            prefix = prefix[: max(0, rank - len(self.tail))]
        between = rank - len(prefix) - len(self.tail)
        if between < 0:
            return Layout.unknown(rank)
        first = self.start - (len(self.prefix) - len(prefix))
        middle = tuple((self.hidden.atom(first + n),) for n in range(between))
        return Layout(prefix + middle + self.tail, packed=self.packed)

    def __repr__(self) -> str:
        parts = [str(axis_size(axis)) for axis in self.prefix]
        if self.hidden is not None:
            parts += ["..."] + [str(axis_size(axis)) for axis in self.tail]
        return f"Layout({', '.join(parts)})"

    # --- places

    def _plain_prefix(self) -> bool:
        """The front is as the tensor had it, only taken out of hiding."""
        return (
            self.hidden is not None
            and self.start == len(self.prefix)
            and all(len(axis) == 1 and axis[0] is self.hidden.atoms.get(n) for n, axis in enumerate(self.prefix))
        )

    def _shown(self, dims: Iterable[int]) -> Union[Layout, None]:
        """The same layout with these places out of hiding; None where one cannot be told from another."""
        if self.hidden is None:
            return self
        layout, hidden = self, self.hidden
        dims = list(dims)
        front, back = max([d for d in dims if d >= 0], default=-1), -min([d for d in dims if d < 0], default=0)
        if back > len(layout.tail):
            if layout.prefix and not layout._plain_prefix():
                return None
            more = back - len(layout.tail)
            tail = tuple((hidden.atom(n - layout.end - more),) for n in range(more)) + layout.tail
            layout = Layout((), hidden, tail, 0, layout.end + more)
        if front >= len(layout.prefix):
            if layout.tail:
                return None
            more = front + 1 - len(layout.prefix)
            added = tuple((hidden.atom(layout.start + n),) for n in range(more))
            layout = Layout(layout.prefix + added, layout.hidden, (), layout.start + more, layout.end)
        return layout

    def _get(self, dim: int) -> Axis:
        if dim >= 0 or self.hidden is None:
            return self.prefix[dim]
        return self.tail[dim]

    def _put(self, changes: Mapping[int, Axis]) -> Layout:
        prefix, tail = list(self.prefix), list(self.tail)
        for dim, axis in changes.items():
            if dim >= 0 or self.hidden is None:
                prefix[dim] = axis
            else:
                tail[dim] = axis
        return Layout(prefix, self.hidden, tail, self.start, self.end)

    def _fits(self, dims: Iterable[int]) -> bool:
        rank = self.rank
        return rank is None or all(-rank <= dim < rank for dim in dims)

    def _dims(self, dims: Dims) -> Union[list[int], None]:
        """As non-negative dims, each once; None where the rank is not known or they do not fit."""
        rank = self.rank
        if rank is None:
            return None
        if dims is None:
            return list(range(rank))
        given = [dims] if isinstance(dims, int) else list(dims)
        return sorted({dim % rank for dim in given}) if rank and self._fits(given) else None

    def replaced(self, dim: int, size: IntLike, mark: int = 0) -> Layout:
        """The same axes but one, which is new and has this size (the last of a linear layer, the channels of a convolution)."""
        shown = self._shown([dim])
        if shown is None or not shown._fits([dim]):
            return Layout.unknown()
        return shown._put({dim: _axis(size, mark)})

    # --- order

    def permute(self, *dims: int) -> Layout:
        rank = len(dims)
        layout = self.with_rank(rank) if self.hidden is not None else self
        if layout.rank != rank or sorted(dim % rank for dim in dims if -rank <= dim < rank) != list(range(rank)):
            return Layout.unknown()
        return Layout(layout.prefix[dim] for dim in dims)

    def transpose(self, left: int, right: int) -> Layout:
        shown = self._shown([left, right])
        if shown is None or not shown._fits([left, right]):
            return Layout.unknown()
        return shown._put({left: shown._get(right), right: shown._get(left)})

    def t(self) -> Layout:
        if self.hidden is not None:
            return self.with_rank(2).transpose(0, 1)
        return self if len(self.prefix) < 2 else self.transpose(0, 1)

    def reversed(self) -> Layout:
        """`.T` of any rank."""
        return Layout(self.prefix[::-1]) if self.hidden is None else Layout.unknown()

    def movedim(self, source: Union[int, Sequence[int]], destination: Union[int, Sequence[int]]) -> Layout:
        rank = self.rank
        sources = [source] if isinstance(source, int) else list(source)
        goals = [destination] if isinstance(destination, int) else list(destination)
        if rank is None or len(sources) != len(goals) or not self._fits(sources + goals):
            return Layout.unknown()
        order: list[Union[int, None]] = [None] * rank
        for one, goal in zip(sources, goals):
            order[goal % rank] = one % rank
        rest = iter(dim for dim in range(rank) if dim not in order)
        return self.permute(*(next(rest) if dim is None else dim for dim in order))

    # --- views

    def view(self, sizes: Sequence[Union[Size, int, None]]) -> tuple[Layout, Union[Relabel, None]]:
        """`view` or `reshape` to these sizes (None is -1): the layout that results, and what it re-labels where that is certain."""
        outcome = self.judged(sizes)
        return Layout(outcome.axes), outcome.relabel

    def judged(self, sizes: Sequence[Union[Size, int, None]]) -> Outcome:
        """What a `view` or `reshape` to these sizes does."""
        target = [Size.of(size) if isinstance(size, int) else size for size in sizes]
        target = [None if size is not None and size == -1 else size for size in target]
        return judge(self.prefix, target) if self.hidden is None else self._judge_hidden(target)

    def reshape(self, sizes: Sequence[Union[Size, int, None]]) -> Layout:
        """The layout alone, where a re-labelling is none of the user's doing."""
        return self.view(sizes)[0]

    def _judge_hidden(self, target: Sequence[Union[Size, None]]) -> Outcome:
        """Every rank that the places named in the target leave open must give the same answer."""
        hidden = self.hidden
        assert hidden is not None
        places = [
            symbol.key.place
            for size in target
            if size is not None
            for symbol in size.symbols
            if isinstance(symbol.key, AxisKey) and symbol.key.owner == hidden.owner
        ]
        layout: Layout = self
        deep = max((-place for place in places if isinstance(place, int) and place < 0), default=0)
        if deep > self.end and (not self.prefix or self._plain_prefix()):
            layout = self._shown([-len(self.tail) - (deep - self.end)]) or self
        prefix, tail = layout.prefix, layout.tail
        top = len(prefix) - 1
        for place in places:
            if isinstance(place, int) and place >= layout.start:
                top = max(top, len(prefix) + place - layout.start)
        inferred = any(size is None for size in target)
        outcomes: list[Outcome] = []
        if tail or inferred:
            for rank in range(max(len(prefix) + len(tail), top + 1), top + 2 + len(tail)):
                between = rank - len(prefix) - len(tail)
                equal: dict[Symbol, Size] = {}
                for at, axis in enumerate(tail):
                    symbol = Symbol(AxisKey(hidden.owner, layout.start + between + at), "")
                    equal[symbol] = axis_size(axis)
                middle = tuple((hidden.atom(layout.start + n),) for n in range(between))
                outcomes.append(judge(prefix + middle + tail, target, equal))
        shown = range(layout.start, layout.start + top + 1 - len(prefix))
        middle = (*((hidden.atom(n),) for n in shown), (hidden.atom((shown.stop, layout.end)),))
        outcomes.append(judge(prefix + middle + tail, target))
        least = min(outcome.doubt for outcome in outcomes)
        possible = [outcome for outcome in outcomes if outcome.doubt == least]
        return next((outcome for outcome in reversed(possible) if outcome.relabel is None), possible[-1])

    def flatten(self, start: int = 0, end: int = -1) -> Layout:
        rank = self.rank
        if rank is None:
            if self.hidden is None or start < 0 or end != -1:
                return Layout.unknown()
            shown = self._shown([start - 1]) if start else self
            if shown is None or len(shown.prefix) < start:
                return Layout.unknown()
            atoms = [atom for axis in shown.prefix[start:] for atom in axis]
            atoms.append(self.hidden.atom((shown.start, shown.end)))
            atoms += [atom for axis in shown.tail for atom in axis]
            return Layout((*shown.prefix[:start], tuple(atoms)))
        if rank == 0:
            return Layout(((),))
        if not self._fits([start, end]) or start % rank > end % rank:
            return Layout.unknown()
        first, last = start % rank, end % rank
        merged = tuple(atom for axis in self.prefix[first : last + 1] for atom in axis)
        return Layout((*self.prefix[:first], merged, *self.prefix[last + 1 :]))

    def unflatten(self, dim: int, sizes: Sequence[Union[Size, int, None]]) -> Layout:
        target = [Size.of(size) if isinstance(size, int) else size for size in sizes]
        target = [None if size is not None and size == -1 else size for size in target]
        shown = self._shown([dim])
        if shown is None or not shown._fits([dim]):
            return Layout.unknown()
        parts = judge([shown._get(dim)], target).axes
        prefix, tail = list(shown.prefix), list(shown.tail)
        if dim >= 0 or shown.hidden is None:
            at = dim % len(prefix)
            prefix[at : at + 1] = parts
        else:
            at = dim % len(tail)
            tail[at : at + 1] = parts
        return Layout(prefix, shown.hidden, tail, shown.start, shown.end)

    def squeeze(self, dim: Dims = None) -> Layout:
        """Removes axes known to be of size one; an axis that may or may not be one makes the result unknown."""
        if dim is None:
            sizes = self.sizes
            if sizes is None or any(not _surely_several(size) for size in sizes if size != 1):
                return Layout.unknown()
            return Layout(axis for axis in self.prefix if axis)
        given = [dim] if isinstance(dim, int) else list(dim)
        shown = self._shown(given)
        if shown is None or not shown._fits(given):
            return Layout.unknown()
        layout = shown
        places = sorted({d % len(shown.prefix) if shown.hidden is None else d for d in given}, reverse=True)
        for at in places:
            axis = layout._get(at)
            if axis and not _surely_several(axis_size(axis)):
                # squeezing an axis by its number means that it is one
                axis = ()
            if not axis:
                layout = layout._without(at)
        return layout

    def _without(self, dim: int) -> Layout:
        prefix, tail = list(self.prefix), list(self.tail)
        if dim >= 0 or self.hidden is None:
            del prefix[dim]
        else:
            del tail[dim]
        return Layout(prefix, self.hidden, tail, self.start, self.end)

    def unsqueeze(self, dim: int) -> Layout:
        rank = self.rank
        if rank is not None:
            if not -rank - 1 <= dim <= rank:
                return Layout.unknown()
            at = dim % (rank + 1)
            return Layout((*self.prefix[:at], (), *self.prefix[at:]))
        if dim >= 0:
            shown = self._shown([dim - 1]) if dim else self
            if shown is None:
                return Layout.unknown()
            return Layout((*shown.prefix[:dim], (), *shown.prefix[dim:]), shown.hidden, shown.tail, shown.start, shown.end)
        shown = self._shown([dim + 1]) if dim < -1 else self
        if shown is None:
            return Layout.unknown()
        at = len(shown.tail) + dim + 1
        return Layout(shown.prefix, shown.hidden, (*shown.tail[:at], (), *shown.tail[at:]), shown.start, shown.end)

    # --- copies

    def expand(self, sizes: Sequence[Union[Size, int, None]]) -> Layout:
        """-1 (or None) keeps an axis; new axes come in front."""
        if self.hidden is not None:
            if any(size is None or size == -1 for size in sizes):
                return self.with_rank(len(sizes)).expand(sizes)
            return Layout.fresh([size for size in sizes if size is not None])
        extra = len(sizes) - len(self.prefix)
        if extra < 0:
            return Layout.unknown()
        axes: list[Axis] = []
        for at, size in enumerate(sizes):
            axis = self.prefix[at - extra] if at >= extra else ()
            keep = size is None or size == -1 or bool(axis)
            axes.append(axis if keep or size is None else _axis(size))
        return Layout(axes)

    def repeat(self, sizes: Sequence[IntLike]) -> Layout:
        layout = self.with_rank(len(sizes)) if self.hidden is not None else self
        extra = len(sizes) - len(layout.prefix)
        if extra < 0:
            return Layout.unknown()
        # the copies come outside: row-major, (copy, index)
        return Layout((*_axis(size), *(layout.prefix[at - extra] if at >= extra else ())) for at, size in enumerate(sizes))

    def repeat_interleave(self, count: Union[IntLike, None], dim: Union[int, None] = None) -> Layout:
        """`count` None where it is a tensor or not known."""
        if dim is None:
            return self.flatten().repeat_interleave(count, 0)
        if count is None:
            return self.replaced(dim, some_size())
        shown = self._shown([dim])
        if shown is None or not shown._fits([dim]):
            return Layout.unknown()
        return shown._put({dim: (*shown._get(dim), *_axis(count))})

    # --- parts

    def select(self, dim: int) -> Layout:
        """One entry of an axis: the axis is gone."""
        shown = self._shown([dim])
        return Layout.unknown() if shown is None or not shown._fits([dim]) else shown._without(dim)

    def narrow(self, dim: int, size: Union[IntLike, None] = None) -> Layout:
        """A part of an axis."""
        shown = self._shown([dim])
        if shown is None or not shown._fits([dim]):
            return Layout.unknown()
        axis = shown._get(dim)
        known = some_size() if size is None else size
        return shown._put({dim: _axis(known, marked(axis))})

    def chunk(self, count: Union[IntLike, None], dim: int = 0) -> Union[tuple[Layout, ...], None]:
        """The parts; None where their number is not known."""
        number = Size.of(count) if isinstance(count, int) else count
        shown = self._shown([dim])
        if number is None or number.known is None or number.known < 1 or shown is None or not shown._fits([dim]):
            return None
        axis = shown._get(dim)
        if axis and axis[0].size == number:
            return tuple(shown._put({dim: axis[1:]}) for _ in range(number.known))
        total = axis_size(axis)
        if total.known is not None:
            each = -(-total.known // number.known)
            sizes = [Size.of(min(each, total.known - at)) for at in range(0, total.known, max(1, each))]
        else:
            sizes = [total // number] * number.known
        return tuple(self.narrow(dim, size) for size in sizes)

    def split(self, size: Union[IntLike, Sequence[IntLike], None], dim: int = 0) -> Union[tuple[Layout, ...], None]:
        """The parts of this size, or of these sizes; None where their number is not known."""
        if size is None:
            return None
        if isinstance(size, (int, Size)):
            total, each = self.size(dim) if self._fits([dim]) else some_size(), size if isinstance(size, Size) else Size.of(size)
            if total.known is not None and each.known:
                return tuple(self.narrow(dim, min(each.known, total.known - at)) for at in range(0, total.known, each.known))
            number = (total // each).known if each.known != 0 else None
            return None if number is None or not 0 < number < 1000 else self.chunk(number, dim)
        return tuple(self.narrow(dim, part) for part in size)

    def index(self, items: Sequence[object]) -> Layout:
        """`x[items]`: int or Size (one entry), slice, None, Ellipsis, Layout (a tensor of integers), Mask; anything else is unknown."""
        known = (int, Size, slice, Layout, Mask, type(None), type(Ellipsis))
        if any(not isinstance(item, known) for item in items):
            return Layout.unknown()
        covers = [item.rank if isinstance(item, Mask) else 0 if item is None or item is Ellipsis else 1 for item in items]
        if None in covers:
            return Layout.unknown()
        used = sum(cover or 0 for cover in covers)
        dots = [at for at, item in enumerate(items) if item is Ellipsis]
        if len(dots) > 1:
            return Layout.unknown()
        tail_used = sum(cover or 0 for cover in covers[dots[0] :]) if dots else 0
        layout = self._shown([*([used - tail_used - 1] if used > tail_used else []), *([-tail_used] if tail_used else [])])
        if layout is None or (layout.rank is not None and layout.rank < used):
            return Layout.unknown()
        axes: list[Axis] = list(layout.prefix)
        ahead: list[Axis] = []
        behind: list[Axis] = []
        advanced: list[tuple[int, Layout]] = []
        groups = 0
        was_advanced = False
        out, source = ahead, axes
        position = 0
        for item, cover in zip(items, covers):
            if isinstance(item, (int, Size)):  # torch selects these first; they do not part the tensors
                position += 1
                continue
            here = isinstance(item, (Layout, Mask))
            groups += here and not was_advanced
            was_advanced = here
            if item is Ellipsis:
                if layout.hidden is None:
                    middle = len(axes) - tail_used
                    ahead += axes[position:middle]
                    position = middle
                else:
                    ahead += axes[position:]
                    source, position = list(layout.tail), len(layout.tail) - tail_used
                    behind += source[:position]
                    out = behind
                continue
            if item is None:
                out.append(())
                continue
            taken = source[position : position + (cover or 0)]
            if len(taken) != (cover or 0):
                return Layout.unknown()
            position += cover or 0
            if isinstance(item, slice):
                out.append(_sliced(taken[0], item))
            elif isinstance(item, Layout):
                advanced.append((len(out), item))
            elif isinstance(item, Mask):
                advanced.append((len(out), Layout.fresh([some_size()])))
        if layout.hidden is None:
            out += source[position:]
            result = Layout(ahead)
        elif dots:
            result = Layout(ahead, layout.hidden, [*behind, *source[position:]], layout.start, layout.end)
        else:
            result = Layout([*ahead, *source[position:]], layout.hidden, layout.tail, layout.start, layout.end)
        if not advanced:
            return result
        shape = advanced[0][1]
        for _, other in advanced[1:]:
            shape = broadcast(shape, other)
        if shape.hidden is not None or (dots and layout.hidden is not None):
            return Layout.unknown()
        at = 0 if groups > 1 else advanced[0][0]
        prefix = (*result.prefix[:at], *shape.prefix, *result.prefix[at:])
        return Layout(prefix, result.hidden, result.tail, result.start, result.end)

    # --- reductions

    def reduce(self, dims: Dims = None, keepdim: bool = False) -> Layout:
        """sum, mean, max, ... over these dims, or all."""
        if dims is None:
            rank = self.rank
            return Layout() if not keepdim else Layout.unknown() if rank is None else Layout([()] * rank)
        given = [dims] if isinstance(dims, int) else list(dims)
        shown = self._shown(given)
        if shown is None or not shown._fits(given):
            return Layout.unknown()
        if keepdim:
            return shown._put(dict.fromkeys(given, ()))
        if shown.rank is not None:
            gone = {dim % shown.rank for dim in given}
            return Layout(axis for at, axis in enumerate(shown.prefix) if at not in gone)
        for dim in sorted((d for d in given if d >= 0), reverse=True):
            shown = shown._without(dim)
        for dim in sorted(d for d in given if d < 0):
            shown = shown._without(dim)
        return shown

    # --- einops

    def rearrange(self, pattern: str, sizes: Mapping[str, IntLike]) -> Layout:
        """einops.rearrange; also reduce (axes that are missing on the right) and repeat (axes that are new there)."""
        sides = pattern.split("->")
        if len(sides) != 2:
            return Layout.unknown()
        left, right = _einops(sides[0]), _einops(sides[1])
        if left is None or right is None:
            return Layout.unknown()
        dots = ["..."] in left
        layout = self
        if not dots:
            layout = self.with_rank(len(left))
        rank = layout.rank
        if rank is None or rank < len(left) - dots:
            return Layout.unknown()
        where = left.index(["..."]) if dots else 0
        spare = rank - len(left) + dots
        names = left[:where] + [[f"...{n}"] for n in range(spare)] + left[where + 1 :] if dots else left
        found: dict[str, Axis] = {}
        for axis, group in zip(layout.prefix, names):
            whole = [name for name in group if name != "1"]
            if len(whole) == 1:
                found[whole[0]] = axis
                continue
            wanted: list[Union[Size, None]] = [None if name not in sizes else _as_size(sizes[name]) for name in whole]
            if wanted.count(None) > 1:
                return Layout.unknown()
            found.update(zip(whole, judge([axis], wanted).axes))
        result: list[Axis] = []
        for group in right:
            if group == ["..."]:
                result += [found[f"...{n}"] for n in range(spare)]
                continue
            parts: list[Atom] = []
            for name in group:
                if name == "...":
                    parts += [atom for n in range(spare) for atom in found[f"...{n}"]]
                elif name in found:
                    parts += found[name]
                elif name in sizes:
                    parts += _axis(_as_size(sizes[name]))
                elif name.isdigit():
                    parts += _axis(int(name))
                else:
                    return Layout.unknown()
            result.append(tuple(parts))
        return Layout(result)


def _as_size(value: IntLike) -> Size:
    return value if isinstance(value, Size) else Size.of(value)


def _surely_several(size: Size) -> bool:
    return size.plural


def _sliced(axis: Axis, item: slice) -> Axis:
    bounds = [_bound(value) for value in (item.start, item.stop, item.step)]
    start, stop, step = bounds
    mark = marked(axis)
    total = axis_size(axis)
    if start is False or stop is False or step is False:
        return _axis(some_size(), mark)
    if (start is None or start == 0) and stop is None and (step is None or step == 1):
        return axis
    size = _slice_size(total, start, stop, step)
    return _axis(some_size() if size is None else size, mark)


def _bound(value: object) -> Union[Size, bool, None]:
    if value is None:
        return None
    if isinstance(value, Size):
        return value
    return Size.of(value) if isinstance(value, int) else False


def _slice_size(total: Size, start: object, stop: object, step: object) -> Union[Size, None]:
    first = start if isinstance(start, Size) else Size.of(0)
    last = stop if isinstance(stop, Size) else total
    by = step.known if isinstance(step, Size) else 1
    if by is None or by == 0:
        return None
    if total.known is not None and (first.known is not None) and (last.known is not None):
        given = slice(first.known if isinstance(start, Size) else None, last.known if isinstance(stop, Size) else None, by)
        return Size.of(len(range(*given.indices(total.known))))
    if by == -1 and start is None and stop is None:
        return total
    if by < 0:
        return None

    def from_front(bound: Size) -> Size:
        return total - -bound.known if bound.known is not None and bound.known < 0 else bound

    if isinstance(stop, Size) and stop.known is not None and stop.known > 0:
        return Size.of(1) if stop.known == 1 and first == 0 else None  # min(stop, total)
    if by > 1:
        # every second one: taken to go through without remainder
        return total // by if stop is None and first.known is not None and 0 <= first.known < by else None
    return from_front(last) - from_front(first)


def _einops(side: str) -> Union[list[list[str]], None]:
    result: list[list[str]] = []
    group: Union[list[str], None] = None
    for token in side.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            if group is not None:
                return None
            group = []
        elif token == ")":
            if group is None:
                return None
            result.append(group)
            group = None
        elif group is not None:
            group.append(token)
        else:
            result.append([] if token == "1" else [token])
    return None if group is not None else result


def broadcast(left: Layout, right: Layout) -> Layout:
    """The result of arithmetic between two tensors."""
    if left.hidden is not None or right.hidden is not None:
        if left.hidden is right.hidden and len(left.prefix) == len(right.prefix) and len(left.tail) == len(right.tail):
            return left
        one, other = (left, right) if left.hidden is not None else (right, left)
        if other.hidden is None:
            if not other.prefix:
                return one
            if len(other.prefix) > 1 and all(other.prefix):
                return other  # a tensor of unknown rank that meets a whole one: a scalar, a bias or its equal
        return Layout.unknown()
    long, short = (left, right) if len(left.prefix) >= len(right.prefix) else (right, left)
    axes = list(long.prefix)
    for at in range(1, len(short.prefix) + 1):
        mine, yours = axes[-at], short.prefix[-at]
        if not mine or (yours and _bare(mine) and not _bare(yours)):
            axes[-at] = yours
    return Layout(axes)


def _bare(axis: Axis) -> bool:
    """An axis of which nothing is known: it may be of size one and give way in arithmetic."""
    return len(axis) == 1 and (symbol := axis[0].size.is_symbol) is not None and isinstance(symbol.key, AxisKey)


def cat(layouts: Sequence[Layout], dim: int = 0, count: Union[IntLike, None] = None) -> Layout:
    """Concatenation; with `count`, that many tensors like the one given. Equal parts make an axis (part, index)."""
    if not layouts:
        return Layout.unknown()
    first = layouts[0]
    base = next((one for one in layouts if one.rank is not None), first)
    shown = base._shown([dim])
    if shown is None or not shown._fits([dim]):
        return Layout.unknown()
    axis = shown._get(dim)
    if count is not None:
        return shown._put({dim: (*_axis(count), *axis)})
    if len(layouts) == 1:
        return first
    sizes = [one.size(dim) if one._fits([dim]) else some_size() for one in layouts]
    mark = marked(axis)
    if all(size == sizes[0] for size in sizes):
        own: Axis = () if sizes[0] == 1 else (Atom(sizes[0], mark=mark),)
        return shown._put({dim: (*_axis(len(sizes)), *own)})
    total = Size.of(0)
    for size in sizes:
        total = total + size
    return shown._put({dim: _axis(total, max(mark, PADDED if any(size == 1 for size in sizes) else 0))})


def stack(layouts: Sequence[Layout], dim: int = 0, count: Union[IntLike, None] = None) -> Layout:
    """A new axis over the tensors; with `count`, over that many like the one given."""
    if not layouts:
        return Layout.unknown()
    base = next((one for one in layouts if one.rank is not None), layouts[0]).unsqueeze(dim)
    shown = base._shown([dim])
    if shown is None or not shown._fits([dim]):
        return Layout.unknown()
    return shown._put({dim: _axis(len(layouts) if count is None else count)})


def matmul(left: Layout, right: Layout) -> Layout:
    """`left @ right`, also mm, bmm and mv."""
    if left.hidden is not None or right.hidden is not None:
        if right.rank == 2:
            shown = left._shown([-1])
            return Layout.unknown() if shown is None else shown._put({-1: right.prefix[1]})
        return Layout.unknown()
    a, b = left.prefix, right.prefix
    if not a or not b:
        return Layout.unknown()
    rows = a[-2:-1] if len(a) > 1 else ()
    columns = b[-1:] if len(b) > 1 else ()
    batch = broadcast(Layout(a[:-2]), Layout(b[:-2])).prefix
    return Layout((*batch, *rows, *columns))


def einsum(equation: str, layouts: Sequence[Layout]) -> Layout:
    """torch.einsum with an equation."""
    sides = equation.replace(" ", "").split("->")
    inputs = sides[0].split(",")
    if len(sides) > 2 or len(inputs) != len(layouts):
        return Layout.unknown()
    found: dict[str, Axis] = {}
    dots: Union[Layout, None] = None
    for letters, given in zip(inputs, layouts):
        before, mark, after = letters.partition("...")
        own = given if mark else given.with_rank(len(letters))
        rank = own.rank
        if rank is None or rank < len(before) + len(after) or (not mark and rank != len(letters)):
            return Layout.unknown()
        middle = Layout(own.prefix[len(before) : rank - len(after)])
        if mark:
            dots = middle if dots is None else broadcast(dots, middle)
        for letter, axis in [*zip(before, own.prefix), *zip(after, own.prefix[rank - len(after) :])]:
            if letter not in found or not found[letter]:
                found[letter] = axis
    if len(sides) == 2:
        output = sides[1]
    else:
        letters = sides[0].replace(",", "").replace("...", "")
        output = ("..." if dots is not None else "") + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    before, mark, after = output.partition("...")
    if any(letter not in found for letter in before + after):
        return Layout.unknown()
    middle_axes = dots.prefix if mark and dots is not None else ()
    return Layout((*(found[c] for c in before), *middle_axes, *(found[c] for c in after)))
