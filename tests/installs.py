"""The distributions of this checkout, and what they are installed with."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# What lies in a checkout besides the sources.
LEFT_OUT = shutil.ignore_patterns(".*_cache", ".cache", ".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "site")


def checkout(target: Path) -> Path:
    """A copy of the sources, in which a build leaves its traces."""
    shutil.copytree(ROOT, target, ignore=LEFT_OUT)
    return target


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is filled once for all worker processes of a test run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "filled").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "filled").touch()
    return folder


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def done(*words: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints that must not fail."""
    ended = run(*words, cwd=cwd, **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@functools.cache
def _reachable() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        words = ("download", "--quiet", "--no-deps", "--retries", "0", "--timeout", "20", "--dest", folder, "pathspec")
        return run(*PIP, *words, cwd=Path(folder)).returncode == 0


def need_registry() -> None:
    if not _reachable():
        pytest.skip("pip reaches no package registry here, so nothing can be installed in an empty environment")
