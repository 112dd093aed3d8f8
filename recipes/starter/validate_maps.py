"""Compute the card's numbers of thermal and depth on what wasn't trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scenes
from manifests import read_lines
from numpy.typing import NDArray
from validate import EARLIER, measure

import openbind
from openbind.space.card import Measurement

Vectors = NDArray[np.float32]
FLIGHTS = "1"
"""The split of HIT-UAV's flights that `thermal.yaml` leaves out for validation."""


def measure_flights(space: openbind.Space, work: Path) -> list[Measurement]:
    """Name thermal images of one kind of thing by text, of flights that weren't trained on."""
    rows = [row for row in read_lines(work / scenes.THERMAL) if row["split"] == FLIGHTS]
    rows = [row for row in rows if row["label"] in scenes.ABOVE]
    labels = [row["label"] for row in rows]
    names = list(scenes.ABOVE)
    words_KE = space.encode("text", [scenes.ABOVE[name] for name in names])
    score_NK = space.encode("thermal", [row["thermal"] for row in rows]) @ words_KE.T
    right_N = np.array(names)[score_NK.argmax(1)] == np.array(labels)
    data = f"HIT-UAV, thermal images from a drone; flights left out of training{EARLIER}"
    metric = f"accuracy, {len(names)} names"
    return [measure("thermal → text", metric, right_N, 1 / len(names), data, ("thermal", "text"))]


def streets_of(data: Path, *, choosing: bool = False) -> list[Path]:
    """Return RoadScene's images: the second half of its drives, or the first, for choosing."""
    images = sorted((data / "roadscene" / "visible").glob("*.jpg"))
    middle = len(images) // 2
    return images[:middle] if choosing else images[middle:]


def measure_streets(
    space: openbind.Space, data: Path, *, choosing: bool = False
) -> list[Measurement]:
    """Retrieve RoadScene's images by its thermal images; nothing was learned from either."""
    images = streets_of(data, choosing=choosing)
    maps = [data / "roadscene" / "thermal" / path.name for path in images]
    about = "RoadScene, half of it; not trained on; the layout's share was chosen on the other half"
    about += EARLIER
    vectors = space.encode("thermal", maps), space.encode("image", images)
    return measure_views("thermal", *vectors, about)


def rooms_of(work: Path, *, choosing: bool = False) -> list[dict[str, str]]:
    """Return views of every other room with other furniture, or of the rest, for choosing."""
    rows = read_lines(work / scenes.ROOMS / "val.jsonl")
    wanted = sorted({row["scene"] for row in rows})[1 - choosing :: 2]
    return [row for row in rows if row["scene"] in wanted]


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """Views of rendered rooms with other furniture.

    Args:
        clean, spoiled: depth maps as they were rendered, and as a Kinect would have measured them.
        image_NE: vectors of the images of the same views.
        words_KE: of the names of the kinds of rooms.
        own_N: which name is each view's.
    """

    clean: Sequence[Path]
    spoiled: Sequence[Path]
    image_NE: Vectors
    words_KE: Vectors
    own_N: NDArray[np.int64]


def read_rooms(space: openbind.Space, work: Path, *, choosing: bool = False) -> Rooms:
    """Embed the images and names of `rooms_of`."""
    rows = rooms_of(work, choosing=choosing)
    clean, names = [work / row["depth"] for row in rows], sorted({row["label"] for row in rows})
    return Rooms(
        clean=clean,
        spoiled=[scenes.spoil_depth(path, work / scenes.SPOILED) for path in clean],
        image_NE=space.encode("image", [work / row["image"] for row in rows]),
        words_KE=space.encode("text", [f"a {name}" for name in names]),
        own_N=np.array([names.index(row["label"]) for row in rows]),
    )


def measure_rooms(rooms: Rooms, encode: Callable[[Sequence[Path]], Vectors]) -> list[Measurement]:
    """Retrieve rooms by their depth, clean and spoiled, and name them.

    Args:
        rooms: whose depth it is.
        encode: returns the vectors of depth maps.
    """
    found, count = [], len(rooms.words_KE)
    for maps, how in (
        (rooms.clean, ""),
        (rooms.spoiled, ", with noise and holes as of a Kinect"),
    ):
        about = f"Rendered rooms{how}; furniture models that weren't trained on; "
        about += f"settings were chosen on other such rooms{EARLIER}"
        map_NE = encode(maps)
        found += measure_views("depth", map_NE, rooms.image_NE, about)
        right_N = (map_NE @ rooms.words_KE.T).argmax(1) == rooms.own_N
        metric = f"accuracy, {count} names"
        found.append(measure("depth → text", metric, right_N, 1 / count, about, ("depth", "text")))
    return found


def measure_views(
    modality: str, map_NE: Vectors, image_NE: Vectors, data: str
) -> list[Measurement]:
    """Retrieve images by maps of the same view, and maps by images."""
    found = []
    for task, score_QK in (
        (f"{modality} → image of the same view", map_NE @ image_NE.T),
        (f"image → {modality} of the same view", image_NE @ map_NE.T),
    ):
        better_Q: NDArray[np.int64] = (score_QK > np.diag(score_QK)[:, None]).sum(1)
        for rank in (1, 10):
            metric, chance = f"recall@{rank} of {len(map_NE)}", rank / len(map_NE)
            found.append(measure(task, metric, better_Q < rank, chance, data, (modality, "image")))
    return found
