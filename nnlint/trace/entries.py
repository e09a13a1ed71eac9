"""Where a program may start: scripts, then whatever no script reached, called as a user of the project would."""

from __future__ import annotations

from collections.abc import Iterator

from nnlint import records as r
from nnlint.findings import Site
from nnlint.program import File, Program
from nnlint.trace import attributes, calls, hooks, modules
from nnlint.trace.arguments import Args
from nnlint.trace.machine import BudgetSpent, Machine
from nnlint.trace.story import Story
from nnlint.trace.values import Bound, ClassVal, FuncVal, Instance, Network, Optimizer, Unknown, Value, birth

TELLING = frozenset(
    "backward step zero_grad eval train view reshape softmax log_softmax sigmoid cross_entropy binary_cross_entropy nll_loss kl_div "
    "Sequential CrossEntropyLoss BCELoss BCEWithLogitsLoss NLLLoss KLDivLoss MSELoss binary_cross_entropy_with_logits manual_backward "
    "BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm2d SyncBatchNorm training_step".split()
)
"""A function that names none of these has nothing to tell on its own."""


def stories(program: Program, budget: int = 400_000) -> Iterator[Story]:
    """The stories of a project, one for each entry point, in the order of the paths."""
    m = Machine(program, budget)
    ordered = [program.files[key] for key in sorted(program.files)]
    for file in ordered:
        if _is_script(file):
            story = m.begin(file.key, script=True)
            try:
                story = modules.main(m, file)
            except BudgetSpent:
                story.cut = True
            yield story
    for file in ordered:
        yield from _unreached(m, file)


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


def _unreached(m: Machine, file: File) -> Iterator[Story]:
    """Functions and classes of a file that no script used."""
    if not (file.module.words & TELLING):
        return
    story = m.begin(file.key, script=False)
    try:
        frame = modules.namespace(m, file.key)
    except BudgetSpent:
        return
    if frame is None:
        return
    for value in list(frame.vars.values()):
        if isinstance(value, ClassVal) and value.file is file and _has_more(m, value):
            story = m.begin(file.key, script=False)
            try:
                _try_class(m, value)
            except BudgetSpent:
                story.cut = True
            yield story
    for value in list(frame.vars.values()):
        if isinstance(value, FuncVal) and value.file is file and isinstance(value.node, r.Function):
            if (file.key, value.node.at) in m.reached or not (value.node.words & TELLING):
                continue
            story = m.begin(file.key, script=False)
            try:
                _try_function(m, value, None)
            except BudgetSpent:
                story.cut = True
            yield story


def _open() -> Args:
    args = Args()
    args.open = True
    return args


def _has_more(m: Machine, cls: ClassVal) -> bool:
    """Whether a class was never used, or has hooks that only a framework calls."""
    if (cls.file.key, cls.node.at) not in m.visited:
        return True
    return any((func.file.key, func.node.at) not in m.reached for func, _ in hooks.hooks(cls))


def _try_class(m: Machine, cls: ClassVal) -> None:
    """Let its framework run it, and call what is public; on an object that a script made, or else on one made with the defaults."""
    site = Site(cls.file.key, cls.node.at)
    args = Args()
    args.loose = True
    known = m.objects.get((cls.file.key, cls.node.at))
    made = known if known is not None else calls.construct(m, cls, args, site)
    if isinstance(made, (Network, Instance)):
        hooks.run(m, made, cls)
    if isinstance(made, Network):
        forward = attributes.method(cls, "forward")
        if forward is not None and (forward.file.key, forward.node.at) not in m.reached:
            m.networks.append(made)
            _try_function(m, forward, made)
            m.networks.pop()
    names = [name for base in attributes.mro(cls) if isinstance(base, ClassVal) for name in base.attrs]
    for name in dict.fromkeys(names):
        if name.startswith("__") or name == "forward":
            continue
        found = attributes.method(cls, name)
        if found is None or found.owner is None or not isinstance(found.node, r.Function):
            continue
        if (found.file.key, found.node.at) in m.reached or not (found.node.words & TELLING):
            continue
        if isinstance(made, (Network, Instance, Optimizer)):
            _try_function(m, found, made)


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
            made = tensors.make(m, tensors.INPUT, site, (), {}, layout=measures.unknown())
            made.exact = False
            m.guesses[guess.key] = made
            args.positional.append(guess)
        else:
            break
    calls.call(m, Bound(receiver, func), args, site)


