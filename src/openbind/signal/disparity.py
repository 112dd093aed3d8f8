"""Depth maps: stored counts → metres → disparity → input of a tower (spec 3.5).

ImageBind was released without a loader for depth, so each published or reported camera and
normalization has a name here, and others can be passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from openbind.configs import Divisor, Range

NEAR_METRES, FAR_METRES = 0.01, 50.0
"""Range of depths; others are clipped, missing ones (0) to the nearest (Omnivore, issue 12)."""
COUNTS_PER_METRE = {
    "metres": 1.0,
    "millimetres": 1_000.0,
    "kitti": 256.0,
    "tum": 5_000.0,
    "scannet": 1_000.0,
    "realsense_d400": 1_000.0,
    "realsense_l515": 4_000.0,
    "kinect_v2": 1_000.0,
    "arkit": 1_000.0,
    "nyu_8bit": 25.5,
}
"""Units of stored depth by name: of data sets and sensors, as their documentation states them;
"nyu_8bit" is 10 m over 255, as in common copies of NYU Depth V2."""


@dataclass(frozen=True, kw_only=True)
class DepthCamera:
    """Constants that convert metres to disparity.

    Args:
        baseline_metres: distance between projector and sensor, as used by Omnivore's authors.
        focal_pixels: horizontal focal length, the first number of SUN RGB-D's `intrinsics.txt`.
    """

    baseline_metres: Annotated[float, Range(1e-6, 1e3)]
    focal_pixels: Annotated[float, Range(1e-3, 1e6)]


CAMERAS = {
    "kv1": DepthCamera(baseline_metres=0.075, focal_pixels=518.857901),
    "kv1_b": DepthCamera(baseline_metres=0.075, focal_pixels=520.532),
    "kv2": DepthCamera(baseline_metres=0.075, focal_pixels=529.5),
    "realsense": DepthCamera(baseline_metres=0.095, focal_pixels=691.584229),
    "xtion": DepthCamera(baseline_metres=0.095, focal_pixels=570.342205),
}
"""SUN RGB-D's sensors by the names of its folders; "kv1" is also NYU Depth V2's.

