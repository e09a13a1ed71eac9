"""What the documentation says exists: options, settings, rules, hooks, inputs of the action, files behind links."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nnlint.cli import command
from nnlint.registry import catalogue
from nnlint.settings import Table, settle

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md"), ROOT / "fixtures" / "README.md"])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = {name for option in command.get_params(command.make_context("nnlint", [], resilient_parsing=True)) for name in option.opts}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(text: str) -> list[str]:
    """Calls of nnlint: in code within a line, in consoles, in indented blocks, in steps."""
    spans = re.findall(r"`(nnlint [^`\n]+)`", text)
    lines = re.findall(r"^(?:\$ | {4}(?:\$ )?| +- run: )(nnlint .+)$", text, re.MULTILINE)
    return [re.split(r"\s+#|: ", line)[0] for line in (*spans, *lines)]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_options_exist(path: Path) -> None:
    for line in commands(path.read_text(encoding="utf-8")):
        words = shlex.split(line)[1:]
        words = words[: words.index("--")] if "--" in words else words
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in OPTIONS, line


def test_commands_are_found() -> None:
    text = "a `nnlint --fix` b\n    nnlint --explain NN101   # why\n$ nnlint x\n"
    assert commands(text) == ["nnlint --fix", "nnlint --explain NN101", "nnlint x"]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_rules_exist(path: Path) -> None:
    known = {rule.code for rule in catalogue().everything}
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\bNN\d{3}\b", text)) <= known
    for word in re.findall(r"nnlint: (?:file-)?ignore\[([\w-]+)\]", text):
        assert word in catalogue().words or re.fullmatch(r"NN\d*", word), word


def test_settings_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [text for path in PAGES for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == "toml"]
    ours = [text for text in blocks if "[tool.nnlint]" in text]
    assert len(ours) >= 2
    for text in ours:
        (tmp_path / "pyproject.toml").write_text(text)
        settle(["."], Table())


def test_hooks_and_inputs_exist() -> None:
    yaml: Any = pytest.importorskip("yaml")
    text = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    config, job, _ = (yaml.safe_load(block) for kind, block in BLOCK.findall(text) if kind == "yaml")
    hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    assert {hook["id"] for repo in config["repos"] for hook in repo["hooks"]} <= hooks
    inputs = set(yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"])
    assert set(job["jobs"]["nnlint"]["steps"][1]["with"]) <= inputs
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == inputs


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_files(path: Path) -> None:
    """In the repository, as a code host shows it; the anchors are checked in the site."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", link):
            assert (path.parent / link.partition("#")[0]).exists(), link


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The files of README's program, as a reader would write them down."""
    (block,) = (text for kind, text in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if kind == "python")
    words = re.split(r"^# (\w+\.py)\n", block, flags=re.MULTILINE)[1:]
    for name, text in zip(words[::2], words[1::2], strict=True):
        (tmp_path / name).write_text(text.strip() + "\n")
    return tmp_path


def said(folder: Path, *words: str) -> str:
    """What the command prints in a folder."""
    command = [sys.executable, "-m", "nnlint", "--no-cache", "--color", "never", *words]
    ended = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    return ended.stdout


def outputs(path: Path) -> list[str]:
    return [text for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == "output"]


def test_what_the_example_prints(example: Path) -> None:
    (whole,) = outputs(ROOT / "docs" / "index.md")
    (first,) = outputs(ROOT / "README.md")
    assert said(example) == whole
    assert whole.startswith(first)


def test_what_a_run_of_the_example_prints(example: Path) -> None:
    pytest.importorskip("torch")
    (block,) = outputs(ROOT / "docs" / "runtime.md")
    number = re.compile(r"\(now [\d.]+\)")
    assert number.sub("", said(example, "--runtime", "--device", "cpu", "train.py")).endswith(number.sub("", block))


def test_the_test_for_pytest_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    (block,) = (block for kind, block in BLOCK.findall(text) if kind == "python")
    (tmp_path / "test_lint.py").write_text(block)
    loop = (ROOT / "fixtures" / "demo" / "loop" / "train.py").read_text(encoding="utf-8")
    wrong = loop.replace("from net import net", "net = torch.nn.Linear(784, 10)")
    right = wrong.replace("loss.backward()", "optimizer.zero_grad(); loss.backward()")
    for program, outcome in ((wrong, "1 failed"), (right, "1 passed")):
        (tmp_path / "train.py").write_text(program)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lint.py"]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False)
        assert outcome in ended.stdout


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    docs = ROOT / "docs"
    assert [name for name in (path.relative_to(docs).as_posix() for path in docs.rglob("*.md")) if name not in menu] == []


SITE = """\
<html><head><link rel="stylesheet" href="style.css"></head><body>
<h1 id="top">A</h1><a href="#top">a</a><a href="b/">b</a><a href="b/#there">c</a><a href="https://example.org/">d</a>{}</body></html>
"""


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("", ""),
        ('<a href="c/">x</a>', "`c/` is not there"),
        ('<a href="b/#nowhere">x</a>', "`b/#nowhere` names an anchor that is not there"),
        ('<a href="#nowhere">x</a>', "`#nowhere` names an anchor that is not there"),
        ('<a href="../nnlint/cli.py">x</a>', "`../nnlint/cli.py` leaves the site"),
        ('<script src="https://example.org/x.js"></script>', "`https://example.org/x.js` is loaded from elsewhere"),
    ],
)
def test_links_of_a_site(tmp_path: Path, link: str, complaint: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "style.css").write_text("")
    (tmp_path / "index.html").write_text(SITE.format(link))
    (tmp_path / "b" / "index.html").write_text('<h1 id="there">B</h1><a href="/">home</a>')
    ended = subprocess.run([sys.executable, ROOT / "scripts" / "links.py", tmp_path], capture_output=True, text=True, check=False)
    assert ended.returncode == bool(complaint)
    assert f"index.html:2: {complaint}" in ended.stdout if complaint else "all links" in ended.stdout
