"""Does a `view` keep the order of the axes, or give the same memory other labels?

A tensor is, row-major, a list of atoms; a view only draws new borders in that list. Where a size that stands for one axis of the
source turns up in the target with other axes behind it than it had, that axis was not moved but re-labelled. The answer must be
certain: sizes that may be one, equal sizes, and sizes that cannot be related to the source all speak for silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd
from typing import Any, NamedTuple, Union

from nnlint.trace.size import Counted, Number, Size, Symbol, plain


class AxisKey(NamedTuple):
    """Identity of the length of one axis of a tensor whose shape is not known."""

    owner: int
    place: Union[int, tuple[int, int]]


class DerivedKey(NamedTuple):
    """Identity of a length worked out from others by a formula that the algebra does not follow; it may well be one."""

    formula: tuple[object, ...]
    depth: int = 1


class Atom:
    """An axis, or a part of one, that no view has cut yet. Two atoms of equal size are still two.

    `mark` says what became of it. A reported axis comes of a view already found wrong: a merge that undoes it is not another mistake.
    A padded axis got entries before or after it, as the relative-position trick does before it views on purpose; what that gave is
    askew, and not judged any more. `several`: surely longer than one.
    """

    __slots__ = ("cut", "mark", "part", "several", "size")

    def __init__(self, size: Size, cut: Union[Cut, None] = None, part: int = 0, mark: int = 0, several: bool = False) -> None:
        self.size = size
        self.cut = cut
        self.part = part
        self.mark = mark
        self.several = several

    def __repr__(self) -> str:
        return f"Atom({self.size})"


REPORTED, PADDED, ASKEW = 1, 2, 3


def marked(atoms: Iterable[Atom]) -> int:
    """What is to be said of an axis made of these."""
    return max((atom.mark for atom in atoms), default=0)


class Cut:
    """What a view cut into `parts` new atoms: as long as these lie side by side, the old run can be had back."""

    __slots__ = ("made", "parts", "run")

    def __init__(self, run: tuple[Atom, ...], parts: int, made: bool = False) -> None:
        self.run = run
        self.parts = parts
        self.made = made  # no view at all: values without an order of their own (noise, constants, ranges)


Axis = tuple[Atom, ...]
"""One logical axis, row-major; no atoms for an axis of size one."""


class Relabel(NamedTuple):
    """A view that re-labels axes.

    `kind` is "swap" (same axes, other order), "split" (a cut axis whose parts are read across another axis) or "merge" (axes that are
    not neighbours in memory merged as if they were). `source` and `target` are the sizes before and after, `moved` those of the target
    that stand for axes whose place in memory is another. What was meant, where it can be told, is first a view as `first` (unless
    None), then `permute`, then a reshape to `last` (unless None). `certain` is False where the view would be harmless if an
    axis were of size one that the user did not name.
    """

    kind: str
    source: tuple[Size, ...]
    target: tuple[Union[Size, None], ...]
    moved: tuple[Size, ...]
    permute: Union[tuple[int, ...], None] = None
    first: Union[tuple[Size, ...], None] = None
    last: Union[tuple[Union[Size, None], ...], None] = None
    certain: bool = True

    def __str__(self) -> str:
        return f"{spell(self.source)} is read as {spell(self.target)}"

    def named(self, words: Sequence[str]) -> Relabel:
        """The same in the user's words for the sizes of the target; a number is named where only one axis has it.

        What was meant is told only where all its sizes have words.
        """
        if len(words) != len(self.target):
            words = [""] * len(self.target)
        called: dict[Size, set[str]] = {}
        for size, word in zip(self.target, words):
            if size is not None and word:
                called.setdefault(size, set()).add(word)
        names = {size: next(iter(given)) for size, given in called.items() if len(given) == 1}
        numbers = [size for size in (*self.source, *self.target) if size is not None]

        def one(size: Union[Size, None]) -> Union[Size, None]:
            name = None if size is None else names.get(size)
            if size is None or name is None or (size.known is not None and numbers.count(size) > 2):
                return size
            return size.named(name)

        meant = [size for size in (*(self.first or ()), *(self.last or ())) if size is not None]
        spelled = all(size.known is not None or size in called for size in meant)
        places = [each if word == "" or each is None else each.named(word) for each, word in zip(self.target, words)]

        def placed(sizes: Any, order: Sequence[int]) -> Any:
            """Sizes in the words of the target's, axis by axis, where they are these."""
            if sizes is None or len(sizes) != len(order) or any(sizes[axis] != self.target[at] for at, axis in enumerate(order)):
                return each(sizes)
            return tuple(places[order.index(axis)] for axis in range(len(sizes)))

        def each(sizes: Any) -> Any:
            return None if sizes is None else tuple(map(one, sizes))

        return self._replace(
            source=each(self.source),
            target=tuple(places),
            moved=each(self.moved),
            permute=self.permute if spelled else None,
            first=placed(self.first, self.permute or ()),
            last=placed(self.last, range(len(self.target))),
        )

    def fix(self, receiver: str = "x") -> Union[str, None]:
        """The expression that was meant, or None where more than one could be."""
        calls = self.calls()
        return None if calls is None else receiver + calls

    def calls(self, view: str = "view") -> Union[str, None]:
        """The methods that were meant, as they are written behind the tensor."""
        if self.permute is None:
            return None
        text = ""
        if self.first is not None:
            text += f".{view}{spell(self.first)}"
        crossed = [at for at, axis in enumerate(self.permute) if at != axis]
        if len(crossed) == 2:
            text += f".transpose({crossed[0]}, {crossed[1]})"
        else:
            text += f".permute({', '.join(map(str, self.permute))})"
        if self.last is not None:
            text += f".reshape{spell(self.last)}"
        return text


