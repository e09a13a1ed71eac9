"""What a project gave when it was last looked at. With this a run over an unchanged project needs neither a parser nor the interpreter."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from nnlint.cache import Cache, digest
from nnlint.findings import Failure, Finding
from nnlint.source import Source


class Outcome(msgspec.Struct, frozen=True):
    """What the rules with these codes say of a project, before anything is selected or suppressed."""

    codes: frozenset[str]
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]


def name(sources: Sequence[Source], src: Sequence[str]) -> str:
    """The name of everything that an analysis depends on, the rules aside."""
    about = [[source.key, source.relevant, digest(source.text) if source.relevant else "", repr(source.cells)] for source in sources]
    return digest("project", msgspec.json.encode(about), msgspec.json.encode(src))


def find(cache: Cache, name: str) -> Outcome | None:
    data = cache.get(name)
    try:
        return None if data is None else msgspec.msgpack.decode(data, type=Outcome)
    except msgspec.MsgspecError:
        return None


def keep(cache: Cache, name: str, outcome: Outcome) -> None:
    with contextlib.suppress(ValueError):  # half of a surrogate pair in a message
        cache.put(name, msgspec.msgpack.encode(outcome))
