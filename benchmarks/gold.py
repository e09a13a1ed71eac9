"""Measure nnlint against labels made by reading public code: what it finds, what it misses, where it is wrong.

    python benchmarks/gold.py --labels visible.jsonl --exhaustive exhaustive.json --clones DIR --show missed

DIR holds one folder `<owner>__<name>@<first 8 digits of the commit>` per labelled repository. The tables on standard output are Markdown.
"""

from __future__ import annotations

import json
import os
import posixpath
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

# The rules that the labels were made for; any other rule of the catalogue can be named with --rules.
LABELLED = {
    "NN101": "softmax-before-logit-loss",
    "NN102": "wrong-input-for-probability-loss",
    "NN103": "final-activation",
    "NN201": "missing-zero-grad",
    "NN202": "zero-grad-before-step",
    "NN301": "missing-eval-mode",
    "NN302": "missing-train-mode",
    "NN401": "view-instead-of-permute",
    "NN501": "bias-before-batchnorm",
    "NN502": "output-layer-without-bias",
}
# Labelled once per repository or not at all, so a finding without a label says nothing.
NOT_EXHAUSTIVE = {"bias-before-batchnorm", "output-layer-without-bias"}
SOUGHT = frozenset(LABELLED.values()) - NOT_EXHAUSTIVE


@dataclass(frozen=True)
class Point:
    """A place that a finding speaks of; a notebook's rows count inside the cell."""

    path: str
    cell: int | None
    row: int


@dataclass(frozen=True)
class Label:
    path: str
    cell: int | None
    line: int
    end_line: int
    also: frozenset[tuple[int | None, int]]
    rules: frozenset[str]
    truth: str
    why: str
    needs: str
    confidence: str

    def holds(self, point: Point) -> bool:
        if point.path != self.path:
            return False
        inside = point.cell == self.cell and self.line <= point.row <= self.end_line
        return inside or (point.cell, point.row) in self.also


@dataclass(frozen=True)
class Finding:
    code: str
    name: str
    message: str
    points: tuple[Point, ...]
    """Its own place first, then its trace."""

    def answers(self, label: Label) -> bool:
        return self.name in label.rules and any(map(label.holds, self.points))

    def falls_for(self, trap: Label, bugs: Sequence[Label]) -> bool:
        """Whether it calls the trap a mistake, rather than passing it on the way or meaning a bug in the same place."""
        if self.name not in trap.rules:
            return False
        own, end = self.points[0], self.points[-1]
        means = [bug for bug in bugs if self.name in bug.rules]
        if any(bug.holds(own) for bug in means):
            return False
        return any(trap.holds(p) and not any(bug.holds(p) for bug in means) for p in (own, end))


@dataclass
class Repository:
    name: str
    commit: str
    labels: list[Label] = field(default_factory=list)
    read: frozenset[str] = frozenset()
    """The files in which every instance of the sought mistakes is labelled."""

    @property
    def folder(self) -> str:
        return f"{self.name.replace('/', '__')}@{self.commit[:8]}"

    @property
    def title(self) -> str:
        return f"{self.name}@{self.commit[:8]}"


@dataclass(frozen=True)
class Run:
    """What nnlint said about one repository; `trouble` is empty when all went well."""

    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    trouble: str = ""
    absent: bool = False


@dataclass(frozen=True)
class LabelOutcome:
    repository: str
    label: Label
    hit: bool


@dataclass(frozen=True)
class FindingOutcome:
    repository: str
    finding: Finding
    kind: str
    """`bug`, `trap`, `harmless`, or `unlabelled`: to be read, and a false alarm until then."""
    counts: bool
    """Whether it lies where the labels are exhaustive, so that it says something about precision."""


# --- reading -----------------------------------------------------------------------------------------------------


def read_label(entry: dict[str, Any], evaluated: Iterable[str]) -> Label:
    cell: int | None = entry["cell"]
    also = ((a["cell"], a["line"]) if isinstance(a, dict) else (cell, a) for a in entry["also"])
    return Label(
        path=entry["path"],
        cell=cell,
        line=entry["line"],
        end_line=entry["end_line"],
        also=frozenset(also),
        rules=frozenset(entry["rules"]).intersection(evaluated),
        truth=entry["truth"],
        why=entry["why"],
        needs=entry["needs"],
        confidence=entry["confidence"],
    )


