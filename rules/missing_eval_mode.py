from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnlint.findings import Finding, Remark, Report, Severity
from nnlint.fix.switching import evaluated
from nnlint.rule import Rule
from nnlint.trace.modes import modes
from nnlint.trace.story import Story
from nnlint.verdict import Verdict, confirmed, inconclusive, not_reached, refuted

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.confirm.records import ForwardSeen


class MissingEvalMode(Rule):
    """Evaluation runs with Dropout or BatchNorm in train mode.

    ## Why is this bad?
    In train mode Dropout throws units away and BatchNorm normalises by the batch at hand, and updates its statistics with evaluation
    data. Reported numbers are wrong, noisy and depend on the batch. `torch.no_grad()` changes none of this.

    ## Bad
    ```python
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
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
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        accuracy = (net(x).argmax(1) == y).float().mean()
    ```

    ## When it stays silent
    For networks without layers that care about the mode; for networks that were neither trained nor loaded (smoke tests); for metrics on
    the training batch inside the training loop; samples drawn from noise; targets and teachers; and when code that cannot be followed
    may have switched the mode.

    ## Runtime
    The mode of every Dropout and BatchNorm is recorded at each forward, training and evaluation told apart by what follows.

    ## Fix
    `net.eval()` before the loop or block that evaluates, for each network in it, and `net.train()` before the loop that trains, where
    nothing else brings it back. *Unsafe: the reported numbers change: from now on they are those of the network in eval mode.* None where
    the same lines train and evaluate, and where parts of the network are switched on their own.

    ## References
    `torch.nn.Module.eval`.
    """

    code = "NN301"
    severity = Severity.ERROR
    six = True
    patient = True

    def check(self, story: Story) -> Iterator[Report]:
        evaluations, _ = modes(story)
        for found in evaluations:
            name = found.network.label or "the network"
            kind = found.layer.name.rpartition(".")[2]
            effect = f": its `{kind}` is active" if found.layer.cls is None else f", in which `{kind}` works in another way"
            steps = [Remark(found.forward.site, "evaluated here, in train mode")]
            if found.layer is not found.network and found.layer.cls is None:
                steps.insert(0, Remark(found.layer.site, f"this `{kind}` behaves differently in train mode"))
            if found.switch is not None:
                steps.insert(-1, Remark(found.switch, "switched to train mode here"))
            yield Report(
                site=found.forward.site,
                message=f"`{name}` is evaluated in train mode{effect}",
                help=f"call `{name}.eval()` before the evaluation and `{name}.train()` before training goes on",
                trace=tuple(steps),
                fix=evaluated(story, found),
            )

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        seen = evidence.forwards_at(finding.place)
        if not seen:
            return not_reached("the network was not evaluated here")
        if not any(call.caring for call in seen):
            return refuted("the network holds no layer that cares about the mode: its evaluation is the same in both", networks=len(seen))
        both = {call.number for call in seen if call.silent_asleep}  # in the mode that the caller asks for
        awake = [call for call in seen if _awake(call) and call.number not in both]
        if awake:
            return _evaluating(awake[0])
        asleep = sum(call.silent_asleep + call.silent_mixed + call.unused_asleep for call in seen)
        if asleep:
            return refuted(f"{asleep} evaluating calls ran in eval mode", calls=asleep)
        active = sum(call.silent_active for call in seen)
        if active:
            again, fed = (sum(counts) for counts in zip(*((call.silent_again, call.silent_fed) for call in seen)))
            message = f"of {active} calls in train mode {again} repeated the last one on the same input, {fed} made inputs for training"
            played = ", by a network that is trained against another" if any(call.adversarial for call in seen) else ""
            return inconclusive(message + played, calls=active, repeated=again, fed=fed)
        return inconclusive(f"{sum(call.calls for call in seen)} calls were seen here, none of them an evaluation after a training step")

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        for call in evidence.forwards:
            place = evidence.place(call.where)
            # What is called at every step is a part of the training: targets, samples, actions.
            often = 2 * call.moments > evidence.steps
            if place is None or not _awake(call) or not call.owned or call.silent_active < 5 or often:
                continue
            message = f"`{call.network}` is evaluated in train mode: {_layers(call)} active"
            help = "call `eval()` before the evaluation and `train()` before training goes on"
            yield self.observed(place, message, help, _evaluating(call))


def _awake(call: ForwardSeen) -> bool:
    """Whether all evaluating calls of a network that is or was trained ran in train mode, and were no samples of its noise."""
    if call.silent_asleep or call.silent_mixed or call.adversarial or not (call.owned or call.loaded or call.copied):
        return False
    if call.silent_active:
        return 2 * call.silent_again < max(call.silent_active, 2) and 2 * call.silent_fed < call.silent_active
    return not call.trained and call.unused_active >= 5 and not call.unused_asleep


def _evaluating(call: ForwardSeen) -> Verdict:
    calls = call.silent_active or call.unused_active
    which = f"all {calls} evaluating calls" if calls > 1 else "the evaluating call"
    return confirmed(f"{which} ran with {_layers(call)} in train mode", call.device, calls=calls)


def _layers(call: ForwardSeen) -> str:
    names = list(dict.fromkeys(layer.name for layer in call.caring))
    return ", ".join(f"`{name}`" for name in names[:3])
