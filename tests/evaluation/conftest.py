"""A small held-out table with one set of every kind, of files that are made."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind
from openbind.embedding.cache import VectorCache
from openbind.evaluation.held_out import TABLE, HeldOutRow


@pytest.fixture(scope="session")
def tiny() -> openbind.Space:
    """All of ImageBind's modalities, small, with random weights."""
    return openbind.load("tiny", weights="random", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorCache]:
    """Vectors that several tests need."""
    with VectorCache(tmp_path_factory.mktemp("kept") / "vectors.sqlite") as cache:
        yield cache


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IMU with texts, rooms in images and depth with texts, and audio without."""
    folder = tmp_path_factory.mktemp("held_out")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(4):
        label = ("walking", "standing")[number % 2]
        motion = np.c_[np.arange(100) / 10, generator.normal(size=(100, 6))]
        names = "time,ax,ay,az,gx,gy,gz"
        np.savetxt(folder / f"{number}.csv", motion, delimiter=",", header=names, comments="")
        rows.append(("motion", "imu", f"{number}.csv", label, ""))
        pixels = generator.integers(256, size=(32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        millimetres = generator.integers(1000, 5000, (32, 40)).astype(np.uint16)
        np.save(folder / f"{number}.npy", millimetres)
        room = ("kitchen", "bedroom")[number % 2]
        rows.append(("rooms", "image", f"{number}.png", room, f"room {number}"))
        rows.append(("rooms", "depth", f"{number}.npy", room, f"room {number}"))
        soundfile.write(folder / f"{number}.wav", 0.1 * generator.normal(size=8000), 16_000)
        rows.append(("noise", "audio", f"{number}.wav", "", ""))
    texts = {"motion": ("walking", "standing"), "rooms": ("kitchen", "bedroom", "office")}
    for title, labels in texts.items():
        rows += [(title, "text", "", label, "") for label in labels]
    with (folder / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(HeldOutRow.__dataclass_fields__))
        writer.writeheader()
        for title, modality, path, label, pair in rows:
            writer.writerow(
                {
                    **dict.fromkeys(("author", "license", "sha256"), "x"),
                    "set": title,
                    "modality": modality,
                    "path": path,
                    "label": label,
                    "pair": pair,
                    "title": path or f"a {label}",
                    "settings": '{"units": "millimetres"}' if modality == "depth" else "",
                    "source": f"{title} of noise 1.2 (made): {path}",
                }
            )
    return folder


@pytest.fixture(autouse=True)
def _few_drawings(few_drawings: None) -> None:
    """Draw little where the starter is evaluated: it takes half a second each."""
