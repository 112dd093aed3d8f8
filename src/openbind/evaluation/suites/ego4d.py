"""Ego4D: 5 s of head-mounted IMU, 108 scenarios (Grauman et al. 2022).

Names of fields and columns follow Ego4D's documentation; they are untested on the data itself.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from openbind.embedding.items import FilePart
from openbind.errors import InputError, first_line
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.classification import Classification

VIDEOS, NARRATIONS, MOTION = "ego4d.json", "v2/annotations/narration.json", "v2/imu"
CLIP_SECONDS = 5.0  # paper, section 4
LEAST_COVERED = 0.9  # fraction of a clip that its IMU must cover
HELD_OUT = 50  # one video in this many is held out
AXES = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")  # the tower's order
TIMES = "canonical_timestamp_ms"  # on the video's own clock

Motion = tuple[np.ndarray, np.ndarray]
"""Times in seconds (T,) and values (T, 6), accelerometer first, gaps as NaN."""


@dataclass(frozen=True, kw_only=True)
class Window(FilePart):
    """A window of `CLIP_SECONDS` of a recording, from a start in seconds."""

    start: float

    def __str__(self) -> str:
        """Return its name in reports."""
        return f"{self.path} from {self.start:.2f} s"

    def read(self) -> Any:
        """Return values (T, 6) and their rate in Hz."""
        table_TC = cut_window(_read_again(self.path), self.start)
        if table_TC is None:
            raise InputError(
                self.path, f"too many gaps in the {CLIP_SECONDS:g} s from {self.start:g} s"
            )
        return table_TC[:, 1:], 1 / float(np.median(np.diff(table_TC[:, 0])))


def read(data: Path) -> tuple[Classification, ...]:
    """Read the held-out videos, see `choose_split`.

    UNRESOLVED in the sources: which videos the paper tested on, and whether its 108 scenarios are
    those of videos with a single scenario, as here.

    Raises:
        InputError: a file is missing or malformed, or no video is held out.
    """
    require("Ego4D", data, VIDEOS, NARRATIONS, MOTION)
    narrations = read_json(data / NARRATIONS)
    videos = list_videos(data)
    names = sorted({scenario for _, scenario in videos})
    paths, targets = [], []
    for uid, scenario in videos:
        table = data / MOTION / f"{uid}.csv"
        if choose_split(uid) == "train" or not table.exists():
            continue
        for center in sorted(set(list_times(narrations, uid))):
            if center >= CLIP_SECONDS / 2:
                paths.append(Window(path=table, start=center - CLIP_SECONDS / 2))
                targets.append((names.index(scenario),))
    if not paths:
        raise InputError(
            data / MOTION,
            f"no <uid>.csv of a held-out video (1 in {HELD_OUT}) with one scenario and narrations",
        )
    task = Classification(
        name="zero-shot",
        modality="imu",
        items=paths,
        targets=targets,
        classes=[(name,) for name in names],
        templates=CLIP_TEMPLATES,
        recordings=[str(window.path) for window in paths],
    )
    return (task,)


def list_videos(data: Path) -> list[tuple[str, str]]:
    """Return uid and scenario of the videos that have one scenario (paper: 7,485 of 9,645).

    Raises:
        InputError: the list of videos is malformed.
    """
    try:
        videos = read_json(data / VIDEOS)["videos"]
        single = [(video["video_uid"], *video["scenarios"]) for video in videos]
    except (KeyError, TypeError) as error:
        raise InputError(
            data / VIDEOS, f"expected videos with video_uid and scenarios; no {error}"
        ) from error
    return [(video[0], video[1]) for video in single if len(video) == 2]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: it can't be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise InputError(path, f"not a JSON file ({first_line(error)})") from error


def list_times(narrations: dict[str, Any], uid: str) -> Iterator[float]:
    """Yield the times of a video's narrations in seconds."""
    for part in ("narration_pass_1", "narration_pass_2"):
        for narration in narrations.get(uid, {}).get(part, {}).get("narrations", []):
            yield float(narration["timestamp_sec"])


def choose_split(uid: str) -> str:
    """Return "train" or "val" by a hash of the video's name, so a video's windows stay together."""
    return "val" if zlib.crc32(uid.encode()) % HELD_OUT == 0 else "train"


def read_motion(path: Path) -> Motion:
    """Return a video's IMU.

    Raises:
        InputError: a column is missing, or a value is not a number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = [name for name in (TIMES, *AXES) if name not in header]
        if missing:
            raise InputError(path, f"no columns {', '.join(missing)}, found {header}")
        columns = [header.index(name) for name in (TIMES, *AXES)]
        try:
            rows = [[float(row[column] or "nan") for column in columns] for row in reader]
        except (ValueError, IndexError) as error:
            raise InputError(path, f"line {reader.line_num}: {error}") from error
    table_TC = np.array(rows).reshape(-1, len(columns))
    table_TC = table_TC[np.isfinite(table_TC[:, 0])]
    table_TC = table_TC[np.unique(table_TC[:, 0], return_index=True)[1]]
    return table_TC[:, 0] / 1000, table_TC[:, 1:]


# Windows of a video are read one after another, and an hour of IMU takes seconds to parse.
_read_again = lru_cache(maxsize=1)(read_motion)


def cut_window(motion: Motion, start: float) -> np.ndarray | None:
    """Return a window (T, 7), seconds from its start first; None if too much is missing."""
    seconds_T, values_TC = motion
    inside_T = (seconds_T >= start) & (seconds_T < start + CLIP_SECONDS)
    table_TC = np.column_stack([seconds_T[inside_T] - start, values_TC[inside_T]])
    for axis in range(1, table_TC.shape[1]):
        measured_T = table_TC[np.isfinite(table_TC[:, axis]), 0]
        if len(measured_T) < 2 or np.ptp(measured_T) < LEAST_COVERED * CLIP_SECONDS:
            return None
    return table_TC


SUITE = Suite(
    title="Ego4D, scenarios from IMU",
    layout=f"{VIDEOS} (videos: video_uid, scenarios)\n{NARRATIONS}\n{MOTION}/<uid>.csv",
    origin="https://ego4d-data.org",
    license="by agreement with its authors",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.250,
            where="ImageBind, Table 2",
            count=68_865,
            choices=108,
        ),
    ),
)
