"""One JSON object a line."""

from __future__ import annotations

import json

from nnlint.lint import Result
from nnlint.output.json import entry


def render(result: Result) -> str:
    return "".join(json.dumps(entry(finding)) + "\n" for finding in result.findings)
