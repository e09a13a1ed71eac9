"""Findings that were there before: counted by file and rule in a file that is committed, and whose counts may only shrink."""

from __future__ import annotations

import json
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nnlint.files import key
from nnlint.findings import Finding
from nnlint.lint import Result, codes_in
from nnlint.notices import InvalidSyntax
from nnlint.registry import Catalogue
from nnlint.settings import Settings
from nnlint.trouble import Trouble
from nnlint.writing import write

FILE = "nnlint-baseline.json"
Counts = dict[str, dict[str, int]]


class Leftover(NamedTuple):
    """An entry that knows of more findings than there are."""

    file: str
    code: str
    known: int
    left: int
    why: str


@dataclass(frozen=True)
class Baseline:
    """The files in `counts` are named as seen from the folder of the baseline."""

    path: Path
    counts: Counts

    def file(self, name: str) -> str:
        """The name here of a file that is called so from the current folder, whatever links lead to either folder."""
        folder, file = os.path.split(os.path.abspath(name))
        path = os.path.join(os.path.realpath(folder), file)
        with suppress(ValueError):  # another drive
            path = os.path.relpath(path, os.path.realpath(self.path.parent))
        return path.replace(os.sep, "/")

    @property
    def size(self) -> int:
        return sum(count for codes in self.counts.values() for count in codes.values())


class Comparison:
    """A result beside the baseline."""

    def __init__(self, baseline: Baseline, result: Result, settings: Settings, catalogue: Catalogue) -> None:
        self.baseline = baseline
        self._found = _counted(baseline, result.findings)
        self._refuted = _counted(baseline, (finding for finding in result.findings if finding.refuted), refuted=True)
        self._codes = frozenset(rule.code for rule in catalogue.everything)
        # Where nothing is found because nobody looked, nothing is left over: other paths, other rules, a part of the project.
        self._seen = {
            baseline.file(name): codes_in(name, settings, catalogue)
            for name in (result.sources if baseline.counts else ())
            if name not in result.partial
        }

    def apply(self, result: Result) -> None:
        """Take the known findings out. Where there are more than the baseline knows, nobody can tell which are new: all are shown."""
        shown = [finding for finding in result.findings if not self.knows(finding)]
        result.known += len(result.findings) - len(shown)
        result.findings = shown

    def knows(self, finding: Finding) -> bool:
        pair = self.baseline.file(finding.place.filename), finding.code
        return not finding.refuted and 0 < self._found[pair] <= self._count(*pair)

    def _count(self, file: str, code: str) -> int:
        return self.baseline.counts.get(file, {}).get(code, 0)

    def excess(self) -> Iterator[tuple[str, str, int, int]]:
        """Files and rules with more findings than the baseline knows, with both numbers."""
        for (file, code), found in sorted(self._found.items()):
            known = self._count(file, code)
            if 0 < known < found:
                yield file, code, found, known

    def leftovers(self) -> Iterator[Leftover]:
        for file, codes in sorted(self.baseline.counts.items()):
            gone = not os.path.lexists(os.path.join(os.path.realpath(self.baseline.path.parent), file))
            for code, count in sorted(codes.items()):
                pair = file, code
                left = min(count, self._found[pair] + self._refuted[pair])
                if code not in self._codes:
                    yield Leftover(file, code, count, 0, "there is no such rule")
                elif gone:
                    yield Leftover(file, code, count, 0, "the file is gone")
                elif left < count and code in self._seen.get(file, ()):
                    yield Leftover(file, code, count, left, f"{left or 'none'} of them {'is' if left < 2 else 'are'} left")

    def shrunk(self) -> Baseline:
        """The baseline without its leftovers."""
        counts = {file: dict(codes) for file, codes in self.baseline.counts.items()}
        for file, code, _, left, _ in self.leftovers():
            counts[file][code] = left
        return Baseline(self.baseline.path, _tidy(counts))


class Difference(NamedTuple):
    """What there is to say of a baseline: what was done and shown, and what makes it stale."""

    notes: list[str]
    leftovers: list[str]


