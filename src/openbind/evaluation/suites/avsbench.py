"""AVSBench S4, test split: 740 videos of 5 s with a mask for each second (Zhou et al. 2022)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.tasks.regions import SIDE, Regions
from openbind.media.image import read_image

TABLE = "s4_meta_data.csv"
FRAMES = 5


def read(data: Path) -> tuple[Regions, ...]:
    """Read the frames of the test split, each with the sound of its video.

    Raises:
        InputError: a file, a column or the split is missing.
    """
    require("AVSBench S4", data, TABLE, "s4_data")
    rows = read_table(data / TABLE, ("name", "split", "category"))
    test = [row for row in rows if row["split"] == "test"]
    if not test:
        raise InputError(data / TABLE, "no rows of the split 'test'")
    found = [(row, number) for row in test for number in range(1, FRAMES + 1)]
    task = Regions(
        name="sound → mask",
        modality="audio",
        items=[_place(data, "audio_wav", row, ".wav") for row, _ in found],
        images=[_frame(data, "visual_frames", row, number) for row, number in found],
        marks=[partial(read_mask, _frame(data, "gt_masks", row, number)) for row, number in found],
        metric="mIoU",
    )
    return (task,)


def read_mask(path: Path) -> np.ndarray:
    """Return a mask at the size of the comparison.

    Raises:
        InputError: it can't be read.
    """
    gray = read_image(path).convert("L").resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return (np.asarray(gray) > 0).astype(np.float32)


def _place(data: Path, kind: str, row: dict[str, str], end: str = "") -> Path:
    return data / "s4_data" / kind / row["split"] / row["category"] / f"{row['name']}{end}"


def _frame(data: Path, kind: str, row: dict[str, str], number: int) -> Path:
    return _place(data, kind, row) / f"{row['name']}_{number}.png"


SUITE = Suite(
    title="AVSBench S4, test split",
    layout=f"{TABLE} (name, split, category)\n"
    "s4_data/{visual_frames,gt_masks}/test/<category>/<name>/<name>_<1 to 5>.png\n"
    "s4_data/audio_wav/test/<category>/<name>.wav",
    origin="https://github.com/OpenNLPLab/AVSBench",
    license="for research; clips belong to their owners",
    read=read,
)