def read_repositories(labels: Path, exhaustive: Path, evaluated: Iterable[str]) -> list[Repository]:
    found: dict[tuple[str, str], Repository] = {}

    def of(entry: dict[str, Any]) -> Repository:
        key = (entry["repo"], entry["commit"])
        return found.setdefault(key, Repository(*key))

    for line in labels.read_text(encoding="utf-8").splitlines():
        if line.strip():
            entry = json.loads(line)
            label = read_label(entry, evaluated)
            if label.rules:
                of(entry).labels.append(label)
    for entry in json.loads(exhaustive.read_text(encoding="utf-8")):
        of(entry).read = frozenset(entry["files_read"])
    return sorted(found.values(), key=lambda r: (r.name.lower(), r.commit))


def read_point(entry: dict[str, Any]) -> Point:
    return Point(posixpath.normpath(entry["filename"]), entry["cell"], entry["location"]["row"])


def read_finding(entry: dict[str, Any]) -> Finding:
    points = (read_point(entry), *map(read_point, entry.get("trace") or ()))
    return Finding(entry["code"], entry["name"], entry["message"], points)


# --- running -----------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Measure this checkout, and let no `utils.py` or `random.py` of a clone shadow what nnlint imports."""
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def lint(command: Sequence[str], folder: Path, timeout: float) -> Run:
    if not folder.is_dir():
        return Run(trouble=f"no folder {folder.name}", absent=True)
    start = time.monotonic()
    process = subprocess.Popen(
        [*command, "--format", "json", "--select", "all", "--fail-on", "never", "."],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.communicate()
        return Run(seconds=timeout, trouble=f"stopped after {timeout:g} s")
    seconds = time.monotonic() - start
    trouble = ""
    if process.returncode:
        trouble = f"exit code {process.returncode}: {(err.strip().splitlines() or ['(silent)'])[-1]}"
    try:
        findings = tuple(map(read_finding, json.loads(out)))
    except (ValueError, KeyError, TypeError) as e:
        return Run(seconds=seconds, trouble=trouble or f"unreadable output: {e!r}")
    return Run(findings, seconds, trouble)


def catalogue(command: Sequence[str]) -> dict[str, str]:
    listing = subprocess.run(
        [*command, "--list-rules", "--format", "json"], env=environment(), stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    return {rule["code"]: rule["name"] for rule in json.loads(listing.stdout)}


def choose_rules(text: str | None, command: Sequence[str]) -> dict[str, str]:
    """Code to name. The catalogue is asked only for what the labels were not made for."""
    if text is None:
        return dict(LABELLED)
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = LABELLED
    if not all(word in known or word in known.values() for word in words):
        known = {**LABELLED, **catalogue(command)}
    if words == ["all"]:
        return dict(known)
    chosen = {code: name for code, name in known.items() if code in words or name in words}
    for word in words:
        if word not in chosen and word not in chosen.values():
            raise click.BadParameter(f"unknown rule {word!r}", param_hint="--rules")
    return chosen


# --- judging -----------------------------------------------------------------------------------------------------


def judge(repository: Repository, findings: Sequence[Finding]) -> tuple[list[LabelOutcome], list[FindingOutcome]]:
    """Settle each label and each finding; `findings` are those of the evaluated rules."""
    bugs = [label for label in repository.labels if label.truth == "bug"]
    traps = [label for label in repository.labels if label.truth == "trap"]
    harmless = [label for label in repository.labels if label.truth == "harmless"]

    def hit(label: Label) -> bool:
        if label.truth == "trap":
            return any(finding.falls_for(label, bugs) for finding in findings)
        return any(finding.answers(label) for finding in findings)

    def kind(finding: Finding) -> str:
        if any(finding.falls_for(trap, bugs) for trap in traps):
            return "trap"
        if any(map(finding.answers, bugs)):
            return "bug"
        return "harmless" if any(map(finding.answers, harmless)) else "unlabelled"

    def counts(finding: Finding) -> bool:
        return finding.name in SOUGHT and finding.points[0].path in repository.read

    return (
        [LabelOutcome(repository.title, label, hit(label)) for label in repository.labels],
        [FindingOutcome(repository.title, finding, kind(finding), counts(finding)) for finding in findings],
    )


def tally(labels: Iterable[LabelOutcome], findings: Iterable[FindingOutcome]) -> Counter[str]:
    """Counts of labels by truth (bugs ` sure` or ` likely`), of those hit, and of the findings that say something about precision."""
    counts: Counter[str] = Counter()
    for item in labels:
        keys = [item.label.truth]
        if item.label.truth == "bug":
            keys.append(f"bug {item.label.confidence}")
        for key in keys:
            counts[key] += 1
            counts[f"{key} hit"] += item.hit
    for found in findings:
        if found.counts:
            counts[f"finding {found.kind}"] += 1
    return counts


# --- telling -----------------------------------------------------------------------------------------------------


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.0%})" if whole else "-"


