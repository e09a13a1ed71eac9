"""Which fixes hold: an editor offers none that does not silence its finding, or that brings another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Union

from nnlint.editor.documents import Buffer, Read
from nnlint.findings import Edit, Finding
from nnlint.fix.apply import compatible, edited, edits_of
from nnlint.lint import Result
from nnlint.source import Source

Edits = Mapping[Union[int, None], Sequence[Edit]]


def proved(
    findings: Sequence[Finding],
    sources: Sequence[Source],
    before: Result,
    lint: Callable[[Sequence[Source]], Result],
    read: Callable[[Source, Edits], Read],
) -> list[Finding]:
    """Those of the findings whose fixes do what they promise: tried together, and one by one where that fails."""
    together = compatible(findings).findings
    if len(together) == len(findings) and _holds(findings, sources, before, lint, read):
        return list(findings)
    return [finding for finding in findings if len(findings) > 1 and _holds([finding], sources, before, lint, read)]


def _holds(
    findings: Sequence[Finding],
    sources: Sequence[Source],
    before: Result,
    lint: Callable[[Sequence[Source]], Result],
    read: Callable[[Source, Edits], Read],
) -> bool:
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    files = {edit.place.filename for fix in fixes for edit in fix.edits}
    after: list[Source] = []
    for source in sources:
        text = read(source, edits_of(fixes, source.key)) if source.key in files else source
        if not isinstance(text, Source):
            return False
        after.append(text)
    if not files <= {source.key for source in sources}:
        return False
    expected = Counter(map(_about, before.findings)) - Counter(map(_about, findings))
    return not Counter(map(_about, lint(after).findings)) - expected


def _about(finding: Finding) -> tuple[str, str]:
    """Texts of messages may change with what is around; which rule speaks of which file does not."""
    return finding.code, finding.place.filename


def mended(source: Source, edits: Edits, buffer: Buffer | None) -> Read:
    """A source after some edits; nothing for a notebook that is not open."""
    if source.cells is None:
        return Source(source.key, edited(source.text, edits[None]), source.path, related=source.related)
    if buffer is None or buffer.cells is None:
        return None
    cells = tuple(
        replace(cell, text=edited(cell.text, edits[number])) if number in edits else cell for number, cell in enumerate(buffer.cells, 1)
    )
    text = replace(buffer, cells=cells).read(source.key)
    return replace(text, related=source.related) if isinstance(text, Source) else text
