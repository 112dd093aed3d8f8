"""Raw files of cameras are their largest preview, upright; other TIFFs are unchanged."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.media.image import read_image
from openbind.media.raw import find_preview

SENSOR = np.random.default_rng(0).integers(0, 65_536, 4_000, dtype=np.uint16).tobytes()
PHOTOMETRIC, ORIENTATION, SUB_IFDS, DNG_VERSION = 262, 274, 330, 50_706


def jpeg(width: int, height: int, **options: object) -> bytes:
    """White in its left upper corner."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (0, 0, width // 4, height // 4))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def ifd(order: str, start: int, entries: dict[int, int], following: int = 0) -> bytes:
    """One directory of entries with one value each."""
    packed = struct.pack(order + "H", len(entries))
    for tag, value in sorted(entries.items()):
        kind = 4 if tag == SUB_IFDS else 3
        packed += struct.pack(order + "HHI", tag, kind, 1)
        packed += struct.pack(order + ("I" if kind == 4 else "H2x"), value)
    return packed + struct.pack(order + "I", following)


def tiff(order: str, orientation: int = 1, magic: int = 42, **last: int) -> bytes:
    """A header, a first directory, one below it of the sensor, and two previews."""
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HI", magic, 16) + last.get("mark", 0).to_bytes(8, "little")
    first = {ORIENTATION: orientation, PHOTOMETRIC: 2}
    if "dng" in last:
        first[DNG_VERSION] = 1
    else:
        first[SUB_IFDS] = 200
    directory = ifd(order, 16, first)
    below = ifd(order, 200, {PHOTOMETRIC: last.get("colors", 32_803)})
    body = (head + directory).ljust(200, b"\0") + below
    return body + jpeg(16, 12) + SENSOR + jpeg(80, 48) + SENSOR + jpeg(40, 24)


CR2 = int.from_bytes(b"CR", "little")
FILES = {
    "nef": tiff(">", 8),
    "arw": tiff("<", 8),
    "cr2": tiff("<", 8, mark=CR2, colors=2),
    "dng": tiff("<", 8, dng=1),
    "linear.dng": tiff(">", 8, colors=34_892),
    "orf": b"IIRO" + tiff("<", 8)[4:],
}


@pytest.mark.parametrize("name", FILES)
def test_preview(name: str, tmp_path: Path) -> None:
    """The largest preview, turned by the file's orientation, from paths and bytes."""
    path = tmp_path / name
    path.write_bytes(FILES[name])
    for source in (path, FILES[name]):
        image = read_image(source)
        assert image.size == (48, 80)
        assert np.asarray(image)[-10:, :6].min() > 200


def test_preview_with_its_own_orientation() -> None:
    """Where the preview says how it is turned, that counts."""
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    data = b"FUJIFILMCCD-RAW 0201" + bytes(64) + jpeg(80, 48, exif=exif) + SENSOR
    image = read_image(data)
    assert image.size == (80, 48)
    assert np.asarray(image)[-6:, -10:].min() > 200
    panasonic = b"IIU\0" + bytes(60) + jpeg(80, 48, exif=exif)
    assert np.asarray(read_image(panasonic))[-6:, -10:].min() > 200


def test_boxes() -> None:
    """CR3 has its directories in boxes."""
    head = struct.pack(">I", 24) + b"ftypcrx " + bytes(12)
    directory = b"II*\0" + struct.pack("<I", 8) + ifd("<", 8, {ORIENTATION: 6})
    data = head + bytes(4) + b"CMT1" + directory + jpeg(80, 48) + SENSOR
    assert read_image(data).size == (48, 80)


def test_without_preview() -> None:
    """Only the sensor's data, or a lossless JPEG of it: the file is refused, with what to do."""
    lossless = b"\xff\xd8\xff\xc3\x00\x0b\x0e\x00\x30\x00\x50\x01\x00\x11\x00" + SENSOR
    for end in (SENSOR, lossless):
        data = FILES["nef"][: FILES["nef"].find(b"\xff\xd8")] + end
        with pytest.raises(InputError, match="preview"):
            read_image(data)


def test_other_tiffs() -> None:
    """Ordinary TIFFs, also with directories below the first, are read as they are."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "TIFF")
    opened = io.BytesIO(buffer.getvalue())
    assert find_preview(opened, "x") is opened
    opened = io.BytesIO(tiff("<", colors=1))
    assert find_preview(opened, "x") is opened


@pytest.mark.filterwarnings("ignore")  # PIL warns of damaged directories
@pytest.mark.parametrize("name", FILES)
def test_damage(name: str) -> None:
    """Whatever is cut off or changed, an image or an InputError results."""
    random = np.random.default_rng(0)
    whole = FILES[name]
    changed = [whole[:end] for end in (9, 17, 30, 210, 230, 300, len(whole) - 700)]
    for _ in range(50):
        data = bytearray(whole)
        data[random.integers(240)] = random.integers(256)
        changed.append(bytes(data))
    for file in changed:
        with contextlib.suppress(InputError):
            assert read_image(file).mode == "RGB"
