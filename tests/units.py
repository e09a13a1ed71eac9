"""What a rewrite must know of a file: its tree, its words, its scopes with what each binds and reads."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Union, cast

import libcst as cst
from libcst.metadata import Assignment, BaseAssignment, ClassScope, GlobalScope, MetadataWrapper, Scope, ScopeProvider

Sources = dict[str, str]
Statement = Union[cst.SimpleStatementLine, cst.BaseCompoundStatement]
ImportStatement = Union[cst.Import, cst.ImportFrom]

# With one of these, a name may be looked up by its spelling; with the latter, the names of a scope are data.
REFLECTION = set("getattr vars __dict__ __name__ __qualname__".split())
SPELLINGS = set("__name__ __qualname__".split())
NAMESPACES = set("globals locals exec eval __main__".split())


class NotApplicable(Exception):
    """Why a rewrite cannot be done on a program."""


class Words(cst.CSTVisitor):
    """What a file says, and where: under which top-level statement, in a body that runs later, among the bases of a class."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.keywords: set[str] = set()
        self.strings: set[str] = set()
        self.annotations: set[str] = set()
        self.declared: set[str] = set()
        self.variables: list[cst.Name] = []
        self.imports: list[ImportStatement] = []
        self.double_starred = False
        self.parent: dict[cst.CSTNode, cst.Attribute] = {}
        self.stored: set[cst.CSTNode] = set()
        self.top_of: dict[cst.CSTNode, int] = {}
        self.later: set[cst.CSTNode] = set()
        self.based: set[cst.CSTNode] = set()
        self._top = -1
        self._stack: list[cst.CSTNode] = []
        self._bodies, self._bases, self._annotations, self._imports = 0, 0, 0, 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        self._top += len(self._stack) == 1 and isinstance(node, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
        self._count(node, 1)
        self.top_of[node] = self._top
        if self._bodies:
            self.later.add(node)
        if self._bases:
            self.based.add(node)
        self._stack.append(node)
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._stack.pop()
        self._count(original_node, -1)
        super().on_leave(original_node)

    def _count(self, node: cst.CSTNode, by: int) -> None:
        up = self._stack[-1] if self._stack else None
        if isinstance(up, (cst.FunctionDef, cst.Lambda)) and up.body is node:
            self._bodies += by
        if isinstance(up, cst.ClassDef) and isinstance(node, cst.Arg):
            self._bases += by
        if isinstance(node, cst.Annotation):
            self._annotations += by
        if isinstance(node, (cst.Import, cst.ImportFrom)):
            self._imports += by

    def visit_Name(self, node: cst.Name) -> None:
        up = self._stack[-2]
        if not (isinstance(up, cst.Attribute) and up.attr is node):
            self.names.add(node.value)
            if not self._imports and not isinstance(up, cst.NameItem) and not (isinstance(up, cst.Arg) and up.keyword is node):
                self.variables.append(node)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self.attributes.add(node.attr.value)
        self.parent[node.value] = node

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self.stored.add(node.target)

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self.keywords.add(node.keyword.value)
        self.double_starred |= node.star == "**"

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        value = node.evaluated_value
        if isinstance(value, str):
            # A name, or the name that argparse makes of an option.
            self.strings.add(value.lstrip("-").replace("-", "_"))
            if self._annotations:
                self.annotations.update(re.findall(r"\w+", value))

    def visit_Import(self, node: cst.Import) -> None:
        self.imports.append(node)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        self.imports.append(node)

    def visit_NameItem(self, node: cst.NameItem) -> None:
        self.declared.add(node.name.value)


class Unit:
    """One file: its tree, its words, and its scopes with what each binds."""

    def __init__(self, text: str) -> None:
        self.module = cst.parse_module(text)
        self.words = Words()
        self.module.visit(self.words)
        self.scope_of = MetadataWrapper(self.module, unsafe_skip_copy=True).resolve(ScopeProvider)
        self.bound: dict[Scope, dict[str, list[BaseAssignment]]] = {}
        for scope in self.scope_of.values():
            if scope is not None and scope not in self.bound:
                names = self.bound[scope] = defaultdict(list)
                for assignment in scope.assignments:
                    names[assignment.name.split(".")[0]].append(assignment)  # `import a.b` binds `a`
        self.globals = next(scope for scope in self.bound if isinstance(scope, GlobalScope))
        writes = {written(assignment) for names in self.bound.values() for found in names.values() for assignment in found}
        self._uses: dict[tuple[Scope, str], list[cst.Name]] = defaultdict(list)
        for node in self.words.variables:
            holder = self.holder(self.scope_of.get(node), node.value)
            if holder is not None and node not in writes:
                self._uses[holder, node.value].append(node)

    def holder(self, scope: Scope | None, name: str) -> Scope | None:
        """The scope that binds a name. (libcst's own answer takes an outer one where the binding comes later in the text.)"""
        start = scope
        while scope is not None and (name not in self.bound[scope] or (isinstance(scope, ClassScope) and scope is not start)):
            scope = None if scope is self.globals else scope.parent
        return scope

    @property
    def definitions(self) -> set[str]:
        """The functions and classes at the top level."""
        return {statement.name.value for statement in self.tops if isinstance(statement, (cst.FunctionDef, cst.ClassDef))}

    @property
    def tops(self) -> Sequence[Statement]:
        return self.module.body

    def uses(self, scope: Scope, name: str) -> list[cst.Name]:
        """Where a binding is read."""
        return self._uses.get((scope, name), [])


@lru_cache(maxsize=16)
def unit(text: str) -> Unit:
    return Unit(text)


def dotted(node: cst.CSTNode | None) -> str:
    """`a.b.c`, or nothing."""
    if isinstance(node, cst.Attribute):
        head = dotted(node.value)
        return head and f"{head}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def written(assignment: BaseAssignment) -> cst.Name | None:
    """The name at which a binding is made; None for an import."""
    node = assignment.node if isinstance(assignment, Assignment) else None
    if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Param)):
        return node.name
    return node if isinstance(node, cst.Name) else None


