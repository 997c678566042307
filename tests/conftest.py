"""Fixtures of several test modules."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a text may be written."""
    return tmp_path / "text.txt"
