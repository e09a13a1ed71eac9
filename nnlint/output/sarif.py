"""SARIF 2.1.0, the format of code scanning."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nnlint import __version__
from nnlint.findings import Edit, Finding, Fix, Place
from nnlint.lint import Result
from nnlint.output.json import verdict
from nnlint.output.line import cell, sentences
from nnlint.output.spots import Spots
from nnlint.pages import SITE, page, url
from nnlint.pages import render as markdown
from nnlint.rule import Group, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_LINK = re.compile(r"\[(?=[^\]]*\]\()")


def render(result: Result) -> str:
    from nnlint.registry import catalogue

    used = {finding.code for finding in result.findings}
    rules = [rule for rule in catalogue().everything if rule.code in used]
    index = {rule.code: number for number, rule in enumerate(rules)}
    spots = Spots(result)
    prints = spots.fingerprints(result.findings)
    run = {
        "tool": {
            "driver": {
                "name": "nnlint",
                "version": __version__,
                "informationUri": SITE.removesuffix("rules/"),
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The checkout, or the folder in which nnlint was run."}}},
        "invocations": [{"executionSuccessful": not result.broken}],
        "results": [_result(finding, index[finding.code], print, spots) for finding, print in zip(result.findings, prints, strict=True)],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: type[Rule]) -> dict[str, Any]:
    content = page(rule)
    link = url(rule.name(), rule.code)
    return {
        "id": rule.code,
        "name": rule.name(),
        "shortDescription": {"text": content.summary},
        "fullDescription": {"text": " ".join(content.sections["Why is this bad?"].split())},
        "help": {"text": f"{content.summary} See {link or f'nnlint --explain {rule.code}'}", "markdown": markdown(rule)},
        **({"helpUri": link} if link else {}),
        "defaultConfiguration": {"enabled": rule.group is Group.DEFAULT, "level": rule.severity.value},
        "properties": {"tags": ["pytorch", rule.group.value], "problem.severity": rule.severity.value.replace("note", "recommendation")},
    }


def _result(finding: Finding, index: int, fingerprint: str, spots: Spots) -> dict[str, Any]:
    # What a run has refuted was looked at and is no problem.
    kind = {"kind": "pass", "level": "none"} if finding.refuted else {"kind": "fail", "level": finding.severity.value}
    steps = list(dict.fromkeys((step.place, step.message) for step in finding.trace))
    entry: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        **kind,
        "message": {"text": _plain(cell(finding.place) + "\n".join(sentences(finding)))},
        "locations": [_location(finding.place, spots)],
        "partialFingerprints": {"nnlint/v1": fingerprint},
    }
    said = [{**_location(place, spots), "message": {"text": _plain(message)}} for place, message in steps]
    if said:
        entry["relatedLocations"] = [{"id": number, **step} for number, step in enumerate(said, 1)]
    if len(said) > 1:
        entry["codeFlows"] = [{"threadFlows": [{"locations": [{"location": step} for step in said]}]}]
    if finding.fix is not None and all(edit.place.cell is None for edit in finding.fix.edits):
        entry["fixes"] = [_fix(finding.fix, spots)]
    properties: dict[str, Any] = {"confidence": finding.confidence.value}
    if finding.runtime is not None:
        properties["runtime"] = verdict(finding.runtime)
    entry["properties"] = properties
    return entry


def _location(place: Place, spots: Spots) -> dict[str, Any]:
    path, span = spots(place)
    physical: dict[str, Any] = {"artifactLocation": _artifact(place.filename, spots)}
    if span is not None:
        physical["region"] = _region(span.row, span.column, span.end_row, span.end_column)
    location: dict[str, Any] = {"physicalLocation": physical}
    if place.cell is not None:
        location["logicalLocations"] = [{"name": f"cell {place.cell}", "fullyQualifiedName": f"{path}:cell {place.cell}", "kind": "module"}]
        location["properties"] = {"cell": place.cell, **_region(place.row, place.column, place.end_row, place.end_column)}
    return location


def _artifact(filename: str, spots: Spots) -> dict[str, str]:
    """A file below the checkout by its way from there; any other by its full path."""
    path = spots.path(filename)
    if path.startswith("../") or os.path.isabs(path):
        return {"uri": Path(os.path.abspath(filename)).as_uri()}
    return {"uri": quote(path, errors="surrogateescape"), "uriBaseId": _ROOT}


def _region(row: int, column: int, end_row: int, end_column: int) -> dict[str, int]:
    return {"startLine": row, "startColumn": column, "endLine": end_row, "endColumn": end_column}


def _fix(fix: Fix, spots: Spots) -> dict[str, Any]:
    by_file: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        by_file.setdefault(edit.place.filename, []).append(edit)
    return {
        "description": {"text": _plain(fix.message)},
        "artifactChanges": [
            {"artifactLocation": _artifact(filename, spots), "replacements": list(_replacements(edits))}
            for filename, edits in by_file.items()
        ],
        "properties": {"applicability": fix.applicability.value},
    }


def _replacements(edits: Iterable[Edit]) -> Iterable[dict[str, Any]]:
    for edit in edits:
        place = edit.place
        region = _region(place.row, place.column, place.end_row, place.end_column)
        yield {"deletedRegion": region, "insertedContent": {"text": edit.content}}


def _plain(text: str) -> str:
    """A text in which nothing is taken for a link."""
    return _LINK.sub(r"\\[", text)
