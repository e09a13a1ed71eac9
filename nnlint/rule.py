"""What a rule is: one page of documentation and one flat `check` that asks the story of a training program."""

from __future__ import annotations

import os
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from nnlint.findings import Confidence, Finding, Place, Report, Severity, Site, Step
from nnlint.verdict import Verdict, inconclusive

if TYPE_CHECKING:
    from nnlint.confirm.evidence import Evidence
    from nnlint.trace.story import Story


OURS = "NN"  # codes that begin so are those of the built-in rules, today's and later ones


class Group(str, Enum):
    DEFAULT = "default"
    PEDANTIC = "pedantic"


class Rule(ABC):
    """A rule's class docstring is its page, with the headings that `nnlint.pages` checks; its name is derived from the class name."""

    code: ClassVar[str]
    severity: ClassVar[Severity]
    group: ClassVar[Group] = Group.DEFAULT
    six: ClassVar[bool] = False
    patient: ClassVar[bool] = False  # its findings are settled by an evaluation, for which a run goes on

    @classmethod
    def name(cls) -> str:
        """`MissingZeroGrad` is `missing-zero-grad`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @abstractmethod
    def check(self, story: Story) -> Iterator[Report]:
        """Yield a report for each instance of the defect in one story."""

    def spares(self, story: Story) -> Iterator[Site]:
        """What a story needs as it is, whether or not there is a defect in it: fixes from other stories leave it alone, and reports that
        speak of the `whole` are dropped."""
        return iter(())

    def judge(self, finding: Finding, evidence: Evidence) -> Verdict:
        """What a run says of one of the rule's findings."""
        return inconclusive(f"a run does not settle {self.name()}")

    def observe(self, evidence: Evidence) -> Iterator[Finding]:
        """Instances of the defect that a run has shown, whether or not the program showed them."""
        return iter(())

    def complaint(self, error: Exception, what: str) -> str:
        """What is told where the rule itself has raised an error: rules may be anyone's."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return f"the rule `{self.name()}` ({type(self).__module__}) failed on {what} ({why}, in {where}); please tell its authors"

    def observed(self, place: Place, message: str, help: str, verdict: Verdict, trace: tuple[Step, ...] = ()) -> Finding:
        """A finding that rests on a run."""
        return Finding(self.code, self.name(), self.severity, Confidence.OBSERVED, message, help, place, trace, verdict)
