"""Damaged files of every kind are read or refused, in little time and memory; nothing crashes.

Small valid files are mutated by a seed: bytes are changed, removed, doubled, cut off, with and
without mended checksums. Each is loaded in a process of its own kind (`sandbox.py`).
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind

COUNT = 1_200
SECONDS, MEGABYTES = 2, 500
RANDOM = np.random.default_rng(0)
SCENE = np.asarray(Image.fromarray(RANDOM.integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48)))
COUNTS = SCENE[:, :, 0].astype(np.uint16) * 20
RECIPE = """
name: fuzz
start: starter
batch_size: 8
pairs:
  - pair: [image, audio]
    data: {manifest: pairs.csv}
    temperature: 0.07
  - pair: [image, depth]
    data: {shards: "pairs-{000..003}.tar"}
towers:
  audio: {start: space, train: head, head: {dropout: 0.2}}
  depth: {start: space, train: head, head: {dropout: 0.2}}
schedule: {lr: 2e-3, steps: 30, warmup_steps: 3}
"""
PAIRS = [
    {"image": "a.png", "text": "a dog", "label": "dog", "split": "train", "start": "0", "end": "2"},
    {"image": "b.png", "text": "a cat", "label": "cat", "split": "val", "start": "1.5", "end": "3"},
]


def picture(kind: str, values: np.ndarray = SCENE, mode: str = "", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def moving(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(SCENE, 4 * i, axis=1)) for i in range(6)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=200)
    return buffer.getvalue()


def film(kind: str, codec: str) -> bytes:
    av = pytest.importorskip("av", reason="needs the extra video")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shift in range(6):
            frame = av.VideoFrame.from_ndarray(np.roll(SCENE, 4 * shift, axis=1))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def sound(kind: str, codec: str, rate: int = 16_000) -> bytes:
    av = pytest.importorskip("av", reason="needs the extra video")
    tone = (0.3 * np.sin(np.arange(rate) / 9)).astype(np.float32)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        formats = av.AudioResampler(format=stream.codec_context.format, rate=rate)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for part in formats.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def written(kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(np.arange(16_000) / 9), 16_000, format=kind)
    return buffer.getvalue()


def array(values: np.ndarray, zipped: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, values) if zipped else np.save(buffer, values)
    return buffer.getvalue()


def motion() -> bytes:
    times = np.arange(100) / 50
    columns = [times, *(np.sin(times * (i + 1)) for i in range(6))]
    head = "time,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n"
    rows = [",".join(f"{value:.4f}" for value in row) for row in zip(*columns, strict=True)]
    return (head + "\n".join(rows)).encode()


def parquet() -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    buffer = io.BytesIO()
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(PAIRS), buffer)
    return buffer.getvalue()


def shards() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(2):
            parts = {"png": picture("PNG"), "txt": b"a dog", "json": json.dumps(PAIRS[0]).encode()}
            for extension, data in parts.items():
                member = tarfile.TarInfo(f"{number}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def csv_pairs() -> bytes:
    rows = [PAIRS[0].keys(), *(pair.values() for pair in PAIRS)]
    return "\n".join(",".join(row) for row in rows).encode()


def raw_file() -> bytes:
    entries = struct.pack("<HHHII", 1, 0xC612, 1, 4, 1) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + entries + picture("JPEG")


def heif() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes HEIF for tests")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SCENE)).save(buffer)
    return buffer.getvalue()


def jxl() -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra jxl")
    return bytes(imagecodecs.jpegxl_encode(SCENE))


GRAY16 = COUNTS
SEEDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a.jpg": ("image", lambda: picture("JPEG")),
    "progressive.jpg": ("image", lambda: picture("JPEG", progressive=True)),
    "a.png": ("image", lambda: picture("PNG")),
    "palette.png": ("image", lambda: picture("PNG", mode="P")),
    "counts.depth.png": ("depth", lambda: picture("PNG", COUNTS)),
    "counts.thermal.png": ("thermal", lambda: picture("PNG", COUNTS)),
    "lossy.webp": ("image", lambda: picture("WEBP")),
    "lossless.webp": ("image", lambda: picture("WEBP", lossless=True)),
    "a.gif": ("image", lambda: moving("GIF")),
    "film.gif": ("video", lambda: moving("GIF")),
    "a.tiff": ("image", lambda: picture("TIFF", compression="tiff_lzw")),
    "counts.tiff": ("thermal", lambda: picture("TIFF", COUNTS)),
    "a.bmp": ("image", lambda: picture("BMP")),
    "a.ico": ("image", lambda: picture("ICO", SCENE[:32, :32])),
    "a.ppm": ("image", lambda: picture("PPM")),
    "deep.pgm": ("depth", lambda: b"P5 64 48 65535\n" + COUNTS.astype(">u2").tobytes()),
    "a.avif": ("image", lambda: picture("AVIF")),
    "a.jp2": ("image", lambda: picture("JPEG2000")),
    "a.heic": ("image", heif),
    "a.jxl": ("image", jxl),
    "a.dng": ("image", raw_file),
    "a.wav": ("audio", lambda: written("WAV")),
    "a.flac": ("audio", lambda: written("FLAC")),
    "a.ogg": ("audio", lambda: written("OGG")),
    "a.mp3": ("audio", lambda: written("MP3")),
    "a.m4a": ("audio", lambda: sound("mp4", "aac")),
    "a.mp4": ("video", lambda: film("mp4", "libx264")),
    "a.webm": ("video", lambda: film("webm", "libvpx")),
    "a.csv": ("imu", motion),
    "imu.npz": ("imu", lambda: array(RANDOM.standard_normal((60, 6)), zipped=True)),
    "depth.npy": ("depth", lambda: array(COUNTS)),
    "depth.npz": ("depth", lambda: array(COUNTS, zipped=True)),
    "recipe.yaml": ("recipe", RECIPE.encode),
    "pairs.csv": ("pairs", csv_pairs),
    "pairs.jsonl": ("pairs", lambda: "\n".join(map(json.dumps, PAIRS)).encode()),
    "pairs.parquet": ("pairs", parquet),
    "pairs.tar": ("pairs", shards),
}
"""File → what it is loaded as, and what makes it."""


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Change, remove or repeat a few bytes, more often at the start; or cut off the end."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        place = int(len(changed) * random.random() ** 2)
        kind = random.integers(8)
        if kind < 4:
            changed[place : place + 1] = bytes([random.integers(256)])
        elif kind == 4:
            edge = [0, 0x7F, 0x80, 0xFF][random.integers(4)]
            changed[place : place + 4] = bytes([edge]) * 4
        elif kind == 5:
            del changed[place : place + int(random.integers(1, 9))]
        elif kind == 6:
            changed[place:place] = changed[place : place + int(random.integers(1, 65))]
        elif random.integers(4) == 0:
            del changed[place:]
        changed = changed or bytearray(b"\0")
    mended = bytes(changed)
    return mend_png(mended) if mended.startswith(b"\x89PNG") and random.integers(2) else mended


def mend_png(data: bytes) -> bytes:
    """Correct the checksums, without which decoders look at nothing."""
    mended, position = data[:8], 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        body = data[position + 4 : position + 8 + length]
        mended += data[position : position + 4] + body + struct.pack(">I", zlib.crc32(body))
        position += 12 + length
    return mended


def check(results: list[dict[str, Any]], count: int) -> None:
    """No other error, no crash, no hang; all failures are reported together."""
    assert len(results) == count
    failed = [
        found
        for found in results
        if found["outcome"] not in ("read", "refused")
        or found["seconds"] > SECONDS
        or found["megabytes"] > MEGABYTES
    ]
    assert not failed, "\n".join(map(str, failed))


def limits(loader: str, paths: list[Path]) -> dict[str, Any]:
    """A task of the sandbox."""
    names = [str(path) for path in paths]
    return {"loader": loader, "paths": names, "seconds": SECONDS, "megabytes": MEGABYTES}


@pytest.mark.slow
def test_mutated_files(sandbox: ModuleType, tmp_path: Path) -> None:
    """Two thousand mutations of files of every modality, manifest and recipe."""
    tasks = []
    count = -(-COUNT // len(SEEDS))
    for name, (loader, make) in SEEDS.items():
        data, random = make(), np.random.default_rng(zlib.crc32(name.encode()))
        paths = [tmp_path / f"whole.{name}"]
        paths[0].write_bytes(data)
        for number in range(count):
            paths.append(tmp_path / f"{number:03}.{name}")
            paths[-1].write_bytes(mutate(data, random))
        tasks.append(limits(loader, paths))
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture("PNG"))
    results = sandbox.run(tasks)
    check(results, (count + 1) * len(SEEDS))
    whole = [found for found in results if Path(found["path"]).name.startswith("whole.")]
    unread = [found for found in whole if found["outcome"] != "read"]
    assert not unread, "\n".join(map(str, unread))


NASTY = (None, True, -1, 0, 3, 10**9, 10**12, 1e300, -0.5, float("nan"), "", "x", "../x", [], {})
"""Values of a configuration that aren't meant."""


