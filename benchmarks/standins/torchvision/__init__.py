"""A stand-in for torchvision, to run public examples without their data: random images of the right shapes, and nothing written."""

from torchvision import datasets, models, transforms, utils

__all__ = ["datasets", "models", "transforms", "utils"]
