"""The formats that other programs read: each against its own rules, with notebooks, verdicts and everything that needs escaping."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from conftest import Outcome

from nnlint.findings import Applicability, Confidence, Edit, Finding, Fix, Place, Severity, Step
from nnlint.lint import Result
from nnlint.output import FORMATS, render
from nnlint.raw import Raw
from nnlint.source import Source, load
from nnlint.verdict import confirmed, inconclusive, refuted

Run = Callable[..., Outcome]
HERE = Path(__file__).resolve().parent
VALIDATOR = jsonschema.Draft4Validator(json.loads((HERE / "data" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8")))
FOR_PROGRAMS = ("json", "jsonl", "sarif", "github", "gitlab", "junit")
TEXT = "import torch\nx = BUG_NN101\ny = BUG_NN205\nz = BUG_NN501\n"
CELLS: list[dict[str, Any]] = [
    {"cell_type": "markdown", "source": ["# BUG"]},
    {"cell_type": "code", "source": ["import torch\n", 'a = "\\"é😀", BUG_NN101\n'], "outputs": [{"text": ["BUG"]}]},
    {"cell_type": "code", "source": "  b = 1\n\n  BUG_NN205 if b else 2"},
]


@pytest.fixture(autouse=True)
def _no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)


def notebook(path: Path, cells: list[dict[str, Any]] = CELLS, **layout: Any) -> None:
    path.write_text(json.dumps({"metadata": {}, "cells": cells}, **layout), encoding="utf-8")


def sarif(text: str) -> dict[str, Any]:
    """The one run of a log, valid by the published schema."""
    log = json.loads(text)
    assert [error.message for error in VALIDATOR.iter_errors(log)] == []
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def place(filename: str = "a.py", row: int = 2, column: int = 5, end_row: int = 2, end_column: int = 14, cell: int | None = None) -> Place:
    return Place(filename, cell, row, column, end_row, end_column)


def finding(at: Place | None = None, **more: Any) -> Finding:
    given: dict[str, Any] = {"message": "x is wrong", "help": "mend it", "severity": Severity.ERROR, **more}
    return Finding(
        "NN101",
        "softmax-before-logit-loss",
        given.pop("severity"),
        Confidence.CERTAIN,
        given.pop("message"),
        given.pop("help"),
        at or place(),
        **given,
    )


def result(*findings: Finding, text: str = TEXT) -> Result:
    return Result(list(findings), {"a.py": Source("a.py", text)}, files=1)


def settled() -> Result:
    """A finding for each verdict."""
    verdicts = (confirmed("20 of 20 batches", "cpu", batches=20), refuted("0 of 20 batches", "cpu"), inconclusive("too seldom"))
    return result(*(finding(runtime=verdict) for verdict in verdicts))


@pytest.fixture
def project(folder: Path) -> Path:
    (folder / "a.py").write_text(TEXT)
    notebook(folder / "n.ipynb", indent=1)
    return folder


# SARIF


def test_sarif(run: Run, project: Path) -> None:
    code, out, err = run("--format", "sarif")
    assert (code, err) == (1, "")
    log = sarif(out)
    driver = log["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == ["NN101", "NN205", "NN501"]
    for rule in driver["rules"]:
        assert rule["help"]["markdown"].startswith(f"# {rule['name']} ({rule['id']})")
        assert rule["helpUri"].endswith(rule["name"])
    assert [rule["defaultConfiguration"]["level"] for rule in driver["rules"]] == ["error", "warning", "note"]
    assert log["invocations"] == [{"executionSuccessful": True}]
    assert log["columnKind"] == "unicodeCodePoints"
    first, *_, last = log["results"]
    assert [driver["rules"][entry["ruleIndex"]]["id"] for entry in log["results"]] == [entry["ruleId"] for entry in log["results"]]
    assert (first["ruleId"], first["kind"], first["level"]) == ("NN101", "fail", "error")
    assert first["message"]["text"] == "softmax-before-logit-loss in `x`\nhelp: mend `x`"
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a.py", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 14},
            }
        }
    ]
    assert "uri" not in log["originalUriBaseIds"]["%SRCROOT%"], "two machines write the same"
    assert last["message"]["text"].startswith("cell 3, line 3: scheduler-before-optimizer")
    assert last["locations"][0]["logicalLocations"] == [{"name": "cell 3", "fullyQualifiedName": "n.ipynb:cell 3", "kind": "module"}]
    assert last["locations"][0]["properties"] == {"cell": 3, "startLine": 3, "startColumn": 3, "endLine": 3, "endColumn": 12}


def test_sarif_of_a_story(folder: Path) -> None:
    there = place("net.py", 7, 1, 8, 3)
    story = finding(trace=(Step(there, "first, see [0](x)"), Step(place(), "then")))
    (entry,) = sarif(render("sarif", result(story)))["results"]
    (flow,) = entry["codeFlows"][0]["threadFlows"]
    assert [step["location"]["message"]["text"] for step in flow["locations"]] == [r"first, see \[0](x)", "then"]
    assert [(each["id"], each["physicalLocation"]["artifactLocation"]["uri"]) for each in entry["relatedLocations"]] == [
        (1, "net.py"),
        (2, "a.py"),
    ]
    (entry,) = sarif(render("sarif", result(finding(trace=(Step(place(), "here"),)))))["results"]
    assert "codeFlows" not in entry


def test_sarif_of_a_fix(folder: Path) -> None:
    edits = (Edit(place(), "y"), Edit(place("b.py", 1, 1, 1, 1), "import torch\n"), Edit(place(row=3, end_row=3), ""))
    (entry,) = sarif(render("sarif", result(finding(fix=Fix("do it", Applicability.SAFE, edits)))))["results"]
    (fix,) = entry["fixes"]
    assert (fix["description"]["text"], fix["properties"]["applicability"]) == ("do it", "safe")
    changes = fix["artifactChanges"]
    assert [(change["artifactLocation"]["uri"], len(change["replacements"])) for change in changes] == [("a.py", 2), ("b.py", 1)]
    assert changes[1]["replacements"] == [
        {"deletedRegion": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}, "insertedContent": {"text": "import torch\n"}}
    ]
    in_a_cell = finding(fix=Fix("do it", Applicability.SAFE, (Edit(place("n.ipynb", cell=1), "y"),)))
    assert "fixes" not in sarif(render("sarif", result(in_a_cell)))["results"][0], "the file is JSON, the edit is not"


def test_sarif_of_verdicts(folder: Path) -> None:
    entries = sarif(render("sarif", settled()))["results"]
    assert [(entry["kind"], entry["level"]) for entry in entries] == [("fail", "error"), ("pass", "none"), ("fail", "error")]
    assert entries[0]["message"]["text"].endswith("\nruntime: confirmed: 20 of 20 batches")
    assert entries[0]["properties"]["runtime"]["evidence"] == {"batches": 20}


@pytest.mark.parametrize("name", ["a b.py", "ä/ö.py", "100%.py", "c#.py", "q?.py", "c:d.py"])
def test_sarif_uris(run: Run, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(TEXT)
    for entry in sarif(run("--format", "sarif")[1])["results"]:
        artifact = entry["locations"][0]["physicalLocation"]["artifactLocation"]
        assert unquote(artifact["uri"]) == name
        assert re.fullmatch(r"[A-Za-z0-9._/%-]+", artifact["uri"])


def test_sarif_of_files_outside_and_broken_ones(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.py").write_text("import torch\nx = (\n")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    code, out, _ = run("--format", "sarif", "..")
    log = sarif(out)
    assert code == 2
    assert log["invocations"] == [{"executionSuccessful": False}]
    (entry,) = log["results"]
    assert entry["ruleId"] == "NN000"
    assert entry["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": (folder / "a.py").as_uri()}


def test_sarif_of_nothing(run: Run, folder: Path) -> None:
    assert sarif(run("--format", "sarif", "--quiet")[1])["results"] == []


# Fingerprints


def prints(run: Run) -> tuple[list[str], list[str]]:
    """The fingerprints of SARIF, which are those of GitLab."""
    of_sarif = [entry["partialFingerprints"]["nnlint/v1"] for entry in sarif(run("--format", "sarif")[1])["results"]]
    entries = json.loads(run("--format", "gitlab")[1])
    assert [entry["fingerprint"] for entry in entries] == of_sarif
    return of_sarif, [f"{entry['check_name']} {entry['location']['path']}" for entry in entries]


def test_fingerprints_stay_when_lines_move(run: Run, project: Path) -> None:
    before, _ = prints(run)
    assert len(set(before)) == len(before)
    (project / "a.py").write_text("'''moved'''\n\n" + TEXT.replace("x = BUG", "x  =   BUG"))
    notebook(project / "n.ipynb", [{"cell_type": "code", "source": "import torch\n"}, *CELLS])
    assert prints(run)[0] == before
    (project / "a.py").write_text(TEXT.replace("x = ", "x = 1 + "))
    after, _ = prints(run)
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True, True, True]
    (project / "a.py").rename(project / "b.py")
    assert set(prints(run)[0]).isdisjoint(after[:3])


def test_fingerprints_of_like_lines_differ(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\n" + "x = BUG_NN101, BUG_NN101\n" * 3)
    found, _ = prints(run)
    assert len(set(found)) == 6
    (folder / "a.py").write_text("import torch\n" + "x = BUG_NN101, BUG_NN101\n" * 4)
    assert prints(run)[0][:6] == found


# GitHub


COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """What the runner of GitHub Actions makes of an output."""

    def plain(value: str) -> str:
        for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            value = value.replace(code, char)
        return value

    found = []
    for line in text.splitlines():
        match = COMMAND.fullmatch(line)
        assert match is not None, line
        properties = {name: plain(value) for name, _, value in (pair.partition("=") for pair in match[2].split(","))}
        found.append((match[1], properties, plain(match[3])))
    return found


def test_github(run: Run, project: Path) -> None:
    code, out, err = run("--format", "github")
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == (
        "::error title=nnlint (NN101 softmax-before-logit-loss),file=a.py,line=2,endLine=2,col=5,endColumn=14"
        "::a.py:2:5: NN101 softmax-before-logit-loss in `x`%0Ahelp: mend `x`"
    )
    assert [(command, properties["file"]) for command, properties, _ in commands(out)] == [
        ("error", "a.py"),
        ("warning", "a.py"),
        ("notice", "a.py"),
        ("error", "n.ipynb"),
        ("warning", "n.ipynb"),
    ]
    assert commands(out)[-1][2].startswith("n.ipynb:cell 3:3:3: NN205")


def test_github_escapes(folder: Path) -> None:
    name = "a,b:c%2C=d\n.py"
    message = "100% wrong:\r\n::error file=evil::x, %0A"
    ((command, properties, text),) = commands(render("github", result(finding(place(name), message=message))))
    assert (command, properties["file"]) == ("error", name)
    assert f"NN101 {message}\nhelp: mend it" in text


def test_github_has_no_columns_over_several_lines(folder: Path) -> None:
    ((_, properties, _),) = commands(render("github", result(finding(place(end_row=4)))))
    assert (properties["line"], properties["endLine"]) == ("2", "4")
    assert not {"col", "endColumn"} & set(properties)


def test_github_of_verdicts(folder: Path) -> None:
    found = commands(render("github", settled()))
    assert [command for command, _, _ in found] == ["error", "notice", "error"]
    assert found[1][2].endswith("\nruntime: refuted: 0 of 20 batches")


@pytest.mark.parametrize(("form", "name"), [("github", "GITHUB_WORKSPACE"), ("sarif", "GITHUB_WORKSPACE"), ("gitlab", "CI_PROJECT_DIR")])
def test_paths_from_the_checkout(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str, name: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.py").write_text(TEXT)
    monkeypatch.chdir(folder / "sub")

    def path() -> str:
        out = run("--format", form, "a.py")[1]
        if form == "github":
            return commands(out)[0][1]["file"]
        if form == "gitlab":
            return str(json.loads(out)[0]["location"]["path"])
        return str(sarif(out)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])

    assert path() == "a.py"
    monkeypatch.setenv(name, str(folder))
    assert path() == "sub/a.py"
    monkeypatch.setenv(name, str(folder / "sub"))
    assert path() == "a.py"
    monkeypatch.setenv(name, str(folder / "elsewhere"))
    assert path() == "a.py", "nnlint was not run in the checkout"


# GitLab


def test_gitlab(run: Run, project: Path) -> None:
    entries = json.loads(run("--format", "gitlab")[1])
    assert [(entry["severity"], entry["location"]["path"]) for entry in entries] == [
        ("critical", "a.py"),
        ("major", "a.py"),
        ("minor", "a.py"),
        ("critical", "n.ipynb"),
        ("major", "n.ipynb"),
    ]
    assert entries[0]["description"] == "NN101: softmax-before-logit-loss in `x`; help: mend `x`"
    assert entries[0]["location"]["lines"] == {"begin": 2, "end": 2}
    assert entries[4]["description"].startswith("NN205: cell 3, line 3: ")
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert re.fullmatch("[0-9a-f]{32}", entry["fingerprint"])


def test_gitlab_of_verdicts(folder: Path) -> None:
    assert [entry["severity"] for entry in json.loads(render("gitlab", settled()))] == ["critical", "info", "critical"]


# JUnit


def test_junit(run: Run, project: Path) -> None:
    code, out, _ = run("--format", "junit")
    root = ET.fromstring(out)
    assert code == 1
    assert (root.tag, root.attrib) == ("testsuites", {"name": "nnlint", "tests": "5", "failures": "4", "errors": "0"})
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [("a.py", "3", "2"), ("n.ipynb", "2", "2")]
    case = root[0][0]
    assert case.attrib == {
        "name": "NN101 softmax-before-logit-loss at a.py:2:5",
        "classname": "a.py",
        "file": "a.py",
        "line": "2",
        "column": "5",
    }
    assert case[0].attrib == {"message": "softmax-before-logit-loss in `x`", "type": "error"}
    assert case[0].text == "a.py:2:5: NN101 [error] softmax-before-logit-loss in `x`\nhelp: mend `x`"
    assert [child.tag for child in root[0][2]] == ["system-out"], "a note is no failure by default"
    assert root[1][1].get("name") == "NN205 scheduler-before-optimizer at n.ipynb:cell 3:3:3"


@pytest.mark.parametrize(("fail_on", "failures"), [("never", "0"), ("error", "2"), ("warning", "4"), ("note", "5")])
def test_junit_fails_what_the_exit_code_counts(run: Run, project: Path, fail_on: str, failures: str) -> None:
    code, out, _ = run("--format", "junit", "--fail-on", fail_on)
    assert (code, ET.fromstring(out).get("failures")) == (int(failures != "0"), failures)


def test_junit_of_a_broken_file(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\nx = (\n")
    root = ET.fromstring(run("--format", "junit", "--fail-on", "never")[1])
    assert (root.get("failures"), root.get("errors"), root[0][0][0].tag) == ("0", "1", "error")


def test_junit_of_anything(folder: Path) -> None:
    odd = "\x00\x1b[31m<&>\"']]>\ud800\ufffe😀"
    text = render("junit", result(finding(place(odd), message=odd, help=odd)))
    root = ET.fromstring(text.encode())
    assert root[0][0][0].get("message") == "\ufffd\ufffd[31m<&>\"']]>\ufffd\ufffd😀"


def test_junit_of_verdicts(folder: Path) -> None:
    suite = ET.fromstring(render("junit", settled()))[0]
    assert suite.get("failures") == "2"
    assert [case[0].tag for case in suite] == ["failure", "system-out", "failure"]
    assert (suite[1][0].text or "").endswith("\nruntime: refuted: 0 of 20 batches")


def test_junit_of_nothing(run: Run, folder: Path) -> None:
    root = ET.fromstring(run("--format", "junit", "--quiet")[1])
    assert [(root.get("tests"), len(root[0]), len(root[0][0]))] == [("1", 1, 0)]


# Notebooks: lines of the file


@pytest.mark.parametrize("layout", [{"indent": 1}, {}, {"indent": 4, "ensure_ascii": False}, {"separators": (",", ":")}])
def test_lines_of_a_notebooks_file(run: Run, folder: Path, layout: dict[str, Any]) -> None:
    notebook(folder / "n.ipynb", **layout)
    lines = (folder / "n.ipynb").read_text(encoding="utf-8").split("\n")
    for entry in sarif(run("--format", "sarif")[1])["results"]:
        region = entry["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] == region["endLine"]
        marked = lines[region["startLine"] - 1][region["startColumn"] - 1 : region["endColumn"] - 1]
        assert marked == f"BUG_{entry['ruleId']}"
    row = commands(run("--format", "github")[1])[0][1]["line"]
    assert json.loads(run("--format", "gitlab")[1])[0]["location"]["lines"]["begin"] == int(row)
    assert ET.fromstring(run("--format", "junit")[1])[0][0].get("line") == row


def test_lines_of_an_old_notebook() -> None:
    sheets = {"worksheets": [{}, {"cells": [{"cell_type": "code", "input": "a\r\nb\rc\n"}, {"cell_type": "code"}]}]}
    text = json.dumps(sheets, indent=1)
    raw = Raw(text)
    at = text.split("\n")

    def char(row: int) -> str | None:
        span = raw.span(Place("n.ipynb", 1, row, 1, row, 2))
        return None if span is None else at[span.row - 1][span.column - 1]

    assert [char(row) for row in (1, 2, 3, 5)] == ["a", "b", "c", None]
    assert raw.span(Place("n.ipynb", 2, 1, 1, 1, 2)) is None
    assert raw.span(Place("n.ipynb", 3, 1, 1, 1, 2)) is None


@pytest.mark.parametrize("form", FOR_PROGRAMS)
def test_a_notebook_that_is_not_there_any_more(folder: Path, form: str) -> None:
    source = load(json.dumps({"cells": CELLS}).encode(), "n.ipynb", folder / "gone.ipynb")
    assert source is not None
    assert "NN101" in render(form, Result([finding(place("n.ipynb", cell=2))], {"n.ipynb": source}, 1))


# All


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_every_case(run: Run, project: Path, form: str) -> None:
    code, out, err = run("--format", form)
    assert (code, err) == (1, "")
    assert "n.ipynb" in out
    assert "\x1b" not in out
    assert "confirmed" in render(form, settled())
    assert run("--output-format", form, "--output-file", "out", "a.py", "n.ipynb") == (1, "", "")
    assert (project / "out").read_text() == out
    for option in ("--statistics", "--list-rules"):
        # Counts and rules are told in JSON or to people: the other formats have no place for them.
        text = run("--format", form, option)[1]
        assert (text == run(option)[1]) is (form not in ("json", "jsonl"))


# --output


def test_output_is_written_whole_or_not_at_all(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "out").write_text("old")
    (project / "out").chmod(0o640)
    (project / "link").symlink_to("out")
    replace = os.replace
    seen: list[str] = []

    def watched(old: str, new: str) -> None:
        seen.append((project / "out").read_text())
        replace(old, new)

    monkeypatch.setattr(os, "replace", watched)
    assert run("--output", "link", "--format", "json")[0] == 1
    assert seen == ["old"]
    assert len(json.loads((project / "out").read_text())) == 5
    assert (project / "link").is_symlink()
    assert stat.S_IMODE((project / "out").stat().st_mode) == 0o640

    def fail(old: str, new: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert run("--output", "new", "--format", "json") == (2, "", "nnlint: --output: new: No space left on device\n")
    assert sorted(path.name for path in project.iterdir()) == ["a.py", "link", "n.ipynb", "out"]


@pytest.mark.skipif(os.name == "nt", reason="devices")
def test_output_to_a_device(run: Run, project: Path) -> None:
    assert run("--output", "/dev/null") == (1, "", "")
    assert Path("/dev/null").is_char_device()


def test_output_has_usual_rights(run: Run, project: Path) -> None:
    run("--output", "out")
    (project / "plain").touch()
    assert (project / "out").stat().st_mode == (project / "plain").stat().st_mode


def test_output_into_a_folder(run: Run, project: Path) -> None:
    assert run("--output", ".") == (2, "", "nnlint: --output: .: Is a directory\n")
