"""The wheel holds everything under one name, and starting is quick."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from installs import LEFT_OUT, PIP, ROOT, checkout, done, need_registry, once, run

from nnlint.registry import catalogue

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLE = ROOT / "examples" / "nnlint-example"


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


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built without a network in a copy of the checkout."""
    code = "import setuptools.build_meta as backend; backend.build_sdist('..')"
    folder = once(tmp_path_factory, "sdist", lambda folder: done(sys.executable, "-c", code, cwd=checkout(folder / "checkout")))
    (built,) = folder.glob("nnlint-*.tar.gz")
    return built


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution: what is missing there is missing here."""
    (built,) = once(tmp_path_factory, "wheel", lambda folder: build(sdist, folder)).glob("*.whl")
    return built


def build(source: Path, folder: Path) -> None:
    """The wheel of a project, without a network."""
    done(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source, cwd=folder)


def test_sdist(sdist: Path) -> None:
    """It holds what is needed to build, to test and to read."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "rules").glob("*.md")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "rules").glob("*.py")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").glob("*.py")}
    wanted |= {"LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", ".pre-commit-hooks.yaml", "fixtures/demo/digits/train.py"}
    assert names >= wanted
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".venv", "build/"))]


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


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that was empty before the wheel and the example of a rule package were installed in it."""
    need_registry()
    inside = Path("venv", "Scripts" if os.name == "nt" else "bin", "python")

    def fill(folder: Path) -> None:
        build(shutil.copytree(EXAMPLE, folder / "example", ignore=LEFT_OUT), folder)
        done(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        done(*PIP, "--python", folder / inside, "install", "--quiet", wheel, *folder.glob("*.whl"), cwd=folder)

    return once(tmp_path_factory, "environment", fill) / inside


def nnlint(python: Path, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command of an environment."""
    return run(python.parent / "nnlint", *words, cwd=cwd)


def test_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    for module in ("rules", "torch"):
        assert f"No module named '{module}'" in run(python, "-c", f"import {module}", cwd=tmp_path).stderr
    listed = {entry["code"]: entry["name"] for entry in json.loads(nnlint(python, "--list-rules", "--format=json", cwd=tmp_path).stdout)}
    ours = {rule.code: rule.name() for rule in catalogue().everything if rule.__module__.startswith("nnlint.")}
    assert listed == {**ours, "EX101": "double-step"}
    for code, name in ours.items():
        page = (ROOT / "docs" / "rules" / f"{name}.md").read_text(encoding="utf-8")
        assert nnlint(python, "--explain", code, cwd=tmp_path).stdout == page
    linted = nnlint(python, "--format=concise", ROOT / "fixtures" / "demo" / "digits", cwd=tmp_path)
    assert linted.returncode == 1, linted.stderr
    assert {"NN101", "NN201"} <= set(re.findall(r"NN\d+", linted.stdout))


def test_a_rule_package_is_installed(python: Path, tmp_path: Path) -> None:
    assert nnlint(python, "--explain", "double-step", cwd=tmp_path).stdout.startswith("# double-step (EX101)\n")
    bad = re.findall(r"^```python\n(.*?)^```$", nnlint(python, "--explain", "EX101", cwd=tmp_path).stdout, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "train.py").write_text(bad)
    linted = nnlint(python, "train.py", cwd=tmp_path)
    row = bad.splitlines().index("    optimizer.step()") + 1
    assert linted.returncode == 1, linted.stderr
    assert linted.stdout.startswith(f"train.py:{row}:5 EX101 [warning] `optimizer` steps twice with the same gradients\n")
    assert "= more: nnlint --explain EX101" in linted.stdout
    assert nnlint(python, "--ignore=EX", "train.py", cwd=tmp_path).returncode == 0
    code = "from nnlint.testing import check; from nnlint_example.double_step import DoubleStep; check(DoubleStep)"
    done(python, "-c", code, cwd=tmp_path)


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
