"""From what rules propose to edits of the user's files; nothing where the text leaves a doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Union

from nnlint.findings import Edit, Fix
from nnlint.fix import argument, insertion, proposal, removal, wording
from nnlint.fix.proposal import Proposal
from nnlint.fix.reads import reads
from nnlint.fix.tree import Patch, Tree
from nnlint.program import Program

_MAKERS: dict[type, Callable[[Tree, Any], Union[list[Patch], None]]] = {
    proposal.Insert: insertion.insert,
    proposal.Move: insertion.move,
    proposal.Argument: argument.argument,
    proposal.Unwrap: removal.unwrap,
    proposal.Drop: removal.drop,
    proposal.Rename: wording.rename,
    proposal.Rewrite: wording.rewrite,
}


def resolve(proposed: Proposal, trees: Mapping[str, Tree], program: Program) -> Union[Fix, None]:
    """The fix that a proposal comes to."""
    if proposed.unread and any(reads(file.module, proposed.unread) for file in program.files.values()):
        return None
    edits: list[Edit] = []
    for change in proposed.changes:
        tree = trees[change.site.source]
        patches = _MAKERS[type(change)](tree, change)
        if patches is None or not all(tree.patchable(patch) for patch in patches):
            return None
        for patch in patches:
            edit = Edit(tree.source.place(tree.span(patch)), patch.content)
            if edit not in edits:
                edits.append(edit)
    edits.sort(key=lambda edit: edit.place)
    return Fix(proposed.message, proposed.applicability, tuple(edits), proposed.caution)
