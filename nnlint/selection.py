"""Which rules run: codes, prefixes of codes, names and groups, the more specific word winning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from nnlint.files import Patterns
from nnlint.notices import InvalidSyntax
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
    origin: str = "the command line"


class Decision(msgspec.Struct, frozen=True):
    """Whether a rule runs, and which words said so."""

    runs: bool
    reason: str


def decide(catalogue: Catalogue, layers: Sequence[Layer]) -> dict[str, Decision]:
    """What becomes of each rule, by code; later layers have the last word."""
    decisions = {
        rule.code: Decision(
            rule.group is Group.DEFAULT, "by default" if rule.group is Group.DEFAULT else f"{rule.group.value}, not selected"
        )
        for rule in catalogue.everything
    }
    for layer in layers:
        if layer.select is not None:
            decisions = dict.fromkeys(decisions, Decision(False, f"not selected by {layer.origin}"))
        words = [(word, True) for word in (*(layer.select or ()), *layer.extend_select)] + [(word, False) for word in layer.ignore]
        # At the same specificity, ignoring wins: the order is stable.
        for word, runs in sorted(dict.fromkeys(words), key=lambda item: _specificity(catalogue, item[0])):
            decision = Decision(runs, f"`{word}` {'selected' if runs else 'ignored'} by {layer.origin}")
            decisions.update(dict.fromkeys(expand(catalogue, word, layer.origin), decision))
    return {**decisions, InvalidSyntax.code: Decision(True, "always")}


def ignored(catalogue: Catalogue, per_file: Iterable[tuple[Patterns, Layer]], path: str) -> dict[str, Decision]:
    """What the configuration switches off for a file (an absolute path), by code."""
    decisions: dict[str, Decision] = {}
    for patterns, layer in per_file:
        if patterns.verdict(path):
            for word in layer.ignore:
                decision = Decision(False, f"`{word}` ignored in `{patterns.lines[0]}` by {layer.origin}")
                decisions.update(dict.fromkeys(expand(catalogue, word, layer.origin), decision))
    decisions.pop(InvalidSyntax.code, None)
    return decisions


def select(catalogue: Catalogue, layers: Sequence[Layer]) -> frozenset[str]:
    """The codes of the rules that run."""
    return frozenset(code for code, decision in decide(catalogue, layers).items() if decision.runs)


def expand(catalogue: Catalogue, word: str, origin: str) -> frozenset[str]:
    """The codes that a selector stands for."""
    rules = matching(catalogue, word)
    if not rules:
        known = [_ALL, *(group.value for group in Group), *catalogue.words]
        raise Trouble(f"{origin}: unknown rule or group `{word}`{near(word, known)}")
    return frozenset(rule.code for rule in rules)


def matching(catalogue: Catalogue, word: str) -> Iterable[type[Rule]]:
    """The rules that a selector stands for; none where it is unknown."""
    if word == _ALL:
        return catalogue.everything
    if word in (group.value for group in Group):
        return [rule for rule in catalogue.everything if rule.group.value == word]
    if word in catalogue.words:
        return [catalogue.words[word]]
    return [rule for rule in catalogue.everything if _PREFIX.fullmatch(word) and rule.code.startswith(word)]


def _specificity(catalogue: Catalogue, word: str) -> int:
    """How narrow a selector is: everything, a group, a prefix, one rule."""
    if word == _ALL:
        return 0
    if word in (group.value for group in Group):
        return 1
    return 100 if word in catalogue.words else 1 + len(word)
