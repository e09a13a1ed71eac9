"""A linter that knows how neural networks are trained."""

__version__ = "0.1.0"
