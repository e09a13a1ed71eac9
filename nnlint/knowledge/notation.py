"""The shorthand that the tables of operations are written in, one operation a line.

    NAME[/_][=CANONICAL] PARAMETER ... [-> RESULTS]

`abs/_` stands for `abs` and the in-place `abs_`. A parameter is `dim`, `dim=-1` with its default where it matters, `*shape` where it takes
all remaining positional arguments, `[tensors]` for a sequence of tensors, `*[tensors]` for both, `?training=True` for the parameter that
says "train mode".
Without `=CANONICAL` the name (less a trailing underscore) is the canonical one. Results default to 1; 0 is a sequence of unknown length.
"""

from __future__ import annotations

from collections.abc import Iterator

from nnlint.knowledge.schema import Default, Kind, Op

_WORDS: dict[str, Default] = {"None": None, "True": True, "False": False}


def words(text: str) -> tuple[str, ...]:
    """The words of a list written as one string."""
    return tuple(text.split())


def default(text: str) -> Default:
    """The value of a default as written in the tables."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text) if "." in text or "e-" in text else int(text)
    except ValueError:
        return text


def parameters(tokens: list[str]) -> tuple[tuple[str, ...], tuple[tuple[str, Default], ...]]:
    """Names and defaults of plain parameters, as `in_features out_features bias=True`."""
    pairs = [word.partition("=") for word in tokens]
    return tuple(name for name, _, _ in pairs), tuple((name, default(value)) for name, equals, value in pairs if equals)


def operations(kind: Kind, text: str, first: tuple[str, ...] = ()) -> Iterator[tuple[str, Op]]:
    """The operations of a table, by the name they are called by. `first` are parameters to put before those of every line."""
    for line in text.strip().splitlines():
        call, _, results = line.partition("->")
        head, *tokens = call.split()
        spelling, _, canonical = head.partition("=")
        spelling, slash, _ = spelling.partition("/_")
        names, defaults = parameters([word.strip("?*").replace("[", "").replace("]", "") for word in tokens])
        rest = next((names[at] for at, word in enumerate(tokens) if word.startswith("*")), "")
        mode = next((names[at] for at, word in enumerate(tokens) if word.startswith("?")), "")
        many = any("[" in word for word in tokens)
        for name in (spelling, spelling + "_") if slash else (spelling,):
            inplace = name.endswith("_")
            title = canonical or spelling.rstrip("_")
            yield name, Op(title, kind, first + names, many, inplace, int(results or 1), rest, defaults, mode)