def spell(sizes: Sequence[Union[Size, None]]) -> str:
    return "(" + ", ".join("-1" if size is None else str(size) for size in sizes) + ("," if len(sizes) == 1 else "") + ")"


class Quotient(NamedTuple):
    """Identity of `whole // below`, taken as an unknown of its own."""

    whole: Symbol
    below: Mono


class Outcome(NamedTuple):
    """`doubt` is 0 where the totals agree, 1 where they do only if some axes are of size one, 2 where nothing relates them."""

    doubt: int
    axes: tuple[Axis, ...]
    relabel: Union[Relabel, None]


class Mono:
    """A product: coefficient and powers."""

    __slots__ = ("number", "powers")

    def __init__(self, number: Number, powers: Mapping[Symbol, int]) -> None:
        self.number = number
        self.powers = {symbol: power for symbol, power in powers.items() if power}

    def __mul__(self, other: Mono) -> Mono:
        if other.one:
            return self
        powers = dict(self.powers)
        for symbol, power in other.powers.items():
            powers[symbol] = powers.get(symbol, 0) + power
        return Mono(self.number * other.number, powers)

    def __truediv__(self, other: Mono) -> Mono:
        powers = dict(self.powers)
        for symbol, power in other.powers.items():
            powers[symbol] = powers.get(symbol, 0) - power
        return Mono(self.number if other.number == 1 else plain(Fraction(self.number) / other.number), powers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mono) and self.number == other.number and self.powers == other.powers

    def __hash__(self) -> int:
        return hash((self.number, frozenset(self.powers.items())))

    @property
    def one(self) -> bool:
        return not self.powers and self.number == 1

    @property
    def proper(self) -> bool:
        if self.number.denominator != 1:
            return False
        for power in self.powers.values():  # noqa: SIM110  (as a generator it takes twice as long, and is asked very often)
            if power <= 0:
                return False
        return True

    def replace(self, symbol: Symbol, by: Mono) -> Mono:
        power = self.powers.get(symbol, 0)
        if not power:
            return self
        result = Mono(self.number, {s: p for s, p in self.powers.items() if s != symbol})
        for _ in range(abs(power)):
            result = result * by if power > 0 else result / by
        return result

    def halves(self) -> tuple[Mono, Mono]:
        """Numerator and denominator."""
        return (
            Mono(self.number.numerator, {s: p for s, p in self.powers.items() if p > 0}),
            Mono(self.number.denominator, {s: -p for s, p in self.powers.items() if p < 0}),
        )


_ONE = Mono(1, {})
_NAMED, _INFERRED, _LIKELY, _NOTHING = 3, 2, 1, 0


def mono(size: Size) -> Mono:
    return Mono(*size.factors())


def _product(monos: Sequence[Mono]) -> Mono:
    result = _ONE
    for part in monos:
        result = part * result
    return result


def regrown(atoms: Sequence[Atom]) -> list[Atom]:
    """The atoms with every complete run of siblings put back to what it was cut from; values without an order only as a whole tensor."""
    atoms = list(atoms)
    whole = len(atoms)
    again = True
    while again:
        again = False
        for at, atom in enumerate(atoms):
            cut = atom.cut
            if cut is None or atom.part or at + cut.parts > len(atoms) or (cut.made and cut.parts != whole):
                continue
            if all(atoms[at + n].cut is cut and atoms[at + n].part == n for n in range(cut.parts)):
                atoms[at : at + cut.parts] = cut.run
                again = True
                break
    return atoms


