"""Groups of duplicates: near the first file, never chained, copies by content."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from openbind.embedding.many import Entry
from openbind.search import duplicates
from openbind.search.duplicates import find_duplicates, group_rows
from openbind.space.vectors import unit_rows


def at_degrees(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_nothing_is_chained() -> None:
    """A row that is near a member but far from the leader is a group of its own, or none."""
    assert group_rows(at_degrees(0, 8, 16, 90, 24), np.cos(np.deg2rad(10))) == [[0, 1], [2, 4]]
    assert group_rows(at_degrees(0, 0, 0), 1.0) == [[0, 1, 2]]
    assert group_rows(np.zeros((0, 2), np.float32), 0.9) == []


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows are compared a few at a time."""
    rng = np.random.default_rng(0)
    centers_CE = unit_rows(rng.normal(size=(9, 8)))
    vectors_KE = unit_rows(np.repeat(centers_CE, 7, axis=0) + 0.02 * rng.normal(size=(63, 8)))
    order_K = rng.permutation(63)
    whole = group_rows(vectors_KE[order_K], 0.97)
    assert sorted(sorted(order_K[group] // 7) for group in whole) == [[c] * 7 for c in range(9)]
    monkeypatch.setattr(duplicates, "BLOCK_NUMBERS", 63 * 4)
    assert group_rows(vectors_KE[order_K], 0.97) == whole


def test_copies_by_content(tmp_path: Path) -> None:
    """The largest file is first; a copy is the same content, not the same size or vector."""
    contents = {"big": b"x" * 9, "copy": b"x" * 9, "other": b"y" * 9, "small": b"x", "lone": b"z"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    vectors_KE = at_degrees(0, 0, 1, 3, 90)
    entries = [Entry("image", tmp_path / name) for name in contents]
    (group,) = find_duplicates(entries, vectors_KE)
    assert [member.path.name for member in group.members] == ["big", "copy", "other", "small"]
    assert [member.is_copy for member in group.members] == [False, True, False, False]
    assert (group.copies, group.near) == (1, 2)
    assert group.members[3].cosine == pytest.approx(np.cos(np.deg2rad(3)), abs=1e-6)
    apart = [Entry("image" if i % 2 else "audio", entry.item) for i, entry in enumerate(entries)]
    found = find_duplicates(apart, vectors_KE)
    assert [[m.path.name for m in each.members] for each in found] == [
        ["big", "other"],
        ["copy", "small"],
    ]
    os.remove(tmp_path / "big")
    with pytest.raises(OSError, match="big"):
        find_duplicates(entries, vectors_KE)
