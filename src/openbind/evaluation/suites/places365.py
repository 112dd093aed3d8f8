"""Places365-Standard, validation split: 36,500 images of 365 scenes (Zhou et al. 2017)."""

from __future__ import annotations

import re
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.classification import Classification

NAMES, LABELS, IMAGES = "categories_places365.txt", "places365_val.txt", "val_256"


def read(data: Path) -> tuple[Classification, ...]:
    """Read the images and the names of scenes.

    Raises:
        InputError: a file is missing, or a line is malformed.
    """
    require("Places365", data, NAMES, LABELS, IMAGES)
    names = {index: name_scene(place) for place, index in read_pairs(data / NAMES)}
    order = sorted(names)
    labels = read_pairs(data / LABELS)
    for image, index in labels:
        if index not in names:
            raise InputError(data / LABELS, f"{image}: class {index} isn't in {NAMES}")
    task = Classification(
        name="zero-shot",
        modality="image",
        items=[data / IMAGES / image for image, _ in labels],
        targets=[(order.index(index),) for _, index in labels],
        classes=[(names[index],) for index in order],
        templates=CLIP_TEMPLATES,
    )
    return (task,)


def read_pairs(path: Path) -> list[tuple[str, int]]:
    """Return the names and numbers of a file's lines.

    Raises:
        InputError: a malformed line, or none.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = re.fullmatch(r"(\S+) (\d+)\s*", line)
        if match is None:
            raise InputError(path, f"line {number}: expected a name and a number, found {line!r}")
        found.append((match[1], int(match[2])))
    if not found:
        raise InputError(path, "empty file")
    return found


def name_scene(place: str) -> str:
    """Turn "/b/basketball_court/indoor" into "basketball court indoor"."""
    return re.sub(r"[_/]", " ", re.sub(r"^/\w/", "", place))


SUITE = Suite(
    title="Places365-Standard, validation split",
    layout=f"{NAMES} (/a/airfield 0)\n{LABELS} (Places365_val_00000001.jpg 165)\n{IMAGES}/*.jpg",
    origin="https://places2.csail.mit.edu",
    license="images for non-commercial research and teaching",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.454,
            where="ImageBind, Table 2; OpenCLIP's",
            count=36_500,
            choices=365,
        ),
    ),
    overlaps=("Places",),
)
