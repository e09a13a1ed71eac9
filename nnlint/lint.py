"""The one way through the tool: paths to sources, to findings, suppressed and ordered."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nnlint import recall
from nnlint.companions import companions
from nnlint.files import choose, forced_out, key
from nnlint.findings import Confidence, Failure, Finding, Severity
from nnlint.notices import InvalidSyntax, UnusedSuppression
from nnlint.recall import Outcome
from nnlint.registry import Catalogue
from nnlint.selection import expand, ignored, select
from nnlint.settings import Settings, Threshold
from nnlint.source import Source, Unreadable, load, read, relate
from nnlint.suppression import suppress

if TYPE_CHECKING:
    from nnlint.analysis import Part
    from nnlint.cache import Cache
    from nnlint.crew import Crew
    from nnlint.lower.memory import Memory


@dataclass
class Result:
    """What a run has found. `hidden` counts the suspected findings that were not asked for, `fixed` those that are mended by now, `known`
    those of the baseline, which is `stale` where it knows more than there are; `fail_on` says which ones count.

    `partial` are the files that were seen without others that may use them: what is not found in them may be there all the same.
    """

    findings: list[Finding] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    files: int = 0
    hidden: int = 0
    fail_on: Threshold = "warning"
    fixed: int = 0
    known: int = 0
    stale: bool = False
    partial: frozenset[str] = frozenset()

    @property
    def broken(self) -> bool:
        """Whether something could not be looked at."""
        return any(finding.code == InvalidSyntax.code for finding in self.findings)

    def counts(self, finding: Finding) -> bool:
        """Whether a finding makes the exit code 1: it is bad enough, and no run has refuted it."""
        if self.fail_on == "never" or finding.refuted:
            return False
        return finding.severity.rank >= Severity(self.fail_on).rank


def lint_paths(
    paths: Sequence[str], settings: Settings, catalogue: Catalogue, cache: Cache | None = None, crew: Crew | None = None
) -> Result:
    """Folders and what is in them; files, notebooks and the programs that they are part of: what they import from their project is linted,
    too. A `crew` is who works: without one, this process alone."""
    chosen = choose(paths, settings.choice)
    sources, failures = [], list(chosen.failures)
    for name, path in chosen.files:
        try:
            source = read(path, name)
        except Unreadable as unreadable:
            failures.append(unreadable.failure)
        else:
            sources += [source] if source is not None else []
    # What a folder led to has all its files beside it; what was named brings along what it imports.
    others, unread = companions([source for source in sources if source.key in chosen.named], settings.src, settings.choice, sources)
    partial = chosen.named | {source.key for source in others}
    files = len(chosen.files) + len(others)
    sources = sorted([*sources, *others], key=lambda source: source.key)
    return _lint(sources, [*failures, *unread], settings, catalogue, files, cache=cache, named=partial, crew=crew)


def lint_text(data: bytes, filename: str | None, settings: Settings, catalogue: Catalogue) -> Result:
    """Standard input, under the name that it would have."""
    if filename is not None and settings.choice.force and forced_out(filename, settings.choice):
        return Result()
    try:
        source = load(data, "-" if filename is None else key(filename), None if filename is None else Path(filename))
    except Unreadable as unreadable:
        return _lint([], [unreadable.failure], settings, catalogue, 1)
    if source is None or filename is None:
        return _lint([] if source is None else [source], [], settings, catalogue, 1)
    others, _ = companions([source], settings.src, settings.choice)
    sources = sorted([source, *others], key=lambda each: each.key)
    result = _lint(sources, [], settings, catalogue, 1, named=frozenset(each.key for each in sources))
    result.findings = [_own(finding) for finding in result.findings if finding.place.filename == source.key]
    return result


def _own(finding: Finding) -> Finding:
    """A finding without a fix that would reach into other files than its own."""
    edits = finding.fix.edits if finding.fix is not None else ()
    return msgspec.structs.replace(finding, fix=None) if any(edit.place.filename != finding.place.filename for edit in edits) else finding


def lint_part(sources: Sequence[Source], failures: Sequence[Failure], part: Part, settings: Settings, catalogue: Catalogue) -> Result:
    """A part of a project whose sources are read, related and chosen by the caller; `failures` says what could not be read."""
    return _lint(list(sources), list(failures), settings, catalogue, len(sources), part)


def lint_sources(
    sources: Sequence[Source],
    settings: Settings,
    catalogue: Catalogue,
    files: int,
    cache: Cache | None = None,
    partial: frozenset[str] = frozenset(),
    crew: Crew | None = None,
) -> Result:
    """What is read already, such as the texts that fixes have made."""
    return _lint(list(sources), [], settings, catalogue, files, cache=cache, named=partial, crew=crew)


def _lint(
    sources: list[Source],
    failures: list[Failure],
    settings: Settings,
    catalogue: Catalogue,
    files: int,
    part: Part | None = None,
    cache: Cache | None = None,
    named: frozenset[str] = frozenset(),
    crew: Crew | None = None,
) -> Result:
    """Files that were `named` are seen without those that use them, whose findings may stand in them."""
    from nnlint.lower.memory import Memory

    for _, layer in settings.per_file_ignores:
        for word in layer.ignore:
            expand(catalogue, word, layer.origin)  # a mistake is told before a file comes that it speaks of
    codes = select(catalogue, settings.layers)
    memory = Memory(cache) if part is None else part.memory
    sources, broken_cells = _mended(relate(sources) if part is None else sources, memory)
    outcome = _analysed(sources, codes, settings, catalogue, part, memory, crew)
    failures = [*failures, *broken_cells, *outcome.failures]
    found = [_entry(failure) for failure in failures]
    found += [finding for finding in outcome.findings if finding.code in codes]
    by_source: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        by_source[finding.place.filename].append(finding)
    result = Result(sources={source.key: source for source in sources}, files=files, fail_on=settings.fail_on)
    # What is needed elsewhere, or by what could not be read, must not be called needless.
    result.partial = frozenset(result.sources) if failures else named
    for name in sorted({*by_source, *(result.sources if part is None else part.entries)}):
        active = codes - _ignored(name, settings, catalogue)
        here = [finding for finding in by_source[name] if finding.code in active or finding.code == InvalidSyntax.code]
        if name in result.sources and result.sources[name].relevant:
            told = active - {UnusedSuppression.code} if name in result.partial else active
            here = suppress(result.sources[name], here, told, catalogue)
        result.findings += here
    shown = [finding for finding in result.findings if settings.suspected or finding.confidence is not Confidence.SUSPECTED]
    result.hidden = len(result.findings) - len(shown)
    result.findings = sorted(shown, key=order)
    return result


def _analysed(
    sources: list[Source],
    codes: frozenset[str],
    settings: Settings,
    catalogue: Catalogue,
    part: Part | None,
    memory: Memory,
    crew: Crew | None,
) -> Outcome:
    """What the rules say of the sources; where nothing has changed, what they said before."""
    if not any(source.relevant for source in sources):
        return Outcome(codes, (), ())
    name = recall.name(sources, settings.src) if part is None and memory.cache is not None else ""
    before = recall.find(memory.cache, name) if name and memory.cache is not None else None
    asked = frozenset(rule.code for rule in catalogue.rules if rule.code in codes)
    if before is not None:
        if asked <= before.codes:
            return before
        asked |= before.codes  # so that two selections in turn do not forget one another
    from nnlint.analysis import analyse

    rules = [rule() for rule in catalogue.rules if rule.code in asked]
    analysis = analyse(sources, rules, settings.src, memory, part, crew)
    outcome = Outcome(asked, tuple(analysis.findings), tuple(analysis.failures))
    if name and memory.cache is not None:
        recall.keep(memory.cache, name, outcome)
    return outcome


def codes_in(name: str, settings: Settings, catalogue: Catalogue) -> frozenset[str]:
    """The codes of the rules that run on a file."""
    return select(catalogue, settings.layers) - _ignored(name, settings, catalogue)


def admitted(finding: Finding, result: Result, settings: Settings, catalogue: Catalogue) -> bool:
    """Whether neither the configuration nor a comment suppresses a finding that was made later."""
    name = finding.place.filename
    if finding.code in _ignored(name, settings, catalogue):
        return False
    return name not in result.sources or bool(suppress(result.sources[name], [finding], frozenset(), catalogue))


def order(finding: Finding) -> tuple[str, int, int, int, str, str]:
    place = finding.place
    return place.filename, place.cell or 0, place.row, place.column, finding.code, finding.message


def _entry(failure: Failure) -> Finding:
    rule = InvalidSyntax
    help = "nothing in this file was checked" if failure.place.cell is None else "nothing in this cell was checked"
    return Finding(rule.code, rule.name(), rule.severity, Confidence.CERTAIN, failure.message, help, failure.place)


def _ignored(name: str, settings: Settings, catalogue: Catalogue) -> frozenset[str]:
    """The codes that the configuration switches off for a file."""
    return frozenset(ignored(catalogue, settings.per_file_ignores, os.path.abspath(name).replace(os.sep, "/")))


def _mended(sources: Iterable[Source], memory: Memory) -> tuple[list[Source], list[Failure]]:
    """Notebooks without the cells that do not parse."""
    mended: list[Source] = []
    failures: list[Failure] = []
    for source in sources:
        if source.cells is not None and source.relevant:
            from nnlint.notebook import mend

            source, broken = mend(source, memory.complaint)
            failures += broken
        mended.append(source)
    return mended, failures
