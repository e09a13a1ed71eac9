"""Every program under fixtures/ runs to its end with exit code 0, and says what it is and what is expected of it.

Importing torch costs more than most of the programs. One helper process imports it once and forks a child for every program, so that each
still runs as `__main__` in a process of its own, with its own folder first on sys.path and an empty working directory.
"""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SECONDS = 120
Run = Callable[[Path, Path, Path], tuple[int, str]]
MARK = re.compile(r"#\s*expect:\s*(.*)$")

SERVER = r"""
import json, os, runpy, signal, sys
import torch, torch._dynamo  # every optimizer imports _dynamo at its first step; once here is enough
torch.set_num_threads(1)

def run(job):
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    signal.alarm(job["seconds"])
    os.chdir(job["cwd"])
    sys.argv = [job["path"]]
    sys.path[0] = job["folder"]
    try:
        runpy.run_path(job["path"], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback
        traceback.print_exc()
        return 1
    return 0

for line in sys.stdin:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = run(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code & 255)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


def cases() -> list[Path]:
    found = []
    for rule in sorted(p for p in FIXTURES.iterdir() if p.is_dir()):
        for entry in sorted(rule.iterdir()):
            if entry.suffix in (".py", ".ipynb"):
                found.append(entry)
            elif entry.is_dir() and not entry.name.startswith((".", "__")):
                found.append(entry / "train.py")
    return found


def case_id(path: Path) -> str:
    return str(path.relative_to(FIXTURES)).removesuffix("/train.py")


def notebook_code(path: Path) -> str:
    """The code cells as one program; magics and shell lines become comments."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return re.sub(r"^(\s*)[%!]", r"\1pass  # ", "\n\n".join(code) + "\n", flags=re.M)


def explanation(path: Path) -> str:
    if path.suffix == ".ipynb":
        return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def program_text(path: Path) -> str:
    if path.suffix == ".ipynb":
        return notebook_code(path)
    files = sorted(path.parent.rglob("*.py")) if path.name == "train.py" else [path]
    return "\n".join(f.read_text(encoding="utf-8") for f in files)


@pytest.fixture(scope="module")
def execute() -> Iterator[Run]:
    if not hasattr(os, "fork"):

        def plainly(path: Path, folder: Path, cwd: Path) -> tuple[int, str]:
            env = dict(os.environ, PYTHONPATH=str(folder))
            done = subprocess.run([sys.executable, str(path)], cwd=cwd, env=env, timeout=SECONDS, capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

        yield plainly
        return

    env = dict(os.environ, OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdin is not None and server.stdout is not None
        jobs, answers = server.stdin, server.stdout

        def forked(path: Path, folder: Path, cwd: Path) -> tuple[int, str]:
            log = cwd.parent / "log.txt"
            job = {"path": str(path), "folder": str(folder), "cwd": str(cwd), "log": str(log), "seconds": SECONDS}
            jobs.write(json.dumps(job) + "\n")
            jobs.flush()
            answer = answers.readline()
            assert answer, "the helper process is gone"
            return int(answer), log.read_text(encoding="utf-8", errors="replace")

        yield forked
        jobs.close()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the programs need torch")
@pytest.mark.parametrize("path", cases(), ids=case_id)
def test_runs(path: Path, execute: Run, tmp_path: Path) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    program = path
    if path.suffix == ".ipynb":
        program = tmp_path / (path.stem + ".py")
        program.write_text(notebook_code(path), encoding="utf-8")
    code, output = execute(program, path.parent, cwd)
    assert code == 0, f"exit code {code}\n{output[-4000:]}"


@pytest.mark.parametrize("path", cases(), ids=case_id)
def test_says_what_it_is(path: Path) -> None:
    text = explanation(path)
    assert re.search(r"^Source: \S", text, flags=re.M), "the docstring (first cell) lacks a line `Source: ...`"
    for line in program_text(path).splitlines():
        if mark := MARK.search(line):
            codes = [code.strip() for code in mark[1].split(",")]
            assert all(re.fullmatch(r"NN\d{3}", code) for code in codes), line
            assert line.split("#")[0].strip(), f"a mark needs code on its line: {line}"
