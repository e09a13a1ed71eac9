"""Islands: the files of a project that may have to do with one another. Nothing that is found out about one depends on another.

What an import means is looked up as the interpreter does it, only generously: who imports a package may come to everything in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nnlint import records as r
from nnlint.program import File, Program


class Island:
    """Files that belong together, in order. `meanings` says for each import of theirs where it leads, and what else it may find there."""

    def __init__(self, files: Sequence[File], meanings: Sequence[tuple[str, str, Sequence[str]]]) -> None:
        self.files = files
        self.meanings = meanings


def islands(program: Program) -> list[Island]:
    """The islands of a project, in the order of their first files."""
    inside: dict[str, list[str]] = {}
    for known in sorted(program.known):
        parts = known.split("/")
        for depth in range(len(parts)):
            inside.setdefault("/".join(parts[:depth]), []).append(known)
    parent = {key: key for key in program.files}

    def top(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    meanings: dict[str, list[tuple[str, str, Sequence[str]]]] = {}
    packages: dict[str, str] = {}
    for key, file in program.files.items():
        meanings[key] = []
        for name, path in sorted(set(_meanings(program, file))):
            package = None if path is None or (path.endswith(".py") and not path.endswith("__init__.py")) else program.package(path)
            found: Sequence[str] = () if package is None else inside.get(package, ())
            meanings[key].append((name, path or "", found))
            if path is not None and path in parent:
                parent[top(path)] = top(key)
            if package is not None and found:
                # All who import a package are joined with its first importer, who was joined with what is in it.
                if package not in packages:
                    packages[package] = key
                    for other in found:
                        if other in parent:
                            parent[top(other)] = top(key)
                parent[top(packages[package])] = top(key)
    members: dict[str, list[str]] = {}
    for key in sorted(program.files):
        members.setdefault(top(key), []).append(key)
    return [
        Island([program.files[key] for key in keys], [meaning for key in keys for meaning in meanings[key]]) for keys in members.values()
    ]


def _meanings(program: Program, file: File) -> Iterator[tuple[str, str | None]]:
    """Where the imports of a file lead, wherever in it they stand."""
    for node in _imports(file.module.body):
        if isinstance(node, r.Import):
            for alias in node.names:
                for name in {alias.name, alias.name.split(".")[0]}:
                    yield f"{file.key} {name}", program.absolute(file, name)
        elif node.level:
            yield f"{file.key} {'.' * node.level}{node.module}", program.relative(file, node.module, node.level)
        else:
            yield f"{file.key} {node.module}", program.absolute(file, node.module)


def _imports(body: Iterable[object]) -> Iterator[r.Import | r.ImportFrom]:
    for statement in body:
        if isinstance(statement, (r.Import, r.ImportFrom)):
            yield statement
        elif isinstance(statement, r.Try):
            yield from _imports((*statement.body, *statement.handlers, *statement.orelse, *statement.final))
        elif isinstance(statement, (r.If, r.For, r.While)):
            yield from _imports(statement.body)
            yield from _imports(statement.orelse)
        elif isinstance(statement, (r.With, r.Handler, r.Case, r.Function, r.Class)):
            yield from _imports(statement.body)
        elif isinstance(statement, r.Match):
            yield from _imports(statement.cases)
