"""The tables of `nnlint.knowledge` against the torch that is installed: names, signatures, modes, biases and what losses want."""

from __future__ import annotations

import importlib
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn, overrides  # noqa: E402

from nnlint.knowledge import data, frameworks, functions, layers, losses, names, networks, optimizers  # noqa: E402
from nnlint.knowledge.notation import default  # noqa: E402
from nnlint.knowledge.schema import Kind, Layer, Op, Wants  # noqa: E402

TABLES = (data, frameworks, functions, layers, losses, names, networks, optimizers)
TORCH_LAYERS = {name.rpartition(".")[2]: layer for name, layer in layers.LAYERS.items() if name.startswith("torch.nn.")}
LEFT_OUT = {"Module", "Container", "DataParallel", "RNNBase", "RNNCellBase"}

# Names whose signature python cannot tell.
FIRST = ("tensor", "A", "x")  # names of the first parameter that native schemas call `self`
UNREADABLE = {
    "asarray",
    "from_numpy",
    "frombuffer",
    "from_dlpack",
    "Variable",
    "Parameter",
    "UninitializedParameter",
    "fftfreq",
    "rfftfreq",
}


def resolve(name: str) -> Any:
    """What a qualified name of torch stands for."""
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for at, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:at]))
        found = getattr(found, part)
    return found


