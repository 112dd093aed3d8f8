"""Mosaics of the held-out images and joined held-out sounds: where and when, offline."""

from __future__ import annotations

from pathlib import Path

from openbind.evaluation.collection import ItemSet
from openbind.evaluation.held_out import TABLE, read_sets
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.joined import Joined
from openbind.evaluation.tasks.mosaics import Mosaics, Queries
from openbind.evaluation.tasks.task import Task

LABELED = ("text", "audio", "image")
"""Modalities whose items are of the same class as an image."""
PAIRED = ("depth", "thermal")
"""Modalities whose items show the same scene."""


def read(data: Path) -> tuple[Task, ...]:
    """Read sets of labeled items, or of pairs, in the layout of the sets that ship.

    Raises:
        InputError: a file or a column is missing.
    """
    require("the mosaics", data, TABLE)
    tasks: list[Task] = []
    for held in read_sets(data):
        tasks += _mosaics(held, LABELED, by_pair=False) + _mosaics(held, PAIRED, by_pair=True)
        tasks += _joined(held)
    return tuple(tasks)


def _mosaics(held: ItemSet, modalities: tuple[str, ...], *, by_pair: bool) -> list[Task]:
    """Return mosaics of two sizes, where there are things enough that a query is of."""
    queries = _queries(held, modalities, by_pair=by_pair)
    asked = {key for own in queries.values() for key in own.keys if key}
    images = held.sides.get("image")
    shown = [
        (item.content, key)
        for item in (images.items if images else ())
        if (key := item.pair if by_pair else item.label) in asked
    ]
    return [
        Mosaics(
            name=f"mosaics of {held.title}, {side} × {side}",
            modality="image",
            items=[content for content, _ in shown],
            keys=[key for _, key in shown],
            queries=queries,
            side=side,
            count=count,
        )
        for side, count in (((2, 10),) if by_pair else ((2, 32), (3, 16)))
        if len({key for _, key in shown}) > side**2
    ]


def _joined(held: ItemSet) -> list[Task]:
    queries = _queries(held, ("text", "audio"), by_pair=False)
    if "text" not in queries or "audio" not in queries:
        return []
    sounds = queries["audio"]
    known = set(queries["text"].keys)
    kept = [index for index, key in enumerate(sounds.keys) if key in known]
    if len({sounds.keys[index] for index in kept}) < 3:
        return []
    return [
        Joined(
            name=f"joined sounds of {held.title}",
            modality="audio",
            items=[sounds.items[index] for index in kept],
            keys=[sounds.keys[index] for index in kept],
            queries=queries,
        )
    ]


def _queries(held: ItemSet, modalities: tuple[str, ...], *, by_pair: bool) -> dict[str, Queries]:
    return {
        name: Queries(
            modality=name,
            items=[item.content for item in side.items],
            keys=[item.pair if by_pair else item.label for item in side.items],
            settings=side.settings,
        )
        for name, side in held.sides.items()
        if name in modalities
    }


SUITE = Suite(
    title="Mosaics and joined sounds",
    layout=f"nothing (of the sets that ship), or a folder with a {TABLE} like theirs",
    origin="ships",
    license="of each item, in the table",
    read=read,
    ships=True,
)
