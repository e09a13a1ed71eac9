"""What the engine itself has to say, as rules, so that it is selected, suppressed and explained like everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Report, Severity
from nnlint.rule import Rule

if TYPE_CHECKING:
    from nnlint.trace.story import Story


class Notice(Rule):
    """A rule whose findings come from the engine rather than from a training program."""

    def check(self, story: Story) -> Iterator[Report]:
        return iter(())


class InvalidSyntax(Notice):
    """A file, or a cell of a notebook, could not be read as Python, so nothing in it was checked.

    ## Why is this bad?
    Silence about a file that nobody looked at is not the same as a clean file. The entry cannot be switched off and makes the exit
    code 2; exclude files that are not meant to be Python.

    ## Bad
    ```python
    import torch

    for images, labels in torch.utils.data.DataLoader(data)
        print(images.shape)
    ```

    ## Good
    ```python
    import torch

    for images, labels in torch.utils.data.DataLoader(data):
        print(images.shape)
    ```

    ## When it stays silent
    In files that name no library for training networks: they are not parsed. IPython's own syntax is understood in notebooks.

    ## Runtime
    Not needed.

    ## Fix
    None.
    """

    code = "NN000"
    severity = Severity.ERROR


class UnusedSuppression(Notice):
    """A comment suppresses a finding that is not there.

    ## Why is this bad?
    It hides the day on which the mistake comes back, and it tells the reader of a problem that the code does not have.

    ## Bad
    ```python
    import torch

    net = torch.nn.Linear(4, 2)  # nnlint: ignore[missing-zero-grad]
    ```

    ## Good
    ```python
    import torch

    net = torch.nn.Linear(4, 2)
    ```

    ## When it stays silent
    On a `noqa` without codes, on codes of other tools, and on rules that were not run. Findings that are only suspected count as
    suppressed, shown or not. On files that are named one by one, as pre-commit does, and wherever a file could not be read: what the
    comment suppresses may need the files that were not looked at.

    A finding that only `--runtime` shows is not there in any other run; suppress it by `per-file-ignores`, not by a comment.

    ## Runtime
    Not needed.

    ## Fix
    Safe: the codes and names that are not needed are taken out of the comment, or the comment goes with its reason. Codes of other
    tools and other remarks stay. A name that is no rule is left to you.
    """

    code = "NN001"
    severity = Severity.NOTE


NOTICES: tuple[type[Rule], ...] = (InvalidSyntax, UnusedSuppression)
