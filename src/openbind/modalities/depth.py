"""Depth: distances from the camera.

Input   path, bytes, PIL image, array (H, W) or tensor; {"depth": any of these, "camera": name} for
        another camera than the settings'. Metres by default; 0 and NaN mark missing values, +inf
        what is beyond the sensor's range (REP 117).
Tensor  depth_BCHW float32 (batch, 1, 224, 224): disparity, scaled.
Scale   5, the paper's temperature 0.2 (Table 9).
Source  UNRESOLVED in the sources: no loader was released. Disparity: the paper, section 4;
        cameras and scales: `signal/disparity.py`, spec 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from openbind.configs import Side
from openbind.errors import InputError
from openbind.media.drawing import DEPTH_COLORS, draw_map, subsample
from openbind.media.maps import read_map
from openbind.media.reduction import convert_map
from openbind.modalities.spec import Extent, Modality, Preprocess, Sample, View
from openbind.signal.disparity import (
    CAMERAS,
    COUNTS_PER_METRE,
    SCALES,
    DepthCamera,
    DisparityScale,
    counts_to_metres,
    fill_holes,
    metres_to_disparity,
    scale_disparity,
    undo_bit_rotation,
)
from openbind.signal.resize import resize_and_crop

FARTHEST_METRES = 1_000.0
"""Larger depths mean that the unit is wrong."""
Units = Literal[
    "metres",
    "millimetres",
    "kitti",
    "tum",
    "scannet",
    "realsense_d400",
    "realsense_l515",
    "kinect_v2",
    "arkit",
    "nyu_8bit",
    "by_type",
    "sunrgbd",
    "disparity",
]
"""Names of `COUNTS_PER_METRE`, and three that no factor describes."""


@dataclass(frozen=True, kw_only=True)
class DepthSettings:
    """Everything that decides the pixels of a tower's input.

    Args:
        size: rows and columns.
        units: counts per metre, as a number or a name of `COUNTS_PER_METRE` ("metres",
            "millimetres", a data set, a sensor); "by_type" (integers are millimetres, floats
            metres, as in ROS, REP 118); "sunrgbd" (its PNGs: millimetres with rotated bits);
            "disparity" (pixels, used unchanged). 8-bit maps need a number, "nyu_8bit" or
            "disparity".
        camera: converts depth to disparity.
        scale: scales disparity to the range of the tower's training; `SCALES` holds the
            published ones.
        holes: what a missing value counts as: "near" the nearest depth there is, as published;
            "neighbor" the depth of the nearest pixel that has one.
    """

    size: Side = 224
    units: Units | float = "metres"
    camera: DepthCamera = CAMERAS["kv1"]
    scale: DisparityScale = SCALES["metric"]
    holes: Literal["near", "neighbor"] = "near"

    def __post_init__(self) -> None:
        """Check a number.

        Raises:
            ValueError: counts per metre that aren't positive and finite.
        """
        if not isinstance(self.units, str) and not 0 < self.units < np.inf:
            raise ValueError(f"units: expected more than 0 counts per metre, found {self.units}")


def prepare(settings: DepthSettings, folder: Path | None) -> Preprocess:
    """Return the function from a depth map to its pixels (1, 1, size, size)."""

    def preprocess(item: Any) -> Sample:
        source, camera = _split_camera(item, settings.camera)
        map_HW = read_map(source)
        if settings.holes == "neighbor":
            # Maps of floats may mark what is missing by NaN.
            map_HW = fill_holes(np.nan_to_num(map_HW, nan=0.0, posinf=np.inf, neginf=0.0))

        def convert(map_HW: np.ndarray) -> np.ndarray:
            disparity_HW = _to_disparity(map_HW, settings.units, camera, item)
            return scale_disparity(disparity_HW, settings.scale)

        image = Image.fromarray(convert_map(map_HW, convert))
        fitted = resize_and_crop(image, settings.size)
        clip_11HW = torch.from_numpy(np.array(fitted))[None, None]
        return Sample(clip_11HW, extent=Extent.center(image.size))

    return preprocess


def apply_view(item: Any, view: View) -> Any:
    """Return a part of the stored values (H, W), with the camera if the item names one.

    Values keep their stored type, so that the settings' units hold; cropping changes neither the
    camera's focal length nor its baseline.

    Raises:
        InputError: the item is unusable.
    """
    return next(open_views(item, [view]))


def open_views(item: Any, views: Sequence[View]) -> Iterator[Any]:
    """Yield the parts of an item that is read once, as `apply_view`."""
    source, _ = _split_camera(item, CAMERAS["kv1"])
    map_HW = read_map(source)
    for view in views:
        part_HW = view.crop(map_HW)
        yield {**item, "depth": part_HW} if isinstance(item, Mapping) else part_HW


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Draw a depth map in false colors: near is light, missing is gray.

    Only the order of depths is drawn, so no unit is needed; disparities look inverted.

    Raises:
        InputError: the item is unusable.
    """
    source, _ = _split_camera(item, CAMERAS["kv1"])
    depth_HW = subsample(read_map(source), size).astype(np.float64)
    return draw_map(-np.where(depth_HW > 0, depth_HW, np.inf), size, DEPTH_COLORS)


