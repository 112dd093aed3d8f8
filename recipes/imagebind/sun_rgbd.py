"""List SUN RGB-D's pairs for `sun_rgbd.yaml`, and turn its depth into disparity.

    python recipes/imagebind/sun_rgbd.py --data DATA

DATA holds the folders of `SUNRGBD.zip` and `SUNRGBDtoolbox.zip` (README.md). Writes
DATA/sun_rgbd/manifest.csv and a disparity map (float16 .npy, in pixels) for each frame: the camera
differs from frame to frame, so that it can't be a setting.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.io

from openbind.errors import InputError
from openbind.media.maps import read_map
from openbind.signal.disparity import (
    CAMERAS,
    metres_to_disparity,
    millimetres_to_metres,
    turn_bits_back,
)

SPLITS = "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"


def read_splits(data: Path) -> dict[str, str]:
    """Return frame (its folder below DATA) → "train" or "test".

    `allsplit.mat` has two fields of paths, `alltrain` and `alltest`; its third, `trainvalsplit`,
    parts the training frames further and isn't used.
    """
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
    """Turn a frame's depth into disparity: its sensor's baseline · its own focal length / depth.

    Raises:
        InputError: the sensor is none of the data set's, or the depth hasn't its format.
    """
    if sensor not in CAMERAS:
        raise InputError(frame, f"expected a folder of {', '.join(CAMERAS)}, found {sensor}")
    focal_pixels = float((frame / "intrinsics.txt").read_text().split()[0])
    camera = replace(CAMERAS[sensor], focal_pixels=focal_pixels)
    counts_HW = read_map(depth)
    if counts_HW.dtype != np.uint16:
        raise InputError(depth, f"SUN RGB-D's pictures have 16 bits, found {counts_HW.dtype}")
    metres_HW = millimetres_to_metres(turn_bits_back(counts_HW))
    return metres_to_disparity(metres_HW, camera).astype(np.float16)


def write_pairs(data: Path) -> None:
    """Write the disparities and the list."""
    splits, out = read_splits(data), data / "sun_rgbd"
    (out / "disparity").mkdir(parents=True, exist_ok=True)
    seen = set()
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "depth", "label", "split"])
        for frame, picture, depth in list_frames(data):
            if frame not in splits:
                continue
            target = out / "disparity" / f"{frame.replace('/', '_')}.npy"
            np.save(target, make_disparity(data / frame, Path(frame).parts[1], depth))
            scene = data / frame / "scene.txt"
            label = scene.read_text().strip() if scene.exists() else ""
            paths = (path.relative_to(data).as_posix() for path in (picture, target))
            writer.writerow([frame, *paths, label, splits[frame]])
            seen.add(frame)
    missing = sorted(splits.keys() - seen)
    print(f"{out / 'manifest.csv'}: {len(seen)} frames")
    if missing:
        print(f"{len(missing)} frames of {SPLITS} aren't there, {missing[0]} for one")


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
