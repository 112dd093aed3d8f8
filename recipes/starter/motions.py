"""Write the pairs of `imu.yaml`: wrist IMU recordings with images of the activity.

BasicMotions (UEA archive): four students, four activities, ten seconds at 10 Hz. Its training
half is for training; `validate.py` measures on its test half.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cells import Cells, write_lines

SOURCE = Path("pypi/aeon/datasets/data/BasicMotions/BasicMotions_TRAIN.ts")
TEST = SOURCE.with_name("BasicMotions_TEST.ts")
MOTIONS = Path("motions/motions.jsonl")
RATE_HZ, AXES, STEPS = 10, 6, 100

# Activity → its images. Training uses no text.
MOTION_IMAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "Badminton": {
        "emoji": ("badminton", "tennis"),
        "stamps": ("A tennis racket",),
        "clipart": ("tennis racket", "Badminton Racket"),
    },
    "Running": {
        "emoji": ("person running", "running shoe"),
        "clipart": ("Runner, Simple, with wake marks", "Road Runner"),
    },
    "Standing": {
        "emoji": ("person standing", "person", "man", "woman"),
        "clipart": ("Hygieia",),
        "classes": ("pedestal",),
    },
    "Walking": {
        "emoji": ("person walking", "footprints", "hiking boot"),
        "stamps": ("Pedestrian Crossing (“PED XING”)", "“School Crossing”"),
        "clipart": ("Hiker Hiking", "hiking boot", "Ampelfrau", "Ampelmaennchen"),
        "classes": ("cowboy boot",),
    },
}


def write_motions(work: Path, cells: Cells) -> None:
    """Write a CSV file per recording, with times, and the manifest.

    Args:
        work: the folder, with the unpacked packages.
        cells: image vectors.
    """
    lines = []
    for number, (label, values_TC) in enumerate(read_recordings(work / SOURCE)):
        path = Path(f"motions/{number:02}-{label.lower()}.csv")
        write_recording(work / path, values_TC)
        own = cells.show(MOTION_IMAGES[label])
        line = {"imu": path.as_posix(), "image.vector": own, "label": label}
        lines.append(line)
    write_lines(work / MOTIONS, lines)


def read_recordings(path: Path) -> list[tuple[str, np.ndarray]]:
    """Read (activity, values (steps, 6)) from each line of a .ts file of the UEA archive.

    Raises:
        ValueError: a recording of another shape.
    """
    _, _, data = path.read_text(encoding="utf-8").partition("@data")
    found = []
    for line in data.split():
        *axes, label = line.split(":")
        values_TC = np.array([[float(v) for v in axis.split(",")] for axis in axes]).T
        if values_TC.shape != (STEPS, AXES):
            raise ValueError(f"{path}: expected {(STEPS, AXES)}, found {values_TC.shape}")
        found.append((label, values_TC))
    return found


def write_recording(path: Path, values_TC: np.ndarray) -> None:
    """Write a CSV file of times in seconds, accelerations and angular velocities."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "time,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z"
    times_T1 = np.arange(len(values_TC))[:, None] / RATE_HZ
    table = np.hstack([times_T1, values_TC])
    np.savetxt(path, table, fmt="%.6g", delimiter=",", header=head, comments="")
