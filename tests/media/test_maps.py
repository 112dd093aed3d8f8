"""Measurements keep their values and precision, however they are stored."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.media.maps import read_map

RANDOM = np.random.default_rng(0)
COUNTS = {
    np.uint8: RANDOM.integers(0, 256, (5, 7), dtype=np.uint8),
    np.uint16: RANDOM.integers(0, 65_536, (5, 7), dtype=np.uint16),
    np.int32: RANDOM.integers(-(2**31), 2**31 - 1, (5, 7), dtype=np.int32),
    np.float32: RANDOM.standard_normal((5, 7)).astype(np.float32),
}


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (np.uint8, "PNG"),
        (np.uint8, "TIFF"),
        (np.uint16, "PNG"),
        (np.uint16, "TIFF"),
        (np.int32, "TIFF"),
        (np.float32, "TIFF"),
    ],
)
def test_images(dtype: type, kind: str, tmp_path: Path) -> None:
    """All bits are read, from paths and bytes."""
    path = tmp_path / "map"
    path.write_bytes(encoded(Image.fromarray(COUNTS[dtype]), kind))
    for source in (path, str(path), path.read_bytes()):
        found = read_map(source)
        np.testing.assert_array_equal(found, COUNTS[dtype])
        assert found.dtype.kind == np.dtype(dtype).kind


def test_big_endian_tiff() -> None:
    """Values in the file's byte order are converted to the machine's."""
    header = b"MM\0*\0\0\0\x08\0\x08"
    counts = np.array([[1, 258]], ">u2")
    tags = [
        (256, 4, 1, 2),
        (257, 4, 1, 1),
        (258, 3, 1, 16 << 16),
        (259, 3, 1, 1 << 16),
        (262, 3, 1, 1 << 16),
        (273, 4, 1, 8 + 2 + 8 * 12 + 4),
        (278, 4, 1, 1),
        (279, 4, 1, 4),
    ]
    body = b"".join(
        tag.to_bytes(2, "big")
        + kind.to_bytes(2, "big")
        + n.to_bytes(4, "big")
        + v.to_bytes(4, "big")
        for tag, kind, n, v in tags
    )
    found = read_map(header + body + bytes(4) + counts.tobytes())
    np.testing.assert_array_equal(found, [[1, 258]])
    assert found.dtype.isnative
    torch.from_numpy(found.astype(np.int32))


@pytest.mark.parametrize("dtype", COUNTS)
def test_arrays(dtype: type) -> None:
    """Arrays, tensors and npy files, with and without an axis of one channel."""
    counts = COUNTS[dtype]
    for source in (
        counts,
        counts[:, :, None],
        torch.from_numpy(counts.astype(np.int64))
        if dtype == np.uint16
        else torch.from_numpy(counts),
        torch.from_numpy(counts.astype(np.float32))[None],
        npy(counts),
        Image.fromarray(counts),
    ):
        found = read_map(source)
        assert found.shape == (5, 7)
        np.testing.assert_allclose(found, counts.astype(found.dtype))


def test_types() -> None:
    """Integers keep their type, other numbers become float32, missing values are kept."""
    assert read_map(np.zeros((2, 2), np.uint16)).dtype == np.uint16
    assert read_map(np.zeros((2, 2), np.float64)).dtype == np.float32
    assert read_map(np.zeros((2, 2), bool)).dtype == np.uint8
    assert np.isnan(read_map(np.full((2, 2), np.nan))).all()


def png16(values_HWC: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel: gray with alpha, RGB or RGBA, with rows of several filters."""
    height, width, channels = values_HWC.shape
    rows, above = b"", np.zeros(width * channels * 2, np.uint8)
    for number, row in enumerate(values_HWC.astype(">u2")):
        line = np.frombuffer(row.tobytes(), np.uint8)
        left = np.concatenate([np.zeros(channels * 2, np.uint8), line[: -channels * 2]])
        kind = number % 3
        rows += bytes([kind]) + (line - (0, left, above)[kind]).astype(np.uint8).tobytes()
        above = line
    color = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_a_channel(channels: int) -> None:
    """Gray with alpha and equal colors keep 16 bits, of which PIL decodes 8."""
    gray = COUNTS[np.uint16]
    values = np.dstack([gray] * channels)
    if channels != 3:
        values[:, :, -1] = 65_535 - gray
    found = read_map(png16(values))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, gray)


