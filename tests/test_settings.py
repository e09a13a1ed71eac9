"""Configuration files, the command line over them, and which rules that selects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from nnlint.registry import Catalogue
from nnlint.selection import Layer, select
from nnlint.settings import Runtime, RuntimeTable, Settings, Table, nearest, settle
from nnlint.trouble import Trouble

Run = Callable[..., Outcome]


def configure(folder: Path, text: str, name: str = "nnlint.toml") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_without_a_file(folder: Path) -> None:
    settings = settle(["."], Table())
    assert (settings.fail_on, settings.suspected, settings.src, settings.files) == ("warning", False, (), ())


def test_all_keys(folder: Path) -> None:
    configure(
        folder,
        """
        [tool.nnlint]
        select = ["default"]
        extend-select = ["NN108"]
        ignore = ["NN501"]
        per-file-ignores = { "tests/**" = ["NN2"] }
        exclude = ["old"]
        extend-exclude = ["gen_*.py"]
        fail-on = "note"
        suspected = true
        src = ["lib"]
        baseline = "ci/known.json"
        output-format = "concise"
        cache-dir = "~/cache"
        [tool.nnlint.runtime]
        steps = 5
        timeout = 60
        device = "cpu"
        args = ["--epochs", "1"]
        """,
        "pyproject.toml",
    )
    settings = settle(["."], Table())
    assert settings.layers == (Layer(("default",), ("NN108",), ("NN501",), "pyproject.toml"), Layer())
    assert (settings.fail_on, settings.suspected, settings.src) == ("note", True, ("lib",))
    assert (settings.baseline, settings.output_format) == (folder / "ci" / "known.json", "concise")
    assert settings.cache_dir == Path("~/cache").expanduser()
    assert settings.runtime == Runtime(steps=5, timeout=60.0, device="cpu", args=("--epochs", "1"))
    assert set(settings.origins.values()) == {"pyproject.toml"}
    assert len(settings.origins) == 10
    root = str(folder)
    assert [settings.choice.excludes_any(f"{root}/{name}") for name in ("old/", "gen_a.py", "build/", "a.py")] == [True, True, False, False]
    ((patterns, layer),) = settings.per_file_ignores
    assert patterns.verdict(f"{root}/tests/deep/a.py")
    assert not patterns.verdict(f"{root}/a.py")
    assert layer.ignore == ("NN2",)


def test_the_command_line_is_stronger(folder: Path) -> None:
    configure(folder, 'fail-on = "note"\nsuspected = true\nexclude = ["old"]\n[runtime]\nsteps = 5\nargs = ["a"]\ndevice = "cpu"\n')
    settings = settle(["."], Table(fail_on="error", exclude=("new",), runtime=RuntimeTable(steps=7, args=())))
    assert (settings.fail_on, settings.suspected) == ("error", True)
    assert settings.runtime == Runtime(steps=7, device="cpu")
    assert settings.origins["runtime.steps"] == settings.origins["fail-on"] == "the command line"
    assert settings.origins["runtime.device"] == "nnlint.toml"
    assert settings.choice.excludes_any(f"{folder}/new/")
    assert not settings.choice.excludes_any(f"{folder}/old/")


def test_the_nearest_file_with_a_table(folder: Path) -> None:
    configure(folder, 'fail-on = "note"')
    configure(folder / "a", "[tool.ruff]\n", "pyproject.toml")
    configure(folder / "a" / "b", "[tool.nnlint]\n", "pyproject.toml")
    assert nearest(folder / "a") == folder / "nnlint.toml"
    assert nearest(folder / "a" / "b") == folder / "a" / "b" / "pyproject.toml"
    (folder / "a" / "b" / "x.py").touch()
    (folder / "a" / "y.py").touch()
    assert settle(["a/b/x.py"], Table()).fail_on == "warning"
    assert settle(["a/b/x.py", "a/y.py"], Table()).fail_on == "note"


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder, 'src = ["lib"]\nexclude = ["/gen"]\n')
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    settings = settle(["."], Table())
    assert settings.src == ("../lib",)
    assert settings.choice.excludes_any(f"{folder}/gen/")
    assert not settings.choice.excludes_any(f"{folder}/sub/gen/")


def test_extend(folder: Path) -> None:
    configure(folder, 'select = ["NN1"]\nfail-on = "note"\n')
    configure(folder / "a", 'extend = "../nnlint.toml"\nextend-select = ["NN2"]\n')
    settings = settle(["a"], Table())
    assert [(layer.select, layer.extend_select) for layer in settings.layers] == [(("NN1",), ()), (None, ("NN2",)), (None, ())]
    assert settings.fail_on == "note"
    assert settings.files == (folder / "nnlint.toml", folder / "a" / "nnlint.toml")


def test_what_is_extended_keeps_its_own_folder(folder: Path) -> None:
    configure(folder, 'src = ["lib"]\nbaseline = "known.json"\n[per-file-ignores]\n"x/*" = ["NN1"]\n[runtime]\nsteps = 5\n', "base.toml")
    configure(folder / "a", '[tool.nnlint]\nextend = "../base.toml"\nruntime = { timeout = 9 }\n', "pyproject.toml")
    settings = settle(["a"], Table())
    assert (settings.src, settings.baseline) == (("lib",), folder / "known.json")
    assert settings.per_file_ignores[0][0].verdict(f"{folder}/x/y.py")
    assert settings.runtime == Runtime(steps=5, timeout=9.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", r"nnlint\.toml: unknown key `selct`; did you mean `select`\?"),
        ("fail_on = 'note'", r"nnlint\.toml: unknown key `fail_on`; did you mean `fail-on`\?"),
        ("colour = 1", r"nnlint\.toml: unknown key `colour`"),
        ("select = 'NN1'", r"nnlint\.toml: `select`: expected `array.*`, got `str`"),
        ("select = [1]", r"nnlint\.toml: `select\[0\]`: expected `str`, got `int`"),
        ("fail-on = 'fatal'", r"nnlint\.toml: `fail-on`: invalid enum value 'fatal'"),
        ("select = ", r"nnlint\.toml: invalid value"),
        ("extend = 'nnlint.toml'", r"nnlint\.toml: `extend` leads back to the same file"),
        ("extend = 'nope.toml'", r"nope\.toml: cannot be read: No such file"),
        ("extend = '.'", r"cannot be read: Is a directory"),
        ("extend = 'pyproject.toml'", r"pyproject\.toml: has no table `tool\.nnlint`, and another file extends it"),
        ("extend = 'b.toml'", r"c\.toml: `extend` leads back to the same file"),
        ("extend = 'link.toml'", r"nnlint\.toml: `extend` leads back to the same file"),
        ("runtime = 3", r"nnlint\.toml: `runtime`: expected `object`, got `int`"),
        ("runtime = { step = 3 }", r"nnlint\.toml: unknown key `runtime\.step`; did you mean `steps`\?"),
        ("runtime = { steps = 0 }", r"nnlint\.toml: `runtime\.steps`: expected `int` >= 1"),
        ("runtime = { steps = true }", r"nnlint\.toml: `runtime\.steps`: expected `int`, got `bool`"),
        ("runtime = { timeout = nan }", r"nnlint\.toml: `runtime\.timeout`: expected `float` >= 1"),
        ("runtime = { timeout = inf }", r"nnlint\.toml: `runtime\.timeout`: expected a number of seconds, got inf"),
        ("runtime = { args = 'a' }", r"nnlint\.toml: `runtime\.args`: expected `array`, got `str`"),
        ("output-format = 'xml'", r"nnlint\.toml: `output-format`: invalid enum value 'xml'"),
        ("baseline = 1", r"nnlint\.toml: `baseline`: expected `str`, got `int`"),
        ("exclude = ['a', '!']", r"nnlint\.toml: `exclude`: `!` is no pattern"),
        ("per-file-ignores = { '[z-a]' = ['NN1'] }", r"nnlint\.toml: `per-file-ignores`: `\[z-a\]` is no pattern"),
        ("per-file-ignores = { 'a' = 'NN1' }", r"nnlint\.toml: `per-file-ignores.*`: expected `array`, got `str`"),
        ("select = 2020-01-01", r"nnlint\.toml: `select`: expected `array`, got `date`"),
        ("x = " + "[" * 100_000, r"nnlint\.toml: is nested too deeply"),
        ('extend = "a\\u0000"', r"nnlint\.toml: `extend`: no text here may hold a NUL"),
        ('per-file-ignores = { "a\\u0000" = [] }', r"nnlint\.toml: `per-file-ignores`: no text here may hold a NUL"),
        ("runtime = { steps = 99999999999999999999999 }", r"nnlint\.toml: `runtime\.steps`: expected a number of steps"),
        ("[tool.nnlint]", r"nnlint\.toml: unknown key `tool`; `\[tool\.nnlint\]` is for pyproject\.toml"),
        ("'' = 1", r"nnlint\.toml: unknown key ``"),
        ("select = ['\x00']", r"nnlint\.toml: (illegal|found invalid) character"),
    ],
)
def test_trouble_is_loud(folder: Path, text: str, message: str) -> None:
    configure(folder, text)
    configure(folder, "[tool.ruff]\n", "pyproject.toml")
    configure(folder, "extend = 'c.toml'", "b.toml")
    configure(folder, "extend = 'b.toml'", "c.toml")
    (folder / "link.toml").symlink_to("nnlint.toml")
    with pytest.raises(Trouble, match=message):
        settle(["."], Table())


def test_not_utf_8(folder: Path) -> None:
    (folder / "nnlint.toml").write_bytes(b"select = ['\xff']")
    with pytest.raises(Trouble, match=r"nnlint\.toml: is not UTF-8: byte 0xff at offset 11"):
        settle(["."], Table())


def test_a_large_file(folder: Path) -> None:
    configure(
        folder, "ignore = [" + "'NN101', " * 50_000 + "]\n" + "[per-file-ignores]\n" + "".join(f"'{n}' = ['NN1']\n" for n in range(500))
    )
    settings = settle(["."], Table())
    assert (len(settings.layers[0].ignore), len(settings.per_file_ignores)) == (50_000, 500)


def test_words_for_files_that_are_not_there(run: Run, folder: Path) -> None:
    configure(folder, "[per-file-ignores]\n'old/*' = ['missing-zero-gard']")
    (folder / "a.py").write_text("import torch\n")
    message = "nnlint: nnlint.toml: unknown rule or group `missing-zero-gard`; did you mean `missing-zero-grad`?\n"
    assert run("a.py") == (2, "", message)


def test_trouble_does_not_steer_the_terminal(run: Run, folder: Path) -> None:
    configure(folder, '"a\\u001b[31m\\nb" = 1')
    assert run() == (2, "", "nnlint: nnlint.toml: unknown key `a�[31m\nnnlint: b`\n")


def test_output_format(run: Run, folder: Path) -> None:
    configure(folder, "output-format = 'json'")
    (folder / "a.py").write_text("import torch\n")
    assert run("a.py") == (0, "[]\n", "")
    assert run("a.py", "--format", "jsonl") == (0, "", "")


def test_patterns_in_gitignore_that_are_none(run: Run, folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("!\n[z-a]\na\\\nb.py\n")
    for name in ("a.py", "b.py"):
        (folder / name).write_text("import torch\n")
    assert run() == (0, "No findings in 1 file.\n", "")


def chosen(catalogue: Catalogue, *layers: Layer) -> set[str]:
    codes = select(catalogue, layers)
    assert "NN000" in codes, "what could not be looked at is always told"
    return set(codes) - {"NN000"}


DEFAULT = {"NN001", "NN101", "NN201", "NN205", "NN501"}


@pytest.mark.parametrize(
    ("layers", "codes"),
    [
        ([], DEFAULT),
        ([Layer()], DEFAULT),
        ([Layer(("all",))], DEFAULT | {"NN108"}),
        ([Layer(("pedantic",))], {"NN108"}),
        ([Layer(("NN2",))], {"NN201", "NN205"}),
        ([Layer(("missing-zero-grad", "NN501"))], {"NN201", "NN501"}),
        ([Layer(extend_select=("NN1",))], DEFAULT | {"NN108"}),
        ([Layer(ignore=("NN2", "softmax-before-logit-loss"))], DEFAULT - {"NN201", "NN205", "NN101"}),
        ([Layer(("NN201",), ignore=("NN2",))], {"NN201"}),
        ([Layer(("NN2",), ignore=("NN201",))], {"NN205"}),
        ([Layer(("NN201",), ignore=("NN201",))], set()),
        ([Layer(ignore=("NN201",)), Layer(extend_select=("NN201",))], DEFAULT),
        ([Layer(ignore=("NN201",)), Layer(("NN2",))], {"NN201", "NN205"}),
        ([Layer(("NN1",)), Layer(ignore=("NN108",))], {"NN101"}),
    ],
)
def test_selection(catalogue: Catalogue, layers: list[Layer], codes: set[str]) -> None:
    assert chosen(catalogue, *layers) == codes


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("missing-zero-gard", r"the command line: unknown rule or group `missing-zero-gard`; did you mean `missing-zero-grad`\?"),
        ("NN9", "unknown rule or group `NN9`"),
        ("defualt", r"did you mean `default`\?"),
        ("softmax", r"did you mean `softmax-before-logit-loss`\?"),
        ("", "unknown rule or group ``"),
    ],
)
def test_unknown_words(catalogue: Catalogue, word: str, message: str) -> None:
    with pytest.raises(Trouble, match=message):
        chosen(catalogue, Layer((word,)))


def test_settings_have_defaults() -> None:
    assert Settings().fail_on == "warning"
