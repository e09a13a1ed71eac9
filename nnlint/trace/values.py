"""Abstract values: what the interpreter knows of a Python value while it runs a program.

Plain values are immutable. Heap objects (`Obj` and its subclasses, `ListVal`, `DictVal`) have identity and are changed only through
the machine, which journals every write so that branches can be run one after the other and joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Union

from nnlint import records as r
from nnlint.findings import Site
from nnlint.knowledge.schema import Factory, Kind, Layer, Loss, Op
from nnlint.trace.size import Size

if TYPE_CHECKING:
    from nnlint.program import File
    from nnlint.trace.layout import Layout
    from nnlint.trace.machine import Frame
    from nnlint.trace.story import Forward, Loop

_births = itertools.count(1)

Fact = tuple[Hashable, bool]
"""A condition and how it was decided."""
Facts = tuple[Fact, ...]


def birth() -> int:
    """A number that grows with every value made: tells what is new in an iteration from what was there before."""
    return next(_births)


class Past:
    """What was there when the story at hand began, and what the story does to it beside the journal.

    `files` are those whose functions and classes were looked into, `names` those that were taken from other files; `grown` the lists of
    older values that were added to, with their lengths before.
    """

    def __init__(self) -> None:
        self.until = 0
        self.files: set[str] = set()
        self.names: set[tuple[str, str]] = set()
        self.grown: list[tuple[list[Any], int]] = []


PAST = Past()


def grow(owner: Union[Tensor, Network], items: list[Any], item: object) -> None:
    """Add to what is known of a value, so that it is forgotten with the story."""
    if owner.id <= PAST.until:
        PAST.grown.append((items, len(items)))
    items.append(item)


class Value:
    __slots__ = ()


class Const(Value):
    __slots__ = ("value",)

    def __init__(self, value: Union[None, bool, int, float, str]) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Const({self.value!r})"


NONE = Const(None)
TRUE = Const(True)
FALSE = Const(False)


class Unknown(Value):
    """A value that was not followed. `key` is its identity: equal keys are equal values. `born` bounds the age of all its parts."""

    __slots__ = ("born", "key", "label", "negated")

    def __init__(self, key: Hashable = None, label: str = "", born: int = 0, negated: bool = False) -> None:
        if key is None:
            born = birth()
            key = born
        self.key = key
        self.label = label
        self.born = born
        self.negated = negated

    def __repr__(self) -> str:
        return f"Unknown({self.label or self.key})"


class SizeVal(Value):
    """A symbolic integer; known integers are `Const`."""

    __slots__ = ("born", "size")

    def __init__(self, size: Size, born: int = 0) -> None:
        self.size = size
        self.born = born


class Choice(Value):
    """One of several values, each with the conditions under which it is the one."""

    __slots__ = ("alternatives",)

    def __init__(self, alternatives: tuple[tuple[Facts, Value], ...]) -> None:
        self.alternatives = alternatives


class External(Value):
    """Something of a library, by its public qualified name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"External({self.name})"


class ModuleVal(Value):
    """A module or package of the project."""

    __slots__ = ("file", "prefix")

    def __init__(self, file: Union[File, None], prefix: str) -> None:
        self.file = file
        self.prefix = prefix


class FuncVal(Value):
    """A function of the project. `frame` is the scope that defined it; `owner` its class, for `super()`."""

    __slots__ = ("_node", "defaults", "file", "frame", "is_class", "is_context", "is_property", "is_static", "no_grad", "owner")

    def __init__(
        self,
        node: Union[r.Function, r.Lambda],
        file: File,
        frame: Union[Frame, None],
        defaults: dict[str, Value],
        owner: Union[ClassVal, None] = None,
    ) -> None:
        self._node = node
        self.file = file
        self.frame = frame
        self.defaults = defaults
        self.owner = owner
        self.no_grad = False
        self.is_static = False
        self.is_class = False
        self.is_property = False
        self.is_context = False

    @property
    def node(self) -> Union[r.Function, r.Lambda]:
        PAST.files.add(self.file.key)
        return self._node

    @property
    def name(self) -> str:
        return self._node.name if isinstance(self._node, r.Function) else "<lambda>"


class Bound(Value):
    """A method with its receiver. `func` is a project function, or the name of a method that the engine knows or does not."""

    __slots__ = ("func", "receiver")

    def __init__(self, receiver: Value, func: Union[FuncVal, str]) -> None:
        self.receiver = receiver
        self.func = func


class Partial(Value):
    __slots__ = ("args", "func", "kwargs")

    def __init__(self, func: Value, args: tuple[Value, ...], kwargs: dict[str, Value]) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs


