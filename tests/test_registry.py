"""Where rules are found, and that a broken plug-in breaks the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nnlint import registry
from nnlint.confirm.evidence import Evidence
from nnlint.confirm.judgement import judge
from nnlint.findings import Confidence, Finding, Place, Report, Severity
from nnlint.rule import Rule
from nnlint.testing import findings
from nnlint.trace.story import Story
from nnlint.trouble import Trouble
from nnlint.verdict import Verdict

ROOT = Path(__file__).resolve().parent.parent
BUILTIN = registry.catalogue().rules

RULE = '''
from nnlint.findings import Severity
from nnlint.rule import Rule


class Base(Rule):
    """Not a rule yet: it does not check."""


class GloomyLoss(Base):
    """A loss is gloomy."""

    code = "XY101"
    severity = Severity.NOTE

    def check(self, story):
        return iter(())
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of rules that is installed under the name `gloomy`."""
    name = f"gloomy_{abs(hash(tmp_path)):x}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [EntryPoint("gloomy", name, group), EntryPoint("builtin", "nnlint.rules", group)]
    )
    return folder


def codes() -> set[str]:
    return {rule.code for rule in registry.catalogue().rules}


def test_plugins_are_walked(plugin: Path) -> None:
    before = {rule.code for rule in BUILTIN}
    sub = plugin / "deep"
    sub.mkdir()
    (sub / "__init__.py").write_text("")
    (sub / "loss.py").write_text(RULE)
    (plugin / "again.py").write_text(f"from {plugin.name}.deep.loss import GloomyLoss, Rule\n")
    assert codes() == before | {"XY101"}
    assert registry.catalogue().find("gloomy-loss").__module__ == f"{plugin.name}.deep.loss"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_module",
            r"rule plug-in `gloomy` \(gloomy_\w+\) cannot be loaded, in gloomy_\w+\.loss: ModuleNotFoundError: .*no_such_module",
        ),
        ("1 / 0", "cannot be loaded, in .*: ZeroDivisionError"),
        ("def f(:", "cannot be loaded, in .*: SyntaxError"),
        (RULE.replace('code = "XY101"', ""), r"rule plug-in `gloomy` \(gloomy_\w+\): `GloomyLoss` has no `code`"),
        ("", r"rule plug-in `gloomy` \(gloomy_\w+\) has no rules"),
        (RULE.replace('"XY101"', "101"), r"rule plug-in `gloomy` \(gloomy_\w+\): the `code` of `GloomyLoss` is 101, not a str"),
        (RULE.replace("XY101", "xy-1"), "the code of `GloomyLoss` is 'xy-1', not two to five capitals"),
        (RULE.replace("Severity.NOTE", '"note"'), "the `severity` of `GloomyLoss` is 'note', not a Severity"),
        (RULE.replace("XY101", "NN999"), "NN999 is no code for it"),
        (RULE.replace("XY101", "NN001"), r"the code NN001 belongs to `unused-suppression` already"),
        (
            RULE.replace('"""A loss is gloomy."""', "").replace("GloomyLoss", "UnusedSuppression"),
            r"the name `unused-suppression` belongs to NN001 already",
        ),
    ],
)
def test_broken_plugins(plugin: Path, text: str, message: str) -> None:
    (plugin / "loss.py").write_text(text)
    with pytest.raises(Trouble, match=message):
        registry.catalogue()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module", "(gloomy_rules) cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("GloomyLoss = 'a rule'", "(gloomy_rules) has no rules"),
        (RULE.replace("XY101", "NN101"), "(gloomy_rules): the code NN101 belongs to `softmax-before-logit-loss` already"),
        (RULE + RULE.replace("GloomyLoss", "SadLoss"), "(gloomy_rules): the code XY101 belongs to `gloomy-loss` already"),
        (RULE.replace("iter(())", "story.answer"), "the rule `gloomy-loss` (gloomy_rules) failed on this program (AttributeError: "),
    ],
)
def test_a_broken_plugin_makes_the_exit_code_2(text: str, message: str, tmp_path: Path) -> None:
    """As it is for the user of an installed one: never silence."""
    info = tmp_path / "site" / "gloomy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gloomy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nnlint.rules]\ngloomy = gloomy_rules\n")
    (tmp_path / "site" / "gloomy_rules.py").write_text(text)
    (tmp_path / "train.py").write_text("from torch import nn\nloss = nn.CrossEntropyLoss()(nn.Linear(2, 3)(x), y)\n")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    command = [sys.executable, "-m", "nnlint", "--format=concise", "train.py"]
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert message in (ended.stdout if "failed on" in message else ended.stderr)
    assert "Traceback" not in ended.stderr


class HastyRule(Rule):
    """A rule that trips."""

    code = "XY102"
    severity = Severity.NOTE

    def check(self, story: Story) -> Iterator[Report]:
        raise ZeroDivisionError("too hasty")

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        raise ZeroDivisionError("too hasty")

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        yield from self.judge(None, evidence)  # type: ignore[arg-type, misc]


def test_a_rule_that_fails_is_named_and_stops_no_other() -> None:
    program = "from torch import nn\nlayers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Softmax(1))\n"
    program += "loss = nn.CrossEntropyLoss()(layers(x), y)\n"
    softmax = next(rule for rule in BUILTIN if rule.code == "NN101")
    broken, finding = findings(program, HastyRule, softmax)
    assert broken.code == "NN000"
    assert re.fullmatch(
        r"the rule `hasty-rule` \(test_registry\) failed on this program "
        r"\(ZeroDivisionError: too hasty, in test_registry\.py:\d+\); please tell its authors",
        broken.message,
    )
    assert finding.code == "NN101"


def test_a_rule_that_fails_on_what_a_run_has_shown_is_named() -> None:
    place = Place("train.py", None, 1, 1, 1, 2)
    finding = Finding("XY102", "hasty-rule", Severity.NOTE, Confidence.CERTAIN, "too fast", "slow down", place)
    told: list[Finding]
    for told in ([finding], []):
        with pytest.raises(Trouble, match=r"the rule `hasty-rule` \(test_registry\) failed on what the run has shown \(ZeroDivisionError"):
            judge(told, [HastyRule()], Evidence([], lambda spot: None))


def test_a_plugin_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("gone", "gone_rules", group)])
    with pytest.raises(Trouble, match=r"rule plug-in `gone` \(gone_rules\) cannot be loaded: ModuleNotFoundError"):
        registry.catalogue()


def test_builtin_rules_come_from_the_mapped_package() -> None:
    rules = registry.catalogue().rules
    assert all(rule.__module__.startswith("nnlint.rules.") for rule in rules)
    assert "rules" not in sys.modules
    for rule in rules:
        assert rule.__module__ == "nnlint.rules." + rule.name().replace("-", "_"), "a file is called like its rule"


def test_codes_and_names_are_well_formed() -> None:
    for rule in registry.catalogue().everything:
        assert issubclass(rule, Rule)
        assert rule.code[:2] == "NN"
        assert rule.code[2:].isdecimal()
        assert len(rule.code) == 5


def test_finding_rules_imports_no_parser() -> None:
    code = "import sys; from nnlint.registry import catalogue; catalogue(); print(sorted({'libcst', 'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
