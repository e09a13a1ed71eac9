"""The bounds between which activations keep their values."""

from __future__ import annotations

from math import inf

ACTIVATIONS: dict[str, tuple[float, float]] = {
    "relu": (0, inf),
    "relu6": (0, 6),
    "threshold": (0, inf),
    "hardtanh": (-1, 1),
    "tanh": (-1, 1),
    "softsign": (-1, 1),
    "sigmoid": (0, 1),
    "hardsigmoid": (0, 1),
    "softplus": (0, inf),
    "elu": (-1, inf),
    "celu": (-1, inf),
    "selu": (-1.7581, inf),
    "gelu": (-0.17, inf),
    "silu": (-0.2785, inf),
    "mish": (-0.3088, inf),
    "hardswish": (-0.375, inf),
    "relu_squared": (0, inf),
}