class ClassVal(Value):
    """A class of the project, with its bases in order; a base is a `ClassVal`, an `External`, or unknown. `line` is kept by
    `attributes.mro`."""

    __slots__ = ("_attrs", "_bases", "_node", "file", "frame", "line")

    def __init__(self, node: r.Class, file: File, frame: Frame, bases: tuple[Value, ...]) -> None:
        self._node = node
        self.file = file
        self.frame = frame
        self._bases = bases
        self._attrs: dict[str, Value] = {}
        self.line: Union[list[Value], None] = None

    @property
    def node(self) -> r.Class:
        PAST.files.add(self.file.key)
        return self._node

    @property
    def bases(self) -> tuple[Value, ...]:
        PAST.files.add(self.file.key)
        return self._bases

    @property
    def attrs(self) -> dict[str, Value]:
        PAST.files.add(self.file.key)
        return self._attrs

    @attrs.setter
    def attrs(self, attrs: dict[str, Value]) -> None:
        self._attrs = attrs

    @property
    def name(self) -> str:
        return self._node.name


class SuperVal(Value):
    __slots__ = ("owner", "receiver")

    def __init__(self, owner: ClassVal, receiver: Value) -> None:
        self.owner = owner
        self.receiver = receiver


class TupleVal(Value):
    __slots__ = ("items",)

    def __init__(self, items: tuple[Value, ...]) -> None:
        self.items = items


class Iterable(Value):
    """Something that yields `item` again and again (a loader, a generator, `range(n)`); `batches` where the items are data batches."""

    __slots__ = ("batches", "item", "source")

    def __init__(self, item: Value, batches: bool = False, source: Union[Value, None] = None) -> None:
        self.item = item
        self.batches = batches
        self.source = source


class Modules(Iterable):
    """`net.modules()`: one typical part, unless a loop over them switches modes."""

    __slots__ = ("named", "network")

    def __init__(self, network: Value, item: Value, named: bool) -> None:
        super().__init__(item)
        self.network = network
        self.named = named


class Batches(Value):
    """What `enumerate`, `zip`, `tqdm` ... make of an iterable: the parts are combined anew at every iteration. `start` is where
    `enumerate` begins to count."""

    __slots__ = ("how", "parts", "start")

    def __init__(self, how: str, parts: tuple[Value, ...], start: Union[Value, None] = None) -> None:
        self.how = how
        self.parts = parts
        self.start = start if start is not None else Const(0)


class Range(Value):
    __slots__ = ("count", "start", "step", "stop")

    def __init__(self, start: Value, count: Union[int, None], step: int = 1, stop: Union[Value, None] = None) -> None:
        self.start = start
        self.count = count
        self.step = step
        self.stop = stop


class Slots(dict[Any, Any]):
    """Names or attributes; `born` is the age of the scope or object that has them."""

    __slots__ = ("born",)

    def __init__(self, born: int, given: Union[dict[Any, Any], None] = None) -> None:
        super().__init__(given or {})
        self.born = born


class Obj(Value):
    """A heap object."""

    __slots__ = ("attrs", "id", "label", "site")

    def __init__(self, site: Site, label: str = "") -> None:
        self.id = birth()
        self.site = site
        self.label = label
        self.attrs: dict[str, Value] = Slots(self.id)


class ListVal(Obj):
    """`growing` says that a loop appends to it: its length is not known."""

    __slots__ = ("growing", "items", "kind")

    def __init__(self, site: Site, items: list[Value], kind: str = "list") -> None:
        super().__init__(site)
        self.items = items
        self.growing = False
        self.kind = kind


class DictVal(Obj):
    """Keys are constants; `open` says that entries with keys that were not followed exist."""

    __slots__ = ("entries", "open")

    def __init__(self, site: Site, entries: dict[Any, Value], open: bool = False) -> None:
        super().__init__(site)
        self.entries: dict[Hashable, Value] = Slots(self.id, entries)
        self.open = open


class Instance(Obj):
    """An object of a project class that is no network."""

    __slots__ = ("cls", "items")

    def __init__(self, site: Site, cls: ClassVal, label: str = "") -> None:
        super().__init__(site, label)
        self.cls = cls
        self.items: Union[list[tuple[str, Value]], None] = None


class Network(Obj):
    """Any `nn.Module`: a layer of the library (`layer`), a container (`items`), a project class (`cls`), a loss (`loss`) or a network
    that a library built (`factory`). `complete` says whether all its parts are known, `loaded` that its weights came from outside,
    `averaged` that the program writes them itself; `origin` is what it is a copy of, `loop` where it was built."""

    __slots__ = (
        "args",
        "averaged",
        "cls",
        "complete",
        "factory",
        "hollow",
        "items",
        "layer",
        "loaded",
        "loop",
        "loss",
        "name",
        "origin",
        "outputs",
    )

    def __init__(self, site: Site, name: str, label: str = "") -> None:
        super().__init__(site, label)
        self.name = name
        self.cls: Union[ClassVal, None] = None
        self.layer: Union[Layer, None] = None
        self.loss: Union[Loss, None] = None
        self.factory: Union[Factory, None] = None
        self.args: dict[str, Value] = {}
        self.items: Union[list[tuple[str, Value]], None] = None
        self.outputs: list[Tensor] = []
        self.complete = True
        self.loaded = False
        self.hollow = False
        self.averaged = False
        self.origin: Union[Network, None] = None
        self.loop: Union[Loop, None] = None


