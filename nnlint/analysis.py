"""From sources to findings: lower, link, run, ask the rules, place what they report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnlint.crew import Crew
from nnlint.findings import Failure, Finding
from nnlint.imports import added
from nnlint.inquiry import Hearing, inquire
from nnlint.lower import Unparsable
from nnlint.lower.memory import Memory
from nnlint.placement import place
from nnlint.program import File, Program
from nnlint.records import Span
from nnlint.rule import Rule
from nnlint.trace.units import stories

if TYPE_CHECKING:
    from nnlint.source import Source


@dataclass(frozen=True)
class Part:
    """What to look at, where it is not the whole project: the stories that start in `entries`. `known` are the keys of all files, given
    or not; `memory` is what was read before; `tick` is called now and then and may raise to end it all."""

    entries: Collection[str]
    known: Sequence[str]
    memory: Memory
    tick: Callable[[], None]


class Analysis:
    """All findings (in no particular order, none twice) and all failures."""

    def __init__(self, findings: list[Finding], failures: list[Failure]) -> None:
        self.findings = findings
        self.failures = failures


def analyse(
    sources: Sequence[Source],
    rules: Sequence[Rule],
    src: Sequence[str] = (),
    memory: Memory | None = None,
    part: Part | None = None,
    crew: Crew | None = None,
) -> Analysis:
    """Run all rules over the stories of a project. Irrelevant sources are known by path only, and never parsed."""
    memory = memory or Memory()
    crew = crew or Crew()
    tick = part.tick if part is not None else _go_on
    relevant = [source for source in sources if source.relevant]
    crew.progress.begin("reading", len(relevant))
    _read(relevant, memory, crew)
    files: list[File] = []
    failures: list[Failure] = []
    for source in relevant:
        tick()
        crew.progress.step()
        try:
            files.append(File(source.key, memory.lower(source.text)))
        except Unparsable as error:
            span = Span(error.row, error.column, error.row, error.column + 1)
            failures.append(Failure(source.place(span), error.message))
    program = Program(files, [source.key for source in sources] if part is None else part.known, src)
    for source in relevant:
        program.look_in(source.key, filter(program.is_folder, added(source.key, source.text)))
    by_key = {source.key: source for source in sources}
    if part is None:
        said = inquire(program, rules, {file.key: by_key[file.key].text for file in files}, memory, crew)
    else:
        hearing = Hearing()
        for story in stories(program, keys=part.entries):
            tick()
            hearing.ask(story, rules)
        said = hearing.said()
    tick()
    failures += [Failure(by_key[entry].place(Span(1, 1, 1, 2)), message) for entry, message in said.troubles]
    by_code = {rule.code: rule for rule in rules}
    return Analysis(place([(by_code[code], report) for code, report in said.reports], sources, program, memory), failures)


def _read(sources: Sequence[Source], memory: Memory, crew: Crew) -> None:
    """Have the crew parse what is new, if that is worth it."""
    new = [text for text in dict.fromkeys(source.text for source in sources) if not memory.knows(text)]
    for text, data in zip(new, crew.lowered(new) or (), strict=False):
        if data is not None:
            memory.learn(text, data)


def _go_on() -> None:
    pass
