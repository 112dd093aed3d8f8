"""AudioSet, evaluation set: about 20,000 clips of 10 s, 527 classes (Gemmeke et al. 2017)."""

from __future__ import annotations

import csv
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.suites.youtube import NAMES, ClipFolder
from openbind.evaluation.tasks.classification import Classification

SEGMENTS, LABELS = "eval_segments.csv", "class_labels_indices.csv"


def read(data: Path) -> tuple[Classification, ...]:
    """Read segments and class names; the names are AudioSet's own, including commas.

    Raises:
        InputError: a file or a column is missing, a line is malformed, or a class unknown.
    """
    require("AudioSet", data, SEGMENTS, LABELS)
    rows = read_table(data / LABELS, ("index", "mid", "display_name"))
    indices = {row["mid"]: index for index, row in enumerate(rows)}
    clips = ClipFolder(data, "audio", "video")
    paths, targets = [], []
    for video, start, mids in read_segments(data / SEGMENTS):
        unknown = [mid for mid in mids if mid not in indices]
        if unknown:
            raise InputError(data / SEGMENTS, f"{video}: class {unknown[0]} isn't in {LABELS}")
        paths.append(clips.find(video, start))
        targets.append(tuple(indices[mid] for mid in mids))
    task = Classification(
        name="zero-shot",
        modality="audio",
        items=paths,
        targets=targets,
        classes=[(row["display_name"],) for row in rows],
        templates=CLIP_TEMPLATES,
        metric="mAP",
        settings={"clips": "cover"},  # paper, section 3.1: ⌈t / 2⌉ clips
    )
    return (task,)


def read_segments(path: Path) -> list[tuple[str, int, list[str]]]:
    """Return video, first second and classes of each segment.

    Raises:
        InputError: a malformed line, or none.
    """
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        # Commas are followed by spaces, and classes are quoted.
        for cells in csv.reader(file, skipinitialspace=True):
            if not cells or cells[0].startswith("#"):
                continue
            try:
                video, start, _, mids = cells
                found.append((video, int(float(start)), mids.split(",")))
            except ValueError as error:
                raise InputError(
                    path, f'expected <id>, 30.000, 40.000, "/m/…,/m/…", found {cells}'
                ) from error
    if not found:
        raise InputError(path, "empty table")
    return found


SUITE = Suite(
    title="AudioSet, evaluation set",
    layout=f"{SEGMENTS}\n{LABELS} (index, mid, display_name)\naudio or video files, {NAMES}",
    origin="https://research.google.com/audioset/",
    license="labels CC BY 4.0; clips belong to their owners",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="mAP",
            value=0.176,
            where="ImageBind, Table 2",
            count=19_048,
            choices=527,
        ),
    ),
)