class Params(Value):
    """Parameters of some networks (or leaf tensors); `networks` is None where not known, `partial` where only some of each."""

    __slots__ = ("named", "networks", "partial")

    def __init__(self, networks: Union[tuple[Value, ...], None], partial: bool = False, named: bool = False) -> None:
        self.networks = networks
        self.partial = partial
        self.named = named


class GradVal(Value):
    """`p.grad` of some parameters."""

    __slots__ = ("params",)

    def __init__(self, params: Params) -> None:
        self.params = params


class Optimizer(Obj):
    __slots__ = ("cls", "name", "params")

    def __init__(self, site: Site, name: str, params: Params, label: str = "") -> None:
        super().__init__(site, label)
        self.name = name
        self.params = params
        self.cls: Union[ClassVal, None] = None


class Service(Obj):
    """A library object of a known kind that is neither network nor optimizer: "scheduler", "scaler", "accelerator", "loader", "engine",
    "trainer", "context" ..."""

    __slots__ = ("args", "kind", "name")

    def __init__(self, site: Site, kind: str, name: str, args: dict[str, Value]) -> None:
        super().__init__(site)
        self.kind = kind
        self.name = name
        self.args = args


class ModeFlag(Value):
    """`net.training`, read at one moment."""

    __slots__ = ("key", "network")

    def __init__(self, network: Value, key: Hashable) -> None:
        self.network = network
        self.key = key


class Tensor(Value):
    """A tensor, with the operation that made it.

    `networks` are the modules whose parameters the gradient of this tensor reaches, `forwards` the network calls in its graph,
    `seen` those that its value depends on (also through detach), `data` the data sources its value comes from.
    """

    __slots__ = (
        "args",
        "data",
        "exact",
        "forwards",
        "id",
        "inputs",
        "layout",
        "module",
        "networks",
        "op",
        "relabelled",
        "seen",
        "site",
        "users",
    )

    def __init__(
        self,
        op: Op,
        site: Site,
        inputs: tuple[Value, ...] = (),
        args: Union[dict[str, Value], None] = None,
        module: Union[Network, None] = None,
        layout: Union[Layout, None] = None,
    ) -> None:
        self.id = birth()
        self.op = op
        self.site = site
        self.inputs = inputs
        self.args = args or {}
        self.module = module
        self.layout = layout
        self.users: list[Tensor] = []
        self.relabelled = 0
        networks: set[Value] = set()
        forwards: set[Forward] = set()
        seen: set[Forward] = set()
        data: set[Hashable] = set()
        exact: bool = True
        for value in inputs:
            for tensor in tensors_of(value):
                self.relabelled = self.relabelled or tensor.relabelled
                seen |= tensor.seen
                data |= tensor.data
                networks |= tensor.networks
                forwards |= tensor.forwards
                exact = exact and bool(tensor.exact)
            if isinstance(value, Unknown):
                exact = False
        if op.kind in _CUTS:
            networks.clear()
            forwards.clear()
            exact = True
        if module is not None:
            networks.add(module)
        self.networks: frozenset[Value] = frozenset(networks)
        self.forwards: frozenset[Forward] = frozenset(forwards)
        self.seen: frozenset[Forward] = frozenset(seen)
        self.data: frozenset[Hashable] = frozenset(data)
        self.exact: bool = exact

    def __repr__(self) -> str:
        return f"Tensor({self.op.name}@{self.site.at})"


