"""RoadScene: 221 street scenes in visible light and long-wave infrared (Xu et al. 2020).

The starter was trained on 160 of its pairs; what is measured are the other 61.
"""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.collection import Item
from openbind.evaluation.held_out import HeldOutSet, HeldOutSide
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks import PairRetrieval, Side

TITLE = "RoadScene, the pairs that the starter hasn't seen"
VISIBLE, THERMAL = "visible", "thermal"
"""Folders of the two sides; a image has the same name in both."""

# Numbers of the images that the starter was trained on (recipes/starter/scenes.py).
SEEN = (
    "18 122 211 311 452 455 497 548 550 578 594 691 977 993 1022 1130 1274 1415 1945 3801 3813 "
    "3952 4071 4208 4229 4269 4285 4302 4319 4354 4370 4412 4424 4484 4512 4514 4598 4602 4607 "
    "4625 4688 4722 4929 4968 4975 4997 5005 5016 5044 5053 5072 5095 5102 5105 5108 5230 5245 "
    "5252 5514 5573 5759 5767 5857 5872 5879 5893 5924 5955 5987 6065 6099 6128 6184 6219 6282 "
    "6325 6392 6407 6422 6430 6506 6570 6643 6763 6795 6874 6892 6916 6953 6962 6974 6992 6995 "
    "6997 7012 7028 7060 7081 7119 7125 7176 7190 7206 7209 7360 7365 7399 7427 7428 7433 7504 "
    "7583 7620 7732 7786 7809 7968 7970 8021 8058 8094 8191 8202 8220 8284 8526 8592 8721 8756 "
    "8768 8835 8865 8874 8919 8954 8970 8992 9016 9367 9376 9378 9416 9437 9465 9525 9545 9573 "
    "9616 9652"
)
SEEN_OF_VIDEOS = "69 595 939 1053 1425 2223 2829 3237 3425 4111 4215"

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
"""What a report looks for scenes with: no image has a label, so they are in no number."""


def read(data: Path) -> tuple[PairRetrieval, ...]:
    """Pair the images by their names.

    The images are registered: what is at a place of the one is at the same place of the other.

    Raises:
        InputError: a folder is missing, a image has no partner, or the starter has seen all.
    """
    names = read_names(data)
    task = PairRetrieval(
        name="retrieval",
        modality="thermal",
        paths=[data / THERMAL / name for name in names],
        other=Side(modality="image", paths=[data / VISIBLE / name for name in names]),
    )
    return (task,)


def read_names(data: Path) -> list[str]:
    """Return the names of the pairs that the starter wasn't trained on.

    Raises:
        InputError: a folder is missing, a image has no partner, or the starter has seen all.
    """
    require("RoadScene", data, VISIBLE, THERMAL)
    visible, thermal = (
        {path.name for path in (data / side).glob("*.jpg")} for side in (VISIBLE, THERMAL)
    )
    alone = sorted(visible ^ thermal)
    if alone:
        raise InputError(data, f"{alone[0]} is in only one of {VISIBLE} and {THERMAL}")
    unseen = sorted(visible - seen_names())
    if not unseen:
        raise InputError(
            data,
            f"the starter was trained on each of the {len(visible)} pairs; expected RoadScene's "
            "others as well, it has 221",
        )
    return unseen


def seen_names() -> frozenset[str]:
    """Return the names of the 160 images that the starter was trained on."""
    stems = [f"FLIR_{int(number):05}" for number in SEEN.split()]
    stems += [f"FLIR_video_{int(number):05}" for number in SEEN_OF_VIDEOS.split()]
    return frozenset(f"{stem}.jpg" for stem in stems)


def read_held_out(data: Path) -> HeldOutSet:
    """Return the unseen pairs as a held-out set, with words to look for them.

    Raises:
        InputError: see `read`.
    """
    names = read_names(data)

    def show(folder: str) -> tuple[Item, ...]:
        return tuple(
            Item(title=Path(name).stem, path=str(data / folder / name), pair=name, set=TITLE)
            for name in names
        )

    words = tuple(Item(title=phrase, set=TITLE) for phrase in PHRASES)
    return HeldOutSet(
        title=TITLE,
        sides={
            "image": HeldOutSide(items=show(VISIBLE)),
            "thermal": HeldOutSide(items=show(THERMAL)),
            "text": HeldOutSide(items=words),
        },
    )


SUITE = Suite(
    title=TITLE,
    layout=f"{VISIBLE}/*.jpg\n{THERMAL}/*.jpg, of the same names; 160 are passed over",
    origin="https://github.com/hanna-xu/RoadScene",
    license="for research; the images are FLIR's",
    read=read,
)
