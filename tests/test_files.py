"""Which files are linted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nnlint.files import EXCLUDED, Choice, Patterns, choose, patterns_at
from nnlint.trouble import Trouble


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import torch\n")


def keys(*arguments: str, choice: Choice | None = None) -> list[str]:
    return [key for key, _ in choose(arguments, choice or usual()).files]


def usual(*extra: str, force: bool = False, gitignore: bool = True) -> Choice:
    return Choice((patterns_at(Path.cwd(), EXCLUDED), patterns_at(Path.cwd(), extra)), force, gitignore)


def test_python_files_and_notebooks_in_order(folder: Path) -> None:
    write(folder, "b.py", "a/z.py", "a.py", "n.ipynb", "stub.pyi", "text.txt", "c.pyc")
    assert keys(".") == ["a.py", "a/z.py", "b.py", "n.ipynb"]
    assert keys("b.py", "a", "a.py") == ["a.py", "a/z.py", "b.py"]


def test_keys_are_relative_to_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "one/a.py", "two/b.py")
    monkeypatch.chdir(folder / "one")
    assert keys(str(folder)) == ["../two/b.py", "a.py"]


def test_missing_path_is_trouble(folder: Path) -> None:
    write(folder, "a.py")
    with pytest.raises(Trouble, match=r"`nope\.py` does not exist"):
        choose(["a.py", "nope.py"], Choice())


def test_usual_excludes(folder: Path) -> None:
    write(
        folder,
        "a.py",
        "build/b.py",
        "x/.venv/lib/c.py",
        "node_modules/d.py",
        "dist/e.py",
        "x/site-packages/f.py",
        ".ipynb_checkpoints/g.ipynb",
    )
    write(folder, "__pycache__/h.py", "env/bin/i.py", "environments/j.py", "building.py")
    (folder / "env" / "pyvenv.cfg").write_text("")
    assert keys(".") == ["a.py", "building.py", "environments/j.py"]


def test_an_excluded_folder_that_is_asked_for(folder: Path) -> None:
    write(folder, "build/b.py", "build/dist/c.py", "build/build/d.py", "build/sub/e.py")
    assert keys("build") == ["build/b.py", "build/sub/e.py"]
    assert keys("build/b.py") == ["build/b.py"]
    assert keys("build", "build/b.py", choice=usual(force=True)) == []


def test_folders_above_the_project_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "build/project/a.py")
    monkeypatch.chdir(tmp_path / "build" / "project")
    assert keys(".") == keys("a.py", choice=usual(force=True)) == ["a.py"]


def test_exclude_globs(folder: Path) -> None:
    write(folder, "a.py", "old/a.py", "pkg/old/b.py", "pkg/gen_x.py", "pkg/x.py")
    assert keys(".", choice=usual("/old", "gen_*.py")) == ["a.py", "pkg/old/b.py", "pkg/x.py"]
    assert keys(".", choice=usual("pkg/*.py")) == ["a.py", "old/a.py", "pkg/old/b.py"]


def test_gitignore_nested_and_reopened(folder: Path) -> None:
    write(folder, "a.py", "out/b.py", "pkg/gen.py", "pkg/keep.py", "pkg/sub/gen.py", "lib/gen.py", "deep/out/c.py", "lib/only/x.py")
    (folder / ".gitignore").write_text("out/\ngen.py\n/lib/only\n")
    (folder / "lib" / ".gitignore").write_text("!gen.py\n")
    assert keys(".") == ["a.py", "lib/gen.py", "pkg/keep.py"]
    assert len(keys(".", choice=usual(gitignore=False))) == 8


def test_gitignore_of_the_repository_holds_in_a_subfolder(folder: Path) -> None:
    write(folder, "pkg/a.py", "pkg/gen.py", "pkg/sub/gen.py", "pkg/hidden.py")
    (folder / ".git" / "info").mkdir(parents=True)
    (folder / ".git" / "info" / "exclude").write_text("hidden.py\n")
    (folder / ".gitignore").write_text("/pkg/gen.py\n")
    (folder / "pkg" / ".gitignore").write_text("sub/gen.py\n")
    assert keys("pkg") == ["pkg/a.py"]
    assert keys("pkg/sub") == []


def test_gitignore_above_the_repository_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "repo/a.py")
    (tmp_path / ".gitignore").write_text("*.py\n")
    (tmp_path / "repo" / ".git").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    assert keys(".") == ["a.py"]


def test_an_ignored_folder_or_file_that_is_asked_for(folder: Path) -> None:
    write(folder, "out/a.py", "b.py")
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("out/\nb.py\n")
    assert keys("out") == ["out/a.py"]
    assert keys("b.py") == ["b.py"]


@pytest.mark.skipif(shutil.which("git") is None, reason="asks git")
def test_gitignore_agrees_with_git(folder: Path) -> None:
    write(
        folder,
        "a.py",
        "a/b.py",
        "a/c/d.py",
        "logs/x.py",
        "logs/keep/y.py",
        "t mp/z.py",
        "q[1].py",
        "deep/er/logs/w.py",
        "#odd.py",
        "k/!l.py",
    )
    (folder / ".gitignore").write_text("# comment\n\nlogs/*\n!logs/keep\n**/er/\nt\\ mp/\nq\\[1\\].py\n\\#odd.py\nc/\n\\!l.py\n")
    subprocess.run(["git", "init", "-q"], check=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], check=True, capture_output=True, text=True).stdout
    assert keys(".") == sorted(name for name in listed.split("\0") if name.endswith(".py"))


def test_links(folder: Path) -> None:
    write(folder, "pkg/z.py")
    (folder / "pkg" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "pkg" / "a.py").symlink_to(folder / "pkg" / "z.py")
    (folder / "pkg" / ".#lock.py").symlink_to(folder / "nowhere")
    (folder / "self.py").symlink_to(folder / "self.py")
    assert keys(".", "pkg", "pkg/loop/pkg/z.py") == ["pkg/z.py"]
    (folder / "other").symlink_to(folder / "pkg", target_is_directory=True)
    assert keys("other") == ["other/a.py"]


def test_unreadable_folder(folder: Path) -> None:
    write(folder, "a.py", "shut/b.py")
    (folder / "shut").chmod(0)
    try:
        if os.access("shut", os.R_OK):
            pytest.skip("root reads everything")
        chosen = choose(["."], usual())
    finally:
        (folder / "shut").chmod(0o700)
    assert [key for key, _ in chosen.files] == ["a.py"]
    assert [(failure.place.filename, failure.message) for failure in chosen.failures] == [
        ("shut", "the folder cannot be read: Permission denied")
    ]


def test_the_last_pattern_decides() -> None:
    patterns = Patterns("/p", ("*.py", "!keep.py"))
    assert patterns.verdict("/p/a.py") is True
    assert patterns.verdict("/p/x/keep.py") is False
    assert patterns.verdict("/p/a.txt") is None
    assert patterns.verdict("/q/a.py") is None
    assert patterns.verdict("/q/a.py", "/q") is True
