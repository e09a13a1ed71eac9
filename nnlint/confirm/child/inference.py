"""What the items of a dataset look like whose data is not there: guessed from networks and losses, and tried."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple, Union

import torch

from nnlint.confirm.child import specimen
from nnlint.confirm.child.layout import PAIR, SINGLE, Field, Form, Layout
from nnlint.confirm.child.specimen import Fit
from nnlint.confirm.child.trial import INDEXED, POINTWISE, LossTried, Outcome, Trial

if TYPE_CHECKING:
    from nnlint.confirm.child.probe import Probe

_FITS = 4  # guesses for one network
_TRIALS = 16
_SHARE = 0.25  # of the time limit, for one trial; twice that for all
_LABEL = Field((), torch.int64, 0, 0)  # class 0 is there whatever the classes are


class Guess(NamedTuple):
    """`sure`: the script came to a step with it. `trouble`: how the likeliest guess failed. Neither where nothing could be tried."""

    layout: Union[Layout, None]
    sure: bool
    trouble: str = ""


class Inference:
    def __init__(self, probe: Probe, trial: Trial) -> None:
        self._probe, self._trial = probe, trial
        self._limit = probe.job.timeout * _SHARE
        self.current: Union[Layout, None] = None  # what is tried, in the child that tries

    def guess(self, form: Union[Form, None], known: list[Layout]) -> Guess:
        """`known` were found for other datasets of the script. In a trial's child: returns as soon as it is to go on."""
        likely = self._likely(form, known)
        first = self._next(likely)
        if first is None:
            return Guess(None, False, "no network was constructed before the data was asked for")
        if not self._trial.possible():
            return Guess(first, False)
        queue, tried, trouble = [first], set[Layout](), ""
        until = time.monotonic() + 2 * self._limit
        while len(tried) < _TRIALS and time.monotonic() < until:
            layout = queue.pop(0) if queue else self._next(likely)
            if layout is None:
                break
            if layout in tried:
                continue
            tried.add(layout)
            outcome = self._try(layout)
            if outcome is None:
                return Guess(layout, False)
            if outcome.fine:
                refined = _refined(layout, outcome.losses)
                if refined == layout:
                    return Guess(layout, True)
                outcome = self._try(refined)
                return Guess(refined if outcome is None or outcome.fine else layout, True)
            trouble = trouble or outcome.error
            queue[:0] = [other for other in _revised(layout, outcome) if other not in tried]
        return Guess(first, False, trouble)

    def _next(self, likely: Iterator[Layout]) -> Union[Layout, None]:
        """Guesses are looked for one by one, because each means calls of a network."""
        with self._probe.aside():
            return next(likely, None)

    def _try(self, layout: Layout) -> Union[Outcome, None]:
        self.current = layout
        outcome = self._trial.run(self._limit)
        if outcome is not None:
            self.current = None
        return outcome

    def _likely(self, form: Union[Form, None], known: list[Layout]) -> Iterator[Layout]:
        yield from (layout for layout in known if form in (None, layout.form))
        forms = [PAIR, SINGLE] if form is None else [form]
        networks = sorted(specimen.networks(), key=self._probe.births.rank)
        losses = specimen.losses()
        blind = not self._trial.possible()
        searches = [specimen.fits(network) for network in networks]
        first: list[Fit] = []
        # The likeliest of each network before the less likely of any.
        for row in islice(zip_longest(*searches), _FITS):
            for fit in row:
                if fit is not None:
                    first += [fit] if not any(other.network is fit.network for other in first) else []
                    yield from (_laid_out(some, fit, losses, blind=blind) for some in forms)
        if not first:
            # The script may reshape what it is given: the likeliest guesses, untried.
            first = [Fit(network, fields[:1], ()) for network in networks for fields in islice(specimen.guesses(network), 2)]
            yield from (_laid_out(some, fit, losses, blind=blind) for fit in first for some in forms)
        for fit in first:
            for some in forms:
                if some.size == 2 and len(fit.fields) == 1:
                    layout = _laid_out(some, fit, losses, blind=blind)
                    yield layout._replace(fields=layout.fields[::-1])


def _laid_out(form: Form, fit: Fit, losses: list[torch.nn.Module], *, blind: bool) -> Layout:
    """The inputs of the network first, targets after them."""
    inputs = fit.fields[: form.size]
    return Layout(form, inputs + (_target(fit, losses, blind=blind),) * (form.size - len(inputs)))


def _target(fit: Fit, losses: list[torch.nn.Module], *, blind: bool) -> Field:
    """By the loss that is there, for the output of the network. Where no trial will tell, classes are likelier than anything else."""
    names = {type(loss).__name__ for loss in losses}
    scores = fit.scores
    if names & {"BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"} and not names & {
        "CrossEntropyLoss",
        "NLLLoss",
    }:
        return Field(scores, torch.float32)
    classes = scores[0] if scores else 1
    if (blind or names & {"CrossEntropyLoss", "NLLLoss"}) and classes > 1:
        first = fit.fields[0].shape
        if len(scores) == 2 and first and scores[0] == first[0]:
            return Field(scores[:1], torch.int64, 0, scores[1] - 1)  # a class for each position of a sequence
        return Field(scores[1:], torch.int64, 0, classes - 1)
    return _LABEL


def _revised(layout: Layout, outcome: Outcome) -> list[Layout]:
    """The layouts whose target fits better to what the last loss was given."""
    if outcome.network or not outcome.losses or layout.form.single:
        return []
    loss = outcome.losses[-1]
    fields = _targets(layout.fields[-1], loss, layout.fields[0])
    return [layout._replace(fields=(*layout.fields[:-1], field)) for field in fields if field != layout.fields[-1]]


def _targets(field: Field, loss: LossTried, first: Field) -> list[Field]:
    if not loss.input or not loss.input[0]:
        return []
    if loss.name in POINTWISE:
        dtype = torch.float32
        kept = [field.shape] if loss.input == loss.target else []
        shapes = [*kept, loss.input[1:], (), (1,), first.shape]
        return [Field(shape, dtype) for shape in dict.fromkeys(shapes)]
    if loss.name in INDEXED:
        classes = loss.input[1] if len(loss.input) > 1 else loss.input[0]
        shapes = [loss.input[2:]]
        samples = loss.target[0] if loss.target and not field.shape else 0
        if samples and len(loss.input) == 2 and loss.input[0] > samples and loss.input[0] % samples == 0:
            shapes = [(loss.input[0] // samples,), *shapes]  # positions that the script has laid into one row with the samples
        found = [Field(shape, torch.int64, 0, classes - 1) for shape in dict.fromkeys(shapes)]
        return [*found, Field((classes,), torch.float32)]
    return []


def _refined(layout: Layout, losses: list[LossTried]) -> Layout:
    """With all classes in the target, now that their number is known."""
    target = layout.fields[-1]
    if not losses or layout.form.single or len(layout.fields) < 2 or target != _LABEL:
        return layout
    loss = losses[0]
    most = 1
    if loss.name in INDEXED and loss.whole:
        most = (loss.input[1] if len(loss.input) > 1 else loss.input[0]) - 1
    return layout._replace(fields=(*layout.fields[:-1], target._replace(high=max(most, 0))))
