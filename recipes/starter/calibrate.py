"""Measure the cosines of unrelated pairs for the card: items of different things, all real."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from photographs import read_captioned
from sounds import read_recordings

import openbind
from openbind.space.calibration import Unrelated, measure_unrelated

COUNT = 80
"""Items of each modality, at most."""
MAPS = {"depth": "depth/depth/*.png", "thermal": "hit_uav/*.jpg"}
"""Modality → files below the data's folder."""


def calibrate(space: openbind.Space, data: Path) -> tuple[Unrelated, ...]:
    """Measure all pairs of modalities.

    Args:
        space: with all its towers.
        data: the folder of the data. Photographs and captions are of the test part.
    """
    photographs = [p for p in read_captioned(data) if p.tested][:COUNT]
    recordings = read_recordings(data)
    recordings = recordings[:: max(1, len(recordings) // COUNT)]
    items: dict[str, Sequence[Any]] = {
        "image": [p.path for p in photographs],
        "text": [p.texts[0] for p in photographs],
        "audio": [recording.path for recording in recordings],
        "imu": read_motions(data),
    }
    for modality, pattern in MAPS.items():
        items[modality] = spread(sorted(data.glob(pattern)))
    groups: dict[str, Sequence[Any]] = {name: range(len(own)) for name, own in items.items()}
    groups["audio"] = [recording.label for recording in recordings]
    known = [name for name in items if name in space.modalities and len(items[name]) > 1]
    vectors = {name: space.encode(name, list(items[name])) for name in known}
    found = []
    for a, b in combinations_with_replacement(known, 2):
        paired = a == b or {a, b} == {"image", "text"}
        left, right = np.array(groups[a])[:, None], np.array(groups[b])
        shape = (len(vectors[a]), len(vectors[b]))
        related_NM = left == right if paired else np.zeros(shape, bool)
        found.append(measure_unrelated((a, b), vectors[a], vectors[b], related_NM))
    return tuple(found)


def read_motions(data: Path) -> list[tuple[np.ndarray, float]]:
    """Return windows of different people and activities as (values_TC, rate)."""
    arrays = np.load(data / "hapt_phone" / "imu.npz")
    values_NTC, rate_hz = arrays["values"].astype(np.float32), float(arrays["rate"])
    return [(values_TC, rate_hz) for values_TC in spread(values_NTC)]


def spread(items: Sequence[Any]) -> list[Any]:
    """Return at most `COUNT` of the items, evenly spread."""
    return list(items[:: max(1, len(items) // COUNT)])[:COUNT]
