"""Findings as an editor shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lsprotocol import types

from nnlint.editor.address import uri_of
from nnlint.editor.documents import Buffer
from nnlint.editor.position import Units
from nnlint.findings import Confidence, Finding, Place, Severity
from nnlint.notices import UnusedSuppression
from nnlint.pages import url
from nnlint.source import Source

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}


@dataclass(frozen=True)
class Shown:
    """A finding, and how and where it is shown."""

    uri: str
    diagnostic: types.Diagnostic
    finding: Finding


@dataclass(frozen=True)
class Sheet:
    """The texts that findings speak of, and how the editor counts in them. Keys are relative to the folder `root`."""

    root: str
    sources: Mapping[str, Source]
    buffers: Mapping[str, Buffer]
    units: Units
    related: bool
    """Whether the editor shows the steps of a trace."""

    def show(self, findings: Iterable[Finding]) -> list[Shown]:
        shown = []
        for finding in findings:
            uri = self.uri(finding.place)
            if uri is not None:
                shown.append(Shown(uri, self._diagnostic(finding), finding))
        return shown

    def buffer(self, filename: str) -> Buffer | None:
        return self.buffers.get(self._path(filename))

    def uri(self, place: Place) -> str | None:
        """The address of the text or cell that a place lies in; None for a cell of a notebook that is not open."""
        buffer = self.buffer(place.filename)
        if buffer is not None:
            return buffer.uri_of(place.cell)
        return uri_of(self._path(place.filename)) if place.cell is None else None

    def range(self, place: Place) -> types.Range:
        source = self.sources.get(place.filename)
        if source is None:  # the file could not be read
            start = types.Position(place.row - 1, place.column - 1)
            return types.Range(start, types.Position(place.end_row - 1, place.end_column - 1))
        skipped = source.row(place) - place.row  # rows of the cells above
        first = self.units.position(source.lines, place.row + skipped, place.column)
        last = self.units.position(source.lines, place.end_row + skipped, place.end_column)
        return types.Range(types.Position(first.line - skipped, first.character), types.Position(last.line - skipped, last.character))

    def _path(self, filename: str) -> str:
        return filename if filename in self.buffers else os.path.normpath(os.path.join(self.root, filename))

    def _diagnostic(self, finding: Finding) -> types.Diagnostic:
        text = finding.message if finding.confidence is Confidence.CERTAIN else f"{finding.message} ({finding.confidence.value})"
        text += f"\n{finding.help}" if finding.help else ""
        steps = [step for step in finding.trace if step.place != finding.place or len(finding.trace) > 1]
        related = []
        for step in steps:
            uri = self.uri(step.place)
            if self.related and uri is not None:
                related.append(types.DiagnosticRelatedInformation(types.Location(uri, self.range(step.place)), step.message))
            else:
                where = "" if step.place.cell is None else f"cell {step.place.cell}:"
                text += f"\n{step.place.filename}:{where}{step.place.row}: {step.message}"
        return types.Diagnostic(
            range=self.range(finding.place),
            message=text,
            severity=_SEVERITIES[finding.severity],
            code=finding.code,
            code_description=types.CodeDescription(page) if (page := url(finding.name, finding.code)) else None,
            source="nnlint",
            tags=[types.DiagnosticTag.Unnecessary] if finding.code == UnusedSuppression.code else None,
            related_information=related or None,
            data={"name": finding.name, "confidence": finding.confidence.value},
        )
