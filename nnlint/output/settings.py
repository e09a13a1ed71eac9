"""The settings in force, and why each rule runs or does not."""

from __future__ import annotations

import click

from nnlint.files import key
from nnlint.registry import Catalogue
from nnlint.selection import decide
from nnlint.settings import Settings


def render(settings: Settings, catalogue: Catalogue) -> str:
    lines = [
        f"configuration: {', '.join(map(key, settings.files)) or 'none'}",
        f"fail-on: {settings.fail_on}",
        f"suspected: {'yes' if settings.suspected else 'no'}",
        f"src: {', '.join(settings.src) or 'none'}",
        f"exclude: {', '.join(line for patterns in settings.choice.excludes for line in patterns.lines) or 'none'}",
        *(f"per-file-ignores: {patterns.lines[0]}: {', '.join(layer.ignore)}" for patterns, layer in settings.per_file_ignores),
        "rules:",
    ]
    decisions = decide(catalogue, settings.layers)
    for rule in catalogue.everything:
        decision = decisions[rule.code]
        word = click.style("on ", fg="green") if decision.runs else click.style("off", fg="red")
        lines.append(f"  {rule.code} {word} {rule.name()}: {decision.reason}")
    return "\n".join(lines) + "\n"
