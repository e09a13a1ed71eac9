"""Where a program may start: scripts, then whatever no script reached, called as a user of the project would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.layers import LAYERS
from nnlint.knowledge.schema import Kind
from nnlint.program import File
from nnlint.trace import attributes, calls, hooks, modules
from nnlint.trace.arguments import Args
from nnlint.trace.machine import Frame, Machine, bounded
from nnlint.trace.story import Story
from nnlint.trace.values import PAST, Bound, ClassVal, FuncVal, Instance, Network, Optimizer, Unknown, Value, birth

_ACTING = frozenset(
    "backward zero_grad manual_backward training_step compute_loss view reshape cross_entropy nll_loss kl_div binary_cross_entropy "
    "binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss CrossEntropyLoss NLLLoss KLDivLoss BCELoss BCEWithLogitsLoss "
    "MSELoss L1Loss SmoothL1Loss HuberLoss MultiMarginLoss CTCLoss".split()
)
_NORMS = frozenset("BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d SyncBatchNorm".split())
TELLING = _ACTING | _NORMS
"""A function that names none of these has nothing to tell on its own."""
_AFFINE = frozenset(name.rpartition(".")[2] for name, layer in LAYERS.items() if layer.bias and layer.op.kind is Kind.AFFINE)
_VIEWS = frozenset({"view", "reshape"})
_BUILTIN = frozenset(name for kind in (dict, list, set, str, tuple) for name in dir(kind))
"""Methods of what is no network."""
_CALLED = frozenset({"__getitem__", "__call__", "__iter__", "__next__"})
"""What Python calls for the user: a dataset's items, a transform."""


def script(m: Machine, file: File) -> Iterator[Story]:
    """The story of a file that is run; of any other only where an import of it has failed."""
    if is_script(file):
        story = m.begin(file.key, script=True)
        with bounded(story):
            story = modules.main(m, file)
        PAST.files |= story.files
        PAST.names |= story.names
        yield story
    elif m.imported[file.key].trouble:
        yield m.imported[file.key]


def is_script(file: File) -> bool:
    """A file that does something when it is run, beyond definitions and constants."""
    if file.key.endswith(".ipynb"):
        return True
    return any(_acts(statement) for statement in file.module.body)


def _acts(statement: r.Stmt) -> bool:
    if isinstance(statement, (r.For, r.While, r.With)):
        return True
    if isinstance(statement, r.ExprStmt):
        return isinstance(statement.value, r.Call)
    if isinstance(statement, (r.If, r.Try)):
        return any(_acts(inner) for inner in statement.body)
    if isinstance(statement, r.Assign):
        return isinstance(statement.value, r.Call)
    return False


def driven(m: Machine, left: Leftovers, key: str) -> Iterator[Story]:
    """Functions that lead to a training that no script has started: entry points of a package, called by a console script or a test."""
    for func in left.defined.get(key, ()):
        if not left.called(func) and not _reached(m, func) and calls.trains(m, func):
            story = m.begin(key, script=False)
            with bounded(story):
                _try_function(m, func, None)
            yield story


def _functions(body: tuple[r.Stmt, ...]) -> Iterator[r.Function]:
    for statement in body:
        if isinstance(statement, r.Function):
            yield statement
        elif isinstance(statement, r.Class):
            yield from _functions(statement.body)


