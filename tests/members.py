"""Other names for what belongs to the project's classes and functions: attributes, methods, parameters that are passed by keyword."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

import libcst as cst
from libcst.metadata import Assignment, ClassScope, Scope
from units import NotApplicable, Sources, Swap, Unit, dotted, fresh, project, refuse_namespaces, unit, written

# Bases whose own names are known; the heirs of others may be asked for anything.
MODULE = (
    "T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr "
    "float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers "
    "named_children named_modules named_parameters parameters register_backward_hook register_buffer register_forward_hook "
    "register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook "
    "register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook "
    "register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training "
    "type xpu zero_grad"
)
BASES = {
    "object": frozenset[str](),
    "torch.nn.Module": frozenset(MODULE.split()),
    "torch.utils.data.Dataset": frozenset[str](),
    "torch.utils.data.IterableDataset": frozenset[str](),
}
# Methods of a network that give the network back.
FLUENT = {"to", "cuda", "cpu", "train", "eval", "float", "double", "apply"}
# With one of these, attributes may be looked up by names that are computed.
LOOKUPS = {"getattr", "setattr", "hasattr", "delattr", "vars"}
# What they are given by keyword may be meant for another function.
PASSING = {"partial", "dict"}

Holder = Union[cst.FunctionDef, cst.Lambda, cst.ClassDef]


@dataclass
class Class:
    """A class of the project, with the bases that are not."""

    node: cst.ClassDef
    unit: Unit
    project_bases: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    methods: dict[str, cst.FunctionDef] = field(default_factory=dict)
    stores: dict[str, list[cst.BaseExpression | None]] = field(default_factory=lambda: defaultdict(list))
    odd: bool = False  # made by a decorator, a metaclass, slots


class Survey(cst.CSTVisitor):
    """All calls, attributes and definitions of a file, each with the definitions around it."""

    def __init__(self) -> None:
        super().__init__()
        self.around: dict[cst.CSTNode, tuple[Holder, ...]] = {}
        self.classes: list[cst.ClassDef] = []
        self.functions: list[cst.FunctionDef] = []
        self.calls: list[cst.Call] = []
        self.attributes: list[cst.Attribute] = []
        self.stores: list[tuple[cst.Attribute, cst.BaseExpression | None]] = []
        self.values: dict[cst.CSTNode, cst.BaseExpression] = {}
        self.spelt: set[str] = set()
        self.lookups = False
        self._stack: list[Holder] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.ClassDef, cst.FunctionDef, cst.Lambda, cst.Call, cst.Attribute, cst.Name)):
            self.around[node] = tuple(self._stack)
        if isinstance(node, (cst.FunctionDef, cst.Lambda, cst.ClassDef)):
            self._stack.append(node)
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self._stack and self._stack[-1] is original_node:
            self._stack.pop()
        super().on_leave(original_node)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.classes.append(node)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.functions.append(node)

    def visit_Call(self, node: cst.Call) -> None:
        self.calls.append(node)
        if dotted(node.func) in LOOKUPS and not (len(node.args) > 1 and isinstance(node.args[1].value, cst.SimpleString)):
            self.lookups = True

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self.attributes.append(node)
        self.lookups |= node.attr.value == "__dict__"

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._store(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._store(node.target, node.value)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._store(node.target, None)

    def _store(self, target: cst.BaseExpression, value: cst.BaseExpression | None) -> None:
        if isinstance(target, cst.Attribute):
            self.stores.append((target, value))
        elif isinstance(target, (cst.Tuple, cst.List)):
            for element in target.elements:
                self._store(element.value, None)
        elif value is not None:
            self.values[target] = value

    def visit_Expr(self, node: cst.Expr) -> bool:
        return not isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString))  # a docstring names nothing

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self.spelt.update(re.findall(r"\w+", node.value))

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self.spelt.update(re.findall(r"\w+", node.value))


class Project:
    """The classes and functions of a program, and what can be said of an expression: which class it is an instance of."""

    def __init__(self, units: dict[str, Unit]) -> None:
        self.units = units
        self.own = project(units)
        self.surveys = {key: Survey() for key in units}
        for key, each in units.items():
            each.module.visit(self.surveys[key])
        self.imported = {key: self._imports(each) for key, each in units.items()}
        self.classes: dict[str, Class] = {}
        self.functions: dict[str, list[tuple[Unit, cst.FunctionDef]]] = defaultdict(list)
        clashing: set[str] = set()
        for key, each in units.items():
            for function in self.surveys[key].functions:
                if not self.surveys[key].around[function]:
                    self.functions[function.name.value].append((each, function))
            for node in self.surveys[key].classes:
                name = node.name.value
                clashing |= {name} & self.classes.keys()
                self.classes[name] = self._class(key, node)
        for name in clashing:
            self.classes[name].odd = True
        for key, survey in self.surveys.items():
            for target, value in survey.stores:
                known = self.classes.get(self.instance(key, target.value) or "")
                if known is not None:
                    known.stores[target.attr.value].append(value)

    def _imports(self, each: Unit) -> dict[str, str]:
        """The paths of what comes from outside, by name."""
        found: dict[str, str] = {}
        for statement in each.words.imports:
            if isinstance(statement, cst.Import):
                for alias in statement.names:
                    path = dotted(alias.name)
                    found[alias.evaluated_alias or path.split(".")[0]] = path if alias.evaluated_alias else path.split(".")[0]
            elif not statement.relative and not isinstance(statement.names, cst.ImportStar):
                for alias in statement.names:
                    found[alias.evaluated_alias or dotted(alias.name)] = f"{dotted(statement.module)}.{dotted(alias.name)}"
        return {name: path for name, path in found.items() if path.split(".")[0] not in self.own}

    def path(self, key: str, node: cst.BaseExpression) -> str:
        """The path of something from outside, or nothing."""
        head, _, rest = dotted(node).partition(".")
        path = self.imported[key].get(head, "")
        return f"{path}.{rest}" if path and rest else path

    def _class(self, key: str, node: cst.ClassDef) -> Class:
        made = Class(node, self.units[key])
        made.odd = bool(node.decorators or node.keywords) or any(base.star for base in node.bases)
        for base in node.bases:
            path = self.path(key, base.value) or dotted(base.value)
            if path in BASES:
                made.bases.append(path)
            elif isinstance(base.value, cst.Name):
                made.project_bases.append(path)
            else:
                made.odd = True
        for function in self.surveys[key].functions:
            if self.surveys[key].around[function][-1:] == (node,):
                made.methods[function.name.value] = function
        return made

    def class_named(self, key: str, node: cst.BaseExpression) -> str | None:
        """The class of the project that a name or `module.name` means."""
        name = dotted(node).rpartition(".")[2]
        if name not in self.classes or self.path(key, node):
            return None
        if isinstance(node, cst.Name):
            each = self.units[key]
            scope = each.holder(each.scope_of.get(node), name)
            made = each.bound[scope].get(name, []) if scope else []
            return name if len(made) == 1 and (written(made[0]) in (None, self.classes[name].node.name)) else None
        return name if dotted(node).split(".")[0] in self.own else None

    def instance(self, key: str, node: cst.BaseExpression, depth: int = 0) -> str | None:
        """The class of the project that something is an instance of (or the class itself, whose members are the same)."""
        if depth > 6:
            return None
        survey, each = self.surveys[key], self.units[key]
        if isinstance(node, cst.Call):
            around = [holder for holder in survey.around[node] if isinstance(holder, cst.ClassDef)]
            if dotted(node.func) == "super" and around:
                return around[-1].name.value
            if isinstance(node.func, cst.Attribute) and node.func.attr.value in FLUENT:
                return self.instance(key, node.func.value, depth + 1)
            return self.class_named(key, node.func)
        if isinstance(node, cst.Attribute):
            owner = self.classes.get(self.instance(key, node.value, depth + 1) or "")
            values = owner.stores.get(node.attr.value, []) if owner is not None else []
            found = {
                self.instance(self._key(owner), value, depth + 1) if owner is not None and value is not None else None for value in values
            }
            return found.pop() if len(found) == 1 else None
        if not isinstance(node, cst.Name):
            return None
        scope = each.holder(each.scope_of.get(node), node.value)
        made = each.bound[scope].get(node.value, []) if scope is not None else []
        if len(made) != 1 or not isinstance(made[0], Assignment):
            return self.class_named(key, node)
        if isinstance(made[0].node, cst.Param):
            return self._self(key, made[0].node, scope)
        value = survey.values.get(made[0].node)
        return self.instance(key, value, depth + 1) if value is not None else self.class_named(key, node)

    def _key(self, owner: Class) -> str:
        return next(key for key, each in self.units.items() if each is owner.unit)

    def _self(self, key: str, node: cst.Param, scope: Scope | None) -> str | None:
        """The class whose method has this first parameter."""
        function = getattr(scope, "node", None)
        around = self.surveys[key].around.get(function, ()) if isinstance(function, cst.FunctionDef) else ()
        if not isinstance(function, cst.FunctionDef) or not around or not isinstance(around[-1], cst.ClassDef):
            return None
        static = any(dotted(decorator.decorator) == "staticmethod" for decorator in function.decorators)
        parameters = [*function.params.posonly_params, *function.params.params]
        return around[-1].name.value if parameters[:1] == [node] and not static else None

    def family(self, name: str) -> set[str]:
        """A class with all that it inherits from, and all that inherit from any of these."""
        found, todo = {name}, [name]
        while todo:
            here = todo.pop()
            bases = self.classes[here].project_bases if here in self.classes else []
            near = {*bases, *(other for other, each in self.classes.items() if here in each.project_bases)}
            todo += near - found
            found |= near
        return found

    def defines(self, name: str | None, word: str) -> bool:
        """Whether a member is the project's own, not inherited from outside."""
        members = [self.classes[member] for member in self.family(name) if member in self.classes] if name is not None else []
        return any(word in each.methods or word in each.stores for each in members)

    def reserved(self, name: str) -> frozenset[str] | None:
        """The names that others use of an instance; None if any may be."""
        found = frozenset[str]()
        for each in (self.classes.get(member) for member in self.family(name)):
            if each is None or each.odd:
                return None
            found = found.union(*(BASES[base] for base in each.bases))
        return found

    def definitions(self, key: str, call: cst.Call) -> list[tuple[Unit, cst.FunctionDef]]:
        """The functions of the project that a call may run; none if that is not known."""
        func = call.func
        name = self.class_named(key, func)
        if name is not None:
            return self.methods(name, "__init__")
        if isinstance(func, cst.Attribute):
            owner = self.instance(key, func.value)
            known = self.classes.get(owner or "")
            if owner is not None and known is not None and func.attr.value not in known.stores:
                return self.methods(owner, func.attr.value)
        if isinstance(func, cst.Name) and len(self.functions.get(func.value, [])) == 1 and not self.path(key, func):
            each = self.units[key]
            scope = each.holder(each.scope_of.get(func), func.value)
            ((home, function),) = self.functions[func.value]
            made = each.bound[scope].get(func.value, []) if scope is not None else []
            if len(made) == 1 and written(made[0]) in (None, function.name):
                return [(home, function)]
        owner = self.instance(key, func)
        return self.methods(owner, "forward") if owner is not None else []

    def methods(self, name: str, method: str) -> list[tuple[Unit, cst.FunctionDef]]:
        members = [self.classes[member] for member in self.family(name) if member in self.classes]
        return [(each.unit, each.methods[method]) for each in members if method in each.methods]


