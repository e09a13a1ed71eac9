"""What the probe reports, as plain records. A record is sent again whenever it has changed: the latest one of its `key` counts.

The child writes them as lines of JSON into a file of the scratch folder, from which the parent reads.
"""

from __future__ import annotations

from typing import Union

import msgspec


class Spot(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A place in the user's code that ran: rows from 1, columns in bytes from 0 (-1 where Python does not tell them)."""

    path: str
    row: int
    end_row: int
    column: int = -1
    end_column: int = -1


# The user's own frames, the innermost first.
Chain = tuple[Spot, ...]


class Record(msgspec.Struct, kw_only=True, tag=True, omit_defaults=True):
    """`key` numbers the records of one process."""

    key: int = 0


class LossSeen(Record):
    """All calls of one loss function from one place on inputs of one making.

    The counts are of batches: their input lay in [0, 1] with rows that sum to 1 (`probabilities`), in [0, 1] (`unit`), held a positive
    (`positive`) or a negative value (`negative`); their targets lay outside the range of the activation that made the input (`outside`).
    """

    where: Chain
    name: str
    loss: str = ""  # the class of the loss layer
    producer: str = ""  # the operation that made the input: "softmax", "relu", "linear" ...
    made: Chain = ()  # where that was called
    layer: Union[Spot, None] = None  # where the layer that called it was constructed
    before: str = ""  # the same for what a softmax, sigmoid or log-softmax was given: a relu before it
    before_made: Chain = ()
    before_layer: Union[Spot, None] = None
    bias: Union[bool, None] = None  # whether the layer that made the scores has a bias
    bias_layer: Union[Spot, None] = None
    batches: int = 0
    checked: int = 0  # batches whose values were looked at
    trained: int = 0  # batches whose loss carries a graph
    probabilities: int = 0
    unit: int = 0
    positive: int = 0
    negative: int = 0
    outside: int = 0
    zeros: float = 0.0  # share of exact zeros in the input, mean over the checked batches
    dead: float = 0.0  # share of rows of scores that are all equal
    classes: int = 0  # size of the class axis
    soft: bool = False  # targets are distributions
    scores: bool = True  # targets have the shape of the input
    elements: bool = False  # not reduced: one loss for each sample or score, which the script goes on with
    first: float = 0.0
    last: float = 0.0
    lowest: float = 0.0
    dtype: str = ""
    device: str = ""


class StepSeen(Record):
    """All steps of one optimizer from one place.

    `dirty` steps used gradients that were added to what an earlier step had used already; `wiped` steps found no gradient although a
    backward had made some; `bare` steps found none at all; before `edited` steps the old gradients had been changed by hand,
    before `unseen` ones by something else than a backward, of which it is not known whether it added or replaced.
    """

    where: Chain
    optimizer: str
    made: Chain = ()
    steps: int = 0
    dirty: int = 0
    wiped: int = 0
    bare: int = 0
    edited: int = 0
    unseen: int = 0
    first_dirty: int = 0
    partial: int = 0  # steps before which the gradients of a backward were thrown away that no optimizer has used
    backwards: tuple[Chain, ...] = ()
    zeroings: tuple[Chain, ...] = ()
    wiped_by: Chain = ()


class Caring(msgspec.Struct, frozen=True, array_like=True):
    """A kind of layer that cares about the mode, as a network holds it."""

    name: str
    made: Union[Spot, None]


class ForwardSeen(Record):
    """All calls of one network from one place. What was trained is known by the backward that reached its output.

    Of calls after the first optimizer step: by the mode of the layers that care.
    """

    where: Chain
    network: str
    number: int  # of the network, by order of its first call
    made: Chain = ()
    switched: Chain = ()  # the last train() or eval() before the last call
    caring: tuple[Caring, ...] = ()
    owned: bool = False  # an optimizer holds parameters of it
    loaded: bool = False  # it was given a saved state
    copied: bool = False  # it was copied from one that had been trained
    adversarial: bool = False  # it is trained by the judgement of another network, which another optimizer trains
    calls: int = 0
    graph: int = 0  # calls with gradients
    trained: int = 0  # calls that a backward reached whose gradients a step has used
    trained_active: int = 0  # ... with all layers that care in train mode
    trained_active_later: int = 0  # ... after the network had been called in eval mode
    trained_asleep: int = 0  # ... with all of them in eval mode
    trained_asleep_later: int = 0  # ... in eval mode, after others of the network had been trained in train mode
    asleep_by: Chain = ()  # what had switched it before the first of these
    silent_active: int = 0  # calls without gradients after a step, all layers that care in train mode, on inputs of their own
    silent_again: int = 0  # ... of these: on the same input as the call before, without a step between
    silent_fed: int = 0  # ... of these: whose output another network was trained on
    moments: int = 0  # ... of these: with steps, or other calls of the network, between them
    silent_asleep: int = 0
    silent_mixed: int = 0
    unused_active: int = 0  # calls with gradients that no backward reached, after a step, in a row without steps
    unused_asleep: int = 0
    device: str = ""


class ViewSeen(Record):
    """All calls of `view` or `reshape` at one place.

    `relabelled`: the target's sizes are the source's in another order (sizes of 1 left out), nothing merged or split. `ambiguous`: equal
    sizes leave open which axis is which. `mixing`: the largest gradient from one sample's output to another sample's input.
    """

    where: Chain
    method: str
    calls: int = 0
    relabelled: int = 0
    ambiguous: int = 0
    straddling: int = 0  # calls where an axis of the target holds part of one axis of the source and something of the next
    crossing: int = 0  # calls whose sizes cannot come, or hardly, from merging and splitting neighbouring axes
    source: tuple[int, ...] = ()
    target: tuple[int, ...] = ()
    replayed: bool = False  # on a copy, with smaller inputs
    mixing: Union[float, None] = None
    why: str = ""  # why there is no `mixing`
    device: str = ""


class RankSeen(Record):
    """A network that was wrapped to be trained on several ranks, as this rank sees it.

    `parameters` is a fingerprint after each step, `batches` one of each training input; `bare` is where the wrapped network was called
    itself. `epochs` counts the passes over a `DistributedSampler` that shuffles, `epoch_set` those for which the epoch had changed.
    """

    network: str
    made: Chain
    parameters: tuple[float, ...] = ()
    batches: tuple[float, ...] = ()
    bare: Chain = ()
    epochs: int = 0
    epoch_set: int = 0
    sampler: Chain = ()


class BiasSeen(Record):
    """A layer with a bias, and what its bias does to the output of the network: the change for noise of size 1 in the bias, over the
    change for weights that are 50 % off, in the modes of training. `cancelled`: a normalisation by the batch took the noise away."""

    network: str
    layer: str
    kind: str
    made: Chain
    parameters: int
    ratio: float
    norms: int  # normalisations by the batch in the network that were in train mode
    cancelled: bool = False
    device: str = ""


class Progress(Record):
    """`seconds` since the child began."""

    steps: int
    seconds: float
    loss: Union[float, None] = None
    evaluations: int = 0


class Setting(Record):
    """What the run stands on."""

    torch: str
    python: str
    rank: int = 0
    ranks: int = 1


class Guarded(Record):
    """How the user's files are kept as they were: `kernel` says that native code is refused, too."""

    kernel: bool
    limits: str


class Note(Record):
    """Something that the report must say."""

    text: str


class Synthetic(Record):
    """Data of our own making has taken the place of the user's. `given`: by a sample of theirs."""

    given: bool = False


class Ended(Record):
    """`reason` is one of "steps", "end", "error", "timeout"; `trace` is the user's own part of the traceback."""

    reason: str
    error: str = ""
    trace: str = ""
    missing: str = ""  # the file that was not found


class Cost(Record):
    """Seconds that the probe took to be put in its place, and for computations of its own; what it adds to each step is not in it."""

    start: float
    extra: float


AnyRecord = Union[LossSeen, StepSeen, ForwardSeen, ViewSeen, RankSeen, BiasSeen, Progress, Setting, Guarded, Note, Synthetic, Cost, Ended]
