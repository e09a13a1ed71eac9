"""Which rules run: codes, prefixes of codes, names and groups, the more specific word winning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from nnlint.registry import Catalogue
from nnlint.rule import Group, Rule
from nnlint.trouble import Trouble, near

_ALL = "all"
_PREFIX = re.compile(r"[A-Z]+[0-9]*")


class Layer(msgspec.Struct, frozen=True):
    """What one place (a configuration file, the command line) says; `select` starts anew, the others add and take away."""

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    origin: str = "command line"


def select(catalogue: Catalogue, layers: Sequence[Layer]) -> frozenset[str]:
    """The codes of the rules that run; later layers have the last word."""
    chosen: set[str] = set(expand(catalogue, Group.DEFAULT.value, "default"))
    for layer in layers:
        if layer.select is not None:
            chosen = set()
        words = [(word, True) for word in (*(layer.select or ()), *layer.extend_select)] + [(word, False) for word in layer.ignore]
        # At the same specificity, ignoring wins: the order is stable.
        for word, adds in sorted(words, key=lambda item: specificity(catalogue, item[0])):
            codes = expand(catalogue, word, layer.origin)
            chosen = chosen | codes if adds else chosen - codes
    return frozenset(chosen)


def expand(catalogue: Catalogue, word: str, origin: str) -> frozenset[str]:
    """The codes that a selector stands for."""
    rules = matching(catalogue, word)
    if not rules:
        known = [_ALL, *(group.value for group in Group), *catalogue.words]
        raise Trouble(f"{origin}: unknown rule or group `{word}`{near(word, known)}")
    return frozenset(rule.code for rule in rules)


def matching(catalogue: Catalogue, word: str) -> Iterable[type[Rule]]:
    if word == _ALL:
        return catalogue.everything
    if word in (group.value for group in Group):
        return [rule for rule in catalogue.everything if rule.group.value == word]
    if word in catalogue.words:
        return [catalogue.words[word]]
    return [rule for rule in catalogue.everything if _PREFIX.fullmatch(word) and rule.code.startswith(word)]


def specificity(catalogue: Catalogue, word: str) -> int:
    """How narrow a selector is: everything, a group, a prefix, one rule."""
    if word == _ALL:
        return 0
    if word in (group.value for group in Group):
        return 1
    return 100 if word in catalogue.words else 1 + len(word)