def precision(counts: Counter[str]) -> float | None:
    right = counts["finding bug"]
    judged = right + counts["finding trap"] + counts["finding unlabelled"]
    return right / judged if judged else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


FOUND_HEAD = ("bugs found", "sure", "likely", "traps flagged", "harmless reported")
PRECISION_HEAD = ("right", "on a trap", "unlabelled", "precision")


def found_cells(c: Counter[str]) -> list[str]:
    return [
        share(c["bug hit"], c["bug"]),
        share(c["bug sure hit"], c["bug sure"]),
        share(c["bug likely hit"], c["bug likely"]),
        share(c["trap hit"], c["trap"]),
        share(c["harmless hit"], c["harmless"]),
    ]


def precision_cells(c: Counter[str]) -> list[str]:
    value = precision(c)
    numbers = [str(c[f"finding {kind}"]) for kind in ("bug", "trap", "unlabelled")]
    return [*numbers, "-" if value is None else f"{value:.0%}"]


@dataclass
class Result:
    rules: dict[str, str]
    labels: list[LabelOutcome]
    findings: list[FindingOutcome]
    trouble: dict[str, str]

    def row_of(self, rules: frozenset[str]) -> str:
        """Labels that more than one rule answers have one row, since a miss belongs to none of them alone."""
        return " / ".join(f"{code} {name}" for code, name in self.rules.items() if name in rules)

    def total(self) -> Counter[str]:
        return tally(self.labels, self.findings)

    def by_rule(self) -> dict[str, Counter[str]]:
        rows = sorted({self.row_of(item.label.rules) for item in self.labels})
        return {row: tally((i for i in self.labels if self.row_of(i.label.rules) == row), ()) for row in rows}

    def by_code(self) -> dict[str, Counter[str]]:
        return {
            f"{code} {name}": tally((), (f for f in self.findings if f.finding.name == name))
            for code, name in self.rules.items()
            if name in SOUGHT
        }

    def by_repository(self) -> dict[str, Counter[str]]:
        names = sorted({i.repository for i in self.labels} | {f.repository for f in self.findings}, key=str.lower)
        return {
            name: tally((i for i in self.labels if i.repository == name), (f for f in self.findings if f.repository == name))
            for name in names
        }

    def by_needs(self) -> dict[str, Counter[str]]:
        names = sorted({i.label.needs for i in self.labels if i.label.truth == "bug"})
        return {name: tally((i for i in self.labels if i.label.needs == name), ()) for name in names}

    def markdown(self) -> str:
        total, repositories = self.total(), self.by_repository()
        shares = [c["bug hit"] / c["bug"] for c in repositories.values() if c["bug"]]
        parts = [
            "### By rule",
            table(
                ("answered by", *FOUND_HEAD),
                [[row, *found_cells(c)] for row, c in self.by_rule().items()] + [["**total**", *found_cells(total)]],
            ),
        ]
        if shares:
            # One form repeated many times inside a repository should not decide the number.
            parts.append(f"Mean share found over the {len(shares)} repositories with a bug: {sum(shares) / len(shares):.0%}.")
        parts += [
            "### Precision where the labels are exhaustive",
            table(
                ("rule", *PRECISION_HEAD),
                [[row, *precision_cells(c)] for row, c in self.by_code().items()] + [["**total**", *precision_cells(total)]],
            ),
            "### By hardest analysis",
            table(
                ("needs", *FOUND_HEAD[:3]),
                [[row, *found_cells(c)[:3]] for row, c in self.by_needs().items()],
            ),
            "### By repository",
            table(
                ("repository", *FOUND_HEAD, *PRECISION_HEAD),
                [[row, *found_cells(c), *precision_cells(c)] for row, c in repositories.items()],
            ),
        ]
        if self.trouble:
            parts += ["### Trouble", "\n".join(f"- {name}: {text}" for name, text in self.trouble.items())]
        return "\n\n".join(parts)

    def listing(self, show: str) -> str:
        parts: list[str] = []

        def section(title: str, lines: list[str]) -> None:
            parts.append("\n".join([f"### {title} ({len(lines)})", "", *lines]).rstrip())

        def labels(truth: str, hit: bool) -> list[str]:
            return [
                f"- {i.repository} {spot(Point(i.label.path, i.label.cell, i.label.line))} "
                f"[{self.row_of(i.label.rules)}; {i.label.needs}, {i.label.confidence}] {i.label.why}"
                for i in self.labels
                if i.label.truth == truth and i.hit is hit
            ]

        def findings(chosen: Iterable[FindingOutcome]) -> list[str]:
            return [f"- {f.repository} {spot(f.finding.points[0])} [{f.finding.code} {f.finding.name}] {f.finding.message}" for f in chosen]

        if show in ("missed", "all"):
            section("Missed", labels("bug", hit=False))
        if show in ("false", "all"):
            section("Traps flagged", labels("trap", hit=True))
            section("Findings on a trap", findings(f for f in self.findings if f.kind == "trap"))
            unlabelled = (f for f in self.findings if f.kind == "unlabelled" and f.counts)
            section("Findings without a label, to be read", findings(unlabelled))
        if show == "all":
            section("Found", labels("bug", hit=True))
            section("Harmless and reported", labels("harmless", hit=True))
        return "\n\n".join(parts)

    def plain(self) -> dict[str, Any]:
        def rows(counted: dict[str, Counter[str]]) -> dict[str, Any]:
            return {name: {**c, "precision": precision(c)} for name, c in counted.items()}

        return {
            "rules": self.rules,
            **rows({"total": self.total()}),
            "by_rule": rows(self.by_rule()),
            "by_code": rows(self.by_code()),
            "by_needs": rows(self.by_needs()),
            "by_repository": rows(self.by_repository()),
            "labels": [asdict(i) for i in self.labels],
            "findings": [asdict(f) for f in self.findings],
            "trouble": self.trouble,
        }


