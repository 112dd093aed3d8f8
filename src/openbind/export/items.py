"""Items that ship, with which an exported space is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openbind.evaluation.held_out import HeldOutRow, held_out_folder, read_rows
from openbind.evaluation.samples import SampleItem, read_samples, samples_folder

ITEMS = 16
"""Of a modality."""


def shipped_items(modality: str, *, others: bool = False) -> list[Any]:
    """Return items of a modality, spread over what ships; fewer where fewer do, or none.

    Args:
        modality: its name.
        others: return different items, where there are enough.
    """
    samples, held_out = samples_folder(), held_out_folder()
    rows: list[tuple[Path, SampleItem | HeldOutRow]] = []
    rows += [(samples, row) for row in read_samples(samples)]
    rows += [(held_out, row) for row in read_rows(held_out)]
    found = [_item(folder, row.path, row.title) for folder, row in rows if row.modality == modality]
    found = list(dict.fromkeys(found))
    step = max(1, len(found) // ITEMS)
    return found[step // 2 if others else 0 :: step][:ITEMS]


def _item(folder: Path, path: str, title: str) -> Any:
    return (folder / path).resolve() if path else title
