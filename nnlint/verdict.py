"""What a run says of a finding."""

from __future__ import annotations

from enum import Enum
from typing import Union

import msgspec

Fact = Union[bool, int, float, str]


class Ruling(str, Enum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_REACHED = "not-reached"


class Verdict(msgspec.Struct, frozen=True):
    """`message` is one sentence with the numbers it rests on; `evidence` holds them by name."""

    ruling: Ruling
    message: str
    evidence: dict[str, Fact] = {}
    device: str = ""


def confirmed(message: str, device: str = "", **evidence: Fact) -> Verdict:
    return Verdict(Ruling.CONFIRMED, message, evidence, device)


def refuted(message: str, device: str = "", **evidence: Fact) -> Verdict:
    return Verdict(Ruling.REFUTED, message, evidence, device)


def inconclusive(message: str, device: str = "", **evidence: Fact) -> Verdict:
    return Verdict(Ruling.INCONCLUSIVE, message, evidence, device)


def not_reached(message: str, device: str = "", **evidence: Fact) -> Verdict:
    return Verdict(Ruling.NOT_REACHED, message, evidence, device)
