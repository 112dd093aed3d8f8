"""Images: files, bytes, PIL images and arrays → RGB images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from openbind.errors import InputError
from openbind.limits import check_limit, check_sides
from openbind.media.arrays import is_array, is_tensor, to_numpy
from openbind.media.jpeg import check_scans, recover_jpeg
from openbind.media.netpbm import read_deep_netpbm
from openbind.media.photos import decode_jxl, foreign_format, icon_sizes, naming_extra, read_foreign
from openbind.media.raw import find_preview
from openbind.media.reduction import convert_in_bands, convert_map, reduction
from openbind.media.source import open_source

MAX_PIXELS = 178_956_970
"""Where PIL raises an error itself: twice the size at which it warns of a decompression bomb."""
LARGE_PIXELS = 1 << 24
"""Images of more pixels are read at a reduced scale where that is enough, in bands of rows."""
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM"),
    *("WEBP", "TIFF", "JPEG2000", "ICO", "PSD", "TGA", "PCX", "SGI", "AVIF"),
)
"""PIL's names of the formats that are read; others are programs, or decoded slowly."""
BYTES_PER_PIXEL = {
    "WEBP": 17,
    "AVIF": 10,
    "HEIF": 8,
    "JPEG XL": 16,
    "JPEG2000": 20,
    "PSD": 8,
    "ICO": 8,
}
"""Measured memory of decoders; others need the pixels' own size."""
PROGRESSIVE_BYTES = 6
"""Bytes a pixel of a progressive JPEG's coefficients: 2 for each of three colors."""
FULL_SIZE = "openbind_full_size"
"""Key of an image's `info` for its width and height before it was reduced, whose ratio is exact."""
RGB_BYTES = 4
"""Bytes of a pixel in PIL's RGB."""
PLAIN_BYTES = 256
"""Memory and time of a pixel that is written as text, as bytes."""
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
TURNS = set(list(ORIENTATIONS.values())[3:])
"""Those that exchange width and height."""


def read_image(source: Any, min_side: int | None = None, exact_pixels: int = 0) -> Image.Image:
    """Read an image.

    Args:
        source: path, bytes, PIL image, or an array or tensor: (H, W), (H, W, 1 | 3 | 4), for
            tensors of PyTorch (1 | 3 | 4, H, W); uint8, or float in [0, 1].
        min_side: required pixels of the shorter side. A JPEG, and any image of more than
            `LARGE_PIXELS`, may then be read at a fraction of its size, which needs less time and
            memory but isn't exact.
        exact_pixels: images of at most so many pixels are read exactly.

    Returns:
        an RGB image, rotated by its EXIF orientation; transparent pixels become white; the first
        frame of an animation; 16-bit gray is scaled to 8 bits; of a camera's raw file its preview.
        A reduced image has `FULL_SIZE` in its `info`. The source isn't modified.

    Raises:
        InputError: missing, empty, truncated, not an image, too large, or values out of range.
    """
    if isinstance(source, Image.Image):
        with _image_errors(source):
            _check_size(source.size, source)
            source.load()
            return _upright_rgb(source, None, source)
    if is_array(source):
        return _to_rgb(_from_array(source), source)
    with open_image(source, min_side, exact_pixels) as image:
        return _upright_rgb(image, min_side, source)


@contextmanager
def open_image(
    source: Any, min_side: int | None = None, exact_pixels: int = 0
) -> Iterator[Image.Image]:
    """Open and decode a path or bytes: the first frame, in its own mode, not yet upright.

    Args:
        source: path or bytes.
        min_side, exact_pixels: as in `read_image`, for JPEGs.

    Raises:
        InputError: as `read_image`; also for PIL's errors inside the context.
    """
    opened = find_preview(open_source(source), source)
    if (kind := foreign_format(opened)) is not None:
        with _image_errors(source):
            yield read_foreign(opened, kind, partial(_check_header, kind, source), source)
        return
    if (deep := read_deep_netpbm(opened, source)) is not None:
        yield Image.fromarray(convert_map(deep[0], partial(_to_eight_bits, white=deep[1])))
        return
    with open_lazily(opened, source) as image:
        full_size = image.size
        pixels = image.width * image.height
        reduced_side = min_side if pixels > exact_pixels else None
        if reduced_side is not None:
            image.draft(image.mode, (reduced_side, reduced_side))
        is_copied = reduced_side is None or image.width * image.height <= LARGE_PIXELS
        _check_memory(image, pixels, is_copied, source)
        try:
            image.load()
        except OSError:
            if image.format not in ("JPEG", "MPO"):
                raise
            image = recover_jpeg(opened, reduced_side, source)
        _check_size(image.size, source)
        if image.format in ("JPEG", "MPO"):
            image.info[FULL_SIZE] = full_size
        yield image


