"""A thermal image becomes one channel in [0, 1], whatever its depth of bits."""

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
    """Values over 255 and nothing more: the rule that reproduces LLVIP."""
    clips = prepare(GRAY)
    assert clips.shape == (1, 1, 224, 224)
    np.testing.assert_allclose(clips[0, 0].numpy(), GRAY / 255, atol=1e-6)
    assert prepare(Image.fromarray(GRAY).convert("RGB")).shape == clips.shape


def test_raw_counts_and_temperatures() -> None:
    """16-bit counts and floats take the image's own range, or the one that is said."""
    counts = GRAY.astype(np.uint16) * 16 + 20_000
    own = prepare(counts)
    assert own.min() == 0
    assert own.max() == 1
    torch.testing.assert_close(own, prepare(counts / np.float32(100)), atol=1e-5, rtol=0)
    fixed = prepare(counts, low=20_000, high=20_000 + 255 * 16)
    np.testing.assert_allclose(fixed[0, 0].numpy(), GRAY / 255, atol=1e-5)


def test_size_and_crop() -> None:
    """The shorter side is scaled to the size, the middle is cut."""
    wide = np.zeros((112, 448), np.uint8)
    wide[:, 168:280] = 200
    assert prepare(wide)[0, 0, 112, 112] == pytest.approx(200 / 255, abs=1e-3)


def test_one_value_everywhere() -> None:
    """A image without contrast is finite."""
    assert (prepare(np.full((30, 30), 21_000, np.uint16)) == 0).all()


@pytest.mark.parametrize(
    "item", [b"", "missing.png", np.zeros((2, 2, 5)), np.full((4, 4), np.nan, np.float32)]
)
def test_bad_images(item: object) -> None:
    """What can't be used is an InputError."""
    with pytest.raises(InputError):
        prepare(item)


def shown(item: Any, view: View, **settings: Any) -> torch.Tensor:
    assert MODALITY.apply_view is not None
    return prepare(MODALITY.apply_view(item, view), **settings)


COUNTS = np.random.default_rng(0).integers(20_000, 24_000, (60, 80), dtype=np.uint16)


@pytest.mark.parametrize("item", [GRAY, COUNTS, COUNTS / np.float32(100)])
def test_all_of_a_image_is_the_image(item: np.ndarray) -> None:
    """Shown whole it gives the same numbers, of every type."""
    assert torch.equal(shown(item, View()), prepare(item))


def test_a_part_looks_as_in_the_whole() -> None:
    """Cut and mirrored, on the scale of the whole image: a crop doesn't change the contrast."""
    view = View(box=(0.5, 0.25, 0.5, 0.5), flip=True)
    low, high = float(COUNTS.min()), float(COUNTS.max())
    expected = prepare(COUNTS[30:, 59:19:-1].copy(), low=low, high=high)
    assert torch.equal(shown(COUNTS, view), expected)
    cut = GRAY[112:, 167:55:-1].copy()
    assert torch.equal(shown(GRAY, view), prepare(cut))


def test_a_part_of_temperatures_is_read_as_the_settings_say() -> None:
    """FLIR's reader is asked for parts, too, not the image beside the temperatures."""
    pytest.importorskip("flyr", reason="needs the extra flir")
    jpeg = io.BytesIO()
    Image.new("L", (40, 30)).save(jpeg, "JPEG")
    assert shown(jpeg.getvalue(), View(flip=True)).shape == (1, 1, 224, 224)
    with pytest.raises(InputError, match="FLIR camera"):
        shown(jpeg.getvalue(), View(flip=True), radiometric=True)
