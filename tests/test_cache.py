"""The cache: never a stale result, never a broken run, and nothing parsed twice."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nnlint import cache
from nnlint.cache import Folder, digest
from nnlint.findings import Finding
from nnlint.lint import lint_paths
from nnlint.lower.memory import Memory
from nnlint.records import Module
from nnlint.registry import Catalogue
from nnlint.registry import catalogue as installed
from nnlint.settings import Table, settle
from nnlint.stack import deep

ROOT = Path(__file__).resolve().parent.parent
WRONG = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)
"""
RIGHT = WRONG.replace("torch.softmax(self.fc(x), dim=1)", "self.fc(x)")
TRAIN = """\
import torch
from torch import nn
from net import Net

net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in [(torch.randn(2, 8), torch.tensor([0, 1]))]:
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
"""


@pytest.fixture(scope="module")
def rules() -> Catalogue:
    return installed()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network in one file, its training in another, and a third that has nothing to do with them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    (tmp_path / "nnlint.toml").write_text("")
    (tmp_path / "net.py").write_text(WRONG)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "other.py").write_text("import torch\n\nprint(torch.zeros(2))\n")
    return tmp_path


def lint(rules: Catalogue, *paths: str, kept: Folder | None = None, **table: object) -> list[Finding]:
    settings = settle(paths or ["."], Table(**table))  # type: ignore[arg-type]
    folder = cache.at(settings, rules) if kept is None else kept
    return deep(lambda: lint_paths(paths or ["."], settings, rules, folder)).findings


def codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.place.filename, finding.code) for finding in findings]


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.name != "tidied"]


def run(folder: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, "-m", "nnlint", *args], cwd=folder, capture_output=True, text=True, env=environment, check=False)


# --- what is found stays right ---------------------------------------------------------------------------------


def test_one_file_changed_and_the_finding_is_in_another(rules: Catalogue, project: Path) -> None:
    assert codes(lint(rules)) == [("net.py", "NN101")]
    assert codes(lint(rules)) == [("net.py", "NN101")]
    (project / "train.py").write_text(TRAIN.replace("nn.CrossEntropyLoss()", "nn.MSELoss()"))
    assert codes(lint(rules)) == []
    (project / "train.py").write_text(TRAIN)
    (project / "net.py").write_text(RIGHT)
    assert codes(lint(rules)) == []
    (project / "net.py").write_text("# moved\n" + WRONG)
    (moved,) = lint(rules)
    assert moved.place.row == 12
    assert lint(rules) == [moved]


def test_a_file_comes_goes_and_changes_its_name(rules: Catalogue, project: Path) -> None:
    (project / "net.py").rename(project / "model.py")
    assert codes(lint(rules)) == []
    (project / "model.py").rename(project / "net.py")
    assert codes(lint(rules)) == [("net.py", "NN101")]
    # A package is found before a module of the same name.
    (project / "net").mkdir()
    (project / "net" / "__init__.py").write_text(RIGHT)
    assert codes(lint(rules)) == []
    (project / "net" / "__init__.py").unlink()
    (project / "net").rmdir()
    assert codes(lint(rules)) == [("net.py", "NN101")]
    (project / "net.py").unlink()
    assert codes(lint(rules)) == []


def test_comments_and_settings_have_their_say_after_the_cache(rules: Catalogue, project: Path) -> None:
    assert codes(lint(rules)) == [("net.py", "NN101")]
    assert codes(lint(rules, ignore=("NN101",))) == []
    assert codes(lint(rules, select=("NN101",))) == [("net.py", "NN101")]
    assert codes(lint(rules, per_file_ignores={"net.py": ("NN101",)})) == []
    (project / "net.py").write_text(WRONG.rstrip() + "  # noqa: NN101\n")
    assert codes(lint(rules)) == []
    assert codes(lint(rules, select=("all",))) == codes(lint(rules, select=("all",)))


