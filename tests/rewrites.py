"""Rewrites of programs that keep their meaning: sources by path in and out; where one does not apply it raises `NotApplicable`."""

from __future__ import annotations

import dis
import itertools
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, cast

import libcst as cst
from libcst.metadata import Assignment, ClassScope, ComprehensionScope, GlobalScope, Scope
from members import rename_members
from units import (
    ImportStatement,
    NotApplicable,
    Sources,
    Statement,
    Swap,
    Unit,
    dotted,
    fresh,
    project,
    refuse_namespaces,
    shared,
    unit,
    written,
)

Rewrite = Callable[[Sources], Sources]

MODULES = set(
    "torch torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.utils.rnn torch.nn.utils.parametrizations torch.optim "
    "torch.optim.lr_scheduler torch.optim.swa_utils torch.utils torch.utils.data torch.distributions torch.func torch.autograd".split()
)
# Calls in a constant that neither draw random numbers nor depend on when they are made.
PURE = set("torch.device torch.cuda.is_available math.sqrt math.log range len tuple list dict set".split())


# 1. Other names


def rename(sources: Sources) -> Sources:
    """Locals, parameters that are not passed by keyword, and globals of one file get names without a meaning."""
    units = {key: unit(text) for key, text in sources.items()}
    refuse_namespaces(units.values())
    names = fresh(units.values(), "q")
    keywords = set[str]().union(*(each.words.keywords for each in units.values()))
    if any(each.words.double_starred for each in units.values()):
        keywords |= set[str]().union(*(each.words.strings for each in units.values()))
    return {key: _renamed(each, names, shared(units, key), keywords) for key, each in units.items()}


def _renamed(each: Unit, names: Iterator[str], kept: Callable[[str], bool], keywords: set[str]) -> str:
    new: dict[cst.CSTNode, cst.BaseExpression] = {}
    chosen: dict[tuple[Scope, str], str] = {}
    for scope, found in each.bound.items():
        if isinstance(scope, ClassScope) or not isinstance(scope, (GlobalScope, ComprehensionScope, cst.metadata.FunctionScope)):
            continue
        for name, assignments in found.items():
            nodes = [*(written(assignment) for assignment in assignments), *each.uses(scope, name)]
            parameter = any(isinstance(assignment, Assignment) and isinstance(assignment.node, cst.Param) for assignment in assignments)
            if name.startswith("__") or name in each.words.annotations or None in nodes:
                continue
            if (parameter and name in keywords) or (isinstance(scope, GlobalScope) and kept(name)):
                continue
            chosen[scope, name] = next(names)
            new |= {node: node.with_changes(value=chosen[scope, name]) for node in nodes if node is not None}

    class Declarations(cst.CSTVisitor):
        def visit_NameItem(self, node: cst.NameItem) -> None:
            scope = each.scope_of[node.name] or each.globals
            holders = [owner for owner in (scope, scope.parent, scope.globals) if (owner, node.name.value) in chosen]
            if holders:
                new[node.name] = node.name.with_changes(value=chosen[holders[0], node.name.value])

    if each.words.declared:
        each.module.visit(Declarations())
    return each.module.visit(Swap(new)).code


def alike(old: types.CodeType, new: types.CodeType, globals: dict[str, str], members: dict[str, str]) -> bool:
    """Whether two codes differ in nothing but the names of locals, and of globals and members one to one: all scopes stayed."""
    pairs = list(itertools.zip_longest(dis.get_instructions(old), dis.get_instructions(new)))
    if any(a is None or b is None or a.opname != b.opname for a, b in pairs):
        return False
    stored = {a.argval for a, _ in pairs if a.opname == "STORE_NAME"} if old.co_name != "<module>" else set()
    for a, b in pairs:
        if isinstance(a.argval, types.CodeType):
            if not isinstance(b.argval, types.CodeType) or not alike(a.argval, b.argval, globals, members):
                return False
        elif a.opname.startswith("IMPORT_"):
            if a.argval != b.argval:
                return False
        elif a.opname.endswith(("_GLOBAL", "_NAME")):
            known = members if a.argval in stored else globals
            if (known is globals or a.argval != b.argval) and known.setdefault(a.argval, b.argval) != b.argval:
                return False
        elif a.opcode in dis.hasname:
            if a.argval != b.argval and members.setdefault(a.argval, b.argval) != b.argval:
                return False
        elif a.opcode in dis.hasconst and not isinstance(a.argval, str):  # a string may be the name of a function
            words = isinstance(a.argval, tuple) and all(isinstance(word, str) for word in a.argval)
            if a.argval != b.argval and not (words and a.opname in ("KW_NAMES", "LOAD_CONST") and len(a.argval) == len(b.argval)):
                return False
    return True


