"""1,000 malformed uploads: each gets a 4xx with a message, and the service stays up."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import soundfile

import openbind

UPLOADS = 1000
ToUrl = Callable[[bytes], str]
Upload = tuple[str, bytes]


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size, with hardly any data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def bombs() -> list[Upload]:
    """Small files that claim, or decompress to, far more than a service can hold."""
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(8000 * 700, np.int16), 8000, format="FLAC")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY" + bytes(100 << 20))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**6)}
    )
    slow = "seconds,a,b,c,d,e,f\n" + "".join(f"{t * 9},1,2,3,4,5,6\n" for t in range(100))
    many = b"1,2,3,4,5,6\n" * 300_000
    wave = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x01\0\0\0\x02\0\0\0\x02\0\x10\0data"
    bitmap = b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 2**30, 2**30, 1, 24, *[0] * 6)
    return [
        ("image", png_of(60_000, 60_000)),
        ("depth", png_of(9_000, 9_000)),
        ("thermal", png_of(2**31 - 1, 2**31 - 1)),
        ("image", b"GIF89a\xff\xff\xff\xff\0\0\0;"),
        ("image", bitmap),
        ("audio", silence.getvalue()),
        ("audio", wave + struct.pack("<I", 2**31 - 37)),
        ("depth", packed.getvalue()),
        ("depth", header.getvalue()),
        ("imu", slow.encode()),
        ("imu", many),
        ("image", b"<svg xmlns='http://www.w3.org/2000/svg' width='9999999' height='9999999'/>"),
        ("image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"),
        ("video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("video", b"ffconcat version 1.0\nfile /etc/passwd\n"),
    ]


def broken(whole: dict[str, list[bytes]], rng: random.Random) -> Upload:
    """Break a good file: truncate it, overwrite its header, or send it as another modality."""
    modality = rng.choice(sorted(whole))
    content = rng.choice(whole[modality])
    way = rng.choice(["head", "noise", "cut", "other", "zeros", "html"])
    if way == "head":
        return modality, rng.randbytes(16) + content[16:]
    if way == "noise":
        return modality, rng.randbytes(rng.randrange(1, 5000))
    if way == "cut":
        # Of CSV, half a table is a table.
        end = rng.randrange(1, len(content) // 3)
        return modality, b"1," if modality == "imu" else content[:end]
    if way == "zeros":
        return modality, bytes(rng.randrange(1, 5000))
    if way == "html":
        return modality, b"<html>no such thing" * rng.randrange(1, 50)
    others = {"image": "audio", "audio": "image", "depth": "imu", "imu": "depth"}
    return others[modality], content


@pytest.mark.slow
def test_malformed_uploads(live: httpx.Client, index: openbind.Index, data_url: ToUrl) -> None:
    """Truncated files, wrong modalities, noise, bombs, path tricks: rejected, nothing breaks."""
    whole: dict[str, list[bytes]] = {}
    for hit in sorted(index.sample(99, 0)[0], key=lambda hit: hit.path):
        whole.setdefault(hit.modality, []).append(hit.path.read_bytes())
    rng = random.Random(0)
    bodies: list[dict[str, object]] = [
        {"modality": modality, "input": data_url(content)} for modality, content in bombs()
    ]
    tricks = ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "\0"]
    bodies += [{"modality": kind, "input": trick} for kind in sorted(whole) for trick in tricks]
    bodies += [{"modality": trick, "input": "x"} for trick in tricks]
    while len(bodies) < UPLOADS:
        modality, content = broken(whole, rng)
        bodies.append({"modality": modality, "input": data_url(content)})

    def send(body: dict[str, object]) -> httpx.Response:
        return live.post("/v1/embeddings", json=body)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(send, bodies))
    for body, response in zip(bodies, responses, strict=True):
        shown = f"{body['modality']} {str(body['input'])[:60]}: {response.text[:300]}"
        assert 400 <= response.status_code < 500, shown
        assert len(response.json()["error"]["message"]) > 10, shown
        assert str(Path(openbind.__file__).parent) not in response.text, shown
    assert live.get("/health").json()["status"] == "ok"
    assert send({"input": "still here"}).status_code == 200
