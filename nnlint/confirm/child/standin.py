"""Datasets whose data is not there: each goes on as an object of its own class, with items made up.

A `Dataset` of the script or of a library becomes a stand-in when its constructor, or the reading of an item, fails for missing data. What
its items look like is found out when one is first asked for: by then networks and losses have been constructed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import textwrap
import urllib.error
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Union

import torch
from torch.utils.data import DataLoader, Dataset

from nnlint.confirm.child import sample
from nnlint.confirm.child.inference import Guess, Inference
from nnlint.confirm.child.layout import Form, Layout, form_of
from nnlint.confirm.child.trial import Trial
from nnlint.confirm.records import Synthetic

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_MARK = "_nnlint_standin"
_ITEMS = 1024
_NAMES = 10  # entries of what the data would have told
_NUMBER = 32  # a length that the data would have told


class StandIns:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._trial = Trial()
        self._inference = Inference(probe, self._trial)
        self._layouts: dict[type, Layout] = {}
        self._given: Union[Layout, None] = None

    def install(self) -> None:
        if self._probe.job.synthetic != "auto":
            try:
                self._given = sample.load(self._probe.job.synthetic)
            except sample.Unusable as reason:
                self._probe.note(str(reason))
        self._trial.install()
        self._watch_classes()
        self._watch_loaders()
        self._watch_split()

    def _watch_classes(self) -> None:
        """Classes made from now on: torch itself has been imported, and its own datasets hold what they are given."""
        standins, original = self, Dataset.__init_subclass__.__func__  # type: ignore[attr-defined]

        def init_subclass(cls: type, **kwargs: Any) -> None:
            original(cls, **kwargs)
            for name, wrap in standins._wrappers.items():
                method = cls.__dict__.get(name)
                if inspect.isfunction(method):
                    setattr(cls, name, wrap(method))

        Dataset.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment, arg-type]
        Dataset.__getattr__ = lambda this, name: standins._attribute(this, name)  # type: ignore[attr-defined]

    @property
    def _wrappers(self) -> dict[str, Any]:
        return {"__init__": self._construct, "__getitem__": self._item, "__len__": self._length, "__iter__": self._iterate}

    def _construct(self, original: Any) -> Any:
        @functools.wraps(original)
        def construct(this: Any, *args: Any, **kwargs: Any) -> None:
            try:
                original(this, *args, **kwargs)
            except Exception as error:
                # What comes after a base's constructor may need the data, too.
                if not _stands_in(this) and not absent(error):
                    raise
                self._replace(this, error)

        return construct

    def _item(self, original: Any) -> Any:
        @functools.wraps(original)
        def item(this: Any, index: Any) -> Any:
            if not _stands_in(this):
                try:
                    return original(this, index)
                except Exception as error:
                    if not absent(error):
                        raise
                    self._replace(this, error)
            layout = self._layout(this)
            if layout is None:
                raise RuntimeError(f"nnlint could not infer what an item of `{type(this).__name__}` looks like")
            if isinstance(index, (list, slice)):
                raise TypeError("a stand-in gives single items")
            number = int(index)
            if number < 0:
                number += len(this)
            return layout.item(number)

        return item

    def _length(self, original: Any) -> Any:
        @functools.wraps(original)
        def length(this: Any) -> Any:
            return vars(this)[_MARK] if _stands_in(this) else original(this)

        return length

    def _iterate(self, original: Any) -> Any:
        @functools.wraps(original)
        def iterate(this: Any) -> Any:
            if _stands_in(this):
                return self._stream(this)
            items = original(this)
            return self._begun(this, items) if inspect.isgenerator(items) else items

        return iterate

    def _begun(self, dataset: Any, items: Iterator[Any]) -> Iterator[Any]:
        """A generator opens its files when it is asked for its first item."""
        try:
            first = next(items, self)
        except Exception as error:
            if not absent(error):
                raise
            self._replace(dataset, error)
            yield from self._stream(dataset)
            return
        if first is not self:
            yield first
            yield from items

    def _stream(self, dataset: Any) -> Iterator[Any]:
        layout = self._layout(dataset)
        if layout is None:
            raise RuntimeError(f"nnlint could not infer what an item of `{type(dataset).__name__}` looks like")
        return (layout.item(index) for index in range(_ITEMS))

    def _replace(self, dataset: Any, error: BaseException) -> None:
        if _stands_in(dataset):
            return
        vars(dataset)[_MARK] = _ITEMS
        self._probe.wire.send(Synthetic(given=self._given is not None))
        cause = " ".join(str(error).split())
        name = type(dataset).__name__
        self._probe.note(f"a stand-in takes the place of `{name}`, whose data is missing ({type(error).__name__}: {cause})")

    def _watch_loaders(self) -> None:
        standins, construct, iterate = self, DataLoader.__init__, DataLoader.__iter__

        @functools.wraps(construct)
        def init(loader: Any, dataset: Any, *args: Any, **kwargs: Any) -> None:
            # A folder that was searched for files, and held none.
            if isinstance(dataset, Dataset) and inspect.isfunction(getattr(type(dataset), "__len__", None)) and not _holder(dataset):
                with contextlib.suppress(Exception):
                    if len(dataset) == 0:  # type: ignore[arg-type]
                        standins._replace(dataset, FileNotFoundError("it found no items"))
            construct(loader, dataset, *args, **kwargs)

        @functools.wraps(iterate)
        def begin(loader: Any) -> Any:
            # Data may turn out to be missing at the first item: stand-ins live in this process.
            loader.num_workers, loader.timeout, loader.prefetch_factor = 0, 0, None
            standins._settle(loader.dataset)
            return iterate(loader)

        DataLoader.__init__ = init  # type: ignore[method-assign, assignment]
        DataLoader.__iter__ = begin  # type: ignore[method-assign]

    def _settle(self, dataset: Any, depth: int = 4) -> None:
        """Infer the items before the loader begins: datasets may hold others."""
        if _stands_in(dataset):
            self._layout(dataset)
        elif depth and isinstance(dataset, Dataset):
            for part in vars(dataset).values():
                for inner in part if isinstance(part, (list, tuple)) else (part,):
                    if isinstance(inner, Dataset):
                        self._settle(inner, depth - 1)

    def _watch_split(self) -> None:
        """Numbers of items that the script knows: the stand-in has as many."""
        module: Any = torch.utils.data
        original = module.random_split

        @functools.wraps(original)
        def split(dataset: Any, lengths: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
            if _stands_in(dataset) and all(isinstance(length, int) for length in lengths):
                vars(dataset)[_MARK] = sum(lengths)
            return original(dataset, lengths, *args, **kwargs)

        module.random_split = module.dataset.random_split = split

    def _layout(self, dataset: Any) -> Union[Layout, None]:
        kind = type(dataset)
        if self._inference.current is not None:
            return self._inference.current
        if kind not in self._layouts:
            form = _form(kind)
            if self._given is not None:
                self._layouts[kind] = sample.fitting(self._given, form)
            else:
                guess = self._inference.guess(form, list(dict.fromkeys(self._layouts.values())))
                if self._trial.active or guess.layout is None:
                    self._tell(kind, guess)
                    return guess.layout
                self._layouts[kind] = guess.layout
                self._tell(kind, guess)
        return self._layouts[kind]

    def _tell(self, kind: type, guess: Guess) -> None:
        if self._trial.active:
            return
        text = f"its items are taken to be {guess.layout}" if guess.layout is not None else "its items cannot be inferred"
        if guess.trouble:
            text += f", with which the script fails ({guess.trouble}): a sample helps, as in --synthetic-data=sample.pt"
        elif guess.layout is not None and not guess.sure:
            text += ", from the network and the loss alone"
        self._probe.note(f"`{kind.__name__}`: {text}")

    def _attribute(self, dataset: Any, name: str) -> Any:
        """What the data would have told: a length is a number, a folder's classes are names. Nothing else can be made up."""
        kind = type(dataset)
        if _stands_in(dataset) and not name.startswith("__"):
            value = _told(kind, name)
            if value is not None:
                vars(dataset)[name] = value
                shown = value if isinstance(value, int) else f"{len(value)} entries"
                self._probe.note(f"`{kind.__name__}.{name}` comes from the missing data, and is taken to be {shown}")
                return value
            raise AttributeError(f"`{name}` of `{kind.__name__}` comes from the missing data, and cannot be made up")
        raise AttributeError(f"'{kind.__name__}' object has no attribute '{name}'")


