"""List Ego4D's pairs for `ego4d.yaml`: 5 seconds around each narration, film and IMU.

    python recipes/imagebind/ego4d.py --data DATA

DATA holds what Ego4D's own program downloads (README.md). Writes DATA/ego4d/manifest.csv, and of
each clip the middle frame and a table of its IMU: a clip's frame is embedded once, and its IMU is
read again and again, which must not parse the recording of hours that it is from. Names of fields
and columns are those of Ego4D's documentation; they couldn't be tried on the data itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.modalities.image import show
from openbind.modalities.spec import View
from openbind.signal.resize import resize_short_side

FRAME_PIXELS = 256  # the shorter side; the tower looks at 224
CLIP_SECONDS = 5.0  # paper, section 4
LEAST_COVERED = 0.9  # share of a clip that its IMU must reach over
HELD_OUT = 50  # one film in so many validates
AXES = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")  # the tower's order
TIMES = "canonical_timestamp_ms"  # on the film's own clock


def list_films(data: Path) -> list[tuple[str, str]]:
    """Return uid and scenario of the films that have one scenario (paper: 7,485 of 9,645) and IMU.

    Fewer than the paper's, if not all of those have IMU.
    """
    films = json.loads((data / "ego4d.json").read_text(encoding="utf-8"))["videos"]
    single = [(film["video_uid"], *film["scenarios"]) for film in films]
    return [
        (film[0], film[1])
        for film in single
        if len(film) == 2 and (data / "v2" / "imu" / f"{film[0]}.csv").exists()
    ]


def read_imu(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds (T,) and values (T, 6), accelerometer first, gaps as NaN.

    Raises:
        InputError: a column is missing, or something isn't a number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = [name for name in (TIMES, *AXES) if name not in header]
        if missing:
            raise InputError(path, f"no columns {', '.join(missing)}; there are {header}")
        columns = [header.index(name) for name in (TIMES, *AXES)]
        try:
            rows = [[float(row[column] or "nan") for column in columns] for row in reader]
        except (ValueError, IndexError) as error:
            raise InputError(path, f"line {reader.line_num}: {error}") from error
    table_TC = np.array(rows).reshape(-1, len(columns))
    table_TC = table_TC[np.isfinite(table_TC[:, 0])]
    table_TC = table_TC[np.unique(table_TC[:, 0], return_index=True)[1]]
    return table_TC[:, 0] / 1000, table_TC[:, 1:]


def list_times(narrations: dict[str, Any], uid: str) -> Iterator[float]:
    """Yield the times of a film's narrations, in seconds."""
    for part in ("narration_pass_1", "narration_pass_2"):
        for narration in narrations.get(uid, {}).get(part, {}).get("narrations", []):
            yield float(narration["timestamp_sec"])


def choose_split(uid: str) -> str:
    """Return "val" for some films, by their names: rows of one film overlap and stay together."""
    return "val" if zlib.crc32(uid.encode()) % HELD_OUT == 0 else "train"


def cut_window(imu: tuple[np.ndarray, np.ndarray], start: float) -> np.ndarray | None:
    """Return a clip's IMU (T, 7), seconds from its start first; None where too much is missing."""
    seconds_T, values_TC = imu
    inside_T = (seconds_T >= start) & (seconds_T < start + CLIP_SECONDS)
    table_TC = np.column_stack([seconds_T[inside_T] - start, values_TC[inside_T]])
    for axis in range(1, table_TC.shape[1]):
        measured_T = table_TC[np.isfinite(table_TC[:, axis]), 0]
        if len(measured_T) < 2 or np.ptp(measured_T) < LEAST_COVERED * CLIP_SECONDS:
            return None
    return table_TC


def write_clip(
    out: Path, name: str, film: Path, imu: tuple[np.ndarray, np.ndarray], center: float
) -> bool:
    """Write one clip's frame and IMU; returns whether there were both."""
    start = center - CLIP_SECONDS / 2
    table_TC = cut_window(imu, start) if start >= 0 else None
    if table_TC is None:
        return False
    try:
        frame = show(str(film), View(span=(start, start + CLIP_SECONDS)))
    except InputError as error:
        print(f"left out {name}: {error}")
        return False
    resize_short_side(frame, FRAME_PIXELS).save(out / f"{name}.jpg", quality=90)
    header = ",".join(["seconds", *AXES])
    np.savetxt(out / f"{name}.csv", table_TC, "%.6g", ",", header=header, comments="")
    return True


def write_pairs(data: Path) -> None:
    """Write the clips and the list."""
    path = data / "v2" / "annotations" / "narration.json"
    narrations = json.loads(path.read_text(encoding="utf-8"))
    clips = data / "ego4d" / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    written = left_out = 0
    with (data / "ego4d" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "imu", "label", "split"])
        for uid, scenario in list_films(data):
            imu = read_imu(data / "v2" / "imu" / f"{uid}.csv")
            film = data / "v2" / "full_scale" / f"{uid}.mp4"
            for number, center in enumerate(sorted(set(list_times(narrations, uid)))):
                name = f"{uid}-{number}"
                if not write_clip(clips, name, film, imu, center):
                    left_out += 1
                    continue
                paths = (f"ego4d/clips/{name}.jpg", f"ego4d/clips/{name}.csv")
                writer.writerow([name, *paths, scenario, choose_split(uid)])
                written += 1
    print(f"{data / 'ego4d' / 'manifest.csv'}: {written} clips, {left_out} left out")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    try:
        write_pairs(parser.parse_args().data)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
