"""Measure the cosines of unrelated pairs for the card.

Items are described by a caption or by the name of their class. Two are related if their
descriptions are alike; all other pairs are unrelated.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from photographs import read_captioned, read_named
from sounds import read_recordings

import openbind
from openbind.space.calibration import Unrelated, measure_unrelated

COUNT = 160
"""Items of each modality, at most."""
ALIKE = 0.4
"""Cosine of the descriptions of related items, at least; unlike things seldom reach it."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """An item and what it is."""

    item: Any
    text: str


def calibrate(space: openbind.Space, data: Path) -> tuple[Unrelated, ...]:
    """Measure all pairs of modalities.

    Args:
        space: with all its towers.
        data: the folder of the data. What is described there was learned from; that unrelated
            pairs of it are as unlike as others' is assumed.
    """
    described = gather(data)
    vectors = {m: space.encode(m, [d.item for d in own]) for m, own in described.items()}
    words = {m: space.encode("text", [d.text for d in own]) for m, own in described.items()}
    for modality in space.modalities:  # frames of videos go through the tower of images
        same = [m for m in described if shares_tower(space, m, modality)]
        if modality not in described and same:
            vectors[modality], words[modality] = vectors[same[0]], words[same[0]]
    return tuple(
        measure_unrelated((a, b), vectors[a], vectors[b], words[a] @ words[b].T >= ALIKE)
        for a, b in combinations_with_replacement(vectors, 2)
    )


def shares_tower(space: openbind.Space, a: str, b: str) -> bool:
    """Return whether two modalities have one tower."""
    return space.config.modalities[a].tower == space.config.modalities[b].tower


def gather(data: Path) -> dict[str, list[Described]]:
    """Return items of each modality; texts are the others' descriptions, captions and names."""
    photographs = [p for p in read_captioned(data) if p.tested][: COUNT // 2]
    named = spread([p for p in read_named(data, "caltech101") if p.tested], COUNT // 2)
    files = {
        "image": [Described(item=p.path, text=p.texts[0]) for p in (*photographs, *named)],
        "audio": [Described(item=r.path, text=r.label) for r in spread(read_recordings(data))],
        "imu": read_motions(data),
        "depth": read_maps(data / "depth", "depth"),
        "thermal": read_maps(data / "hit_uav", "thermal"),
    }
    texts = dict.fromkeys(d.text for own in files.values() for d in own)
    return {"text": [Described(item=text, text=text) for text in texts], **files}


def read_motions(data: Path) -> list[Described]:
    """Return windows of different people and activities as (values_TC, rate)."""
    arrays = np.load(data / "hapt_phone" / "imu.npz")
    values_NTC, rate_hz = arrays["values"].astype(np.float32), float(arrays["rate"])
    pairs = zip(values_NTC, arrays["label"], strict=True)
    return [
        Described(item=(values_TC, rate_hz), text=str(label))
        for values_TC, label in spread(list(pairs))
    ]


def read_maps(folder: Path, column: str) -> list[Described]:
    """Return depth maps or thermal images with the names of what they show."""
    table = next(folder.glob("*.csv"))
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"]]
    return [Described(item=folder / r[column], text=r["label"].lower()) for r in spread(rows)]


def spread(items: Sequence[Any], count: int = COUNT) -> list[Any]:
    """Return at most so many of the items, evenly spread."""
    return list(items[:: max(1, len(items) // count)])[:count]
