"""Measure what nnlint adds to the parse that it cannot do without.

    python benchmarks/speed.py FOLDER --runs 3

Two processes take turns: `python -m nnlint --exit-zero --quiet FOLDER` with an empty cache, and a bare script that only reads the same
relevant files and parses them with libcst. Compared is the CPU time (user and system) of the whole process and its children; the wall
clock says more about what else the machine does. A notebook is parsed as the text of its code cells.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnlint.files import choose  # noqa: E402
from nnlint.settings import Table, settle  # noqa: E402
from nnlint.source import Source, Unreadable, read, relate  # noqa: E402

HEAVY = ("libcst", "torch")
PARSE = """\
import sys
import libcst
for line in sys.stdin:
    with open(line.rstrip("\\n"), encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        libcst.parse_module(text)
    except libcst.ParserSyntaxError:
        pass
"""
HELP = f"""\
import contextlib, io, sys
from nnlint.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""


def relevant(folder: str) -> list[Source]:
    """The sources that nnlint parses, by its own choice."""
    sources: list[Source] = []
    for name, path in choose([folder], settle([folder], Table()).choice).files:
        try:
            source = read(path, name)
        except Unreadable:
            continue
        sources += [source] if source is not None else []
    return [source for source in relate(sources) if source.relevant]


def seconds(command: Sequence[str], text: str = "") -> float:
    """The CPU time of one process, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=_environment(), check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise click.ClickException(f"`{command[0]} ...` ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def heavy_imports() -> list[str]:
    """What `nnlint --help` imports and should not."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, env=_environment(), check=True)
    return done.stdout.split()


def _environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="How often each of the two runs.")
def main(folder: str, runs: int) -> None:
    found = heavy_imports()
    click.echo(f"`nnlint --help` imports {' and '.join(found)}" if found else f"`nnlint --help` imports neither {' nor '.join(HEAVY)}")
    sources = relevant(folder)
    lint_times: list[float] = []
    parse_times: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        copies: list[str] = []
        for index, source in enumerate(sources):
            copy = Path(scratch, f"{index}.py")
            copy.write_text(source.text, encoding="utf-8", newline="")
            copies.append(f"{copy}\n")
        for run in range(runs):
            cache = str(Path(scratch, f"cache {run}"))  # an empty one: to fill it is part of a run
            lint_times.append(seconds([sys.executable, "-m", "nnlint", "--exit-zero", "--quiet", "--cache-dir", cache, folder]))
            parse_times.append(seconds([sys.executable, "-c", PARSE], "".join(copies)))
            click.echo(f"run {run + 1}: nnlint {lint_times[-1]:.2f} s, parse alone {parse_times[-1]:.2f} s", err=True)
    lint, parse = statistics.median(lint_times), statistics.median(parse_times)
    click.echo(f"{len(sources)} relevant files, median CPU time of {runs} runs: nnlint {lint:.2f} s, parse alone {parse:.2f} s")
    click.echo(f"ratio: {lint / parse:.2f}")
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main()
