"""Programs under the probe, without the seconds that importing torch takes: one helper process imports it and forks a child for each."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

import msgspec

from nnlint.confirm.job import Job, write
from nnlint.confirm.launch import Outcome
from nnlint.confirm.records import AnyRecord, Ended

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SECONDS = 120
Run = Callable[[Path, Path, Path], tuple[int, str]]
Launch = Callable[[Job, Path], Outcome]

# A child does what `python` does with the `sitecustomize` of the launcher on its path, except that torch is there already.
SERVER = r"""
import json, os, runpy, signal, sys
import torch, torch._dynamo  # every optimizer imports _dynamo at its first step; once here is enough
import nnlint.confirm.child.probe, nnlint.confirm.child.guard
from nnlint.confirm.child.entry import begin
torch.set_num_threads(1)

def onto(device):
    # As if the program had asked for this device itself; the samplers of a DataLoader draw from a generator that must lie there, too.
    torch.set_default_device(device)
    generator = torch.Generator
    torch.Generator = lambda where=device: generator(where)

def run(job):
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    signal.alarm(job["seconds"])
    os.chdir(job["cwd"])
    sys.argv = [job["path"]]
    sys.path[0] = os.path.dirname(job["path"]) if job["folder"] is None else job["folder"]
    if job["scratch"] is not None:
        begin(job["scratch"])
    if job["device"]:
        onto(job["device"])
    try:
        runpy.run_path(job["path"], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
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
    """The file of each program under fixtures/ that is run."""
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
    """The docstring of a program; of a notebook its first cell."""
    if path.suffix == ".ipynb":
        return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


Ask = Callable[..., int]


@contextmanager
def server(device: str = "") -> Iterator[Ask]:
    """A function that runs a program in a child of the helper process: with the probe if there is a scratch folder. Gives its exit code."""
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    env = dict(os.environ, OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=path, TORCH_COMPILE_DISABLE="1", PYTORCH_JIT="0")
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as helper:
        assert helper.stdin is not None and helper.stdout is not None
        jobs, answers = helper.stdin, helper.stdout

        def ask(program: str, cwd: str, log: Path, folder: Union[str, None] = None, scratch: Union[str, None] = None) -> int:
            order = {"path": program, "cwd": cwd, "folder": folder, "log": str(log), "scratch": scratch, "seconds": SECONDS}
            order["device"] = device
            jobs.write(json.dumps(order) + "\n")
            jobs.flush()
            answer = answers.readline()
            assert answer, "the helper process is gone"
            return int(answer)

        yield ask
        jobs.close()


@contextmanager
def running(device: str = "") -> Iterator[Run]:
    """Runs a program as it is, with a folder first on its path: exit code and output."""
    with server(device) as ask:

        def run(path: Path, folder: Path, cwd: Path) -> tuple[int, str]:
            log = cwd.parent / "log.txt"
            code = ask(str(path), str(cwd), log, str(folder))
            return code, log.read_text(encoding="utf-8", errors="replace")

        yield run


@contextmanager
def forking(device: str = "") -> Iterator[Launch]:
    """Stands in for `nnlint.confirm.launch.launch`; the code of the outcome is the exit code."""
    with server(device) as ask:

        def launch(job: Job, scratch: Path) -> Outcome:
            began = time.monotonic()
            write(job, scratch)
            log = scratch / "log.txt"
            folder = os.path.dirname(job.renamed[0][1]) if job.renamed else None
            code = ask(job.script, job.folder, log, folder, str(scratch))
            decode = msgspec.json.Decoder(AnyRecord).decode
            files = sorted(scratch.glob("evidence.*.jsonl"))
            records = [((0, number), decode(line)) for number, file in enumerate(files) for line in file.read_bytes().splitlines()]
            ended = next((record for _, record in records if isinstance(record, Ended)), Ended(reason="error", error="nothing was said"))
            return Outcome(records, ended, code, log.read_text(encoding="utf-8", errors="replace"), time.monotonic() - began)

        yield launch
