"""A folder that is linted as one, with what is open in the editor laid over what is on the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Union

import msgspec

from nnlint.analysis import Part
from nnlint.baseline import Baseline, Comparison, load
from nnlint.cache import Folder, at
from nnlint.editor.documents import Buffer, Read
from nnlint.editor.graph import Graph
from nnlint.editor.proof import mended, proved
from nnlint.files import EXCLUDED, SUFFIXES, Choice, choose, forced_out, key
from nnlint.findings import Edit, Failure, Finding
from nnlint.lint import Result, lint_part
from nnlint.lower.memory import Memory
from nnlint.notices import InvalidSyntax, UnusedSuppression
from nnlint.registry import Catalogue
from nnlint.settings import Settings, Table, nearest, settle
from nnlint.source import Source, Unreadable, read, relate

_FRESH = 3.0
"""Seconds for which the disk is taken to be as it was, where no editor says otherwise; longer where a look takes its time."""
_PATIENCE = 20
_MANY = 2_000
"""Entries at most of a folder that nobody called a project."""
_LIBRARIES = frozenset({"dist-packages", "site-packages"})


@dataclass(frozen=True)
class Root:
    """The folder that a text belongs to, and how much of it: all, or only what lies beside the text. `config` decides what is reported;
    `opened` says that the folder is one that the editor has opened."""

    folder: str
    whole: bool
    config: Path | None
    opened: bool = False


@dataclass(frozen=True)
class View:
    """All that can bear upon one text: the files from which a program may come to it, and what these import."""

    sources: tuple[Source, ...]
    entries: frozenset[str]
    failure: Failure | None = None


@dataclass(frozen=True)
class Answer:
    """What is to be said of one open text: the findings in it, and those elsewhere whose trace comes through it. `sources` are the texts
    that they speak of. Until it is `final`, it is not known which fixes hold."""

    findings: tuple[Finding, ...] = ()
    elsewhere: tuple[Finding, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    final: bool = True
    run: tuple[View, Result] | None = None

    def settled(self, holding: Collection[Finding]) -> Answer:
        """The answer with the fixes of these findings only."""
        findings = (each if each in holding else msgspec.structs.replace(each, fix=None) for each in self.findings)
        return replace(self, findings=tuple(findings), final=True)


def root_of(path: str, folders: Sequence[str]) -> Root:
    """Where a text belongs: the innermost open folder that holds it, or else the smallest thing that looks like a project."""
    if not os.path.isabs(path):
        folder = folders[0] if folders else os.path.expanduser("~")
        return Root(folder, bool(folders), nearest(Path(folder)) if folders else None, bool(folders))
    config = nearest(Path(path).parent)
    around = [folder for folder in folders if path.startswith(folder.rstrip(os.sep) + os.sep)]
    if around:
        return Root(max(around, key=len), True, config, True)
    likely = [config.parent] if config is not None else [parent for parent in Path(path).parents if (parent / ".git").exists()][:1]
    for folder in (*map(str, likely), os.path.dirname(path)):
        if _small(folder):
            return Root(folder, True, config)
    return Root(os.path.dirname(path), False, config)


@lru_cache
def _small(folder: str) -> bool:
    """Whether a folder can be looked through in passing."""
    seen = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in EXCLUDED]
        seen += len(folders) + len(files)
        if seen > _MANY:
            return False
    return True


class Project:
    """Keeps what was read, so that only what has changed is looked at again."""

    def __init__(self, root: Root, catalogue: Catalogue) -> None:
        self.root = root
        self._catalogue = catalogue
        self._memory: Memory | None = None
        self._graph = Graph()
        self._choice: Choice | None = None
        self._listed: list[tuple[str, Path]] = []
        self._disk: dict[str, tuple[object, Read]] = {}
        self._laid: dict[str, tuple[Buffer, str, Read]] = {}
        self._answers: dict[str, tuple[tuple[object, View], Answer]] = {}
        self._seen = -1
        self._until = 0.0

    def lint(
        self, buffers: Mapping[str, Buffer], wanted: Sequence[str], seen: int, tick: Callable[[], None], tell: Callable[[str, Answer], None]
    ) -> None:
        """Tell the answers for the open texts `wanted`, in their order; `seen` changes when the disk may have changed."""
        os.chdir(self.root.folder)  # what files are called, and what settings mean, is relative to the current folder
        settings = settle([str(self.root.config.parent if self.root.config else self.root.folder)], Table())
        left = []
        for path in wanted:
            if _excluded(path, settings.choice, self.root):
                tell(path, Answer())
            else:
                left.append(path)
        if not left:
            return
        self._look(settings, seen, left, tick)
        names = {path: self._name(path) for path in left}
        found = self._texts(buffers, names, tick)
        sources = relate([text for text in found.values() if isinstance(text, Source)])
        keys = [source.key for source in sources]
        self._graph.renew(sources, settings.src)
        memory = self._memory = self._memory or Memory(self._cache(settings))
        memory.passing = _texts(read for _, _, read in self._laid.values()) - _texts(read for _, read in self._disk.values())
        known = _baseline(settings)
        ground = settings, known

        def look(view: View, sources: Sequence[Source]) -> Result:
            part = Part(view.entries, keys, memory, tick)
            result = lint_part(sources, () if view.failure is None else (view.failure,), part, settings, self._catalogue)
            if known is not None:
                Comparison(known, result, settings, self._catalogue).apply(result)
            return result

        views = {path: self._view(found.get(names[path]), sources) for path in left}
        for path in left:
            tick()
            view = views[path]
            if path not in self._answers or self._answers[path][0] != (ground, view):
                result = look(view, view.sources)
                # What starts from no more than that is answered as well.
                for other in {path, *(other for other in left if names[other] in view.entries)}:
                    self._answers[other] = (ground, views[other]), _answer(result, names[other], view)
            tell(path, self._answers[path][1])
        for path in left:
            before, answer = self._answers[path]
            if not answer.final:
                answer = self._proved(answer, buffers, look)
                self._answers[path] = before, answer
                tell(path, answer)
        texts = {source.text for source in sources}
        memory.forget(lambda text: text in texts)
        self._answers = {path: known for path, known in self._answers.items() if path in buffers}

    def _proved(self, answer: Answer, buffers: Mapping[str, Buffer], look: Callable[[View, Sequence[Source]], Result]) -> Answer:
        """The answer with those fixes only that silence their findings and bring no others."""
        assert answer.run is not None
        view, result = answer.run

        def read(source: Source, edits: Mapping[int | None, Sequence[Edit]]) -> Read:
            path = os.path.normpath(os.path.join(self.root.folder, source.key))
            return mended(source, edits, buffers.get(source.key) or buffers.get(path))

        mendable = [finding for finding in answer.findings if finding.fix is not None]
        return answer.settled(proved(mendable, view.sources, result, lambda sources: look(view, sources), read))

    def _view(self, text: Read, sources: Sequence[Source]) -> View:
        if isinstance(text, Failure):
            return View((), frozenset(), text)
        if text is None or not any(source.key == text.key and source.relevant for source in sources):
            return View((), frozenset())
        entries = self._graph.importers([text.key])
        needed = self._graph.imported(entries)
        return View(tuple(source for source in sources if source.key in needed), entries)

    def _cache(self, settings: Settings) -> Folder | None:
        """What the command line has read before; nothing is put beside a file that belongs to no project."""
        return at(settings, self._catalogue) if self.root.opened or self.root.config is not None else None

    def _name(self, path: str) -> str:
        return key(path) if os.path.isabs(path) else path

    def _look(self, settings: Settings, seen: int, wanted: Sequence[str], tick: Callable[[], None]) -> None:
        """See which files there are, and which of them have changed."""
        now = time.monotonic()
        if seen == self._seen and settings.choice == self._choice and now < self._until:
            return
        self._listed = choose(["."], settings.choice).files if self.root.whole else list(_beside(wanted))
        disk: dict[str, tuple[object, Read]] = {}
        for name, path in self._listed:
            tick()
            stamp = _stamp(path)
            known = self._disk.get(name)
            if known is None or known[0] != stamp:
                self._disk[name] = known = stamp, _read(path, name)
            disk[name] = known
        self._disk, self._seen, self._choice = disk, seen, settings.choice
        self._until = time.monotonic() + max(_FRESH, _PATIENCE * (time.monotonic() - now))

    def _texts(self, buffers: Mapping[str, Buffer], names: Mapping[str, str], tick: Callable[[], None]) -> dict[str, Read]:
        """All texts by key, in the order of the keys; what is open stands for what is on the disk."""
        found = {name: text for name, (_, text) in self._disk.items()}
        laid: dict[str, tuple[Buffer, str, Read]] = {}
        for path, buffer in buffers.items():
            name = names.get(path) or self._name(path)
            if name not in found and path not in names:
                continue
            known = self._laid.get(path)
            laid[path] = known if known is not None and known[0] is buffer and known[1] == name else (buffer, name, buffer.read(name))
            found[name] = laid[path][2]
        self._laid = laid
        return dict(sorted(found.items()))


def _texts(reads: Iterable[Read]) -> set[str]:
    return {read.text for read in reads if isinstance(read, Source)}


def _baseline(settings: Settings) -> Baseline | None:
    """The findings that are known and not shown; none where the file is yet to be written."""
    return load(settings.baseline) if settings.baseline is not None and settings.baseline.exists() else None


def _answer(result: Result, name: str, view: View) -> Answer:
    """What a result says of one file. Of other files not everything was seen: what is said of them must come through this one."""
    own = tuple(finding for finding in result.findings if finding.place.filename == name)
    elsewhere = tuple(
        finding
        for finding in result.findings
        if finding.place.filename != name
        and finding.code not in (InvalidSyntax.code, UnusedSuppression.code)
        and any(step.place.filename == name for step in finding.trace)
    )
    return Answer(own, elsewhere, result.sources, all(finding.fix is None for finding in own), (view, result))


def _excluded(path: str, choice: Choice, root: Root) -> bool:
    """Whether the settings leave an open file out, or it is one of a library that somebody looks into."""
    if not os.path.isabs(path):
        return False
    return forced_out(path, choice) or (not root.opened and not _LIBRARIES.isdisjoint(Path(path).parts))


def _beside(paths: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The files in the folders of some files."""
    for folder in sorted({os.path.dirname(path) for path in paths if os.path.isabs(path)}):
        try:
            names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIXES) and entry.is_file())
        except OSError:
            continue
        for name in names:
            yield key(os.path.join(folder, name)), Path(folder, name)


def _stamp(path: Path) -> Union[tuple[int, int, int], None]:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path, name: str) -> Read:
    try:
        return read(path, name)
    except Unreadable as unreadable:
        return unreadable.failure
