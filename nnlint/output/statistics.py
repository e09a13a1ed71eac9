"""How often each rule was broken, the most frequent first."""

from __future__ import annotations

import json
from collections import Counter

import click

from nnlint.lint import Result
from nnlint.output.line import COLOURS


def render(result: Result, format: str) -> str:
    counts = Counter((finding.code, finding.name, finding.severity) for finding in result.findings)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][0]))
    entries = [{"code": code, "name": name, "severity": severity.value, "count": count} for (code, name, severity), count in ordered]
    if format == "json":
        return json.dumps(entries, indent=2) + "\n"
    if format == "jsonl":
        return "".join(json.dumps(entry) + "\n" for entry in entries)
    width = len(str(max(counts.values(), default=0)))
    return "".join(
        f"{count:>{width}}  {click.style(code, fg=COLOURS[severity], bold=True)}  {severity.value:<7}  {name}\n"
        for (code, name, severity), count in ordered
    )