def _holder(dataset: Any) -> bool:
    """Whether it is one of torch's own datasets, which hold what they are given."""
    return type(dataset).__module__.startswith("torch.")


def _stands_in(thing: Any) -> bool:
    return isinstance(thing, Dataset) and _MARK in getattr(thing, "__dict__", {})


def _form(kind: type) -> Union[Form, None]:
    for name in ("__getitem__", "__iter__"):
        method = getattr(kind, name, None)
        form = form_of(method) if inspect.isfunction(method) else None
        if form is not None:
            return form
    return None


def needing(error: BaseException) -> str:
    """The class of the dataset whose code has failed for missing data."""
    trace = error.__traceback__ if absent(error) else None
    while trace is not None:
        code, names = trace.tb_frame.f_code, trace.tb_frame.f_locals
        this = names.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(this, Dataset) and not _holder(this):
            return type(this).__name__
        trace = trace.tb_next
    return ""


def absent(error: Union[BaseException, None]) -> bool:
    """Whether an error tells of data that is not there: a file, a server, or a library's own look for them."""
    first = error
    while error is not None:
        if isinstance(error, (FileNotFoundError, NotADirectoryError, ConnectionError, TimeoutError, urllib.error.URLError)):
            return True
        if isinstance(error, OSError) and error.errno is None:
            return True  # the errors of download libraries
        error = error.__cause__ or error.__context__
    return isinstance(first, (RuntimeError, AssertionError)) and _raised(first.__traceback__)


def _raised(trace: Union[TracebackType, None]) -> bool:
    """Whether Python code has raised an error itself, rather than a native function that it had called."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    import dis

    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"


def _told(kind: type, name: str) -> Union[int, list[str], dict[str, int], None]:
    """By the expression that the class assigns to an attribute, or returns for a property."""
    if any(base.__module__.startswith("torchvision.") and base.__name__ == "DatasetFolder" for base in kind.__mro__):
        names = [str(number) for number in range(_NAMES)]
        known: dict[str, Any] = {"classes": names, "class_to_idx": {word: number for number, word in enumerate(names)}}
        if name in known:
            return known[name]  # type: ignore[no-any-return]
    for value in _values(kind, name):
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "len":
            return _NUMBER
    return None


def _values(kind: type, name: str) -> Iterator[ast.expr]:
    for base in kind.__mro__:
        if base.__module__.startswith("torch."):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                yield from (node.value for target in node.targets if isinstance(target, ast.Attribute) and target.attr == name)
            elif isinstance(node, ast.FunctionDef) and node.name == name:
                yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value is not None)