# 2. Other imports

Style = Literal["alias", "direct", "dotted"]


class Binding(NamedTuple):
    """What an import binds: `name` stands for `path`. `loads` is the `a.b` of an `import a.b`, which binds only `a`."""

    scope: Scope
    name: str
    path: str
    module: bool
    loads: str = ""


def bindings(each: Unit, statement: ImportStatement, own: set[str]) -> list[Binding]:
    """Of an import from outside the program."""
    scope = each.scope_of[statement]
    if scope is None or isinstance(statement.names, cst.ImportStar):
        return []
    if isinstance(statement, cst.ImportFrom):
        source = dotted(statement.module)
        if statement.relative or source == "__future__" or source.split(".")[0] in own:
            return []
        paths = [(f"{source}.{dotted(alias.name)}", alias.evaluated_alias or dotted(alias.name)) for alias in statement.names]
        return [Binding(scope, name, path, path in MODULES) for path, name in paths]
    found = []
    for alias in statement.names:
        path = dotted(alias.name)
        root = path.split(".")[0]
        if alias.evaluated_alias or path == root:
            found.append(Binding(scope, alias.evaluated_alias or path, path, True))
        else:
            found.append(Binding(scope, root, root, True, path))
    return [] if any(binding.path.split(".")[0] in own for binding in found) else found


def restyle(style: Style, sources: Sources) -> Sources:
    """What comes from outside the program is imported in another way."""
    units = {key: unit(text) for key, text in sources.items()}
    names = fresh(units.values(), "lib")
    new = {key: _restyled(each, style, names, shared(units, key), project(units)) for key, each in units.items()}
    if new == sources:
        raise NotApplicable("no import could be written otherwise")
    return new


def _restyled(each: Unit, style: Style, names: Iterator[str], kept: Callable[[str], bool], own: set[str]) -> str:
    new: dict[cst.CSTNode, cst.BaseExpression] = {}
    lines: dict[ImportStatement, list[str]] = {}
    of = {statement: bindings(each, statement, own) for statement in each.words.imports}
    targets: dict[tuple[Scope, str], set[str]] = defaultdict(set)
    for binding in itertools.chain(*of.values()):
        targets[binding.scope, binding.name].add(binding.path)

    def free(binding: Binding) -> bool:
        """Whether nothing but imports of one thing makes this name, and only this file reads it."""
        made = each.bound[binding.scope].get(binding.name, [])
        return (
            not isinstance(binding.scope, ClassScope)
            and not (binding.scope is each.globals and kept(binding.name))
            and len(targets[binding.scope, binding.name]) == 1
            and all(written(assignment) is None for assignment in made)
            and binding.name not in each.words.annotations
        )

    def unshadowed(root: str) -> bool:
        """Whether a name means the module of that name, or nothing, in all scopes."""
        found = [(scope, assignments[root]) for scope, assignments in each.bound.items() if root in assignments]
        return all(
            targets.get((scope, root)) == {root} and all(written(assignment) is None for assignment in assignments)
            for scope, assignments in found
        )

    seen: dict[tuple[Scope, str], str] = {}
    for statement, found in of.items():
        for binding in found:
            out = lines.setdefault(statement, [])
            uses = each.uses(binding.scope, binding.name)
            parent, _, last = binding.path.rpartition(".")
            root = binding.path.split(".")[0]
            plain = (
                f"import {binding.loads}"
                if binding.loads
                else (f"from {parent} import {last} as {binding.name}" if parent else f"import {last} as {binding.name}")
            )
            if not free(binding) or (style == "dotted" and not (binding.scope is each.globals and unshadowed(root))):
                out.append(plain)
            elif style == "dotted":
                out.append(f"import {binding.loads or (binding.path if binding.module else parent)}")
                new.update((use, cst.parse_expression(binding.path)) for use in uses)
            elif style == "alias":
                name = seen.setdefault((binding.scope, binding.name), next(names))
                out += [f"import {binding.loads}"] if binding.loads else []
                if not parent:
                    out.append(f"import {last} as {name}")
                elif binding.module and isinstance(statement, cst.ImportFrom):
                    out.append(f"import {binding.path} as {name}")
                else:
                    out.append(f"from {parent} import {last} as {name}")
                new.update((use, cst.Name(name)) for use in uses)
            elif binding.module:
                out += _direct(each, binding, uses, names, new, plain)
            else:
                name = seen.setdefault((binding.scope, binding.name), next(names))
                out.append(f"from {parent} import {last} as {name}")
                new.update((use, cst.Name(name)) for use in uses)
    changed = each.module.visit(_Imports(new, lines))
    return changed.code