def test_a_selection_does_not_empty_the_cache(rules: Catalogue, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lint(rules, select=("NN2",))
    lint(rules, select=("NN1",))
    monkeypatch.setitem(sys.modules, "nnlint.analysis", None)  # an import of it would fail
    assert codes(lint(rules, select=("NN1",))) == [("net.py", "NN101")]
    assert codes(lint(rules, select=("NN2",))) == []


def test_source_folders_change_what_an_import_means(rules: Catalogue, project: Path) -> None:
    (project / "lib").mkdir()
    (project / "net.py").rename(project / "lib" / "net.py")
    assert codes(lint(rules)) == []
    assert codes(lint(rules, src=("lib",))) == [("lib/net.py", "NN101")]
    assert codes(lint(rules)) == []


def test_notebooks(rules: Catalogue, project: Path) -> None:
    (project / "train.py").unlink()
    source = '{"cells": [{"cell_type": "code", "source": %s}, {"cell_type": "code", "source": "net = ("}], "nbformat": 4, "metadata": {}}'
    lines = str(TRAIN.splitlines(keepends=True)).replace("'", '"')
    (project / "train.ipynb").write_text(source % lines)
    cold = lint(rules)
    assert codes(cold) == [("net.py", "NN101"), ("train.ipynb", "NN000")]
    assert lint(rules) == cold
    (project / "train.ipynb").write_text('{"cells": [{"cell_type": "markdown", "source": ""}, ' + (source % lines)[len('{"cells": [') :])
    assert [finding.place.cell for finding in lint(rules)] == [None, 3]


def test_a_rule_that_was_not_there(rules: Catalogue, project: Path) -> None:
    fewer = Catalogue(tuple(rule for rule in rules.rules if rule.code != "NN101"))
    kept = Folder(project / cache.FOLDER, "of one version")
    assert codes(lint(fewer, kept=kept)) == []
    assert codes(lint(rules, kept=kept)) == [("net.py", "NN101")]
    assert codes(lint(fewer, kept=kept)) == []


def test_code_that_is_another_has_another_name(rules: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = cache.identity(rules)
    assert cache.identity(rules) == name
    package = tmp_path / "nnlint_rules_more"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from nnlint.rule import Rule\nfrom nnlint.findings import Severity\n\n\n"
        'class More(Rule):\n    code = "MO001"\n    severity = Severity.NOTE\n\n    def check(self, story):\n        return iter(())\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    plugin = importlib.import_module("nnlint_rules_more")
    more = Catalogue((*rules.rules, plugin.More))
    with_plugin = cache.identity(more)
    assert with_plugin != name
    (package / "helper.py").write_text("LIMIT = 3\n")
    helped = cache.identity(more)
    assert helped != with_plugin
    (package / "helper.py").write_text("LIMIT = 4\n")
    assert cache.identity(more) not in (helped, with_plugin)


# --- nothing is done twice -------------------------------------------------------------------------------------

ASK = """\
import sys
from nnlint.cli import main
try:
    main(["--exit-zero", *sys.argv[1:]])
finally:
    print(*sorted(name for name in sys.modules if name in ("libcst", "torch", "nnlint.analysis", "nnlint.trace.entries")), file=sys.stderr)
"""


def test_a_warm_run_neither_parses_nor_runs_anything(project: Path) -> None:
    (project / "book.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "import torch\\n%time x = (1"}], "metadata": {}}')
    runs = [
        subprocess.run(
            [sys.executable, "-c", ASK, *args], cwd=project, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for args in ((), (), ("--select", "NN101", "--format", "concise"))
    ]
    assert "libcst" in runs[0].stderr
    assert runs[1].stderr == runs[2].stderr == "\n"
    assert runs[0].stdout == runs[1].stdout
    assert "net.py:11:16 NN101" in runs[2].stdout


def test_one_file_changed_and_no_other_is_parsed(rules: Catalogue, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lint(rules)
    parsed: list[str] = []
    from nnlint.lower import lower, memory

    def watched(text: str) -> Module:
        parsed.append(text)
        return lower(text)

    monkeypatch.setattr(memory, "lower", watched)
    (project / "train.py").write_text(TRAIN + "\n\ndone = True\n")
    assert codes(lint(rules)) == [("net.py", "NN101")]
    assert parsed == [TRAIN + "\n\ndone = True\n"]


def test_positions_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlint.lower import memory

    kept = Folder(tmp_path, "v")
    made = Memory(kept).spans("x = 1\ny = 2\n", [0, 2])
    assert {at: span.row for at, span in made.items()} == {0: 1, 2: 1}
    monkeypatch.setattr(memory, "spans", None)
    assert Memory(kept).spans("x = 1\ny = 2\n", [2, 0]) == made


# --- nothing breaks a run --------------------------------------------------------------------------------------


@pytest.fixture
def filled(rules: Catalogue, project: Path) -> tuple[Path, list[Finding]]:
    found = lint(rules)
    assert entries(project / cache.FOLDER)
    return project / cache.FOLDER, found


@pytest.mark.parametrize("damage", ["empty", "cut", "bits", "random", "folder", "others"])
def test_damaged_entries_are_made_anew(rules: Catalogue, filled: tuple[Path, list[Finding]], damage: str) -> None:
    folder, found = filled
    before = {path: path.read_bytes() for path in entries(folder)}
    data = sorted(before.values())
    for index, (path, whole) in enumerate(before.items()):
        if damage == "folder":
            path.unlink()
            path.mkdir()
            continue
        path.write_bytes(
            {
                "empty": b"",
                "cut": whole[:-3],
                "bits": whole[:-1] + bytes([whole[-1] ^ 4]),
                "random": os.urandom(300),
                "others": data[index - 1],  # sound in itself, but not what its name says
            }[damage]
        )
    assert lint(rules) == found
    assert lint(rules) == found
    if damage not in ("folder", "others"):
        assert {path: path.read_bytes() for path in entries(folder)} == before


def test_a_folder_that_cannot_be_written(project: Path) -> None:
    (project / "file").write_text("")
    done = run(project, "--cache-dir", "file/cache", "--format", "concise")
    assert done.returncode == 1
    assert "NN101" in done.stdout
    assert done.stderr == f"nnlint: the cache in {project / 'file' / 'cache'} cannot be written: Not a directory\n"
    assert run(project, "--cache-dir", "file/cache", "--quiet").stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="file sizes are not limited there")
def test_a_full_disk(rules: Catalogue, project: Path) -> None:
    import signal

    kept = cache.at(settle(["."], Table()), rules)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # every longer file fails as on a full disk
    try:
        found = lint(rules, kept=kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert codes(found) == [("net.py", "NN101")]
    assert kept.trouble
    assert not entries(kept.root)  # no halves are left behind
    assert lint(rules) == found


def test_two_runs_at_once(project: Path) -> None:
    alone = run(project, "--no-cache").stdout
    outputs: list[str] = []
    threads = [threading.Thread(target=lambda: outputs.append(run(project).stdout)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == [alone] * 3
    assert run(project).stdout == alone
    assert not [path.name for path in entries(project / cache.FOLDER) if path.name.startswith(".")]


# --- the folder ------------------------------------------------------------------------------------------------


def test_where_it_is_and_what_is_in_it(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "more.py").write_text("import torch\n")
    run(project / "sub")
    folder = project / cache.FOLDER
    assert not (project / "sub" / cache.FOLDER).exists()
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    run(project, NNLINT_CACHE_DIR=str(project / "elsewhere"))
    run(project, "--cache-dir", "third", NNLINT_CACHE_DIR=str(project / "fourth"))
    assert entries(project / "elsewhere")
    assert entries(project / "third")
    assert not (project / "fourth").exists()


def test_no_cache(project: Path) -> None:
    assert run(project, "--no-cache").returncode == 1
    assert not (project / cache.FOLDER).exists()


def test_it_is_not_linted(rules: Catalogue, filled: tuple[Path, list[Finding]]) -> None:
    folder, found = filled
    (folder / "stray.py").write_text(TRAIN)
    (folder / "net.py").write_text(WRONG)
    assert lint(rules) == found


def test_old_and_too_many_entries_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Folder(tmp_path, "old")
    old.put(digest("a"), b"a")
    for path in entries(tmp_path):
        os.utime(path, (0, 0))
    new = Folder(tmp_path, "new")
    new.put(digest("b"), os.urandom(2000))
    assert not (tmp_path / "old" / digest("a")).exists()
    assert new.get(digest("b"))
    os.utime(tmp_path / "new" / digest("b"), (1, 1))
    new.put(digest("c"), os.urandom(2000))
    monkeypatch.setattr(cache, "FULL", 3000)
    (tmp_path / "new" / "tidied").unlink()
    again = Folder(tmp_path, "new")
    again.put(digest("d"), b"d")
    assert again.get(digest("b")) is None
    assert again.get(digest("d")) == b"d"
