"""Flickr-SoundNet: 250 frames with boxes by several annotators (Senocak et al. 2018)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from openbind.errors import InputError
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.regions import Regions, boxes_to_marks

SCALE = 256
"""Pixels per side that the boxes are in."""
AGREEING = 2
"""Annotators who mark a pixel for it to count fully."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
LARGEST_BYTES = 1 << 20


def read(data: Path) -> tuple[Regions, ...]:
    """Read the frames that are annotated.

    Raises:
        InputError: a folder is missing, or an annotation is malformed.
    """
    require("Flickr-SoundNet", data, "Annotations", "frames", "audio")
    files = sorted((data / "Annotations").glob("*.xml"))
    if not files:
        raise InputError(data / "Annotations", "expected annotations such as 1234.xml")
    task = Regions(
        name="sound → where",
        modality="audio",
        items=[data / "audio" / f"{file.stem}.wav" for file in files],
        images=[data / "frames" / f"{file.stem}.jpg" for file in files],
        marks=[partial(boxes_to_marks, read_boxes(file), AGREEING) for file in files],
    )
    return (task,)


def read_boxes(path: Path) -> list[list[float]]:
    """Return the boxes of all annotators, as fractions.

    Raises:
        InputError: not such a file.
    """
    text = path.read_text(encoding="utf-8")
    if "<!" in text or len(text) > LARGEST_BYTES:  # entities can grow without end
        raise InputError(path, "expected a small XML file without declarations")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # it declares nothing, as checked
        return [
            [float(box.findtext(side, "")) / SCALE for side in SIDES] for box in root.iter("bbox")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(path, f"expected <bbox> with {', '.join(SIDES)} ({error})") from error


SUITE = Suite(
    title="Flickr-SoundNet, 250 annotated frames",
    layout="Annotations/<id>.xml\nframes/<id>.jpg\naudio/<id>.wav",
    origin="https://github.com/ardasnck/learning_to_localize_sound_source",
    license="annotations as published; photographs and sounds belong to their owners",
    read=read,
    published=(
        Published(
            task="sound → where",
            metric="cIoU",
            value=0.852,
            where="SSLalignment (2407.13676)",
            count=250,
        ),
    ),
)
