"""What a rule proposes to change, in terms of sites; `nnlint.fix.resolve` makes edits of it, or nothing where the text forbids."""

from __future__ import annotations

from typing import Union

import msgspec

from nnlint.sites import Applicability, Site


class Insert(msgspec.Struct, frozen=True, tag=True):
    """A statement `owner.method()` before (or after) the one in which `site` stands; `owner` is an expression of the program.

    With `lifted`, before or after the outermost loops and `with` blocks around it that hold none of `apart`; with `level`, only if `owner`
    stands under no condition that `site` is free of.
    """

    site: Site
    owner: Site
    method: str
    after: bool = False
    lifted: bool = False
    apart: tuple[Site, ...] = ()
    level: bool = False


class Move(msgspec.Struct, frozen=True, tag=True):
    """The statement in which `site` stands goes behind (or before) the one in which `beside` stands."""

    site: Site
    beside: Site
    after: bool = True


class Argument(msgspec.Struct, frozen=True, tag=True):
    """The argument `name` of a call becomes `value`, by keyword; one that is given already must be one of `instead`. `index` is its
    place among the positional ones."""

    site: Site
    name: str
    value: str
    index: int
    instead: tuple[str, ...] = ()


class Unwrap(msgspec.Struct, frozen=True, tag=True):
    """A call of one tensor becomes that tensor: `softmax(x, 1)` and `x.softmax(1)` become `x`."""

    site: Site
    method: bool = False


class Drop(msgspec.Struct, frozen=True, tag=True):
    """What stands here goes: an item of a call or a list, or the whole statement that does nothing but add it."""

    site: Site


class Rename(msgspec.Struct, frozen=True, tag=True):
    """What a call calls gets another name in the same module: `F.softmax(x)` becomes `F.log_softmax(x)`."""

    site: Site
    old: str
    new: str


class Recall(msgspec.Struct, frozen=True, tag=True):
    """A call on a tensor becomes other calls on the same tensor: `x.view(b, c, t)` becomes `x` and `calls`, or `packed` where the call is
    made on `x.contiguous()`; without `method` the tensor is the first argument."""

    site: Site
    calls: str
    packed: str
    method: bool = True


Change = Union[Insert, Move, Argument, Unwrap, Drop, Rename, Recall]


class Way(msgspec.Struct, frozen=True):
    """Changes that belong together. In the message `{}` stands for the statements that are put in or moved."""

    message: str
    changes: tuple[Change, ...]


class Proposal(msgspec.Struct, frozen=True):
    """What would mend a finding: the first of several ways that the text allows. `unread` is an attribute that the program must not read
    (other than to ask whether it is there)."""

    applicability: Applicability
    ways: tuple[Way, ...]
    caution: str = ""
    unread: str = ""
