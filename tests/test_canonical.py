"""Canonical vectors: one item per modality through `Space.encode`, compared with stored ones.

They catch what parity of single parts can't: a changed default, another order of preprocessing, a
vocabulary, weights drawn differently. A change that is meant writes the file again, and says why:

    python tests/test_canonical.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import openbind
from openbind.catalog import shipped

STORED = Path(__file__).parent / "golden" / "canonical.safetensors"
HELD_OUT = shipped("held_out")
STARTER_ITEMS: dict[str, Any] = {
    "image": HELD_OUT / "single_things" / "043-dog.png",
    "video": HELD_OUT / "rooms" / "bathroom.mp4",
    "text": "a rooster crowing at dawn",
    "audio": shipped("samples") / "sounds" / "159-rooster.ogg",
    "depth": HELD_OUT / "rooms" / "kitchen-1.png",
    "thermal": HELD_OUT / "rooms" / "kitchen-1-heat.jpg",
    "imu": HELD_OUT / "basicmotions" / "20-walking.csv",
}
# Cosines to float32 that bfloat16 keeps. The starter runs in float32 unless another precision is
# given; its depth and thermal towers amplify small differences.
LEAST_COSINE = 0.995
STARTER_COSINES = {"depth": 0.95, "thermal": 0.99}
PRESETS = ["tiny", pytest.param("base", marks=pytest.mark.slow)]


def made_items() -> dict[str, Any]:
    """One item per modality by formula, the same on every machine."""
    rows_H, columns_W = np.arange(120), np.arange(160)
    grid_HW = (3 * rows_H[:, None] + 2 * columns_W) % 256
    image_HWC = np.stack([grid_HW, grid_HW[::-1], 255 - grid_HW], axis=-1).astype(np.uint8)
    sweep_T = np.sin(np.arange(48_000) ** 2 / 48_000).astype(np.float32)
    motion_TC = np.sin(np.arange(1000)[:, None] / np.arange(5, 11)).astype(np.float32)
    return {
        "image": image_HWC,
        "video": (np.stack([np.roll(image_HWC, 8 * t, axis=1) for t in range(24)]), 8),
        "text": "a rooster crowing at dawn",
        "audio": (sweep_T, 16_000),
        "depth": (1 + grid_HW / 64).astype(np.float32),
        "thermal": (100 * grid_HW).astype(np.uint16),
        "imu": (motion_TC, 200),
    }


def encode_all(space: openbind.Space, items: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Encode one item of each modality of a space."""
    for modality in space.modalities:
        yield modality, space.encode(modality, [items[modality]])[0]


def load_random(preset: str) -> openbind.Space:
    """Build a preset with its seeded weights."""
    return openbind.load(preset, weights="random", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    """Vectors by "space.modality"."""
    vectors: dict[str, np.ndarray] = load_file(STORED)
    return vectors


def test_starter_has_every_modality(stored: dict[str, np.ndarray], starter: openbind.Space) -> None:
    """A modality that the shipped model gains gets its vector here."""
    named = {key.removeprefix("starter.") for key in stored if key.startswith("starter.")}
    assert named == set(starter.modalities) == set(STARTER_ITEMS)


@pytest.mark.parametrize("modality", STARTER_ITEMS)
def test_starter(stored: dict[str, np.ndarray], starter: openbind.Space, modality: str) -> None:
    """The shipped model in float32: each number to 1e-5."""
    vector_E = starter.encode(modality, [STARTER_ITEMS[modality]])[0]
    np.testing.assert_allclose(vector_E, stored[f"starter.{modality}"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_starter_in_bfloat16(stored: dict[str, np.ndarray]) -> None:
    """The shipped model in half precision keeps the direction of its vectors."""
    space = openbind.load("starter", device="cpu", dtype="bfloat16")
    for modality, vector_E in encode_all(space, STARTER_ITEMS):
        least = STARTER_COSINES.get(modality, LEAST_COSINE)
        assert vector_E @ stored[f"starter.{modality}"] >= least, modality


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(stored: dict[str, np.ndarray], preset: str) -> None:
    """Architectures with seeded weights: each number to 1e-5; directions in half precision.

    In half precision not of video, whose tower is that of images.
    """
    space, items = load_random(preset), made_items()
    for modality, vector_E in encode_all(space, items):
        expected_E = stored[f"{preset}.{modality}"]
        np.testing.assert_allclose(vector_E, expected_E, rtol=0, atol=1e-5, err_msg=modality)
    space = space.to("cpu", torch.bfloat16)
    for modality in items.keys() - {"video"}:
        vector_E = space.encode(modality, [items[modality]])[0]
        assert vector_E @ stored[f"{preset}.{modality}"] >= LEAST_COSINE, modality


def write_canonical(path: Path = STORED) -> None:
    """Encode all items in float32 and write the file that the tests compare with."""
    starter = openbind.load("starter", device="cpu", dtype="float32")
    spaces = [(starter, STARTER_ITEMS)]
    spaces += [(load_random(preset), made_items()) for preset in ("tiny", "base")]
    vectors = {
        f"{space.name}.{modality}": vector_E
        for space, items in spaces
        for modality, vector_E in encode_all(space, items)
    }
    save_file(vectors, path)


if __name__ == "__main__":
    write_canonical()