def spot(point: Point) -> str:
    cell = "" if point.cell is None else f":cell {point.cell}"
    return f"{point.path}{cell}:{point.row}"


def as_list(value: object) -> list[Any]:
    if isinstance(value, frozenset):
        return sorted(value, key=str)
    raise TypeError(type(value))


@click.command(help=__doc__.partition("\n")[0])
@click.option(
    "--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="The labels, one JSON object a line."
)
@click.option(
    "--exhaustive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The files in which everything is labelled.",
)
@click.option(
    "--clones",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Holds <owner>__<name>@<commit8> folders.",
)
@click.option("--rules", metavar="CODE,..", help="Codes or names, or `all`; default: the ten that the labels were made for.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write every label and finding with its verdict.")
@click.option("--show", type=click.Choice(["missed", "false", "all"]), help="List what stands behind the numbers.")
@click.option("--nnlint", "command", metavar="CMD", help="Run this instead of the nnlint of this checkout.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Repositories at a time.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=300, show_default=True, help="Seconds for one repository.")
def main(
    labels: Path,
    exhaustive: Path,
    clones: Path,
    rules: str | None,
    out: Path | None,
    show: str | None,
    command: str | None,
    jobs: int,
    timeout: float,
) -> None:
    nnlint = shlex.split(command) if command else [sys.executable, "-m", "nnlint"]
    chosen = choose_rules(rules, nnlint)
    repositories = read_repositories(labels, exhaustive, chosen.values())
    result = Result(chosen, [], [], {})
    with ThreadPoolExecutor(jobs) as pool:
        runs = pool.map(lambda r: lint(nnlint, clones / r.folder, timeout), repositories)
        for repository, run in zip(repositories, runs):
            click.echo(f"{run.seconds:6.1f} s  {repository.title}  {run.trouble or len(run.findings)}", err=True)
            if run.trouble:
                result.trouble[repository.title] = run.trouble
            if run.absent:  # nothing was measured; where nnlint fails, its labels are missed
                continue
            named, found = judge(repository, [f for f in run.findings if f.name in chosen.values()])
            result.labels += named
            result.findings += found
    click.echo(result.markdown())
    if show:
        click.echo("\n" + result.listing(show))
    if out:
        out.write_text(json.dumps(result.plain(), indent=1, default=as_list) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
