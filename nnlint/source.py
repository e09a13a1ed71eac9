"""One text to analyse: where it came from, and how its rows map to what the user sees."""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from nnlint.findings import Failure, Place
from nnlint.records import Span

# A file that holds none of these words can neither train a network nor be part of one, and is never parsed. The last row is for files
# that get everything handed in: a helper that calls `loss.backward()` need not import torch.
_TRAINING = re.compile(
    r"torch|lightning|accelerate|transformers|fastai|\bignite\b|skorch|\btimm\b|monai|deepspeed|diffusers|mmengine|mmcv|detectron2"
    r"|fairscale|colossalai|flair|allennlp|fairseq|catalyst|composer|sentence_transformers|\bpeft\b|\btrl\b|kornia|braindecode"
    r"|zero_grad|\bbackward\(|\bnn\.|no_grad\b|\bstate_dict\("
)
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+[.\w]+[ \t]+import\b(?:[ \t]*\([^)]*\)|[^#\n]*)|import[ \t][^#\n]*)", re.MULTILINE)
_NAME = re.compile(r"\w+")
NEWLINE = re.compile(r"\r\n|\r|\n")


class Unreadable(Exception):
    """A text that cannot be had; carries the entry that tells the user so."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Cells:
    """The code cells of a notebook in one text: cell `positions[i]` (counted among all cells from 1) starts at row `starts[i]`.

    Its text stands `indents[i]` columns further left than in the notebook.
    """

    starts: tuple[int, ...]
    positions: tuple[int, ...]
    indents: tuple[int, ...]

    def place(self, filename: str, span: Span) -> Place:
        index = max(bisect_right(self.starts, span.row) - 1, 0)
        offset, indent = self.starts[index] - 1, self.indents[index]
        return Place(
            filename, self.positions[index], span.row - offset, span.column + indent, span.end_row - offset, span.end_column + indent
        )

    def row(self, cell: int, row: int) -> int:
        """The row of the text for a row of a cell."""
        return self.starts[self.positions.index(cell)] + row - 1


@dataclass(frozen=True)
class Source:
    """`key` is the path as the user sees it; `text` is Python; `shown` differs from it where notebook magics were masked.

    `related` says that the source imports a relevant one (see `relate`).
    """

    key: str
    text: str
    path: Path | None = None
    cells: Cells | None = None
    shown: str | None = None
    related: bool = False

    @cached_property
    def relevant(self) -> bool:
        """Whether the text can have anything to do with training a network; cheap and generous."""
        return self.related or trains(self.text)

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The import statements of the text, read without a parser."""
        return tuple(match[0].strip() for match in _IMPORT.finditer(self.text))

    @cached_property
    def imported(self) -> frozenset[str]:
        """All names in the import statements: modules, packages and what is taken from them."""
        return frozenset(name for statement in self.imports for name in _NAME.findall(statement))

    @cached_property
    def lines(self) -> list[str]:
        """The rows as the user wrote them."""
        return NEWLINE.split(self.text if self.shown is None else self.shown)

    def place(self, span: Span) -> Place:
        """Where a stretch of `text` lies in the user's file."""
        if self.cells is None:
            return Place(self.key, None, span.row, span.column, span.end_row, span.end_column)
        return self.cells.place(self.key, span)

    def row(self, place: Place) -> int:
        """The row of `text` at which a place of this source starts."""
        return place.row if self.cells is None or place.cell is None else self.cells.row(place.cell, place.row)


def trains(text: str) -> bool:
    """Whether a text holds a word of training, such as the name of a library for it."""
    return _TRAINING.search(text) is not None


def relate(sources: Sequence[Source]) -> list[Source]:
    """The sources, those marked that import a relevant one or that a relevant one imports: a script may start a training, and a helper
    reshape a tensor, without a word of torch in it."""
    found = list(sources)
    imports = [source.imported for source in found]
    names = [_module(source.key) for source in found]
    relevant = {at for at, source in enumerate(found) if source.relevant}
    if not relevant or len(relevant) == len(found):
        return found
    modules = {names[at] for at in relevant}
    grown = True
    while grown:
        more = {at for at in range(len(found)) if at not in relevant and not modules.isdisjoint(imports[at])}
        modules |= {names[at] for at in more}
        relevant |= more
        grown = bool(more)
    new = relevant
    while new:
        wanted = frozenset[str]().union(*(imports[at] for at in new))
        new = {at for at in range(len(found)) if at not in relevant and names[at] in wanted}
        relevant |= new
    return [replace(source, related=True) if at in relevant and not source.relevant else source for at, source in enumerate(found)]


def _module(key: str) -> str:
    """The name by which a source is imported."""
    path = PurePosixPath(key)
    return path.parent.name if path.stem == "__init__" else path.stem


def read(path: Path, key: str) -> Source | None:
    """The source in a file; None for a notebook without any Python."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(failure(key, f"the file cannot be read: {error.strerror or error}")) from None
    return load(data, key, path)


def load(data: bytes, key: str, path: Path | None = None) -> Source | None:
    """The source in the bytes of a file that is called `key`."""
    if not key.endswith(".ipynb"):
        return Source(key, decode(data, key), path)
    from nnlint import notebook

    return notebook.load(decode(data, key, declared=False), key, path)


def decode(data: bytes, key: str, *, declared: bool = True) -> str:
    """The text in the bytes of a file, by its byte order mark or (where `declared` may be) its coding line; UTF-8 without."""
    encoding = encoding_of(data, key) if declared else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[start : error.start].decode(encoding, "replace")) + 1
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        message = f"the file is not {name}: byte 0x{data[error.start]:02x} at line {row}, column {column}"
        hint = "; save it as UTF-8 or declare its encoding in the first line" if declared and name == "UTF-8" else ""
        raise Unreadable(failure(key, message + hint, row, column)) from None
    except (LookupError, UnicodeError):
        raise Unreadable(failure(key, f"the file declares the encoding `{encoding}`, in which it cannot be read")) from None
    return checked(text, key)


def checked(text: str, key: str) -> str:
    """A text that Python could read, as far as its characters go."""
    nul = text.find("\0")
    if nul >= 0:
        row = text.count("\n", 0, nul) + 1
        column = nul - text.rfind("\n", 0, nul)
        raise Unreadable(failure(key, f"the file holds a NUL byte at line {row}, column {column}; it is no text", row, column))
    return text


def encoding_of(data: bytes, key: str) -> str:
    """The name of a file's encoding, by its byte order mark or its coding line."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        # Either an unknown name, or bytes that are not UTF-8 in the first two lines, which decoding tells more precisely.
        if "unknown encoding" not in str(error):
            return "utf-8-sig"
        raise Unreadable(failure(key, f"the file declares an {error}")) from None


def failure(key: str, message: str, row: int = 1, column: int = 1) -> Failure:
    return Failure(Place(key, None, row, column, row, column + 1), message)
