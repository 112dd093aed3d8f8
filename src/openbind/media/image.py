"""Images: files, bytes, PIL images and arrays → RGB images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from openbind.errors import InputError
from openbind.limits import check_sides, current_limits
from openbind.media.arrays import is_array, is_tensor, to_numpy
from openbind.media.photos import complete_jpeg, foreign_format, read_foreign
from openbind.media.source import open_source

MAX_PIXELS = 178_956_970
"""Where PIL raises an error itself: twice the size at which it warns of a decompression bomb."""
REFUSED_FORMATS = {"EPS", "WMF"}
"""Formats that PIL passes to other programs (Ghostscript, Windows)."""
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
"""Errors of PIL's decoders on damaged files."""
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""


def read_image(source: Any, min_side: int | None = None) -> Image.Image:
    """Read an image.

    Args:
        source: path, bytes, PIL image, or an array or tensor: (H, W), (H, W, 1 | 3 | 4), for
            tensors of PyTorch (1 | 3 | 4, H, W); uint8, or float in [0, 1].
        min_side: required pixels of the shorter side. A JPEG may then be decoded at a half, a
            quarter or an eighth of its size, which is faster but not exact.

    Returns:
        an RGB image, rotated by its EXIF orientation; transparent pixels become white; the first
        frame of an animation; 16-bit gray is scaled to 8 bits. The source isn't modified.

    Raises:
        InputError: missing, empty, truncated, not an image, too large, or values out of range.
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
        InputError: as `read_image`; also for PIL's errors inside the context.
    """
    opened = open_source(source)
    if (kind := foreign_format(opened)) is not None:
        with _image_errors(source):
            yield read_foreign(opened, kind, current_limits().pixels, source)
        return
    with open_lazily(opened, source) as image:
        if min_side is not None:
            image.draft(image.mode, (min_side, min_side))
        try:
            upright = _upright(image, source)
        except OSError:
            if image.format not in ("JPEG", "MPO"):
                raise
            upright = _upright(complete_jpeg(opened, min_side), source)
        yield upright


@contextmanager
def open_lazily(opened: Path | io.BytesIO, source: Any) -> Iterator[Image.Image]:
    """Open the first frame of a checked path or stream, without decoding it.

    Raises:
        InputError: as `open_image`.
    """
    with _image_errors(source), Image.open(opened) as image:
        if image.format in REFUSED_FORMATS:
            raise InputError(source, f"{image.format} files are programs; expected an image")
        _check_size(image.size, source)
        image.seek(0)
        yield image


@contextmanager
def _image_errors(source: Any) -> Iterator[None]:
    """Convert PIL's errors into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(source, "not an image of a known format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(source, f"more than {MAX_PIXELS:,} pixels; refused") from error
    except BROKEN as error:
        raise InputError(source, f"a broken or truncated image ({error})") from error


def _check_size(size: tuple[int, int], source: Any) -> None:
    if min(size) < 1:
        raise InputError(source, f"empty image: {size[0]} × {size[1]} pixels")
    check_sides(*size, source)


def _upright(image: Image.Image, source: Any) -> Image.Image:
    """Decode, then rotate by the EXIF orientation."""
    _check_size(image.size, source)
    image.load()
    return turn_upright(image)


def turn_upright(image: Image.Image) -> Image.Image:
    """Rotate a decoded image by its EXIF orientation; an unreadable one is ignored."""
    try:
        transposition = ORIENTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except BROKEN:
        transposition = None
    return image if transposition is None else image.transpose(transposition)


def _to_rgb(image: Image.Image, source: Any) -> Image.Image:
    """Convert any mode to RGB over white, without the file's metadata."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _scale_gray(image, source)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(background, rgba)
    rgb = image.copy() if image.mode == "RGB" else image.convert("RGB")
    # Otherwise reading the result again would apply the EXIF orientation again.
    rgb.info = {}
    return rgb


def _scale_gray(image: Image.Image, source: Any) -> Image.Image:
    """Scale 16-bit gray (by 257) or float gray in [0, 1] to 8 bits."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        return Image.fromarray(_to_bytes(values, source))
    if values.min() < 0 or values.max() > 65535:
        raise InputError(source, f"gray values {values.min()} to {values.max()}, expected 16 bits")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _from_array(source: Any) -> Image.Image:
    """Convert an array or a tensor to an image."""
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
    """Scale floats in [0, 1] and booleans to uint8."""
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
