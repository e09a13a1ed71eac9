"""What the ranks of a run show together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from nnlint.confirm.evidence import Evidence
from nnlint.confirm.records import Chain, RankSeen

_ENOUGH = 5  # batches or steps that must agree


def remarks(evidence: Evidence) -> Iterator[str]:
    """What is wrong between the ranks, one sentence each. Only networks in DistributedDataParallel are compared: others may be sharded."""
    networks: dict[Chain, list[RankSeen]] = defaultdict(list)
    for _, seen in evidence.ranks:
        networks[seen.made].append(seen)
    for ranks in networks.values():
        if len(ranks) > 1:
            yield from _drift(evidence, ranks)
            yield from _samples(evidence, ranks)
        yield from _epochs(evidence, ranks[0])


def _drift(evidence: Evidence, ranks: Sequence[RankSeen]) -> Iterator[str]:
    steps = list(zip(*(seen.parameters for seen in ranks), strict=False))
    apart = next((step for step, values in enumerate(steps) if len(set(values)) > 1), None)
    if apart is None:
        return
    text = f"the ranks' copies of `{ranks[0].network}` drift apart from step {apart} on"
    bare = next((seen.bare for seen in ranks if seen.bare), ())
    if bare:
        text += f": {_at(evidence, bare)} calls the wrapped network itself instead of its DistributedDataParallel"
    yield text


def _samples(evidence: Evidence, ranks: Sequence[RankSeen]) -> Iterator[str]:
    batches = list(zip(*(seen.batches for seen in ranks), strict=False))
    if len(batches) >= _ENOUGH and all(len(set(values)) == 1 for values in batches):
        share = f"{len(batches)} of {len(batches)} batches"
        yield f"all ranks trained `{ranks[0].network}` on the same samples ({share}): the loader has no DistributedSampler"


def _epochs(evidence: Evidence, seen: RankSeen) -> Iterator[str]:
    if seen.epochs >= 2 and not seen.epoch_set:
        where = _at(evidence, seen.sampler)
        yield f"the DistributedSampler ({where}) gave the same order in {seen.epochs} epochs: `set_epoch` was never called"


def _at(evidence: Evidence, chain: Chain) -> str:
    place = evidence.place(chain)
    return f"{place.filename}:{place.row}" if place is not None else "a line elsewhere"