def compare(result: Result, settings: Settings, catalogue: Catalogue, *, writing: bool) -> Difference:
    """Take the known findings out of a result. With `writing`, first write the baseline, or take out of it what is gone."""
    path = settings.baseline or Path.cwd() / FILE
    name = key(path)
    notes = []
    if writing and result.broken:
        raise Trouble(f"{name} was not written: something could not be read; see what without --write-baseline")
    if not path.exists():
        if not writing:
            raise Trouble(f"{settings.origins['baseline']}: `baseline`: there is no file `{name}`; --write-baseline writes it")
        known = _fresh(path, result)
        save(known)
        hint = "" if settings.baseline else f"; name it in the settings (`baseline`), or by --baseline {name}"
        notes.append(f"{name}: written with {_number(known.size, 'finding')} in {_number(len(known.counts), 'file')}{hint}")
    else:
        known = load(path)
        if writing:
            before, known = known, Comparison(known, result, settings, catalogue).shrunk()
            if known != before:
                save(known)
            notes.append(f"{name}: {before.size - known.size or 'nothing'} taken out, {known.size} left")
    comparison = Comparison(known, result, settings, catalogue)
    for file, code, found, count in comparison.excess():
        notes.append(f"{file}: {found} findings of {code}, and {name} knows {count} of them: all are shown")
    leftovers = [
        f"{name}: {left.file}: {_number(left.known, 'finding')} of {left.code} known, {left.why}" for left in comparison.leftovers()
    ]
    if leftovers:
        leftovers.append(f"{name} may only shrink: take out what is gone with --write-baseline")
    comparison.apply(result)
    result.stale = bool(leftovers)
    return Difference(notes, leftovers)


def unknown(result: Result, settings: Settings, catalogue: Catalogue) -> list[Finding]:
    """The findings that the baseline, if there is one, does not know."""
    if settings.baseline is None or not settings.baseline.exists():
        return result.findings
    comparison = Comparison(load(settings.baseline), result, settings, catalogue)
    return [finding for finding in result.findings if not comparison.knows(finding)]


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fresh(path: Path, result: Result) -> Baseline:
    """A baseline of all findings that there are."""
    counts: Counts = defaultdict(dict)
    for (file, code), count in _counted(Baseline(path, {}), result.findings).items():
        counts[file][code] = count
    return Baseline(path, _tidy(counts))


def _counted(baseline: Baseline, findings: Iterable[Finding], *, refuted: bool = False) -> Counter[tuple[str, str]]:
    """How often each rule speaks of each file. What could not be read is never known, and what a run has refuted is no finding."""
    return Counter(
        (baseline.file(finding.place.filename), finding.code)
        for finding in findings
        if finding.code != InvalidSyntax.code and finding.refuted is refuted
    )


def _tidy(counts: Counts) -> Counts:
    ordered = {file: {code: count for code, count in sorted(codes.items()) if count} for file, codes in sorted(counts.items())}
    return {file: codes for file, codes in ordered.items() if codes}


def save(baseline: Baseline) -> None:
    try:
        write(str(baseline.path), json.dumps(baseline.counts, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise Trouble(f"{key(baseline.path)}: cannot be written: {error.strerror or error}") from None


def load(path: Path) -> Baseline:
    """Read a baseline. Raises `Trouble` that names what is wrong in it."""
    name = key(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=lambda pairs: _object(name, pairs))
    except OSError as error:
        raise Trouble(f"{name}: the baseline cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise Trouble(f"{name}:{error.lineno}:{error.colno}: the baseline is no JSON: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except (ValueError, RecursionError):  # no UTF-8, numbers or nesting without end
        raise Trouble(f"{name}: the baseline is no JSON that can be read") from None
    return Baseline(path, _checked(name, document))


def _object(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; a merge can leave the same key twice."""
    found: dict[str, Any] = {}
    for word, value in pairs:
        if word in found:
            raise Trouble(f"{name}: `{word}` stands twice in the baseline")
        found[word] = value
    return found


def _checked(name: str, document: Any) -> Counts:
    counts: Counts = {}
    if not isinstance(document, dict):
        raise Trouble(f"{name}: the baseline is no object of files")
    for file, codes in document.items():
        if not isinstance(codes, dict):
            raise Trouble(f"{name}: `{file}`: expected an object of rules and counts")
        path = posixpath.normpath(file)
        if path in counts:
            raise Trouble(f"{name}: `{file}` stands twice in the baseline")
        for code, count in codes.items():
            if code == InvalidSyntax.code:
                raise Trouble(f"{name}: `{file}`: {code} cannot be known: nothing in such a file is checked")
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise Trouble(f"{name}: `{file}`: `{code}`: expected a number from 1, got {json.dumps(count)[:40]}")
        counts[path] = dict(codes)
    return counts
