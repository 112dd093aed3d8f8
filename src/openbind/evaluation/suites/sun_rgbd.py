"""SUN RGB-D, test split: depth maps of 19 scene types (Song et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from openbind.embedding.items import FilePart
from openbind.errors import InputError, MissingExtraError
from openbind.evaluation.probes import ProbeSettings
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import Labeled, LinearProbe
from openbind.evaluation.tasks.task import Task
from openbind.signal.disparity import (
    CAMERAS,
    DepthCamera,
    counts_to_metres,
    metres_to_disparity,
    undo_bit_rotation,
)

FRAMES, SPLITS = "SUNRGBD", "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
# Spec, section 6: those with 80 frames or more. Frames of other scenes aren't used.
SCENES = (
    "bathroom",
    "bedroom",
    "classroom",
    "computer_room",
    "conference_room",
    "corridor",
    "dining_area",
    "dining_room",
    "discussion_area",
    "furniture_store",
    "home_office",
    "kitchen",
    "lab",
    "lecture_theatre",
    "library",
    "living_room",
    "office",
    "rest_space",
    "study_space",
)
# Paper, appendix B.
PROBE = ProbeSettings(lr=1e-2, weight_decay=0.0, epochs=60)


@dataclass(frozen=True, kw_only=True)
class Frame(FilePart):
    """A depth map with its camera."""

    camera: DepthCamera

    def read(self) -> Any:
        """Return disparity (H, W) in pixels, float32."""
        return read_disparity(self.path, self.camera)


def read(data: Path) -> tuple[Task, ...]:
    """Read the test frames of the 19 scenes; depth alone, in-filled (paper, section 4).

    Raises:
        InputError: a file is missing or malformed.
        MissingExtraError: SciPy isn't installed.
    """
    require("SUN RGB-D", data, FRAMES, SPLITS)
    splits = read_splits(data)
    parts: dict[str, tuple[list[Frame], list[int]]] = {"train": ([], []), "test": ([], [])}
    for folder, depth in list_depths(data):
        scene, split = read_scene(data / folder), splits.get(folder)
        if split is None or scene not in SCENES:
            continue
        parts[split][0].append(Frame(path=depth, camera=read_camera(data, folder)))
        parts[split][1].append(SCENES.index(scene))
    items, targets = parts["test"]
    if not items:
        raise InputError(data / FRAMES, f"none of its frames is a test frame of {SPLITS}")
    task = Classification(
        name="zero-shot",
        modality="depth",
        items=items,
        targets=[(target,) for target in targets],
        classes=[(scene.replace("_", " "),) for scene in SCENES],
        templates=CLIP_TEMPLATES,
        settings={"units": "disparity"},
    )
    train = Labeled(items=parts["train"][0], targets=parts["train"][1])
    return (task, LinearProbe.of(task, train, PROBE))


def read_splits(data: Path) -> dict[str, str]:
    """Return frame (its folder below `data`) → "train" or "test".

    `allsplit.mat` has two fields of paths, `alltrain` and `alltest`; the third, `trainvalsplit`,
    splits the training frames further and isn't used.

    Raises:
        InputError: no such file, or not a MATLAB file with these fields.
        MissingExtraError: SciPy isn't installed.
    """
    lists = load_matlab(data / SPLITS)
    found = {}
    for split, name in (("train", "alltrain"), ("test", "alltest")):
        if name not in lists:
            raise InputError(data / SPLITS, f"no field {name}")
        for path in np.atleast_1d(lists[name]):
            # Paths on the authors' machine: what follows "SUNRGBD/" is the same everywhere.
            frame = str(path).rstrip("/").rpartition(f"{FRAMES}/")[2]
            found[f"{FRAMES}/{frame}"] = split
    return found


def load_matlab(path: Path) -> dict[str, Any]:
    """Return the variables of a MATLAB file of a format before 7.3.

    Raises:
        InputError: no such file, or not a MATLAB file before 7.3.
        MissingExtraError: SciPy isn't installed.
    """
    try:
        import scipy.io
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "scipy", "suites") from error
    try:
        found: dict[str, Any] = scipy.io.loadmat(path, squeeze_me=True)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise InputError(path, f"not a MATLAB file before 7.3 ({error})") from error
    return found


def list_depths(data: Path) -> Iterator[tuple[str, Path]]:
    """Yield each frame's folder below `data` and its in-filled depth."""
    for depth in sorted((data / FRAMES).rglob("depth_bfx/*.png")):
        yield depth.parents[1].relative_to(data).as_posix(), depth


def read_scene(frame: Path) -> str:
    """Return a frame's scene label, or "" where it has none."""
    scene = frame / "scene.txt"
    return scene.read_text().strip() if scene.exists() else ""


def read_camera(data: Path, folder: str) -> DepthCamera:
    """Return a frame's camera: its sensor's baseline and its own focal length.

    Args:
        data: contains `SUNRGBD`.
        folder: of the frame, "SUNRGBD/kv1/…".

    Raises:
        InputError: the sensor is unknown, or `intrinsics.txt` is missing or malformed.
    """
    sensor, intrinsics = Path(folder).parts[1], data / folder / "intrinsics.txt"
    if sensor not in CAMERAS:
        raise InputError(
            data / folder, f"expected a folder of {', '.join(CAMERAS)}, found {sensor}"
        )
    try:
        focal_pixels = float(intrinsics.read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise InputError(intrinsics, f"expected a focal length in pixels: {error}") from error
    return replace(CAMERAS[sensor], focal_pixels=focal_pixels)


def read_disparity(depth: Path, camera: DepthCamera) -> np.ndarray:
    """Return a frame's disparity (H, W) in pixels, float32.

    Raises:
        InputError: the depth map hasn't the data set's format.
    """
    from openbind.media.maps import read_map

    counts_HW = read_map(depth)
    if counts_HW.dtype != np.uint16:
        raise InputError(depth, f"expected 16 bits, found {counts_HW.dtype}")
    return metres_to_disparity(counts_to_metres(undo_bit_rotation(counts_HW), 1_000), camera)


SUITE = Suite(
    title="SUN RGB-D, test split",
    layout=f"{FRAMES}/<sensor>/…/<frame>/: depth_bfx/*.png, intrinsics.txt, scene.txt\n{SPLITS}",
    origin="https://rgbd.cs.princeton.edu",
    license="none stated; contains NYU Depth V2, B3DO and SUN3D",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.351,
            where="ImageBind, Table 2",
            count=4_660,
            choices=19,
        ),
    ),
    overlaps=("NYU Depth", "NYUv2", "B3DO", "SUN3D"),  # which it contains
)
