"""Measure what a run costs when most of the project is known from before.

    python benchmarks/warm.py FOLDER --change timm/models/mlp_mixer.py

The folder is copied. A cold run fills a new cache, a second one finds all that it needs in it; then a name is added at the end of one file
after another, each with the cache as the run before has left it. Compared is the CPU time (user and system) of whole processes and their
children. Every run has to print what a run without a cache prints.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from speed import relevant  # noqa: E402

ASK = """\
import sys
from nnlint.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*(name for name in ("libcst", "torch") if name in sys.modules), file=sys.stderr)
"""


class Run:
    """One run: its output, its CPU time, the heavy packages that it imported."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-c", ASK, "--format", "json", "--exit-zero", "--quiet", *options, "."]
        start, before = time.monotonic(), _spent()
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
        self.seconds, self.wall = _spent() - before, time.monotonic() - start
        if done.returncode:
            raise click.ClickException(done.stderr[-400:])
        self.output = done.stdout
        self.imported = done.stderr.split()


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--change", multiple=True, metavar="FILE", help="A file to change; may be repeated (default: three, picked by chance).")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes of each run.")
def main(folder: str, change: Sequence[str], jobs: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch, "project")
        shutil.copytree(folder, project, symlinks=True, ignore=shutil.ignore_patterns(".git", ".nnlint_cache"))
        os.chdir(project)
        options = ("--jobs", str(jobs), "--cache-dir", str(Path(scratch, "cache")))
        cold = Run(*options)
        click.echo(f"cold: {cold.seconds:.2f} s CPU, {cold.wall:.2f} s")
        warm = Run(*options)
        imports = " and ".join(warm.imported) or "neither libcst nor torch"
        click.echo(f"warm: {warm.seconds:.2f} s CPU, {warm.wall:.2f} s, ratio {warm.seconds / cold.seconds:.3f}; imports {imports}")
        outputs = {cold.output, warm.output}
        ratios = []
        for name in change or random.Random(0).sample(sorted(source.key for source in relevant(".") if source.key.endswith(".py")), 3):
            with open(name, "a", encoding="utf-8") as file:
                file.write("\n\nname_of_a_benchmark = 1\n")
            changed = Run(*options)
            outputs.add(changed.output)
            ratios.append(changed.seconds / cold.seconds)
            click.echo(f"changed {name}: {changed.seconds:.2f} s CPU, {changed.wall:.2f} s, ratio {ratios[-1]:.3f}")
        click.echo(f"one file changed, median ratio: {statistics.median(ratios):.3f}")
        outputs.add(Run("--no-cache", "--jobs", str(jobs)).output)
        click.echo("all outputs are the same" if len(outputs) == 1 else "THE OUTPUTS DIFFER")
        os.chdir(ROOT)
    if len(outputs) > 1 or warm.imported:
        sys.exit(1)


if __name__ == "__main__":
    main()
