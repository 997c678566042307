"""charnn: character-level recurrent networks in NumPy, trained on any text.

The names below load their modules when first used, so that importing charnn costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Run", "Sampling", "Score", "__version__", "compare", "errors", "load", "train"]

if TYPE_CHECKING:
    from charnn import errors
    from charnn.api import Run, Score, compare, load, train
    from charnn.sampling.sampler import Sampling

_HOMES = {
    "Run": "charnn.api",
    "Score": "charnn.api",
    "compare": "charnn.api",
    "load": "charnn.api",
    "train": "charnn.api",
    "Sampling": "charnn.sampling.sampler",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "errors":
        return importlib.import_module("charnn.errors")
    raise AttributeError(f"module 'charnn' has no attribute {name!r}")
