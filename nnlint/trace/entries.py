"""Where a program may start: scripts, then whatever no script reached, called as a user of the project would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.program import File, Program
from nnlint.trace import attributes, calls, hooks, modules
from nnlint.trace.arguments import Args
from nnlint.trace.machine import BudgetSpent, Frame, Machine
from nnlint.trace.story import Story
from nnlint.trace.values import Bound, ClassVal, FuncVal, Instance, Network, Optimizer, Unknown, Value, birth

_ACTING = frozenset(
    "backward zero_grad manual_backward training_step compute_loss view reshape cross_entropy nll_loss kl_div binary_cross_entropy "
    "binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss CrossEntropyLoss NLLLoss KLDivLoss BCELoss BCEWithLogitsLoss "
    "MSELoss L1Loss SmoothL1Loss HuberLoss MultiMarginLoss CTCLoss".split()
)
_NORMS = frozenset("BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d SyncBatchNorm".split())
TELLING = _ACTING | _NORMS
"""A function that names none of these has nothing to tell on its own."""
_VIEWS = frozenset({"view", "reshape"})
_BUILTIN = frozenset(name for kind in (dict, list, set, str, tuple) for name in dir(kind))
"""Methods of what is no network."""
_CALLED = frozenset({"__getitem__", "__call__", "__iter__", "__next__"})
"""What Python calls for the user: a dataset's items, a transform."""


def stories(program: Program, budget: int = 200_000, entries: Union[Container[str], None] = None) -> Iterator[Story]:
    """The stories of a project, one for each entry point, in the order of the paths; or those that start in the files `entries`."""
    m = Machine(program, budget)
    ordered = [program.files[key] for key in sorted(program.files) if entries is None or key in entries]
    for file in ordered:
        if _is_script(file):
            story = m.begin(file.key, script=True)
            with _bounded(story):
                story = modules.main(m, file)
            yield story
    for file in ordered:
        yield from _driven(m, file)
    files = program.files.values()
    telling = TELLING | _helpers(func for file in files for func in file.module.body if isinstance(func, r.Function))
    named = telling | {
        cls.name
        for file in files
        for cls in file.module.body
        if isinstance(cls, r.Class) and any(func.words & telling for func in _functions((cls,)))
    }
    yield from _unreached_classes(m, [file for file in ordered if file.module.words & named])
    for file in ordered:
        if file.module.words & TELLING:
            yield from _unreached_functions(m, file)


@contextmanager
def _bounded(story: Story) -> Iterator[None]:
    """A story may end early: its budget is spent, or nnlint itself is at fault, which is said and does not stop the others."""
    try:
        yield
    except BudgetSpent:
        story.cut = True
    except Exception as error:  # noqa: BLE001 (the user is told, and the other stories go on)
        story.trouble = f"{type(error).__name__}: {error}"


def _is_script(file: File) -> bool:
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


def _driven(m: Machine, file: File) -> Iterator[Story]:
    """Functions that lead to a training that no script has started: entry points of a package, called by a console script or a test."""
    if not any(isinstance(statement, r.Function) for statement in file.module.body):
        return
    frame = None
    with _bounded(m.begin(file.key, script=False)):
        frame = modules.namespace(m, file.key)
    functions = [value for value in frame.vars.values() if isinstance(value, FuncVal) and value.file is file] if frame is not None else []
    for func in functions:
        if isinstance(func.node, r.Function) and not _reached(m, func) and not _called(m, func) and calls.trains(m, func):
            story = m.begin(file.key, script=False)
            with _bounded(story):
                _try_function(m, func, None)
            yield story


def _called(m: Machine, func: FuncVal) -> bool:
    """Whether another function of a module that knows it has its name in it."""
    return any(
        _naming(m, frame.file)[func.name] > (func.file is frame.file and isinstance(func.node, r.Function) and func.name in func.node.words)
        for frame in list(m.namespaces.values())
        if frame.vars.get(func.name) is func
    )


def _naming(m: Machine, file: File) -> Counter[str]:
    """How many functions of a file have a name in them, for all names."""
    if file.key not in m.naming:
        m.naming[file.key] = Counter(name for func in _functions(file.module.body) for name in func.words)
    return m.naming[file.key]


def _functions(body: tuple[r.Stmt, ...]) -> Iterator[r.Function]:
    for statement in body:
        if isinstance(statement, r.Function):
            yield statement
        elif isinstance(statement, r.Class):
            yield from _functions(statement.body)


def _unreached_classes(m: Machine, files: list[File]) -> Iterator[Story]:
    """Classes that no script used; first those that no other one names: they give the others what their authors meant for them."""
    frames: list[Frame] = []
    for file in files:
        story = m.begin(file.key, script=False)
        frame = None
        with _bounded(story):
            frame = modules.namespace(m, file.key)
        if frame is not None:
            frames.append(frame)
        elif story.trouble:
            yield story
    found = [(cls, frame) for frame in frames for cls in frame.vars.values() if isinstance(cls, ClassVal) and cls.file is frame.file]
    users = _users(found)
    words = {id(frame): TELLING | _helpers(value.node for value in frame.vars.values() if isinstance(value, FuncVal)) for frame in frames}
    told = {cls.node for cls, frame in found if calls.words(cls) & words[id(frame)]}
    waiting = list(told)
    while waiting:  # what leads to something that is told is told too
        new = users.get(waiting.pop(), set()) - told
        told |= new
        waiting += new
    for cls, frame in sorted(found, key=lambda pair: pair[0].node in users):
        telling = words[id(frame)] | {name for name, value in frame.vars.items() if isinstance(value, ClassVal) and value.node in told}
        if _has_more(m, cls, telling):
            story = m.begin(frame.file.key, script=False)
            with _bounded(story):
                _try_class(m, cls, telling)
            yield story


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
    """The names of functions that view what they are given."""
    return frozenset(func.name for func in functions if isinstance(func, r.Function) and func.words & _VIEWS)


def _unreached_functions(m: Machine, file: File) -> Iterator[Story]:
    """Functions of a file that nothing has come to; first those that no other one calls."""
    frame = None
    with _bounded(m.begin(file.key, script=False)):
        frame = modules.namespace(m, file.key)
    left = [
        value
        for value in (frame.vars.values() if frame is not None else ())
        if isinstance(value, FuncVal) and value.file is file and isinstance(value.node, r.Function) and _tells(value.node)
    ]
    for func in sorted((func for func in left if not _reached(m, func)), key=lambda func: _called(m, func)):
        if not _reached(m, func):
            story = m.begin(file.key, script=False)
            with _bounded(story):
                _try_function(m, func, None)
            yield story


def _tells(func: r.Function) -> bool:
    """Whether a function has something to tell on its own; of layers that it only builds there is nothing to tell."""
    return bool(func.words & _ACTING) or (bool(func.words & _NORMS) and _applies(func))


def _applies(func: r.Function) -> bool:
    """Whether something that the function holds may be applied to data: it calls more than what its module names."""
    names = frozenset().union(*(part.locals for part in r.walk(func) if isinstance(part, r.Function)))
    for part in r.walk(func.body):
        if isinstance(part, r.Call):
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


def _try_function(m: Machine, func: FuncVal, receiver: Value | None) -> None:
    site = Site(func.file.key, func.node.at)
    if m.networks and receiver is not None:
        _forward(m, func, receiver, site)
        return
    calls.call(m, Bound(receiver, func) if receiver is not None else func, _open(), site)


def _forward(m: Machine, func: FuncVal, receiver: Value, site: Site) -> None:
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
    calls.call(m, Bound(receiver, func), args, site)
