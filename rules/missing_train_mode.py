from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity, Step
from nnlint.fix.switching import trained
from nnlint.rule import Rule
from nnlint.trace.modes import modes
from nnlint.trace.story import Story
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import ForwardSeen


class MissingTrainMode(Rule):
    """Training goes on in eval mode after an evaluation.

    ## Why is this bad?
    After the first evaluation Dropout is off and BatchNorm normalises by frozen statistics for the rest of the training: the network
    loses its regularisation, silently and only from the second epoch on.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    net.train()
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        net.eval()
        with torch.no_grad():
            accuracy = (net(x).argmax(1) == y).float().mean()
    ```

    ## Good
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    for _ in range(5):
        net.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        net.eval()
        with torch.no_grad():
            accuracy = (net(x).argmax(1) == y).float().mean()
    ```

    ## When it stays silent
    For networks without layers that care about the mode; when eval mode was set before training and no evaluation came between (frozen
    BatchNorm, a choice); when the former mode is restored; and when code that cannot be followed may have switched the mode.

    ## Runtime
    The mode of every Dropout and BatchNorm is recorded at each forward that a `backward` follows.

    ## Fix
    `net.train()` before the loop that trains, within the epoch; with an evaluation inside of that loop, in front of the call. *Unsafe:
    training takes another course: until now it went on in eval mode after the first evaluation.* None where parts of the network are
    switched on their own (frozen BatchNorm), which `train()` would undo.

    ## References
    `torch.nn.Module.train`.
    """

    code = "NN302"
    severity = Severity.ERROR
    six = True
    patient = True

    def check(self, story: Story) -> Iterator[Report]:
        _, trainings = modes(story)
        for found in trainings:
            name = found.network.label or "the network"
            kind = found.layer.name.rpartition(".")[2]
            effect = f"its `{kind}` no longer trains as it should" if found.layer.cls is None else f"`{kind}` works in another way there"
            yield Report(
                site=found.switch,
                message=f"training of `{name}` goes on in eval mode after this `eval()`: {effect}",
                help=f"call `{name}.train()` after the evaluation, or at the start of every epoch",
                trace=(Remark(found.switch, "switched to eval mode here"), Remark(found.forward.site, "trained here, still in eval mode")),
                fix=trained(story, found),
            )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = [call for step in finding.trace for call in evidence.forwards_at(step.place) if call.trained]
        if not seen:
            return not_reached("the network was not trained here")
        if not any(call.caring for call in seen):
            return refuted("the network holds no layer that cares about the mode: it trains the same in both")
        asleep = [call for call in seen if call.trained_asleep_later >= 2]
        if asleep:
            return _sleeping(asleep[0])
        if any(call.trained_active_later for call in seen):
            later = sum(call.trained_active_later for call in seen)
            return refuted(f"after an evaluation {later} training calls ran in train mode", calls=later)
        calls = sum(call.trained for call in seen)
        if any(call.trained_asleep for call in seen):
            return inconclusive("the network was trained in eval mode from the start, which may be meant", calls=calls)
        if evidence.whole:
            return refuted(f"none of {calls} training calls of the whole run was in eval mode", calls=calls)
        return inconclusive("no training was seen after an evaluation", calls=calls)

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for call in evidence.forwards:
            place, there = evidence.place(call.asleep_by) or evidence.place(call.where), evidence.place(call.where)
            if place is not None and there is not None and call.owned and call.trained_asleep_later >= 2 and call.caring:
                message = f"training of `{call.network}` goes on in eval mode after this"
                trace = (Step(place, "switched here"), Step(there, "trained here, in eval mode"))
                yield self.observed(place, message, "call `train()` after the evaluation", _sleeping(call), trace)


def _sleeping(call: ForwardSeen) -> Verdict:
    names = ", ".join(f"`{name}`" for name in list(dict.fromkeys(layer.name for layer in call.caring))[:3])
    message = f"{call.trained_asleep} of {call.trained} training calls ran with {names} in eval mode"
    return confirmed(message, call.device, calls=call.trained, asleep=call.trained_asleep)
