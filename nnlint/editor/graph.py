"""Which files of a project import which, read off the text: generous where the text leaves it open."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from nnlint.program import File, Program
from nnlint.records import Module
from nnlint.source import Source

_FROM = re.compile(r"from\s+(?P<dots>[.\s]*)(?P<module>[\w.]*)\s+import\b(?P<names>.*)", re.DOTALL)
_COMMENT = re.compile(r"#.*")
_NOTHING = Module(())


class Graph:
    """Remembers the imports of each text, as long as the set of files is the same."""

    def __init__(self) -> None:
        self._program = Program([])
        self._src: tuple[str, ...] = ()
        self._edges: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        self.users: dict[str, set[str]] = {}

    def renew(self, sources: Sequence[Source], src: Sequence[str]) -> None:
        """Take note of the texts at hand."""
        known = frozenset(source.key for source in sources)
        if known != self._program.known or tuple(src) != self._src:
            self._program, self._src, self._edges = Program([], sorted(known), src), tuple(src), {}
        users: dict[str, set[str]] = {}
        for source in sources:
            cached = self._edges.get(source.key)
            if cached is None or cached[0] != source.imports:
                cached = self._edges[source.key] = source.imports, frozenset(self._imported(File(source.key, _NOTHING), source.imports))
            for path in cached[1]:
                users.setdefault(path, set()).add(source.key)
        self.users = users

    def importers(self, keys: Iterable[str]) -> frozenset[str]:
        """The files given and all that import them, on whatever way."""
        return _closed(keys, self.users)

    def imported(self, keys: Iterable[str]) -> frozenset[str]:
        """The files given and all that they import, on whatever way."""
        return _closed(keys, {key: edges for key, (_, edges) in self._edges.items()})

    def _imported(self, file: File, statements: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for statement in statements:
            found |= self._meant(file, _COMMENT.sub("", statement))
        return {path for path in found if path in self._program.known and path != file.key}

    def _meant(self, file: File, statement: str) -> set[str]:
        taken = _FROM.match(statement)
        if taken is None:
            names = [part.split()[0] for part in statement.removeprefix("import").split(",") if part.strip()]
            prefixes = {".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)}
            return {path for prefix in prefixes if (path := self._program.absolute(file, prefix))}
        level = taken["dots"].count(".")
        module = taken["module"]
        base = self._program.relative(file, module, level) if level else self._program.absolute(file, module) if module else None
        if base is None:
            return set()
        found = {base}
        if not base.endswith(".py") or base.endswith("__init__.py"):
            folder = self._program.package(base)
            words = [part.split()[0] for part in taken["names"].strip(" \t()\r\n").split(",") if part.strip(" \t()\r\n\\")]
            found |= {path for word in words if (path := self._program.inside(folder, word.strip("()")))}
        return found


def _closed(keys: Iterable[str], edges: Mapping[str, Collection[str]]) -> frozenset[str]:
    found = set(keys)
    waiting = list(found)
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found)
