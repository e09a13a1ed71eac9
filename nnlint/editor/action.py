"""What an editor offers to do about findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lsprotocol import types

from nnlint.editor.diagnostic import Sheet, Shown
from nnlint.editor.ignore import ignoring
from nnlint.findings import Applicability, Edit
from nnlint.fix.apply import compatible
from nnlint.notices import InvalidSyntax, UnusedSuppression

FIX_ALL = "source.fixAll.nnlint"
KINDS = (types.CodeActionKind.QuickFix, FIX_ALL)


@dataclass(frozen=True)
class Desk:
    """Makes actions of findings; `versions` says whether the editor takes edits for a certain version of a text only."""

    versions: bool

    def actions(self, here: Sequence[tuple[Shown, Sheet]], wanted: types.CodeActionContext, range: types.Range) -> list[types.CodeAction]:
        """The actions for a range of a text that shows these findings."""
        found: list[types.CodeAction] = []
        if _asked(types.CodeActionKind.QuickFix, wanted.only):
            touched = [(shown, sheet) for shown, sheet in here if _touch(shown.diagnostic.range, range)]
            found += [action for shown, sheet in touched if (action := self._fix(shown, sheet))]
            found += [action for shown, sheet in touched if (action := self._ignore(shown, sheet))]
        if _asked(FIX_ALL, wanted.only) and (everything := self._fix_all(here)):
            found.append(everything)
        return found

    def _fix(self, shown: Shown, sheet: Sheet) -> types.CodeAction | None:
        fix = shown.finding.fix
        edit = None if fix is None else self._edit(fix.edits, sheet)
        if fix is None or edit is None:
            return None
        safe = fix.applicability is Applicability.SAFE
        caution = f"unsafe: {fix.caution}" if fix.caution else "unsafe"
        return types.CodeAction(
            title=f"nnlint: {fix.message}" if safe else f"nnlint: {fix.message} ({caution})",
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[shown.diagnostic],
            is_preferred=safe or None,
            edit=edit,
        )

    def _ignore(self, shown: Shown, sheet: Sheet) -> types.CodeAction | None:
        finding = shown.finding
        source = sheet.sources.get(finding.place.filename)
        if source is None or finding.code in (InvalidSyntax.code, UnusedSuppression.code):
            return None
        comment = ignoring(source, finding)
        edit = None if comment is None else self._edit([comment], sheet)
        if edit is None:
            return None
        title = f"nnlint: ignore {finding.name} ({finding.code}) here, with a reason"
        return types.CodeAction(title=title, kind=types.CodeActionKind.QuickFix, diagnostics=[shown.diagnostic], edit=edit)

    def _fix_all(self, here: Sequence[tuple[Shown, Sheet]]) -> types.CodeAction | None:
        """All safe fixes that do not get into each other's way."""
        sheets = {shown.finding: sheet for shown, sheet in here if _reachable(shown, sheet)}
        fixes = [finding.fix for finding in compatible(sheets).findings if finding.fix is not None]
        edits = list(dict.fromkeys(edit for fix in fixes for edit in fix.edits))
        edit = self._edit(edits, next(iter(sheets.values()))) if edits else None
        return None if edit is None else types.CodeAction("nnlint: apply all safe fixes", kind=FIX_ALL, edit=edit)

    def _edit(self, edits: Iterable[Edit], sheet: Sheet) -> types.WorkspaceEdit | None:
        """None where an edit is in a text that the editor cannot be told of."""
        by_text: dict[str, list[types.TextEdit]] = {}
        versions: dict[str, int | None] = {}
        for edit in edits:
            uri = sheet.uri(edit.place)
            if uri is None or edit.place.filename not in sheet.sources:
                return None
            buffer = sheet.buffer(edit.place.filename)
            versions[uri] = buffer.version if buffer is not None and buffer.cells is None else None
            by_text.setdefault(uri, []).append(types.TextEdit(sheet.range(edit.place), edit.content))
        if not self.versions:
            return types.WorkspaceEdit(changes=by_text)
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(uri=uri, version=versions[uri]), parts)
                for uri, parts in by_text.items()
            ]
        )


def _asked(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a kind of action is one of those asked for; `source` stands for `source.fixAll` too."""
    return only is None or any(kind == part or kind.startswith(f"{part}.") for part in only)


def _touch(one: types.Range, other: types.Range) -> bool:
    return _point(one.start) <= _point(other.end) and _point(other.start) <= _point(one.end)


def _point(position: types.Position) -> tuple[int, int]:
    return position.line, position.character


def _reachable(shown: Shown, sheet: Sheet) -> bool:
    """Whether a finding has a safe fix, all of which the editor can make."""
    fix = shown.finding.fix
    return fix is not None and fix.applicability is Applicability.SAFE and all(sheet.uri(edit.place) for edit in fix.edits)
