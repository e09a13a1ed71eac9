"""libcst's parser, for its own nodes or for light ones.

The native parser makes a node by a call of what stands under its name in the module `libcst`: a frozen dataclass, whose `__init__` in
Python takes longer than all of the parsing. Records need no more of a node than its fields. For them, the parser finds structs of the same
names and fields there; `isinstance` takes them for what they stand for. Should a release of libcst look elsewhere, it makes its own nodes,
and all goes on as it is, but slower.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TypeVar, cast

import libcst as cst
import msgspec
from libcst import native  # type: ignore[attr-defined]

from nnlint.lower.depth import shorten
from nnlint.lower.failure import Unparsable, explain

T = TypeVar("T")

# libcst checks every node as it is made, for those who make them by hand: a quarter of the time of a parse. What its parser lets through
# and Python does not, the lowering finds itself (`Unsound`). Set once and for all: a class that is changed for each file loses Python's
# attribute caches.
cst.CSTNode.__post_init__ = lambda self: None  # type: ignore[method-assign]


def _lighten() -> dict[type, type]:
    """The struct that stands for each class of nodes. No tree has a cycle, so nothing of it is left to the garbage collector."""
    found: dict[type, type] = {}
    for name, kind in vars(cst).items():
        if inspect.isclass(kind) and issubclass(kind, cst.CSTNode) and dataclasses.is_dataclass(kind) and not inspect.isabstract(kind):
            light = msgspec.defstruct(name, [(field.name, object, _default(field)) for field in dataclasses.fields(kind)], gc=False)
            found[kind] = kind.register(light)
    return found


def _default(field: dataclasses.Field[object]) -> object:
    """What the parser leaves out where it has nothing."""
    return None if field.default is dataclasses.MISSING else field.default


_LIGHT = _lighten()
_STAGE = ModuleType("libcst")  # what the native parser imports when it is to make light nodes
_STAGE.__dict__.update(vars(cst), **{kind.__name__: light for kind, light in _LIGHT.items()})


def both(table: Mapping[type, T]) -> dict[type, T]:
    """A table by the classes of nodes, for light ones as well."""
    return {**table, **{_LIGHT[kind]: made for kind, made in table.items()}}


def parse(text: str) -> cst.Module:
    """The tree of a text, of libcst's own nodes. Raises `Unparsable`."""
    return _parse(cst.parse_module, text)


def sketch(text: str) -> cst.Module:
    """The same tree of light nodes: they have fields, and no methods. Raises `Unparsable`."""
    return _parse(_light, text)


def _light(text: str) -> cst.Module:
    own = sys.modules["libcst"]
    sys.modules["libcst"] = _STAGE  # seen by no one else: nothing that the parser does meanwhile lets another thread run
    try:
        return cast(cst.Module, native.parse_module(text))
    finally:
        sys.modules["libcst"] = own


def _parse(parser: Callable[[str], cst.Module], text: str) -> cst.Module:
    try:
        return parser(text)
    except cst.ParserSyntaxError as error:
        shorter = shorten(text)
        if shorter != text:
            return _parse(parser, shorter)
        raise explain(text, error.message) from None
    except UnicodeError as error:
        raise Unparsable(1, 1, str(error)) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of the native parser, and no Exception
            raise explain(text, "") from None
        raise
