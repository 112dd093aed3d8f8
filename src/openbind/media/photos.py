"""Formats of phones that PIL doesn't read: HEIF and JPEG XL; and the sizes inside icons."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.media.source import read_bytes, read_head

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"}
"""Brands of files of HEVC images (ISO/IEC 23008-12); AVIF's are others, and are PIL's."""
JXL_HEADS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
"""First bytes of a JPEG XL codestream, and of its container (ISO/IEC 18181-2)."""
EXTRAS = {"HEIF": ("pi-heif", "heif"), "JPEG XL": ("imagecodecs", "jxl")}
"""Format → the package that reads it, and openbind's extra that installs it."""
ICON = b"\0\0\1\0"
PNG = b"\x89PNG\r\n\x1a\n"
CheckSize = Callable[[tuple[int, int]], None]
"""Raises an error for an image of a width and height that is too large."""


def foreign_format(opened: Path | io.BytesIO) -> str | None:
    """Return "HEIF" or "JPEG XL" by a file's first bytes; None for PIL's formats."""
    head = read_head(opened, 64)
    if head.startswith(JXL_HEADS):
        return "JPEG XL"
    if head[4:8] != b"ftyp":
        return None
    end = min(len(head), int.from_bytes(head[:4], "big"))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, end, 4))]
    is_avif = bool({b"avif", b"avis"} & {*brands})
    return "HEIF" if brands[0] in HEIF_BRANDS and not is_avif else None


def read_foreign(opened: Path | io.BytesIO, kind: str, check: CheckSize, item: Any) -> Image.Image:
    """Decode an image of `foreign_format`, upright.

    Args:
        opened: path or stream.
        kind: "HEIF" or "JPEG XL".
        check: called with width and height before the image is decoded.
        item: named by errors.

    Raises:
        InputError: the package that reads the format isn't installed; those of `check`.
        Exception: those of the packages, for broken files.
    """
    with naming_extra(kind, item):
        return (_read_heif if kind == "HEIF" else _read_jxl)(opened, check)


@contextmanager
def naming_extra(kind: str, item: Any) -> Iterator[None]:
    """Name the package and the extra that read a format, where it isn't installed.

    Raises:
        InputError: in place of an ImportError.
    """
    try:
        yield
    except ImportError as error:
        package, extra = EXTRAS[kind]
        reason = f"reading {kind} needs the package {package!r}: pip install 'openbind[{extra}]'"
        raise InputError(item, reason) from error


def _read_heif(opened: Path | io.BytesIO, check: CheckSize) -> Image.Image:
    import pi_heif

    file = pi_heif.open_heif(opened, convert_hdr_to_8bit=True)
    check(file.size)
    image: Image.Image = file.to_pillow()
    # The decoder has applied the file's rotation; a copy in its EXIF block must not count again.
    image.info = {}
    image.getexif().clear()
    return image


def _read_jxl(opened: Path | io.BytesIO, check: CheckSize) -> Image.Image:
    values = decode_jxl(opened, check)
    if values.dtype != np.uint8:
        top = 1.0 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
        values = np.round(np.clip(values / top, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(values[:, :, 0] if values.shape[2:] == (1,) else values)


def decode_jxl(opened: Path | io.BytesIO, check: CheckSize) -> np.ndarray:
    """Decode a JPEG XL in its own type: (H, W) or (H, W, C), of 8 or 16 bits or floats.

    Args:
        opened: path or stream.
        check: called with width and height before the image is decoded.

    Raises:
        ImportError: imagecodecs isn't installed.
        Exception: those of imagecodecs, for broken files; those of `check`.
    """
    import imagecodecs

    data = read_bytes(opened)
    check(_jxl_size(data))
    return np.asarray(imagecodecs.jpegxl_decode(data, index=0))


def _jxl_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG XL file's header (ISO/IEC 18181-1, section D.2)."""
    start = 0
    if not data.startswith(JXL_HEADS[0]):
        start = max(data.find(b"jxlc") + 4, data.find(b"jxlp") + 8)
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(is_small: int) -> int:
        return 8 * (take(5) + 1) if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    is_small = take(1)
    height = side(is_small)
    ratio = take(3)
    ratios = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
    if not ratio:
        return side(is_small), height
    across, down = ratios[ratio - 1]
    return height * across // down, height


def icon_sizes(opened: Path | io.BytesIO) -> list[tuple[int, int]]:
    """Return width and height of the images in an ICO file, which its own list may belie.

    Other files have none.
    """
    if read_head(opened, len(ICON)) != ICON:
        return []
    data, sizes = read_bytes(opened), []
    for entry in range(int.from_bytes(data[4:6], "little")):
        start = int.from_bytes(data[18 + 16 * entry : 22 + 16 * entry], "little")
        if data.startswith(PNG, start):
            head, order = data[start + 16 : start + 24], ">II"
        else:
            head, order = data[start + 4 : start + 12], "<II"
        if len(head) == 8:
            sizes.append(struct.unpack(order, head))
    return [(width, height) for width, height in sizes if width and height]
