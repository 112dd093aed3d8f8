"""List Ego4D's pairs for `ego4d.yaml`: 5 seconds around each narration, film and IMU.

    python recipes/imagebind/ego4d.py --data DATA

DATA holds what Ego4D's own program downloads (README.md). Writes DATA/ego4d/pairs.csv, and of each
clip the middle frame and a table of its IMU. Names of fields and columns are those of Ego4D's
documentation; they couldn't be tried on the data itself.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.modalities.image import show
from openbind.modalities.spec import View
from openbind.signal.resize import resize_short_side

FRAME_PIXELS = 256  # the shorter side; crops of 224 are taken from it
CLIP_SECONDS = 5.0  # paper, section 4
AXES = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")
TIMES = "canonical_timestamp_ms"


def list_films(data: Path) -> list[str]:
    """Return the films of one scenario that have IMU: the paper's 7,485 of 9,645."""
    films = json.loads((data / "ego4d.json").read_text(encoding="utf-8"))["videos"]
    single = [film["video_uid"] for film in films if len(film["scenarios"]) == 1]
    return [uid for uid in single if (data / "v2" / "imu" / f"{uid}.csv").exists()]


def read_imu(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds (T,) and values (T, 6), accelerometer first, gaps as NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table_TC = np.array([[float(row[name] or "nan") for name in (TIMES, *AXES)] for row in rows])
    table_TC = table_TC[np.argsort(table_TC[:, 0], kind="stable")]
    kept_T = np.r_[True, np.diff(table_TC[:, 0]) > 0]
    return table_TC[kept_T, 0] / 1000, table_TC[kept_T, 1:]


def list_times(narrations: dict[str, Any], uid: str) -> Iterator[float]:
    """Yield the times of a film's narrations, in seconds."""
    for part in ("narration_pass_1", "narration_pass_2"):
        for narration in narrations.get(uid, {}).get(part, {}).get("narrations", []):
            yield float(narration["timestamp_sec"])


def write_clip(
    out: Path, name: str, film: Path, imu: tuple[np.ndarray, np.ndarray], center: float
) -> bool:
    """Write one clip's frame and IMU; returns whether there were both."""
    seconds_T, values_TC = imu
    start, end = center - CLIP_SECONDS / 2, center + CLIP_SECONDS / 2
    inside_T = (seconds_T >= start) & (seconds_T < end)
    if start < 0 or not np.isfinite(values_TC[inside_T]).any(axis=0).all():
        return False
    try:
        frame = show(str(film), View(span=(start, end)))
    except InputError as error:
        print(f"left out {name}: {error}")
        return False
    resize_short_side(frame, FRAME_PIXELS).save(out / f"{name}.jpg", quality=90)
    table_TC = np.column_stack([seconds_T[inside_T] - start, values_TC[inside_T]])
    header = ",".join(["seconds", *AXES])
    np.savetxt(out / f"{name}.csv", table_TC, "%.6g", ",", header=header, comments="")
    return True


def main() -> None:
    """Write the clips and the list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    path = data / "v2" / "annotations" / "narration.json"
    narrations = json.loads(path.read_text(encoding="utf-8"))
    clips = data / "ego4d" / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    with (data / "ego4d" / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "imu"])
        for uid in list_films(data):
            imu = read_imu(data / "v2" / "imu" / f"{uid}.csv")
            film = data / "v2" / "full_scale" / f"{uid}.mp4"
            for number, center in enumerate(sorted(set(list_times(narrations, uid)))):
                name = f"{uid}-{number}"
                if write_clip(clips, name, film, imu, center):
                    writer.writerow([name, f"ego4d/clips/{name}.jpg", f"ego4d/clips/{name}.csv"])


if __name__ == "__main__":
    main()
