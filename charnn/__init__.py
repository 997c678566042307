"""charnn: character-level recurrent networks in NumPy, trained on any text.

The names below load their modules when first used, so that importing charnn costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from charnn import errors
    from charnn.api import Run, Score, compare, load, train
    from charnn.insight.copies import Copies
    from charnn.sampling.sampler import Sampling
    from charnn.training.events import Finished, Metrics, RolledBack, Saved, Step, Validated, Validating

__all__ = [
    "Copies",
    "Finished",
    "Metrics",
    "RolledBack",
    "Run",
    "Sampling",
    "Saved",
    "Score",
    "Step",
    "Validated",
    "Validating",
    "__version__",
    "compare",
    "errors",
    "load",
    "train",
]

_HOMES = {
    **dict.fromkeys(["Run", "Score", "compare", "load", "train"], "charnn.api"),
    **dict.fromkeys(
        ["Finished", "Metrics", "RolledBack", "Saved", "Step", "Validated", "Validating"], "charnn.training.events"
    ),
    "Copies": "charnn.insight.copies",
    "Sampling": "charnn.sampling.sampler",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "errors":
        return importlib.import_module("charnn.errors")
    raise AttributeError(f"module 'charnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
