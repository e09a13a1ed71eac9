"""For the tests of rules, ours and anyone's: `check(Rule)` holds a rule to its own page."""

from __future__ import annotations

from nnlint.findings import Confidence, Finding
from nnlint.lint import lint_text
from nnlint.pages import page
from nnlint.registry import Catalogue
from nnlint.rule import Rule
from nnlint.selection import Layer
from nnlint.settings import Settings


def findings(program: str, *rules: type[Rule]) -> list[Finding]:
    """What these rules alone say of a program of one file, suspected findings included."""
    settings = Settings(layers=(Layer(select=tuple(rule.code for rule in rules)),), suspected=True)
    return lint_text(program.encode(), None, settings, Catalogue(rules)).findings


def check(rule: type[Rule]) -> None:
    """The page is well-formed, its *Bad* program gets a certain finding of the rule, and its *Good* program gets none."""
    content = page(rule)
    bad, good = findings(content.bad, rule), findings(content.good, rule)
    said = [finding for finding in bad if finding.code == rule.code and finding.confidence is Confidence.CERTAIN]
    assert said, f"`{rule.name()}` does not find what its page shows as bad; findings: {_brief(bad)}"
    assert not good, f"`{rule.name()}` has something to say of what its page shows as good: {_brief(good)}"


def _brief(found: list[Finding]) -> str:
    return "; ".join(f"{finding.place.row}:{finding.place.column} {finding.code} {finding.message}" for finding in found) or "none"
