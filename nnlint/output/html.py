"""The whole confirmation run as one page that can be kept and sent: no script, nothing from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import click

from nnlint.output import full
from nnlint.output.line import location
from nnlint.pages import url
from nnlint.verdict import Ruling

if TYPE_CHECKING:
    from nnlint.confirm.session import Confirmation
    from nnlint.findings import Finding

_START = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
"""
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --confirmed: #c62828; --refuted: #2e7d32; --open: #b26a00 }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top }
pre { background: #8881; border-radius: 6px; font-size: .85rem; overflow-x: auto; padding: .8rem }
dl { display: grid; gap: .2rem 1rem; grid-template-columns: max-content 1fr } dt { color: var(--dim) } dd { margin: 0 }
.verdict { border: 1px solid; border-radius: 1rem; font-size: .85rem; padding: .1rem .6rem; white-space: nowrap }
.confirmed { color: var(--confirmed) } .refuted { color: var(--refuted) } .inconclusive, .not-reached { color: var(--open) }
"""


def render(confirmation: Confirmation, whole: dict[str, Any]) -> str:
    """`whole` is the run as `nnlint.output.runtime.document` gives it."""
    findings = [finding for finding in confirmation.result.findings if finding.runtime is not None]
    body = "\n".join([*_head(whole, findings), *_table(findings), *_frames(confirmation, findings), *_tail(whole)])
    title = escape(f"nnlint: {' '.join(whole['command'])}")
    return f"{_START}<title>{title}</title>\n<style>{_STYLE}</style>\n<body>\n{body}\n</body>\n</html>\n"


def _head(whole: dict[str, Any], findings: list[Finding]) -> Iterator[str]:
    yield f"<h1>{escape(' '.join(whole['command']))}</h1>"
    counts = Counter(finding.runtime.ruling for finding in findings if finding.runtime is not None)
    said = ", ".join(f"{counts[ruling]} {ruling.value}" for ruling in Ruling if counts[ruling])
    cost = whole["overhead"]
    facts = {
        "findings": said or "none",
        "steps": f"{whole['steps']} optimizer steps in {whole['seconds']:.1f} s, ended by: {whole['stopped']}",
        "device": whole["device"] or "nothing was trained",
        "versions": f"nnlint {whole['nnlint']}, torch {whole['torch'] or 'not imported'}, Python {whole['python'] or '?'}",
        "probe": "" if cost is None else _cost(cost),
    }
    yield "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items() if text) + "</dl>"
    if whole["error"] is not None:
        yield f"<h2>The script failed</h2><pre>{_text(whole['error']['trace'] or whole['error']['message'])}</pre>"


def _cost(cost: dict[str, float]) -> str:
    return f"{cost['start_seconds']:.2f} s to begin, {cost['extra_seconds']:.2f} s for computations of its own"


def _table(findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield "<h2>Verdicts</h2><table><tr><th>place</th><th>rule</th><th>verdict</th><th>evidence</th></tr>"
    for number, finding in enumerate(findings):
        assert finding.runtime is not None
        page = url(finding.name, finding.code)
        rule = f"{finding.code} {finding.name}"
        linked = f'<a href="{escape(page)}">{escape(rule)}</a>' if page else escape(rule)
        verdict = finding.runtime.ruling.value
        yield (
            f'<tr><td><a href="#f{number}">{_text(location(finding.place))}</a></td><td>{linked}</td>'
            f'<td><span class="verdict {verdict}">{verdict}</span></td><td>{_text(finding.runtime.message)}</td></tr>'
        )
    yield "</table>"


def _frames(confirmation: Confirmation, findings: list[Finding]) -> Iterator[str]:
    for number, finding in enumerate(findings):
        frame = full.render(replace(confirmation.result, findings=[finding]))
        yield f'<h2 id="f{number}">{_text(finding.message)}</h2><pre>{_text(frame.strip())}</pre>'


def _tail(whole: dict[str, Any]) -> Iterator[str]:
    if whole["notes"]:
        yield "<h2>Notes</h2><ul>" + "".join(f"<li>{_text(note)}</li>" for note in whole["notes"]) + "</ul>"
    if whole["guard"] is not None:
        yield f"<p>{_text(whole['guard']['limits'])}</p>"
    yield f"<details><summary>What the script printed</summary><pre>{_text(whole['output'])}</pre></details>"


def _text(text: str) -> str:
    """Without the colours of a terminal."""
    return escape(click.unstyle(text))
