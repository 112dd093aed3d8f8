"""Images: files, bytes, PIL images and arrays → RGB images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from openbind.errors import InputError
from openbind.media.arrays import is_array, is_tensor, to_numpy
from openbind.media.source import open_source

MAX_PIXELS = 178_956_970
"""Largest image that is decoded: twice the size at which PIL warns of a decompression bomb, and
where it refuses one itself."""
REFUSED_FORMATS = {"EPS", "WMF"}
"""Formats that PIL hands to other programs (Ghostscript, Windows) to be drawn."""
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What PIL's decoders raise at damaged files."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""


def read_image(source: Any, min_side: int | None = None) -> Image.Image:
    """Read a image.

    Args:
        source: path, bytes, PIL image, or an array or tensor: (H, W), (H, W, 1 | 3 | 4), for
            tensors of PyTorch (1 | 3 | 4, H, W); uint8, or float in [0, 1].
        min_side: what the shorter side has to have at least. A JPEG may then be decoded at a
            half, a quarter or an eighth of its size, which is faster but isn't exact.

    Returns:
        an RGB image, upright by its EXIF orientation; transparent parts are white; of an
        animation the first frame; 16-bit gray is scaled to 8 bits. The source isn't changed.

    Raises:
        InputError: missing, empty, truncated, not a image, too large, or values out of range.
    """
    if isinstance(source, Image.Image):
        with _image_errors(source):
            return _to_rgb(_upright(source, source), source)
    if is_array(source):
        return _to_rgb(_from_array(source), source)
    with open_image(source, min_side) as image:
        return _to_rgb(image, source)


@contextmanager
def open_image(source: Any, min_side: int | None = None) -> Iterator[Image.Image]:
    """Open and decode a path or bytes: the first frame, upright, in its own mode.

    Raises:
        InputError: as `read_image`; also for what PIL raises while the image is in use.
    """
    opened = open_source(source)
    with _image_errors(source), Image.open(opened) as image:
        if image.format in REFUSED_FORMATS:
            raise InputError(source, f"{image.format} files are programs; expected a image")
        _check_size(image.size, source)
        if min_side is not None:
            image.draft(image.mode, (min_side, min_side))
        image.seek(0)
        yield _upright(image, source)


@contextmanager
def _image_errors(source: Any) -> Iterator[None]:
    """Turn what PIL raises into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(source, "not a image of a known format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(source, f"more than {MAX_PIXELS:,} pixels; refused") from error
    except BROKEN as error:
        raise InputError(source, f"a broken or truncated image ({error})") from error


def _check_size(size: tuple[int, int], source: Any) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(source, f"{size[0]} × {size[1]} pixels, more than {MAX_PIXELS:,}; refused")
    if min(size) < 1:
        raise InputError(source, f"a image of {size[0]} × {size[1]} pixels has nothing to embed")


def _upright(image: Image.Image, source: Any) -> Image.Image:
    """Decode, then turn by the EXIF orientation; one that can't be read counts as none."""
    _check_size(image.size, source)
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except BROKEN:
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image, source: Any) -> Image.Image:
    """Convert any mode to RGB, transparent parts over white, without a trace of the file."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _scale_gray(image, source)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(ground, rgba)
    rgb = image.copy() if image.mode == "RGB" else image.convert("RGB")
    # Without this, reading the outcome again would turn it by its EXIF orientation again.
    rgb.info = {}
    return rgb


def _scale_gray(image: Image.Image, source: Any) -> Image.Image:
    """Bring 16-bit or float gray to 8 bits: 16-bit by 257, float from [0, 1]."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        return Image.fromarray(_to_bytes(values, source))
    if values.min() < 0 or values.max() > 65535:
        raise InputError(source, f"gray values {values.min()} to {values.max()}, expected 16 bits")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _from_array(source: Any) -> Image.Image:
    """Make a image of an array or a tensor."""
    values = to_numpy(source, source)
    if is_tensor(source) and values.ndim == 3:
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        expected = "(C, H, W)" if is_tensor(source) else "(H, W) or (H, W, C)"
        raise InputError(source, f"expected {expected} with 1, 3 or 4 channels")
    _check_size((values.shape[1], values.shape[0]), source)
    return Image.fromarray(np.ascontiguousarray(_to_bytes(values, source)))


def _to_bytes(values: np.ndarray, source: Any) -> np.ndarray:
    """Bring float in [0, 1] and booleans to uint8."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise InputError(source, "has NaN or infinite values")
        if values.min() < 0 or values.max() > 1:
            found = f"float values {values.min():g} to {values.max():g}"
            raise InputError(source, f"{found}, expected 0 to 1")
        return np.round(values * 255).astype(np.uint8)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype != np.uint8:
        raise InputError(source, f"expected uint8 or float values, found {values.dtype}")
    return values
