"""Columns are the same in memory and mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openbind.data.columns import ColumnWriter, TextWriter, map_texts

TEXTS = ["", "a.png", "Über/ä.wav", "\udcff.png", "a\0b\n", ""]


@pytest.mark.parametrize("on_disk", [False, True])
def test_columns(tmp_path: Path, on_disk: bool) -> None:
    """Values come back in order, more than are written at once too; no value is fine."""
    writer = ColumnWriter(tmp_path / "n" if on_disk else None, "<f8")
    for number in range(40_000):
        writer.add(number / 2)
        if number % 9_000 == 0:
            writer.flush()
    assert np.array_equal(writer.finish(), np.arange(40_000) / 2)
    empty = ColumnWriter(tmp_path / "e" if on_disk else None, "<i8").finish()
    assert (len(empty), empty.dtype) == (0, np.int64)


@pytest.mark.parametrize("on_disk", [False, True])
def test_texts(tmp_path: Path, on_disk: bool) -> None:
    """Texts come back, names that aren't UTF-8 too."""
    writer = TextWriter(tmp_path if on_disk else None, "t")
    for text in TEXTS:
        writer.add(text)
        if text == TEXTS[2]:
            writer.flush()
    found = writer.finish()
    assert list(found) == TEXTS
    assert found[1:3] == TEXTS[1:3]
    if on_disk:
        assert list(map_texts(tmp_path, "t")) == TEXTS
