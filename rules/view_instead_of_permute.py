from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Union

from nnlint.findings import Finding, Remark, Report, Severity
from nnlint.fix.views import moved
from nnlint.rule import Rule
from nnlint.trace.relabel import Relabel
from nnlint.trace.story import Relabelled, Story
from nnlint.verdict import Fact, Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import ViewSeen


class ViewInsteadOfPermute(Rule):
    """`view` or `reshape` re-labels axes where the data had to move.

    ## Why is this bad?
    `view` never moves data: it cuts the same row of numbers differently. Viewing (batch, time, channels) as (batch, channels, time)
    mixes times and channels; splitting heads or merging them without the transpose mixes tokens. Shapes fit, training runs, the network
    learns less.

    ## Bad
    ```python
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(100, 16)
            self.conv = nn.Conv1d(16, 32, 3)

        def forward(self, tokens):
            x = self.words(tokens)
            batch, length, channels = x.shape
            return self.conv(x.view(batch, channels, length))

    scores = Net()(torch.randint(100, (2, 5)))
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(100, 16)
            self.conv = nn.Conv1d(16, 32, 3)

        def forward(self, tokens):
            x = self.words(tokens)
            batch, length, channels = x.shape
            return self.conv(x.permute(0, 2, 1))

    scores = Net()(torch.randint(100, (2, 5)))
    ```

    ## When it stays silent
    When axes are split or merged in the order of memory, when one of the axes has size 1 or sizes coincide, when a size is not known to
    belong to one axis, and for flat data.

    ## Runtime
    An index-labelled tensor of the same size is sent through the call, and its axes are compared.

    ## Fix
    `permute` or `transpose` first; to split heads, `view` to (..., heads, size) and then `transpose`; `contiguous()` at the end, for
    views that follow. *Unsafe: the data comes in another order from now on, for which weights trained so far were not made.* Only where
    the shapes prove which order was meant; none for the first of two views of which the second takes it back, nor for arrays of numpy.

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
                fix=moved(story, event),
            )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = [view for view in evidence.views if evidence.at(finding.place, view.where[:1])]
        if not seen:
            return not_reached("no tensor came through here")
        for view in sorted(seen, key=lambda view: view.replayed):
            if view.relabelled == view.calls or view.crossing == view.calls or view.mixing:
                return _moved(view)
        seen = [view for view in seen if not view.replayed]
        view = seen[0]
        if all(_same(view) for view in seen):
            return refuted(f"{view.source} → {view.target} only adds or drops axes of size 1", calls=view.calls)
        if all(_plain(view) for view in seen) and not any(view.why for view in seen):
            return refuted(f"{view.source} → {view.target} keeps the order of the axes, and no sample reaches another", calls=view.calls)
        return inconclusive(f"{seen[0].source} → {seen[0].target} leaves open which axis is which", calls=seen[0].calls)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for view in evidence.views:
            place = evidence.place(view.where[:1])
            if place is not None and view.calls >= 5 and view.relabelled == view.calls and view.mixing:
                message = f"`{view.method}` re-labels axes instead of moving data: {view.source} is read as {view.target}"
                yield self.observed(place, message, "`permute` or `transpose` the axes first", _moved(view))


def undoes(relabel: Relabel, cause: Union[Relabel, None]) -> bool:
    """The wrong way back of a wrong way there: one mistake, already told."""
    if cause is None or relabel.kind == "split":
        return False
    if relabel.kind == "merge":
        return cause.kind == "split"
    there, back = cause.permute, relabel.permute
    return cause.kind == "swap" and there is not None and back is not None and [there[axis] for axis in back] == sorted(there)


def _moved(view: ViewSeen) -> Verdict:
    facts: dict[str, Fact] = {"calls": view.calls}
    message = f"{view.source} became {view.target} on {view.calls} of {view.calls} calls"
    if view.crossing and not view.relabelled:
        message += ": an axis was given another place without its data being moved"
    if view.relabelled:
        message += ": the same sizes in another order, with the data left where it was"
    if view.mixing:
        message += f"; the output of one sample depends on the input of another (gradient {view.mixing:.1e}, which must be 0)"
        facts["mixing"] = view.mixing
    return confirmed(message, view.device, **facts)


def _same(view: ViewSeen) -> bool:
    return [size for size in view.source if size != 1] == [size for size in view.target if size != 1]


def _plain(view: ViewSeen) -> bool:
    """Whether each axis of the target is a run of axes of the source, or part of one, and sizes alone tell which."""
    return not view.ambiguous and not view.crossing and not view.straddling and view.mixing == 0
