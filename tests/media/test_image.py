"""Every kind of image becomes upright RGB; everything else an InputError that says why."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from openbind.errors import InputError, LimitError
from openbind.limits import LIBRARY
from openbind.media.image import read_image

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 255, (12, 20, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_formats(kind: str) -> None:
    """Decoded pixels equal the encoded ones."""
    data = encoded(Image.fromarray(PIXELS), kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(np.asarray(read_image(data)), PIXELS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PIXELS,
        lambda: PIXELS.astype(np.float32) / 255,
        lambda: torch.from_numpy(PIXELS).permute(2, 0, 1),
        lambda: torch.from_numpy(PIXELS).permute(2, 0, 1) / 255,
        lambda: np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)]),
        lambda: Image.fromarray(PIXELS),
        lambda: memoryview(encoded(Image.fromarray(PIXELS), "PNG")),
    ],
)
def test_forms_agree(make: Callable[[], object]) -> None:
    """Arrays, tensors, floats, opaque RGBA and PIL images are the same image."""
    image = read_image(make())
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), PIXELS)


def test_grey_forms() -> None:
    """Gray of 1, 8, 16 and 32 bits becomes equal channels on the scale of 8 bits."""
    gray = PIXELS[:, :, 0]
    expected = np.dstack([gray] * 3)
    for form in (
        gray,
        gray[:, :, None],
        torch.from_numpy(gray),
        torch.from_numpy(gray)[None],
        encoded(Image.fromarray(gray), "PNG"),
        encoded(Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        Image.fromarray(gray.astype(np.int32) * 257),
        Image.fromarray(gray.astype(np.float32) / 255),
    ):
        np.testing.assert_array_equal(np.asarray(read_image(form)), expected)
    bits = gray > 100
    np.testing.assert_array_equal(np.asarray(read_image(bits))[:, :, 1], bits * 255)


def test_transparency_is_white() -> None:
    """Alpha, palettes with a transparent color, and gray with alpha become white."""
    clear = Image.new("RGBA", (3, 3), (255, 0, 0, 0))
    assert read_image(encoded(clear, "PNG")).getpixel((1, 1)) == (255, 255, 255)
    half = Image.new("LA", (3, 3), (0, 0))
    assert read_image(half).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (3, 3), 0)
    palette.putpalette([0, 0, 255] * 256)
    data = encoded(palette, "GIF", transparency=0)
    assert read_image(data).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_and_exif() -> None:
    """CMYK is converted; an image of a rotated camera becomes upright."""
    cmyk = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    red, green, blue = read_image(cmyk).getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 60
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(PIXELS), "PNG", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(turned)), np.rot90(PIXELS, -1))


def test_first_frame_of_an_animation() -> None:
    """An animated GIF is its first frame."""
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data).getpixel((0, 0)) == (255, 0, 0)


def test_source_is_not_changed() -> None:
    """PIL images and arrays aren't modified."""
    image = Image.fromarray(PIXELS).convert("RGBA")
    before = image.tobytes()
    read_image(image).putpixel((0, 0), (1, 2, 3))
    assert (image.mode, image.tobytes()) == ("RGBA", before)
    rgb = Image.fromarray(PIXELS)
    read_image(rgb).putpixel((0, 0), (1, 2, 3))
    np.testing.assert_array_equal(np.asarray(rgb), PIXELS)


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes with many pixels in its header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.png", "no such file"),
        (b"", "empty"),
        (b"not an image at all", "not an image"),
        (encoded(Image.fromarray(PIXELS), "PNG")[:120], "broken or truncated"),
        (encoded(Image.new("RGB", (300, 300)), "JPEG")[:700], "truncated"),
        (png_header(20_000, 20_000), "pixels"),
        (42, "found int"),
        (None, "found NoneType"),
        (np.zeros((4, 4, 5), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 4, 3), np.uint8), "empty image"),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (PIXELS.astype(np.float32), "expected 0 to 1"),
        (PIXELS.astype(np.int64), "expected uint8 or float"),
        ("name\0with a zero", "can't be read|no such file"),
    ],
)
def test_bad_images(source: object, message: str) -> None:
    """Each error names what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        read_image(source)


def test_bad_files(tmp_path: Path) -> None:
    """Directories and empty files are refused."""
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="found a directory"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="empty file"):
        read_image(tmp_path / "empty.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_every_orientation(orientation: int, kind: str) -> None:
    """All eight EXIF orientations become upright, also when the result is read again."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.new("RGB", (32, 16))
    upright.paste((255, 255, 255), (0, 0, 8, 8))
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # PIL's transpositions, inverted
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    data = encoded(stored, kind, exif=exif)
    found = read_image(data)
    assert found.size == (32, 16)
    assert np.asarray(found)[:7, :7].min() > 200
    assert np.asarray(found)[:, 10:].max() < 60
    np.testing.assert_array_equal(np.asarray(read_image(found)), np.asarray(found))