class Swap(cst.CSTTransformer):
    """Puts other nodes in the place of some."""

    def __init__(self, new: dict[cst.CSTNode, cst.BaseExpression]) -> None:
        super().__init__()
        self.new = new

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        return self.new.get(original_node) or cast(cst.CSTNode, super().on_leave(original_node, updated_node))


def fresh(units: Iterable[Unit], stem: str) -> Iterator[str]:
    """Names that a program does not use yet."""
    used = set[str]().union(*(each.words.names for each in units))
    while any(re.fullmatch(rf"{stem}\d+", word) for word in used):
        stem += "_"
    return (f"{stem}{number}" for number in itertools.count(1))


def project(sources: Collection[str]) -> set[str]:
    """The top-level names that are the program's own."""
    return {part for key in sources for part in (*PurePosixPath(key).parent.parts, PurePosixPath(key).stem)}


def shared(units: dict[str, Unit], key: str) -> Callable[[str], bool]:
    """Whether another file (or a star, or a string) may name a global of this one."""
    own = project(units)
    names: set[str] = set()
    for other, each in units.items():
        names |= each.words.annotations
        if (each.words.names | each.words.attributes) & REFLECTION:
            names |= each.words.strings
        if each.words.attributes & SPELLINGS:
            names |= {name for unit_ in units.values() for name in unit_.definitions}
        if other == key:
            continue
        names |= each.words.attributes
        for statement in each.words.imports:
            inside = isinstance(statement, cst.ImportFrom) and (statement.relative or dotted(statement.module).split(".")[0] in own)
            if not inside:
                continue
            if isinstance(statement.names, cst.ImportStar):
                return lambda name: True
            names |= {dotted(alias.name) for alias in statement.names}
    return names.__contains__


def refuse_namespaces(units: Iterable[Unit]) -> None:
    for each in units:
        for word in each.words.names & NAMESPACES:
            raise NotApplicable(f"the program uses `{word}`")
