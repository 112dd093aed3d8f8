"""Rows with the same list of items store it once; items without a text stay in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.data.index_writer import index_rows
from openbind.data.pairs import Row


def test_shared_lists_are_stored_once() -> None:
    """Rows with the very same list of items don't repeat it, but for rows with a span."""
    shared = ("a dog", "a cat")
    spans = [None, None, (0.0, 1.0)]
    rows = [Row(key=str(i), items={"text": shared}, span=span) for i, span in enumerate(spans)]
    index = index_rows(rows)
    assert len(index.cells["text"].items) == 4
    assert list(index.rows) == rows


def test_objects(tmp_path: Path) -> None:
    """Items without a text are kept in memory, and refused on disk."""
    rows = [Row(key="a", items={"image": (b"png",), "text": ("x",)})]
    assert list(index_rows(rows).rows) == rows
    with pytest.raises(TypeError, match="bytes can't be stored"):
        index_rows(rows, folder=tmp_path)
