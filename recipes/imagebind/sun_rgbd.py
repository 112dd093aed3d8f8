"""List SUN RGB-D's pairs for `sun_rgbd.yaml`, and turn its depth into disparity.

    python recipes/imagebind/sun_rgbd.py --data DATA

DATA holds the folders of `SUNRGBD.zip` and `SUNRGBDtoolbox.zip` (README.md). Writes
DATA/sun_rgbd/pairs.csv and a disparity map (float16 .npy, in pixels) for each frame: the camera
differs from frame to frame, so that it can't be a setting.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.io

from openbind.media.maps import read_map
from openbind.signal.disparity import (
    CAMERAS,
    metres_to_disparity,
    millimetres_to_metres,
    turn_bits_back,
)

SPLITS = "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
SENSORS = {"kv1": "kv1", "kv2": "kv2", "realsense": "realsense", "xtion": "xtion"}


def read_splits(data: Path) -> dict[str, str]:
    """Return frame (its folder below DATA) → "train" or "test"; `allsplit.mat` lists both."""
    lists = scipy.io.loadmat(data / SPLITS, squeeze_me=True)
    found = {}
    for split, name in (("train", "alltrain"), ("test", "alltest")):
        for path in np.atleast_1d(lists[name]):
            # Paths of the authors' machine: what follows "SUNRGBD/" is the same everywhere.
            frame = str(path).rstrip("/").rpartition("SUNRGBD/")[2]
            found[f"SUNRGBD/{frame}"] = split
    return found


def list_frames(data: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield each frame's folder below DATA, its picture and its in-filled depth."""
    for depth in sorted((data / "SUNRGBD").rglob("depth_bfx/*.png")):
        frame = depth.parents[1]
        pictures = sorted((frame / "image").glob("*.jpg"))
        if pictures:
            yield frame.relative_to(data).as_posix(), pictures[0], depth


def make_disparity(frame: Path, sensor: str, depth: Path) -> np.ndarray:
    """Turn a frame's depth into disparity with its own focal length (spec 3.5)."""
    focal_pixels = float((frame / "intrinsics.txt").read_text().split()[0])
    camera = replace(CAMERAS[SENSORS[sensor]], focal_pixels=focal_pixels)
    metres_HW = millimetres_to_metres(turn_bits_back(read_map(depth)).astype(np.float64))
    return metres_to_disparity(metres_HW, camera).astype(np.float16)


def main() -> None:
    """Write the disparities and the list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    splits, out = read_splits(data), data / "sun_rgbd"
    out.mkdir(exist_ok=True)
    with (out / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "depth", "label", "split"])
        for frame, picture, depth in list_frames(data):
            if frame not in splits:
                continue
            sensor = Path(frame).parts[1]
            target = out / "disparity" / f"{frame.replace('/', '_')}.npy"
            target.parent.mkdir(exist_ok=True)
            np.save(target, make_disparity(data / frame, sensor, depth))
            scene = data / frame / "scene.txt"
            label = scene.read_text().strip() if scene.exists() else ""
            row = [frame, *(p.relative_to(data).as_posix() for p in (picture, target))]
            writer.writerow([*row, label, splits[frame]])


if __name__ == "__main__":
    main()