class _Solved(NamedTuple):
    source: list[Mono]
    target: list[Mono]  # the -1 worked out
    dropped: frozenset[Symbol] = frozenset()  # what has to be one
    guessed: Union[int, None] = None  # the atom whose size was not known: that it fits proves nothing about its place


def _may_equal(left: Mono, right: Mono) -> bool:
    """No known numbers speak against it."""
    one, other = (Size.product(m.number, m.powers).counted.known for m in (left, right))
    return one is None or other is None or one == other


def _fitted(source: list[Mono], target: list[Union[Mono, None]]) -> tuple[Union[_Solved, None], Union[list[_Group], None]]:
    """What solves a view, and its groups. Where it is open which factor another one divides, the choice that moves nothing is it."""
    first: tuple[Union[_Solved, None], Union[list[_Group], None]] = None, None
    for pick in range(3):
        solved = _solve(source, list(target), pick)
        groups = _groups(solved.source, solved.target) if solved else None
        if groups is not None and all(group.plain for group in groups):
            return solved, groups
        if pick == 0:
            first = solved, groups
        if all(part is None or part.proper for part in (*source, *target)):
            break
    return first


def _solve(source: list[Mono], target: list[Union[Mono, None]], pick: int = 0) -> Union[_Solved, None]:
    """Both sides as proper products over common unknowns with equal totals, or None where that cannot be had."""
    if _clash(source, target):
        return None
    for turn in range(8):
        improper = next((m for m in (*source, *target) if m is not None and not m.proper), None)
        if improper is None:
            break
        # C // heads is a whole number of its own: C becomes heads times it
        above, below = improper.halves()
        wholes = [s for s, p in improper.powers.items() if p == 1 and (pick or not isinstance(s.key, Size))]
        whole = wholes[min(pick, len(wholes) - 1)] if wholes else None
        if whole is None or turn == 7:
            return None
        quotient = Mono(1, {Symbol(Quotient(whole, below), repr(whole)): 1})
        by = quotient * below
        source = [m.replace(whole, by) for m in source]
        target = [m and m.replace(whole, by) for m in target]
    given = [m for m in target if m is not None]
    left = _product(source)
    if left.number == 0 or any(m.number <= 0 for m in given):
        return None
    if len(given) < len(target):
        inferred = left / _product(given)
        if len(given) + 1 < len(target) or not inferred.proper:
            return None
        return _Solved(source, [inferred if m is None else m for m in target])
    above, below = (_product(given) / left).halves()
    if above.one and below.one:
        return _Solved(source, given)
    # one unknown more on one side: it stands for what is left on the other, unless numbers had to be cancelled to see it
    if above.powers and not any(map(_is_hidden, below.powers)) and _may_equal(above, below):
        if source.count(below) == 1 and above.number == 1:
            return _Solved([above if m == below else m for m in source], given, guessed=source.index(below))
        if given.count(above) == 1 and below.powers and below.number == 1:
            return _Solved(source, [below if m == above else m for m in given])
        factor = next(iter(above.powers)) if above.number == 1 and len(above.powers) == 1 else None
        if factor is not None and above.powers[factor] == 1 and _is_chosen(factor) and sum(factor in m.powers for m in given) == 1:
            return _Solved(source, [m.replace(factor, below) for m in given])
    extra = below if above.one else above
    if extra.number == 1 and (above.one or below.one) and all(not isinstance(s.key, (Counted, Size)) for s in extra.powers):
        # the totals agree only if these are all one
        def without(part: Mono) -> Mono:
            return Mono(part.number, {s: p for s, p in part.powers.items() if s not in extra.powers})

        return _Solved([without(m) for m in source], [without(m) for m in given], frozenset(extra.powers))
    return None


def _clash(source: list[Mono], target: list[Union[Mono, None]]) -> bool:
    """The same length divided by one thing here and by another there: the two may be one, and nobody can tell."""
    if all([part is None or part.proper for part in (*source, *target)]):
        return False
    shares = [
        {symbol: part.halves()[1] for symbol, power in part.powers.items() if power == 1 and not part.proper}
        for part in (*source, *target)
        if part is not None
    ]
    divided: dict[Symbol, set[Mono]] = {}
    for share in shares[: len(source)]:
        for symbol, below in share.items():
            divided.setdefault(symbol, set()).add(below)
    return any(below not in divided[symbol] for share in shares[len(source) :] for symbol, below in share.items() if symbol in divided)


class _Group(NamedTuple):
    atoms: list[int]
    dims: list[int]

    @property
    def plain(self) -> bool:
        return len(self.atoms) == 1 or len(self.dims) == 1


