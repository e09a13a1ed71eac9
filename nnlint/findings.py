"""Findings: what a rule says, placed in the user's files."""

from __future__ import annotations

from enum import Enum
from typing import Union

import msgspec

from nnlint.fix.proposal import Proposal
from nnlint.sites import Applicability, Site
from nnlint.verdict import Ruling, Verdict

__all__ = [
    "Applicability", "Confidence", "Edit", "Failure", "Finding", "Fix", "Place", "Remark", "Report", "Severity", "Site", "Step",
]  # fmt: skip


class Severity(str, Enum):
    """Ordered: `Severity.NOTE.rank < Severity.WARNING.rank < Severity.ERROR.rank`."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        return {"note": 0, "warning": 1, "error": 2}[self.value]


class Confidence(str, Enum):
    CERTAIN = "certain"
    SUSPECTED = "suspected"
    OBSERVED = "observed"


class Remark(msgspec.Struct, frozen=True):
    """One step of a trace: a site and what happens there."""

    site: Site
    message: str


class Report(msgspec.Struct, frozen=True):
    """What a rule yields. `message` names the user's own variables, `help` says what to write instead.

    `severity` is given only where it differs from the rule's own; `fix` only where it is certain. `whole`: there is a
    defect only if no other story needs the site as it is.
    """

    site: Site
    message: str
    help: str
    trace: tuple[Remark, ...] = ()
    confidence: Confidence = Confidence.CERTAIN
    severity: Union[Severity, None] = None
    fix: Union[Proposal, None] = None
    whole: bool = False


class Place(msgspec.Struct, frozen=True, order=True):
    """Where in a file: rows and columns from 1 (columns in characters), end exclusive; `cell` counts all cells of a notebook from 1."""

    filename: str
    cell: Union[int, None]
    row: int
    column: int
    end_row: int
    end_column: int


class Step(msgspec.Struct, frozen=True):
    place: Place
    message: str


class Edit(msgspec.Struct, frozen=True):
    """Replace what stands at `place` with `content`; a place that ends where it begins is an insertion. Never across cells."""

    place: Place
    content: str


class Fix(msgspec.Struct, frozen=True):
    """What would mend a finding: edits that belong together, in one or more files. `caution` says why an unsafe fix is unsafe."""

    message: str
    applicability: Applicability
    edits: tuple[Edit, ...]
    caution: str = ""


class Finding(msgspec.Struct, frozen=True):
    """A report with its places resolved: what suppressions, order and output formats work on."""

    code: str
    name: str
    severity: Severity
    confidence: Confidence
    message: str
    help: str
    place: Place
    trace: tuple[Step, ...] = ()
    runtime: Union[Verdict, None] = None
    fix: Union[Fix, None] = None

    @property
    def refuted(self) -> bool:
        """Whether a run has shown that it is no defect here."""
        return self.runtime is not None and self.runtime.ruling is Ruling.REFUTED


class Failure(msgspec.Struct, frozen=True):
    """Something that could not be looked at (a file, a cell): it becomes an NN000 entry and makes the exit code 2."""

    place: Place
    message: str
