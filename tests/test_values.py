"""Values on their way through a program: each test sends probabilities and raw scores down the same road, to arrive unmixed."""

from __future__ import annotations

from textwrap import dedent

import pytest
from stories import HEAD, events, follows, reaching

from nnlint.trace.story import Forward

ROADS = {
    "local names": (
        """
        first = scores
        second = first
        third = second.softmax(1)
        """,
        "third",
        "second",
    ),
    "rebound name": (
        """
        raw = scores
        scores = scores.softmax(1)
        """,
        "scores",
        "raw",
    ),
    "tuple packing": ("a, b = scores, scores.softmax(1)", "b", "a"),
    "nested unpacking": ("(a, [b, c]), d = (scores, (scores.softmax(1), y)), x", "b", "a"),
    "starred unpacking": ("a, *rest = scores, x, scores.softmax(1)", "rest[-1]", "a"),
    "swap": (
        """
        a, b = scores, scores.softmax(1)
        a, b = b, a
        """,
        "a",
        "b",
    ),
    "chained assignment": ("a = b = scores.softmax(1)", "a", "scores"),
    "dict literal": ("out = {'raw': scores, 'soft': scores.softmax(1)}", "out['soft']", "out['raw']"),
    "dict call": ("out = dict(raw=scores, soft=scores.softmax(1))", "out['soft']", "out['raw']"),
    "dict item set": (
        """
        out = {}
        out['raw'] = scores
        out['soft'] = scores.softmax(1)
        """,
        "out['soft']",
        "out.get('raw')",
    ),
    "dict update": (
        """
        out = {'a': scores, 'b': scores}
        out.update({'a': scores.softmax(1)})
        """,
        "out['a']",
        "out['b']",
    ),
    "dict merge": ("out = {**{'a': scores, 'b': scores}, 'a': scores.softmax(1)}", "out['a']", "out['b']"),
    "dict loop": (
        """
        made = {}
        for key, value in {'raw': scores, 'soft': scores.softmax(1)}.items():
            made[key] = value
        """,
        "made['soft']",
        "made['raw']",
    ),
    "list": (
        """
        out = [scores]
        out.append(scores.softmax(1))
        """,
        "out[1]",
        "out[0]",
    ),
    "list extend and pop": (
        """
        out = [x]
        out.extend([scores, scores.softmax(1)])
        soft = out.pop()
        """,
        "soft",
        "out[-1]",
    ),
    "list augmented": (
        """
        out = [scores]
        out += [scores.softmax(1)]
        """,
        "out[1]",
        "out[0]",
    ),
    "slice of a list": ("out = [x, scores, scores.softmax(1)][1:]", "out[1]", "out[0]"),
    "conditional expression": (
        """
        a = scores.softmax(1) if True else scores
        b = scores.softmax(1) if False else scores
        """,
        "a",
        "b",
    ),
    "boolean operator": (
        """
        a = None or scores.softmax(1)
        b = True and scores
        """,
        "a",
        "b",
    ),
    "walrus": (
        """
        if (soft := scores.softmax(1)) is not None:
            pass
        """,
        "soft",
        "scores",
    ),
    "augmented assignment": (
        """
        soft = scores.softmax(1)
        soft += 1e-8
        raw = scores
        raw *= 2.0
        """,
        "soft",
        "raw",
    ),
    "in place method": (
        """
        raw, soft = net(x), net(x).softmax(1)
        soft.clamp_(1e-6)
        raw.clamp_(-9.0)
        """,
        "soft",
        "raw",
    ),
    "with": (
        """
        with torch.autocast('cuda'):
            raw = scores
            soft = raw.softmax(1)
        """,
        "soft",
        "raw",
    ),
    "try": (
        """
        try:
            soft = scores.softmax(1)
        finally:
            raw = scores
        """,
        "soft",
        "raw",
    ),
    "try else": (
        """
        try:
            number = int('1')
        except ValueError:
            raise
        else:
            soft = scores.softmax(1)
        """,
        "soft",
        "scores",
    ),
    "match on a constant": (
        """
        kind = 'soft'
        match kind:
            case 'raw':
                a, b = scores, scores.softmax(1)
            case 'soft' | 'other':
                a, b = scores.softmax(1), scores
            case _:
                a = b = x
        """,
        "a",
        "b",
    ),
    "if on a constant": (
        """
        SOFT = True
        if not SOFT:
            a, b = scores, scores.softmax(1)
        else:
            a, b = scores.softmax(1), scores
        """,
        "a",
        "b",
    ),
    "comprehension": ("out = [f(scores) for f in (lambda s: s, lambda s: s.softmax(1))]", "out[1]", "out[0]"),
    "dict comprehension": ("out = {k: v for k, v in [('raw', scores), ('soft', scores.softmax(1))]}", "out['soft']", "out['raw']"),
    "generator expression": ("a, b = (s for s in [scores, scores.softmax(1)])", "b", "a"),
    "map and lambda": ("a, b = map(lambda s: s, [scores, scores.softmax(1)])", "b", "a"),
    "enumerate": (
        """
        out = {}
        for i, value in enumerate([scores, scores.softmax(1)]):
            out[i] = value
        """,
        "out[1]",
        "out[0]",
    ),
    "zip": (
        """
        for raw, soft in zip([scores], [scores.softmax(1)]):
            pass
        """,
        "soft",
        "raw",
    ),
    "stack of tensors": (
        """
        raw, soft = [], []
        for i in range(3):
            raw.append(net(x))
            soft.append(net(x).softmax(1))
        """,
        "torch.cat(soft)",
        "torch.cat(raw)",
    ),
    "return": (
        """
        def soft(s):
            return s.softmax(1)
        def raw(s):
            return s
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "several returns": (
        """
        def both(s):
            return s, s.softmax(1)
        a, b = both(scores)
        """,
        "b",
        "a",
    ),
    "early return": (
        """
        def make(s, soft):
            if soft:
                return s.softmax(1)
            return s
        """,
        "make(scores, True)",
        "make(scores, False)",
    ),
    "default argument": (
        """
        def make(s, soft=True):
            return s.softmax(1) if soft else s
        """,
        "make(scores)",
        "make(scores, soft=False)",
    ),
    "keyword arguments": (
        """
        def make(first, second):
            return second
        """,
        "make(second=scores.softmax(1), first=scores)",
        "make(second=scores, first=scores.softmax(1))",
    ),
    "keyword only argument": (
        """
        def make(s, *, soft=False):
            return s.softmax(-1) if soft else s
        """,
        "make(scores, soft=True)",
        "make(scores)",
    ),
    "star arguments": (
        """
        def last(*args):
            return args[-1]
        """,
        "last(scores, scores.softmax(1))",
        "last(scores.softmax(1), scores)",
    ),
    "double star arguments": (
        """
        def pick(**kwargs):
            return kwargs['wanted']
        """,
        "pick(wanted=scores.softmax(1), other=scores)",
        "pick(**{'wanted': scores, 'other': scores.softmax(1)})",
    ),
    "passed on arguments": (
        """
        def inner(first, second, flag=False):
            return second if flag else first
        def outer(*args, **kwargs):
            return inner(*args, **kwargs)
        """,
        "outer(scores, scores.softmax(1), flag=True)",
        "outer(scores, scores.softmax(1))",
    ),
    "unpacked at the call": (
        """
        def pick(first, second):
            return second
        """,
        "pick(*(scores, scores.softmax(1)))",
        "pick(*[scores.softmax(1), scores])",
    ),
    "lambda": ("f, g = (lambda s: s.softmax(1)), (lambda s: s)", "f(scores)", "g(scores)"),
    "closure": (
        """
        def maker(dim):
            def soft(s):
                return s.softmax(dim) if dim is not None else s
            return soft
        soft, raw = maker(1), maker(None)
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "closure over a later name": (
        """
        def outer(s):
            def inner():
                return made
            made = s.softmax(1)
            return inner()
        """,
        "outer(scores)",
        "scores",
    ),
    "module global defined later": (
        """
        def use(s):
            return LATER(s)
        def LATER(s):
            return s.softmax(1)
        soft = use(scores)
        def LATER(s):
            return s
        """,
        "soft",
        "use(scores)",
    ),
    "functools.partial": (
        """
        import functools
        soft = functools.partial(F.softmax, dim=1)
        raw = functools.partial(lambda scale, s: s * scale, 2.0)
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "partial with a keyword": (
        """
        from functools import partial
        def make(s, soft):
            return s.softmax(1) if soft else s
        """,
        "partial(make, soft=True)(scores)",
        "partial(make, soft=False)(scores)",
    ),
    "table of functions": (
        """
        TABLE = {'soft': lambda s: torch.softmax(s, 1), 'raw': lambda s: s}
        """,
        "TABLE['soft'](scores)",
        "TABLE['raw'](scores)",
    ),
    "function as argument": (
        """
        def apply(f, s):
            return f(s)
        """,
        "apply(nn.Softmax(dim=1), scores)",
        "apply(nn.Identity(), scores)",
    ),
    "getattr": (
        """
        name = 'soft' + 'max'
        """,
        "getattr(F, 'softmax')(scores, 1)",
        "getattr(torch, 'clone')(scores)",
    ),
    "nonlocal": (
        """
        def outer(s, change):
            held = s
            def inner():
                nonlocal held
                held = held.softmax(1)
            if change:
                inner()
            return held
        """,
        "outer(scores, True)",
        "outer(scores, False)",
    ),
    "global": (
        """
        kept = raw = scores
        def change():
            global kept
            kept = kept.softmax(1)
            raw = kept
        change()
        """,
        "kept",
        "raw",
    ),
    "decorator": (
        """
        import functools
        def softly(f):
            @functools.wraps(f)
            def wrapper(*args, **kwargs):
                return f(*args, **kwargs).softmax(1)
            return wrapper
        @softly
        def soft(s):
            return s
        @torch.no_grad()
        def raw(s):
            return s
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "decorator with arguments": (
        """
        def after(act):
            def decorate(f):
                def wrapper(s):
                    return act(f(s))
                return wrapper
            return decorate
        @after(nn.Softmax(1))
        def soft(s):
            return s
        @after(nn.Identity())
        def raw(s):
            return s
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "generator": (
        """
        def soft():
            yield scores.softmax(1)
        def raw():
            for _ in range(3):
                yield scores
        """,
        "next(iter(soft()))",
        "next(iter(raw()))",
    ),
    "generator in a loop": (
        """
        def pairs():
            while True:
                yield scores, scores.softmax(1)
        for a, b in pairs():
            break
        """,
        "b",
        "a",
    ),
    "contextmanager": (
        """
        import contextlib
        @contextlib.contextmanager
        def softly(s):
            yield s.softmax(1)
        @contextlib.contextmanager
        def rawly(s):
            yield s
        with softly(scores) as soft, rawly(scores) as raw:
            pass
        """,
        "soft",
        "raw",
    ),
    "class with enter": (
        """
        class Held:
            def __init__(self, s):
                self.s = s
            def __enter__(self):
                return self.s
            def __exit__(self, *exc):
                return False
        with Held(scores.softmax(1)) as soft, Held(scores) as raw:
            pass
        """,
        "soft",
        "raw",
    ),
    "assert and delete": (
        """
        made = scores.softmax(1)
        soft = made
        del made
        assert soft is not None
        """,
        "soft",
        "scores",
    ),
    "while": (
        """
        while True:
            soft, raw = net(x).softmax(1), net(x)
            if raw.sum() > 0:
                break
        """,
        "soft",
        "raw",
    ),
    "match with a guard": (
        """
        kind = 'soft'
        match kind:
            case 'soft' | 'other' if kind != 'soft':
                a, b = scores, scores.softmax(1)
            case name if name == 'soft':
                a, b = scores.softmax(1), scores
        """,
        "a",
        "b",
    ),
}

OBJECTS = {
    "attribute of self": (
        """
        class Holder:
            def __init__(self, s):
                self.raw = s
                self.make()
            def make(self):
                self.soft = self.raw.softmax(1)
        h = Holder(scores)
        """,
        "h.soft",
        "h.raw",
    ),
    "attribute set from outside": (
        """
        class Holder:
            pass
        h, g = Holder(), Holder()
        h.value = scores.softmax(1)
        g.value = scores
        """,
        "h.value",
        "g.value",
    ),
    "class attribute": (
        """
        class Holder:
            act = nn.Softmax(dim=1)
            same = nn.Identity()
            def run(self, s):
                return self.act(s)
        """,
        "Holder().run(scores)",
        "Holder.same(scores)",
    ),
    "class attribute hidden by the object's": (
        """
        class Holder:
            soft = False
            def __init__(self, soft=None):
                if soft is not None:
                    self.soft = soft
            def run(self, s):
                return s.softmax(1) if self.soft else s
        """,
        "Holder(True).run(scores)",
        "Holder().run(scores)",
    ),
    "two objects of a class": (
        """
        class Act:
            def __init__(self, f):
                self.f = f
            def __call__(self, s):
                return self.f(s)
        soft, raw = Act(nn.Softmax(1)), Act(nn.Identity())
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "property": (
        """
        class Holder:
            def __init__(self, s):
                self._s = s
            @property
            def soft(self):
                return self._s.softmax(1)
            @property
            def raw(self):
                return self._s
        """,
        "Holder(scores).soft",
        "Holder(scores).raw",
    ),
    "static and class methods": (
        """
        class Tools:
            @staticmethod
            def soft(s):
                return s.softmax(1)
            @classmethod
            def raw(cls, s):
                return s
            @classmethod
            def both(cls, s):
                return cls.raw(s), cls.soft(s)
        """,
        "Tools.both(scores)[1]",
        "Tools().both(scores)[0]",
    ),
    "class method as constructor": (
        """
        class Act:
            def __init__(self, soft):
                self.soft = soft
            @classmethod
            def softly(cls):
                return cls(soft=True)
            @classmethod
            def rawly(cls):
                return cls(soft=False)
            def run(self, s):
                return s.softmax(1) if self.soft else s
        """,
        "Act.softly().run(scores)",
        "Act.rawly().run(scores)",
    ),
    "dataclass": (
        """
        from dataclasses import dataclass
        @dataclass
        class Out:
            raw: torch.Tensor
            soft: torch.Tensor
        out = Out(scores, soft=scores.softmax(1))
        """,
        "out.soft",
        "out.raw",
    ),
    "dataclass default": (
        """
        from dataclasses import dataclass, field
        @dataclass
        class Config:
            soft: bool = True
            width: int = 3
        def make(config, s):
            return s.softmax(1) if config.soft else s
        """,
        "make(Config(), scores)",
        "make(Config(soft=False), scores)",
    ),
    "dataclass field and post init": (
        """
        from dataclasses import dataclass, field
        @dataclass
        class Out:
            raw: torch.Tensor
            parts: list = field(default_factory=list)
            def __post_init__(self):
                self.parts.append(self.raw.softmax(1))
        out = Out(scores)
        """,
        "out.parts[0]",
        "out.raw",
    ),
    "named tuple": (
        """
        from typing import NamedTuple
        class Out(NamedTuple):
            raw: torch.Tensor
            soft: torch.Tensor
        out = Out(scores, scores.softmax(1))
        """,
        "out.soft",
        "out.raw",
    ),
    "named tuple unpacked": (
        """
        from typing import NamedTuple
        class Out(NamedTuple):
            raw: torch.Tensor
            soft: torch.Tensor
        raw, soft = Out(scores, scores.softmax(1))
        """,
        "soft",
        "raw",
    ),
    "collections.namedtuple": (
        """
        from collections import namedtuple
        Out = namedtuple('Out', ['raw', 'soft'])
        out = Out(scores, soft=scores.softmax(1))
        """,
        "out.soft",
        "out.raw",
    ),
    "simple namespace": (
        """
        from types import SimpleNamespace
        out = SimpleNamespace(raw=scores, soft=scores.softmax(1))
        """,
        "out.soft",
        "out.raw",
    ),
    "inheritance": (
        """
        class Base:
            def finish(self, s):
                return s
            def run(self, s):
                return self.finish(s)
        class Soft(Base):
            def finish(self, s):
                return s.softmax(1)
        """,
        "Soft().run(scores)",
        "Base().run(scores)",
    ),
    "super": (
        """
        class Base:
            def __init__(self, soft):
                self.soft = soft
            def run(self, s):
                return s.softmax(1) if self.soft else s
        class Soft(Base):
            def __init__(self):
                super().__init__(True)
            def run(self, s):
                return super().run(s)
        class Raw(Base):
            def __init__(self):
                super(Raw, self).__init__(soft=False)
            def run(self, s):
                return Base.run(self, s)
        """,
        "Soft().run(scores)",
        "Raw().run(scores)",
    ),
    "diamond": (
        """
        class Base:
            def act(self, s):
                return s
        class Left(Base):
            pass
        class Right(Base):
            def act(self, s):
                return super().act(s).softmax(1)
        class Both(Left, Right):
            pass
        """,
        "Both().act(scores)",
        "Left().act(scores)",
    ),
    "mixin that calls what others define": (
        """
        class Runs:
            def run(self, s):
                return self.act(s)
        class Soft(Runs):
            act = staticmethod(lambda s: s.softmax(1))
        class Raw(Runs):
            def act(self, s):
                return s
        """,
        "Soft().run(scores)",
        "Raw().run(scores)",
    ),
    "getitem and iter": (
        """
        class Items:
            def __getitem__(self, i):
                return scores, scores.softmax(1)
        class Walks:
            def __iter__(self):
                yield scores
        for raw in Walks():
            pass
        """,
        "Items()[0][1]",
        "raw",
    ),
    "inner class and method as value": (
        """
        class Outer:
            class Inner:
                def soft(self, s):
                    return s.softmax(1)
                def raw(self, s):
                    return s
            def __init__(self):
                self.inner = self.Inner()
        soft, raw = Outer().inner.soft, Outer().inner.raw
        """,
        "soft(scores)",
        "raw(scores)",
    ),
    "setattr": (
        """
        class Holder:
            pass
        h = Holder()
        setattr(h, 'soft', scores.softmax(1))
        setattr(h, 'raw', scores)
        """,
        "h.soft",
        "getattr(h, 'raw')",
    ),
    "method of an instance replaced": (
        """
        class Holder:
            def act(self, s):
                return s
        h, g = Holder(), Holder()
        h.act = lambda s: s.softmax(1)
        """,
        "h.act(scores)",
        "g.act(scores)",
    ),
}


@pytest.mark.parametrize(("program", "soft", "raw"), ROADS.values(), ids=ROADS)
def test_values_are_followed(program: str, soft: str, raw: str) -> None:
    follows(program, soft, raw)


@pytest.mark.parametrize(("program", "soft", "raw"), OBJECTS.values(), ids=OBJECTS)
def test_objects_are_followed(program: str, soft: str, raw: str) -> None:
    follows(program, soft, raw)


MIXED = {
    "condition": "made = scores.softmax(1) if flag else scores",
    "if": """
        made = scores
        if flag:
            made = made.softmax(1)
        """,
    "try": """
        try:
            made = scores.softmax(1)
        except RuntimeError:
            made = scores
        """,
    "last round of a loop": """
        made = scores
        for i in range(flag):
            F.cross_entropy(made, y)
            made = net(x).softmax(1)
        """,
    "last round of a while": """
        made = scores
        while made.sum() > 0:
            last, made = made, net(x).softmax(1)
            F.cross_entropy(last, y)
        """,
    "match": """
        match flag:
            case 'soft':
                made = scores.softmax(1)
            case 'raw' | 'plain':
                made = scores
            case _:
                raise ValueError
        """,
    "early return": """
        def make(s):
            if flag:
                return s
            return s.softmax(1)
        made = make(scores)
        """,
    "setting of a module that is not there": """
        from config import SOFT
        made = scores.softmax(1) if SOFT == 'yes' else scores
        """,
    "table of settings that is not there": """
        import config
        made = scores.softmax(1) if config.SETTINGS['soft'] else scores
        """,
    "item of a list": "made = [scores, scores.softmax(1)][flag]",
    "table": "made = {'soft': scores.softmax(1), 'raw': scores}[flag]",
    "loop over items": """
        for made in [scores, scores.softmax(1)] * flag:
            F.cross_entropy(made, y)
        """,
    "object": """
        class Act:
            def __init__(self, soft):
                self.act = nn.Softmax(1) if soft else nn.Identity()
        made = Act(flag).act(scores)
        """,
}


@pytest.mark.parametrize("program", MIXED.values(), ids=MIXED)
def test_what_a_setting_decides_stays_open(program: str) -> None:
    """Both ways arrive: neither is dropped for the other."""
    given = HEAD + "import sys\nflag = int(sys.argv[1])\n" + dedent(program)
    assert reaching(f"{given}\nF.cross_entropy(made, y)\n") - {"?"} == {"linear", "softmax"}


def test_what_is_not_known_is_not_guessed() -> None:
    for made in ("unknown(scores)", "json.loads('{}')", "other.apply(scores.softmax(1))", "TABLE[key](scores)"):
        assert reaching(f"{HEAD}import json\nimport other\nfrom other import unknown, TABLE, key\nF.cross_entropy({made}, y)\n") == {"?"}


# --- data --------------------------------------------------------------------------------------------------------

LOADED = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm
import itertools

net = nn.Linear(4, 3)
train = DataLoader(TensorDataset(torch.randn(8, 4), torch.randint(3, (8,))))
test = DataLoader(TensorDataset(torch.randn(8, 4), torch.randint(3, (8,))))
"""

WALKS = {
    "plain": "for x, y in {}: net(x)",
    "enumerate": "for i, (x, y) in enumerate({}): net(x)",
    "enumerate from": "for i, batch in enumerate({}, 1): net(batch[0])",
    "tqdm": "for x, y in tqdm({}, desc='epoch'): net(x)",
    "enumerate of tqdm": "for i, (x, y) in enumerate(tqdm({})): net(x)",
    "zip": "for i, (x, y) in zip(range(10), {}): net(x)",
    "islice": "for x, y in itertools.islice({}, 5): net(x)",
    "named bar": """
bar = tqdm({})
for x, y in bar:
    bar.set_postfix(a=1)
    net(x)""",
    "with bar": """
with tqdm({}) as bar:
    for x, y in bar: net(x)""",
    "next": """
it = iter({})
while True:
    x, y = next(it)
    net(x)""",
    "cycle": """
def cycle(source):
    while True:
        for batch in source:
            yield batch
for x, y in cycle({}): net(x)""",
    "comprehension": "out = [net(x) for x, _ in {}]",
    "moved": """
for batch in {}:
    x, y = (part.to('cuda') for part in batch)
    net(x)""",
    "dict of loaders": """
loaders = {{'train': train, 'test': test, 'one': {}}}
for x, y in loaders['one']: net(x)""",
    "wrapped": """
class Wrapped:
    def __init__(self, source): self.source = source
    def __iter__(self):
        for x, y in self.source: yield x, y
for x, y in Wrapped({}): net(x)""",
}


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_batches_come_from_their_loader(walk: str) -> None:
    """What goes into the network is of this loader and of no other."""
    known = "\nfor batch in train: net(batch[0])\nfor batch in test: net(batch[0])\n"
    *given, training, testing = [event.data for event in events(LOADED + walk.format("train") + known) if isinstance(event, Forward)]
    assert set(given) == {training}
    assert training and testing and not training & testing
