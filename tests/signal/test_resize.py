"""Sizes follow the reference's rounding; pixels end normalized."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openbind.signal.resize import (
    center_crop,
    crop_thrice,
    normalize,
    resize_and_crop,
    resize_frames,
    resize_short_side,
)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
def test_short_side(width: int, height: int, size: int) -> None:
    """The shorter side is exact, the longer one rounded down; the crop is square."""
    scaled = resize_short_side(Image.new("RGB", (width, height)), size)
    assert min(scaled.size) == size
    assert max(scaled.size) == size * max(width, height) // min(width, height)
    assert center_crop(scaled, size).size == (size, size)


@pytest.mark.parametrize(("length", "left"), [(5, 0), (6, 1), (7, 2), (9, 2), (11, 4)])
def test_crop_offset_rounds_half_to_even(length: int, left: int) -> None:
    """round((L - 4) / 2) as Python and torchvision round."""
    image = Image.fromarray(np.arange(length, dtype=np.uint8)[None].repeat(4, 0))
    assert np.asarray(center_crop(image, 4))[0, 0] == left


def test_pixels() -> None:
    """uint8 to [0, 1], channels first, then (x - mean) / std, rounded as PyTorch rounds."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
    mean, std = (0.5, 0.0, 0.2), (0.5, 1.0, 2.0)
    found = normalize(image, mean, std)
    pixels_CHW = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)
    mean_C11, std_C11 = (torch.tensor(part).view(-1, 1, 1) for part in (mean, std))
    assert np.array_equal(found, ((pixels_CHW - mean_C11) / std_C11).numpy())
    assert found.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (720, 1280, (224, 398)),
        (1280, 720, (398, 224)),
        (230, 112, (459, 224)),
        (99, 99, (224, 224)),
    ],
)
def test_frames_short_side(height: int, width: int, expected: tuple[int, int]) -> None:
    """The reference's rounding, which divides before it multiplies."""
    assert resize_frames(torch.zeros(1, 1, height, width), 224).shape[-2:] == expected


def test_frames_are_not_antialiased() -> None:
    """Each pixel is a mean of the four nearest, as defined by bilinear interpolation."""
    frames_CTHW = torch.rand(3, 2, 40, 60, generator=torch.Generator().manual_seed(0))
    found = resize_frames(frames_CTHW, 10)
    assert found.shape == (3, 2, 10, 15)
    # Scaling by 4 puts each new pixel between the two middle ones of four.
    expected = torch.stack(
        [frames_CTHW[..., 1 + y :: 4, 1 + x :: 4] for y in (0, 1) for x in (0, 1)]
    ).mean(dim=0)
    torch.testing.assert_close(found, expected)


@given(st.integers(8, 60), st.integers(8, 60))
def test_three_crops(height: int, width: int) -> None:
    """Start, center rounded up, and end of the longer side (spec 3.2)."""
    size = min(height, width)
    frames = torch.arange(height * width).view(1, 1, height, width)
    offset = -(-(max(height, width) - size) // 2)
    for crop, start in zip(
        crop_thrice(frames, size), (0, offset, max(height, width) - size), strict=True
    ):
        assert crop.shape == (1, 1, size, size)
        assert crop[0, 0, 0, 0] == (start if width >= height else start * width)


def test_crops_refuse() -> None:
    """Frames smaller than the crop are refused."""
    with pytest.raises(ValueError, match="can't crop 9"):
        crop_thrice(torch.zeros(1, 1, 8, 20), 9)


@pytest.mark.parametrize("shape", [(7, 420), (330, 6), (20, 1_500)])
def test_long_images(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the square of a long image is resized, with the same pixels but for rounding."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    found = np.asarray(resize_and_crop(image, 16)).astype(int)
    monkeypatch.setattr("openbind.signal.resize.LONGEST", 1_000)
    assert np.abs(found - np.asarray(resize_and_crop(image, 16))).mean() < 1


def test_very_long_image() -> None:
    """Memory is that of the square."""
    image = resize_and_crop(Image.new("RGB", (1_000_000, 1), "red"), 224)
    assert image.size == (224, 224)
    assert image.getpixel((100, 100)) == (255, 0, 0)
