"""Imports: project files are run once for their names; everything else is a library's, by qualified name."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Union

from nnlint import records as r
from nnlint.program import File
from nnlint.trace import attributes, calls, statements
from nnlint.trace.machine import Frame, Machine, bounded
from nnlint.trace.story import Story
from nnlint.trace.values import PAST, ClassVal, Const, External, FuncVal, ModuleVal, Unknown, Value


def namespace(m: Machine, path: str) -> Union[Frame, None]:
    """The names of a project file, as an import would leave them; None where the file was not lowered."""
    PAST.files.add(path)
    if path in m.namespaces:
        return m.namespaces[path]
    file = m.program.files.get(path)
    if file is None:
        return None
    frame = Frame(file, None, ())
    m.namespaces[path] = frame
    frame.vars["__name__"] = Const(path)
    # An import does not depend on who happens to come first.
    with m.apart(path) as story:
        m.imported[path] = story
        with bounded(story):
            statements.run(m, file.module.body, frame)
    return frame


def main(m: Machine, file: File) -> Story:
    """Run a file as the script; where nothing depends on its name, being imported is the same."""
    if not file.key.endswith(".ipynb") and ("__name__" not in file.module.words or not _depends(file.module.body)):
        namespace(m, file.key)
        return m.imported[file.key]
    frame = Frame(file, None, ())
    frame.vars["__name__"] = Const("__main__")
    statements.run(m, file.module.body, frame)
    return m.story


def _depends(node: object) -> bool:
    """Whether `__name__` is used for more than to be handed on, as to a logger."""
    if isinstance(node, tuple):
        return any(map(_depends, node))
    if isinstance(node, r.Name):
        return node.id == "__name__"
    if isinstance(node, r.Arg) and isinstance(node.value, r.Name):
        return False
    if isinstance(node, r.Function) and "__name__" not in node.words:
        return _depends(node.params) or _depends(node.decorators)
    return isinstance(node, r.Node) and any(_depends(getattr(node, name)) for name in node.__struct_fields__)


def module(m: Machine, path: str) -> Value:
    """A module that is imported, and run for what that does to others (registries)."""
    namespace(m, path)
    return ModuleVal(m.program.files.get(path), path)


def bind_import(m: Machine, name: str, asname: Union[str, None], frame: Frame) -> None:
    """`import a.b.c` binds `a`; `import a.b.c as x` binds the module itself."""
    head = name.split(".")[0]
    if asname is not None:
        path = m.program.absolute(frame.file, name)
        m.set(frame.vars, asname, module(m, path) if path is not None else External(attributes.canonical(name)))
        return
    path = m.program.absolute(frame.file, head)
    m.set(frame.vars, head, module(m, path) if path is not None else External(head))


def bind_import_from(m: Machine, node: r.ImportFrom, frame: Frame) -> None:
    """`from x import a, b as c` and `from x import *`."""
    if node.level:
        path = m.program.relative(frame.file, node.module, node.level)
    else:
        path = m.program.absolute(frame.file, node.module)
    for alias in node.names:
        if alias.name == "*":
            _star(m, path, node.module, frame)
            continue
        if path is not None:
            value = member(m, path, alias.name)
        elif node.level:
            value = Unknown(label=alias.name)
        else:
            value = External(attributes.canonical(f"{node.module}.{alias.name}"))
        m.set(frame.vars, alias.asname or alias.name, value)


def member(m: Machine, path: str, name: str) -> Value:
    """A name of a project module, or a submodule of a package."""
    names = m.namespaces.get(path) or namespace(m, path)
    if names is not None and name in names.vars:
        PAST.names.add((path, name))
        return names.vars[name]  # type: ignore[no-any-return]
    PAST.files.add(path)
    inside = m.program.inside(m.program.package(path), name) if not path.endswith(".py") or path.endswith("__init__.py") else None
    if inside is not None:
        return module(m, inside)
    if names is not None:
        for library in names.vars.get("*", ()):
            found = attributes.library_name(library, name)
            if found is not None:
                return found
    return Unknown(("member", path, name), name)


def offered(m: Machine, module: ModuleVal) -> dict[Hashable, Value]:
    """The classes and functions of a module that nothing else in it uses: what may be asked for by a name that is not known."""
    names = namespace(m, module.file.key) if module.file is not None else None
    found = {name: value for name, value in names.vars.items() if isinstance(value, (ClassVal, FuncVal))} if names is not None else {}
    used: set[str] = set()
    for name, value in found.items():
        if isinstance(value, ClassVal):
            used |= calls.words(value) - {name}
            used |= {base.name for base in value.bases if isinstance(base, ClassVal)}
        elif isinstance(value.node, r.Function):
            used |= value.node.words - {name}
    return {name: value for name, value in found.items() if name not in used}


def _star(m: Machine, path: Union[str, None], name: str, frame: Frame) -> None:
    if path is None:
        m.set(frame.vars, "*", (*frame.vars.get("*", ()), attributes.canonical(name)))
        return
    names = namespace(m, path)
    if names is None:
        return
    for key, value in list(names.vars.items()):
        if key == "*":
            m.set(frame.vars, "*", (*frame.vars.get("*", ()), *value))
        elif not key.startswith("_"):
            m.set(frame.vars, key, value)
