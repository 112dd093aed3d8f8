"""Radiometric files of thermal cameras → temperatures. FLIR's JPEGs need the extra "flir"."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.media.maps import read_map
from openbind.media.source import open_source, read_bytes

CENTIKELVIN_AT_0 = 27_315
"""0 °C in hundredths of a kelvin, the unit of radiometric TIFFs of microbolometer cameras."""
DJI_REASON = (
    "a radiometric JPEG of DJI, whose raw counts become temperatures by its Thermal SDK only; "
    "convert it to a float TIFF with the SDK's `dji_irp -a measure` or DJI's Thermal Analysis Tool"
)
HEAD_BYTES = 1 << 16
"""Where a JPEG names its camera; older ones of DJI write FLIR's data."""
PLAUSIBLE_CELSIUS = (-100.0, 400.0)
"""Range of the median of a scene, which another unit would leave."""


def read_celsius(source: Any) -> np.ndarray:
    """Read the temperatures that a thermal camera has stored.

    Args:
        source: path or bytes of a JPEG of a FLIR camera, or of a TIFF, PNG or `.npy` file of 16-bit
            centikelvin or of floats in °C; or a map in memory.

    Returns:
        celsius_HW float32, by the camera's calibration; NaN where missing.

    Raises:
        InputError: missing, empty, or without radiometric data.
        MissingExtraError: flyr is not installed.
    """
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        return _to_celsius(read_map(source), source)
    opened = open_source(source)
    data = read_bytes(opened)
    if not data.startswith(b"\xff\xd8"):
        return _to_celsius(read_map(source), source)
    if b"DJI" in data[:HEAD_BYTES] and b"FLIR" not in data[:HEAD_BYTES]:
        raise InputError(source, DJI_REASON)
    try:
        import flyr
    except ImportError as error:
        raise MissingExtraError("reading FLIR's temperatures", "flyr", "flir") from error
    try:
        thermogram = flyr.unpack(str(opened) if isinstance(opened, Path) else opened)
        return np.asarray(thermogram.celsius, dtype=np.float32)
    except (ValueError, LookupError, TypeError, AssertionError, OSError, struct.error) as error:
        raise InputError(source, f"not a radiometric JPEG of a FLIR camera ({error})") from error


def _to_celsius(map_HW: np.ndarray, item: Any) -> np.ndarray:
    """Convert centikelvin to °C; floats are in °C already.

    Raises:
        InputError: 8 bits, or values that are no temperatures in these units.
    """
    if map_HW.dtype.itemsize < 2:
        raise InputError(item, "8-bit values are no temperatures; expected 16-bit centikelvin")
    celsius_HW = map_HW.astype(np.float64)
    if map_HW.dtype.kind != "f":
        celsius_HW = np.where(map_HW == 0, np.nan, (celsius_HW - CENTIKELVIN_AT_0) / 100)
    is_present_HW = np.isfinite(celsius_HW)
    middle = float(np.median(celsius_HW[is_present_HW])) if is_present_HW.any() else np.nan
    if not PLAUSIBLE_CELSIUS[0] <= middle <= PLAUSIBLE_CELSIUS[1]:
        raise InputError(item, f"not centikelvin or °C: the median would be {middle:.0f} °C")
    return celsius_HW.astype(np.float32)
