"""Placement: from the sites that reports name to places in the user's files, and from what they propose to edits.

That takes a parse of each file concerned. A report is placed once for the texts that it speaks of: the cache knows it from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from nnlint.cache import digest
from nnlint.findings import Confidence, Finding, Fix, Place, Report, Site, Step
from nnlint.lower.memory import Memory
from nnlint.program import Program
from nnlint.rule import Rule
from nnlint.source import Source

if TYPE_CHECKING:
    from nnlint.fix.tree import Tree

Pair = tuple[Rule, Report]


def place(reports: Iterable[Pair], sources: Sequence[Source], program: Program, memory: Memory) -> list[Finding]:
    """The findings, in the order of their reports: one parse for each file concerned."""

    @cache
    def read(attribute: str) -> bool:
        from nnlint.fix.reads import reads

        return any(reads(file.module, attribute) for file in program.files.values())

    def settled(report: Report) -> Report:
        """What is only suspected is for people to mend, and what the program reads must stay."""
        fix = report.fix
        if fix is None or (report.confidence is Confidence.CERTAIN and not (fix.unread and read(fix.unread))):
            return report
        return msgspec.structs.replace(report, fix=None)

    by_key = {source.key: source for source in sources}
    pairs = [(rule, settled(report)) for rule, report in reports]
    names = [_name(rule, report, by_key) if memory.cache is not None else "" for rule, report in pairs]
    found = [_known(memory, name) if name else None for name in names]
    new = [at for at, finding in enumerate(found) if finding is None]
    for at, finding in zip(new, _placed([pairs[at] for at in new], by_key, memory), strict=True):
        found[at] = finding
        if memory.cache is not None and names[at]:
            memory.cache.put(names[at], msgspec.msgpack.encode(finding))
    return [finding for finding in found if finding is not None]


def _sites(report: Report) -> list[Site]:
    """What a report speaks of."""
    return [report.site, *(step.site for step in report.trace)]


def _changed(report: Report) -> set[str]:
    """The files that a fix would change."""
    return set() if report.fix is None else {change.site.source for way in report.fix.ways for change in way.changes}


def _name(rule: Rule, report: Report, sources: Mapping[str, Source]) -> str:
    """A name for all that a finding depends on, the rule aside; none where half of a surrogate pair is in a message."""
    keys = sorted({site.source for site in _sites(report)} | _changed(report))
    about = [[key, digest(sources[key].text), repr(sources[key].cells)] for key in keys]
    try:
        return digest("finding", rule.code, msgspec.json.encode(about), msgspec.msgpack.encode(report))
    except ValueError:
        return ""


def _known(memory: Memory, name: str) -> Finding | None:
    data = memory.cache.get(name) if memory.cache is not None else None
    try:
        return None if data is None else msgspec.msgpack.decode(data, type=Finding)
    except msgspec.MsgspecError:
        return None


def _placed(pairs: Sequence[Pair], sources: Mapping[str, Source], memory: Memory) -> list[Finding]:
    wanted: dict[str, set[int]] = {}
    changed: set[str] = set()
    for _, report in pairs:
        for site in _sites(report):
            wanted.setdefault(site.source, set()).add(site.at)
        changed |= _changed(report)
    trees: dict[str, Tree] = {}
    places: dict[Site, Place] = {}
    for key in {*wanted, *changed}:
        source = sources[key]
        if key in changed:
            from nnlint.fix.tree import Tree

            trees[key] = Tree(source)
            found = trees[key].opened.spans(wanted.get(key, ()))
        else:
            found = memory.spans(source.text, wanted[key])
        for at, span in found.items():
            places[Site(key, at)] = source.place(span)
    return [
        Finding(
            rule.code,
            rule.name(),
            report.severity or rule.severity,
            report.confidence,
            report.message,
            report.help,
            places[report.site],
            tuple(Step(places[step.site], step.message) for step in report.trace),
            fix=_fix(report, trees),
        )
        for rule, report in pairs
    ]


def _fix(report: Report, trees: Mapping[str, Tree]) -> Fix | None:
    if report.fix is None:
        return None
    from nnlint.fix.resolve import resolve

    return resolve(report.fix, trees)
