"""What shells offer on the command line: rules, also within lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Rules(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A word for a rule, by code or name; with `several`, words separated by commas, among them prefixes and groups."""

    name = "rules"

    def __init__(self, *, several: bool) -> None:
        self.several = several

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        head, comma, word = incomplete.rpartition(",") if self.several else ("", "", incomplete)
        given = head.split(",")
        return [
            CompletionItem(f"{head}{comma}{choice}", help=meaning)
            for choice, meaning in _choices(several=self.several).items()
            # Codes are offered only to those who begin one: names say more.
            if choice not in given and choice.lower().startswith(word.lower()) and (word or choice.islower())
        ]


def _choices(*, several: bool) -> dict[str, str]:
    """Words and what they mean."""
    from nnlint.pages import page
    from nnlint.registry import catalogue
    from nnlint.trouble import Trouble

    try:
        rules = catalogue().everything
    except Trouble:  # told when nnlint is run, not while its command is typed
        return {}
    groups = {
        "all": "every rule",
        "default": "the rules that run if none are selected",
        "pedantic": "good advice that right code may ignore",
    }
    prefixes = {prefix: sum(rule.code.startswith(prefix) for rule in rules) for prefix in sorted({rule.code[:-2] for rule in rules})}
    return {
        **(groups if several else {}),
        **{rule.name(): f"{rule.code}: {page(rule).summary}" for rule in rules},
        **({prefix: f"{count} rule{'' if count == 1 else 's'}" for prefix, count in prefixes.items()} if several else {}),
        **{rule.code: rule.name() for rule in rules},
    }


def prepare() -> None:
    """Click's script for fish cuts what is offered at a comma; lists of rules have some."""
    from click.shell_completion import FishComplete, add_completion_class

    class Fish(FishComplete):
        source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')

    add_completion_class(Fish)
