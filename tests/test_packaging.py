"""The wheel holds everything under one name, and starting is quick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def test_all_packages_are_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for folder in ("nnlint", "rules")
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(listed) == sorted(name if name.startswith("nnlint") else f"nnlint.{name}" for name in found)


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for folder in ("nnlint", "rules") for path in (ROOT / folder).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network in a copy of the checkout."""
    work = tmp_path_factory.mktemp("build")
    for name in ("nnlint", "rules"):
        shutil.copytree(ROOT / name, work / "src" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, work / "src" / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(work),
        "./src",
    ]
    subprocess.run(command, cwd=work, check=True)
    (built,) = work.glob("nnlint-*.whl")
    return built


def test_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        top = archive.read(f"{info}/top_level.txt").decode().split()
        points = archive.read(f"{info}/entry_points.txt").decode()
    assert top == ["nnlint"]
    assert {name.partition("/")[0] for name in names} == {"nnlint", info}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nnlint").rglob("*.py")}
    wanted |= {f"nnlint/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "rules").rglob("*.py")}
    assert names >= wanted | {"nnlint/py.typed"}
    assert "[nnlint.rules]\nbuiltin = nnlint.rules" in points
    assert "nnlint = nnlint.cli:main" in points


def outside(code: str, path: Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={**os.environ, "PYTHONPATH": str(path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_installed_wheel_finds_its_rules(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import importlib.util, nnlint, nnlint.rules; from nnlint.registry import catalogue\n"
        "print(nnlint.__file__, nnlint.rules.__file__, importlib.util.find_spec('rules'), len(catalogue().rules), sep='|')"
    )
    engine, rules, leaked, count = outside(code, tmp_path / "site", tmp_path / "elsewhere").split("|")
    assert Path(engine).parent == tmp_path / "site" / "nnlint"
    assert Path(rules).parent == tmp_path / "site" / "nnlint" / "rules"
    assert leaked == "None"
    assert int(count) == len([path for path in (ROOT / "rules").rglob("*.py") if path.name != "__init__.py"])


def test_a_bare_checkout_finds_its_rules(tmp_path: Path) -> None:
    for name in ("nnlint", "rules"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys; sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in str(finder).lower()]\n"
        "from nnlint.registry import catalogue; catalogue()\n"
        "print(sys.modules['nnlint.rules'].__file__, 'rules' in sys.modules)"
    )
    assert outside(code, tmp_path, tmp_path) == f"{tmp_path / 'rules' / '__init__.py'} False"


HEAVY = frozenset({"libcst", "torch", "numpy", "msgspec", "pathspec"})


def imported(options: str, modules: frozenset[str], cwd: Path) -> str:
    """Which of the modules a run with these options has imported."""
    end = f"print(sorted({set(modules)} & set(sys.modules)))"
    code = f"import sys\nfrom nnlint.cli import main\ntry: main([{options}])\nexcept SystemExit: {end}"
    return outside(code, ROOT, cwd).splitlines()[-1]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_is_light(option: str, tmp_path: Path) -> None:
    assert imported(f"'{option}'", HEAVY, tmp_path) == "[]"


@pytest.mark.parametrize("option", ["'--list-rules'", "'--explain', 'NN001'"])
def test_the_catalogue_needs_no_parser(option: str, tmp_path: Path) -> None:
    assert imported(option, HEAVY - {"msgspec"}, tmp_path) == "[]"


def test_no_names_of_this_machine() -> None:
    """Committed files name neither a folder of the machine that they were written on nor a package index."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    for name in filter(None, done.stdout.split("\0")):
        if Path(name).name == Path(__file__).name or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        for word in ("/root/", "index-url", "extra-index"):
            assert word not in text, f"{word} in {name}"
