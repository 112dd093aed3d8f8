"""List SUN RGB-D's pairs for `sun_rgbd.yaml`, and convert its depth to disparity.

    python recipes/imagebind/sun_rgbd.py --data DATA

DATA has the folders of `SUNRGBD.zip` and `SUNRGBDtoolbox.zip` (README.md). Writes
DATA/sun_rgbd/manifest.csv and a disparity map (float16 .npy, in pixels) of each frame: cameras
differ between frames, so that they can't be a setting of the modality.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.evaluation.suites.sun_rgbd import (
    SPLITS,
    list_depths,
    read_camera,
    read_disparity,
    read_scene,
    read_splits,
)


def write_pairs(data: Path) -> None:
    """Write the disparities and the manifest."""
    splits, out = read_splits(data), data / "sun_rgbd"
    (out / "disparity").mkdir(parents=True, exist_ok=True)
    seen = set()
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "depth", "label", "split"])
        for frame, depth in list_depths(data):
            images = sorted((data / frame / "image").glob("*.jpg"))
            if frame not in splits or not images:
                continue
            target = out / "disparity" / f"{frame.replace('/', '_')}.npy"
            disparity_HW = read_disparity(depth, read_camera(data, frame))
            np.save(target, disparity_HW.astype(np.float16))
            paths = (path.relative_to(data).as_posix() for path in (images[0], target))
            writer.writerow([frame, *paths, read_scene(data / frame), splits[frame]])
            seen.add(frame)
    missing = sorted(splits.keys() - seen)
    print(f"{out / 'manifest.csv'}: {len(seen)} frames")
    if missing:
        print(f"{len(missing)} frames of {SPLITS} are missing, e.g. {missing[0]}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    try:
        write_pairs(parser.parse_args().data)
    except (InputError, MissingExtraError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
