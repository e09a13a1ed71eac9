"""The list of all rules."""

from __future__ import annotations

import json

import click

from nnlint.output.line import COLOURS
from nnlint.pages import page, url
from nnlint.registry import Catalogue


def render(catalogue: Catalogue, format: str) -> str:
    entries = [
        {
            "code": rule.code,
            "name": rule.name(),
            "severity": rule.severity.value,
            "group": rule.group.value,
            "summary": page(rule).summary,
            "url": url(rule.name(), rule.code) or None,
        }
        for rule in catalogue.everything
    ]
    if format == "json":
        return json.dumps(entries, indent=2) + "\n"
    if format == "jsonl":
        return "".join(json.dumps(entry) + "\n" for entry in entries)
    width = max(len(rule.name()) for rule in catalogue.everything)
    return "".join(
        f"{click.style(rule.code, fg=COLOURS[rule.severity], bold=True)}  {rule.name():<{width}}  {rule.severity.value:<7}  "
        f"{rule.group.value}\n"
        for rule in catalogue.everything
    )
