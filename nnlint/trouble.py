"""What keeps a run from starting."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Trouble(Exception):
    """A set-up that cannot be carried out as it was asked for (option, configuration, rule plug-in): told in one line, exit code 2."""


def near(word: str, known: Iterable[str]) -> str:
    """The tail of a sentence about an unknown word: what was probably meant, if anything is close."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6) or [other for other in known if word and word.lower() in other]
    return f"; did you mean `{close[0]}`?" if close else ""
