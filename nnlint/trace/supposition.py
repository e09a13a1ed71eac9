"""What would be if a program did something more: events put into its story for the time of a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nnlint.trace.story import Arms, Block, Event, Item, Story

Beside = Callable[[Item], tuple[Sequence[Event], Sequence[Event]]]
"""For an item of a story, the events to be put before it and behind it."""


@contextmanager
def supposing(story: Story, beside: Beside, without: Callable[[Event], bool] = lambda event: False) -> Iterator[None]:
    """The story with more events, and without some, and with none of its questions answered yet."""
    answers, story.answers = story.answers, {}
    changed: list[tuple[Block, list[Item]]] = []
    _put(story.root, beside, without, changed)
    try:
        yield
    finally:
        story.answers = answers
        for block, items in changed:
            block.items = items


def _put(block: Block, beside: Beside, without: Callable[[Event], bool], changed: list[tuple[Block, list[Item]]]) -> None:
    items: list[Item] = []
    for item in block.items:
        if isinstance(item, Arms):
            for _, arm in item.arms:
                _put(arm, beside, without, changed)
        elif isinstance(item, Event):
            if without(item):
                continue
        else:
            _put(item.body, beside, without, changed)
        before, behind = beside(item)
        items += [*before, item, *behind]
    if len(items) != len(block.items) or any(new is not old for new, old in zip(items, block.items)):
        changed.append((block, block.items))
        block.items = items
