"""Items of every built-in modality ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.modalities import MODALITIES
from openbind.space.shipped import ITEMS, shipped_items


@pytest.mark.parametrize("modality", MODALITIES.table)
def test_items_ship(modality: str) -> None:
    found = shipped_items(modality)
    assert 4 <= len(found) <= ITEMS
    assert len(set(found)) == len(found)
    assert all(Path(item).is_file() for item in found if isinstance(item, Path))


def test_other_modalities_have_none() -> None:
    assert shipped_items("smell") == []
