"""A JUnit report: a suite for each file, a test case for each finding; what counts for the exit code is a failure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from nnlint.findings import Finding
from nnlint.lint import Result
from nnlint.notices import InvalidSyntax
from nnlint.output.line import location, sentences
from nnlint.output.spots import Spots

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(result: Result) -> str:
    spots = Spots(result)
    root = ET.Element("testsuites", name="nnlint")
    for filename, group in groupby(result.findings, lambda finding: finding.place.filename):
        findings = list(group)
        suite = ET.SubElement(root, "testsuite", name=_legal(spots.path(filename)))
        _count(suite, findings, result)
        for finding in findings:
            suite.append(_case(finding, spots, result))
    if not result.findings:
        # A report without tests counts as broken in many places.
        suite = ET.SubElement(root, "testsuite", name="nnlint", tests="1", failures="0", errors="0")
        ET.SubElement(suite, "testcase", name="No findings", classname="nnlint")
    _count(root, result.findings, result)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(('<?xml version="1.0" encoding="utf-8"?>\n', "\n"))


def _count(element: ET.Element, findings: Sequence[Finding], result: Result) -> None:
    kinds = [_kind(finding, result) for finding in findings]
    element.set("tests", str(max(len(kinds), 1)))
    element.set("failures", str(kinds.count("failure")))
    element.set("errors", str(kinds.count("error")))


def _kind(finding: Finding, result: Result) -> str:
    """What a finding is to those who run tests; the text of what does not count is kept as output."""
    if finding.code == InvalidSyntax.code:
        return "error"
    return "failure" if result.counts(finding) else "system-out"


def _case(finding: Finding, spots: Spots, result: Result) -> ET.Element:
    path, span = spots(finding.place)
    place = location(finding.place)
    case = ET.Element("testcase", name=_legal(f"{finding.code} {finding.name} at {place}"), classname=_legal(path), file=_legal(path))
    if span is not None:
        case.set("line", str(span.row))
        case.set("column", str(span.column))
    text = _legal("\n".join((f"{place}: {finding.code} [{finding.severity.value}] {finding.message}", *sentences(finding)[1:])))
    child = ET.SubElement(case, _kind(finding, result))
    child.text = text
    if child.tag != "system-out":
        child.attrib |= {"message": _legal(finding.message), "type": finding.severity.value}
    return case


def _legal(text: str) -> str:
    """A text without the characters that no XML file can hold."""
    return _ILLEGAL.sub("\ufffd", text)
