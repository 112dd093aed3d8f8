"""Kinetics-400, validation split: about 20,000 videos of 10 s, 400 actions (Kay et al. 2017)."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.suites.youtube import NAMES, ClipFolder
from openbind.evaluation.tasks.classification import Classification

TABLE = "annotations/val.csv"


def read(data: Path) -> tuple[Classification, ...]:
    """Read the videos; class names are the labels.

    Raises:
        InputError: a file or a column is missing, or a start is not an integer.
    """
    require("Kinetics-400", data, TABLE, "val")
    rows = read_table(data / TABLE, ("label", "youtube_id", "time_start"))
    for row in rows:
        if not row["time_start"].isdigit():
            raise InputError(
                data / TABLE, f"{row['youtube_id']}: time_start: found {row['time_start']!r}"
            )
    names = sorted({row["label"] for row in rows})
    clips = ClipFolder(data / "val", "video")
    task = Classification(
        name="zero-shot",
        modality="video",
        items=[clips.find(row["youtube_id"], int(row["time_start"])) for row in rows],
        targets=[(names.index(row["label"]),) for row in rows],
        classes=[(name,) for name in names],
        templates=CLIP_TEMPLATES,
    )
    return (task,)


SUITE = Suite(
    title="Kinetics-400, validation split",
    layout=f"{TABLE} (label, youtube_id, time_start, time_end, split)\nval/ videos, {NAMES}",
    origin="https://github.com/cvdfoundation/kinetics-dataset",
    license="annotations CC BY 4.0; videos belong to their owners",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.500,
            where="ImageBind, Table 2; OpenCLIP's",
            choices=400,
        ),
    ),
)
