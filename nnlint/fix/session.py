"""The fixes of a whole run: applied to the texts, proved by linting these again, and only then written.

A fix must silence its finding and bring no other. Rules only propose what they are certain of, but they look at one story; the proof looks
at all of them. It costs a second run over the texts that are in memory already, and is only paid by those who ask for fixes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nnlint.cache import Cache
from nnlint.findings import Applicability, Edit, Finding
from nnlint.fix import cells, disk
from nnlint.fix.apply import compatible, edited, edits_of
from nnlint.lint import Result, lint_sources, order
from nnlint.notices import InvalidSyntax
from nnlint.registry import Catalogue
from nnlint.settings import Settings
from nnlint.source import Unreadable, encoding_of, load

if TYPE_CHECKING:
    from nnlint.crew import Crew

_ROUNDS = 10
_UNPROVED = "its fix would leave it as it is, or bring another finding"


class Change(NamedTuple):
    """A file (or standard input, without a path) with other bytes."""

    key: str
    path: Path | None
    before: bytes
    after: bytes


class _Proved(NamedTuple):
    """Fixes that hold, and what the run and its texts are with them."""

    findings: list[Finding]
    result: Result
    texts: dict[str, bytes]


@dataclass
class Mended:
    """What came of it: the result as it is after the fixes, what was fixed, which files change, and what is left and why."""

    result: Result
    fixed: list[Finding] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    left: list[tuple[Finding, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Session:
    """One run of fixes. `data` is what stood on standard input, if that was linted."""

    def __init__(
        self,
        result: Result,
        settings: Settings,
        catalogue: Catalogue,
        unsafe: bool,
        data: bytes | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.result = result
        self.settings = settings
        self.catalogue = catalogue
        self.unsafe = unsafe
        self.data = data
        self.cache = cache
        self.crew: Crew | None = None
        self.before: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}

    def run(self, *, writing: bool) -> Mended:
        """Apply what can be applied, round by round until nothing is left to do."""
        mended = Mended(self.result, refused=self.refused)
        texts: dict[str, bytes] = {}
        failed: set[tuple[str, str, str]] = set()
        for _ in range(_ROUNDS):
            # One fix may leave room for another: for one that overlapped with it, or that made no sense before.
            wanted = [one for one in self.proposed(mended.result) if self._applicable(one, writing) and _name(one) not in failed]
            taken = compatible(wanted)
            proved = self._proved(mended.result, texts, [], taken.findings)
            failed |= {_name(finding) for finding in taken.findings if finding not in proved.findings}
            if not proved.findings:
                break
            mended.fixed += proved.findings
            mended.result, texts = proved.result, proved.texts
        mended.left = [(one, _UNPROVED) for one in self.proposed(mended.result) if self._applicable(one, writing)]
        mended.changes = [
            Change(key, self.result.sources[key].path, self.before[key], after)
            for key, after in sorted(texts.items())
            if after != self.before[key]
        ]
        return mended

    def proposed(self, result: Result) -> Iterable[Finding]:
        """The findings with the fixes that are to be tried."""
        return result.findings

    def _applicable(self, finding: Finding, writing: bool) -> bool:
        fix = finding.fix
        if fix is None or (fix.applicability is Applicability.UNSAFE and not self.unsafe):
            return False
        return all(self._open(edit.place.filename, writing) for edit in fix.edits)

    def _open(self, key: str, writing: bool) -> bool:
        """Whether a file is what was linted, and may be written."""
        if key in self.before:
            return True
        if key in self.refused:
            return False
        source = self.result.sources[key]
        try:
            if source.path is not None and self.data is None and writing:
                disk.check(source.path)
            data = self.data if self.data is not None else source.path.read_bytes() if source.path is not None else b""
            now = load(data, key, source.path)
        except OSError as error:
            self.refused[key] = f"it cannot be read any more: {error.strerror or error}"
        except Unreadable:
            self.refused[key] = "it was changed meanwhile"
        except disk.Refused as reason:
            self.refused[key] = str(reason)
        else:
            if now is not None and now.lines == source.lines:
                self.before[key] = data
                return True
            self.refused[key] = "it was changed meanwhile"
        return False

    # --- the proof -------------------------------------------------------------------------------------------------

    def _proved(self, result: Result, texts: dict[str, bytes], kept: list[Finding], more: Sequence[Finding]) -> _Proved:
        """As many of the fixes as silence their findings and bring no others: all together, or else by halves."""
        if not more:
            return _Proved([], result, texts)
        whole = self._tried(result, texts, [*kept, *more])
        if whole is not None:
            return whole
        if len(more) == 1:
            return _Proved([], result, texts)
        first = self._proved(result, texts, kept, more[: len(more) // 2])
        kept = [*kept, *(finding for finding in first.findings if finding not in kept)]
        second = self._proved(result, texts, kept, more[len(more) // 2 :])
        return second if second.findings else first

    def _tried(self, result: Result, texts: dict[str, bytes], findings: list[Finding]) -> _Proved | None:
        """The texts after some fixes, linted again; None where that shows one of them to be wrong."""
        fixes = [finding.fix for finding in findings if finding.fix is not None]
        made = dict(texts)
        sources = dict(result.sources)
        for key in sorted({edit.place.filename for fix in fixes for edit in fix.edits}):
            edits = edits_of(fixes, key)
            try:
                made[key] = rewritten(made.get(key, self.before[key]), key, edits)
                source = load(made[key], key, sources[key].path)
            except (Unreadable, UnicodeEncodeError, cells.Malformed):
                return None
            if source is None:
                return None
            sources[key] = source
        after = lint_sources(list(sources.values()), self.settings, self.catalogue, result.files, self.cache, result.partial, self.crew)
        # Texts of messages may change with what is around; which rule speaks of which file does not.
        before, now = (Counter(map(_about, each.findings)) for each in (result, after))
        if now - (before - Counter(map(_about, findings))):
            return None
        again = set(after.findings)
        after.findings += [entry for entry in result.findings if entry.code == InvalidSyntax.code and entry not in again]
        after.findings.sort(key=order)
        return _Proved(findings, after, made)


def _name(finding: Finding) -> tuple[str, str, str]:
    """What a finding is called from one round to the next, in which it may stand in another row."""
    return finding.code, finding.place.filename, finding.message


def _about(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.place.filename


def rewritten(data: bytes, key: str, edits: Mapping[int | None, Sequence[Edit]]) -> bytes:
    """The bytes of a file after its edits, in the encoding that they were in."""
    if not key.endswith(".ipynb"):
        encoding = encoding_of(data, key)
        return edited(data.decode(encoding), edits[None]).encode(encoding)
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    raw = data.decode(encoding)
    sources = cells.texts(raw)
    return cells.replaced(raw, {cell: edited(sources[cell], some) for cell, some in edits.items() if cell is not None}).encode(encoding)
