"""HEIF, JPEG XL and JPEGs without an end are read; what is missing is named."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.limits import LIBRARY
from openbind.media.image import read_image
from openbind.media.photos import foreign_format

ROWS, COLUMNS = np.mgrid[:48, :80]
SMOOTH = np.dstack([ROWS * 5, COLUMNS * 3, 255 - ROWS * 2 - COLUMNS]).astype(np.uint8)


def heif() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes HEIF for tests")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SMOOTH)).save(buffer, quality=95)
    return buffer.getvalue()


def jxl(values: np.ndarray = SMOOTH) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra jxl")
    return bytes(imagecodecs.jpegxl_encode(values, lossless=True))


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, "JPEG", quality=90, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_heif(tmp_path: Path) -> None:
    """HEIF by its content, whatever its extension."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(heif())
    for source in (path, path.read_bytes()):
        difference = np.asarray(read_image(source)).astype(int) - SMOOTH
        assert np.abs(difference).mean() < 6


def test_heif_is_rotated_once() -> None:
    """An orientation in the file is applied by the decoder, and not again by its EXIF block."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes HEIF for tests")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = pillow_heif.from_pillow(Image.fromarray(SMOOTH))
    file.info["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    file.save(buffer, quality=95)
    assert read_image(buffer.getvalue()).size == (48, 80)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jxl(channels: int, dtype: type) -> None:
    """JPEG XL of 8 and 16 bits, gray, RGB and with alpha."""
    values = SMOOTH[:, :, :1] if channels == 1 else SMOOTH
    if channels == 4:
        values = np.dstack([values, np.full(values.shape[:2], 255, np.uint8)])
    data = jxl(values.astype(dtype) * (257 if dtype == np.uint16 else 1))
    expected = np.broadcast_to(values[:, :, :3], (48, 80, 3))
    np.testing.assert_array_equal(np.asarray(read_image(data)), expected)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 128), (300, 200), (600, 1200), (5, 7)])
def test_large_jxl_is_refused_by_its_header(height: int, width: int) -> None:
    """Width and height are known before decoding."""
    data = jxl(np.zeros((height, width, 3), np.uint8))
    limits = LIBRARY.changed(pixels=height * width - 1)
    with limits.applied(), pytest.raises(InputError, match=f"{width} × {height} pixels"):
        read_image(data)
    with LIBRARY.changed(pixels=height * width).applied():
        assert read_image(data).size == (width, height)


@pytest.mark.parametrize(("make", "extra"), [(heif, "heif"), (jxl, "jxl")])
def test_missing_packages_are_named(
    make: object, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package the format and the extra are named, and other files go on."""
    data = make()  # type: ignore[operator]
    for package in ("pi_heif", "imagecodecs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"openbind\[{extra}\]"):
        read_image(data)


@pytest.mark.parametrize("make", [heif, jxl])
def test_damage(make: object) -> None:
    """Truncated and changed files are images or an InputError."""
    data = make()  # type: ignore[operator]
    for end in range(16, len(data) - 1, max(1, len(data) // 12)):
        with pytest.raises(InputError):
            read_image(data[:end])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("end", [-1, -2])
def test_jpeg_without_its_last_marker(options: dict[str, object], end: int) -> None:
    """All pixels are there; at a smaller size too."""
    data = jpeg(**options)
    np.testing.assert_array_equal(np.asarray(read_image(data[:end])), np.asarray(read_image(data)))
    assert read_image(data[:end], min_side=20).size == read_image(data, min_side=20).size


@pytest.mark.parametrize("missing", [40, 200, 600])
def test_jpeg_without_its_pixels(missing: int) -> None:
    """A JPEG that lacks pixels is refused."""
    with pytest.raises(InputError, match="truncated"):
        read_image(jpeg()[:-missing])


def test_formats_of_pil_are_not_foreign() -> None:
    """AVIF, JPEG and PNG are PIL's."""
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, "PNG")
    avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"
    for data in (jpeg(), buffer.getvalue(), avif, b"\xff\xff\xff\xffftypmp42"):
        assert foreign_format(io.BytesIO(data)) is None
