"""From what rules propose to edits of the user's files; nothing where the text leaves a doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from nnlint.findings import Edit, Fix
from nnlint.fix import argument, insertion, proposal, removal, wording
from nnlint.fix.proposal import Change, Proposal
from nnlint.fix.tree import Patch, Tree

_MAKERS: dict[type, Callable[[Tree, Any], Union[list[Patch], None]]] = {
    proposal.Insert: insertion.insert,
    proposal.Move: insertion.move,
    proposal.Argument: argument.argument,
    proposal.Unwrap: removal.unwrap,
    proposal.Drop: removal.drop,
    proposal.Rename: wording.rename,
    proposal.Recall: wording.recall,
}


def resolve(proposed: Proposal, trees: Mapping[str, Tree]) -> Union[Fix, None]:
    """The fix that a proposal comes to."""
    for way in proposed.ways:
        edits = _edits(way.changes, trees)
        if edits is not None:
            message = way.message.format(" and ".join(f"`{text}`" for text in _statements(way.changes, trees)))
            return Fix(message, proposed.applicability, edits, proposed.caution)
    return None


def _edits(changes: Sequence[Change], trees: Mapping[str, Tree]) -> Union[tuple[Edit, ...], None]:
    edits: list[Edit] = []
    for change in changes:
        tree = trees[change.site.source]
        patches = _MAKERS[type(change)](tree, change)
        if patches is None or not all(tree.patchable(patch) for patch in patches):
            return None
        for patch in patches:
            edit = Edit(tree.source.place(tree.span(patch)), patch.content)
            if edit not in edits:
                edits.append(edit)
    return tuple(sorted(edits, key=lambda edit: edit.place))


def _statements(changes: Sequence[Change], trees: Mapping[str, Tree]) -> list[str]:
    """The statements that are put in or moved, each once."""
    found: dict[str, None] = {}
    for change in changes:
        tree = trees[change.site.source]
        if isinstance(change, proposal.Insert):
            owner = tree.node(change.owner.at)
            found.update({f"{tree.code(owner)}.{change.method}()": None} if owner is not None else {})
        elif isinstance(change, proposal.Move):
            node = tree.node(change.site.at)
            found.update({tree.code(node): None} if node is not None else {})
    return list(found)
