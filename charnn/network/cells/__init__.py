"""A cell's name enters, its class leaves. Every file in this folder but ``base.py`` is one cell."""

from __future__ import annotations

import importlib

from charnn.network.cells.base import Array, Cell, Views

__all__ = ["Array", "Cell", "Views", "find_cell"]


def find_cell(name: str) -> type[Cell]:
    """The class in ``cells/<name>.py``; the name has been checked by the configuration."""
    module = importlib.import_module(f"charnn.network.cells.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Cell) and value.__module__ == module.__name__:
            return value
    raise LookupError(f"charnn/network/cells/{name}.py defines no subclass of Cell")