class Leftovers:
    """What may be left to be told when all scripts have run: classes, each with the names that make a method of it worth a look, and
    functions. First those that no other one names: they lead to the others as a user would come to them."""

    def __init__(self, m: Machine, files: Sequence[File]) -> None:
        telling = TELLING | _helpers(func for file in files for func in file.module.body if isinstance(func, r.Function))
        named = telling | {
            cls.name
            for file in files
            for cls in file.module.body
            if isinstance(cls, r.Class) and any(func.words & telling for func in _functions((cls,)))
        }
        frames = [m.namespaces[file.key] for file in files if file.module.words & named]
        found = [(cls, frame) for frame in frames for cls in frame.vars.values() if isinstance(cls, ClassVal) and cls.file is frame.file]
        users = _users(found)
        helpers = {
            id(frame): TELLING | _helpers(value.node for value in frame.vars.values() if isinstance(value, FuncVal)) for frame in frames
        }
        told = {cls.node for cls, frame in found if calls.words(cls) & helpers[id(frame)]}
        waiting = list(told)
        while waiting:  # what leads to something that is told is told too
            new = users.get(waiting.pop(), set()) - told
            told |= new
            waiting += new
        # After those that use them, or that they are built on.
        self.later = set(users) | {cls.node for cls, _ in found if any(base.node in told for base in _elsewhere(cls))}
        self.classes: dict[str, list[tuple[ClassVal, frozenset[str]]]] = {}
        all_classes = [value for file in files for value in m.namespaces[file.key].vars.values() if isinstance(value, ClassVal)]
        extended = {base.node for cls in all_classes for base in attributes.mro(cls) if isinstance(base, ClassVal) and base is not cls}
        telling_in: dict[int, frozenset[str]] = {}
        for cls, frame in found:
            if cls.node in extended and _abstract(cls):
                continue  # nobody makes one; what it does is told of those built on it
            if id(frame) not in telling_in:
                more = {name for name, value in frame.vars.items() if isinstance(value, ClassVal) and value.node in told}
                telling_in[id(frame)] = helpers[id(frame)] | more
            self.classes.setdefault(frame.file.key, []).append((cls, telling_in[id(frame)]))
        self.defined = {file.key: _defined(m.namespaces[file.key]) for file in files}
        self.builders: set[object] = set().union(
            *(_builders([part for part in file.module.body if isinstance(part, r.Function)]) for file in files)
        )
        self.functions = {
            key: [func for func in defined if _tells(func.node) or func.node in self.builders] for key, defined in self.defined.items()
        }
        self._callers = _callers([m.namespaces[file.key] for file in files])

    def called(self, func: FuncVal) -> bool:
        """Whether another function of a module that knows it has its name in it."""
        return bool(self._callers.get(id(func), set()) - {func.node})


def _abstract(cls: ClassVal) -> bool:
    """Whether methods of a class are left to those that are built on it."""
    methods = [part for part in cls.node.body if isinstance(part, r.Function) and part.body]
    return any(
        (isinstance(method.body[-1], r.Raise) and "NotImplementedError" in method.words)
        or any(
            isinstance(mark, (r.Name, r.Attr)) and "abstractmethod" in (mark.id if isinstance(mark, r.Name) else mark.name)
            for mark in method.decorators
        )
        for method in methods
    )


def _elsewhere(cls: ClassVal) -> list[ClassVal]:
    """The classes of other files that a class is built on."""
    return [base for base in attributes.mro(cls) if isinstance(base, ClassVal) and base.file is not cls.file]


def _defined(frame: Frame) -> list[FuncVal]:
    """The functions of a file that can be had by a name."""
    return [value for value in frame.vars.values() if isinstance(value, FuncVal) and value.file is frame.file]


def _callers(frames: Iterable[Frame]) -> dict[int, set[object]]:
    """By function, those that have its name in them where it is known by its own name."""
    callers: dict[int, set[object]] = {}
    for frame in frames:
        known = {name: value for name, value in frame.vars.items() if isinstance(value, FuncVal) and value.name == name}
        for node in _functions(frame.file.module.body):
            for name in node.words & known.keys():
                callers.setdefault(id(known[name]), set()).add(node)
    return callers


def classes(m: Machine, left: Leftovers, key: str, later: bool) -> Iterator[Story]:
    """Classes of a file that no script used."""
    for cls, telling in left.classes.get(key, ()):
        if (cls.node in left.later) is later and _has_more(m, cls, telling):
            story = m.begin(key, script=False)
            with bounded(story):
                _try_class(m, cls, telling)
            yield story


