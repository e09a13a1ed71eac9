"""What a run has shown, as rules ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, Union

from nnlint.confirm.records import (
    AnyRecord,
    BiasSeen,
    Chain,
    Cost,
    Ended,
    ForwardSeen,
    Guarded,
    LossSeen,
    Note,
    Progress,
    RankSeen,
    Record,
    Setting,
    Spot,
    StepSeen,
    Synthetic,
    ViewSeen,
)
from nnlint.findings import Finding, Place, Step

R = TypeVar("R", bound=Record)
Locate = Callable[[Spot], Union[Place, None]]


class Evidence:
    """All records of a run, the latest of each key. `locate` turns a spot of the run into a place as findings have it."""

    def __init__(self, records: Iterable[tuple[tuple[int, int], AnyRecord]], locate: Locate) -> None:
        latest: dict[tuple[tuple[int, int], int], AnyRecord] = {}
        for source, record in records:
            latest[source, record.key] = record
        self._records = list(latest.values())
        self._locate = locate
        self.losses = self._all(LossSeen)
        self.optimizers = self._all(StepSeen)
        self.forwards = self._all(ForwardSeen)
        self.views = self._all(ViewSeen)
        self.biases = self._all(BiasSeen)
        self.ranks = [(rank, record) for ((rank, _), _), record in latest.items() if isinstance(record, RankSeen)]
        self.notes = list(dict.fromkeys(note.text for note in self._all(Note)))
        stood = self._all(Synthetic)
        self.synthetic = bool(stood)  # some of the data was made up
        self.guessed = any(not record.given for record in stood)  # ... and its values say nothing
        self.setting = next(iter(self._all(Setting)), None)
        self.guarded = next(iter(self._all(Guarded)), None)
        self.cost = next(iter(self._all(Cost)), None)
        self.whole = any(record.reason == "end" for record in self._all(Ended))  # the script ran to its own end
        self.steps = max((progress.steps for progress in self._all(Progress)), default=0)

    def _all(self, kind: type[R]) -> list[R]:
        return [record for record in self._records if isinstance(record, kind)]

    def places(self, chain: Chain) -> Iterator[Place]:
        """The places of a chain that lie in files that were linted, the innermost first."""
        for spot in chain:
            place = self._locate(spot)
            if place is not None:
                yield place

    def place(self, chain: Chain) -> Union[Place, None]:
        return next(self.places(chain), None)

    def at(self, place: Place, *chains: Union[Chain, Spot, None]) -> bool:
        """Whether one of the chains goes through the place."""
        return any(overlap(place, other) for chain in chains for other in self.places(_chain(chain)))

    def on_way(self, finding: Finding, *chains: Union[Chain, Spot, None]) -> bool:
        """Whether one of the chains goes through the place of a finding or one of the steps of its trace."""
        return any(self.at(place, *chains) for place in places_of(finding))

    def losses_of(self, finding: Finding) -> list[LossSeen]:
        """The losses that a finding speaks of, with a graph where some have one; those called on its way themselves before those
        further inside."""
        near = [loss for loss in self.losses if self.on_way(finding, loss.where[:1])]
        found = near or [loss for loss in self.losses if self.on_way(finding, loss.where)]
        return [loss for loss in found if loss.trained] or found

    def made_at(self, place: Place, loss: LossSeen) -> bool:
        """Whether the input of a loss was made at a place: called there, or by a layer constructed there."""
        return self.at(place, loss.made, loss.layer)

    def way_of(self, loss: LossSeen) -> tuple[Step, ...]:
        """The input of a loss, from where it was made to where it is used."""
        name = f"`{loss.producer}`"
        steps = [
            *(Step(place, f"{name} is made here") for place in self.places(_chain(loss.layer))),
            *(Step(place, f"{name} applied here") for place in [self.place(loss.made)] if place is not None),
            *(Step(place, "reaches this loss") for place in [self.place(loss.where)] if place is not None),
        ]
        return tuple(steps)

    def optimizers_of(self, finding: Finding) -> list[StepSeen]:
        """The optimizers whose step a finding speaks of; those whose gradients it speaks of where it names no step that ran."""
        stepped = [seen for seen in self.optimizers if self.on_way(finding, seen.where[:1])]
        if stepped:
            fed = [seen for seen in stepped if self.on_way(finding, *seen.backwards)]
            return fed or stepped
        return [seen for seen in self.optimizers if self.on_way(finding, seen.where, *seen.backwards, *seen.zeroings)]

    def forwards_at(self, place: Place) -> list[ForwardSeen]:
        """The calls of networks at a place; those made there themselves before those that it leads to."""
        near = [seen for seen in self.forwards if self.at(place, seen.where[:1])]
        return near or [seen for seen in self.forwards if self.at(place, seen.where)]


def places_of(finding: Finding) -> list[Place]:
    return list(dict.fromkeys((finding.place, *(step.place for step in finding.trace))))


def overlap(one: Place, other: Place) -> bool:
    """Whether two places of the same file or cell share some of their text."""
    if (one.filename, one.cell) != (other.filename, other.cell):
        return False
    return (one.row, one.column) < (other.end_row, other.end_column) and (other.row, other.column) < (one.end_row, one.end_column)


def total(records: Sequence[R], count: Callable[[R], int]) -> int:
    return sum(count(record) for record in records)


def _chain(chain: Union[Chain, Spot, None]) -> Chain:
    if chain is None:
        return ()
    return (chain,) if isinstance(chain, Spot) else chain