def _split_camera(item: Any, camera: DepthCamera) -> tuple[Any, DepthCamera]:
    """Return an item's depth, and its own camera if it names one."""
    if not isinstance(item, Mapping):
        return item, camera
    name = item.get("camera")
    if "depth" not in item or (name is not None and name not in CAMERAS):
        known = ", ".join(CAMERAS)
        raise InputError(item, f"expected the keys 'depth' and 'camera', one of {known}")
    return item["depth"], CAMERAS[name] if name else camera


def _to_disparity(
    map_HW: np.ndarray, units: Units | float, camera: DepthCamera, item: Any
) -> np.ndarray:
    """Convert stored values to disparity in pixels, float32.

    Raises:
        InputError: negative depths, a wrong type of integers, or implausible depths.
    """
    if units == "sunrgbd" and map_HW.dtype != np.uint16:
        raise InputError(item, f"expected SUN RGB-D's 16-bit values, found {map_HW.dtype}")
    if map_HW.dtype == np.uint8 and units in ("metres", "millimetres", "by_type"):
        raise InputError(
            item,
            f"8-bit values, up to {map_HW.max()}, can't be metres or millimetres; set `units` of "
            'depth to the counts per metre (25.5 where 255 is 10 m), or to "disparity"',
        )
    counts_HW = undo_bit_rotation(map_HW) if units == "sunrgbd" else map_HW
    values_HW = np.nan_to_num(counts_HW.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    if values_HW.min() < 0:
        raise InputError(item, f"has negative values, down to {values_HW.min():g}")
    if units == "disparity":
        return np.nan_to_num(values_HW, posinf=0.0).astype(np.float32)
    metres_HW = counts_to_metres(values_HW, _counts_per_metre(units, map_HW))
    farthest = metres_HW.max(where=np.isfinite(metres_HW), initial=0.0)
    if farthest > FARTHEST_METRES:
        raise InputError(
            item,
            f"depths of up to {farthest:,.0f} m with the units {units!r}; set `units` of depth to "
            f"the counts per metre, or to one of {', '.join(COUNTS_PER_METRE)}",
        )
    return metres_to_disparity(metres_HW, camera)


def _counts_per_metre(units: Units | float, map_HW: np.ndarray) -> float:
    if not isinstance(units, str):
        return units
    by_type = "metres" if map_HW.dtype.kind == "f" else "millimetres"
    name = {"by_type": by_type, "sunrgbd": "millimetres"}.get(units, units)
    return COUNTS_PER_METRE[name]


MODALITY = Modality(
    name="depth",
    accepts="a path, bytes, PIL image or array (H, W) of metres",
    settings=DepthSettings,
    prepare=prepare,
    clip_dims=3,
    array_dims=2,
    has_clips=False,
    tower="depth",
    scale=5.0,
    version=2,
    apply_view=apply_view,
    open_views=open_views,
    thumbnail=thumbnail,
)
