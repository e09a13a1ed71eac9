"""What a rule is: one page of documentation and one flat `check` that asks the story of a training program."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from nnlint.findings import Report, Severity

if TYPE_CHECKING:
    from nnlint.trace.story import Story


class Group(str, Enum):
    DEFAULT = "default"
    PEDANTIC = "pedantic"


class Rule(ABC):
    """A rule's class docstring is its page, with the headings that `nnlint.pages` checks; its name is derived from the class name."""

    code: ClassVar[str]
    severity: ClassVar[Severity]
    group: ClassVar[Group] = Group.DEFAULT
    six: ClassVar[bool] = False

    @classmethod
    def name(cls) -> str:
        """`MissingZeroGrad` is `missing-zero-grad`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @abstractmethod
    def check(self, story: Story) -> Iterator[Report]:
        """Yield a report for each instance of the defect in one story."""