def functions(m: Machine, left: Leftovers, key: str, later: bool) -> Iterator[Story]:
    """Functions of a file that nothing has come to."""
    for func in left.functions.get(key, ()):
        if left.called(func) is later and not _reached(m, func):
            story = m.begin(key, script=False)
            with bounded(story):
                made = _try_function(m, func, None)
                if func.node in left.builders and isinstance(made, Network):
                    _apply(m, made, func)
            yield story


def _builders(functions: list[r.Function]) -> set[object]:
    """Functions of a file that build layers with a normalisation or without, and those that lead to them: each may decide it in its own
    way. Those of other files are many in a library that builds all it has through one function."""
    found = {func for func in functions if _chooses(func)}
    while True:
        names = {func.name for func in found}
        new = {func for func in functions if func not in found and func.words & names}
        if not new:
            return set(found)
        found |= new


def _chooses(func: r.Function) -> bool:
    """Whether a function builds a layer with a bias and, under a condition, something behind it, for its callers."""
    if not func.words & _AFFINE or not (func.words & _NORMS or _applies(func)):
        return False
    parts = list(r.walk(func.body))
    if not any(isinstance(part, r.Return) and part.value is not None for part in parts):
        return False
    called = (part.func for part in parts if isinstance(part, r.Call))
    built = (callee.name if isinstance(callee, r.Attr) else callee.id for callee in called if isinstance(callee, (r.Attr, r.Name)))
    return any(isinstance(part, (r.If, r.IfExp)) for part in parts) and not _AFFINE.isdisjoint(built)


def _apply(m: Machine, network: Network, func: FuncVal) -> None:
    """What a function has built is applied to data by those who called it."""
    from nnlint.trace import measures, tensors

    site = Site(func.file.key, func.node.at)
    data = tensors.make(m, tensors.INPUT, site, (), {}, layout=measures.unknown("input"))
    data.exact = False
    calls.call(m, network, Args([data]), site)


def _users(found: list[tuple[ClassVal, Frame]]) -> dict[r.Class, set[r.Class]]:
    """By class, the other classes that name it in their methods."""
    users: dict[r.Class, set[r.Class]] = {}
    for cls, frame in found:
        for name in calls.words(cls):
            value = frame.vars.get(name)
            if isinstance(value, ClassVal) and value is not cls:
                users.setdefault(value.node, set()).add(cls.node)
    return users


def _helpers(functions: Iterable[Union[r.Function, r.Lambda]]) -> frozenset[str]:
    """The names of functions that view what they are given, or that build layers of which others decide what comes behind them."""
    return frozenset(func.name for func in functions if isinstance(func, r.Function) and (func.words & _VIEWS or _chooses(func)))


def _tells(func: r.Function | r.Lambda) -> bool:
    """Whether a function has something to tell on its own; of layers that it only builds there is nothing to tell."""
    return isinstance(func, r.Function) and (bool(func.words & _ACTING) or (bool(func.words & _NORMS) and _applies(func)))


def _applies(func: r.Function) -> bool:
    """Whether something that the function holds may be applied to data: it calls more than what its module names, and not with numbers."""
    names = frozenset().union(*(part.locals for part in r.walk(func) if isinstance(part, r.Function)))
    for part in r.walk(func.body):
        if isinstance(part, r.Call) and not all(isinstance(arg.value, r.Const) for arg in part.args):
            callee = part.func
            if isinstance(callee, r.Attr) and callee.name in _BUILTIN:
                continue
            while isinstance(callee, r.Attr):
                callee = callee.value
            if not isinstance(callee, r.Name) or callee.id in names:
                return True
    return False


def _open() -> Args:
    args = Args()
    args.open = True
    return args


def _has_more(m: Machine, cls: ClassVal, telling: frozenset[str]) -> bool:
    """Whether a class has anything to tell that no script came to."""
    forward = attributes.method(cls, "forward")
    unused = (cls.file.key, cls.node.at) not in m.visited or (forward is not None and not _reached(m, forward))
    if unused and calls.words(cls) & telling:
        return True
    if any(not _reached(m, func) for func, _ in hooks.hooks(cls)):
        return True
    return any(isinstance(func.node, r.Function) and func.node.words & telling and not _reached(m, func) for func in _methods(cls).values())


