"""Every program under fixtures/ runs to its end under the probe, and the run settles what the linter says of it.

A marked finding is confirmed. In a program without marks nothing is: neither by the run alone, nor for findings made up at every place
where the run saw what they speak of, and of the rule that the program is a trap for one such finding is refuted. A program for which a run
can say less states so in its docstring (first cell) or in a comment: `Verdict: inconclusive. Why.`
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from runs import FIXTURES, SECONDS, Launch, case_id, cases, explanation, forking
from test_rules import expected

from nnlint import registry
from nnlint.confirm import project, session
from nnlint.confirm.evidence import Evidence
from nnlint.confirm.job import Job
from nnlint.confirm.launch import Outcome
from nnlint.confirm.records import Chain
from nnlint.findings import Confidence, Finding, Place, Step
from nnlint.rule import Group, Rule
from nnlint.selection import Layer
from nnlint.settings import Settings
from nnlint.verdict import Ruling, Verdict

pytest.importorskip("torch")
if not hasattr(os, "fork"):
    pytest.skip("the programs are run by a fork server", allow_module_level=True)
CATALOGUE = registry.catalogue()
LOSSES = ("NN101", "NN102", "NN103")
STATED = re.compile(r"^(?:# )?Verdict: (inconclusive|not-reached|refuted)\. \S", re.M)


@pytest.fixture(scope="module")
def fork() -> Iterator[Launch]:
    with forking() as launch:
        yield launch


@pytest.mark.parametrize("path", cases(), ids=case_id)
def test_runs_and_is_judged(path: Path, fork: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(path, fork, monkeypatch)


def judged(path: Path, fork: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    program = path.parent if path.name == "train.py" else path
    family = program.parent.name
    marks = expected(program)
    stated = STATED.search(_text(path))
    monkeypatch.chdir(path.parent)

    def launch(job: Job, scratch: Path, **others: object) -> Outcome:
        return fork(job if marks else _closely(job, path), scratch)

    monkeypatch.setattr(session, "launch", launch)
    codes = tuple(rule.code for rule in CATALOGUE.rules if rule.group is Group.DEFAULT or rule.name() == family)
    settings = Settings(layers=(Layer(codes, (), (), "test"),), suspected=True)
    seen = session.confirm(project.Script(path), session.Options(steps=10**9), settings, CATALOGUE)

    assert seen.outcome.code == 0, seen.outcome.output[-4000:]
    assert not [note for note in seen.evidence.notes if "the probe" in note and "switched off" not in note]
    observed = [_told(finding) for finding in seen.result.findings if finding.confidence is Confidence.OBSERVED]
    assert not observed, "what only the run has shown"
    if not marks:
        _nothing_is_confirmed(seen.result.findings, seen.evidence, codes, family, Ruling(stated[1]) if stated else Ruling.REFUTED)
        return
    for name, cell, row, code in marks:
        inner = STATED.search(_text(program.parent / name))
        wanted = Ruling((inner or stated or {1: "confirmed"})[1])
        found = [f for f in seen.result.findings if (_key(f, program), f.place.cell, f.place.row, f.code) == (name, cell, row, code)]
        if not found:  # in a file that the entry does not import
            assert wanted is Ruling.NOT_REACHED, (name, row, code)
        for finding in found:
            verdict = _verdict(finding)
            assert verdict.ruling is wanted, _told(finding)
            assert wanted is not Ruling.CONFIRMED or (re.search(r"\d", verdict.message) and verdict.evidence), _told(finding)


def _text(path: Path) -> str:
    return explanation(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


def _key(finding: Finding, program: Path) -> str:
    """The file of a finding as marks name it."""
    return Path(os.path.abspath(finding.place.filename)).relative_to(program.parent).as_posix()


def _closely(job: Job, path: Path) -> Job:
    """Every line of a right program is looked at as closely as one that a finding speaks of."""
    files = [*map(str, path.parent.rglob("*.py")), *(copy for copy, _ in job.renamed)]
    return msgspec.structs.replace(job, suspects=tuple((file, 1, 10**6) for file in files))


def _nothing_is_confirmed(findings: list[Finding], evidence: Evidence, codes: tuple[str, ...], family: str, most: Ruling) -> None:
    rules = [kind() for kind in CATALOGUE.rules if kind.code in codes]
    made_up = [
        msgspec.structs.replace(finding, runtime=rule.judge(finding, evidence)) for rule in rules for finding in _made_up(rule, evidence)
    ]
    confirmed = [_told(finding) for finding in [*findings, *made_up] if _verdict(finding).ruling is Ruling.CONFIRMED]
    assert not confirmed, "a right program"
    own = {_verdict(finding).ruling: finding for finding in made_up if finding.name == family or family in ("silent", "demo")}
    best = Ruling.REFUTED if Ruling.REFUTED in own else Ruling.INCONCLUSIVE if own else Ruling.NOT_REACHED
    assert best is most, [_told(finding) for finding in own.values()]


def _made_up(rule: Rule, evidence: Evidence) -> Iterator[Finding]:
    """A finding of the rule wherever the run saw what it speaks of."""
    for place, *others in dict.fromkeys(tuple(places) for places in _places(rule, evidence) if places):
        trace = tuple(Step(other, "") for other in others)
        yield Finding(rule.code, rule.name(), rule.severity, Confidence.CERTAIN, "made up", "", place, trace)


def _places(rule: Rule, evidence: Evidence) -> Iterator[list[Place]]:
    def at(*chains: Chain) -> list[Place]:
        return [place for chain in chains for place in [evidence.place(chain)] if place is not None]

    if rule.code in LOSSES:
        for loss in evidence.losses:
            yield at(loss.where)
            yield at(loss.made, loss.where)
            yield at(loss.before_made, loss.where)
    elif rule.code in ("NN201", "NN202"):
        for optimizer in evidence.optimizers:
            yield at(optimizer.where)
            for chain in (*optimizer.backwards, *optimizer.zeroings):
                yield at(chain, optimizer.where)
    elif rule.code == "NN301":
        for call in evidence.forwards:
            yield at(call.where)
    elif rule.code == "NN302":
        for call in evidence.forwards:
            if call.trained:
                yield at(call.switched or call.where, call.where)
    elif rule.code == "NN401":
        for view in evidence.views:
            yield at(view.where[:1])
    elif rule.code == "NN501":
        for bias in evidence.biases:
            yield at(bias.made)
    else:
        # An output layer without a bias may be meant: that is a question of design, which a run does not answer.
        for loss in evidence.losses:
            if loss.bias and loss.bias_layer is not None:
                yield at((loss.bias_layer,))


def _verdict(finding: Finding) -> Verdict:
    assert finding.runtime is not None, finding
    return finding.runtime


def _told(finding: Finding) -> str:
    verdict = _verdict(finding)
    return f"{finding.place.filename}:{finding.place.row} {finding.code} {verdict.ruling.value}: {verdict.message}"


# What most resembles a mistake without being one. Each is judged above, as a right program, with findings made up all over it.
TRAPS = {
    "gradient accumulation": "missing-zero-grad/windows_with_last_batch",
    "GAN": "missing-zero-grad/gan_reset_grad_helper",
    "p.grad = None": "missing-zero-grad/grads_set_to_none_by_hand",
    "LBFGS": "missing-zero-grad/style_closure_resets_inside",
    "SAM": "zero-grad-before-step/sharpness_aware",
    "GradScaler": "silent/scaled_micro_batches",
    "soft targets": "softmax-before-logit-loss/soft_targets",
    "distillation": "wrong-input-for-probability-loss/distillation_done_right",
    "label smoothing": "silent/image_project",
    "NLL of log-probabilities": "wrong-input-for-probability-loss/logarithm_of_softmax",
    "sigmoid and BCELoss": "wrong-input-for-probability-loss/sigmoid_at_the_call",
    "log_softmax and cross entropy": "silent/log_softmax_twice",
    "frozen BatchNorm": "missing-train-mode/frozen_batchnorm_finetuning",
    "MC dropout": "missing-eval-mode/mc_dropout_whole_network",
    "EMA teacher": "missing-eval-mode/mean_teacher",
    "train metric under no_grad": "missing-eval-mode/train_metric_under_no_grad",
    "sequence-first view": "view-instead-of-permute/time_distributed",
    "head split with transpose": "view-instead-of-permute/heads_then_transpose",
    "size-1 axes": "view-instead-of-permute/size_one_axis",
    "convolution, ReLU, BatchNorm": "bias-before-batchnorm/activation_before_norm",
    "BatchNorm in eval": "bias-before-batchnorm/frozen_batchnorm",
    "contrastive targets": "silent/in_batch_contrastive",
    "positive regression with ReLU": "final-activation/counts_are_positive",
    "PPO clamp": "silent/ppo",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_the_traps_are_among_the_right_programs(trap: str) -> None:
    path = next(path for path in cases() if case_id(path).removesuffix(".py") == TRAPS[trap])
    assert not expected(path.parent if path.name == "train.py" else path)


COMMANDS = (
    ("demo/greenhouse/train.py", {"NN101", "NN103", "NN201", "NN302", "NN401", "NN501"}),
    ("missing-zero-grad/zeroed_once_per_epoch.ipynb", {"NN201"}),
    ("missing-eval-mode/few_shot_builder/train.py", {"NN301"}),
    ("view-instead-of-permute/sine_sequence_first.ipynb", {"NN401"}),
)


@pytest.mark.parametrize(("name", "codes"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_the_command_confirms_what_is_marked(name: str, codes: set[str], tmp_path: Path) -> None:
    path = FIXTURES / name
    env = dict(os.environ, PYTHONPATH=str(FIXTURES.parent), NO_COLOR="1")
    command = [sys.executable, "-m", "nnlint", "--runtime", "--format", "json", "--output", str(tmp_path / "out.json"), path.name]
    done = subprocess.run(command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1, done.stderr
    entries = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {entry["code"] for entry in entries if entry["runtime"]["verdict"] == "confirmed"} == codes
    assert all(entry["runtime"]["message"] and entry["runtime"]["evidence"] for entry in entries)
