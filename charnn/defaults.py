"""Nothing enters; the values leave that a command and the Python call of the same name take where nothing is said.

They stand apart from the modules that use them, so that ``charnn --help`` can name them without loading NumPy.
"""

from __future__ import annotations

SAMPLE_LENGTH = 500
TEMPERATURE = 1.0

UNKNOWN = ("error", "nearest", "skip")
"""What may be done about characters that a network has never seen; the first where nothing is said."""

ALTERNATIVES = 3
"""Characters shown that were expected instead of each one."""

NEURON_CHARACTERS = 50_000
"""Characters of a text on which units are looked at."""

GRADIENT_STEPS = 256
GRADIENT_POSITIONS = 128
GRADIENT_SEED = 1
"""How far gradients are followed back, from how many losses, and the seed that these are drawn by."""

EXPORT_DTYPE = "float16"
"""Precision of the weights in a page."""

COMPARE_PARAMETERS = 200_000
COMPARE_BUDGET = "5m"
"""Size and training time of each network of a comparison."""
