"""What is to be run, and how: what the launcher tells the child."""

from __future__ import annotations

from pathlib import Path

import msgspec

VARIABLE = "NNLINT_JOB"  # holds the scratch folder, in the environment of the child and of all that it starts


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`script` is a path, or the name of a module where `module` says so. `steps` are optimizer steps, `timeout` seconds."""

    script: str
    module: bool = False
    args: tuple[str, ...] = ()
    folder: str  # the working directory of the run
    steps: int = 20
    timeout: float = 300.0
    device: str = "auto"
    ranks: int = 1
    suspects: tuple[tuple[str, int, int], ...] = ()  # file, first and last row of what a finding speaks of: looked at more closely
    patient: bool = False  # a finding can only be settled by an evaluation
    renamed: tuple[tuple[str, str], ...] = ()  # a notebook's script in the scratch folder, and the notebook
    synthetic: str = ""  # "", "auto", or a file with a sample


def write(job: Job, scratch: Path) -> None:
    (scratch / "job.json").write_bytes(msgspec.json.encode(job))


def read(scratch: Path) -> Job:
    return msgspec.json.decode((scratch / "job.json").read_bytes(), type=Job)
