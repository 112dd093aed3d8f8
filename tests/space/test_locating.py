"""Locating in a space: exact maps, both halves of a mosaic, transformers, recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.errors import InputError, UnknownNameError
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import samples_folder
from openbind.space.space import Space

IMAGES = samples_folder() / "images"
SOUNDS = held_out_folder() / "single_things"


@pytest.fixture(scope="module")
def starter() -> Space:
    """The starter."""
    return openbind.load("starter")


@pytest.fixture(scope="module")
def tiny() -> Space:
    """Transformers with random weights."""
    return openbind.load("tiny", weights="random")


@pytest.mark.parametrize("name", ["114-cat.webp", "225-windmill.webp", "231-drum.webp"])
def test_exact_maps(starter: Space, name: str) -> None:
    """The mean of the plain map is the cosine, whatever the image's shape."""
    image = IMAGES / name
    queries = starter.encode("text", ["a cat", "a windmill", "music"])
    expected = starter.similarity(queries, starter.encode("image", image))
    for query, cosine in zip(queries, expected[:, 0], strict=True):
        found = starter.locate(image, query, method="plain")
        assert found.heat.shape == (9, 9)
        assert found.heat.mean() == pytest.approx(cosine, abs=1e-5)
        assert np.abs(found.heat).max() <= 1
    cells = starter.patch_embeddings("image", starter.preprocess("image", [image]))
    assert tuple(cells.shape) == (1, 81, 384)
    assert cells[0].mean(dim=0).numpy() @ queries[0, :384] == pytest.approx(
        expected[0, 0], abs=1e-5
    )


@pytest.mark.parametrize("modality", ["depth", "thermal"])
def test_exact_maps_of_other_images(starter: Space, modality: str) -> None:
    """Depth and thermal images have exact maps, too."""
    ramp = np.linspace(600, 5000, 120 * 160).reshape(120, 160).astype(np.uint16)
    ramp[30:60, 40:80] = 900
    query = starter.encode("text", ["a bedroom"])[0]
    found = starter.locate(ramp, query, modality=modality, method="plain")
    cosine = starter.encode(modality, ramp) @ query
    assert found.heat.mean() == pytest.approx(cosine, abs=1e-5)
    assert found.size == (160, 120)
    assert found.area == pytest.approx((0.125, 0.0, 0.875, 1.0))


def test_finds_the_half(starter: Space) -> None:
    """A cat and a cup: each query points at its half, and a box is around it."""
    cat, cup = (
        Image.open(IMAGES / name).convert("RGB").resize((300, 300))
        for name in ("114-cat.webp", "115-coffee.webp")
    )
    both = Image.new("RGB", (600, 300))
    both.paste(cat, (0, 0))
    both.paste(cup, (300, 0))
    for text, is_right in (("a cat", False), ("a cup of coffee", True)):
        found = starter.locate(both, starter.encode("text", [text])[0])
        assert found.method == "auto"
        assert found.size == (600, 300)
        assert (found.peak[0] >= 300) == is_right
        x0, _, x1, _, score = found.boxes[0]
        assert ((x0 + x1) / 2 >= 300) == is_right
        assert found.heat.min() < score <= found.heat.max()


@pytest.mark.parametrize("modality", ["image", "depth", "thermal"])
def test_transformers(tiny: Space, modality: str) -> None:
    """Maps of a larger grid; the plain one is of the unchanged tokens."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (64, 96, 3), np.uint8)
    item = image if modality == "image" else image[..., 0].astype(np.float32) / 50
    query = tiny.encode("text", ["a dog"])[0]
    plain = tiny.locate(item, query, modality=modality, method="plain")
    found = tiny.locate(item, query, modality=modality)
    tokens = tiny.patch_embeddings(modality, tiny.preprocess(modality, [item]))[0, 1:]
    assert plain.heat.ravel() == pytest.approx(tokens.numpy() @ query, abs=1e-5)
    assert found.heat.shape[0] > plain.heat.shape[0]
    assert np.ptp(found.heat) > 0


def test_refusals(starter: Space) -> None:
    """Unknown names, several vectors, modalities without cells."""
    image = IMAGES / "114-cat.webp"
    queries = starter.encode("text", ["a cat", "a dog"])
    with pytest.raises(UnknownNameError):
        starter.locate(image, queries[0], method="magic")
    with pytest.raises(UnknownNameError):
        starter.locate(image, queries[0], modality="smell")
    for wrong in (queries, np.full(512, np.nan, np.float32), queries[0][:10]):
        with pytest.raises(InputError):
            starter.locate(image, wrong)
    with pytest.raises(InputError, match="cells"):
        starter.locate(SOUNDS / "080-dog.ogg", queries[0], modality="audio")
    with pytest.raises(InputError):
        starter.moments(image, queries[0], modality="image")
    with pytest.raises(UnknownNameError):
        starter.moments(b"12", queries[0])


def test_moments_of_joined_sounds(starter: Space) -> None:
    """Rain, then a dog: by text and by another bark, the second half."""
    from openbind.media.audio import read_audio

    def five_seconds(path: Path) -> np.ndarray:
        found = read_audio(path)
        samples = np.resize(found.samples_CT.mean(axis=0), 5 * found.rate_hz)
        return samples[np.linspace(0, len(samples) - 1, 5 * 22_050).astype(int)]

    sounds = [five_seconds(SOUNDS / name) for name in ("081-rain.ogg", "080-dog.ogg")]
    recording = (np.concatenate(sounds), 22_050)
    queries = [
        (starter.encode("text", ["rain"])[0], (0.0, 5.0)),
        (starter.encode("audio", [SOUNDS / "079-dog.ogg"])[0], (5.0, 10.0)),
    ]
    for query, expected in queries:
        found = starter.moments(recording, query)
        assert found == sorted(found, key=lambda moment: -moment[2])
        start, end, score = found[0]
        shared = max(0.0, min(end, expected[1]) - max(start, expected[0]))
        assert shared / (max(end, expected[1]) - min(start, expected[0])) > 0.6
        assert -1 <= score <= 1


def test_crops_compare_wholes(tiny: Space) -> None:
    """Windows as images of their own: the hottest box is the best window."""
    image = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    query = tiny.encode("image", image[:30, 30:])
    found = tiny.locate(image, query, method="crops")
    assert found.method == "crops"
    assert found.present is None
    assert len(found.boxes) >= 1
    assert found.boxes == sorted(found.boxes, key=lambda box: -box[4])


@pytest.mark.slow
def test_present(starter: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cat is in the image of a cat, a windmill isn't."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path))
    cat, windmill = starter.encode("text", ["a cat", "a windmill"])
    assert starter.locate(IMAGES / "114-cat.webp", cat).present is True
    assert starter.locate(IMAGES / "114-cat.webp", windmill).present is False
