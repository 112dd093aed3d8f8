"""A thermal image becomes one channel in [0, 1], at any bit depth."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.modalities.spec import View
from openbind.modalities.thermal import MODALITY, ThermalSettings

GRAY = np.random.default_rng(0).integers(0, 255, (224, 224), dtype=np.uint8)


def prepare(item: Any, **settings: Any) -> torch.Tensor:
    return MODALITY.prepare(ThermalSettings(**settings), None)(item).clips


def test_eight_bits_without_normalization() -> None:
    """Values are divided by 255 only, which reproduces LLVIP."""
    clips = prepare(GRAY)
    assert clips.shape == (1, 1, 224, 224)
    np.testing.assert_allclose(clips[0, 0].numpy(), GRAY / 255, atol=1e-6)
    assert prepare(Image.fromarray(GRAY).convert("RGB")).shape == clips.shape


def test_raw_counts_and_temperatures() -> None:
    """16-bit counts and floats are scaled by the image's range, or the given one."""
    counts = GRAY.astype(np.uint16) * 16 + 20_000
    own = prepare(counts)
    assert own.min() == 0
    assert own.max() == 1
    torch.testing.assert_close(own, prepare(counts / np.float32(100)), atol=1e-5, rtol=0)
    fixed = prepare(counts, low=20_000, high=20_000 + 255 * 16)
    np.testing.assert_allclose(fixed[0, 0].numpy(), GRAY / 255, atol=1e-5)


def test_size_and_crop() -> None:
    """The shorter side is resized, the center is cropped."""
    wide = np.zeros((112, 448), np.uint8)
    wide[:, 168:280] = 200
    assert prepare(wide)[0, 0, 112, 112] == pytest.approx(200 / 255, abs=1e-3)


def test_one_value_everywhere() -> None:
    """An image without contrast is finite."""
    assert (prepare(np.full((30, 30), 21_000, np.uint16)) == 0).all()


@pytest.mark.parametrize(
    "item", [b"", "missing.png", np.zeros((2, 2, 5)), np.full((4, 4), np.nan, np.float32)]
)
def test_bad_images(item: object) -> None:
    """Unusable items raise InputError."""
    with pytest.raises(InputError):
        prepare(item)


def test_outliers_do_not_set_the_range() -> None:
    """Dead pixels, telemetry and missing values leave the rest as it is."""
    clean = np.random.default_rng(0).integers(29_000, 31_000, (120, 160), dtype=np.uint16)
    dead, telemetry = clean.copy(), clean.copy()
    dead[7, 9], dead[50, 60] = 0, 65_535
    telemetry[-2:] = np.random.default_rng(1).integers(0, 65_536, (2, 160))
    for changed in (dead, telemetry):
        assert (prepare(changed) - prepare(clean)).abs().mean() < 0.02


def test_colors_of_eight_bits_keep_their_range() -> None:
    """Images as displayed have no outliers, nor marks of missing values."""
    colors = np.full((60, 80, 3), 40, np.uint8)
    colors[::2, :, 0] = 44
    colors[0, 0], colors[9, 9] = 0, 255
    found = prepare(colors)
    assert 0.1 < float(found.median()) < 0.2


def test_temperatures_of_tiffs() -> None:
    """Limits in °C hold for files of centikelvin."""
    counts = np.linspace(29_315, 30_915, 24 * 24).reshape(24, 24).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(counts).save(buffer, "TIFF")
    found = prepare(buffer.getvalue(), radiometric=True, low=20, high=36)
    torch.testing.assert_close(found, prepare(counts), atol=1e-4, rtol=0)


def shown(item: Any, view: View, **settings: Any) -> torch.Tensor:
    assert MODALITY.apply_view is not None
    return prepare(MODALITY.apply_view(item, view), **settings)


COUNTS = np.random.default_rng(0).integers(20_000, 24_000, (60, 80), dtype=np.uint16)


@pytest.mark.parametrize("item", [GRAY, COUNTS, COUNTS / np.float32(100)])
def test_the_whole_view_of_an_image(item: np.ndarray) -> None:
    """The whole view has the same numbers, of every type."""
    assert torch.equal(shown(item, View()), prepare(item))


def test_a_part_looks_as_in_the_whole() -> None:
    """A crop keeps the contrast of the whole image."""
    view = View(box=(0.5, 0.25, 0.5, 0.5), flip=True)
    low, high = float(COUNTS.min()), float(COUNTS.max())
    expected = prepare(COUNTS[30:, 59:19:-1].copy(), low=low, high=high)
    assert torch.equal(shown(COUNTS, view), expected)
    cut = GRAY[112:, 167:55:-1].copy()
    assert torch.equal(shown(GRAY, view), prepare(cut))


def test_a_part_of_temperatures_is_read_as_the_settings_say() -> None:
    """Parts of radiometric files are cut from their temperatures."""
    pytest.importorskip("flyr", reason="needs the extra flir")
    jpeg = io.BytesIO()
    Image.new("L", (40, 30)).save(jpeg, "JPEG")
    assert shown(jpeg.getvalue(), View(flip=True)).shape == (1, 1, 224, 224)
    with pytest.raises(InputError, match="FLIR camera"):
        shown(jpeg.getvalue(), View(flip=True), radiometric=True)
