"""What is open in the editor."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from lsprotocol import types

from nnlint import notebook
from nnlint.editor.address import path_of
from nnlint.editor.position import Units, changed
from nnlint.findings import Failure
from nnlint.source import Source, Unreadable, checked

Read = Union[Source, Failure, None]
"""What a text gave: its source, why it cannot be had, or nothing (a notebook without Python)."""

SCHEMES = ("file", "untitled")
"""Of what is a text of its own: not a cell, nor an old version of a file."""


@dataclass(frozen=True)
class Cell:
    uri: str
    text: str
    code: bool


@dataclass(frozen=True)
class Buffer:
    """One open text, or the cells of one open notebook, at one moment. `path` is its address where it is no file."""

    path: str
    uri: str
    version: int | None
    text: str = ""
    cells: tuple[Cell, ...] | None = None

    def read(self, key: str) -> Read:
        """The source under a key."""
        try:
            if self.cells is None:
                text = self.text.encode("utf-8", "replace").decode("utf-8").removeprefix("\ufeff")  # half a surrogate pair is no text
                return Source(key, checked(text, key), Path(self.path))
            cells = [{"cell_type": "code" if cell.code else "markdown", "source": cell.text} for cell in self.cells]
            return notebook.load(json.dumps({"cells": cells}), key, Path(self.path))
        except Unreadable as unreadable:
            return unreadable.failure

    def uri_of(self, cell: int | None) -> str:
        """The address of the text, or of one of the cells (counted from 1)."""
        return self.uri if self.cells is None or cell is None else self.cells[cell - 1].uri

    @property
    def uris(self) -> tuple[str, ...]:
        return (self.uri,) if self.cells is None else tuple(cell.uri for cell in self.cells)


class Documents:
    """All open texts of Python by path, the one last touched first. `buffers` is made anew by every change: a run keeps what it got."""

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.units = Units()
        self._owners: dict[str, str] = {}

    def owner(self, uri: str) -> Buffer | None:
        """The open text or notebook that an address (perhaps of a cell) belongs to."""
        path = self._owners.get(uri)
        return None if path is None else self.buffers.get(path)

    def open(self, item: types.TextDocumentItem) -> bool:
        """Whether the text is one to lint."""
        if not item.uri.startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):
            return False
        path = _path(item.uri)
        if path.endswith((".pyi", ".ipynb")) or not (item.language_id == "python" or path.endswith(".py")):
            return False
        self._keep(Buffer(path, item.uri, item.version, item.text))
        return True

    def change(self, params: types.DidChangeTextDocumentParams) -> bool:
        buffer = self.owner(params.text_document.uri)
        if buffer is None:
            return False
        text = changed(buffer.text, params.content_changes, self.units)
        self._keep(replace(buffer, version=params.text_document.version, text=text))
        return True

    def open_notebook(self, params: types.DidOpenNotebookDocumentParams) -> bool:
        document = params.notebook_document
        path = _path(document.uri)
        path = path if path.endswith(".ipynb") else f"{path}.ipynb"
        texts = {item.uri: item for item in params.cell_text_documents}
        cells = tuple(_cell(cell, texts.get(cell.document)) for cell in document.cells)
        self._keep(Buffer(path, document.uri, document.version, cells=cells))
        return True

    def change_notebook(self, params: types.DidChangeNotebookDocumentParams) -> bool:
        buffer = self.owner(params.notebook_document.uri)
        if buffer is None or buffer.cells is None:
            return False
        cells = list(buffer.cells)
        told = params.change.cells
        if told is not None and told.structure is not None:
            array = told.structure.array
            texts = {item.uri: item for item in told.structure.did_open or ()}
            old = {cell.uri: cell for cell in cells}
            new = [
                old[cell.document] if cell.document in old and cell.document not in texts else _cell(cell, texts.get(cell.document))
                for cell in array.cells or ()
            ]
            cells[array.start : array.start + array.delete_count] = new
        if told is not None:
            kinds = {cell.document: cell.kind is types.NotebookCellKind.Code for cell in told.data or ()}
            cells = [replace(cell, code=kinds.get(cell.uri, cell.code)) for cell in cells]
            edits = {content.document.uri: content.changes for content in told.text_content or ()}
            cells = [replace(cell, text=changed(cell.text, edits[cell.uri], self.units)) if cell.uri in edits else cell for cell in cells]
        self._keep(replace(buffer, version=params.notebook_document.version, cells=tuple(cells)))
        return True

    def close(self, uri: str) -> bool:
        buffer = self.owner(uri)
        if buffer is None:
            return False
        self.buffers = {path: other for path, other in self.buffers.items() if other is not buffer}
        self._owners = {address: path for address, path in self._owners.items() if path != buffer.path}
        return True

    def _keep(self, buffer: Buffer) -> None:
        others = {path: other for path, other in self.buffers.items() if path != buffer.path}
        self.buffers = {buffer.path: buffer, **others}
        self._owners = {address: path for address, path in self._owners.items() if path != buffer.path}
        self._owners.update(dict.fromkeys((buffer.uri, *buffer.uris), buffer.path))


def _cell(cell: types.NotebookCell, item: types.TextDocumentItem | None) -> Cell:
    code = cell.kind is types.NotebookCellKind.Code and item is not None and item.language_id == "python"
    return Cell(cell.document, "" if item is None else item.text, code)


def _path(uri: str) -> str:
    path = path_of(uri)
    return uri if path is None else path
