"""Symbolic sizes: what is known of the length of an axis, as exact algebra.

A size is a sum of terms; a term is a rational coefficient times powers (negative ones too) of symbols. Division is taken as the
user evidently means it in shape arithmetic, exact: `heads * (C // heads)` is `C`. Two known integers divide with the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from fractions import Fraction
from math import gcd
from typing import NamedTuple, Union

Number = Union[int, Fraction]
IntLike = Union["Size", int]


class Symbol:
    """One unknown of the algebra: equal keys are the same unknown; the label is only for messages."""

    __slots__ = ("_hash", "key", "label")

    def __init__(self, key: Hashable, label: str) -> None:
        self.key = key
        self.label = label
        self._hash = hash(key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Symbol) and self._hash == other._hash and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return self.label or f"<{self.key!r}>"


class Counted(NamedTuple):
    """Identity of a length that is a known number, told from others of the same number by where it belongs."""

    owner: int
    place: int
    value: int


Powers = frozenset[tuple[Symbol, int]]
Terms = dict[Powers, Number]
_CONSTANT: Powers = frozenset()
_SUM, _PRODUCT, _NAME = 0, 1, 2
_TEXT_LIMIT = 80
_TERM_LIMIT = 24


def plain(number: Number) -> Number:
    """An integer as an integer."""
    return number.numerator if isinstance(number, Fraction) and number.denominator == 1 else number


def _times(left: Powers, right: Powers) -> Powers:
    if not left:
        return right
    if not right:
        return left
    powers = dict(left)
    for symbol, power in right:
        powers[symbol] = powers.get(symbol, 0) + power
    return frozenset((s, p) for s, p in powers.items() if p)


def _inverse(powers: Powers) -> Powers:
    return frozenset((s, -p) for s, p in powers)


class Size:
    """An immutable, hashable, symbolic integer. Equality is equality of the canonical form; labels and spelling do not count."""

    __slots__ = ("_hash", "_level", "_terms", "_text")

    def __init__(self, terms: Terms, text: str = "", level: int = _NAME) -> None:
        self._terms = terms
        number = terms.get(_CONSTANT, 0) if len(terms) < 2 else None
        constant = number is not None and (not terms or _CONSTANT in terms)
        self._hash = hash(number) if constant else hash(frozenset(terms.items()))  # equal to the integer's
        self._text = text
        self._level = level

    @staticmethod
    def of(number: int) -> Size:
        """The known integer."""
        return Size({_CONSTANT: int(number)} if number else {})

    @staticmethod
    def symbol(key: Hashable, label: str = "") -> Size:
        """The unknown with this identity."""
        return Size({frozenset(((Symbol(key, label), 1),)): 1}, label)

    def named(self, label: str) -> Size:
        """The same size under the user's name for it."""
        return Size(self._terms, label)

    @property
    def known(self) -> Union[int, None]:
        """The integer, where it is one."""
        if not self._terms:
            return 0
        if len(self._terms) == 1:
            number = self._terms.get(_CONSTANT)
            if isinstance(number, int):
                return number
        return None

    @property
    def counted(self) -> Size:
        """The same size with the numbers that its symbols stand for, as far as these are known."""
        return self.replaced(lambda symbol: Size.of(symbol.key.value) if isinstance(symbol.key, Counted) else None)

    def replaced(self, by: Callable[[Symbol], Union[Size, None]]) -> Size:
        """The same size with other sizes for some symbols."""
        found: dict[Symbol, Size] = {}
        for symbol in self.symbols:
            new = symbol.key.replaced(by) if isinstance(symbol.key, Size) else by(symbol)
            if new is not None and new is not symbol.key:
                found[symbol] = new
        if not found:
            return self
        total = Size.of(0)
        for powers, number in self._terms.items():
            term = Size({frozenset((s, p) for s, p in powers if s not in found): number})
            for symbol, power in powers:
                for _ in range(abs(power) if symbol in found else 0):
                    term = term * found[symbol] if power > 0 else term // found[symbol]
            total = total + term
        return total

    @property
    def is_symbol(self) -> Union[Symbol, None]:
        """The symbol, where the size is nothing but one."""
        if len(self._terms) == 1:
            ((powers, number),) = self._terms.items()
            if number == 1 and len(powers) == 1:
                ((symbol, power),) = powers
                if power == 1:
                    return symbol
        return None

    @property
    def symbols(self) -> frozenset[Symbol]:
        return frozenset(symbol for powers in self._terms for symbol, _ in powers)

    @property
    def plural(self) -> bool:
        """Surely two or more, given that every symbol is at least one."""
        total: Number = 0
        for powers, number in self._terms.items():
            if number < 0 or any(power < 0 for _, power in powers):
                return False
            total += number
        return total >= 2

    def factors(self) -> tuple[Number, dict[Symbol, int]]:
        """Coefficient and powers whose product is the size; a sum that has no further common factor counts as one symbol."""
        if not self._terms:
            return 0, {}
        if len(self._terms) == 1:
            ((powers, number),) = self._terms.items()
            return number, dict(powers)
        common: Union[dict[Symbol, int], None] = None
        for powers in self._terms:
            own = dict(powers)
            if common is None:
                common = own
            else:
                common = {s: min(own.get(s, 0), common.get(s, 0)) for s in {*own, *common}}
        shared = {s: p for s, p in (common or {}).items() if p}
        content = Fraction(0)
        for number in self._terms.values():
            part = Fraction(number)
            content = Fraction(
                gcd(content.numerator * part.denominator, part.numerator * content.denominator), content.denominator * part.denominator
            )
        out = _inverse(frozenset(shared.items()))
        rest = Size({_times(powers, out): plain(Fraction(number) / content) for powers, number in self._terms.items()})
        if max(rest._terms.items(), key=lambda item: (len(item[0]), repr(item[0])))[1] < 0:
            rest, content = Size({powers: -number for powers, number in rest._terms.items()}), -content
        shared[Symbol(rest, str(self) if not shared and content == 1 else str(rest))] = 1
        return plain(content), shared

    @staticmethod
    def product(coefficient: Number, powers: Mapping[Symbol, int]) -> Size:
        """The inverse of `factors`."""
        own = frozenset((s, p) for s, p in powers.items() if p and not isinstance(s.key, Size))
        result = Size({own: plain(coefficient)} if coefficient else {})
        for symbol, power in powers.items():
            if isinstance(symbol.key, Size):
                for _ in range(abs(power)):
                    result = result * symbol.key if power > 0 else result // symbol.key
        return result

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.known == other
        return self is other or (isinstance(other, Size) and self._hash == other._hash and self._terms == other._terms)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: IntLike) -> Size:
        return self._sum(_size(other), 1, "+")

    def __radd__(self, other: int) -> Size:
        return _size(other) + self

    def __sub__(self, other: IntLike) -> Size:
        return self._sum(_size(other), -1, "-")

    def __rsub__(self, other: int) -> Size:
        return _size(other) - self

    def _sum(self, other: Size, sign: int, mark: str) -> Size:
        if not other._terms:
            return self
        if not self._terms and sign > 0:
            return other
        terms = dict(self._terms)
        for powers, number in other._terms.items():
            total = terms.get(powers, 0) + sign * number
            if total:
                terms[powers] = plain(total)
            else:
                terms.pop(powers, None)
        if len(terms) > _TERM_LIMIT:
            return Size.symbol((mark, self, other), "...")
        known = other.known
        if known is not None and known < 0:
            mark, other = ("-" if sign > 0 else "+"), Size.of(-known)
        return Size(terms, *_spell(self, mark, other, _SUM))

    def __mul__(self, other: IntLike) -> Size:
        other = _size(other)
        if other._terms == _ONE or not self._terms:
            return self
        if self._terms == _ONE or not other._terms:
            return other
        if len(self._terms) * len(other._terms) > _TERM_LIMIT:
            return Size.symbol(("*", frozenset((self, other))), f"{_in(self, _PRODUCT)} * {_in(other, _PRODUCT)}"[:_TEXT_LIMIT])
        terms: Terms = {}
        for left, a in self._terms.items():
            for right, b in other._terms.items():
                powers = _times(left, right)
                total = terms.get(powers, 0) + a * b
                if total:
                    terms[powers] = plain(total)
                else:
                    terms.pop(powers, None)
        return Size(terms, *_spell(self, "*", other, _PRODUCT))

    def __rmul__(self, other: int) -> Size:
        return _size(other) * self

    def __floordiv__(self, other: IntLike) -> Size:
        other = _size(other)
        left, right = self.known, other.known
        if right == 1:
            return self
        if left is not None and right:
            return Size.of(left // right)
        quotient = self._exact(other)
        if quotient is None:
            return Size.symbol(("//", self, other), f"{_in(self, _PRODUCT)} // {_in(other, _NAME)}"[:_TEXT_LIMIT])
        return Size(quotient, *_spell(self, "//", other, _PRODUCT))

    def __rfloordiv__(self, other: int) -> Size:
        return _size(other) // self

    def __mod__(self, other: IntLike) -> Size:
        other = _size(other)
        left, right = self.known, other.known
        if left is not None and right:
            return Size.of(left % right)
        quotient = self._exact(other)
        if quotient is not None and all(isinstance(n, int) and all(p > 0 for _, p in powers) for powers, n in quotient.items()):
            return Size.of(0)
        return Size.symbol(("%", self, other), f"{_in(self, _PRODUCT)} % {_in(other, _NAME)}"[:_TEXT_LIMIT])

    def __rmod__(self, other: int) -> Size:
        return _size(other) % self

    def _exact(self, other: Size) -> Union[Terms, None]:
        """The quotient as terms; None where there is none."""
        if not other._terms:
            return None
        if len(other._terms) == 1:
            ((powers, number),) = other._terms.items()
            out = _inverse(powers)
            return {_times(own, out): plain(Fraction(n) / number) for own, n in self._terms.items()}
        order = sorted(self.symbols | other.symbols, key=lambda s: s._hash)

        def degree(powers: Powers) -> tuple[int, ...]:
            own = dict(powers)
            return (sum(own.values()), *(own.get(s, 0) for s in order))

        lead = max(other._terms, key=degree)
        rest, quotient = dict(self._terms), Terms()
        for _ in range(_TERM_LIMIT):
            if not rest:
                return quotient
            top = max(rest, key=degree)
            factor, number = _times(top, _inverse(lead)), Fraction(rest[top]) / other._terms[lead]
            quotient[factor] = plain(number)
            for powers, n in other._terms.items():
                powers = _times(powers, factor)
                total = rest.get(powers, 0) - n * number
                if total:
                    rest[powers] = plain(total)
                else:
                    rest.pop(powers, None)
        return None

    def __str__(self) -> str:
        known = self.known
        if known is not None:
            return self._text if self._text and self._level == _NAME else str(known)
        symbol = self.is_symbol
        if symbol is not None and symbol.label and (not self._text or self._level != _NAME):
            return symbol.label
        return self._text or _canonical_text(self)

    def __repr__(self) -> str:
        return f"Size({self})"


def _size(value: IntLike) -> Size:
    return value if isinstance(value, Size) else Size.of(value)


def _in(size: Size, level: int) -> str:
    text = str(size)
    simple = size.known is not None or size.is_symbol is not None or not size._text
    own = _NAME if simple and " " not in text else (size._level if size._text else _SUM)
    return text if own >= level else f"({text})"


def _spell(left: Size, mark: str, right: Size, level: int) -> tuple[str, int]:
    """The result in the words of its operands; too long a story is told from the canonical form instead."""
    if left.known is not None and right.known is not None:
        return "", _NAME
    text = f"{_in(left, level)} {mark} {_in(right, level + (mark in ('-', '//')))}"
    return (text, level) if len(text) <= _TEXT_LIMIT else ("", _NAME)


def _canonical_text(size: Size) -> str:
    parts = []
    for powers, number in size._terms.items():
        above = sorted(repr(s) + (f"**{p}" if p > 1 else "") for s, p in powers if p > 0)
        below = sorted(repr(s) + (f"**{-p}" if p < -1 else "") for s, p in powers if p < 0)
        fraction = Fraction(number)
        sign = "-" if fraction < 0 else ""
        if abs(fraction.numerator) != 1 or not above:
            above.insert(0, str(abs(fraction.numerator)))
        if fraction.denominator != 1:
            below.insert(0, str(fraction.denominator))
        parts.append(sign + " * ".join(above) + "".join(f" // {name}" for name in below))
    return " + ".join(parts).replace("+ -", "- ")


_ONE: Terms = {_CONSTANT: 1}