def signatures(called: Any, name: str) -> Iterator[list[str]]:
    """All signatures known of a function or method, the tensor first and called `input`."""
    with suppress(ValueError, TypeError):
        yield list(inspect.signature(called).parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = overrides.get_testing_overrides()
    if called in known:
        yield list(inspect.signature(known[called]).parameters)
    for prefix in ("", "linalg_", "special_", "fft_"):
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{prefix}{name}"):
            if not any(argument.is_out for argument in schema.arguments):
                yield [argument.name for argument in schema.arguments]
    # the first line of the documentation: softmax(input, dim, *, dtype=None) -> Tensor
    head = (inspect.getdoc(called) or "").strip().partition("->")[0].partition("\n")[0]
    if "(" in head:
        inside = head.partition("(")[2].rpartition(")")[0]
        yield [part.partition("=")[0].partition(":")[0].strip(" *") for part in inside.split(",") if part.strip() not in ("*", "/")]


def fits(params: tuple[str, ...], op: Op, called: Any, name: str) -> bool:
    """Whether the parameters are the first ones of some signature."""

    def same(known: list[str]) -> bool:
        known = ["input" if word == "self" or (at == 0 and word in FIRST) else word for at, word in enumerate(known) if word != "out"]
        mine = ["input" if at == 0 and word in FIRST else word for at, word in enumerate(params)]
        if op.rest:  # `size` in the documentation is `sizes` or `shape` in the code
            mine, known = mine[:-1], known[: len(mine) - 1]
        return known[: len(mine)] == mine

    return any(same(known) for known in signatures(called, name))


def installed(table: Any) -> list[str]:
    return sorted(name for name in table if name.startswith("torch."))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        functions.FUNCTIONS,
        layers.LAYERS,
        losses.LOSSES,
        optimizers.OPTIMIZERS,
        optimizers.CLOSURE_OPTIMIZERS,
        optimizers.SCHEDULERS,
        optimizers.METRIC_SCHEDULERS,
        optimizers.CLIPS,
        data.LOADERS,
        data.SAMPLERS,
        data.EPOCH_SAMPLERS,
        data.DERIVED_DATASETS,
        networks.WRAPPERS,
        networks.COPIES,
        networks.CALLERS,
        networks.STATISTICS_UPDATES,
        names.GRAD_CONTEXTS,
        names.MODULES.values(),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_names_exist(table: Any) -> None:
    gone = {"torch.nn.utils.clip_grad_norm", "torch.distributed.pipelining.ScheduleLoopedBFS"}
    for name in installed(table):
        if name not in gone:
            resolve(name)


def test_methods_and_attributes_exist() -> None:
    missing = [name for name in [*functions.METHODS, *functions.ATTRIBUTES] if not hasattr(torch.Tensor, name)]
    assert missing == []


def test_every_module_is_a_layer_or_a_loss() -> None:
    modules = {name for name, cls in vars(nn).items() if isinstance(cls, type) and issubclass(cls, nn.Module)}
    known = {name for name in modules if f"torch.nn.{name}" in layers.LAYERS or f"torch.nn.{name}" in losses.LOSSES}
    assert modules - known == LEFT_OUT
    assert not set(layers.LAYERS) & set(losses.LOSSES)


def test_every_functional_is_known() -> None:
    helpers = {"adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices"}
    helpers |= {"fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices", "grouped_mm", "scaled_mm", "scaled_grouped_mm"}
    helpers |= {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function"}
    helpers |= {"has_torch_function_unary", "has_torch_function_variadic"}
    public = {
        name
        for name, called in vars(nn.functional).items()
        if callable(called)
        and not isinstance(called, type)
        and name[0].islower()
        and f"torch.nn.functional.{name}" not in functions.FUNCTIONS
    }
    assert {name for name in public if f"torch.nn.functional.{name}" not in losses.LOSSES} <= helpers


def test_every_optimizer_and_scheduler_is_known() -> None:
    for module, table in ((torch.optim, optimizers.OPTIMIZERS), (torch.optim.lr_scheduler, optimizers.SCHEDULERS)):
        for name in module.__all__ if module is torch.optim.lr_scheduler else vars(module):
            cls = getattr(module, name)
            if isinstance(cls, type):
                assert f"{module.__name__}.{name}" in table


def test_public_spellings() -> None:
    """The tables are keyed by names that stay as they are, so that looking up a public spelling finds them."""
    for table in itertools.chain.from_iterable(vars(module).items() for module in TABLES):
        title, content = table
        if title.isupper() and title not in ("PUBLIC", "MODULES") and isinstance(content, (dict, frozenset)):
            for name in content:
                assert names.public(name) == name or names.public(name) in content or "." not in name, (title, name)
    for name, public in names.PUBLIC.items():
        assert names.public(name) == names.public(public)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("torch.nn.modules.loss.CrossEntropyLoss", "torch.nn.CrossEntropyLoss"),
        ("torch.nn.modules.Linear", "torch.nn.Linear"),
        ("torch.nn.modules.module.Module", "torch.nn.Module"),
        ("torch.nn.modules.loss", "torch.nn.modules.loss"),
        ("torch.nn.modules.batchnorm._BatchNorm", "torch.nn.modules.batchnorm._BatchNorm"),
        ("torch.optim.adam.Adam", "torch.optim.Adam"),
        ("torch.optim.lr_scheduler.StepLR", "torch.optim.lr_scheduler.StepLR"),
        ("torch.functional.einsum", "torch.einsum"),
        ("torch.autograd.grad_mode.no_grad", "torch.no_grad"),
        ("torch.cuda.amp.autocast_mode.autocast", "torch.amp.autocast"),
        ("pytorch_lightning.core.lightning.LightningModule", "lightning.pytorch.LightningModule"),
        ("pytorch_lightning.LightningModule", "lightning.pytorch.LightningModule"),
        ("timm.models.layers.drop.DropPath", "timm.layers.DropPath"),
        ("tqdm.auto.tqdm", "tqdm.tqdm"),
        ("torchvision.models.resnet.resnet18", "torchvision.models.resnet18"),
        ("torch.nn.Linear", "torch.nn.Linear"),
    ],
)
def test_public(name: str, public: str) -> None:
    assert names.public(name) == public


def test_public_step_by_step() -> None:
    """`nn.modules.loss.CrossEntropyLoss` is read one attribute at a time."""
    for name in [
        *(f"torch.nn.modules.{part}.X" for part in ("loss", "conv", "rnn")),
        "pytorch_lightning.core.module.X",
        "torch.optim.sgd.X",
    ]:
        found = ""
        for part in name.split("."):
            found = names.public(f"{found}.{part}" if found else part)
        assert found == names.public(name)


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", installed(functions.FUNCTIONS))
def test_parameters_of_functions(name: str) -> None:
    op, short = functions.FUNCTIONS[name], name.rpartition(".")[2]
    if short not in UNREADABLE:
        assert fits(op.params, op, resolve(name), short), list(signatures(resolve(name), short))