def _groups(source: Sequence[Mono], target: Sequence[Mono]) -> Union[list[_Group], None]:
    """The finest common borders of both sides; sizes of one belong to none. None where the totals differ."""

    def borders(sizes: Sequence[Mono]) -> list[tuple[int, Mono]]:
        result, total = [], _ONE
        for at, part in enumerate(sizes):
            if not part.one:
                total = total * part
                result.append((at, total))
        return result

    left, right = borders(source), borders(target)
    common = {total for _, total in left} & {total for _, total in right}
    groups: list[_Group] = []

    def runs(side: list[tuple[int, Mono]]) -> Union[list[list[int]], None]:
        result: list[list[int]] = [[]]
        for at, total in side:
            result[-1].append(at)
            if total in common:
                result.append([])
        return None if result.pop() else result

    atoms, dims = runs(left), runs(right)
    if atoms is None or dims is None:
        return None
    for run, own in zip(atoms, dims):
        groups.append(_Group(run, own))
    return groups


def judge(axes: Sequence[Axis], target: Sequence[Union[Size, None]], equal: Union[Mapping[Symbol, Size], None] = None) -> Outcome:
    """The axes that result from viewing a tensor of these axes as `target` (None is -1), and the re-labelling, if it is one.

    `equal` says which symbols of the target are known by another size. Lengths that are known numbers are looked at as lengths of
    their own first, and as numbers only where that does not add up.
    """
    if equal is None:
        usual = _usual(axes, target)
        if usual is not None:
            return usual
    outcome = _judge(axes, target, equal, mono)
    if outcome.doubt:
        sizes = [*(atom.size for axis in axes for atom in axis), *(size for size in target if size is not None)]
        if any(_is_counted(symbol) for size in sizes for symbol in size.symbols):
            other = _judge(axes, target, equal, lambda size: mono(size.counted))
            if other.doubt < outcome.doubt:
                return other
    return outcome


def _usual(axes: Sequence[Axis], target: Sequence[Union[Size, None]]) -> Union[Outcome, None]:
    """The usual case, without the algebra: the same sizes from the left and from the right, and one axis cut or some merged between."""
    atoms = [atom for axis in axes for atom in axis]
    result: list[Axis] = [()] * len(target)
    first, last, left, right = 0, len(atoms), 0, len(target)
    while left < right:
        size = target[left]
        if size is None or (size != 1 and (first == last or size != atoms[first].size)):
            break
        if size != 1:
            result[left] = (atoms[first],)
            first += 1
        left += 1
    while left < right:
        size = target[right - 1]
        if size is None or (size != 1 and (first == last or size != atoms[last - 1].size)):
            break
        right -= 1
        if size != 1:
            last -= 1
            result[right] = (atoms[last],)
    run = tuple(atoms[first:last])
    if left == right:
        return None if run else Outcome(0, tuple(result), None)
    if left + 1 < right or not run:
        return None
    size = target[left]
    if size is not None and size != axis_size(run):
        return None
    result[left] = run
    return Outcome(0, tuple(result), None)


def _judge(
    axes: Sequence[Axis],
    target: Sequence[Union[Size, None]],
    equal: Union[Mapping[Symbol, Size], None],
    mono: Callable[[Size], Mono],
) -> Outcome:
    raw = [atom for axis in axes for atom in axis]
    wanted: list[Union[Mono, None]] = []
    for size in target:
        product = None if size is None else mono(size)
        for symbol, by in (equal or {}).items():
            product = product and product.replace(symbol, mono(by))
        wanted.append(product)
    atoms = raw
    solved, groups = _fitted([mono(atom.size) for atom in atoms], wanted)
    if groups is None or not all(group.plain for group in groups):
        again = regrown(raw)
        if len(again) != len(raw) or any(one is not other for one, other in zip(again, raw)):
            atoms = again
            solved, groups = _fitted([mono(atom.size) for atom in atoms], wanted)
    if solved is None or groups is None:
        sizes = _sizes(atoms, target)
        cut = Cut(tuple(atoms), sum(1 for size in sizes if size != 1))
        return Outcome(2, _cut_axes(cut, sizes, marked(atoms)), None)
    sizes = _sizes(atoms, target, solved, groups)
    relabel = None
    result: list[Axis] = [()] * len(target)
    for group in groups:
        run = tuple(atoms[at] for at in group.atoms)
        mark = marked(run)
        if not group.plain:
            found = None if mark == ASKEW or _within(axes, atoms, solved, group) else _relabelled(axes, atoms, target, sizes, solved, group)
            if found is not None and mark == PADDED and found.kind == "swap":
                found = None  # relative shift: padded by one entry and viewed askew on purpose
            if (
                found is not None
                and not (mark == REPORTED and found.kind == "merge")
                and (relabel is None or found.certain > relabel.certain)
            ):
                relabel = found
            mark = ASKEW if mark >= PADDED else REPORTED if found is not None else mark
        if len(group.dims) == 1:
            result[group.dims[0]] = run
            continue
        cut = Cut(run, len(group.dims))
        for part, dim in enumerate(group.dims):
            result[dim] = (Atom(sizes[dim], cut, part, mark),)
    if relabel is None and marked(atoms) == 0 and not all(group.plain for group in groups):
        relabel = _torn(axes, atoms, target, groups)
    return Outcome(1 if any(not _is_hidden(symbol) for symbol in solved.dropped) else 0, tuple(result), relabel)


