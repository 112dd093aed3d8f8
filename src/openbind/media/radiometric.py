"""Radiometric JPEGs of FLIR's cameras → temperatures. Needs the extra "flir" (flyr)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError, MissingExtraError
from openbind.media.source import open_source


def read_celsius(source: Any) -> np.ndarray:
    """Read the temperatures that a FLIR camera puts into its JPEGs beside the image.

    Args:
        source: path or bytes.

    Returns:
        celsius_HW float32, by the camera's own calibration.

    Raises:
        InputError: missing, empty, or without FLIR's data.
        MissingExtraError: flyr isn't there.
    """
    try:
        import flyr
    except ImportError as error:
        raise MissingExtraError("reading FLIR's temperatures", "flyr", "flir") from error
    opened = open_source(source)
    try:
        found = flyr.unpack(str(opened) if isinstance(opened, Path) else opened)
        return np.asarray(found.celsius, dtype=np.float32)
    except (ValueError, LookupError, TypeError, AssertionError, OSError, struct.error) as error:
        raise InputError(source, f"not a radiometric JPEG of a FLIR camera ({error})") from error
