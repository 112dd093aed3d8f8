"""Files without temperatures are refused; without flyr, its extra is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError, MissingExtraError
from openbind.media.radiometric import read_celsius


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "source",
    [
        jpeg(),
        jpeg()[:50],
        b"",
        b"nothing",
        "missing.jpg",
        b"\xff\xd8\xff\xe1\x00\x10FLIR\x00\x01\x00\x00" + bytes(64),
    ],
)
def test_no_temperatures(source: object) -> None:
    """Ordinary, broken and missing images are refused."""
    pytest.importorskip("flyr", reason="needs the extra flir")
    with pytest.raises(InputError):
        read_celsius(source)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_centikelvin(kind: str) -> None:
    """16-bit counts are hundredths of a kelvin, 0 is missing; floats are °C."""
    buffer = io.BytesIO()
    counts = np.array([[29_315, 30_915], [0, 27_315]], np.uint16)
    Image.fromarray(counts).save(buffer, kind)
    celsius = np.float32([[20, 36], [np.nan, 0]])
    np.testing.assert_allclose(read_celsius(buffer.getvalue()), celsius)
    np.testing.assert_array_equal(read_celsius(celsius), celsius)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_other_counts_are_no_temperatures(dtype: type) -> None:
    """8 bits, and values far from temperatures, are refused."""
    with pytest.raises(InputError, match="centikelvin"):
        read_celsius((np.full((4, 4), 9) * (200 if dtype == np.float32 else 1)).astype(dtype))


def test_dji() -> None:
    """A JPEG of DJI is named, with what to do."""
    pytest.importorskip("flyr", reason="needs the extra flir")
    exif = Image.Exif()
    exif[0x010F] = "DJI"
    buffer = io.BytesIO()
    Image.new("L", (40, 30)).save(buffer, "JPEG", exif=exif)
    with pytest.raises(InputError, match=r"DJI.*TIFF"):
        read_celsius(buffer.getvalue())


def test_missing_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flyr the extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "flyr", None)
    with pytest.raises(MissingExtraError, match=r"openbind\[flir\]"):
        read_celsius(jpeg())