def rename_members(sources: Sources) -> Sources:
    """Attributes, methods and keyword parameters get names without a meaning, wherever all their uses are known."""
    units = {key: unit(text) for key, text in sources.items()}
    refuse_namespaces(units.values())
    found = Project(units)
    if any(survey.lookups for survey in found.surveys.values()):
        raise NotApplicable("attributes are looked up by names that are computed")
    names = fresh(units.values(), "m")
    new: dict[cst.CSTNode, cst.BaseExpression] = {}
    spelt = set[str]().union(*(survey.spelt for survey in found.surveys.values()))
    _attributes(found, spelt, names, new)
    _parameters(found, spelt, names, new)
    if not new:
        raise NotApplicable("no member whose uses are all known")
    return {key: each.module.visit(Swap(new)).code for key, each in units.items()}


def _attributes(found: Project, spelt: set[str], names: Iterator[str], new: dict[cst.CSTNode, cst.BaseExpression]) -> None:
    nodes: dict[str, list[cst.Name]] = defaultdict(list)
    defined: set[str] = set()
    kept = set(spelt)
    for key, survey in found.surveys.items():
        for attribute in survey.attributes:
            if found.path(key, attribute):
                continue  # `torch.stack` beside `self.stack`
            nodes[attribute.attr.value].append(attribute.attr)
            if not found.defines(found.instance(key, attribute.value), attribute.attr.value):
                kept.add(attribute.attr.value)
    for name, each in found.classes.items():
        reserved = found.reserved(name)
        here = {*each.methods, *each.stores}
        kept |= here if reserved is None else here & reserved
        defined |= here
        for word, method in each.methods.items():
            nodes[word].append(method.name)
            kept |= {word} if any(isinstance(decorator.decorator, cst.Attribute) for decorator in method.decorators) else set()
    methods = {function.name for survey in found.surveys.values() for function in survey.functions}
    for each_unit in found.units.values():
        for scope, bound in each_unit.bound.items():
            # Names of a class that are no methods, or are used in its body.
            for name, made in bound.items() if isinstance(scope, ClassScope) else ():
                if len(made) > 1 or written(made[0]) not in methods or each_unit.uses(scope, name):
                    kept.add(name)
    for word in sorted(defined - kept):
        if not word.startswith("__"):
            name = next(names)
            new.update((node, node.with_changes(value=name)) for node in nodes[word])


