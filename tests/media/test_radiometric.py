"""Files without temperatures are refused; without flyr, its extra is named."""

from __future__ import annotations

import io

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


def test_missing_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flyr the extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "flyr", None)
    with pytest.raises(MissingExtraError, match=r"openbind\[flir\]"):
        read_celsius(jpeg())