@pytest.mark.parametrize("name", sorted(functions.METHODS))
def test_parameters_of_methods(name: str) -> None:
    op = functions.METHODS[name]
    if name in ("where", "as_subclass"):  # the receiver is the second parameter; not documented
        return
    method = getattr(torch.Tensor, name)
    assert fits(("input", *op.params), op, method, name) or fits(op.params, op, method, name), list(signatures(method, name))


@pytest.mark.parametrize("name", sorted(TORCH_LAYERS))
def test_parameters_of_layers(name: str) -> None:
    layer, cls = TORCH_LAYERS[name], getattr(nn, name)
    base = nn.RNNBase if name in ("LSTM", "GRU") else cls
    real = dict(itertools.islice(inspect.signature(base.__init__).parameters.items(), 2 if base is nn.RNNBase else 1, None))
    if name == "RNN":  # takes *args
        nn.RNN(1, 1, 1, "relu", True, False, 0.0, False)
        return
    assert layer.op.params == tuple(real)[: len(layer.op.params)]
    for param, value in layer.defaults:
        assert real[param].default in (value, inspect.Parameter.empty), param
    for param in (layer.bias, layer.out, layer.holds):
        assert not param or param in real
    for alternative in filter(None, layer.mode_off.split("|")):
        param, _, value = alternative.partition("=")
        assert param in real
        assert isinstance(default(value), (bool, int, float))


@pytest.mark.parametrize("name", installed(losses.LOSSES))
def test_parameters_of_losses(name: str) -> None:
    loss = losses.LOSSES[name]
    called: Any = resolve(name)
    is_class = inspect.isclass(called)
    if is_class:
        assert loss.constructor == tuple(inspect.signature(called.__init__).parameters)[1:][: len(loss.constructor)]
        assert loss.params == tuple(inspect.signature(called.forward).parameters)[1:]
    elif name.startswith("torch.nn.functional."):
        assert loss.params == tuple(inspect.signature(called).parameters)
    else:
        assert list(loss.params) in [
            ["input" if word == "self" else word for word in known] for known in signatures(called, called.__name__)
        ]


def test_defaults_of_functions() -> None:
    for name in installed(functions.FUNCTIONS):
        op = functions.FUNCTIONS[name]
        try:
            real = inspect.signature(resolve(name)).parameters
        except (ValueError, TypeError):
            continue
        for param, value in op.defaults:
            if param in real:
                assert real[param].default == value, (name, param)


@pytest.mark.parametrize("name", ["max", "min", "median", "nanmedian"])
def test_pairs_with_dim(name: str) -> None:
    x = torch.randn(3, 4)
    assert isinstance(getattr(x, name)(), torch.Tensor)
    assert len(getattr(x, name)(1)) == 2
    assert name in functions.PAIR_WITH_DIM


@pytest.mark.filterwarnings("ignore")
def test_results() -> None:
    arguments: dict[str, tuple[Any, ...]] = {"kthvalue": (1,), "topk": (1,), "cummax": (0,), "cummin": (0,), "histogram": (3,)}
    for name, op in functions.METHODS.items():
        if op.results > 1:
            assert len(getattr(torch.rand(3, 3), name)(*arguments.get(name, ()))) == op.results, name


# --- kinds -----------------------------------------------------------------------------------------------------------


def unary(kind: Kind) -> list[str]:
    return sorted(name for name, op in functions.METHODS.items() if op.kind is kind and not op.params and not op.inplace)


