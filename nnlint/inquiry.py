"""Asking the rules: what they say of all stories of a project, as far as it is not known from an earlier run.

An island of which nothing has changed is not looked at again. In a larger one that has changed, the units are kept that would find all
that they asked for as they found it: the files that they looked into, what others had reached and made, what imports mean.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nnlint.cache import Cache, digest
from nnlint.findings import Report, Site
from nnlint.islands import Island, islands
from nnlint.program import File, Program
from nnlint.rule import Rule
from nnlint.trace.imprint import Imprints
from nnlint.trace.story import Story
from nnlint.trace.units import IMPORT, WAVES, Course, Effects, Unit
from nnlint.trace.values import PAST

if TYPE_CHECKING:
    from nnlint.crew import Crew
    from nnlint.lower.memory import Memory

LARGE = 8
"""Files beyond which the units of an island are kept one by one."""

Where = tuple[str, int]


class Said(msgspec.Struct):
    """What rules have said: one report for each rule and site. `troubles` is what went wrong, with the file that was looked at; `spared`
    are the sites that some story needs as they are: no fix of the rule may touch them, no report on the whole is true."""

    reports: list[tuple[str, Report]]
    troubles: list[tuple[str, str]]
    spared: list[tuple[str, Site]]


class Hearing:
    """Gathers what rules say."""

    def __init__(self) -> None:
        self.reports: dict[tuple[str, Site], Report] = {}
        self.troubles: dict[tuple[str, str], None] = {}
        self.spared: set[tuple[str, Site]] = set()

    def ask(self, story: Story, rules: Iterable[Rule]) -> None:
        if story.trouble:
            message = f"a mistake in nnlint kept it from following this program ({story.trouble}); please report it"
            self.troubles[story.entry, message] = None
        for rule in rules:
            try:
                for report in rule.check(story):
                    self.add(rule.code, report)
                self.spared.update((rule.code, site) for site in rule.spares(story))
            except Exception as error:  # noqa: BLE001  (the user is told, and the other rules go on)
                self.troubles[story.entry, rule.complaint(error, "this program")] = None

    def add(self, code: str, report: Report) -> None:
        """One report for each rule and site: certain before suspected, then the shorter trace, then the smaller text."""
        key = (code, report.site)
        known = self.reports.get(key)
        if known is not None and known.fix != report.fix and known.confidence is report.confidence:
            # What mends one way through the program and not another is no fix.
            report = msgspec.structs.replace(report, fix=None)
            known = self.reports[key] = msgspec.structs.replace(known, fix=None)
        if known is None or _rank(report) < _rank(known):
            self.reports[key] = report

    def hear(self, said: Said, codes: Collection[str]) -> None:
        """What was said in another place, or at another time to more rules."""
        for code, report in said.reports:
            if code in codes:
                self.add(code, report)
        self.troubles.update(dict.fromkeys(said.troubles))
        self.spared.update((code, site) for code, site in said.spared if code in codes)

    def said(self) -> Said:
        found = sorted(self.reports.items(), key=lambda item: item[0])
        reports = [
            (code, self._allowed(code, report)) for (code, _), report in found if not (report.whole and (code, report.site) in self.spared)
        ]
        return Said(reports, list(self.troubles), sorted(self.spared))

    def _allowed(self, code: str, report: Report) -> Report:
        """A report without a fix of what is spared."""
        ways = report.fix.ways if report.fix is not None else ()
        spared = any((code, change.site) in self.spared for way in ways for change in way.changes)
        return msgspec.structs.replace(report, fix=None) if spared else report


def _rank(report: Report) -> tuple[object, ...]:
    return (report.confidence.value, len(report.trace), report.message, tuple((step.site, step.message) for step in report.trace))


class Asked(msgspec.Struct, array_like=True):
    """What a unit wanted to know of what lies outside of it, with the answers."""

    files: list[str]
    names: list[tuple[str, str]]
    reached: list[tuple[Where, bool]]
    visited: list[tuple[Where, bool]]
    harmless: list[tuple[Where, bool]]
    made: list[tuple[Where, str]]
    paths: list[tuple[tuple[str, str, str], str]]


class Answer(msgspec.Struct, array_like=True):
    """One unit that was run: what the rules said, what it leaves to later waves, and what it rests on."""

    said: Said
    reached: list[Where]
    visited: list[Where]
    made: list[Where]
    harmless: list[Where]
    asked: Asked

    @property
    def effects(self) -> Effects:
        harmless = frozenset(Site(*site) for site in self.harmless)
        return Effects(frozenset(self.reached), frozenset(self.visited), frozenset(self.made), harmless)


class Kept(msgspec.Struct, array_like=True):
    """An answer, and what it rests on beside the answers to what it asked: its plan, the imprints of the files that it looked into
    and of the names that it took, the stamps of the units whose objects it used."""

    codes: frozenset[str]
    plan: str
    imprints: list[str]
    stamps: list[str]
    answer: Answer

    stamp: str = ""
    """A name for all that the unit has seen: with the same, it makes the same objects."""


class Whole(msgspec.Struct, array_like=True):
    """What was said of a whole island."""

    codes: frozenset[str]
    said: Said


def ask(course: Course, unit: Unit, rules: Sequence[Rule]) -> Answer:
    """Run a unit and put its stories to the rules."""
    hearing = Hearing()
    course.program.asked = {}
    for story in course.run(unit):
        hearing.ask(story, rules)
    paths, course.program.asked = course.program.asked, None
    m, effects = course.machine, course.effects[unit]
    asked = Asked(
        sorted(PAST.files),
        sorted(name for name in PAST.names if name[0] not in PAST.files),
        sorted(m.reached.asked.items()),
        sorted(m.visited.asked.items()),
        sorted(((site.source, site.at), known) for site, known in m.harmless.asked.items()),
        sorted(m.objects.asked.items()),
        sorted((question, answer or "") for question, answer in paths.items()),
    )
    harmless = sorted((site.source, site.at) for site in effects.harmless)
    return Answer(hearing.said(), sorted(effects.reached), sorted(effects.visited), sorted(effects.made), harmless, asked)


def inquire(program: Program, rules: Sequence[Rule], texts: Mapping[str, str], memory: Memory, crew: Crew) -> Said:
    """What the rules say of a project; `texts` are those of its files."""
    packed: dict[str, bytes] = {}
    if memory.cache is not None or crew.jobs > 1:
        packed = {key: memory.packed(text) for key, text in texts.items()}
        crew.brief(program, packed, [rule.code for rule in rules])
    return Inquiry(program, rules, {key: digest(data) for key, data in packed.items()}, memory.cache, crew).run()


class Inquiry:
    """All islands of a project, with what is known of them. `records` names the records of each file."""

    def __init__(self, program: Program, rules: Sequence[Rule], records: Mapping[str, str], cache: Cache | None, crew: Crew) -> None:
        self.program = program
        self.rules = rules
        self.codes = frozenset(rule.code for rule in rules)
        self.records = records
        self.cache = cache
        self.crew = crew
        self.hearing = Hearing()

    def run(self) -> Said:
        small: list[tuple[Island, str]] = []
        large: list[tuple[Island, str]] = []
        for island in islands(self.program):
            name = self._name(island) if self.cache is not None else ""
            whole = self._found(name, Whole)
            if whole is not None and self.codes <= whole.codes:
                self.hearing.hear(whole.said, self.codes)
            else:
                (large if len(island.files) > LARGE else small).append((island, name))
        self._all_of([island for island, _ in small], [name for _, name in small])
        for island, name in large:
            said = self._units_of(island)
            self.hearing.hear(said, self.codes)
            self._keep(name, Whole(self.codes, said))
        return self.hearing.said()

    def _all_of(self, found: Sequence[Island], names: Sequence[str]) -> None:
        """Small islands, each at once."""
        self.crew.progress.begin("following", len(found))
        results = self.crew.islands([[file.key for file in island.files] for island in found])
        for index, (island, name) in enumerate(zip(found, names, strict=True)):
            said = results[index] if results is not None else whole(self.program, island.files, self.rules)
            if results is None:
                self.crew.progress.step()
            self.hearing.hear(said, self.codes)
            self._keep(name, Whole(self.codes, said))

    def _units_of(self, island: Island) -> Said:
        """A large island, as far as its units are not known."""
        pack = digest("units", os.getcwd(), island.files[0].key)
        known: dict[str, Kept] = self._found(pack, dict[str, Kept]) or {}
        course = Course(self.program, island.files)
        imprints = Imprints(course, self.records)
        kept: dict[str, Kept] = {}
        hearing = Hearing()
        for wave in range(WAVES):
            todo: list[Unit] = []
            for unit in course.units(wave):
                before = known.get(str(unit))
                if before is not None and self.codes <= before.codes and self._holds(course, unit, before, imprints, kept):
                    kept[str(unit)] = before
                    course.effects[unit] = before.answer.effects
                else:
                    todo.append(unit)
            self.crew.progress.begin("following", len(todo))
            answers = self.crew.units(course, wave, todo)
            for unit in todo:
                if answers is None:
                    answer = ask(course, unit, self.rules)
                    self.crew.progress.step()
                else:
                    answer = answers[unit]
                    course.effects[unit] = answer.effects
                if self.cache is not None:
                    kept[str(unit)] = self._kept(course, unit, answer, imprints, kept)
                hearing.hear(answer.said, self.codes)
            course.end(wave)
        for name in kept.keys() & known.keys():
            if kept[name] is known[name]:
                hearing.hear(kept[name].answer.said, self.codes)
        self._keep(pack, kept)
        return hearing.said()

    def _kept(self, course: Course, unit: Unit, answer: Answer, imprints: Imprints, others: Mapping[str, Kept]) -> Kept:
        stamps = [_stamp(where, maker, imprints, others) for where, maker in answer.asked.made]
        plan, seen = course.plan(unit), _imprints(answer.asked, imprints)
        stamp = digest(plan, *seen, *stamps, msgspec.msgpack.encode(answer.asked))
        return Kept(self.codes, plan, seen, stamps, answer, stamp)

    def _holds(self, course: Course, unit: Unit, kept: Kept, imprints: Imprints, others: Mapping[str, Kept]) -> bool:
        """Whether a unit would see what it saw."""
        asked = kept.answer.asked
        before = course.before(unit.wave)
        if kept.plan != course.plan(unit) or _imprints(asked, imprints) != kept.imprints:
            return False
        for (where, maker), stamp in zip(asked.made, kept.stamps, strict=True):
            if before.made.get(where, "") != maker or _stamp(where, maker, imprints, others) != stamp:
                return False
        return (
            all((where in before.reached) is known for where, known in asked.reached)
            and all((where in before.visited) is known for where, known in asked.visited)
            and all((Site(*where) in before.harmless) is known for where, known in asked.harmless)
            and all((course.program.answer(question) or "") == answer for question, answer in asked.paths)
        )

    def _name(self, island: Island) -> str:
        """A name for all that can have a part in what is said of an island."""
        about = [[file.key, self.records[file.key]] for file in island.files]
        return digest("island", msgspec.json.encode([about, island.meanings, self.program.src, self.program.paths]))

    def _found(self, name: str, type: Any) -> Any:
        data = self.cache.get(name) if self.cache is not None else None
        try:
            return None if data is None else msgspec.msgpack.decode(data, type=type)
        except msgspec.MsgspecError:
            return None

    def _keep(self, name: str, value: object) -> None:
        if self.cache is not None:
            with contextlib.suppress(ValueError):  # half of a surrogate pair in a message
                self.cache.put(name, msgspec.msgpack.encode(value))


def _imprints(asked: Asked, imprints: Imprints) -> list[str]:
    return [*map(imprints.of, asked.files), *(imprints.name(*name) for name in asked.names)]


def _stamp(where: Where, maker: str, imprints: Imprints, others: Mapping[str, Kept]) -> str:
    """A name for the object of a class that a unit, or the imports, have made."""
    return "" if not maker else imprints.stamp(where) if maker == IMPORT else others[maker].stamp


def whole(program: Program, files: Sequence[File], rules: Sequence[Rule]) -> Said:
    """What the rules say of an island."""
    hearing = Hearing()
    for story in Course(program, files).stories():
        hearing.ask(story, rules)
    return hearing.said()