class Shape(Value):
    """`x.shape` or `x.size()`."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


_CUTS = frozenset({Kind.DETACH, Kind.HOST, Kind.DECISION})


_PLAIN: frozenset[type] = frozenset({Const, Unknown, SizeVal, External, FuncVal, Network})


def tensors_of(value: Value, depth: int = 0) -> list[Tensor]:
    """The tensors that a value is or holds (tuples, lists, dictionaries, alternatives)."""
    if type(value) is Tensor:
        return [value]
    if type(value) in _PLAIN or depth > 4:
        return []
    parts: Sequence[Value] = ()
    if isinstance(value, (TupleVal, ListVal)):
        parts = value.items
    elif isinstance(value, DictVal):
        parts = list(value.entries.values())
    elif isinstance(value, Choice):
        parts = [alternative for _, alternative in value.alternatives]
    elif isinstance(value, Iterable):
        parts = [value.item]
    elif isinstance(value, Instance):
        parts = list(value.attrs.values())
    return [tensor for part in parts for tensor in tensors_of(part, depth + 1)]


def key_of(value: Value) -> Hashable:
    """An identity under which equal values have equal keys."""
    if type(value) is Const:
        return ("const", type(value.value).__name__, value.value)
    if type(value) is Unknown:
        return ("not", value.key) if value.negated else value.key
    if type(value) is SizeVal:
        return ("size", value.size)
    if type(value) is External:
        return ("external", value.name)
    if type(value) is ModeFlag:
        return value.key
    if type(value) is TupleVal:
        return ("tuple", *(key_of(item) for item in value.items))
    return ("id", identity(value))


_identities: dict[int, tuple[Value, int]] = {}


def identity(value: Value) -> int:
    """A number that no other value of the program has, or has had: Python gives the addresses of values that are gone to others."""
    if isinstance(value, (Obj, Tensor)):
        return value.id
    known = _identities.get(id(value))
    if known is None:
        known = _identities[id(value)] = (value, birth())
    return known[1]


def forget() -> None:
    """A new program is run: none of the values before it is met again."""
    _identities.clear()


def born_of(value: Value) -> int:
    """The age of a value's youngest part."""
    if isinstance(value, (Unknown, SizeVal)):
        return value.born
    if isinstance(value, (Obj, Tensor)):
        return value.id
    if isinstance(value, TupleVal):
        return max((born_of(item) for item in value.items), default=0)
    return 0


def age(container: object) -> int:
    """When what holds a slot was made."""
    if type(container) is Slots:
        return container.born
    return container.id if isinstance(container, (Obj, Tensor)) else 0


def same(left: Value, right: Value) -> bool:
    """Whether two values are known to be equal."""
    if left is right:
        return True
    if type(left) is not type(right) or isinstance(left, (Obj, Tensor, Choice)):
        return False
    if type(left) is Const and type(right) is Const:
        return type(left.value) is type(right.value) and (left.value is right.value or bool(left.value == right.value))
    if isinstance(left, FuncVal) and isinstance(right, FuncVal):
        return left.node is right.node and left.frame is right.frame
    if isinstance(left, Bound) and isinstance(right, Bound):
        return left.receiver is right.receiver and left.func == right.func
    return key_of(left) == key_of(right)


MAX_ALTERNATIVES = 5


def choice(alternatives: list[tuple[Facts, Value]]) -> Value:
    """Join values; equal ones are merged, nested choices flattened, contradictions dropped."""
    first = alternatives[0][1] if alternatives else None
    if first is not None and type(first) is not Choice:
        for _, value in alternatives:
            if value is not first:
                break
        else:
            return first
    flat: list[tuple[Facts, Value]] = []
    for facts, value in alternatives:
        if type(value) is Choice:
            for inner, part in value.alternatives:
                merged = conjunction(facts, inner)
                if merged is not None:
                    flat.append((merged, part))
        else:
            flat.append((facts, value))
        if len(flat) > 6 * MAX_ALTERNATIVES:
            return Unknown()
    unique: list[tuple[Facts, Value]] = []
    for facts, value in flat:
        for index, (known, other) in enumerate(unique):
            if value is other or (type(value) is type(other) and same(value, other)):
                unique[index] = (_common(known, facts), other)
                break
        else:
            unique.append((facts, value))
    if len(unique) == 1:
        return unique[0][1]
    if not unique or len(unique) > MAX_ALTERNATIVES:
        return _any_of(unique)
    return Choice(tuple(unique))


ANY_OF = Op("any of", Kind.KEEP)


def _any_of(alternatives: list[tuple[Facts, Value]]) -> Value:
    """Too many to be kept apart. Tensors are still one of them."""
    found = [value for _, value in alternatives if isinstance(value, Tensor)]
    if not found or len(found) < len(alternatives):
        return Unknown()
    made = Tensor(ANY_OF, found[0].site, tuple(found))
    for tensor in found:
        grow(tensor, tensor.users, made)
    return made


def conjunction(left: Facts, right: Facts) -> Union[Facts, None]:
    """Both, or None where they contradict each other."""
    if not left or not right:
        return left or right
    known = dict(left)
    for key, decided in right:
        if known.get(key, decided) is not decided:
            return None
        known[key] = decided
    return tuple(known.items())


def _common(left: Facts, right: Facts) -> Facts:
    if not left or not right:
        return ()
    if left == right:
        return left
    other = dict(right)
    return tuple((key, decided) for key, decided in left if other.get(key) is decided)