def test_damaged_exif_is_none() -> None:
    """An image with an unreadable EXIF block is read without it."""
    data = encoded(Image.fromarray(PIXELS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(np.asarray(read_image(data)), PIXELS)


def test_smaller_side_of_a_jpeg() -> None:
    """A hint lets a JPEG be decoded smaller, never below the hint; without it the size is exact."""
    data = encoded(Image.new("RGB", (640, 480), (10, 200, 30)), "JPEG")
    assert read_image(data).size == (640, 480)
    assert read_image(data, min_side=100).size == (160, 120)
    assert read_image(data, min_side=400).size == (640, 480)
    png = encoded(Image.fromarray(PIXELS), "PNG")
    assert read_image(png, min_side=1).size == (20, 12)


def test_programs_are_refused() -> None:
    """PostScript, which another program would run, is refused."""
    header = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(InputError, match="not an image of a known format"):
        read_image(header)


def test_lazy_and_broken_pil_image() -> None:
    """A truncated PIL image that isn't decoded yet is refused."""
    whole = encoded(Image.new("RGB", (300, 300)), "JPEG")
    with pytest.raises(InputError, match="broken or truncated"):
        read_image(Image.open(io.BytesIO(whole[:700])))


def test_bfloat16_tensor() -> None:
    """bfloat16, which NumPy lacks, is converted."""
    image = read_image(torch.ones(3, 4, 5, dtype=torch.bfloat16))
    assert image.size == (5, 4)
    assert image.getpixel((0, 0)) == (255, 255, 255)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]),
    st.integers(0, 2000),
    st.integers(0, 255),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_escapes_as_nothing_else(kind: str, place: int, value: int) -> None:
    """One changed byte results in an image or an InputError."""
    data = bytearray(encoded(Image.fromarray(PIXELS), kind))
    data[place % len(data)] = value
    with contextlib.suppress(InputError):
        assert read_image(bytes(data)).mode == "RGB"


@pytest.mark.parametrize("size", [(20_000, 20), (20, 20_000), (9_000_000, 1)])
def test_extreme_sides(size: tuple[int, int]) -> None:
    """One side far longer than the other is refused by the header."""
    data = png_header(*size)
    with pytest.raises(LimitError) as caught:
        read_image(data)
    assert caught.value.limit == "side_ratio"


def test_icon_that_hides_an_image() -> None:
    """What is inside an icon counts, not what its list says."""
    data = png_header(13_000, 13_000)
    head = b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(data), 22)
    with pytest.raises(LimitError, match="13000 × 13000"):
        read_image(head + data)
    icon = encoded(Image.fromarray(PIXELS[:, :12]), "ICO", sizes=[(12, 12)])
    np.testing.assert_array_equal(np.asarray(read_image(icon)), PIXELS[:, :12])


def test_memory_is_limited_by_the_header() -> None:
    """Formats are refused by what their decoders take."""
    data = encoded(Image.fromarray(PIXELS), "WEBP", lossless=True)
    with LIBRARY.changed(bytes=240 * 17 - 1).applied(), pytest.raises(LimitError) as caught:
        read_image(data)
    assert caught.value.limit == "bytes"


def test_large_image_is_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size, what is needed decides the scale; orientation and colors hold."""
    scene = Image.fromarray(PIXELS).resize((800, 480))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene, "PNG", exif=exif)
    whole = read_image(data)
    assert read_image(data, min_side=100, exact_pixels=1 << 24).size == (480, 800)
    monkeypatch.setattr("openbind.media.image.LARGE_PIXELS", 1_000)
    found = read_image(data, min_side=100, exact_pixels=1_000)
    assert found.size == (120, 200)
    difference = np.asarray(found, int) - np.asarray(whole.reduce(4))
    assert np.abs(difference).max() <= 1
