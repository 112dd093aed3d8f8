"""Maps: images of measurements (depth, temperature), at their full precision."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.limits import check_limit, check_sides
from openbind.media.arrays import is_array, is_tensor, load_array, looks_like_numpy, to_numpy
from openbind.media.image import open_image, open_lazily, read_deep_jxl, turn_upright
from openbind.media.netpbm import read_deep_netpbm
from openbind.media.photos import foreign_format
from openbind.media.reduction import convert_map
from openbind.media.source import open_source

LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601), as in PIL's conversion to gray."""
NODATA_TAG = 42_113
"""TIFF tag of GDAL: the value that marks missing measurements, as text."""
NODATA_BEYOND = 1e30
"""Larger floats are marks of missing values (-3.4e38 in many GeoTIFFs), not measurements."""
PIXEL_BYTES = {"1": 4, "L": 4, "I;16": 10}
MOST_PIXEL_BYTES = 16
"""Memory of reading a pixel, by PIL's name of its kind, and of all others."""
DEEP = re.compile(r"(RGBA?|RGBX|LA);16([BLN])")
"""PIL's names of pixels with 16 bits a channel, of which it decodes 8."""


def read_map(source: Any, color: Literal["refuse", "luminance", "keep"] = "refuse") -> np.ndarray:
    """Read an image of measurements.

    Args:
        source: path or bytes of an image (8, 16 or 32 bits a channel; transparency is ignored)
            or of a `.npy` file; PIL image; array (H, W), (H, W, 1) or (H, W, 3); tensor of
            PyTorch (H, W) or (1 | 3, H, W).
        color: of images with three different channels, "luminance" takes the weighted mean, and
            "refuse" raises an error; "keep" returns map_HWC. Three equal channels are read as one.

    Returns:
        map_HW: integers in their stored type, everything else float32. NaN and infinite values
        are kept; marks of missing floats (GDAL's tag, ±3.4e38) become NaN. The source isn't
        modified.

    Raises:
        InputError: missing, empty, truncated, not an image, too large, or in color.
    """
    if isinstance(source, Image.Image):
        values = _from_image(source)
    elif is_array(source):
        values = _channels_last(to_numpy(source, source), source)
    elif looks_like_numpy(opened := open_source(source)):
        values = load_array(opened, source)
    else:
        values = _from_file(opened, source)
    return _checked(_single(values, color, source), source)


def luminance(values_HWC: np.ndarray) -> np.ndarray:
    """Return the weighted mean of red, green and blue, float32."""
    return convert_map(values_HWC, lambda rows: (rows @ LUMINANCE).astype(np.float32))


def _from_file(opened: Path | io.BytesIO, source: Any) -> np.ndarray:
    """Return the values of an image file, with all 16 bits of colors and of gray with alpha."""
    kind = foreign_format(opened)
    if kind == "JPEG XL":
        return read_deep_jxl(opened, source)
    if kind is not None:
        with open_image(source) as decoded:
            return _from_image(decoded)
    if (deep := read_deep_netpbm(opened, source)) is not None:
        return deep[0]
    with open_lazily(opened, source) as image:
        _check_memory(image, source)
        if not _pixel_formats(image):
            with open_image(source) as decoded:
                return _mark_missing(_from_image(turn_upright(decoded)), image)
        letters, order = DEEP.fullmatch(_pixel_formats(image)[0]).groups()  # type: ignore[union-attr]
    if letters == "LA":
        # Both bytes of gray and of alpha, as four channels.
        bytes_HWC = _decode_as("RGBA", opened, source).astype(np.uint16)
        return np.asarray(bytes_HWC[:, :, 0] * np.uint16(256) + bytes_HWC[:, :, 1])
    is_big = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = ("B", "L") if is_big else ("L", "B")
    high_HWC, low_HWC = (_decode_as(f"{letters};16{o}", opened, source) for o in (high, low))
    deep_HWC = high_HWC[:, :, :3].astype(np.uint16)
    deep_HWC <<= 8
    deep_HWC |= low_HWC[:, :, :3]
    return deep_HWC