Baselines: Omnivore's authors, issue 12 (for "xtion" they guessed). Focal lengths: the most common
`intrinsics.txt` of each sensor; some recordings have others.
"""


@dataclass(frozen=True, kw_only=True)
class DisparityScale:
    """Normalization of disparity, as in the tower's training.

    (clip(disparity / divide, low, high) / peak - mean) / std

    Args:
        divide: first divisor.
        low, high: range to clip to.
        peak: second divisor.
        mean, std: final normalization.
    """

    divide: Divisor = 1.0
    low: Annotated[float, Range(-np.inf, np.inf)] = 0.01
    high: Annotated[float, Range(-np.inf, np.inf)] = 75.0
    peak: Divisor = 75.0
    mean: float = 0.0
    std: Divisor = 1.0


SCALES = {
    # Omnivore's tutorial, for its own disparities: of SUN RGB-D's images read as millimetres
    # without undoing their rotated bits, about 8 times too deep.
    "omnivore": DisparityScale(mean=0.0418, std=0.0295),
    # The same for true metres, as inferred by the spec.
    "metric": DisparityScale(divide=8.0, mean=0.0418, std=0.0295),
    # Omnivore's training configuration: only clipped and divided.
    "unit": DisparityScale(),
    # For true metres on NYU Depth V2, reported by CodeBind.
    "nyu": DisparityScale(mean=0.2321, std=0.1151),
    # No normalization: the loader in ImageBind's issue 134.
    "raw": DisparityScale(low=-np.inf, high=np.inf, peak=1.0),
}
"""Published or reported scales (spec 3.5)."""


def undo_bit_rotation(counts_HW: np.ndarray) -> np.ndarray:
    """Undo SUN RGB-D's rotation of each value's bits to the left by 3.

    Args:
        counts_HW: uint16, as stored in the data set's PNGs.

    Returns:
        millimetres_HW uint16.

    Raises:
        ValueError: another type.
    """
    if counts_HW.dtype != np.uint16:
        raise ValueError(f"SUN RGB-D's counts are uint16, found {counts_HW.dtype}")
    return (counts_HW >> np.uint16(3)) | (counts_HW << np.uint16(13))


def counts_to_metres(counts_HW: np.ndarray, per_metre: float) -> np.ndarray:
    """Return metres_HW float32 of stored counts; infinite ones stay infinite."""
    return (counts_HW / np.float64(per_metre)).astype(np.float32)


def fill_holes(depth_HW: np.ndarray) -> np.ndarray:
    """Give each missing value (0) that of the nearest pixel that has one.

    What is missing at the edge of a thing is mostly what the thing hides from the projector, which
    is behind it.

    Args:
        depth_HW: depths or disparities in any unit.

    Returns:
        the filled map, or the same one if nothing or everything is missing. Of pixels that are
        equally near, the one above and the one to the left are preferred.
    """
    missing = depth_HW == 0
    if not missing.any() or missing.all():
        return depth_HW
    rows_K, columns_K = np.nonzero(missing)
    above_HW, distance_HW = _nearest_in_column(~missing)
    nearest_K, source_K = distance_HW[rows_K, columns_K] ** 2, columns_K.copy()
    for step in range(1, depth_HW.shape[1]):
        if step**2 >= nearest_K.max():
            break
        for columns in (columns_K - step, columns_K + step):
            other_K = columns.clip(0, depth_HW.shape[1] - 1)
            found_K = distance_HW[rows_K, other_K] ** 2 + step**2
            nearer = (found_K < nearest_K) & (other_K == columns)
            nearest_K, source_K = (
                np.where(nearer, found_K, nearest_K),
                np.where(nearer, other_K, source_K),
            )
    filled_HW = depth_HW.copy()
    filled_HW[rows_K, columns_K] = depth_HW[above_HW[rows_K, source_K], source_K]
    return filled_HW


def _nearest_in_column(is_known_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of the nearest known pixel of a column, and its distance; inf if none is."""
    height = len(is_known_HW)
    row_H1 = np.arange(height)[:, None]
    above_HW = np.maximum.accumulate(np.where(is_known_HW, row_H1, -1), axis=0)
    below_HW = np.where(is_known_HW, row_H1, height)[::-1]
    below_HW = np.minimum.accumulate(below_HW, axis=0)[::-1]
    up_HW = np.where(above_HW >= 0, row_H1 - above_HW, np.inf)
    down_HW = np.where(below_HW < height, below_HW - row_H1, np.inf)
    row_HW = np.where(up_HW <= down_HW, above_HW, below_HW)
    return row_HW, np.minimum(up_HW, down_HW)


def metres_to_disparity(
    metres_HW: np.ndarray,
    camera: DepthCamera,
    near_metres: float = NEAR_METRES,
    far_metres: float = FAR_METRES,
) -> np.ndarray:
    """Compute baseline · focal length / depth.

    Args:
        metres_HW: depth; 0 is missing and counts as the nearest, infinite is the farthest.
        camera: one of `CAMERAS`, or another.
        near_metres, far_metres: range to clip to, so that disparity is finite.

    Returns:
        disparity_HW float32, in pixels of the camera.

    Raises:
        ValueError: limits that aren't 0 < near < far.
    """
    if not 0 < near_metres < far_metres:
        raise ValueError(f"expected 0 < near < far, found {near_metres} and {far_metres} m")
    clipped = np.clip(metres_HW.astype(np.float32), near_metres, far_metres)
    return np.asarray(camera.baseline_metres * camera.focal_pixels / clipped, dtype=np.float32)


def scale_disparity(disparity_HW: np.ndarray, scale: DisparityScale) -> np.ndarray:
    """Normalize disparity as in the tower's training; float32."""
    clipped = np.clip(disparity_HW / scale.divide, scale.low, scale.high)
    return np.asarray((clipped / scale.peak - scale.mean) / scale.std, dtype=np.float32)
