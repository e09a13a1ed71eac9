"""The shapes of the knowledge tables: what a library's name means, as data.

Qualified names are the public spelling (`torch.nn.functional.softmax`); `nnlint.knowledge.names` maps other spellings to it.
"""

from __future__ import annotations

from enum import Enum
from typing import Union

import msgspec


class Kind(str, Enum):
    """What an operation makes of the values of its input."""

    KEEP = "keep"  # the same values in the same or another arrangement: view, cat, indexing, dtype and device moves, dropout, identity
    DETACH = "detach"  # KEEP, but cut from the graph: detach, .data, numpy
    AFFINE = "affine"  # unbounded outputs from weights: linear, conv, bilinear, embedding
    PROBABILITY = "probability"  # softmax, sigmoid, gumbel_softmax, softmin
    LOG_PROBABILITY = "log-probability"  # log_softmax, logsigmoid
    ACTIVATION = "activation"  # every other pointwise nonlinearity used between layers: relu, tanh, gelu, elu ...
    NORM = "norm"  # batch_norm, layer_norm, ...
    RECURRENT = "recurrent"  # rnn, lstm, gru and their cells
    ATTENTION = "attention"  # multi_head_attention, scaled_dot_product_attention, transformer layers
    POOL = "pool"  # max_pool, avg_pool, adaptive pools: monotone or mean of values
    RESAMPLE = "resample"  # interpolate, upsample, pixel_shuffle, grid_sample
    REDUCE = "reduce"  # sum, mean, norm, max over a dim
    LOG = "log"
    EXP = "exp"
    CLAMP = "clamp"
    ARITHMETIC = "arithmetic"  # add, mul, matmul, einsum, pow ...
    DECISION = "decision"  # argmax, topk indices, comparisons, round, sign: no gradient passes
    LOSS = "loss"
    SOURCE = "source"  # new tensors that depend on no input: randn, zeros, tensor, arange, from_numpy, torch.load
    HOST = "host"  # leaves torch: .item(), .tolist(), .numpy()


SCORES = (Kind.PROBABILITY, Kind.LOG_PROBABILITY)

Default = Union[None, bool, int, float, str]


class Op(msgspec.Struct, frozen=True):
    """One operation, the same whether spelled as a layer, a function or a tensor method.

    `name` is canonical ("softmax", "conv2d", "linear", "view"); `params` are the call's parameters in order, the tensor input first,
    without `self`: a function has its tensor as first parameter, a tensor method does not list its receiver. For a layer, `params` are
    those of its constructor and the input is the argument of the call.
    """

    name: str
    kind: Kind
    params: tuple[str, ...] = ()
    many: bool = False  # the first argument is a sequence of tensors (cat, stack) or the tensors come as *args
    inplace: bool = False  # always works in place (methods with a trailing underscore)
    results: int = 1  # 2 for (values, indices), (output, hidden) ...; 0 for "a sequence of unknown length"
    rest: str = ""  # the parameter that takes all remaining positional arguments: view(2, 3) and view((2, 3)) are the same
    defaults: tuple[tuple[str, Default], ...] = ()  # of parameters, where they matter
    mode: str = ""  # the parameter that says "train mode": F.dropout(training=), torch.dropout(train=), F.batch_norm(training=)


class Layer(msgspec.Struct, frozen=True):
    """One `nn.Module` class of a library."""

    op: Op
    defaults: tuple[tuple[str, Default], ...] = ()  # of the constructor parameters, where they matter
    mode: bool = False  # behaves differently in train and eval mode (Dropout, BatchNorm, RReLU ...)
    mode_off: str = ""  # constructor parameter with the value that makes it indifferent: "p=0", "dropout=0|num_layers=1"
    bias: str = ""  # name of the constructor parameter that switches the additive bias ("bias"), "" where there is none
    cancels_bias: bool = False  # normalises per channel over the batch (BatchNorm, InstanceNorm, SyncBatchNorm)
    out: str = ""  # constructor parameter that holds the number of output features or channels
    container: str = ""  # "sequential", "list", "dict", "parameters" for containers
    holds: str = ""  # constructor parameter that is itself a layer; the mode then matters only as far as it does to that one


class Wants(str, Enum):
    """What a loss wants as its input."""

    LOGITS = "logits"  # applies (log-)softmax or (log-)sigmoid itself
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"
    ANY = "any"  # regression, embedding and margin losses: no claim


class Loss(msgspec.Struct, frozen=True):
    """One loss, the same whether spelled as class or function. `params` of the call; `constructor` of the class."""

    name: str
    wants: Wants
    params: tuple[str, ...] = ("input", "target")
    constructor: tuple[str, ...] = ()
    activation: str = ""  # what it applies itself: "softmax", "sigmoid"
    needs: str = ""  # what the right producer would be: "log_softmax" for nll_loss, "sigmoid" for bce
    multiclass: bool = False  # one class index per row: the floor of the loss is computable


class Factory(msgspec.Struct, frozen=True):
    """A call that returns a whole network of a library. `mode` is the mode it comes in; `mode_sensitive` is None where not known."""

    mode: str = "train"
    mode_sensitive: Union[bool, None] = None


class Framework(msgspec.Struct, frozen=True):
    """A class or function of a library that takes over a part of the training loop; the flags say which."""

    backward: bool = False  # runs backward
    step: bool = False  # steps the optimizer
    zero: bool = False  # zeroes the gradients
    mode: bool = False  # sets train and eval mode as needed
    grad: bool = False  # switches gradients off for evaluation
    criterion: str = ""  # the parameter that holds the loss
    default_loss: str = ""  # the loss where none is given
    log_first: bool = False  # takes the log of probabilities before an NLLLoss: a softmax output is right
    process: str = ""  # the first parameter: the function that it calls with itself and each batch


class Hook(msgspec.Struct, frozen=True):
    """A method that a framework calls on the user's class: in which mode, with gradients or not, whether its result is trained on."""

    mode: str = ""  # "train", "eval" or "" where no network need be in any mode
    grad: bool = True
    trained: bool = False  # the returned loss is backpropagated and stepped on
    batch: str = ""  # the parameter that receives a batch
    counted: bool = False  # the parameters behind it are the numbers of batch, data loader, optimizer
    module: str = ""  # the parameter that receives the module, the same for all hooks of an object
    each: bool = False  # called for every training batch
    optimizers: bool = False  # returns the optimizers


class Dataset(msgspec.Struct, frozen=True):
    """A ready-made data set: the parameter that chooses the split, and its values for training and for evaluation."""

    split: str = ""
    train: tuple[Default, ...] = ()
    evaluation: tuple[Default, ...] = ()
    transform: str = "transform"
    default: Default = None  # of the split parameter