def test_sixteen_bits_of_color() -> None:
    """Different channels are refused, or averaged at full precision."""
    colors = RANDOM.integers(0, 65_536, (5, 7, 3), dtype=np.uint16)
    with pytest.raises(InputError, match="in color"):
        read_map(png16(colors))
    found = read_map(png16(colors), color="luminance")
    np.testing.assert_allclose(found, colors @ [0.299, 0.587, 0.114], rtol=1e-5)
    with pytest.raises(InputError, match="broken or truncated"):
        read_map(png16(colors)[:-40])


@pytest.mark.parametrize("order", "<>")
def test_sixteen_bits_of_color_in_tiff(order: str) -> None:
    """TIFFs of either byte order keep 16 bits too."""
    gray = COUNTS[np.uint16]
    data = np.dstack([gray] * 3).astype(order + "u2").tobytes()
    bits, end = 8 + 2 + 9 * 12 + 4, order
    tags = [(256, 3, 1, 7), (257, 3, 1, 5), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, bits + 6), (277, 3, 1, 3), (278, 3, 1, 5), (279, 4, 1, len(data))]
    body = struct.pack(end + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    for tag, kind, count, value in tags:
        packed = struct.pack(end + "H2x" if kind == 3 and count == 1 else end + "I", value)
        body += struct.pack(end + "HHI", tag, kind, count) + packed
    found = read_map(body + bytes(4) + struct.pack(end + "HHH", 16, 16, 16) + data)
    np.testing.assert_array_equal(found, gray)


def test_marks_of_missing_values() -> None:
    """Values that no measurement has, and GDAL's own mark, become NaN."""
    values = np.array([[-3.4028235e38, 1.0], [-9999.0, 3.4028235e38]], np.float32)
    np.testing.assert_array_equal(read_map(values), [[np.nan, 1], [-9999, np.nan]])
    assert np.isposinf(read_map(np.array([[np.inf]]))).all()
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", tiffinfo={42_113: "-9999"})
    np.testing.assert_array_equal(read_map(buffer.getvalue()), [[np.nan, 1], [np.nan, np.nan]])


def test_color() -> None:
    """Three equal channels are one; others are refused, or averaged by luminance."""
    gray = COUNTS[np.uint8]
    np.testing.assert_array_equal(read_map(np.dstack([gray] * 3)), gray)
    np.testing.assert_array_equal(read_map(torch.from_numpy(gray).expand(3, 5, 7)), gray)
    colors = Image.fromarray(RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    with pytest.raises(InputError, match="in color"):
        read_map(encoded(colors, "PNG"))
    found = read_map(encoded(colors, "PNG"), color="luminance")
    np.testing.assert_allclose(found, np.asarray(colors.convert("L")), atol=1)


def test_source_is_not_changed() -> None:
    """The result doesn't share memory with the source."""
    counts = COUNTS[np.uint8].copy()
    read_map(counts)[:] = 0
    np.testing.assert_array_equal(counts, COUNTS[np.uint8])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.png", "no such file"),
        (b"not an image", "not an image"),
        (encoded(Image.fromarray(COUNTS[np.uint16]), "PNG")[:80], "broken or truncated"),
        (npy(COUNTS[np.uint16])[:-4], "broken or truncated"),
        (np.zeros((2, 2, 2)), r"expected a map \(H, W\)"),
        (np.zeros((0, 3)), "empty map"),
        (np.array([["a"]]), "expected float or integer"),
        (5, "found int"),
    ],
)
def test_bad_maps(source: object, message: str) -> None:
    """Each error names what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        read_map(source)


def test_half_precision() -> None:
    """A map of float16, which can't hold the values that mark missing pixels, is read as it is."""
    values_HW = np.full((3, 4), 24.84, np.float16)
    np.testing.assert_array_equal(read_map(values_HW), values_HW)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_jxl(dtype: type, channels: int) -> None:
    """JPEG XL keeps all its bits."""
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra jxl")
    counts = COUNTS[dtype]
    stored = counts if channels == 1 else np.dstack([counts] * 3)
    data = bytes(imagecodecs.jpegxl_encode(stored, lossless=True))
    np.testing.assert_array_equal(read_map(data), counts)
