"""ESC-50: 2,000 sounds of 5 s, 50 classes, 5 folds (Piczak 2015)."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.suites.suite import Published, Suite, read_table, require
from openbind.evaluation.tasks import Classification

TABLE = "meta/esc50.csv"


def read(data: Path) -> tuple[Classification, ...]:
    """Read the table of sounds; class names are its categories, with spaces.

    Raises:
        InputError: a file or a column is missing, or a fold is no number.
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
        paths=[data / "audio" / row["filename"] for row in rows],
        targets=[(names.index(row["category"]),) for row in rows],
        classes=[(name.replace("_", " "),) for name in names],
        templates=CLIP_TEMPLATES,
        groups=[int(row["fold"]) for row in rows],
    )
    return (task,)


SUITE = Suite(
    title="ESC-50",
    layout="meta/esc50.csv (filename, fold, category)\naudio/*.wav",
    origin="https://github.com/karolpiczak/ESC-50",
    license="CC BY-NC 3.0; its part ESC-10 CC BY 3.0",
    read=read,
    published=(
        Published(
            task="zero-shot, mean of folds",
            metric="accuracy",
            value=0.669,
            where="ImageBind, Table 2",
        ),
    ),
    overlaps=("ESC-50", "ESC-10", "Freesound"),
)
