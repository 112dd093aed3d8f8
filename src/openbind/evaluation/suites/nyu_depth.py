"""NYU Depth V2, test split: depth maps of 27 room types as 10 classes (Silberman et al. 2012).

The layout is the authors' own: one HDF5 file with in-filled depths in metres, and the official
split by image number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.embedding.items import FilePart
from openbind.errors import InputError, MissingExtraError
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, require
from openbind.evaluation.suites.sun_rgbd import PROBE, load_matlab
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.linear_probe import Labeled, LinearProbe
from openbind.evaluation.tasks.task import Task
from openbind.signal.disparity import CAMERAS, DepthCamera, metres_to_disparity

if TYPE_CHECKING:
    import h5py

IMAGES, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
# UNRESOLVED in the sources: the paper doesn't list the nine; these are the usual ones.
SCENES = (
    "bathroom",
    "bedroom",
    "bookstore",
    "classroom",
    "dining_room",
    "home_office",
    "kitchen",
    "living_room",
    "office",
)
# The class "other", by the best of these names (paper, appendix A).
OTHER = (
    "basement",
    "cafe",
    "computer_lab",
    "conference_room",
    "dinette",
    "exercise_room",
    "foyer",
    "furniture_store",
    "home_storage",
    "indoor_balcony",
    "laundry_room",
    "office_kitchen",
    "playroom",
    "printer_room",
    "reception_room",
    "student_lounge",
    "study",
    "study_room",
)


@dataclass(frozen=True, kw_only=True)
class Frame(FilePart):
    """One image of the file."""

    row: int
    camera: DepthCamera = CAMERAS["kv1"]

    def __str__(self) -> str:
        """Return its name in reports."""
        return f"{self.path}, image {self.row + 1}"

    def read(self) -> Any:
        """Return disparity (H, W) in pixels, float32."""
        with open_hdf5(self.path) as file:
            # MATLAB stores axes in reverse order: (images, W, H).
            metres_HW = np.asarray(file["depths"][self.row], np.float32).T
        return metres_to_disparity(metres_HW, self.camera)


def read(data: Path) -> tuple[Task, ...]:
    """Read the test images. The paper has 653, the official split 654.

    Raises:
        InputError: a file is missing or wrong.
        MissingExtraError: h5py or SciPy isn't installed.
    """
    require("NYU Depth V2", data, IMAGES, SPLITS)
    splits = load_matlab(data / SPLITS)
    scenes = read_scenes(data / IMAGES)
    parts: dict[str, tuple[list[Frame], list[int]]] = {}
    for name in ("trainNdxs", "testNdxs"):
        if name not in splits:
            raise InputError(data / SPLITS, f"no field {name}")
        rows = [int(number) - 1 for number in np.atleast_1d(splits[name])]
        if not all(0 <= row < len(scenes) for row in rows):
            raise InputError(data / SPLITS, f"{name}: there are only {len(scenes)} images")
        frames = [Frame(path=data / IMAGES, row=row) for row in rows]
        parts[name] = (frames, [_class_of(scenes[row], data) for row in rows])
    items, targets = parts["testNdxs"]
    task = Classification(
        name="zero-shot",
        modality="depth",
        items=items,
        targets=[(target,) for target in targets],
        classes=[*((_name(scene),) for scene in SCENES), tuple(map(_name, OTHER))],
        templates=CLIP_TEMPLATES,
        settings={"units": "disparity"},
    )
    train = Labeled(items=parts["trainNdxs"][0], targets=parts["trainNdxs"][1])
    return (task, LinearProbe.of(task, train, PROBE))


def read_scenes(path: Path) -> list[str]:
    """Return each image's room type.

    Raises:
        InputError: not an HDF5 file with depths and room types.
        MissingExtraError: h5py isn't installed.
    """
    with open_hdf5(path) as file:
        missing = [name for name in ("depths", "sceneTypes") if name not in file]
        if missing:
            raise InputError(path, f"no {' and no '.join(missing)} in it")
        # Cells are references to arrays of character codes.
        cells = np.asarray(file["sceneTypes"]).ravel()
        return ["".join(map(chr, np.asarray(file[cell]).ravel())) for cell in cells]


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        InputError: not an HDF5 file.
        MissingExtraError: h5py isn't installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "h5py", "suites") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(path, f"not an HDF5 file ({error})") from error


def _class_of(scene: str, data: Path) -> int:
    if scene in SCENES:
        return SCENES.index(scene)
    if scene not in OTHER:
        raise InputError(data / IMAGES, f"unknown room type {scene!r}")
    return len(SCENES)


def _name(scene: str) -> str:
    return scene.replace("_", " ")


SUITE = Suite(
    title="NYU Depth V2, test split",
    layout=f"{IMAGES} (HDF5: depths, sceneTypes)\n{SPLITS} (trainNdxs, testNdxs)",
    origin="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    license="none stated",
    read=read,
    published=(
        Published(
            task="zero-shot",
            metric="accuracy",
            value=0.540,
            where="ImageBind, Table 2",
            count=653,
            choices=10,
        ),
    ),
    overlaps=("SUN RGB-D",),  # contains it
)
