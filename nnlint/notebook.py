"""Notebooks: the code cells as one Python text, with IPython's own syntax masked so that rows and columns stay right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnlint.findings import Failure, Place
from nnlint.source import Cells, Source, Unreadable, failure

# Cell magics whose cell still runs as Python among the others.
_TRANSPARENT = frozenset({"capture", "debug", "ipytest", "memit", "mprun", "prun", "snakeviz", "time", "timeit", "wandb"})
_TIMED = re.compile(r"%(?:time|timeit)\s+(?:-[a-z]\s*\d*\s+)*(?!(?:for|while|if|with|def|class|try|async)\b)(?=[A-Za-z_(\[])")
_ASSIGNED = re.compile(r"(?P<head>\s*[A-Za-z_][\w.]*(?:\[[^\]=]*\])*(?:\s*,\s*[A-Za-z_]\w*)*\s*=\s*)[!%](?!=)")
_HELP = re.compile(r"\s*[%\w.\[\]\"'*()]+\?{1,2}\s*;?\s*$")
# What IPython takes for a magic without its percent sign, where it cannot be Python.
_AUTOMAGIC = re.compile(
    r"\s*(?:pip3?|conda|mamba|uv|cd|ls|mkdir|rm|cp|mv|cat|run|load_ext|matplotlib|time|timeit)\s+(?!(?:and|else|for|if|in|is|not|or)\b)"
    r"(?:-{1,2}[A-Za-z]|[A-Za-z_0-9~/'\"])"
)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(r"""\#.*|'''|\"\"\"|'|"|[()\[\]{}]""")

Complaint = tuple[int, int, str]


def load(raw: str, key: str, path: Path | None = None) -> Source | None:
    """The Python of a notebook; None where there is none (no code cells, another language)."""
    if not raw.strip():
        return None
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        raise Unreadable(failure(key, f"the notebook is not valid JSON: {error.msg}", error.lineno, error.colno)) from None
    except RecursionError:
        raise Unreadable(failure(key, "the file is not a notebook: its JSON is nested too deeply")) from None
    cells = _cells(document)
    if cells is None:
        raise Unreadable(failure(key, "the file is not a notebook: it has no list of cells"))
    if not _is_python(document):
        return None
    text: list[str] = []
    shown: list[str] = []
    starts, positions, indents = [], [], []
    for position, cell in enumerate(cells, 1):
        lines = _code(cell)
        if lines is None:
            continue
        starts.append(len(shown) + 1)
        positions.append(position)
        shown += lines
        indent = _indent(lines)
        indents.append(len(indent))
        text += _masked([line.removeprefix(indent) for line in lines])
    if not starts:
        return None
    return Source(key, "\n".join(text) + "\n", path, Cells(tuple(starts), tuple(positions), tuple(indents)), "\n".join(shown) + "\n")


def mend(source: Source, complaint: Callable[[str], Complaint | None]) -> tuple[Source, list[Failure]]:
    """Blank the cells that do not parse, so that one of them does not hide all others. `complaint` says where and why a text fails."""
    assert source.cells is not None
    if complaint(source.text) is None:
        return source, []
    lines = source.text.split("\n")
    failures = []
    bounds = [start - 1 for start in source.cells.starts] + [len(lines) - 1]
    for position, indent, begin, end in zip(source.cells.positions, source.cells.indents, bounds, bounds[1:], strict=False):
        wrong = complaint("\n".join(lines[begin:end]) + "\n")
        if wrong is not None:
            row, column, message = wrong
            row = min(row, max(end - begin, 1))  # an unfinished cell fails just behind its end
            column += indent
            failures.append(Failure(Place(source.key, position, row, column, row, column + 1), message))
            lines[begin:end] = [""] * (end - begin)
    return replace(source, text="\n".join(lines)), failures


def _cells(document: Any) -> list[Any] | None:
    """All cells, of version 4 or (in work sheets) of version 3."""
    if not isinstance(document, dict):
        return None
    cells = document.get("cells")
    if isinstance(cells, list):
        return cells
    sheets = document.get("worksheets")
    if not isinstance(sheets, list):
        return None
    return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]


def _is_python(document: dict[str, Any]) -> bool:
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        for table, key in (("language_info", "name"), ("kernelspec", "language")):
            entry = metadata.get(table)
            language = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(language, str) and language:
                return "python" in language.lower()
    return True


def _code(cell: Any) -> list[str] | None:
    """The lines of a code cell; None for any other cell."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str):
        return None
    # JSON may hold half a surrogate pair, or a NUL, which no Python text can.
    source = source.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    lines = _NEWLINE.split(source)
    return lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def _indent(lines: list[str]) -> str:
    """The indent of the first statement, which IPython takes off all lines."""
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    return first[: len(first) - len(first.lstrip())]


def _masked(lines: list[str]) -> list[str]:
    """The lines of a cell with everything that only IPython understands replaced by Python of the same place."""
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = re.match(r"%%(\w*)", lines[first])
        if magic is None or magic[1] not in _TRANSPARENT:
            return [""] * len(lines)
        return [""] * (first + 1) + _masked(lines[first + 1 :] or [""])[: len(lines) - first - 1]
    masked = []
    reader = _Reader()
    continued = False
    for line in lines:
        replacement: str | None = None
        if continued:
            replacement = ""
        elif reader.at_start:
            replacement = _mask(line)
        if replacement is None:
            reader.feed(line)
            masked.append(line)
        else:
            continued = line.rstrip().endswith("\\")
            masked.append(replacement)
    return masked


def _mask(line: str) -> str | None:
    """What stands for a line that only IPython understands; None where the line is Python."""
    bare = line.lstrip()
    indent = line[: len(line) - len(bare)]
    if bare[:1] in ("%", "!", "?"):
        timed = _TIMED.match(bare)
        # The timed statement stays, in its columns.
        return indent + ("0;" + " " * (timed.end() - 2) + bare[timed.end() :] if timed else "pass")
    assigned = _ASSIGNED.match(line)
    if assigned:
        return assigned["head"] + "get_ipython()"
    if ("?" in line and _HELP.match(line)) or _AUTOMAGIC.match(line):
        return indent + "pass"
    return None


class _Reader:
    """Follows strings, brackets and continued lines, so that only the start of a statement is taken for a magic."""

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.joined = False

    @property
    def at_start(self) -> bool:
        return not self.quote and self.depth <= 0 and not self.joined

    def feed(self, line: str) -> None:
        position = 0
        self.joined = False
        comment = False
        while position < len(line):
            if self.quote:
                position = self._close(line, position)
                continue
            token = _TOKEN.search(line, position)
            if token is None:
                break
            position = token.end()
            word = token[0]
            if word[0] == "#":
                comment = True
            elif word in "([{":
                self.depth += 1
            elif word in ")]}":
                self.depth -= 1
            else:
                self.quote = word
        joined = line.endswith("\\") and not comment
        if len(self.quote) == 1 and not joined:
            self.quote = ""  # a simple string ends with its line
        self.joined = joined and not self.quote

    def _close(self, line: str, position: int) -> int:
        """Behind the end of the open string, or the end of the line."""
        while position < len(line):
            if line[position] == "\\":
                position += 2
            elif line.startswith(self.quote, position):
                position += len(self.quote)
                self.quote = ""
                return position
            else:
                position += 1
        return position
