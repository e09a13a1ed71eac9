"""What would change, as a unified diff that `patch` understands."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import click

from nnlint.fix import cells
from nnlint.fix.session import Change
from nnlint.source import encoding_of

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def render(changes: Sequence[Change]) -> str:
    return "".join(line for change in changes for line in _diff(change))


def _diff(change: Change) -> Iterator[str]:
    if change.key.endswith(".ipynb"):
        before, after = (cells.texts(data.decode("utf-8-sig")) for data in (change.before, change.after))
        for cell in sorted(before):
            if before[cell] != after[cell]:
                yield from _unified(before[cell], after[cell], f"{change.key}:cell {cell}")
        return
    encoding = encoding_of(change.before, change.key)
    yield from _unified(change.before.decode(encoding), change.after.decode(encoding), change.key)


def _unified(before: str, after: str, name: str) -> Iterator[str]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for line in difflib.unified_diff(old, new, fromfile=name, tofile=name):
        ended = line if line.endswith(("\n", "\r")) else line + "\n\\ No newline at end of file\n"
        bold = line.startswith(("--- ", "+++ "))
        yield click.style(ended, bold=True) if bold else click.style(ended, fg=_COLOURS.get(line[0]))
