"""What is found does not depend on how the work is divided, in which order, or on what is known from before; and nothing hangs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nnlint import cache, crew, inquiry
from nnlint.cache import Folder
from nnlint.crew import Crew, processors
from nnlint.findings import Finding
from nnlint.inquiry import Hearing
from nnlint.islands import islands
from nnlint.lint import lint_paths
from nnlint.lower import lower
from nnlint.program import File, Program
from nnlint.registry import Catalogue
from nnlint.registry import catalogue as installed
from nnlint.settings import Table, settle
from nnlint.source import read, relate
from nnlint.stack import deep
from nnlint.trace.units import WAVES, Course
from nnlint.trouble import Trouble

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
FOLDERS = ("demo", "missing-eval-mode", "view-instead-of-permute")

# The command with everything worth a crew.
EAGER = "import sys; from nnlint import crew; crew.TEXT = crew.RECORDS = 0; from nnlint.cli import main; main(sys.argv[1:])"

LOSSES = """\
import torch
from torch import nn

WEIGHT = 0.5


def combined(scores, target):
    return WEIGHT * nn.functional.cross_entropy(scores, target)
"""
BASE = """\
from torch import nn


class Base(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.finish(self.head(self.body(x)))

    def finish(self, x):
        return x
"""
NET = """\
import torch
from torch import nn
from .base import Base
from .registry import register


@register("net{n}")
class Net{n}(Base):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten())

    def finish(self, x):
        return {last}
"""
REGISTRY = """\
MODELS = {}


def register(name):
    def wrap(cls):
        MODELS[name] = cls
        return cls

    return wrap


def build(name):
    return MODELS[name]()
"""
TRAIN = """\
import torch
from nets import build
from losses import combined
from settings import NAME

net = build(NAME)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in torch.utils.data.DataLoader([]):
    optimizer.zero_grad()
    combined(net(x), y).backward()
    optimizer.step()
