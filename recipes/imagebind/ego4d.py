"""List Ego4D's pairs for `ego4d.yaml`: 5 seconds around each narration, video and IMU.

    python recipes/imagebind/ego4d.py --data DATA

DATA is the folder of Ego4D's own downloader (README.md). Writes DATA/ego4d/manifest.csv, and the
middle frame and IMU table of each clip, so that training doesn't parse recordings of hours at every
step. Names of fields and columns are from Ego4D's documentation, not tested on the data itself.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from openbind.errors import InputError
from openbind.evaluation.suites.ego4d import (
    AXES,
    CLIP_SECONDS,
    MOTION,
    NARRATIONS,
    Motion,
    choose_split,
    cut_window,
    list_times,
    list_videos,
    read_json,
    read_motion,
)
from openbind.modalities.image import apply_view
from openbind.modalities.spec import View
from openbind.signal.resize import resize_short_side

FRAME_PIXELS = 256  # the shorter side; the tower's input has 224


def write_clip(out: Path, name: str, video: Path, motion: Motion, center: float) -> bool:
    """Write one clip's frame and IMU table; returns whether it has both."""
    start = center - CLIP_SECONDS / 2
    table_TC = cut_window(motion, start) if start >= 0 else None
    if table_TC is None:
        return False
    try:
        frame = apply_view(str(video), View(span=(start, start + CLIP_SECONDS)))
    except InputError as error:
        print(f"skipped {name}: {error}")
        return False
    resize_short_side(frame, FRAME_PIXELS).save(out / f"{name}.jpg", quality=90)
    header = ",".join(["seconds", *AXES])
    np.savetxt(out / f"{name}.csv", table_TC, "%.6g", ",", header=header, comments="")
    return True


def write_pairs(data: Path) -> None:
    """Write clips and manifest of the videos with one scenario and IMU data."""
    narrations = read_json(data / NARRATIONS)
    clips = data / "ego4d" / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    written = skipped = 0
    with (data / "ego4d" / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "imu", "label", "split"])
        for uid, scenario in list_videos(data):
            table = data / MOTION / f"{uid}.csv"
            if not table.exists():
                continue
            motion = read_motion(table)
            video = data / "v2" / "full_scale" / f"{uid}.mp4"
            for number, center in enumerate(sorted(set(list_times(narrations, uid)))):
                name = f"{uid}-{number}"
                if not write_clip(clips, name, video, motion, center):
                    skipped += 1
                    continue
                paths = (f"ego4d/clips/{name}.jpg", f"ego4d/clips/{name}.csv")
                writer.writerow([name, *paths, scenario, choose_split(uid)])
                written += 1
    print(f"{data / 'ego4d' / 'manifest.csv'}: {written} clips, {skipped} skipped")


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
