"""How findings are written, one file a format: each has `render(result) -> str`. Those for people are coloured; the command line takes
colours away."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal, cast, get_args

if TYPE_CHECKING:
    from nnlint.lint import Result

Format = Literal["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit"]
FORMATS: tuple[str, ...] = get_args(Format)
FOR_PEOPLE = ("full", "concise")


def render(format: str, result: Result, *, quiet: bool = False, links: bool = False) -> str:
    """The findings in a format; for people with a line that sums them up, and with `links` from codes to pages."""
    module = importlib.import_module(f"nnlint.output.{format}")
    if format not in FOR_PEOPLE:
        return cast(str, module.render(result))
    from nnlint.output.line import summary

    return cast(str, module.render(result, links=links)) + ("" if quiet else summary(result))
