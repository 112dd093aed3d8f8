"""Depth: distances from the camera.

Input   path, bytes, PIL image, array (H, W) or tensor; {"depth": any of these, "camera": name} to
        say another camera than the settings'. Metres unless the settings say otherwise; 0 and
        NaN are missing.
Tensor  depth_BCHW float32 (batch, 1, 224, 224): disparity, scaled.
Scale   5, the paper's temperature 0.2 (Table 9).
Source  UNRESOLVED in the sources: no loader was released. Disparity: the paper, section 4;
        cameras and scales: `signal/disparity.py`, spec 3.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.media.drawing import draw_map
from openbind.media.maps import read_map
from openbind.modalities.spec import Modality, Preprocess, Sample, View
from openbind.signal.disparity import (
    CAMERAS,
    SCALES,
    DepthCamera,
    DisparityScale,
    metres_to_disparity,
    millimetres_to_metres,
    scale_disparity,
    turn_bits_back,
)
from openbind.signal.resize import center_crop, resize_short_side

FARTHEST_METRES = 1_000.0
"""Depths beyond are no metres: the unit is wrong."""


@dataclass(frozen=True, kw_only=True)
class DepthSettings:
    """What decides the pixels that a tower gets.

    Args:
        size: rows and columns.
        units: "metres"; "millimetres" (PNGs of most sensors); "by_type" (whole numbers are
            millimetres, fractions metres, as in ROS, REP 118); "sunrgbd" (its PNGs: millimetres
            with rotated bits); "disparity" (pixels, used as they are).
        camera: makes disparity of depth.
        scale: brings disparity to the size of the tower's training; `SCALES` names the
            published ones.
    """

    size: int = 224
    units: Literal["metres", "millimetres", "by_type", "sunrgbd", "disparity"] = "metres"
    camera: DepthCamera = CAMERAS["kv1"]
    scale: DisparityScale = SCALES["metric"]


def prepare(settings: DepthSettings, folder: Path | None) -> Preprocess:
    """Return the function from a depth image to its pixels (1, 1, size, size)."""

    def preprocess(item: Any) -> Sample:
        source, camera = _part_camera(item, settings.camera)
        disparity_HW = _to_disparity(read_map(source), settings.units, camera, item)
        image = Image.fromarray(scale_disparity(disparity_HW, settings.scale))
        fitted = center_crop(resize_short_side(image, settings.size), settings.size)
        return Sample(torch.from_numpy(np.array(fitted))[None, None])

    return preprocess


def apply_view(item: Any, view: View) -> Any:
    """Return a part of the stored values (H, W), with the camera if the item says one.

    Values stay as they are stored, so that the settings' units hold; cutting changes neither
    the camera's focal length nor its baseline.

    Raises:
        InputError: the item can't be used.
    """
    source, _ = _part_camera(item, CAMERAS["kv1"])
    map_HW = view.crop(read_map(source))
    return {**item, "depth": map_HW} if isinstance(item, Mapping) else map_HW


def thumbnail(item: Any, size: tuple[int, int]) -> Image.Image:
    """Color a depth image: the nearer, the lighter; what is missing is gray.

    The order of depths is all that it shows, so no unit is needed; disparities look inverted.

    Raises:
        InputError: the item can't be used.
    """
    source, _ = _part_camera(item, CAMERAS["kv1"])
    depth_HW = read_map(source).astype(np.float64)
    return draw_map(-np.where(depth_HW > 0, depth_HW, np.inf), size)


def _part_camera(item: Any, camera: DepthCamera) -> tuple[Any, DepthCamera]:
    """Take an item's own camera, if it says one."""
    if not isinstance(item, Mapping):
        return item, camera
    name = item.get("camera")
    if "depth" not in item or (name is not None and name not in CAMERAS):
        known = ", ".join(CAMERAS)
        raise InputError(item, f"expected the keys 'depth' and 'camera', one of {known}")
    return item["depth"], CAMERAS[name] if name else camera


def _to_disparity(map_HW: np.ndarray, units: str, camera: DepthCamera, item: Any) -> np.ndarray:
    """Bring stored values to disparity in pixels, float32.

    Raises:
        InputError: negative depths, counts of a wrong type, or values that can't be metres.
    """
    if units == "sunrgbd" and map_HW.dtype != np.uint16:
        raise InputError(item, f"SUN RGB-D's images have 16 bits, found {map_HW.dtype}")
    counts_HW = turn_bits_back(map_HW) if units == "sunrgbd" else map_HW
    values_HW = np.nan_to_num(counts_HW.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if values_HW.min() < 0:
        raise InputError(item, f"has negative values, down to {values_HW.min():g}")
    if units == "disparity":
        return values_HW.astype(np.float32)
    if units == "by_type":
        units = "metres" if map_HW.dtype.kind == "f" else "millimetres"
    metres_HW = values_HW if units == "metres" else millimetres_to_metres(values_HW)
    if metres_HW.max() > FARTHEST_METRES:
        raise InputError(
            item,
            f"depths of up to {metres_HW.max():,.0f} m; are they {units}? Settings of this "
            "modality have `units`",
        )
    return metres_to_disparity(metres_HW, camera)


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
    apply_view=apply_view,
    thumbnail=thumbnail,
)
