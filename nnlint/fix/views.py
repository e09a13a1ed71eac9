"""Views that move the data as their sizes claim."""

from __future__ import annotations

from typing import Union

from nnlint.findings import Applicability
from nnlint.fix.proposal import Proposal, Recall, Way
from nnlint.trace.story import Relabelled, Story

_CAUTION = "the data comes in another order from now on, for which weights trained so far were not made"


def moved(story: Story, event: Relabelled) -> Union[Proposal, None]:
    """`permute` or `transpose` where the shapes prove which; not for a view that another one takes back, as the two go together."""
    calls, packed = event.relabel.calls(), event.relabel.calls("reshape")
    called = story.called.get(event.site, "")
    if calls is None or packed is None or not called or not (event.inside or called in (".view", "torch.reshape")):
        return None
    if any(isinstance(other, Relabelled) and other.cause == event.serial for other in story.events()):
        return None
    if called != ".view":
        calls = packed  # `reshape` takes what is not in one piece
    if event.relabel.last is None:
        # What follows may be a view, which wants its data in one piece, as it was.
        calls, packed = f"{calls}.contiguous()", f"{packed}.contiguous()"
    shown = f"{event.receiver or 'x'}{calls}"
    change = Recall(event.site, calls, packed, method=called.startswith("."))
    return Proposal(Applicability.UNSAFE, (Way(f"write `{shown}`".replace("{", "{{").replace("}", "}}"), (change,)),), _CAUTION)
