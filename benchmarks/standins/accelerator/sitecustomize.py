"""Stands in for four GPUs: `torch.accelerator` says that there are some, and gives the CPU.

With this folder on PYTHONPATH the scripts of pytorch/examples/distributed/tensor_parallelism that ask for GPUs run with gloo.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name != "torch.accelerator":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            import torch

            run(module)
            vars(module).update(
                is_available=lambda: True, device_count=lambda: 4, current_accelerator=lambda check_available=False: torch.device("cpu")
            )

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
