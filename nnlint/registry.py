"""Where rules are found: every package behind the entry point group `nnlint.rules`, the built-in one like any other."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from nnlint.findings import Severity
from nnlint.notices import NOTICES
from nnlint.rule import OURS, Group, Rule
from nnlint.trouble import Trouble, near

GROUP = "nnlint.rules"
BUILTIN = "nnlint.rules"

_CODE = re.compile(r"[A-Z]{2,5}[0-9]{3,4}")


class Catalogue:
    """All rules that are installed, by code."""

    def __init__(self, rules: tuple[type[Rule], ...]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: rule.code))

    @cached_property
    def everything(self) -> tuple[type[Rule], ...]:
        """The rules and the engine's own notices."""
        return tuple(sorted((*self.rules, *NOTICES), key=lambda rule: rule.code))

    @cached_property
    def words(self) -> dict[str, type[Rule]]:
        """Rules by code and by name."""
        return {word: rule for rule in self.everything for word in (rule.code, rule.name())}

    def find(self, word: str) -> type[Rule]:
        rule = self.words.get(word) or self.words.get(word.upper())
        if rule is None:
            raise Trouble(f"unknown rule `{word}`{near(word, self.words)}")
        return rule


def catalogue() -> Catalogue:
    """Find all rules; a plug-in that cannot be loaded breaks the run, because a rule that is silently missing looks like clean code."""
    packages = {BUILTIN: "builtin"}
    packages.update({point.value: point.name for point in entry_points(group=GROUP)})
    rules: list[type[Rule]] = []
    for package, plugin in packages.items():
        for rule in _rules(package, plugin):
            for other in (*NOTICES, *rules):
                if other.code == rule.code:
                    raise Trouble(f"rule plug-in `{plugin}` ({package}): the code {rule.code} belongs to `{other.name()}` already")
                if other.name() == rule.name():
                    raise Trouble(f"rule plug-in `{plugin}` ({package}): the name `{rule.name()}` belongs to {other.code} already")
            if package != BUILTIN and rule.code.startswith(OURS):
                raise Trouble(f"rule plug-in `{plugin}` ({package}): {rule.code} is no code for it; {OURS}... are those of built-in rules")
            rules.append(rule)
    return Catalogue(tuple(rules))


def _rules(package: str, plugin: str) -> Iterator[type[Rule]]:
    silent = True
    for module in _modules(package, plugin):
        for value in list(vars(module).values()):
            if not (isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__):
                continue
            if inspect.isabstract(value):
                continue
            problem = _problem(value)
            if problem:
                raise Trouble(f"rule plug-in `{plugin}` ({package}): {problem}")
            silent = False
            yield value
    if silent:
        raise Trouble(f"rule plug-in `{plugin}` ({package}) has no rules: no class in it is a complete subclass of `nnlint.rule.Rule`")


def _problem(rule: type[Rule]) -> str | None:
    """What is wrong with a class that says it is a rule."""
    name = rule.__qualname__
    for attribute, type_ in (("code", str), ("severity", Severity), ("group", Group)):
        value = getattr(rule, attribute, None)
        if value is None:
            return f"`{name}` has no `{attribute}`"
        if not isinstance(value, type_):
            return f"the `{attribute}` of `{name}` is {value!r}, not a {type_.__name__}"
    if not _CODE.fullmatch(rule.code):
        return f"the code of `{name}` is {rule.code!r}, not two to five capitals with three or four digits"
    return None


def _modules(package: str, plugin: str) -> Iterator[ModuleType]:
    name = package
    try:
        root = _package(package)
        yield root
        for info in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}."):
            name = info.name
            yield importlib.import_module(name)
    except Trouble:
        raise
    except Exception as error:  # whatever a plug-in raises
        where = "" if name == package else f", in {name}"
        raise Trouble(f"rule plug-in `{plugin}` ({package}) cannot be loaded{where}: {type(error).__name__}: {error}") from error


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name != BUILTIN or error.name != BUILTIN:
            raise
    # A checkout that is not installed, or that shadows an installed wheel: the rules lie beside the package.
    folder = Path(__file__).parent.parent / "rules"
    spec = importlib.util.spec_from_file_location(BUILTIN, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None or not folder.is_dir():
        raise Trouble(f"the built-in rules are missing: neither {BUILTIN} nor {folder} is there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[BUILTIN] = module
    spec.loader.exec_module(module)
    return module