def _within(axes: Sequence[Axis], atoms: Sequence[Atom], solved: _Solved, group: _Group) -> bool:
    """Whether one axis alone is cut anew. What it is made of says little then, unless its parts are axes and the same ones come out."""
    if len({id(owner) if isinstance(owner, Atom) else owner for owner in _owners(axes, [atoms[at] for at in group.atoms])}) > 1:
        return False
    own, wanted = [solved.source[at] for at in group.atoms], [solved.target[dim] for dim in group.dims]
    whole = all(atoms[at].cut is None for at in group.atoms)
    return not (whole and len(own) == len(wanted) and all(own.count(size) == wanted.count(size) for size in own))


def _torn(
    axes: Sequence[Axis], atoms: Sequence[Atom], target: Sequence[Union[Size, None]], groups: Sequence[_Group]
) -> Union[Relabel, None]:
    """Patches made an image again without moving them: two cut axes are there again in full, but the parts left of them lie elsewhere."""
    sizes = [None if size is None else size.counted for size in target]
    parts = [
        (at, atom.cut.run[0].size.counted) for at, atom in enumerate(atoms) if atom.cut and not atom.cut.made and len(atom.cut.run) == 1
    ]
    wholes = [whole for _, whole in parts]
    if len(parts) < 2 or any(atoms[at].part for at, _ in parts) or len({id(atoms[at].cut) for at, _ in parts}) < len(parts):
        return None
    if any(sizes.count(whole) != wholes.count(whole) or atoms[at].size.counted == whole for at, whole in parts):
        return None
    inside = {at: [sizes[dim] for dim in group.dims] for group in groups for at in group.atoms}
    if all(whole in inside.get(at, ()) for at, whole in parts):
        return None
    return Relabel("split", tuple(axis_size(axis) for axis in axes), tuple(target), tuple(set(wholes)))


def _cut_axes(cut: Cut, sizes: Sequence[Size], mark: int) -> tuple[Axis, ...]:
    result: list[Axis] = []
    part = 0
    for size in sizes:
        if size == 1:
            result.append(())
            continue
        result.append((Atom(size, cut, part, mark),))
        part += 1
    return tuple(result)


