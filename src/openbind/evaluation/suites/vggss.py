"""VGG-SS: about 5,000 frames of VGGSound with boxes around what sounds (Chen et al. 2021)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.regions import Regions, boxes_to_marks

TABLE = "vggss.json"


def read(data: Path) -> tuple[Regions, ...]:
    """Read the frames; the marks are the union of a frame's boxes.

    Raises:
        InputError: a file is missing, or the table is malformed.
    """
    require("VGG-SS", data, TABLE, "frames", "audio")
    try:
        rows = json.loads((data / TABLE).read_text(encoding="utf-8"))
        found = [(str(row["file"]), row["bbox"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        expected = 'expected a list of {"file", "class", "bbox": [[x0, y0, x1, y1], …]}'
        raise InputError(data / TABLE, f"{expected} ({error!r})") from error
    # The set of clips that are still on YouTube differs from copy to copy.
    there = [(name, boxes) for name, boxes in found if (data / "frames" / f"{name}.jpg").exists()]
    if not there:
        raise InputError(data / "frames", f"expected frames such as {found[0][0]}.jpg")
    task = Regions(
        name="sound → where",
        modality="audio",
        items=[data / "audio" / f"{name}.wav" for name, _ in there],
        images=[data / "frames" / f"{name}.jpg" for name, _ in there],
        marks=[partial(boxes_to_marks, boxes) for _, boxes in there],
    )
    return (task,)


SUITE = Suite(
    title="VGG-SS",
    layout=f"{TABLE}\nframes/<file>.jpg (the middle frame)\naudio/<file>.wav",
    origin="https://www.robots.ox.ac.uk/~vgg/research/lvs/",
    license="annotations as published; clips belong to their owners",
    read=read,
    published=(
        Published(
            task="sound → where",
            metric="cIoU",
            value=0.3994,
            where="SSLalignment (2407.13676)",
            count=5_158,
        ),
    ),
    overlaps=("VGGSound",),
)
