"""Which files of a project a file imports, read off its text without a parser: generous where the text leaves it open."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from nnlint.program import File, Program
from nnlint.records import Module

_FROM = re.compile(r"from\s+(?P<dots>[.\s]*)(?P<module>[\w.]*)\s+import\b(?P<names>.*)", re.DOTALL)
_COMMENT = re.compile(r"#.*")
_PATH = re.compile(r"\bsys\s*\.\s*path\s*\.\s*(?:insert|append|extend)\s*\(")
_WORD = re.compile(r"""(["'])([^"'\n]+)\1""")
_NAME = re.compile(r"(?<![\w.])(?!__file__)[^\W\d]\w*\s*(?=[,)\]]|$)")
_NOTHING = Module(())


def imported(program: Program, key: str, statements: Iterable[str]) -> frozenset[str]:
    """The paths that the import statements of a file mean, folders without an `__init__.py` left out."""
    file = File(key, _NOTHING)
    found: set[str] = set()
    for statement in statements:
        found |= _meant(program, file, _COMMENT.sub("", statement))
    return frozenset(path for path in found if program.is_file(path) and path != key)


def added(key: str, text: str) -> Iterator[str]:
    """The folders that a file may put on `sys.path`: those that the words of the call lead to, from the file's folder or one above it, and
    the one above. Where a name stands for the folder, any words of the file may."""
    if "sys" not in text:
        return
    folder = posixpath.dirname(key)
    above = posixpath.normpath(posixpath.join(folder, ".."))
    parts = folder.split("/")
    bases = dict.fromkeys((folder, above, *("/".join(parts[:depth]) for depth in range(len(parts) - 2, -1, -1))))
    for call in _PATH.finditer(text):
        yield above
        given = _arguments(text, call.end())
        words = _WORD.findall(given) or (_WORD.findall(text) if _NAME.search(given) else ())
        for _, word in words:
            if not word.startswith(("/", "~")):
                yield from (posixpath.normpath(posixpath.join(base, word)) for base in bases)


def _arguments(text: str, start: int) -> str:
    """From behind a bracket to the one that closes it."""
    depth = 1
    for at, letter in enumerate(text[start : start + 500], start):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[start:at]
    return ""


def _meant(program: Program, file: File, statement: str) -> set[str]:
    taken = _FROM.match(statement)
    if taken is None:
        names = [part.split()[0] for part in statement.removeprefix("import").split(",") if part.strip()]
        prefixes = {prefix for name in names for prefix in _prefixes(name)}
        return {path for prefix in prefixes if (path := program.absolute(file, prefix))}
    level = taken["dots"].count(".")
    module = taken["module"]
    base = program.relative(file, module, level) if level else program.absolute(file, module) if module else None
    if base is None:
        return set()
    found = {base}
    if not level:
        # Importing a module runs the packages on the way to it.
        found |= {path for prefix in _prefixes(module) if (path := program.absolute(file, prefix))}
    if not base.endswith(".py") or base.endswith("__init__.py"):
        folder = program.package(base)
        found |= {path for word in _words(taken["names"]) if (path := program.inside(folder, word))}
    return found


def _prefixes(name: str) -> Sequence[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _words(names: str) -> Iterable[str]:
    return (part.split()[0].strip("()") for part in names.strip(" \t()\r\n").split(",") if part.strip(" \t()\r\n\\"))