def change_config(values: Any, random: np.random.Generator) -> Any:
    """Replace one value somewhere inside."""
    if isinstance(values, dict | list) and values and random.integers(8):
        keys = list(values) if isinstance(values, dict) else range(len(values))
        key = keys[random.integers(len(keys))]
        items = dict(values) if isinstance(values, dict) else list(values)
        items[key] = change_config(items[key], random)
        return items
    return NASTY[random.integers(len(NASTY))]


@pytest.mark.slow
def test_mutated_spaces(sandbox: ModuleType, tmp_path: Path) -> None:
    """Configurations with other values, and weights and configurations with other bytes."""
    space = openbind.load("tiny", weights="random", device="cpu", modalities=["thermal"])
    whole = tmp_path / "whole"
    openbind.save(space, whole)
    config = json.loads((whole / "config.json").read_text())
    random = np.random.default_rng(0)
    paths = [whole]
    for number in range(200):
        paths.append(tmp_path / f"{number:03}")
        shutil.copytree(whole, paths[-1])
        file = paths[-1] / "config.json"
        if number % 4 == 0:
            file = next(paths[-1].glob("*.safetensors"))
        if number % 4 < 2:
            file.write_bytes(mutate(file.read_bytes(), random))
        else:
            file.write_text(json.dumps(change_config(config, random)))
    results = sandbox.run([limits("space", paths)])
    check(results, len(paths))
    assert results[0]["outcome"] == "read"