def _parameters(found: Project, spelt: set[str], names: Iterator[str], new: dict[cst.CSTNode, cst.BaseExpression]) -> None:
    arguments: dict[str, list[cst.Name]] = defaultdict(list)
    targets: dict[str, list[tuple[Unit, cst.FunctionDef]]] = defaultdict(list)
    kept = set(spelt)
    for key, survey in found.surveys.items():
        for call in survey.calls:
            words = [arg.keyword for arg in call.args if arg.keyword is not None]
            definitions = found.definitions(key, call) if words else []
            outside = bool(found.path(key, call.func)) and dotted(call.func).rpartition(".")[2] not in PASSING
            for word in words:
                if definitions and all(_plain(function) and word.value in _named(function) for _, function in definitions):
                    arguments[word.value].append(word)
                    targets[word.value] += definitions
                elif not outside:
                    kept.add(word.value)
    for keyword in sorted(arguments.keys() - kept):
        nodes: list[cst.Name] = []
        for each, function in targets[keyword]:
            scope = next((scope for scope in each.bound if getattr(scope, "node", None) is function), None)
            if scope is None or keyword in each.words.annotations | each.words.declared:
                break
            made = [written(assignment) for assignment in each.bound[scope][keyword]]
            nodes += [node for node in made if node is not None] + each.uses(scope, keyword)
            if None in made:
                break
        else:
            name = next(names)
            new.update((node, node.with_changes(value=name)) for node in (*arguments[keyword], *nodes))


def _named(function: cst.FunctionDef) -> set[str]:
    return {parameter.name.value for parameter in (*function.params.params, *function.params.kwonly_params)}


def _plain(function: cst.FunctionDef) -> bool:
    """Whether nobody but the program's own calls sees the names of the parameters."""
    return all(dotted(decorator.decorator) in ("staticmethod", "classmethod") for decorator in function.decorators)
