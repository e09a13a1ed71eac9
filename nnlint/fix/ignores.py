"""Comments in the place of fixes: for taking over a project whose findings are right as they are, or are for another day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec.structs import replace

from nnlint.baseline import unknown
from nnlint.cache import Cache
from nnlint.editor.ignore import REASON, ignoring
from nnlint.findings import Applicability, Finding, Fix
from nnlint.fix.session import Session
from nnlint.lint import Result
from nnlint.notices import NOTICES
from nnlint.registry import Catalogue
from nnlint.settings import Settings


class Ignoring(Session):
    """A run of fixes in which each row with findings gets one comment for all of them."""

    def __init__(
        self,
        reason: str,
        result: Result,
        settings: Settings,
        catalogue: Catalogue,
        data: bytes | None = None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(result, settings, catalogue, False, data, cache)
        self.reason = reason or REASON

    def proposed(self, result: Result) -> Iterable[Finding]:
        rows: dict[tuple[str, int], list[Finding]] = defaultdict(list)
        for finding in unknown(result, self.settings, self.catalogue):
            source = result.sources.get(finding.place.filename)
            if source is not None and finding.code not in {notice.code for notice in NOTICES}:
                rows[source.key, source.row(finding.place)].append(finding)
        for (name, _), findings in rows.items():
            names = ", ".join(dict.fromkeys(finding.name for finding in findings))
            edit = ignoring(result.sources[name], replace(findings[0], name=names), self.reason)
            if edit is not None:
                fix = Fix("a comment ignores it", Applicability.SAFE, (edit,))
                yield from (replace(finding, fix=fix) for finding in findings)
