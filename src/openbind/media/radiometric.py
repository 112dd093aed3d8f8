"""Radiometric JPEGs of FLIR cameras → temperatures. Needs the extra "flir" (flyr)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.media.source import open_source


def read_celsius(source: Any) -> np.ndarray:
    """Read the temperatures that FLIR cameras store in their JPEGs.

    Args:
        source: path or bytes.

    Returns:
        celsius_HW float32, by the camera's calibration.

    Raises:
        InputError: missing, empty, or without radiometric data.
        MissingExtraError: flyr is not installed.
    """
    try:
        import flyr
    except ImportError as error:
        raise MissingExtraError("reading FLIR's temperatures", "flyr", "flir") from error
    opened = open_source(source)
    try:
        thermogram = flyr.unpack(str(opened) if isinstance(opened, Path) else opened)
        return np.asarray(thermogram.celsius, dtype=np.float32)
    except (ValueError, LookupError, TypeError, AssertionError, OSError, struct.error) as error:
        raise InputError(source, f"not a radiometric JPEG of a FLIR camera ({error})") from error
