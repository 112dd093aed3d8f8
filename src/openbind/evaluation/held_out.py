"""Sets of items that the starter was not trained on: those that ship, and those found on disk."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from openbind.configs import from_dict
from openbind.evaluation.collection import Item
from openbind.modalities import TEXT

TABLE = "held_out.csv"


@dataclass(frozen=True, kw_only=True)
class HeldOutRow:
    """One row of `held_out.csv`.

    Args:
        path: file, from the table's folder; empty for words.
        modality: what it is.
        label: its class, in one vocabulary for the set; words are a name of that class.
        pair: the scene that it shows, the same for items of other modalities; "" is none.
        set: the set that it belongs to.
        settings: JSON of the modality's settings that its files need (units of depth); "" is none.
        title: its title, or the words themselves.
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


@dataclass(frozen=True, kw_only=True)
class HeldOutSide:
    """The items of one modality.

    Args:
        items: at least one.
        settings: of the modality's preprocessing that the files need.
    """

    items: tuple[Item, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HeldOutSet:
    """Items of several modalities that are searched among each other.

    Args:
        title: of the set.
        sides: modality → its items.
        origins: the data that they were taken from; a space trained on these is warned of.
    """

    title: str
    sides: dict[str, HeldOutSide]
    origins: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Class → the words for it."""
        words = self.sides[TEXT].items if TEXT in self.sides else ()
        labels = dict.fromkeys(item.label for item in words if item.label)
        return {label: tuple(i.title for i in words if i.label == label) for label in labels}


def held_out_folder() -> Path:
    """Where the sets that ship lie."""
    return Path(str(files("openbind"))) / "assets" / "held_out"


def read_rows(folder: Path) -> list[HeldOutRow]:
    """Read the table of a folder of sets."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return [from_dict(HeldOutRow, row) for row in csv.DictReader(file)]


def read_sets(folder: Path) -> list[HeldOutSet]:
    """Read the sets that a table holds, in its order."""
    rows = read_rows(folder)
    titles = dict.fromkeys(row.set for row in rows)
    return [_collect(folder, title, [r for r in rows if r.set == title]) for title in titles]


def _collect(folder: Path, title: str, rows: Sequence[HeldOutRow]) -> HeldOutSet:
    sides = {}
    for modality in dict.fromkeys(row.modality for row in rows):
        own = [row for row in rows if row.modality == modality]
        items = tuple(
            Item(
                title=row.title,
                path=str((folder / row.path).resolve()) if row.path else "",
                label=row.label,
                pair=row.pair,
                set=title,
            )
            for row in own
        )
        settings = json.loads(own[0].settings or "{}")
        sides[modality] = HeldOutSide(items=items, settings=settings)
    origins = dict.fromkeys(_origin(row.source) for row in rows if row.path)
    return HeldOutSet(title=title, sides=sides, origins=tuple(origins))


def _origin(source: str) -> str:
    """Name the data that a row's source is of: "name 1.2 (registry): file" → "name"."""
    return re.sub(r"\s+\d\S*$", "", re.split(r" \(|: ", source)[0])