def _try_class(m: Machine, cls: ClassVal, telling: frozenset[str]) -> None:
    """Let its framework run it, and call what is public; on an object that a script made, or else on one made with the defaults."""
    site = Site(cls.file.key, cls.node.at)
    args = Args()
    args.loose = True
    known = m.objects.get((cls.file.key, cls.node.at))
    made = known if known is not None else calls.construct(m, cls, args, site)
    if isinstance(made, (Network, Instance)):
        hooks.run(m, made, cls)
    if not isinstance(made, (Network, Instance, Optimizer)):
        return
    methods = _methods(cls)
    own = {name for name, found in methods.items() if found.owner is cls}
    called = {name for caller, found in methods.items() for name in found.node.words & own if name != caller}  # type: ignore[union-attr]
    # First those that nothing else calls: they lead to the others as a user would come to them.
    for name, found in sorted(methods.items(), key=lambda pair: pair[0] in called):
        if name == "forward" and isinstance(made, Network):
            if not _reached(m, found):
                m.networks.append(made)
                _try_function(m, found, made)
                m.networks.pop()
        elif _telling(cls, name, found, telling) and not all(_reached(m, methods[part]) for part in (name, *_overridden(cls, found, own))):
            _try_function(m, found, made)


def _reached(m: Machine, func: FuncVal) -> bool:
    return (func.file.key, func.node.at) in m.reached


def _methods(cls: ClassVal) -> dict[str, FuncVal]:
    """All methods of a class, inherited ones too, but those that Python calls for the user."""
    names = dict.fromkeys(name for base in attributes.mro(cls) if isinstance(base, ClassVal) for name in base.attrs)
    found = {name: attributes.method(cls, name) for name in names}
    return {
        name: func
        for name, func in found.items()
        if func is not None
        and func.owner is not None
        and isinstance(func.node, r.Function)
        and (not name.startswith("__") or (name in _CALLED and func.node.words & _VIEWS))
    }


def _telling(cls: ClassVal, name: str, func: FuncVal, telling: frozenset[str]) -> bool:
    """Whether a method, or one of the same name that it extends, has something to tell."""
    extends = isinstance(func.node, r.Function) and name in func.node.words
    line = [base.attrs.get(name) for base in attributes.mro(cls) if isinstance(base, ClassVal)] if extends else [func]
    return any(isinstance(found, FuncVal) and isinstance(found.node, r.Function) and found.node.words & telling for found in line)


def _overridden(cls: ClassVal, func: FuncVal, own: set[str]) -> set[str]:
    """The methods of a class that an inherited method calls: with them it does something of its own."""
    if func.owner is cls or not isinstance(func.node, r.Function):
        return set()
    return {name for name in func.node.words & own if name != func.name}


def _try_function(m: Machine, func: FuncVal, receiver: Value | None) -> Value:
    site = Site(func.file.key, func.node.at)
    if m.networks and receiver is not None:
        return _forward(m, func, receiver, site)
    return calls.call(m, Bound(receiver, func) if receiver is not None else func, _open(), site)


def _forward(m: Machine, func: FuncVal, receiver: Value, site: Site) -> Value:
    """A `forward` gets tensors for the parameters that have no default."""
    from nnlint.trace import measures, tensors

    args = Args()
    for param in func.node.params[1:]:
        if param.kind == "positional" and param.default is None:
            born = birth()
            guess = Unknown(("param", func.file.key, func.node.at, param.name, born), param.name, born)
            made = tensors.make(m, tensors.INPUT, site, (), {}, layout=measures.unknown(param.name))
            made.exact = False
            m.guesses[guess.key] = made
            args.positional.append(guess)
        else:
            break
    return calls.call(m, Bound(receiver, func), args, site)
