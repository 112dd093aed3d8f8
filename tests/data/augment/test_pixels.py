"""Factors and changes stay in their published ranges; images keep their size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from openbind.data.augment.pixels import CHANGES, FILL, Change, ColorJitter, RandAugment

GRAYS = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
# Brighter to the right and downwards by steps, each color by itself.
STAIRS_HWC = (np.arange(60)[:, None, None] + np.arange(90)[:, None] * [1, 0.5, 1.5]) // 8 * 8
STAIRS = Image.fromarray(STAIRS_HWC.astype(np.uint8))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int64)


def test_jitter_is_three_factors_in_some_order() -> None:
    """The result is one of the six orders of brightness, contrast and saturation."""
    rng = np.random.default_rng(5)
    order = rng.permutation(3)
    factors = rng.uniform(0.6, 1.4, size=3)
    expected = NOISE
    for index, factor in zip(order, factors, strict=True):
        kind = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[index]
        expected = kind(expected).enhance(factor)
    found = ColorJitter()(NOISE, np.random.default_rng(5))
    np.testing.assert_array_equal(pixels(found), pixels(expected))


def test_jitter_keeps_to_its_strength() -> None:
    """Gray gets at most brighter or darker by the strength; 0 changes nothing."""
    gray = Image.new("RGB", (4, 4), (100, 100, 100))
    found = [
        int(pixels(ColorJitter()(gray, np.random.default_rng(seed)))[0, 0, 0])
        for seed in range(300)
    ]
    assert 59 <= min(found) <= 63
    assert 137 <= max(found) <= 141
    assert ColorJitter(strength=0.0)(NOISE, np.random.default_rng(0)).tobytes() == NOISE.tobytes()


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("level", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_changes_keep_size_and_mode(name: str, level: float, sign: int) -> None:
    """At any level the size is kept and the input unmodified."""
    before = NOISE.tobytes()
    found = CHANGES[name](NOISE, level, sign)
    assert (found.size, found.mode) == (NOISE.size, "RGB")
    assert NOISE.tobytes() == before


@pytest.mark.parametrize(
    "name", [n for n in CHANGES if n not in ("autocontrast", "equalize", "invert", "posterize")]
)
def test_changes_grow_with_their_level(name: str) -> None:
    """Level 0 changes nothing; 1 more than one half."""
    none, half, full = (
        np.abs(pixels(CHANGES[name](STAIRS, level, 1)) - pixels(STAIRS)) for level in (0, 0.5, 1)
    )
    assert none.max() == 0
    assert 0 < half.mean() < full.mean()


def test_ranges_are_timms() -> None:
    """Exact results at level 1 on all grays, or on a shifted white image."""
    grays = pixels(GRAYS)
    np.testing.assert_array_equal(pixels(CHANGES["solarize"](GRAYS, 1.0, 1)), 255 - grays)
    found = pixels(CHANGES["solarize"](GRAYS, 0.9, 1))
    np.testing.assert_array_equal(found, np.where(grays < 26, grays, 255 - grays))
    found = pixels(CHANGES["solarize_add"](GRAYS, 1.0, 1))
    np.testing.assert_array_equal(found, np.where(grays < 128, np.minimum(grays + 110, 255), grays))
    assert len(np.unique(pixels(CHANGES["posterize"](GRAYS, 0.0, 1)))) == 16
    assert len(np.unique(pixels(CHANGES["posterize"](GRAYS, 0.9, 1)))) == 2
    assert len(np.unique(pixels(CHANGES["posterize"](GRAYS, 1.0, 1)))) == 2
    np.testing.assert_allclose(pixels(CHANGES["brightness"](GRAYS, 1.0, -1)), grays * 0.1, atol=1)
    white = Image.new("RGB", (100, 40), "white")
    moved = pixels(CHANGES["translate_x"](white, 1.0, 1))
    assert (moved[:, :55] == 255).all()
    assert (moved[:, 55:] == FILL).all()
    moved = pixels(CHANGES["translate_y"](white, 1.0, -1))
    assert (moved[:18] == FILL).all()
    assert (moved[18:] == 255).all()
    sheared = pixels(CHANGES["shear_x"](white, 1.0, 1))
    assert (sheared[39] == FILL).all(axis=1).sum() == pytest.approx(0.3 * 39, abs=1)
    turned = CHANGES["rotate"](white, 1.0, 1)
    assert turned.tobytes() == CHANGES["rotate"](turned.rotate(0), 0.0, 1).tobytes()
    assert (pixels(turned)[0, 0] == FILL).all()


def test_half_of_the_changes_drawn_are_made() -> None:
    """One layer leaves about half of the images unchanged."""
    same = [
        RandAugment(layers=1)(NOISE, np.random.default_rng(seed)).tobytes() == NOISE.tobytes()
        for seed in range(400)
    ]
    # Noise has no contrast left to stretch: autocontrast is one in 15 that does nothing.
    assert np.mean(same) == pytest.approx(0.5 + 0.5 / 15, abs=0.07)


def test_every_change_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """All fifteen changes are drawn, with clipped Gaussian magnitudes."""
    drawn: dict[str, list[float]] = {name: [] for name in CHANGES}

    def note(name: str) -> Change:
        def change(image: Image.Image, level: float, sign: int) -> Image.Image:
            drawn[name].append(level)
            return image

        return change

    for name in CHANGES:
        monkeypatch.setitem(CHANGES, name, note(name))
    for seed in range(600):
        RandAugment()(NOISE, np.random.default_rng(seed))
    levels = np.concatenate(list(drawn.values()))
    assert len(drawn) == 15
    assert min(map(len, drawn.values())) > 15
    assert levels.max() <= 1.0
    assert np.median(levels) == pytest.approx(0.9, abs=0.01)
    assert levels.std() == pytest.approx(0.05, abs=0.01)