def _check_memory(image: Image.Image, item: Any) -> None:
    """Check the memory that reading a map takes, from its header."""
    kind = "I;16" if image.mode.startswith("I;16") else image.mode
    needed = image.width * image.height * PIXEL_BYTES.get(kind, MOST_PIXEL_BYTES)
    shown = f"a map of {image.width} × {image.height} pixels ({needed:,} bytes)"
    check_limit("bytes", needed, item, shown)


def _pixel_formats(image: Image.Image) -> list[str]:
    """Return the names of the tiles' pixels, if they have 16 bits a channel."""
    names = []
    for *_, args in getattr(image, "tile", []):
        name = args[0] if isinstance(args, tuple) and args else args
        if isinstance(name, str) and DEEP.fullmatch(name):
            names.append(name)
    return names


def _decode_as(pixels: str, opened: Path | io.BytesIO, source: Any) -> np.ndarray:
    """Decode with another format of pixels: of two bytes, PIL keeps the one that it names."""
    with open_lazily(opened, source) as image:
        tiles: Any = getattr(image, "tile", [])
        image.tile = [  # type: ignore[attr-defined]
            (*tile[:3], (pixels, *tile[3][1:]) if isinstance(tile[3], tuple) else pixels)
            for tile in tiles
        ]
        image.load()
        return np.array(turn_upright(image))


def _mark_missing(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Replace GDAL's mark of missing values in floats by NaN."""
    try:
        mark = float(str(getattr(image, "tag_v2", {})[NODATA_TAG]).strip("\0 "))
    except (LookupError, ValueError):
        return values
    return (
        np.where(values == np.float32(mark), np.nan, values) if values.dtype.kind == "f" else values
    )


def _from_image(image: Image.Image) -> np.ndarray:
    """Return an image's values; palettes and other colors as (H, W, 3)."""
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        values = np.array(image)
        # PyTorch takes the machine's byte order only.
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.array(image.convert("RGB"))


def _channels_last(values: np.ndarray, source: Any) -> np.ndarray:
    if is_tensor(source) and values.ndim == 3:
        return values.transpose(1, 2, 0)
    return values


def _single(values: np.ndarray, color: str, source: Any) -> np.ndarray:
    """Reduce (H, W, 1) and (H, W, 3) to (H, W)."""
    if values.ndim == 2:
        return values
    if values.ndim != 3 or values.shape[2] not in (1, 3):
        raise InputError(source, f"expected a map (H, W), found {values.shape}")
    first = values[:, :, 0]
    if values.shape[2] == 1 or all(np.array_equal(first, values[:, :, i]) for i in (1, 2)):
        return first
    if color == "keep":
        return values
    if color == "luminance":
        return luminance(values)
    raise InputError(source, "in color; expected one channel of measurements, as raw counts")


def _checked(values: np.ndarray, source: Any) -> np.ndarray:
    if values.dtype.kind not in "iufb":
        raise InputError(source, f"expected numbers, found {values.dtype}")
    height, width = values.shape[:2]
    if not values.size:
        raise InputError(source, f"empty map: {width} × {height} pixels")
    check_sides(width, height, source)
    if values.dtype.kind == "f":
        return convert_map(values, _without_marks)
    return np.array(values.astype(np.uint8) if values.dtype.kind == "b" else values, order="C")


def _without_marks(values: np.ndarray) -> np.ndarray:
    """Return float32 with NaN for values that no measurement has."""
    # In float64: a half-precision map has no such values, and no such limit.
    is_mark = np.isfinite(values) & (np.abs(values.astype(np.float64)) > NODATA_BEYOND)
    return np.asarray(np.where(is_mark, np.nan, values), dtype=np.float32)
