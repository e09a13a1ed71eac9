from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from nnlint.findings import Remark, Report, Severity
from nnlint.rule import Rule
from nnlint.trace.relabel import Relabel
from nnlint.trace.story import Relabelled, Story


class ViewInsteadOfPermute(Rule):
    """`view` or `reshape` re-labels axes where the data had to move.

    ## Why is this bad?
    `view` never moves data: it cuts the same row of numbers differently. Viewing (batch, time, channels) as (batch, channels, time)
    mixes times and channels; splitting heads or merging them without the transpose mixes tokens. Shapes fit, training runs, the network
    learns less.

    ## Bad
    ```python
    import torch

    x = torch.randn(2, 5, 3)
    b, t, c = x.shape
    channels_first = x.view(b, c, t)
    ```

    ## Good
    ```python
    import torch

    x = torch.randn(2, 5, 3)
    channels_first = x.permute(0, 2, 1)
    ```

    ## When it stays silent
    When axes are split or merged in the order of memory, when one of the axes has size 1 or sizes coincide, when a size is not known to
    belong to one axis, and for flat data.

    ## Runtime
    An index-labelled tensor of the same size is sent through the call, and its axes are compared.

    ## Fix
    `permute` or `transpose` first; to split heads, `view` to (..., heads, size) and then `transpose`.

    ## References
    `torch.Tensor.view`, `torch.permute`.
    """

    code = "NN401"
    severity = Severity.ERROR
    six = True

    def check(self, story: Story) -> Iterator[Report]:
        told: dict[int, Relabel] = {}
        for event in story.events():
            if not isinstance(event, Relabelled) or undoes(event.relabel, told.get(event.cause)):
                continue
            if event.site in story.harmless and any(size.known is None for size in event.relabel.source):
                continue
            told[event.serial] = event.relabel
            fix = event.relabel.fix(event.receiver or "x")
            yield Report(
                site=event.site,
                message=f"`{event.method}` re-labels axes instead of moving data: {event.relabel}",
                help=f"write `{fix}`" if fix else "`permute` or `transpose` the axes first",
                trace=(Remark(event.site, "the memory keeps its old order here"),),
            )


def undoes(relabel: Relabel, cause: Union[Relabel, None]) -> bool:
    """The wrong way back of a wrong way there: one mistake, already told."""
    if cause is None or relabel.kind == "split":
        return False
    if relabel.kind == "merge":
        return cause.kind == "split"
    there, back = cause.permute, relabel.permute
    return cause.kind == "swap" and there is not None and back is not None and [there[axis] for axis in back] == sorted(there)
