"""Which files of a project import which, and so must be looked at when one of them changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from nnlint.imports import added, imported
from nnlint.program import Program
from nnlint.source import Source


class Graph:
    """Remembers the imports of each text, as long as the set of files is the same."""

    def __init__(self) -> None:
        self._program = Program([])
        self._roots: object = None
        self._edges: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        self.users: dict[str, set[str]] = {}

    def renew(self, sources: Sequence[Source], src: Sequence[str]) -> None:
        """Take note of the texts at hand."""
        known = frozenset(source.key for source in sources)
        paths = {source.key: tuple(added(source.key, source.text)) for source in sources}
        if known != self._program.known or (src, paths) != self._roots:
            self._program, self._roots, self._edges = Program([], sorted(known), src), (src, paths), {}
            for key, folders in paths.items():
                self._program.look_in(key, folders)
        users: dict[str, set[str]] = {}
        for source in sources:
            cached = self._edges.get(source.key)
            if cached is None or cached[0] != source.imports:
                cached = self._edges[source.key] = source.imports, imported(self._program, source.key, source.imports)
            for path in cached[1]:
                users.setdefault(path, set()).add(source.key)
        self.users = users

    def importers(self, keys: Iterable[str]) -> frozenset[str]:
        """The files given and all that import them, on whatever way."""
        return _closed(keys, self.users)

    def imported(self, keys: Iterable[str]) -> frozenset[str]:
        """The files given and all that they import, on whatever way."""
        return _closed(keys, {key: edges for key, (_, edges) in self._edges.items()})


def _closed(keys: Iterable[str], edges: Mapping[str, Collection[str]]) -> frozenset[str]:
    found = set(keys)
    waiting = list(found)
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found)