@pytest.mark.parametrize("kind", [Kind.DECISION, Kind.DETACH, Kind.HOST])
def test_no_gradient_passes(kind: Kind) -> None:
    for name in unary(kind):
        if name in ("item", "tolist", "numpy"):
            continue
        x = torch.rand(4, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = getattr(x * 1.5, name)() if name not in ("bitwise_not", "logical_not") else x.detach() > 1
        y = y[0] if isinstance(y, tuple) else y
        if torch.is_tensor(y) and y.requires_grad:
            y.sum().backward()
            assert x.grad is None or not x.grad.any(), name


def test_variable_and_parameter_cut_the_graph() -> None:
    x = torch.ones(2, requires_grad=True) * 2
    for name in ("torch.autograd.Variable", "torch.nn.Parameter"):
        assert functions.FUNCTIONS[name].kind is Kind.DETACH
        assert resolve(name)(x).grad_fn is None
    assert torch.as_tensor(x).grad_fn is not None


@pytest.mark.parametrize("name", ["softmax", "softmin", "sigmoid", "hardsigmoid", "log_softmax", "logsigmoid", "gumbel_softmax"])
def test_probabilities(name: str) -> None:
    op = functions.FUNCTIONS[f"torch.nn.functional.{name}"]
    y = getattr(nn.functional, name)(torch.randn(50, 7) * 3, **({"dim": -1} if "dim" in op.params else {}))
    y = y.exp() if op.kind is Kind.LOG_PROBABILITY else y
    assert op.kind in (Kind.PROBABILITY, Kind.LOG_PROBABILITY)
    assert bool(((y >= 0) & (y <= 1)).all())
    if "dim" in op.params:
        assert torch.allclose(y.sum(-1), torch.ones(50))


def test_one_operation_one_name() -> None:
    """A function and the method of the same name are the same operation, unless the tables say why not."""
    for name, op in functions.METHODS.items():
        function = functions.FUNCTIONS.get(f"torch.{name}")
        if function is not None:
            assert (op.name, op.kind, op.inplace) == (function.name, function.kind, function.inplace), name
    for name, layer in TORCH_LAYERS.items():
        known = functions.FUNCTIONS.get(f"torch.nn.functional.{layer.op.name}")
        if known is not None and name not in ("GLU",):
            assert known.kind is layer.op.kind, name


# --- layers in train and eval mode -----------------------------------------------------------------------------------

CONSTRUCTORS: dict[str, Callable[[], nn.Module]] = {
    "Bilinear": lambda: nn.Bilinear(8, 8, 4),
    "ChannelShuffle": lambda: nn.ChannelShuffle(2),
    "CrossMapLRN2d": lambda: nn.CrossMapLRN2d(2),
    "Embedding": lambda: nn.Embedding(10, 8),
    "EmbeddingBag": lambda: nn.EmbeddingBag(10, 8),
    "Fold": lambda: nn.Fold((4, 4), 2),
    "FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(2, output_size=4),
    "FractionalMaxPool3d": lambda: nn.FractionalMaxPool3d(2, output_size=4),
    "GroupNorm": lambda: nn.GroupNorm(2, 8),
    "Identity": lambda: nn.Identity(),
    "LayerNorm": lambda: nn.LayerNorm(8),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(2),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "PixelUnshuffle": lambda: nn.PixelUnshuffle(2),
    "RMSNorm": lambda: nn.RMSNorm(8),
    "Threshold": lambda: nn.Threshold(0.1, 0.0),
    "Transformer": lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
    "TransformerDecoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 1),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
    "TransformerEncoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, 0.5, batch_first=True),
    "LSTM": lambda: nn.LSTM(8, 8, 2, dropout=0.5),
    "GRU": lambda: nn.GRU(8, 8, 2, dropout=0.5),
    "RNN": lambda: nn.RNN(8, 8, 2, dropout=0.5),
    "Unflatten": lambda: nn.Unflatten(1, (2, 4)),
    "Upsample": lambda: nn.Upsample(scale_factor=2),
    "UpsamplingBilinear2d": lambda: nn.UpsamplingBilinear2d(scale_factor=2),
    "UpsamplingNearest2d": lambda: nn.UpsamplingNearest2d(scale_factor=2),
    "Sequential": lambda: nn.Sequential(nn.Linear(8, 8)),
}
NO_FORWARD = {"ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
ARGUMENTS: dict[str, float] = {
    "num_features": 8,
    "in_channels": 8,
    "out_channels": 8,
    "in_features": 8,
    "out_features": 8,
    "input_size": 8,
    "hidden_size": 8,
}
ARGUMENTS |= {"kernel_size": 2, "padding": 1, "output_size": 4, "norm_type": 2, "value": 0.0, "dim": 1}


def build(name: str) -> nn.Module:
    if name in CONSTRUCTORS:
        return CONSTRUCTORS[name]()
    cls = getattr(nn, name)
    required = [
        p.name for p in inspect.signature(cls.__init__).parameters.values() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    given = {param: ARGUMENTS[param] for param in required if param in ARGUMENTS}
    if "dim" in TORCH_LAYERS[name].op.params and name != "GLU":
        given["dim"] = 1
    if "track_running_stats" in TORCH_LAYERS[name].op.params:
        given["track_running_stats"] = True
    module: nn.Module = cls(**given)
    return module


def inputs(name: str) -> tuple[Any, ...]:
    torch.manual_seed(1)
    x = {"1": torch.randn(2, 8, 8), "2": torch.randn(2, 8, 8, 8), "3": torch.randn(2, 8, 8, 8, 8)}.get(name[-2:-1], torch.randn(4, 8))
    if name in ("Embedding", "EmbeddingBag"):
        return (torch.randint(10, (4, 3)),)
    if name.startswith("MaxUnpool"):
        indices = torch.zeros(2, 8, *[4] * int(name[-2]), dtype=torch.long)
        return (torch.randn(indices.shape), indices)
    if name in ("Bilinear", "CosineSimilarity", "PairwiseDistance"):
        return (x, torch.randn(4, 8))
    if name == "Fold":
        return (torch.randn(2, 8, 9),)
    if name in ("PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Unfold", "LocalResponseNorm", "Upsample"):
        return (torch.randn(2, 8, 8, 8),)
    if name in ("LSTM", "GRU", "RNN", "TransformerEncoder", "TransformerEncoderLayer"):
        return (torch.randn(5, 3, 8),)
    if name in ("Transformer", "TransformerDecoder", "TransformerDecoderLayer"):
        return (torch.randn(3, 5, 8), torch.randn(3, 5, 8))
    if name == "MultiheadAttention":
        return (torch.randn(3, 5, 8),) * 3
    return (x,)


def run(module: nn.Module, arguments: tuple[Any, ...], train: bool) -> list[Any]:
    torch.manual_seed(2)
    with torch.no_grad():
        result = module.train(train)(*arguments)
    flat = [result] if torch.is_tensor(result) else [part for part in result if torch.is_tensor(part)]
    return [*flat, *(buffer.clone() for buffer in module.buffers())]


def sensitive(name: str, module: nn.Module) -> bool:
    arguments = inputs(name)
    run(module, arguments, True)  # lazy layers take their shape
    return any(
        not torch.allclose(a.double(), b.double(), atol=1e-5) for a, b in zip(run(module, arguments, True), run(module, arguments, False))
    )


@pytest.mark.parametrize("name", sorted(set(TORCH_LAYERS) - NO_FORWARD - {"SyncBatchNorm"}))
def test_mode(name: str) -> None:
    assert sensitive(name, build(name)) is TORCH_LAYERS[name].mode


@pytest.mark.parametrize("name", sorted(name for name, layer in TORCH_LAYERS.items() if layer.mode_off and name != "SyncBatchNorm"))
def test_mode_off(name: str) -> None:
    """Each alternative of `mode_off` makes the layer indifferent to the mode."""
    layer, cls = TORCH_LAYERS[name], getattr(nn, name)
    for alternative in layer.mode_off.split("|"):
        param, _, value = alternative.partition("=")
        switched = {param: default(value)} | ({"dropout": 0.5} if param == "num_layers" else {})
        if name.startswith("Transformer"):
            module = cls(**{"d_model": 8, "nhead": 2, "dim_feedforward": 16, "batch_first": True} | switched)
        elif name == "MultiheadAttention":
            module = cls(8, 2, batch_first=True, **switched)
        elif layer.op.kind is Kind.RECURRENT:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = cls(8, 8, **{"num_layers": 2} | switched)
        else:
            module = cls(*([8] if "num_features" in layer.op.params else []), **switched)
        assert not sensitive(name, module), alternative


def output(module: nn.Module, x: Any) -> Any:
    torch.manual_seed(3)
    return module.train()(x)


@pytest.mark.parametrize(
    "name", sorted(name for name, layer in TORCH_LAYERS.items() if layer.op.kind is Kind.NORM and name != "SyncBatchNorm")
)
def test_cancels_bias(name: str) -> None:
    """A constant added per channel disappears in the norm exactly where the table says so."""
    x = inputs(name)[0]
    constant = torch.randn(8).view(1, 8, *[1] * (x.dim() - 2))
    module = build(name)
    assert torch.allclose(output(module, x), output(module, x + constant), atol=1e-3) is TORCH_LAYERS[name].cancels_bias


@pytest.mark.parametrize("name", sorted(name for name, layer in TORCH_LAYERS.items() if layer.bias))
def test_bias_can_be_switched_off(name: str) -> None:
    layer = TORCH_LAYERS[name]
    assert dict(layer.defaults)[layer.bias] is True
    assert "bias" in inspect.signature((nn.RNNBase if name in ("LSTM", "GRU", "RNN") else getattr(nn, name)).__init__).parameters


@pytest.mark.parametrize("name", sorted(name for name, layer in TORCH_LAYERS.items() if layer.op.results == 2))
def test_layers_with_two_results(name: str) -> None:
    assert len(build(name)(*inputs(name))) == 2


def test_containers() -> None:
    assert {name: layer.container for name, layer in TORCH_LAYERS.items() if layer.container} == {
        "Sequential": "sequential",
        "ModuleList": "list",
        "ModuleDict": "dict",
        "ParameterList": "parameters",
        "ParameterDict": "parameters",
    }


# --- losses ----------------------------------------------------------------------------------------------------------

N, C = 16, 5


def logits_and_targets() -> tuple[Any, Any, Any, Any]:
    torch.manual_seed(4)
    x = torch.randn(N, C, dtype=torch.double) * 2
    binary = torch.randint(2, (N, C)).double()
    return x, torch.randint(C, (N,)), binary, binary * 2 - 1


def test_losses_of_logits() -> None:
    x, classes, binary, signs = logits_and_targets()
    f, log_sigmoid = nn.functional, nn.functional.logsigmoid
    by_hand = {
        "cross_entropy": (classes, -x.log_softmax(1)[torch.arange(N), classes].mean()),
        "binary_cross_entropy_with_logits": (binary, -(binary * log_sigmoid(x) + (1 - binary) * log_sigmoid(-x)).mean()),
        "multilabel_soft_margin_loss": (binary, -(binary * log_sigmoid(x) + (1 - binary) * log_sigmoid(-x)).mean()),
        "soft_margin_loss": (signs, -log_sigmoid(signs * x).mean()),
    }
    for name, (target, expected) in by_hand.items():
        loss = losses.LOSSES[f"torch.nn.functional.{name}"]
        assert loss.wants is Wants.LOGITS
        assert loss.activation == ("softmax" if name == "cross_entropy" else "sigmoid")
        assert torch.allclose(getattr(f, name)(x, target), expected), name
    # idempotent: log-probabilities are logits too
    assert torch.allclose(f.cross_entropy(x, classes), f.cross_entropy(x.log_softmax(1), classes))
    # margins compare scores without normalising them: they grow with the scale of the input
    for name, target in (("multi_margin_loss", classes), ("multilabel_margin_loss", binary.long())):
        loss = losses.LOSSES[f"torch.nn.functional.{name}"]
        assert (loss.wants, loss.activation) == (Wants.LOGITS, "")
        assert getattr(f, name)(x * 100, target) > getattr(f, name)(x, target) * 10


def test_losses_of_probabilities_and_log_probabilities() -> None:
    x, classes, binary, _ = logits_and_targets()
    f, log_p, p = nn.functional, x.log_softmax(1), x.softmax(1)
    assert torch.allclose(f.nll_loss(log_p, classes), f.cross_entropy(x, classes))
    assert torch.allclose(f.binary_cross_entropy(x.sigmoid(), binary), f.binary_cross_entropy_with_logits(x, binary))
    assert torch.allclose(f.kl_div(log_p, p, reduction="batchmean"), torch.zeros((), dtype=torch.double), atol=1e-12)
    by_hand = (p * (p.log() - x.flip(0).log_softmax(1))).sum(1).mean()
    assert torch.allclose(f.kl_div(x.flip(0).log_softmax(1), p, reduction="batchmean"), by_hand)
    with pytest.raises(RuntimeError):
        f.binary_cross_entropy(x, binary)
    wants = {name: losses.LOSSES[f"torch.nn.functional.{name}"] for name in ("nll_loss", "binary_cross_entropy", "kl_div", "ctc_loss")}
    assert {name: loss.wants for name, loss in wants.items()} == {
        "nll_loss": Wants.LOG_PROBABILITIES,
        "binary_cross_entropy": Wants.PROBABILITIES,
        "kl_div": Wants.LOG_PROBABILITIES,
        "ctc_loss": Wants.LOG_PROBABILITIES,
    }
    # one frame, one label: the loss is minus its log-probability
    frame, one = log_p[:1].unsqueeze(0), torch.ones(1, 1, dtype=torch.long)
    assert torch.allclose(f.ctc_loss(frame, one, torch.tensor([1]), torch.tensor([1])), -log_p[0, 1])


def test_floor_of_multiclass_losses() -> None:
    """`multiclass`: fed with probabilities, the loss cannot fall below ln(e + C - 1) - 1."""
    best = torch.eye(10)
    floor = torch.log(torch.e + torch.tensor(9.0)) - 1
    assert losses.LOSSES["torch.nn.CrossEntropyLoss"].multiclass
    assert torch.allclose(nn.functional.cross_entropy(best, torch.arange(10)), floor)
    assert abs(float(floor) - 1.4612) < 1e-4


def test_class_and_function_agree() -> None:
    for name, loss in losses.LOSSES.items():
        function = losses.LOSSES.get(f"torch.nn.functional.{loss.name}")
        if name.startswith("torch.nn.") and function is not None:
            assert (loss.wants, loss.activation, loss.needs, loss.multiclass) == (
                function.wants,
                function.activation,
                function.needs,
                function.multiclass,
            )


# --- the rest --------------------------------------------------------------------------------------------------------


def test_loader_parameters() -> None:
    real = tuple(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)[1:]
    mine = data.LOADERS["torch.utils.data.DataLoader"]
    assert mine == real[: len(mine)]


def test_wrappers_take_the_network_where_the_table_says() -> None:
    for name, param in {**networks.WRAPPERS, **networks.COPIES}.items():
        if name.startswith(("torch.", "copy.")):
            assert param in inspect.signature(resolve(name)).parameters, name


def test_returns_self() -> None:
    for name in networks.RETURNS_SELF:
        assert hasattr(nn.Module, name)
    module = nn.Linear(1, 1)
    for name in ("eval", "train", "requires_grad_", "float", "double", "cpu", "share_memory"):
        assert getattr(module, name)() is module


def test_closures_are_needed() -> None:
    parameter = nn.Parameter(torch.ones(1))
    with pytest.raises(TypeError):
        torch.optim.LBFGS([parameter]).step()


def test_layer_tables_hold_together() -> None:
    for name, layer in layers.LAYERS.items():
        assert isinstance(layer, Layer)
        for param in (layer.bias, layer.out, layer.holds):
            assert not param or param in layer.op.params, name
        for alternative in filter(None, layer.mode_off.split("|")):
            assert alternative.partition("=")[0] in layer.op.params, name
        assert layer.mode or not layer.mode_off, name
