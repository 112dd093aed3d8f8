"""ESC-50: 2,000 clips of 5 s, 50 classes, 5 folds (Piczak 2015)."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import LinearProbe
from openbind.evaluation.tasks.task import Task

TABLE = "meta/esc50.csv"


def read(data: Path) -> tuple[Task, ...]:
    """Read the clips; class names are the categories with spaces. Probes need two folds or more.

    Clips were cut from recordings, which `src_file` names: its 2,000 are of fewer.

    Raises:
        InputError: a file or a column is missing, or a fold is not an integer.
    """
    require("ESC-50", data, TABLE, "audio")
    rows = read_table(data / TABLE, ("filename", "fold", "category"))
    names = sorted({row["category"] for row in rows})
    for row in rows:
        if not row["fold"].isdigit():
            raise InputError(data / TABLE, f"{row['filename']}: fold: found {row['fold']!r}")
    task = Classification(
        name="zero-shot, mean of folds",
        modality="audio",
        items=[data / "audio" / row["filename"] for row in rows],
        targets=[(names.index(row["category"]),) for row in rows],
        classes=[(name.replace("_", " "),) for name in names],
        templates=CLIP_TEMPLATES,
        groups=[int(row["fold"]) for row in rows],
        recordings=[row.get("src_file") or row["filename"] for row in rows],
    )
    return (task, LinearProbe.of(task)) if len({row["fold"] for row in rows}) > 1 else (task,)


def identify(name: str) -> str:
    """Return fold, Freesound id and take: "1-100032-A" of 1-100032-A-0.wav and 1-100032-A.ogg.

    The last number is the class, which copies of the data set leave out.
    """
    stem = PurePath(name).stem
    match = re.fullmatch(r"(\d-\d+-[A-Z])-\d+", stem)
    return match[1] if match else stem


SUITE = Suite(
    title="ESC-50",
    layout="meta/esc50.csv (filename, fold, category)\naudio/*.wav",
    origin="https://github.com/karolpiczak/ESC-50",
    license="CC BY-NC 3.0; its subset ESC-10 CC BY 3.0",
    read=read,
    published=(
        Published(
            task="zero-shot, mean of folds",
            metric="accuracy",
            value=0.669,
            where="ImageBind, Table 2",
            count=2_000,
            choices=50,
        ),
    ),
    overlaps=("ESC-50", "ESC-10", "Freesound"),
    identify=identify,
)