def _direct(
    each: Unit, binding: Binding, uses: list[cst.Name], names: Iterator[str], new: dict[cst.CSTNode, cst.BaseExpression], plain: str
) -> list[str]:
    """`from torch.nn.functional import relu as lib1` for each thing that is read through a module; the module where it is used as such."""
    local: dict[tuple[str, str], str] = {}
    needed = bool(binding.loads)
    for use in uses:
        path, node = binding.path, each.words.parent.get(use)
        while node is not None and f"{path}.{node.attr.value}" in MODULES:
            path, node = f"{path}.{node.attr.value}", each.words.parent.get(node)
        if node is None or node in each.words.stored or node in new:
            needed = True
        else:
            name = local.get((path, node.attr.value)) or local.setdefault((path, node.attr.value), next(names))
            new[node] = cst.Name(name)
    return ([plain] if needed else []) + [f"from {path} import {attribute} as {name}" for (path, attribute), name in local.items()]


class _Imports(Swap):
    """Writes import statements anew, one to a line."""

    def __init__(self, new: dict[cst.CSTNode, cst.BaseExpression], lines: dict[ImportStatement, list[str]]) -> None:
        super().__init__(new)
        self.lines = lines

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        if not any(isinstance(small, (cst.Import, cst.ImportFrom)) and self.lines.get(small) for small in original_node.body):
            return updated_node
        made: list[cst.SimpleStatementLine] = []
        for old, small in zip(original_node.body, updated_node.body):
            lines = self.lines.get(old, []) if isinstance(old, (cst.Import, cst.ImportFrom)) else []
            unique = dict.fromkeys(lines)
            made += [cast(cst.SimpleStatementLine, cst.parse_statement(line)) for line in unique] or [
                cst.SimpleStatementLine([small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])
            ]
        made[0] = made[0].with_changes(leading_lines=updated_node.leading_lines)
        made[-1] = made[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        return cst.FlattenSentinel(made)


# 3. The script in a function


def script_of(sources: Sources) -> tuple[str, Unit]:
    """The file that is run."""
    key = "train.py" if "train.py" in sources else next(iter(sources))
    for other, text in sources.items():
        for statement in unit(text).words.imports if other != key else ():
            module = dotted(statement.module) if isinstance(statement, cst.ImportFrom) else dotted(statement.names[0].name)
            if module.split(".")[0] == PurePosixPath(key).stem:
                raise NotApplicable("the script is imported by another file")
    return key, unit(sources[key])


def names_at(each: Unit) -> dict[int, set[str]]:
    """The globals that each top-level statement binds."""
    found: dict[int, set[str]] = defaultdict(set)
    for name, assignments in each.bound[each.globals].items():
        for assignment in assignments:
            node = getattr(assignment, "node", None)
            if isinstance(node, cst.CSTNode):
                found[each.words.top_of[node]].add(name)
    return found


def reads_at(each: Unit) -> dict[int, dict[str, bool]]:
    """The globals that each top-level statement reads, and whether it does so at once (not in a body that runs later, nor as a base)."""
    found: dict[int, dict[str, bool]] = defaultdict(dict)
    for name in each.bound[each.globals]:
        for use in each.uses(each.globals, name):
            at_once = use not in each.words.later and use not in each.words.based
            here = found[each.words.top_of[use]]
            here[name] = here.get(name, False) or at_once
    return found


def is_import(statement: Statement) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and all(isinstance(s, (cst.Import, cst.ImportFrom)) for s in statement.body)


def _own(statement: cst.CSTNode, own: set[str]) -> bool:
    """Whether a file of the program is imported."""
    if isinstance(statement, cst.ImportFrom):
        return bool(statement.relative) or dotted(statement.module).split(".")[0] in own
    return isinstance(statement, cst.Import) and any(dotted(alias.name).split(".")[0] in own for alias in statement.names)


def is_docstring(statement: Statement) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and all(
        isinstance(small, cst.Expr) and isinstance(small.value, (cst.SimpleString, cst.ConcatenatedString)) for small in statement.body
    )


def is_guard(statement: Statement) -> bool:
    """`if __name__ == "__main__":` without an else."""
    if not isinstance(statement, cst.If) or statement.orelse is not None or not isinstance(statement.test, cst.Comparison):
        return False
    return (
        isinstance(statement.test.left, cst.Name)
        and statement.test.left.value == "__name__"
        and isinstance(statement.body, cst.IndentedBlock)
    )


def is_constant(each: Unit, statement: Statement, names: set[str]) -> bool:
    """An assignment of something that is the same whenever it is computed, to names that are bound nowhere else."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1 or names & each.words.declared:
        return False
    small = statement.body[0]
    if not isinstance(small, (cst.Assign, cst.AnnAssign)) or small.value is None or not names:
        return False
    if any(len(each.bound[each.globals][name]) != 1 for name in names):
        return False
    imported = {binding.name: binding.path for statement in each.words.imports for binding in bindings(each, statement, set())}

    class Calls(cst.CSTVisitor):
        pure = True

        def visit_Call(self, node: cst.Call) -> None:
            name, _, rest = dotted(node.func).partition(".")
            path = imported.get(name, name) + (f".{rest}" if rest else "")
            self.pure &= path in PURE

        def visit_Subscript(self, node: cst.Subscript) -> None:
            self.pure = False

    calls = Calls()
    small.value.visit(calls)
    return calls.pure


def wrap(sources: Sources) -> Sources:
    """What the script does at its top level is done in a function, called under the usual guard."""
    key, each = script_of(sources)
    refuse_namespaces([each])
    made, read = names_at(each), reads_at(each)
    inside: set[int] = set()
    own = project(sources)
    for at, statement in enumerate(each.tops):
        if isinstance(statement, cst.SimpleStatementLine) and any(_own(small, own) for small in statement.body):
            inside.clear()  # what comes before may be what makes the import work
        if is_import(statement) or is_docstring(statement) or isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            continue
        if not is_constant(each, statement, made[at]):
            inside.add(at)
    script = [each.tops[at] for at in inside]
    if not script:
        raise NotApplicable("nothing happens at the top level")
    if all(is_guard(statement) and len(cast(cst.If, statement).body.body) == 1 for statement in script):
        raise NotApplicable("all the work is in a function already")
    grown = True
    while grown:
        moved = set[str]().union(*(made[at] for at in inside))
        # A definition that needs such a name when it is made, or runs a function that does.
        needing = {name for at in range(len(each.tops)) if at not in inside and moved & read[at].keys() for name in made[at]}
        more = {
            at
            for at in range(len(each.tops))
            if at not in inside and any((name in moved or name in needing) and at_once for name, at_once in read[at].items())
        }
        inside |= more
        grown = bool(more)
    moved = set[str]().union(*(made[at] for at in inside))
    outside = set[str]().union(*(read[at].keys() for at in range(len(each.tops)) if at not in inside))
    globals = sorted(moved & (outside | each.words.declared))
    if any(at in inside and is_annotated(each.tops[at], globals) for at in range(len(each.tops))):
        raise NotApplicable("a global variable has an annotation")
    name = next(name for name in ("main", "run", "script") if name not in each.words.names)
    body: list[Statement] = [cst.parse_statement(f"global {', '.join(globals)}")] if globals else []
    for at in sorted(inside):
        body += _unguarded(each.tops[at])
    script_function = cast(cst.FunctionDef, cst.parse_statement(f"def {name}():\n    pass\n"))
    tops = [statement for at, statement in enumerate(each.tops) if at not in inside]
    tops.append(script_function.with_changes(body=cst.IndentedBlock(body), leading_lines=[cst.EmptyLine(), cst.EmptyLine()]))
    tops.append(cst.parse_statement(f'if __name__ == "__main__":\n    {name}()\n'))
    return {**sources, key: each.module.with_changes(body=tops).code}


def is_annotated(statement: Statement, names: Sequence[str]) -> bool:
    smalls = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
    return any(isinstance(small, cst.AnnAssign) and dotted(small.target) in names for small in smalls)


def _unguarded(statement: Statement) -> list[Statement]:
    if not is_guard(statement):
        return [statement]
    return cast(list[Statement], list(cast(cst.If, statement).body.body))


# 4. The networks in another file


def move(package: bool, sources: Sources) -> Sources:
    """The network classes, and what they need, are imported: from the module beside, or from a package that re-exports them."""
    key, each = script_of(sources)
    refuse_namespaces([each])
    made, read = names_at(each), reads_at(each)
    of_name = {name: at for at in made for name in made[at] if len(each.bound[each.globals][name]) == 1}
    imports = {at for at, statement in enumerate(each.tops) if is_import(statement)}
    networks = _networks(each, of_name)
    if not networks:
        raise NotApplicable("the script has no class of a network")
    chosen: set[int] = set()
    for network in networks:
        chosen |= _closure(each, network, of_name, made, read, imports)
    if not chosen:
        raise NotApplicable("the networks need what the script makes")
    rest = [at for at in range(len(each.tops)) if at not in chosen]
    wanted = set[str]().union(*(read[at].keys() for at in rest), *(made[at] for at in networks))
    names = sorted(name for at in chosen for name in made[at] if name in wanted)
    needed = set[str]().union(*(read[at].keys() for at in chosen))
    header = [at for at in imports if made[at] & needed or "import *" in each.module.code_for_node(each.tops[at]) or _future(each.tops[at])]
    other = each.module.with_changes(header=[], footer=[], body=[each.tops[at] for at in sorted({*header, *chosen})])
    start = next(at for at, statement in enumerate(each.tops) if not (is_import(statement) or is_docstring(statement)))
    used = each.words.names | project(sources)
    stem = next(stem for stem in ("parts", "pieces", "shapes_") if stem not in used)
    back = cst.parse_statement(f"from {stem} import {', '.join(names)}")
    first = [each.tops[at] for at in rest if at < start]
    script = each.module.with_changes(body=[*first, back, *(each.tops[at] for at in rest if at >= start)])
    if not package:
        return {**sources, key: script.code, f"{stem}.py": other.code}
    return {**sources, key: script.code, f"{stem}/__init__.py": f"from .inner import {', '.join(names)}\n", f"{stem}/inner.py": other.code}


def _future(statement: Statement) -> bool:
    smalls = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
    return any(isinstance(small, cst.ImportFrom) and dotted(small.module) == "__future__" for small in smalls)


def _networks(each: Unit, of_name: dict[str, int]) -> set[int]:
    """The classes that inherit from something in `torch.nn`, and their heirs."""
    imported = {binding.name: binding.path for statement in each.words.imports for binding in bindings(each, statement, set())}
    found: set[int] = set()
    for at, statement in enumerate(each.tops):
        for base in statement.bases if isinstance(statement, cst.ClassDef) else ():
            name, _, rest = dotted(base.value).partition(".")
            if of_name.get(name) in found or f"{imported.get(name, '')}.{rest}".startswith("torch.nn."):
                found.add(at)
    return found


def _closure(
    each: Unit, start: int, of_name: dict[str, int], made: dict[int, set[str]], read: dict[int, dict[str, bool]], imports: set[int]
) -> set[int]:
    """A statement with all that it needs; nothing if that cannot be moved."""
    found, todo = {start}, [start]
    while todo:
        for name in read[todo.pop()]:
            at = of_name.get(name)
            if at in found or all(name not in made[other] or other in imports for other in range(len(each.tops))):
                continue
            if at is None or name in each.words.declared:
                return set()
            if not isinstance(each.tops[at], (cst.FunctionDef, cst.ClassDef)) and not is_constant(each, each.tops[at], made[at]):
                return set()
            found.add(at)
            todo.append(at)
    return found


REWRITES: dict[str, Rewrite] = {
    "names": rename,
    "members": rename_members,
    "imports-alias": partial(restyle, "alias"),
    "imports-direct": partial(restyle, "direct"),
    "imports-dotted": partial(restyle, "dotted"),
    "main": wrap,
    "sibling": partial(move, False),
    "package": partial(move, True),
}
