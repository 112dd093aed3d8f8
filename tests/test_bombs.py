"""Small files that would decode to gigabytes, or for minutes, are refused or read within bounds.

Each is loaded in a process of its own: at most 5 s of work and 500 MB above what the process had.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

SECONDS, MEGABYTES = 5, 500
SIDE = 8_000


@cache
def png(width: int, height: int, bits: int = 8, color: int = 2) -> bytes:
    """A PNG of one color: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = b"\0" + b"\x40" * (width * channels * bits // 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", bytes(768)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
        if name != b"PLTE" or color == 3
    )


@cache
def encoded(kind: str, side: int = SIDE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (side, side), (100, 80, 60))
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, 95 bytes, comes again and again."""
    data = encoded("JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + count * last + data[-2:]


def icon(side: int) -> bytes:
    data = header_only(side, side)
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(data), 22) + data


def archive(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, values)
    return buffer.getvalue()


def jxl(side: int) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra jxl")
    return bytes(imagecodecs.jpegxl_encode(np.zeros((side, side, 3), np.uint8), effort=1))


def header_only(width: int, height: int) -> bytes:
    """A PNG whose pixels are missing."""
    return png(1, 1)[:16] + struct.pack(">II", width, height) + png(1, 1)[24:]


SMALL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "wide.png": ("image", lambda: png(40_000, 1)),
    "wide.depth.png": ("depth", lambda: png(40_000, 1, 16, 0)),
    "high.png": ("depth", lambda: png(1, 30_000, 16, 0)),
    "high.thermal.png": ("thermal", lambda: png(1, 30_000, 16, 0)),
    "wider.png": ("image", lambda: png(64_000_000, 1, 8, 0)),
    "huge.png": ("image", lambda: header_only(2_000_000_000, 2_000_000_000)),
    "icon.ico": ("image", lambda: icon(13_000)),
    "columns.csv": ("imu", lambda: b"," * 10_000_000 + b"\n1,2,3\n"),
    "cells.csv": ("imu", lambda: b"," * 20_000_000),
    "spaces.csv": ("imu", lambda: b"1 " * 10_000_000),
    "late.csv": ("imu", lambda: b"t,ax,ay,az,gx,gy,gz\n1,2,3,4,5,6,7\n" + b"1," * 10_000_000),
    "feeds.csv": ("imu", lambda: b"1,2,3,4,5,6\x0c" * 1_600_000),
    "quotes.csv": ("imu", lambda: b'"' + b"1,2\n" * 2_000_000),
    "comments.csv": ("imu", lambda: b"#\n" * 4_000_000),
    "zeros.npz": ("imu", lambda: archive(np.zeros((12_000_000, 6), np.float32))),
    "map.npz": ("depth", lambda: archive(np.zeros((SIDE, SIDE), np.float32))),
    "flat.jxl": ("image", lambda: jxl(SIDE)),
    "plain.ppm": ("image", lambda: b"P3 4000 4000 255\n" + b"1 " * 8_000_000),
    "deep.pgm": ("depth", lambda: b"P5 60000 60000 65535\n" + bytes(1_000)),
}
"""File → what it is loaded as, and what makes it; in a second or two."""
LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "rgb.png": ("image", lambda: png(SIDE, SIDE)),
    "rgba.png": ("image", lambda: png(SIDE, SIDE, 8, 6)),
    "palette.png": ("image", lambda: png(SIDE, SIDE, 8, 3)),
    "gray16.png": ("image", lambda: png(SIDE, SIDE, 16, 0)),
    "rgb16.png": ("image", lambda: png(SIDE, SIDE, 16, 2)),
    "gray16.depth.png": ("depth", lambda: png(SIDE, SIDE, 16, 0)),
    "gray16.thermal.png": ("thermal", lambda: png(SIDE, SIDE, 16, 0)),
    "rgb16.depth.png": ("depth", lambda: png(SIDE, SIDE, 16, 2)),
    "gray8.thermal.png": ("thermal", lambda: png(SIDE, SIDE, 8, 0)),
    "allowed.depth.png": ("depth", lambda: png(7_000, 7_000, 16, 0)),
    "allowed.thermal.png": ("thermal", lambda: png(3_500, 3_500, 16, 0)),
    "rgb.jpg": ("image", lambda: encoded("JPEG")),
    "progressive.jpg": ("image", lambda: encoded("JPEG", progressive=True, subsampling=0)),
    "truncated.jpg": ("image", lambda: encoded("JPEG")[:-50_000]),
    "scans100.jpg": ("image", lambda: many_scans(90)),
    "scans1000.jpg": ("image", lambda: many_scans(1_000)),
    "rgb.webp": ("image", lambda: encoded("WEBP", method=0, quality=10)),
    "allowed.webp": ("image", lambda: encoded("WEBP", 5_500, method=0, quality=10)),
    "rgb.avif": ("image", lambda: encoded("AVIF", speed=10)),
    "allowed.avif": ("image", lambda: encoded("AVIF", 7_200, speed=10)),
    "rgb.tiff": ("image", lambda: encoded("TIFF", compression="tiff_adobe_deflate")),
    "rgb.thermal.tiff": ("thermal", lambda: encoded("TIFF", compression="tiff_adobe_deflate")),
    "allowed.jp2": ("image", lambda: encoded("JPEG2000", 5_000)),
    "palette.gif": ("image", lambda: encoded("GIF")),
}
"""As `SMALL`: 64 megapixels each, or as many as are allowed."""


def check(sandbox: Any, tmp_path: Path, bombs: dict[str, tuple[str, Callable[[], bytes]]]) -> None:
    """Load each bomb; all failures are reported together."""
    tasks = []
    for name, (loader, make) in bombs.items():
        path = tmp_path / name
        path.write_bytes(make())
        limits = {"seconds": SECONDS, "megabytes": MEGABYTES}
        tasks.append({"loader": loader, "paths": [str(path)], **limits})
    results = sandbox.run(tasks)
    assert len(results) == len(tasks)
    failed = [
        found
        for found in results
        if found["outcome"] not in ("read", "refused")
        or found["seconds"] > SECONDS
        or found["megabytes"] > MEGABYTES
    ]
    assert not failed, "\n".join(map(str, failed))
    allowed = [found for found in results if Path(found["path"]).name.startswith("allowed")]
    assert all(found["outcome"] == "read" for found in allowed), allowed


@pytest.mark.slow
def test_small_bombs(sandbox: ModuleType, tmp_path: Path) -> None:
    """Headers that promise too much, tables of one line, archives of zeros."""
    check(sandbox, tmp_path, SMALL)


@pytest.mark.slow
def test_large_images(sandbox: ModuleType, tmp_path: Path) -> None:
    """Images of 64 megapixels in every format, as every modality."""
    check(sandbox, tmp_path, LARGE)
