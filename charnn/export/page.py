"""A trained network enters; one self-contained page leaves, in which it writes, reads, and shows what is inside it.

The page holds the weights, the forward pass in plain JavaScript (``web/network.js``) and what is said of the run. Its
security policy lets nothing in: the one script and the one style are named by their SHA-256, and there is no network.
Whatever comes from the run (names, texts, vocabulary) stands in one JSON element, in ASCII and without a < > or &, and
the script shows it as text.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from charnn import __version__
from charnn.errors import ConfigError, printable
from charnn.export.facts import Material, facts_of, name_of
from charnn.network.cells import Array
from charnn.network.state_dict import state_dict
from charnn.runs.snapshot import Snapshot
from charnn.storage.disk import write_output

SCRIPTS = (
    *("network.js", "random.js", "text.js", "sampling.js", "findings.js"),
    *("dom.js", "write.js", "units.js", "read.js", "about.js", "main.js"),
)
"""In the order in which a reader may take them: what computes, then what shows."""

CELLS = frozenset({"vanilla", "lstm", "gru"})
"""The cells that ``web/network.js`` knows."""

DTYPES = ("float16", "float32")


def write_page(loaded: Snapshot, path: Path, material: Material, dtype: str) -> int:
    """Write the page of a run to ``path``, whole or not at all; its size in bytes is returned.

    Raises ConfigError for a network that the page cannot hold, StorageError.
    """
    check_name(path)
    text = page(loaded, material, dtype)
    write_output(path, text)
    return len(text.encode())


def page(loaded: Snapshot, material: Material, dtype: str) -> str:
    """The page as one text. Raises ConfigError for a network that it cannot hold."""
    check_cell(loaded.model.shape.cell)
    arrays = state_dict(loaded.model)
    facts = facts_of(loaded, material) | {
        "dtype": dtype,
        "arrays": [[name, list(array.shape)] for name, array in arrays.items()],
    }
    style, script = _part("page.css"), "\n".join(map(_part, SCRIPTS))
    return _filled(
        _part("page.html"),
        {
            "title": html.escape(name_of(loaded)),
            "version": __version__,
            "style": style,
            "style_hash": _sha256(style),
            "script": script,
            "script_hash": _sha256(script),
            "facts": harmless_json(facts),
            "weights": b64encode(packed(arrays, dtype)).decode("ascii"),
        },
    )


def check_name(path: Path) -> None:
    """Raises ConfigError for a file whose name does not say that it is a page."""
    if path.suffix.lower() != ".html":
        raise ConfigError(f"cannot tell what to write into {printable(str(path))[:200]}", "let its name end in .html")


def check_cell(name: str) -> None:
    """Raises ConfigError for a cell that the page does not know: one of the reader's own."""
    if name not in CELLS:
        known = ", ".join(sorted(CELLS))
        raise ConfigError(f"a page cannot hold the {name} cell", f"its script knows these: {known}")


def packed(arrays: Mapping[str, Array], dtype: str) -> bytes:
    """All arrays one after the other, little-endian. Raises ConfigError for numbers beyond what 16 bits can hold."""
    if dtype not in DTYPES:
        raise ConfigError(f"dtype is {printable(str(dtype))[:40]}", f"one of: {', '.join(DTYPES)}")
    kind = np.dtype(dtype).newbyteorder("<")
    with np.errstate(over="ignore"):
        narrow = {name: array.astype(kind) for name, array in arrays.items()}
    for name, array in narrow.items():
        if not np.isfinite(array).all():
            raise ConfigError(f"{name} has weights too large for 16-bit floats", "take --dtype float32")
    return b"".join(array.tobytes() for array in narrow.values())


def harmless_json(value: Any) -> str:
    """JSON that no HTML parser mistakes for markup: ASCII, with < > and & as escapes."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with every {{name}} replaced, once and all at the same time: a part may hold anything."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _part(name: str) -> str:
    return files("charnn.export").joinpath("web").joinpath(name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
