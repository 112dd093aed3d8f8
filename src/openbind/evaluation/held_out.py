"""The held-out sets that ship: items that the starter was not trained on."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from openbind.configs import from_dict
from openbind.evaluation.collection import CollectionItem, Credit, ItemSet, SetSide

TABLE = "held_out.csv"


@dataclass(frozen=True, kw_only=True)
class HeldOutRow:
    """One row of `held_out.csv`.

    Args:
        path: file, relative to the table's folder; empty for texts.
        modality: what it is embedded as.
        label: its class, in one vocabulary for the set; a text is a name of its class.
        pair: the scene that it shows, shared by items of other modalities; "" is none.
        set: the set that it belongs to.
        settings: JSON of the preprocessing settings that its files need (units of depth); "" is
            none.
        title: its title, or the text.
        author, license, source, sha256: where it comes from and how it may be used.
    """

    path: str
    modality: str
    label: str
    pair: str
    set: str
    settings: str
    title: str
    author: str
    license: str
    source: str
    sha256: str


def held_out_folder() -> Path:
    """Return the folder of the sets that ship."""
    return Path(str(files("openbind"))) / "assets" / "held_out"


def read_rows(folder: Path) -> list[HeldOutRow]:
    """Return the rows of a folder's table."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return [from_dict(HeldOutRow, row) for row in csv.DictReader(file)]


def read_sets(folder: Path) -> list[ItemSet]:
    """Return the sets of a folder's table, in its order."""
    rows = read_rows(folder)
    titles = dict.fromkeys(row.set for row in rows)
    return [_collect(folder, title, [r for r in rows if r.set == title]) for title in titles]


def _collect(folder: Path, title: str, rows: Sequence[HeldOutRow]) -> ItemSet:
    sides = {}
    for modality in dict.fromkeys(row.modality for row in rows):
        own = [row for row in rows if row.modality == modality]
        items = tuple(
            CollectionItem(
                title=row.title,
                path=(folder / row.path).resolve() if row.path else None,
                label=row.label,
                pair=row.pair,
                set=title,
                credit=Credit(author=row.author, license=row.license, source=row.source),
            )
            for row in own
        )
        settings = json.loads(own[0].settings or "{}")
        sides[modality] = SetSide(items=items, settings=settings)
    origins = dict.fromkeys(_origin(row.source) for row in rows if row.path)
    return ItemSet(title=title, sides=sides, origins=tuple(origins))


def _origin(source: str) -> str:
    """Return the name of a row's source: "name 1.2 (registry): file" → "name"."""
    return re.sub(r"\s+\d\S*$", "", re.split(r" \(|: ", source)[0])
