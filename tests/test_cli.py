"""The command line: exit codes, options, and a clear word for everything that cannot be linted."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Analyst, Outcome

from nnlint import __version__
from nnlint.stack import deep

Run = Callable[..., Outcome]
ROOT = Path(__file__).resolve().parent.parent

BUGGY = "import torch\nx = BUG_NN101\ny = BUG_NN205\nz = BUG_NN501\nw = GUESS_NN201\n"


def concise(run: Run, *args: str) -> tuple[int, list[str]]:
    code, out, _ = run("--format", "concise", "--quiet", *args)
    return code, [line.split(" ")[0] + " " + line.split(" ")[1] for line in out.splitlines()]


def test_findings_in_order(run: Run, folder: Path) -> None:
    (folder / "b.py").write_text(BUGGY)
    (folder / "a.py").write_text("import torch\nx = BUG_NN501 + BUG_NN101\n")
    code, out, err = run("--format", "concise")
    assert code == 1
    assert err == ""
    assert out.splitlines() == [
        "a.py:2:5 NN501 [note] bias-before-batchnorm in `x`",
        "a.py:2:17 NN101 [error] softmax-before-logit-loss in `x`",
        "b.py:2:5 NN101 [error] softmax-before-logit-loss in `x`",
        "b.py:3:5 NN205 [warning] scheduler-before-optimizer in `x`",
        "b.py:4:5 NN501 [note] bias-before-batchnorm in `x`",
        "Found 2 errors, 1 warning, 2 notes. 1 suspected finding not shown; see it with --suspected.",
    ]


def test_clean(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text("import torch\n")
    assert run(".") == (0, "No findings in 1 file.\n", "")
    assert run(".", "--quiet") == (0, "", "")


def test_no_files(run: Run, folder: Path) -> None:
    assert run() == (0, "", "nnlint: no Python files or notebooks here\n")
    assert run("--format", "json") == (0, "[]\n", "nnlint: no Python files or notebooks here\n")
    assert run("--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["--fail-on", "error"], 1),
        (["--fail-on", "never"], 0),
        (["--exit-zero"], 0),
        (["--select", "NN205"], 1),
        (["--select", "NN205", "--fail-on", "error"], 0),
        (["--select", "NN501"], 0),
        (["--select", "NN501", "--fail-on", "note"], 1),
        (["--select", "NN201"], 0),
        (["--select", "NN201", "--suspected"], 1),
        (["--ignore", "NN1,NN2"], 0),
        (["--ignore", "NN1", "--ignore", "scheduler-before-optimizer"], 0),
    ],
)
def test_exit_codes(run: Run, folder: Path, options: list[str], code: int) -> None:
    (folder / "a.py").write_text(BUGGY)
    assert run(*options)[0] == code


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope.py"], "nnlint: `nope.py` does not exist"),
        (["--select", "NN9"], "nnlint: the command line: unknown rule or group `NN9`"),
        (["--explain", "missing-zero-grd"], "nnlint: unknown rule `missing-zero-grd`; did you mean `missing-zero-grad`?"),
        (["--format", "sarif2"], "Invalid value for '--format'"),
        (["--frmat", "json"], "--frmat"),
        (["--fail-on", "fatal"], "Invalid value for '--fail-on'"),
        (["--stdin-filename", "a.py", "."], "nnlint: `--stdin-filename` needs `-` as the path"),
        (["-", "a.py"], "nnlint: `-` (standard input) cannot be linted together with other paths"),
        (["--output", "no/such/folder.txt", "a.py"], "nnlint: --output: no/such/folder.txt: No such file or directory"),
    ],
)
def test_broken_runs(run: Run, folder: Path, args: list[str], message: str) -> None:
    (folder / "a.py").write_text("import torch\n")
    code, out, err = run(*args)
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_broken_configuration(run: Run, folder: Path) -> None:
    (folder / "nnlint.toml").write_text("selct = []\n")
    assert run() == (2, "", "nnlint: nnlint.toml: unknown key `selct`; did you mean `select`?\n")
    (folder / "nnlint.toml").write_text("ignore = ['NN7']\n")
    (folder / "a.py").write_text("import torch\n")
    assert run() == (2, "", "nnlint: nnlint.toml: unknown rule or group `NN7`\n")


def test_what_the_analysis_is_given(run: Run, folder: Path, analyst: Analyst) -> None:
    (folder / "a.py").write_text("import torch\n")
    (folder / "other.py").write_text("print()\n")
    (folder / "nnlint.toml").write_text("src = ['lib']\n")
    run("--select", "NN2,pedantic")
    assert analyst.given == [(["a.py", "other.py"], ["NN108", "NN201", "NN205"], ["lib"])]


def test_nothing_is_analysed_where_nothing_is_relevant(run: Run, folder: Path, analyst: Analyst) -> None:
    (folder / "a.py").write_text("def f(:\n")
    assert run() == (0, "No findings in 1 file.\n", "")
    assert analyst.given == []


def test_per_file_ignores_and_suppressions(run: Run, folder: Path) -> None:
    (folder / "nnlint.toml").write_text("[per-file-ignores]\n'old/*' = ['NN1']\n'*.ipynb' = ['all']\n")
    (folder / "old").mkdir()
    (folder / "old" / "a.py").write_text("import torch\nx = BUG_NN101\ny = BUG_NN201  # noqa: NN101\n")
    (folder / "b.py").write_text(
        "import torch\nx = BUG_NN101  # nnlint: ignore[NN101]\ny = 1  # nnlint: ignore[NN201]\nz = GUESS_NN201  # noqa: NN201\n"
    )
    (folder / "n.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": "import torch\nx = BUG_NN101"}]}))
    assert concise(run) == (1, ["b.py:3:8 NN001", "old/a.py:3:5 NN201"])
    assert concise(run, "--ignore", "unused-suppression") == (1, ["old/a.py:3:5 NN201"])


def test_stdin(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    feed(BUGGY)
    assert concise(run, "-")[1][0] == "-:2:5 NN101"
    feed(BUGGY)
    assert concise(run, "-", "--stdin-filename", "deep/a.py", "--select", "NN205") == (1, ["deep/a.py:3:5 NN205"])
    feed(json.dumps({"cells": [{"cell_type": "code", "source": BUGGY}]}))
    assert concise(run, "-", "--stdin-filename", "n.ipynb", "--select", "NN205") == (1, ["n.ipynb:cell 1:3:5"])
    feed(BUGGY)
    assert concise(run, "-", "--stdin-filename", "build/a.py", "--force-exclude") == (0, [])


def test_output_file(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text(BUGGY)
    code, out, err = run("--output", "out.json", "--format", "json", "a.py")
    assert (code, out, err) == (1, "", "")
    assert len(json.loads((folder / "out.json").read_text())) == 3


def test_statistics(run: Run, folder: Path) -> None:
    (folder / "a.py").write_text(BUGGY + "v = BUG_NN205\n")
    assert run("--statistics") == (
        1,
        (
            "2  NN205  warning  scheduler-before-optimizer\n"
            "1  NN101  error    softmax-before-logit-loss\n"
            "1  NN501  note     bias-before-batchnorm\n"
        ),
        "",
    )
    entries = json.loads(run("--statistics", "--format", "json")[1])
    assert entries[0] == {"code": "NN205", "name": "scheduler-before-optimizer", "severity": "warning", "count": 2}


def test_explain_and_list(run: Run, folder: Path) -> None:
    for word in ("NN201", "nn201", "missing-zero-grad"):
        code, out, _ = run("--explain", word)
        assert code == 0
        assert out.startswith("# missing-zero-grad (NN201)\n\nWhat MissingZeroGrad says.\n")
    assert "NN108  redundant-log-softmax       note     pedantic\n" in run("--list-rules")[1]
    entries = {entry["code"]: entry for entry in json.loads(run("--list-rules", "--format", "json")[1])}
    assert entries["NN201"] == {
        "code": "NN201",
        "name": "missing-zero-grad",
        "severity": "error",
        "group": "default",
        "summary": "What MissingZeroGrad says.",
        "url": "https://nnlint.readthedocs.io/rules/missing-zero-grad",
    }
    assert list(entries) == sorted(entries)


def test_show_settings(run: Run, folder: Path) -> None:
    (folder / "nnlint.toml").write_text(
        "select = ['NN2']\nfail-on = 'note'\n[per-file-ignores]\n'old/*' = ['NN201']\n[runtime]\nsteps = 7\ntimeout = 5\n"
    )
    code, out, _ = run("--show-settings", "--ignore", "NN205", "--exclude", "x", "--timeout", "60")
    assert code == 0
    assert out.splitlines() == [
        "configuration: nnlint.toml",
        "fail-on: note (nnlint.toml)",
        "suspected: no",
        "src: none",
        "baseline: none",
        "output-format: full",
        "runtime.steps: 7 (nnlint.toml)",
        "runtime.timeout: 60 (the command line)",
        "runtime.device: auto",
        "runtime.args: none",
        "exclude: x",
        "per-file-ignores: old/*: NN201 (nnlint.toml)",
        "rules:",
        "  NN000 on  invalid-syntax: always",
        "  NN001 off unused-suppression: not selected by nnlint.toml",
        "  NN101 off softmax-before-logit-loss: not selected by nnlint.toml",
        "  NN108 off redundant-log-softmax: not selected by nnlint.toml",
        "  NN201 on  missing-zero-grad: `NN2` selected by nnlint.toml",
        "  NN205 off scheduler-before-optimizer: `NN205` ignored by the command line",
        "  NN501 off bias-before-batchnorm: not selected by nnlint.toml",
    ]
    (folder / "old").mkdir()
    for name in ("old/a.py", "x/new.py"):
        lines = run("--show-settings", "--exclude", "x", name)[1].splitlines()
        assert lines[-8] == f"rules for {name}:"
        assert ("  NN201 off missing-zero-grad: `NN201` ignored in `old/*` by nnlint.toml" in lines) is (name == "old/a.py")
        assert (f"{name} is excluded: it is linted only where it is named without --force-exclude" in lines) is (name == "x/new.py")


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"nnlint {__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    headings = [line.removesuffix(":") for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Rule selection", "File selection", "Fixes", "Output", "Runtime mode", "Miscellaneous"]
    assert run("-h")[1] == out


@pytest.mark.parametrize(
    ("option", "variables", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "0"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "auto"], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], variables: dict[str, str], coloured: bool
) -> None:
    (folder / "a.py").write_text(BUGGY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for form in ("full", "concise"):
        assert ("\x1b[" in run("--format", form, *option)[1]) is coloured
    assert "\x1b[" not in run("--format", "json", *option)[1]


BAD: dict[str, tuple[bytes, str]] = {
    "syntax.py": (b"import torch\ndef f(:\n", "syntax.py:2:"),
    "latin.py": (b"import torch\n# caf\xe9\n", "latin.py:2:6"),
    "nul.py": (b"import torch\n\0\n", "nul.py:2:1"),
    "json.ipynb": (b'{"cells": [', "json.ipynb:1:12"),
    "list.ipynb": (b"[1, 2]", "list.ipynb:1:1"),
    "cell.ipynb": (
        json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in ("import torch", "x = (", "y = BUG_NN101")]}).encode(),
        "cell.ipynb:cell 2:1:",
    ),
}
HARMLESS: dict[str, bytes] = {
    "empty.py": b"",
    "empty.ipynb": b"",
    "blank.py": b"\xef\xbb\xbf\r\n\r\n",
    "no_newline.py": b"import torch",
    "form_feed.py": b"import torch\n\x0c\nx = 1\n",
    "irrelevant.py": b"print 'python 2'\n",
}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def entries(run: Run, *args: str) -> tuple[int, list[dict[str, Any]]]:
    code, out, err = run("--format", "json", *args)
    assert "Traceback" not in err
    return code, json.loads(out)


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_has_an_entry_and_the_rest_is_linted(run: Run, folder: Path, name: str) -> None:
    write(folder, {name: BAD[name][0], "zz.py": BUGGY.encode(), **HARMLESS})
    code, found = entries(run, "--select", "NN101", "--exit-zero")
    assert code == 2
    assert {(entry["filename"], entry["code"]) for entry in found} >= {(name, "NN000"), ("zz.py", "NN101")}
    assert len({entry["filename"] for entry in found}) == 2
    (broken,) = [entry for entry in found if entry["code"] == "NN000"]
    assert (broken["name"], broken["severity"], broken["confidence"]) == ("invalid-syntax", "error", "certain")
    lines = run("--format", "concise", name)[1].splitlines()
    assert any(line.startswith(BAD[name][1]) and " NN000 [error] " in line for line in lines)
    assert run("--select", "NN501", name)[0] == 2, "it cannot be switched off"


def test_the_other_cells_are_linted(run: Run, folder: Path) -> None:
    write(folder, {"cell.ipynb": BAD["cell.ipynb"][0]})
    found = entries(run)[1]
    assert [(entry["code"], entry["cell"], entry["location"]) for entry in found] == [
        ("NN000", 2, found[0]["location"]),
        ("NN101", 3, {"row": 1, "column": 5}),
    ]


def test_unreadable_file(run: Run, folder: Path) -> None:
    write(folder, {"shut.py": b"import torch\n", "zz.py": BUGGY.encode()})
    (folder / "shut.py").chmod(0)
    if os.access("shut.py", os.R_OK):
        pytest.skip("root reads everything")
    code, found = entries(run)
    assert code == 2
    assert (found[0]["filename"], found[0]["message"]) == ("shut.py", "the file cannot be read: Permission denied")
    assert found[1]["filename"] == "zz.py"


def test_a_file_that_vanishes(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"gone.py": b"import torch\n", "zz.py": BUGGY.encode()})
    read = Path.read_bytes

    def vanishing(path: Path) -> bytes:
        if path.name == "gone.py":
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanishing)
    code, found = entries(run)
    assert code == 2
    assert (found[0]["filename"], found[0]["message"]) == ("gone.py", "the file cannot be read: No such file or directory")


def test_a_mistake_of_our_own_is_no_finding(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.py").write_text("import torch\n")

    def fail(*args: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(sys.modules["nnlint.analysis"], "analyse", fail)
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.endswith("ZeroDivisionError: oh\n\nnnlint: this is a mistake in nnlint itself; please report it with the lines above\n")


def test_deep_recursion() -> None:
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    limit = sys.getrecursionlimit()
    assert deep(lambda: depth(50_000)) == 50_000
    assert sys.getrecursionlimit() == limit
    with pytest.raises(ValueError, match="oh"):
        deep(lambda: int("oh"))


def start(*code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupt() -> None:
    process = start(
        # A shell lets what it runs in the background ignore an interrupt.
        "import signal, time, nnlint.cli as cli",
        "signal.signal(signal.SIGINT, signal.default_int_handler)",
        "cli._lint = lambda *args: print('working', flush=True) or time.sleep(60)",
        "cli.main([])",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 130
    assert err.strip() == "nnlint: interrupted"


@pytest.mark.skipif(os.name == "nt", reason="pipes")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_reader_that_goes_away(size: int) -> None:
    process = start(
        "import nnlint.cli as cli",
        f"cli._lint = lambda *args: cli._write('some text\\n' * {size}, None, False) or 1",
        "import time; time.sleep(0.5)",
        "cli.main([])",
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) in (1, 141)


@pytest.mark.parametrize(("arguments", "code"), [("['a.py']", 1), ("['--version']", 0), ("['nowhere.py']", 2)])
def test_what_others_have_put_off_to_the_end_is_done(folder: Path, arguments: str, code: int) -> None:
    (folder / "a.py").write_text("import torch\ntorch.nn.CrossEntropyLoss()(torch.rand(3, 3).softmax(1), torch.arange(3))\n")
    program = f"import atexit, sys; atexit.register(print, 'the end'); sys.argv[1:] = {arguments}; from nnlint.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "the end"
