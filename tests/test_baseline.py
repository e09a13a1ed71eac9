"""Known findings: counted, hidden while there are not more, and never forgotten when they are gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome

from nnlint.baseline import compare
from nnlint.findings import Confidence, Finding, Place, Severity
from nnlint.lint import Result
from nnlint.output import FORMATS
from nnlint.registry import Catalogue
from nnlint.settings import Table, settle
from nnlint.source import Source
from nnlint.verdict import Verdict, confirmed, refuted

Run = Callable[..., Outcome]
TEXT = "import torch\nx = BUG_NN101\ny = BUG_NN101\nz = BUG_NN205\n"
KNOWN = {"a.py": {"NN101": 2, "NN205": 1}, "sub/b.py": {"NN101": 2, "NN205": 1}}
FILE = "nnlint-baseline.json"


@pytest.fixture
def project(folder: Path) -> Path:
    (folder / "nnlint.toml").write_text(f"baseline = '{FILE}'\n")
    (folder / "a.py").write_text(TEXT)
    (folder / "sub").mkdir()
    (folder / "sub" / "b.py").write_text(TEXT)
    return folder


def know(project: Path, counts: Any = KNOWN) -> None:
    (project / FILE).write_text(json.dumps(counts))


def known(project: Path) -> Any:
    return json.loads((project / FILE).read_text(encoding="utf-8"))


def shown(run: Run, *args: str) -> tuple[int, list[str], list[str]]:
    code, out, err = run("--format", "json", *args)
    found = [f"{entry['filename']} {entry['code']}" for entry in json.loads(out)]
    assert "Traceback" not in err
    return code, found, [line.removeprefix("nnlint: ") for line in err.splitlines()]


def test_written_and_then_known(run: Run, project: Path) -> None:
    code, out, err = run("--write-baseline")
    assert (code, out) == (0, "No findings in 2 files. 6 known ones in the baseline.\n")
    assert err == f"nnlint: {FILE}: written with 6 findings in 2 files\n"
    assert (project / FILE).read_text() == json.dumps(KNOWN, indent=2) + "\n"
    assert shown(run) == (0, [], [])
    assert run("--quiet") == (0, "", "")


def test_a_baseline_is_named_once(run: Run, project: Path) -> None:
    (project / "nnlint.toml").unlink()
    _, _, said = shown(run, "--write-baseline", "a.py")
    assert said == [f"{FILE}: written with 3 findings in 1 file; name it in the settings (`baseline`), or by --baseline {FILE}"]
    assert shown(run, "a.py")[:2] == (1, ["a.py NN101", "a.py NN101", "a.py NN205"]), "nobody has named it"
    assert shown(run, "a.py", "--baseline", FILE) == (0, [], [])


def test_one_more_shows_all_of_this_rule_and_file(run: Run, project: Path) -> None:
    know(project)
    (project / "a.py").write_text(TEXT + "w = BUG_NN101\n")
    code, found, said = shown(run)
    assert (code, found) == (1, ["a.py NN101"] * 3)
    assert said == [f"a.py: 3 findings of NN101, and {FILE} knows 2 of them: all are shown"]
    assert shown(run, "--quiet")[2] == []
    (project / "new.py").write_text("import torch\nx = BUG_NN501\n")
    assert shown(run)[1] == ["a.py NN101"] * 3 + ["new.py NN501"]


def test_findings_may_move(run: Run, project: Path) -> None:
    know(project)
    (project / "a.py").write_text("import torch\n\n\nz = BUG_NN205, BUG_NN101\nother = BUG_NN101\n")
    assert shown(run) == (0, [], [])


def test_leftovers_fail_until_they_are_taken_out(run: Run, project: Path) -> None:
    know(project)
    (project / "a.py").write_text("import torch\nx = BUG_NN101\n")
    (project / "sub" / "b.py").unlink()
    left = [
        f"{FILE}: a.py: 2 findings of NN101 known, 1 of them is left",
        f"{FILE}: a.py: 1 finding of NN205 known, none of them is left",
        f"{FILE}: sub/b.py: 2 findings of NN101 known, the file is gone",
        f"{FILE}: sub/b.py: 1 finding of NN205 known, the file is gone",
        f"{FILE} may only shrink: take out what is gone with --write-baseline",
    ]
    assert shown(run) == (1, [], left)
    assert shown(run, "--quiet") == (1, [], left), "nobody would know why it fails"
    assert shown(run, "--exit-zero")[0] == 0
    assert shown(run, "--fail-on", "never")[0] == 0
    assert known(project) == KNOWN, "only on request"
    assert shown(run, "--write-baseline") == (0, [], [f"{FILE}: 5 taken out, 1 left"])
    assert known(project) == {"a.py": {"NN101": 1}}
    assert shown(run) == (0, [], [])
    (project / "a.py").write_text("import torch\n")
    run("--write-baseline")
    assert (project / FILE).read_text() == "{}\n"
    assert shown(run) == (0, [], [])


def test_it_may_only_shrink(run: Run, project: Path) -> None:
    know(project)
    (project / "a.py").write_text(TEXT.replace("z = BUG_NN205", "z = BUG_NN101, BUG_NN501"))
    code, found, said = shown(run, "--write-baseline")
    assert (code, found) == (1, ["a.py NN101"] * 3 + ["a.py NN501"])
    assert said == [f"{FILE}: 1 taken out, 5 left", f"a.py: 3 findings of NN101, and {FILE} knows 2 of them: all are shown"]
    assert known(project) == {**KNOWN, "a.py": {"NN101": 2}}


def test_what_nobody_looked_at_is_kept(run: Run, project: Path) -> None:
    know(project)
    for name in ("a.py", "sub/b.py"):
        (project / name).write_text("import torch\n")
    for args in (["a.py"], ["sub/b.py", "--select", "NN1"], ["--select", "NN501"], ["--exclude", "*.py"], ["--ignore", "NN101,NN205"]):
        assert shown(run, *args)[:2] == (0, []), args
        assert shown(run, "--write-baseline", *args)[0] == 0
        assert known(project) == KNOWN
    (project / "nnlint.toml").write_text(f"baseline = '{FILE}'\n[per-file-ignores]\n'a.py' = ['NN1']\n'sub/*' = ['all']\n")
    assert len(shown(run)[2]) == 2
    run("--write-baseline")
    assert known(project) == {**KNOWN, "a.py": {"NN101": 2}}
    (project / "nnlint.toml").write_text(f"baseline = '{FILE}'\n")
    run("--write-baseline", "sub")
    assert known(project) == {"a.py": {"NN101": 2}}


def test_broken_files(run: Run, project: Path) -> None:
    know(project)
    (project / "a.py").write_text("import torch\nx = (\n")
    assert shown(run) == (2, ["a.py NN000"], []), "neither known nor left over"
    assert run("--write-baseline") == (
        2,
        "",
        f"nnlint: {FILE} was not written: something could not be read; see what without --write-baseline\n",
    )
    assert known(project) == KNOWN


def test_paths_are_relative_to_the_baseline(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "ci").mkdir()
    (project / "nnlint.toml").write_text(f"baseline = 'ci/{FILE}'\n")
    monkeypatch.chdir(project / "sub")
    assert shown(run, "--write-baseline", "..")[2] == [f"../ci/{FILE}: written with 6 findings in 2 files"]
    assert json.loads((project / "ci" / FILE).read_text()) == {"../a.py": KNOWN["a.py"], "../sub/b.py": KNOWN["sub/b.py"]}
    assert shown(run, "..") == (0, [], [])
    monkeypatch.chdir(project)
    assert shown(run) == (0, [], [])


def test_links_to_the_project(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "link").symlink_to("sub")
    know(project)
    monkeypatch.chdir(project / "sub")
    assert shown(run, "--baseline", "../link/../" + FILE, "..") == (0, [], [])
    (project / "sub" / FILE).write_text(json.dumps({"b.py": KNOWN["sub/b.py"]}))
    assert shown(run, "--baseline", f"../link/{FILE}") == (0, [], [])


def test_with_fixes(run: Run, project: Path) -> None:
    text = "import torch\nx = BUG_NN101\ny = 1  # nnlint: ignore[NN205]\n"
    counts = {"a.py": {"NN001": 1, "NN101": 1}, "sub/b.py": KNOWN["sub/b.py"]}
    know(project, counts)
    (project / "a.py").write_text(text)
    assert shown(run) == (0, [], [])
    code, found, said = shown(run, "--fix")
    assert (code, found, said[0]) == (1, [], f"{FILE}: a.py: 1 finding of NN001 known, none of them is left")
    (project / "a.py").write_text(text)
    assert shown(run, "--fix", "--write-baseline") == (0, [], [f"{FILE}: 1 taken out, 4 left"])
    assert known(project) == {**counts, "a.py": {"NN101": 1}}


def test_without_it(run: Run, project: Path) -> None:
    know(project)
    assert len(shown(run, "--no-baseline")[1]) == 6
    for option in ("--write-baseline", "--baseline=x"):
        assert run("--no-baseline", option)[0] == 2


def test_suppressed_and_suspected_findings_are_not_counted(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\nx = BUG_NN101  # noqa: NN101\ny = GUESS_NN201\nz = 1  # nnlint: ignore[NN205]\n")
    run("--write-baseline")
    assert known(folder) == {"a.py": {"NN001": 1}}


def test_notebooks_and_all_formats(run: Run, folder: Path) -> None:
    cells = [{"cell_type": "code", "source": "import torch\nx = BUG_NN101"}, {"cell_type": "code", "source": "y = BUG_NN101"}]
    (folder / "n.ipynb").write_text(json.dumps({"cells": cells}))
    assert run("--write-baseline", "--quiet")[0] == 0
    assert known(folder) == {"n.ipynb": {"NN101": 2}}
    for form in FORMATS:
        code, out, _ = run("--format", form, "--baseline", FILE)
        assert (code, "NN101" in out) == (0, False)
        assert run("--format", form, "--baseline", FILE, "--statistics")[0] == 0


def test_standard_input(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    know(project)
    for args, code in ((["--stdin-filename", "a.py"], 0), (["--stdin-filename", "c.py"], 1), ([], 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
        assert shown(run, "-", *args)[0] == code


def test_names_of_every_kind(run: Run, project: Path) -> None:
    for path in (project / "a.py", project / "sub" / "b.py"):
        path.unlink()
    for name in ('ä "b" \\ c.py', "-x.py", "{}.py", "a:b.py"):
        (project / name).write_text(TEXT)
    run("--write-baseline")
    assert len(known(project)) == 4
    assert shown(run) == (0, [], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{FILE}:1:1: the baseline is no JSON: expecting value"),
        ("<<<<<<< HEAD\n{}", f"{FILE}:1:1: the baseline is no JSON"),
        ("\xff", f"{FILE}: the baseline is no JSON that can be read"),
        ("[" * 100_000, f"{FILE}: the baseline is no JSON that can be read"),
        ("[]", f"{FILE}: the baseline is no object of files"),
        ('{"a.py": 2}', f"{FILE}: `a.py`: expected an object of rules and counts"),
        ('{"a.py": {"NN101": "2"}}', f'{FILE}: `a.py`: `NN101`: expected a number from 1, got "2"'),
        ('{"a.py": {"NN101": 0}}', f"{FILE}: `a.py`: `NN101`: expected a number from 1, got 0"),
        ('{"a.py": {"NN101": 1.5}}', f"{FILE}: `a.py`: `NN101`: expected a number from 1, got 1.5"),
        ('{"a.py": {"NN101": true}}', f"{FILE}: `a.py`: `NN101`: expected a number from 1, got true"),
        ('{"a.py": {"NN101": {}}}', f"{FILE}: `a.py`: `NN101`: expected a number from 1, got {{}}"),
        ('{"a.py": {"NN000": 1}}', f"{FILE}: `a.py`: NN000 cannot be known"),
        ('{"a.py": {"NN101": 1}, "a.py": {}}', f"{FILE}: `a.py` stands twice in the baseline"),
        ('{"a.py": {}, "./a.py": {}}', f"{FILE}: `./a.py` stands twice in the baseline"),
    ],
)
def test_baselines_that_are_none(run: Run, project: Path, text: str, message: str) -> None:
    (project / FILE).write_bytes(text.encode("latin-1"))
    for args in ([], ["--write-baseline"]):
        code, out, err = run(*args)
        assert (code, out) == (2, "")
        assert err.startswith(f"nnlint: {message}")
        assert (project / FILE).read_bytes() == text.encode("latin-1")


def test_a_baseline_that_is_not_there(run: Run, project: Path) -> None:
    assert run() == (2, "", f"nnlint: nnlint.toml: `baseline`: there is no file `{FILE}`; --write-baseline writes it\n")
    assert run("--baseline", "x/y.json")[2] == (
        "nnlint: the command line: `baseline`: there is no file `x/y.json`; --write-baseline writes it\n"
    )
    assert run("--baseline", "x/y.json", "--write-baseline")[2] == "nnlint: x/y.json: cannot be written: No such file or directory\n"
    (project / FILE).mkdir()
    assert run()[2] == f"nnlint: {FILE}: the baseline cannot be read: Is a directory\n"


def test_rules_that_are_not_there(run: Run, project: Path) -> None:
    know(project, {**KNOWN, "c.py": {}, "./a.py/../a.py": {"NN101": 2, "NN205": 1, "XY1": 3}} | {"a.py": {"NN101": 2}})
    assert run()[0] == 2, "the same file twice"
    know(project, {"sub/b.py": KNOWN["sub/b.py"], "./a.py": {"NN101": 2, "NN205": 1, "XY1": 3}})
    assert shown(run)[2][0] == f"{FILE}: a.py: 3 findings of XY1 known, there is no such rule"
    run("--write-baseline")
    assert known(project) == KNOWN


# After a run


def finding(runtime: Verdict | None, confidence: Confidence = Confidence.CERTAIN) -> Finding:
    place = Place("a.py", None, 2, 1, 2, 2)
    return Finding("NN101", "softmax-before-logit-loss", Severity.ERROR, confidence, "m", "h", place, runtime=runtime)


def test_verdicts(project: Path, catalogue: Catalogue) -> None:
    def left(count: int, *findings: Finding, partial: bool = True) -> tuple[int, bool]:
        know(project, {"a.py": {"NN101": count}})
        result = Result(list(findings), {"a.py": Source("a.py", TEXT)}, 1, partial=frozenset(["a.py"] if partial else []))
        compare(result, settle(["."], Table()), catalogue, writing=False)
        return len(result.findings), result.stale

    sure, wrong, seen = finding(confirmed("m")), finding(refuted("m")), finding(confirmed("m"), Confidence.OBSERVED)
    assert left(1, sure) == (0, False)
    assert left(1, sure, wrong) == (1, False), "what is refuted does not count, and is shown"
    assert left(1, sure, seen) == (2, False), "what only the run has shown is new"
    assert left(1, wrong) == (1, False)
    assert left(1, wrong, partial=False) == (1, False), "the linter itself will find it again"
    assert left(2, wrong, partial=False) == (1, True)
    result = Result([sure, wrong], {"a.py": Source("a.py", TEXT)}, 1)
    (project / FILE).unlink()
    compare(result, settle(["."], Table()), catalogue, writing=True)
    assert known(project) == {"a.py": {"NN101": 1}}
    assert result.findings == [wrong]