def _sizes(
    atoms: Sequence[Atom], target: Sequence[Union[Size, None]], solved: Union[_Solved, None] = None, groups: Sequence[_Group] = ()
) -> list[Size]:
    """The sizes of the target with -1 worked out."""
    result: list[Size] = []
    for at, size in enumerate(target):
        if size is not None:
            result.append(size)
            continue
        run = next((group.atoms for group in groups if group.dims == [at]), None)
        total = Size.of(1)
        if run is not None:
            for n in run:
                total = total * atoms[n].size
        elif solved is None:
            for atom in atoms:
                total = total * atom.size
            known = Size.of(1)
            for other in target:
                known = known if other is None else known * other
            result.append(total // known if known.known and total.known else Size.symbol(DerivedKey((total, known)), "?"))
            continue
        elif not solved.target[at].one:
            left = [atom.size for atom in atoms]
            below = []
            for other in target:
                if other is not None and other in left:
                    left.remove(other)
                elif other is not None:
                    below.append(other)
            for size in left:
                total = total * size
            for size in below:
                total = total // size
        result.append(total)
    return result


def _relabelled(
    axes: Sequence[Axis],
    atoms: Sequence[Atom],
    target: Sequence[Union[Size, None]],
    sizes: Sequence[Size],
    solved: _Solved,
    group: _Group,
) -> Union[Relabel, None]:
    """The re-labelling in one group of atoms and dims whose inner borders do not agree, if it is certain to be one."""
    minus = next((at for at, size in enumerate(target) if size is None), None)
    named = {symbol for at, part in enumerate(solved.target) if at != minus for symbol in part.powers}
    inferred = _inferred(atoms, solved, minus)
    several = {symbol for at, atom in enumerate(atoms) if atom.several for symbol in solved.source[at].powers}
    likely = {symbol for at in group.atoms for symbol in solved.source[at].powers if _is_chosen(symbol) or _was_cut(atoms[at])}

    def weight(part: Mono) -> int:
        """How sure it is that this is not one."""
        if part.number > 1:
            return _NAMED
        best = _NOTHING
        for symbol in part.powers:
            plural = isinstance(symbol.key, Counted) or (isinstance(symbol.key, Size) and _plural(symbol.key))
            own = (
                _NAMED
                if symbol in named or plural
                else _INFERRED
                if symbol in inferred or symbol in several
                else _LIKELY
                if symbol in likely
                else _NOTHING
            )
            best = max(best, own)
        return best

    after_atom = _suffixes(solved.source, group.atoms)
    after_dim = _suffixes(solved.target, group.dims)
    best, moved = _NOTHING, []
    for at, dim, symbol in _claims(solved, group, minus):
        ratio = after_atom[at] / after_dim[dim]
        own, slack = Mono(1, {symbol: 1}) if symbol else solved.source[at], solved.target[dim]
        if ratio.halves()[0].one:
            ratio, slack = _ONE / ratio, solved.source[at]
        if ratio.one or not ratio.proper:
            continue
        rest = _beyond(ratio, slack / own)
        sure = weight(rest)
        if dim == minus:
            if solved.source[at] != solved.target[dim] or any(symbol not in inferred for symbol in solved.source[at].powers):
                continue
            if not _fits_without(solved, group):
                continue
            sure = min(sure, _INFERRED)
        if sure > _NOTHING:
            best = max(best, sure)
            moved.append(dim)
    if best == _NOTHING or (minus in group.dims and _fits_by_number(atoms, solved, group, named)):
        return None
    shape = _explain(axes, atoms, target, sizes, solved, group)
    first_atom = next((at for at, part in enumerate(solved.source) if not part.one), 0)
    # channels put last by -1 may be one
    swapped_away = shape.kind == "swap" and minus == len(target) - 1 and solved.target[minus] != solved.source[first_atom]
    # (1, n) turned into (n, 1) by the numbers of its own shape
    shown = [part for part in solved.source if not part.one]
    vector = shape.kind == "swap" and len(shown) == len(target) == 2 and not any(_is_chosen(s) for part in shown for s in part.powers)
    vector = vector and all(part.powers for part in shown)
    certain = (best == _NAMED and not vector) or (best == _INFERRED and not swapped_away)
    return shape._replace(moved=tuple(sizes[dim] for dim in sorted(set(moved))), certain=certain)


def _is_hidden(symbol: Symbol) -> bool:
    """All the axes of a tensor of unknown rank that nobody named, as one; there may be none."""
    return isinstance(symbol.key, AxisKey) and isinstance(symbol.key.place, tuple)


def _plural(size: Size) -> bool:
    return size.plural or (size.counted.known or 0) > 1


def _is_counted(symbol: Symbol) -> bool:
    """A length that is known to be a number, and more than one."""
    return isinstance(symbol.key, Counted) or (isinstance(symbol.key, Size) and any(map(_is_counted, symbol.key.symbols)))


def _is_chosen(symbol: Symbol) -> bool:
    """A size that the program chose, rather than one that its data has."""
    if isinstance(symbol.key, Size):
        return all(_is_chosen(part) for part in symbol.key.symbols)
    return not isinstance(symbol.key, (AxisKey, DerivedKey))


def _was_cut(atom: Atom) -> bool:
    return atom.cut is not None and not atom.cut.made


def _inferred(atoms: Sequence[Atom], solved: _Solved, minus: Union[int, None]) -> set[Symbol]:
    """The unknowns of the axes that -1 evidently stands for: a run of whole neighbouring ones."""
    if minus is None or solved.target[minus].one:
        return set()
    goal = solved.target[minus]
    for start in range(len(atoms)):
        total = _ONE
        for end in range(start, len(atoms)):
            total = total * solved.source[end]
            if total == goal:
                symbols = {symbol for at in range(start, end + 1) for symbol in solved.source[at].powers}
                return set() if any(map(_is_hidden, symbols)) else symbols
    return set()


def _suffixes(sizes: Sequence[Mono], run: Sequence[int]) -> dict[int, Mono]:
    result, total = {}, _ONE
    for at in reversed(run):
        result[at] = total
        total = total * sizes[at]
    return result


def _beyond(ratio: Mono, slack: Mono) -> Mono:
    """What of the ratio of two strides cannot come from the place of a factor inside its own axis."""
    number = plain(Fraction(ratio.number.numerator, gcd(ratio.number.numerator, slack.number.numerator))) if slack.number else ratio.number
    return Mono(number, {s: max(0, p - max(0, slack.powers.get(s, 0))) for s, p in ratio.powers.items()})


def _claims(solved: _Solved, group: _Group, minus: Union[int, None]) -> list[tuple[int, int, Union[Symbol, None]]]:
    """Pairs of an atom and a dim that stand for the same axis, with the unknown that says so; None where a plain number does."""
    result: list[tuple[int, int, Union[Symbol, None]]] = []
    total: dict[Symbol, int] = {}
    for at in group.atoms:
        for symbol, power in solved.source[at].powers.items():
            total[symbol] = total.get(symbol, 0) + power
    for symbol, power in total.items():
        if power == 1:
            atom = next(at for at in group.atoms if symbol in solved.source[at].powers)
            dim = next((dim for dim in group.dims if symbol in solved.target[dim].powers), None)
            if dim is not None and atom != solved.guessed:
                result.append((atom, dim, symbol))
    numbers = [solved.source[at] for at in group.atoms]
    wanted = [solved.target[dim] for dim in group.dims]
    for at in group.atoms:
        number = solved.source[at]
        if at == solved.guessed or number.powers or numbers.count(number) != 1 or wanted.count(number) != 1:
            continue
        dim = next(dim for dim in group.dims if solved.target[dim] == number)
        if _fits_without(solved, group):
            result.append((at, dim, None))
    return result


def _fits_without(solved: _Solved, group: _Group) -> bool:
    """Without the axes that have a size of their own on both sides the others fit as they are: then no size is there by chance."""
    source, target = [solved.source[at] for at in group.atoms], [solved.target[dim] for dim in group.dims]
    shared = {size for size in source if source.count(size) == 1 and target.count(size) == 1}
    rest = _groups([size for size in source if size not in shared], [size for size in target if size not in shared])
    return rest is not None and all(part.plain for part in rest)


def _fits_by_number(atoms: Sequence[Atom], solved: _Solved, group: _Group, named: set[Symbol]) -> bool:
    """Some unknown may be one of the numbers in the target, or what is missing there, and -1 then what it was not taken for; with that
    all would fit."""
    own = [solved.source[at] for at in group.atoms]
    numbers = {solved.target[dim] for dim in group.dims if not solved.target[dim].powers and solved.target[dim] not in own}
    unknown = {symbol for at in group.atoms for symbol in solved.source[at].powers} - named
    chances = [(symbol, number) for symbol in unknown for number in numbers]
    # or what is missing of an axis that was cut: the width beside the heads
    for at, beside in (pair for left, right in pairwise(group.atoms) for pair in ((left, right), (right, left))):
        cut, symbol = atoms[at].cut, next(iter(solved.source[beside].powers), None)
        if cut is None or symbol not in unknown or solved.source[beside] != Mono(1, {symbol: 1}):
            continue
        missing = _product([mono(atom.size) for atom in cut.run]) / solved.source[at]
        if missing not in [mono(atom.size) for atom in atoms]:
            chances.append((symbol, missing))
    for symbol, number in chances:
        source = [solved.source[at].replace(symbol, number) for at in group.atoms]
        groups = _groups(source, [solved.target[dim].replace(symbol, number) for dim in group.dims])
        if groups is not None and all(part.plain for part in groups):
            return True
    return False


def _explain(
    axes: Sequence[Axis],
    atoms: Sequence[Atom],
    target: Sequence[Union[Size, None]],
    sizes: Sequence[Size],
    solved: _Solved,
    group: _Group,
) -> Relabel:
    """What kind of re-labelling it is, and what was meant."""
    taken: dict[int, list[tuple[int, int]]] = {}  # dim -> the parts of atoms that it is made of
    cuts: dict[int, list[Size]] = {}  # atom -> its parts
    kind = ""
    provable = True
    for other in _groups(solved.source, solved.target) or []:
        parts = _assigned(solved, other)
        if other.dims == group.dims:
            cut = len(other.dims) > len(other.atoms) if parts is None else any(len(dims) > 1 for dims in parts.values())
            joined = parts is None or sum(map(len, parts.values())) - _kept(axes, atoms, parts) > len(other.dims)
            kind = "split" if cut else "merge" if joined else "swap"
        if parts is None:
            provable = False
            continue
        for at, dims in parts.items():
            if len(dims) > 1:
                cuts[at] = [sizes[dim] if part == solved.target[dim] else _expanded(part) for dim, part in dims]
            for part, (dim, _) in enumerate(dims):
                taken.setdefault(dim, []).append((at, part))
    words = {size: size for size in target if size is not None}
    absent = {atom for at, atom in enumerate(atoms) if solved.source[at].one}
    shown = [axis for axis in axes if not axis or not any(map(_is_hidden, axis[0].size.symbols)) or axis[0] not in absent]
    source = tuple(words.get(size, size) for size in (axis_size(axis) for axis in shown))
    relabel = Relabel(kind, source, tuple(target), ())
    if not provable:
        return relabel
    pieces: list[tuple[int, int]] = []
    lengths: list[Size] = []
    for at, piece in enumerate(atoms):
        if at in cuts:
            pieces += [(at, part) for part in range(len(cuts[at]))]
            lengths += cuts[at]
        elif not solved.source[at].one:
            pieces.append((at, 0))
            lengths.append(words.get(piece.size, piece.size))
    places = [[pieces.index(piece) for piece in taken.get(dim, [])] for dim in range(len(target))]
    if sorted(place for run in places for place in run) != list(range(len(pieces))):
        return relabel
    # parts of one axis that stay neighbours stay one
    owners = _owners(axes, atoms)
    glued = [
        place
        for run in places
        for before, place in pairwise(run)
        if place == before + 1 and owners[pieces[place][0]] == owners[pieces[before][0]]
    ]
    for place in sorted(glued, reverse=True):
        lengths[place - 1 : place + 1] = [lengths[place - 1] * lengths[place]]
    lengths = [words.get(length, length) for length in lengths]
    places = [[place - sum(other < place for other in glued) for place in run if place not in glued] for run in places]
    order = tuple(place for run in places for place in run)
    hidden = any(_is_hidden(symbol) for part in solved.source for symbol in part.powers)
    whole = not hidden and all(len(run) == 1 for run in places)
    return relabel._replace(
        permute=order,
        first=None if tuple(lengths) == source else tuple(lengths),
        last=None if whole else tuple(target),
    )


def _owners(axes: Sequence[Axis], atoms: Sequence[Atom]) -> list[object]:
    """What each atom is a part of: its axis, or itself where it is none of its atoms."""
    inside = {id(atom): at for at, axis in enumerate(axes) for atom in axis}
    return [inside.get(id(atom), id(atom)) for atom in atoms]


def _kept(axes: Sequence[Axis], atoms: Sequence[Atom], parts: Mapping[int, list[tuple[int, Mono]]]) -> int:
    """How many atoms follow a neighbour in the same axis to the same dim."""
    owners = _owners(axes, atoms)
    return sum(at - 1 in parts and owners[at] == owners[at - 1] and parts[at - 1][-1][0] == parts[at][0][0] for at in parts)


def _assigned(solved: _Solved, group: _Group) -> Union[dict[int, list[tuple[int, Mono]]], None]:
    """For every atom of the group the dims that its parts go to, in order, and the parts; None where that is open."""
    result: dict[int, list[tuple[int, Mono]]] = {}
    atoms, dims = list(group.atoms), []
    for dim in group.dims:
        atom = next((at for at in atoms if solved.source[at] == solved.target[dim]), None)
        if atom is None:
            dims.append(dim)
        else:
            result[atom] = [(dim, solved.target[dim])]
            atoms.remove(atom)
    if len(atoms) == 1:
        result[atoms[0]] = [(dim, solved.target[dim]) for dim in dims]
    elif len(dims) == 1:
        result.update((at, [(dims[0], solved.source[at])]) for at in atoms)
    elif atoms:
        # factor by factor; numbers that several share may have come from any
        if sum(solved.source[at].number != 1 for at in atoms) > 1 and sum(solved.target[dim].number != 1 for dim in dims) > 1:
            return None
        left = {at: solved.source[at] for at in atoms}
        for dim in dims:
            wanted = solved.target[dim]
            for at in atoms:
                common = Mono(
                    gcd(left[at].number.numerator, wanted.number.numerator),
                    {s: min(p, wanted.powers.get(s, 0)) for s, p in left[at].powers.items()},
                )
                if not common.one:
                    result.setdefault(at, []).append((dim, common))
                    left[at], wanted = left[at] / common, wanted / common
            if not wanted.one:
                return None
    return result


def _expanded(part: Mono) -> Size:
    """The size that a product stands for, in the unknowns of the user."""
    size = Size.product(part.number, {s: p for s, p in part.powers.items() if not isinstance(s.key, Quotient)})
    for symbol, power in part.powers.items():
        if isinstance(symbol.key, Quotient):
            for _ in range(power):
                size = size * _expanded(Mono(1, {symbol.key.whole: 1})) // _expanded(symbol.key.below)
    return size


def axis_size(axis: Axis) -> Size:
    total = Size.of(1)
    for atom in axis:
        total = total * atom.size
    return total
