"""What rules speak of: nodes of the program, and how sure a change of it is."""

from __future__ import annotations

from enum import Enum

import msgspec


class Site(msgspec.Struct, frozen=True, order=True, gc=False):
    """A node of the program: the source's key and the node's ordinal in it. What rules speak of; `Place` is what people read."""

    source: str
    at: int


class Applicability(str, Enum):
    """Safe: the program does what its author meant, and nothing else changes. Unsafe: right, but something that worked can be affected."""

    SAFE = "safe"
    UNSAFE = "unsafe"