"""
COUNT = 10


@pytest.fixture(scope="module")
def rules() -> Catalogue:
    return installed()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose files all have to do with one another, and a script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    (tmp_path / "nnlint.toml").write_text("")
    (tmp_path / "nets").mkdir()
    for n in range(COUNT):
        (tmp_path / "nets" / f"net{n}.py").write_text(NET.format(n=n, last="torch.softmax(x, dim=1)" if n == 3 else "x"))
    imports = "".join(f"from .net{n} import Net{n}\n" for n in range(COUNT))
    (tmp_path / "nets" / "__init__.py").write_text(imports + "from .registry import build\n")
    (tmp_path / "nets" / "base.py").write_text(BASE)
    (tmp_path / "nets" / "registry.py").write_text(REGISTRY)
    (tmp_path / "losses.py").write_text(LOSSES)
    (tmp_path / "settings.py").write_text('import torch\n\nNAME = "net3"\n')
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def lint(rules: Catalogue, kept: Folder | None = None, jobs: int = 1) -> list[Finding]:
    settings = settle(["."], Table(select=("all",), suspected=True))

    def work() -> list[Finding]:
        with Crew(jobs) as workers:
            return lint_paths(["."], settings, rules, kept, workers).findings

    return deep(work)


# --- the same findings, byte for byte --------------------------------------------------------------------------


def test_jobs_caches_hash_seeds_and_the_order_of_paths_make_no_difference(tmp_path: Path) -> None:
    paths = [str(path) for name in FOLDERS for path in sorted((FIXTURES / name).iterdir()) if path.suffix != ".txt"]
    shuffled = random.Random(7).sample(paths, len(paths))
    both = ["--select", "all", "--suspected", "--format", "json", "--exit-zero"]
    runs = [
        (0, ["--jobs", "1", "--no-cache", *paths]),
        (1, ["--jobs", "4", "--cache-dir", str(tmp_path / "four"), *shuffled]),
        (2, ["--jobs", "4", "--cache-dir", str(tmp_path / "four"), *paths]),
        (3, ["--jobs", "1", "--cache-dir", str(tmp_path / "one"), *reversed(shuffled)]),
        (1, ["--jobs", "1", "--cache-dir", str(tmp_path / "one"), *shuffled]),
    ]
    outputs = []
    for seed, arguments in runs:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", EAGER, *both, *arguments]
        outputs.append(subprocess.run(command, cwd=ROOT, capture_output=True, env=environment, check=False))
    assert all(done.returncode == 0 and not done.stderr for done in outputs), [done.stderr[-500:] for done in outputs]
    assert outputs[0].stdout.count(b'"code"') > 50
    assert all(done.stdout == outputs[0].stdout for done in outputs)


def test_jobs_0_is_one_for_each_processor(project: Path) -> None:
    assert Crew(0).jobs == processors() >= 1
    command = [sys.executable, "-c", EAGER, "--no-cache", "--format", "json", "--exit-zero"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = ([*command, "--jobs", jobs, "."] for jobs in "10")
    one, each = (subprocess.run(run, cwd=project, env=environment, capture_output=True, check=True).stdout for run in runs)
    assert one == each
    assert b"NN101" in one


def test_the_order_of_units_makes_no_difference() -> None:
    """Whatever a unit leaves behind in this process, no other one sees it."""

    def said(reverse: bool) -> list[object]:
        hearing = Hearing()
        for island in islands(program):
            course = Course(program, island.files)
            for wave in range(WAVES):
                for unit in course.units(wave)[:: -1 if reverse else 1]:
                    for story in course.run(unit):
                        hearing.ask(story, asked)
                course.end(wave)
        return [hearing.said().reports, sorted(hearing.troubles)]

    asked = [rule() for rule in installed().rules]
    files = sorted(path for name in FOLDERS for path in (FIXTURES / name).rglob("*.py"))
    sources = [source for path in files if (source := read(path, path.relative_to(ROOT).as_posix())) is not None]
    program = deep(lambda: Program([File(source.key, lower(source.text)) for source in relate(sources) if source.relevant]))
    first = deep(lambda: said(False))
    assert first[0]
    assert deep(lambda: said(True)) == first


def test_workers_find_what_one_process_finds(rules: Catalogue, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = lint(rules)
    assert ("nets/net3.py", "NN101") in {(finding.place.filename, finding.code) for finding in alone}
    monkeypatch.setattr(crew, "TEXT", 0)
    monkeypatch.setattr(crew, "RECORDS", 0)
    assert lint(rules, jobs=3) == alone


# --- one file of many has changed ------------------------------------------------------------------------------

EDITS: dict[str, tuple[str, str]] = {
    "the body of a function": ("losses.py", LOSSES.replace("WEIGHT * nn", "2 * WEIGHT * nn")),
    "a name that is new": ("nets/net5.py", NET.format(n=5, last="x") + "\nEXTRA = 3\n"),
    "nothing but a comment": ("nets/net5.py", "# a comment\n" + NET.format(n=5, last="x")),
    "what a network gives": ("nets/net3.py", NET.format(n=3, last="x")),
    "what another gives": ("nets/net4.py", NET.format(n=4, last="x.log_softmax(1)")),
    "a base class": ("nets/base.py", BASE.replace("        return x\n", "        return x.softmax(dim=1)\n")),
    "a constant elsewhere": ("settings.py", 'import torch\n\nNAME = "net4"\n'),
    "what is registered": ("nets/registry.py", REGISTRY.replace("MODELS[name] = cls", "pass")),
    "what is imported": ("nets/__init__.py", "from .net3 import Net3\nfrom .registry import build\n"),
    "the loss": ("losses.py", LOSSES.replace("nn.functional.cross_entropy", "nn.functional.mse_loss")),
    "a module in front of another": ("nets/losses.py", "def combined(scores, target):\n    return (scores - target).pow(2).mean()\n"),
    "a package in front of a module": ("losses/__init__.py", "def combined(scores, target):\n    return (scores - target).abs().mean()\n"),
    "a file that does not parse": ("nets/net3.py", "import torch\ndef (\n"),
    "a file that is gone": ("nets/net3.py", ""),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen_wherever_it_matters(
    rules: Catalogue, project: Path, tmp_path: Path, edit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Folder(tmp_path / cache.FOLDER, "v")
    before = lint(rules, kept)
    name, text = EDITS[edit]
    (project / name).parent.mkdir(exist_ok=True)
    old = (project / name).read_text() if (project / name).exists() else None
    if text:
        (project / name).write_text(text)
    else:
        (project / name).unlink()
    ran: list[str] = []
    ask = inquiry.ask
    monkeypatch.setattr(inquiry, "ask", lambda course, unit, asked: ran.append(str(unit)) or ask(course, unit, asked))  # type: ignore[func-returns-value]
    after = lint(rules, kept)
    some, ran = len(ran), []
    assert lint(rules, None) == after
    if edit in ("the body of a function", "a name that is new", "what another gives", "a constant elsewhere"):
        assert 0 < some < len(ran) / 2
    if edit == "nothing but a comment":
        assert not some
    if old is None:
        (project / name).unlink()
    else:
        (project / name).write_text(old)
    assert lint(rules, kept) == before


# --- ends ------------------------------------------------------------------------------------------------------


def _dies(items: list[int]) -> list[int]:
    os._exit(7)


def test_a_worker_that_dies_is_told() -> None:
    with Crew(2) as workers, pytest.raises(Trouble, match="a worker process has ended"):
        workers._share(_dies, [1, 2], [1, 1])


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("trouble", [False, True])
def test_a_crew_has_ended_when_it_is_left(monkeypatch: pytest.MonkeyPatch, trouble: bool) -> None:
    """Nothing of it is left to the end of Python, where its own clean-up and Python's get in each other's way."""
    monkeypatch.setattr(crew, "TEXT", 0)
    before = threading.active_count()
    with contextlib.suppress(Trouble), Crew(2) as workers:
        assert workers.lowered(["x = 1\n"] * 4) is not None
        assert multiprocessing.active_children()
        if trouble:
            raise Trouble("something else")
    assert not multiprocessing.active_children()
    assert threading.active_count() <= before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see the workers")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_run(tmp_path: Path, how: signal.Signals) -> None:
    for n in range(200):
        (tmp_path / f"net{n}.py").write_text("import torch\n" + "".join(f"x{i} = torch.zeros({n}) + {i}\n" for i in range(400)))
    command = [sys.executable, "-c", EAGER, "--jobs", "2", "--no-cache", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        end = time.monotonic() + 60
        workers: list[int] = []
        while len(workers) < 2 and run.poll() is None:
            assert time.monotonic() < end
            workers = children(run.pid)
            time.sleep(0.05)
        run.send_signal(how)
        _, err = run.communicate(timeout=60)
        assert run.returncode == (130 if how is signal.SIGINT else -how)
        if how is signal.SIGINT:
            assert err.strip() == "nnlint: interrupted"
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < end, "a worker is still there"
            time.sleep(0.05)
