"""RoadScene: 221 street scenes in visible light and long-wave infrared (Xu et al. 2020)."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.collection import CollectionItem, ItemSet, SetSide
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.pair_retrieval import PairRetrieval
from openbind.evaluation.tasks.task import Side

TITLE = "RoadScene"
VISIBLE, THERMAL = "visible", "thermal"
"""Folders of the two sides; an image has the same name in both."""

PHRASES = (
    "a street at night with cars",
    "cars on a road",
    "a highway",
    "people cross a street",
    "a person on a bicycle",
    "a street with houses",
    "a road with trees",
    "an empty road",
)
"""Texts whose neighbors a report shows; images have no labels, so no number depends on them."""


def read(data: Path) -> tuple[PairRetrieval, ...]:
    """Read the pairs; the two images of a pair are registered pixel by pixel.

    Raises:
        InputError: a folder is missing, or an image has no partner.
    """
    names = read_names(data)
    task = PairRetrieval(
        name="retrieval",
        modality="thermal",
        items=[data / THERMAL / name for name in names],
        other=Side(modality="image", items=[data / VISIBLE / name for name in names]),
    )
    return (task,)


def read_names(data: Path) -> list[str]:
    """Return the file names of the pairs.

    Raises:
        InputError: a folder is missing, or an image has no partner.
    """
    require("RoadScene", data, VISIBLE, THERMAL)
    visible, thermal = (
        {path.name for path in (data / side).glob("*.jpg")} for side in (VISIBLE, THERMAL)
    )
    unpaired = sorted(visible ^ thermal)
    if unpaired:
        raise InputError(data, f"{unpaired[0]} is in only one of {VISIBLE} and {THERMAL}")
    if not visible:
        raise InputError(data, f"no *.jpg in {VISIBLE} and {THERMAL}")
    return sorted(visible)


def read_set(data: Path) -> ItemSet:
    """Return the pairs as a set of items, with texts to search for them.

    Raises:
        InputError: a folder is missing, or an image has no partner.
    """
    names = read_names(data)

    def list_side(folder: str) -> SetSide:
        items = (
            CollectionItem(title=Path(name).stem, path=data / folder / name, pair=name, set=TITLE)
            for name in names
        )
        return SetSide(items=tuple(items))

    texts = tuple(CollectionItem(title=phrase, set=TITLE) for phrase in PHRASES)
    sides = {
        "image": list_side(VISIBLE),
        "thermal": list_side(THERMAL),
        "text": SetSide(items=texts),
    }
    return ItemSet(title=TITLE, sides=sides)


SUITE = Suite(
    title=TITLE,
    layout=f"{VISIBLE}/*.jpg\n{THERMAL}/*.jpg, of the same names",
    origin="https://github.com/hanna-xu/RoadScene",
    license="for research; the images belong to FLIR",
    read=read,
)
