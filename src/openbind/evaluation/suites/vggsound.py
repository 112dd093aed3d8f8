"""VGGSound, test split: about 15,000 clips of 10 s, 309 classes (Chen et al. 2020)."""

from __future__ import annotations

import csv
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.suites.youtube import NAMES, ClipFolder
from openbind.evaluation.tasks.classification import Classification

TABLE = "vggsound.csv"


def read(data: Path) -> tuple[Classification, ...]:
    """Read the clips; only their audio is used (paper, appendix A).

    Raises:
        InputError: a file is missing, a line is malformed, or there is no test split.
    """
    require("VGGSound", data, TABLE)
    rows = read_rows(data / TABLE)
    names = sorted({label for _, _, label, _ in rows})
    test = [(video, start, label) for video, start, label, split in rows if split == "test"]
    if not test:
        raise InputError(data / TABLE, "no rows of the split 'test'")
    clips = ClipFolder(data, "audio", "video")
    task = Classification(
        name="zero-shot",
        modality="audio",
        items=[clips.find(video, start) for video, start, _ in test],
        targets=[(names.index(label),) for _, _, label in test],
        classes=[(name,) for name in names],
        templates=CLIP_TEMPLATES,
        settings={"clips": "cover"},  # paper, section 3.1: ⌈t / 2⌉ clips
    )
    return (task,)


def read_rows(path: Path) -> list[tuple[str, int, str, str]]:
    """Return video, first second, label and split of each row.

    Raises:
        InputError: a malformed line.
    """
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for cells in csv.reader(file):
            if len(cells) != 4 or not cells[1].isdigit():
                raise InputError(path, f"expected <id>,30,label,split, found {cells}")
            found.append((cells[0], int(cells[1]), cells[2], cells[3]))
    return found


SUITE = Suite(
    title="VGGSound, test split",
    layout=f"{TABLE} (id, second, label, split; no header)\naudio or video files, {NAMES}",
    origin="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
    license="labels CC BY 4.0; clips belong to their owners",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.278,
            where="ImageBind, Table 2",
            count=14_073,
            choices=309,
        ),
    ),
)
