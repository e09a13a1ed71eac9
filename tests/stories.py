"""Small programs through the real pipeline, and what their stories say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import Union

from nnlint import registry
from nnlint.analysis import Analysis, analyse
from nnlint.lower import lower
from nnlint.program import File, Program
from nnlint.source import Source, relate
from nnlint.trace.networks import parts
from nnlint.trace.producers import producers
from nnlint.trace.story import Event, LossCall, Story
from nnlint.trace.units import stories
from nnlint.trace.values import Network, Optimizer, Params

Text = Union[str, Mapping[str, str]]
"""One script, or the files of a project by path."""

RULES = registry.catalogue().rules

HEAD = """\
import torch
from torch import nn
import torch.nn.functional as F

net = nn.Linear(4, 3)
x, y = torch.randn(8, 4), torch.randint(3, (8,))
scores = net(x)
"""
"""Raw scores, of which a program makes probabilities or not."""


def sources(text: Text) -> list[Source]:
    files = {"train.py": text} if isinstance(text, str) else text
    return relate([Source(key, dedent(content)) for key, content in files.items()])


def told(text: Text, src: Sequence[str] = ()) -> list[Story]:
    """The stories of a program."""
    given = sources(text)
    files = [File(source.key, lower(source.text)) for source in given if source.relevant]
    found = list(stories(Program(files, [source.key for source in given], src)))
    assert not any(story.cut or story.trouble for story in found)
    return found


def events(text: Text, src: Sequence[str] = ()) -> list[Event]:
    return [event for story in told(text, src) for event in story.events()]


def reaching(text: Text, src: Sequence[str] = ()) -> set[str]:
    """The operations whose results reach a loss; `?` for one that was not followed."""
    found: set[str] = set()
    for event in events(text, src):
        if isinstance(event, LossCall):
            found |= {producer.tensor.op.name if producer.known else "?" for producer in producers(event.input) or ()} or {"?"}
    return found


def follows(program: str, soft: str, raw: str) -> None:
    """After the program, one expression is a softmax and the other is the scores that it was made of; no other way leads there."""
    for expression, expected in ((soft, "softmax"), (raw, "linear")):
        assert reaching(f"{HEAD}{dedent(program)}\nF.cross_entropy({expression}, y).backward()\n") == {expected}, expression


def said(text: Text, src: Sequence[str] = ()) -> Analysis:
    """What all rules say of a program."""
    analysis = analyse(sources(text), [rule() for rule in RULES], src)
    assert not analysis.failures
    return analysis


def lines(text: Text, *codes: str) -> list[str]:
    """The rows that findings of these rules stand in, each with its code: `NN201 loss.backward()`."""
    by_key = {source.key: source.text.splitlines() for source in sources(text)}
    found = [finding for finding in said(text).findings if finding.code in codes]
    return sorted(f"{finding.code} {by_key[finding.place.filename][finding.place.row - 1].strip()}" for finding in found)


def names(params: Params) -> set[str]:
    """What parameters belong to, by the names of the layers and tensors that have any."""
    assert params.networks is not None, "not followed"
    whole = [part for value in params.networks for part in parts(value).values()]
    return {_name(part) for part in whole if not isinstance(part, Network) or (part.cls is None and part.items is None)}


def _name(part: object) -> str:
    return part.label or part.name.rpartition(".")[2] if isinstance(part, Network) else "parameter"


def held(text: Text) -> dict[str, set[str]]:
    """For each optimizer that steps, the names of what it holds."""
    return {optimizer.label: names(optimizer.params) for optimizer in stepping(text)}


def stepping(text: Text) -> list[Optimizer]:
    from nnlint.trace.steps import optimizers

    return [optimizer for story in told(text) for optimizer in optimizers(story)]
