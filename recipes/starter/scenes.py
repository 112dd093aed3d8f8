"""Write the pairs of `thermal.yaml` and `depth.yaml`: maps with captions, or with images."""

from __future__ import annotations

import csv
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from manifests import read_lines, write_lines
from PIL import Image
from scipy import ndimage

from openbind.signal.disparity import fill_holes
from openbind.space.space import Space

THERMAL = Path("scenes/thermal.jsonl")
DEPTH, DEPTH_VECTORS = Path("scenes/depth.jsonl"), Path("scenes/depth.npy")
ROOMS, SPOILED = Path("rooms"), Path("rooms/spoiled")
MODELS = ROOMS / "attribution.csv"
"""Who made the models of rendered rooms."""
ROOM_COUNTS = {"train": 126, "val": 48}
"""Of each of the six kinds as many."""
DRAWN = 1000
"""Photographs that are drawn as a thermal camera might see them."""
ABOVE = {"Person": "a person", "Car": "a car", "Bicycle": "a bicycle"}
"""Labels of HIT-UAV's images of one kind of thing, and their names."""
FOLDS = 3
KINECT = 39.0
"""Disparity in pixels at 1 m."""


def write_thermal(work: Path, data: Path) -> None:
    """Write the manifest of thermal images with captions.

    Few thermal images may be passed on with what is learned from them, and these are seen from
    above. So photographs with captions are drawn as a thermal camera might see the scene.

    Args:
        work: the work folder.
        data: holds `coco` and `hit_uav`, with their tables.
    """
    rows = _read_rows(data / "coco" / "pairs.csv")
    chosen = np.random.default_rng(0).permutation(len(rows))[:DRAWN]
    lines = []
    for number in chosen:
        path = data / "coco" / rows[number]["image"]
        drawn = Path("scenes/thermal") / f"{path.stem}.png"
        draw_thermal(path, work / drawn)
        captions = [rows[number][f"caption{k}"] for k in range(1, 6)]
        lines.append(
            {"thermal": drawn.as_posix(), "text": [c for c in captions if c], "split": "0"}
        )
    for row in _read_rows(data / "hit_uav" / "items.csv"):
        path = (data / "hit_uav" / row["thermal"]).resolve()
        # Images of one flight, by time of day, height and angle of the camera, are alike.
        flight = "_".join(path.stem.split("_")[:4])
        texts = [row["caption"], *filter(None, [ABOVE.get(row["label"])])]
        split = str(1 + zlib.crc32(flight.encode()) % FOLDS)
        lines.append({"thermal": str(path), "text": texts, "label": row["label"], "split": split})
    write_lines(work / THERMAL, lines)


def draw_thermal(photograph: Path, target: Path) -> None:
    """Draw a photograph in gray as a thermal camera might see it, at random by its name.

    What is bright may be cold, what is colorful warm; thermal cameras are blurred, noisy and of any
    contrast.
    """
    rng = np.random.default_rng(zlib.crc32(f"images/{photograph.name}0".encode()))
    with Image.open(photograph) as opened:
        rgb_HWC = np.asarray(opened.convert("RGB"), np.float32) / 255
    heat_HW = rgb_HWC @ rng.dirichlet([1, 1, 1])
    if rng.random() < 0.4:
        heat_HW = 1 - heat_HW
    heat_HW = ndimage.gaussian_filter(heat_HW, rng.uniform(0.3, 1.8))
    color_HW = rgb_HWC.max(axis=2) - rgb_HWC.min(axis=2)
    heat_HW = heat_HW + rng.normal(0, 0.4) * ndimage.gaussian_filter(color_HW, 1.0)
    low, high = np.quantile(heat_HW, [rng.uniform(0, 0.1), rng.uniform(0.9, 1)])
    unit_HW = ((heat_HW - low) / (high - low + 1e-3)).clip(0, 1) ** np.exp(rng.normal(0, 0.4))
    noisy_HW = unit_HW * rng.uniform(0.6, 1) + rng.normal(0, 0.02, unit_HW.shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * noisy_HW.clip(0, 1)).astype(np.uint8)).save(target)


def spoil_depth(source: Path, folder: Path) -> Path:
    """Write a rendered depth map as a Kinect would have measured it, at random by its name.

    Disparity has noise and steps; there are shadows beside edges, specks, and nothing beyond 9 m.
    """
    target, rng = folder / source.name, np.random.default_rng(zlib.crc32(source.name.encode()))
    if target.exists():
        return target
    with Image.open(source) as opened:
        metres_HW = np.asarray(opened, np.float32) / 1000
    disparity_HW = KINECT / fill_holes(metres_HW).clip(0.3)
    disparity_HW = np.round((disparity_HW + rng.normal(0, 0.15, metres_HW.shape)) * 8) / 8
    step_HW = ndimage.maximum_filter(metres_HW, 5) - ndimage.minimum_filter(metres_HW, 5)
    missing_HW = ndimage.binary_dilation(step_HW > 0.12 * metres_HW, iterations=2)
    missing_HW |= (rng.random(metres_HW.shape) < 0.003) | (metres_HW > 9) | (metres_HW == 0)
    millimetres_HW = np.where(missing_HW, 0, 1000 * KINECT / disparity_HW.clip(0.5))
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(millimetres_HW.astype(np.uint16)).save(target)
    return target


def render_rooms(work: Path) -> list[Path]:
    """Render furnished rooms; return the images of the training rooms.

    Args:
        work: the folder, with the unpacked packages; existing renderings are kept.
    """
    script = Path(__file__).parents[1] / "rooms" / "write_rooms.py"
    counts = [f"--{side}={count}" for side, count in ROOM_COUNTS.items()]
    subprocess.run([sys.executable, script, "--work", work, "--out", work, *counts], check=True)
    return [work / row["image"] for row in read_lines(work / ROOMS / "train.jsonl")]


def write_depth(work: Path, data: Path, space: Space) -> None:
    """Write the pairs: depth with a vector of what is there and where.

    What a view of a room shows comes from the name of the kind of room, since a single view may be
    of a corner; of real pairs it comes from the caption. Where things are comes from the image.
    Rendered depth is there twice, as it is and as a Kinect would have measured it.

    Args:
        work: the folder.
        data: holds `depth`, with its table.
        space: its images have a layout.
    """
    rows = [
        (work / row["image"], depth, f"a {row['label']}")
        for row in read_lines(work / ROOMS / "train.jsonl")
        for depth in (work / row["depth"], spoil_depth(work / row["depth"], work / SPOILED))
    ]
    for row in _read_rows(data / "depth" / "pairs.csv"):
        rows.append((data / "depth" / row["image"], data / "depth" / row["depth"], row["caption"]))
    images, depths, names = zip(*rows, strict=True)
    what_NE, where_NE = space.encode("text", names), space.encode("image", images)
    np.save(work / DEPTH_VECTORS, join_parts(what_NE, where_NE))
    lines = (
        {"depth": str(path.resolve()), "image.vector": f"{DEPTH_VECTORS}#{number}"}
        for number, path in enumerate(depths)
    )
    write_lines(work / DEPTH, lines)


def join_parts(what_NE: np.ndarray, where_NE: np.ndarray) -> np.ndarray:
    """Join the content of texts, which is 0 in the layout's dimensions, and images' layout."""
    is_layout_E = ~what_NE.any(axis=0)
    size_N1 = np.linalg.norm(where_NE[:, ~is_layout_E], axis=1, keepdims=True)
    return np.where(is_layout_E, where_NE, what_NE * size_N1)


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