def read_deep_jxl(opened: Path | io.BytesIO, source: Any) -> np.ndarray:
    """Read all bits of a JPEG XL, (H, W, C) without alpha.

    Raises:
        InputError: as `open_image`.
    """
    with _image_errors(source), naming_extra("JPEG XL", source):
        values = decode_jxl(opened, partial(_check_header, "JPEG XL", source))
    values = values[:, :, None] if values.ndim == 2 else values
    return values[:, :, : 1 if values.shape[2] < 3 else 3]


@contextmanager
def open_lazily(opened: Path | io.BytesIO, source: Any) -> Iterator[Image.Image]:
    """Open the first frame of a checked path or stream, without decoding it.

    Raises:
        InputError: as `open_image`.
    """
    for size in icon_sizes(opened):  # PIL decodes icons when it opens them
        _check_header("ICO", source, size)
    with _image_errors(source), Image.open(opened, formats=FORMATS) as image:
        _check_size(image.size, source)
        image.seek(0)
        if any(name == "ppm_plain" for name, *_ in getattr(image, "tile", [])):
            check_limit("bytes", PLAIN_BYTES * image.width * image.height, source)
        if image.format in ("JPEG", "MPO"):
            check_scans(opened, image, source)
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


def _check_header(kind: str, item: Any, size: tuple[int, int]) -> None:
    """Check the size in a header, and the memory that decoding it takes."""
    _check_size(size, item)
    shown = f"{kind} of {size[0]} × {size[1]} pixels"
    check_limit("bytes", size[0] * size[1] * BYTES_PER_PIXEL[kind], item, shown)


def _check_memory(image: Image.Image, full_pixels: int, is_copied: bool, item: Any) -> None:
    """Check the memory that decoding takes, before it does.

    Args:
        image: not decoded yet, at the size that it will have.
        full_pixels: of the file.
        is_copied: a copy of the same size follows.
        item: named by errors.
    """
    pixel_bytes = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    per_pixel = BYTES_PER_PIXEL.get(image.format or "", pixel_bytes)
    needed = image.width * image.height * (per_pixel + RGB_BYTES * is_copied)
    if "progressive" in image.info:
        needed += full_pixels * PROGRESSIVE_BYTES
    shown = f"{image.format} of {image.width} × {image.height} pixels ({needed:,} bytes)"
    check_limit("bytes", needed, item, shown)


def orientation_of(image: Image.Image) -> Image.Transpose | None:
    """Return what makes an image upright by its EXIF block; an unreadable one is ignored."""
    try:
        return ORIENTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except BROKEN:
        return None


def turn_upright(image: Image.Image) -> Image.Image:
    """Rotate a decoded image by its EXIF orientation."""
    orientation = orientation_of(image)
    return image if orientation is None else image.transpose(orientation)


def _upright_rgb(image: Image.Image, min_side: int | None, source: Any) -> Image.Image:
    """Convert a decoded image to RGB, upright; a large one in bands of rows."""
    orientation = orientation_of(image)
    full_size = image.info.get(FULL_SIZE, image.size)
    if image.width * image.height <= LARGE_PIXELS:
        rgb = _to_rgb(image, source)
    else:
        factor = reduction(image.size, min_side)
        rgb = convert_in_bands(image, factor, lambda band: _to_rgb(band, source))
    is_reduced = rgb.size != full_size
    if orientation is not None:
        rgb = rgb.transpose(orientation)
        if orientation in TURNS:
            full_size = full_size[::-1]
    if is_reduced:
        rgb.info[FULL_SIZE] = full_size
    return rgb


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
    return Image.fromarray(_to_eight_bits(values, 65_535))


def _to_eight_bits(values: np.ndarray, white: int) -> np.ndarray:
    return np.round(values.clip(0, white) / (white / 255)).astype(np.uint8)


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
