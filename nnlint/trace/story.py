"""The story of a training program: what happened, in order, with its branches, loops and calls.

The interpreter tells it; rules ask it. The tree keeps alternatives apart (`Arms`) and repetition visible (`Loop`), so that questions
such as "is there a way round the loop without zeroing?" are answered on the tree (`nnlint.trace.typestate`) and not on source text.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator
from typing import TYPE_CHECKING, TypeVar, Union, cast

from nnlint.findings import Site
from nnlint.knowledge.schema import Loss

if TYPE_CHECKING:
    from nnlint.trace.layout import Relabel
    from nnlint.trace.size import Size
    from nnlint.trace.values import Facts, Network, Optimizer, Params, Tensor, Value


class Event:
    """Something that happened at a site; `calls` are the sites of the calls that led there, outermost first."""

    __slots__ = ("calls", "site")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.calls: tuple[Site, ...] = ()


class Forward(Event):
    """A network was called from outside any network. `grad` is False under `no_grad`; `data` names the data that went in.

    `judged` says that a decision was made on the output (a loss, an arg max, a comparison), `scored` that it was held against a truth,
    `dropped` that it was thrown away, `moded` that it is another thing in train mode than in eval mode.
    """

    __slots__ = ("data", "dropped", "grad", "judged", "loop", "moded", "network", "output", "scored", "synthetic")

    def __init__(self, site: Site, network: Value, grad: bool, data: frozenset[Hashable], loop: Union[Loop, None], synthetic: bool) -> None:
        super().__init__(site)
        self.network = network
        self.grad = grad
        self.data = data
        self.loop = loop
        self.output: Union[Value, None] = None
        self.synthetic = synthetic
        self.judged = False
        self.scored = False
        self.dropped = False
        self.moded = False


class LossCall(Event):
    """A loss was computed. `source` is the module that applied it, if any."""

    __slots__ = ("grad", "input", "loss", "output", "source", "target")

    def __init__(
        self, site: Site, loss: Loss, input: Value, target: Union[Value, None], output: Tensor, source: Union[Network, None]
    ) -> None:
        super().__init__(site)
        self.loss = loss
        self.input = input
        self.target = target
        self.output = output
        self.grad = True
        self.source = source


class Backward(Event):
    """Gradients are added. `networks` are those reached, None where that is not known; `born` is the time, as that of values."""

    __slots__ = ("born", "forwards", "loop", "loss", "networks", "seen")

    def __init__(
        self, site: Site, loss: Value, networks: Union[frozenset[Value], None], forwards: frozenset[Forward], seen: frozenset[Forward]
    ) -> None:
        super().__init__(site)
        self.loss = loss
        self.networks = networks
        self.forwards = forwards
        self.seen = seen
        self.loop: Union[Loop, None] = None
        self.born = 0


class Step(Event):
    __slots__ = ("loop", "optimizer")

    def __init__(self, site: Site, optimizer: Optimizer) -> None:
        super().__init__(site)
        self.optimizer = optimizer
        self.loop: Union[Loop, None] = None


class Zero(Event):
    """Gradients are set to zero or None: those of `params` (None networks: of everything)."""

    __slots__ = ("params", "sure")

    def __init__(self, site: Site, params: Params, sure: bool = True) -> None:
        super().__init__(site)
        self.params = params
        self.sure = sure


class GradUse(Event):
    """Gradients are read, or replaced (`written`), by the program itself."""

    __slots__ = ("params", "written")

    def __init__(self, site: Site, params: Params, written: bool) -> None:
        super().__init__(site)
        self.params = params
        self.written = written


class Mode(Event):
    """`network` is switched to training (True) or evaluation (False) mode; None where that is not known; a key where the mode is that
    which was read before. `chosen` says that it stands under a condition which the caller has decided."""

    __slots__ = ("chosen", "key", "mode", "network")

    def __init__(self, site: Site, network: Value, mode: Union[bool, None], key: Hashable = None) -> None:
        super().__init__(site)
        self.network = network
        self.mode = mode
        self.key = key
        self.chosen = False


class ModeRead(Event):
    __slots__ = ("key", "network")

    def __init__(self, site: Site, network: Value, key: Hashable) -> None:
        super().__init__(site)
        self.network = network
        self.key = key


class Copied(Event):
    """`made` is a copy of `source` as it was: weights and modes."""

    __slots__ = ("made", "source")

    def __init__(self, site: Site, made: Network, source: Network) -> None:
        super().__init__(site)
        self.made = made
        self.source = source


class Escape(Event):
    """Objects were handed to code that was not followed: anything may have been done to them."""

    __slots__ = ("values",)

    def __init__(self, site: Site, values: tuple[Value, ...]) -> None:
        super().__init__(site)
        self.values = values


class Relabelled(Event):
    """A view that pretends another order of the axes. `cause` is the serial number of an earlier one that this one undoes; `inside` says
    that it happens in a network, where there are only tensors of torch."""

    __slots__ = ("cause", "inside", "method", "receiver", "relabel", "serial")

    def __init__(self, site: Site, relabel: Relabel, method: str, serial: int, cause: int = 0) -> None:
        super().__init__(site)
        self.relabel = relabel
        self.method = method
        self.serial = serial
        self.cause = cause
        self.receiver = ""
        self.inside = False


class Normalised(Event):
    """A normalisation that cancels a per-channel constant was applied to `input`."""

    __slots__ = ("input", "norm")

    def __init__(self, site: Site, norm: Value, input: Tensor) -> None:
        super().__init__(site)
        self.norm = norm
        self.input = input


IN_LOOP = frozenset({"break", "continue"})
IN_SCOPE = frozenset({"break", "continue", "return"})
EXITS = IN_SCOPE | {"raise"}
SKIPPING = frozenset({"continue", "return"})
"""Exits that pass over what is left of a round or of a call, and go on."""


class Exit(Event):
    """`kind` is one of `EXITS`."""

    __slots__ = ("kind",)

    def __init__(self, site: Site, kind: str) -> None:
        super().__init__(site)
        self.kind = kind


class Release(Event):
    """What a `Held` body kept back happens now."""

    __slots__ = ("held",)

    def __init__(self, site: Site, held: Held) -> None:
        super().__init__(site)
        self.held = held


class Block:
    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Item] = []


class Arms:
    """Alternatives; each with the conditions that lead to it."""

    __slots__ = ("arms", "site")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.arms: list[tuple[Facts, Block]] = []


class Loop:
    """A body that repeats. `data` identifies the iterable where it yields batches; conditions born after `start` vary between rounds.
    `once` marks one unrolled round: it does not repeat. An `endless` one is left by its exits alone. `left` is the number of rounds to
    come, as far as it can be told, `counter` the identity of a number that grows by one in each, and what it is in the first.
    """

    __slots__ = ("batches", "body", "calls", "counter", "data", "endless", "left", "once", "parent", "site", "start")

    def __init__(self, site: Site, parent: Union[Loop, None], data: Hashable, batches: bool) -> None:
        self.site = site
        self.body = Block()
        self.parent = parent
        self.data = data
        self.batches = batches
        self.start = 0
        self.once = False
        self.endless = False
        self.left: Union[Size, None] = None
        self.counter: Union[tuple[Hashable, int], None] = None
        self.calls: tuple[Site, ...] = ()

    @property
    def key(self) -> Hashable:
        """All rounds of one unrolled loop have the same."""
        return (self.site, self.calls, self.parent.key if self.parent is not None else None) if self.once else id(self)

    def around(self) -> Iterator[Loop]:
        """This loop and those that it stands in, innermost first."""
        loop: Union[Loop, None] = self
        while loop is not None:
            yield loop
            loop = loop.parent


class Scope:
    """The body of a call: a `return` ends it."""

    __slots__ = ("body", "site")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.body = Block()


class Held(Scope):
    """A body whose exits wait until what follows has run, up to its `Release`: the body of `try ... finally` and of many `with`."""

    __slots__ = ()


Item = Union[Event, Arms, Loop, Scope]


def exits(block: Block, kinds: frozenset[str]) -> bool:
    """Whether control may leave the block by an exit of one of these kinds."""
    for item in block.items:
        if isinstance(item, Exit):
            if item.kind in kinds:
                return True
        elif isinstance(item, Arms):
            if any(exits(arm, kinds) for _, arm in item.arms):
                return True
        elif isinstance(item, Release):
            if exits(item.held.body, kinds):
                return True
        elif isinstance(item, (Loop, Scope)) and not isinstance(item, Held):
            kept = kinds - (IN_LOOP if isinstance(item, Loop) else IN_SCOPE)
            if kept and exits(item.body, kept):
                return True
    return False


def steps(item: Item) -> bool:
    """Whether some optimizer steps in a part of a story."""
    if isinstance(item, Arms):
        return any(steps(inner) for _, arm in item.arms for inner in arm.items)
    return isinstance(item, Step) or (isinstance(item, (Loop, Scope)) and any(steps(inner) for inner in item.body.items))


class Story:
    """One run of the program from one entry point.

    `ages` says for each condition how young its youngest part is (see `values.birth`), `counters` which conditions count rounds
    (`i % k == 0`), `lasts` which hold only in the last round of a loop (`i == len(loader) - 1`), `firsts` which are decided in one way
    in the first round of a loop and in the other way in all further ones (`i > 0`). `cut` says that the budget was spent before the
    end, `trouble` that nnlint failed on it. `layers` are those with weights that were applied, `scores` all probabilities that were made.
    `spelled` says which expression stood for an optimizer or a network (by its identity) in a call, `called` which library function was
    called ("." and a name for a method; nothing where it is not always the same).
    `picked` are the containers of which items were taken from the end, or several.
    `harmless` are the views that were seen to move nothing, because an axis is known to be of size one. `files` are those that had a part
    in what an import told, `names` what it took from others.
    """

    def __init__(self, entry: str, script: bool) -> None:
        self.entry = entry
        self.script = script
        self.root = Block()
        self.ages: dict[Hashable, int] = {}
        self.counters: set[Hashable] = set()
        self.spelled: dict[tuple[Site, int], Site] = {}
        self.called: dict[Site, str] = {}
        self.picked: set[int] = set()
        self.harmless: Container[Site] = ()
        self.files: set[str] = set()
        self.names: set[tuple[str, str]] = set()
        self.lasts: dict[Hashable, Loop] = {}
        self.firsts: dict[Hashable, tuple[Loop, bool]] = {}
        self.cut = False
        self.trouble = ""
        self.layers: dict[int, Network] = {}
        self.scores: list[Tensor] = []
        self.answers: dict[object, object] = {}

    def events(self, block: Union[Block, None] = None) -> Iterator[Event]:
        """All events in order, whatever the branch."""
        for item in (block or self.root).items:
            if isinstance(item, Event):
                yield item
            elif isinstance(item, Arms):
                for _, arm in item.arms:
                    yield from self.events(arm)
            else:
                yield from self.events(item.body)


Answer = TypeVar("Answer")


def once(question: Callable[[Story], Answer]) -> Callable[[Story], Answer]:
    """A question that several rules ask is answered once for each story."""

    def ask(story: Story) -> Answer:
        if question not in story.answers:
            story.answers[question] = question(story)
        return cast(Answer, story.answers[question])

    return ask
