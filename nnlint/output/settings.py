"""The settings in force, where they come from, and why each rule runs or does not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import click

from nnlint.files import forced_out, key
from nnlint.registry import Catalogue
from nnlint.selection import decide, ignored
from nnlint.settings import Settings


def render(settings: Settings, catalogue: Catalogue, paths: Sequence[str] = (".",)) -> str:
    """For one file, what holds in it; otherwise what holds in all of them."""
    file = os.path.abspath(paths[0]).replace(os.sep, "/") if len(paths) == 1 and not os.path.isdir(paths[0]) else None
    lines = [f"configuration: {', '.join(map(key, settings.files)) or 'none'}"]
    lines += [f"{name}: {value}{_origin(settings, name)}" for name, value in _values(settings)]
    lines.append(f"exclude: {', '.join(line for patterns in settings.choice.excludes for line in patterns.lines) or 'none'}")
    lines += [
        f"per-file-ignores: {patterns.lines[0]}: {', '.join(layer.ignore)} ({layer.origin})"
        for patterns, layer in settings.per_file_ignores
    ]
    decisions = decide(catalogue, settings.layers)
    if file is not None:
        if forced_out(file, settings.choice):
            lines.append(f"{key(file)} is excluded: it is linted only where it is named without --force-exclude")
        here = ignored(catalogue, settings.per_file_ignores, file)
        decisions |= {code: decision for code, decision in here.items() if decisions[code].runs}
    lines.append("rules:" if file is None else f"rules for {key(file)}:")
    for rule in catalogue.everything:
        decision = decisions[rule.code]
        word = click.style("on ", fg="green") if decision.runs else click.style("off", fg="red")
        lines.append(f"  {rule.code} {word} {rule.name()}: {decision.reason}")
    return "\n".join(lines) + "\n"


def _values(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "fail-on", settings.fail_on
    yield "suspected", "yes" if settings.suspected else "no"
    yield "src", ", ".join(settings.src) or "none"
    yield "baseline", "none" if settings.baseline is None else key(settings.baseline)
    yield "output-format", settings.output_format
    if settings.cache_dir is not None:
        yield "cache-dir", key(settings.cache_dir)
    running = settings.runtime
    yield "runtime.steps", str(running.steps)
    yield "runtime.timeout", f"{running.timeout:g}"
    yield "runtime.device", running.device
    yield "runtime.args", " ".join(running.args) or "none"


def _origin(settings: Settings, name: str) -> str:
    return f" ({settings.origins[name]})" if name in settings.origins else ""
