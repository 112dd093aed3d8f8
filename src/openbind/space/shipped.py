"""Items that ship, with which a changed space is compared with the one that it was made from."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path
from typing import Any

ITEMS = 16
"""Of a modality."""
_TABLES = ("samples/samples.csv", "held_out/held_out.csv")


def shipped_items(modality: str, *, others: bool = False) -> list[Any]:
    """Return items of a modality, spread over what ships; fewer where fewer do, or none.

    Args:
        modality: its name.
        others: return different items, where there are enough.
    """
    assets = Path(str(files("openbind"))) / "assets"
    found = [item for table in _TABLES for item in _read(assets / table, modality)]
    found = list(dict.fromkeys(found))
    step = max(1, len(found) // ITEMS)
    return found[step // 2 if others else 0 :: step][:ITEMS]


def _read(table: Path, modality: str) -> list[Any]:
    """Return the paths, or texts, of a table's rows of a modality."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == modality]
    return [(table.parent / row["path"]).resolve() if row["path"] else row["title"] for row in rows]
