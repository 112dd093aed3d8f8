"""Depth becomes normalized, finite disparity, by its units and camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.errors import InputError
from openbind.modalities.depth import MODALITY, DepthSettings, apply_view
from openbind.modalities.spec import View
from openbind.signal.disparity import CAMERAS, SCALES, DisparityScale

METRES = np.random.default_rng(0).uniform(0.5, 8, (224, 224)).astype(np.float32)
PLAIN = DisparityScale(low=-np.inf, high=np.inf, peak=1.0)


def prepare(item: Any, **settings: Any) -> torch.Tensor:
    return MODALITY.prepare(DepthSettings(**settings), None)(item).clips


def test_disparity_is_baseline_times_focal_length_over_depth() -> None:
    """0.075 m · 518.858 px over the depth, for NYU's and SUN's first Kinect."""
    clips = prepare(METRES, scale=PLAIN)
    assert clips.shape == (1, 1, 224, 224)
    np.testing.assert_allclose(clips[0, 0].numpy(), 0.075 * 518.857901 / METRES, rtol=1e-5)


def test_default_scale() -> None:
    """Over 8, clipped to [0.01, 75], over 75, then Omnivore's mean and std (spec 3.5)."""
    disparity = 0.075 * 518.857901 / METRES / 8
    expected = (np.clip(disparity, 0.01, 75) / 75 - 0.0418) / 0.0295
    np.testing.assert_allclose(prepare(METRES)[0, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64])
def test_units_by_type(kind: type, tmp_path: Path) -> None:
    """Integers are millimetres, floats metres (REP 118), in arrays and files."""
    millimetres = np.round(METRES * 1000).astype(kind)
    expected = prepare(millimetres / np.float32(1000))
    torch.testing.assert_close(prepare(millimetres, units="by_type"), expected)
    metres = millimetres / np.float64(1000)
    torch.testing.assert_close(prepare(metres, units="by_type"), expected)
    Image.fromarray(millimetres.astype(np.uint16)).save(tmp_path / "depth.png")
    torch.testing.assert_close(prepare(tmp_path / "depth.png", units="by_type"), expected)


def test_units_agree() -> None:
    """Metres, millimetres and SUN RGB-D's rotated millimetres are the same image."""
    millimetres = np.round(METRES * 1000).astype(np.uint16)
    rotated = (millimetres << 3) | (millimetres >> 13)
    expected = prepare(millimetres / np.float32(1000))
    torch.testing.assert_close(prepare(millimetres, units="millimetres"), expected)
    torch.testing.assert_close(prepare(rotated, units="sunrgbd"), expected)
    disparity = 0.075 * 518.857901 / (millimetres / 1000)
    torch.testing.assert_close(prepare(disparity, units="disparity"), expected)


def test_an_item_may_say_its_camera() -> None:
    """An item may have another baseline and focal length."""
    own = prepare({"depth": METRES, "camera": "realsense"})
    torch.testing.assert_close(own, prepare(METRES, camera=CAMERAS["realsense"]))
    assert not torch.equal(own, prepare(METRES))
    with pytest.raises(InputError, match="kv1, kv1_b"):
        prepare({"depth": METRES, "camera": "polaroid"})


@pytest.mark.parametrize("scale", sorted(SCALES))
def test_missing_depth_is_finite(scale: str) -> None:
    """All zeros, and NaN, are missing and count as the nearest."""
    zeros = prepare(np.zeros((20, 30), np.float32), scale=SCALES[scale])
    assert torch.isfinite(zeros).all()
    gappy = METRES.copy()
    gappy[5] = np.nan
    assert torch.isfinite(prepare(gappy, scale=SCALES[scale])).all()


@pytest.mark.parametrize(
    ("item", "settings", "message"),
    [
        (METRES * 1000, {}, "in metres"),
        (-METRES, {}, "negative"),
        (METRES, {"units": "sunrgbd"}, "16-bit"),
        ("missing.png", {}, "no such file"),
        (np.zeros((4, 4, 5), np.float32), {}, ".+"),
    ],
)
def test_bad_depth(item: object, settings: dict[str, Any], message: str) -> None:
    """Wrong units and wrong images are refused."""
    with pytest.raises(InputError, match=message):
        prepare(item, **settings)


def test_the_whole_view_of_a_map(tmp_path: Path) -> None:
    """The whole view has the same numbers, of every type and with its camera."""
    path = tmp_path / "depth.png"
    counts = np.round(METRES * 1000).astype(np.uint16)
    Image.fromarray(counts).save(path)
    assert torch.equal(
        prepare(apply_view(path, View()), units="millimetres"), prepare(path, units="millimetres")
    )
    assert apply_view(path, View()).dtype == np.uint16
    for item in (METRES, {"depth": METRES, "camera": "realsense"}):
        assert torch.equal(prepare(apply_view(item, View())), prepare(item))


def test_a_part_of_a_map_is_in_its_own_units() -> None:
    """Stored values are cropped and mirrored; the camera is kept, the item isn't modified."""
    rotated = np.random.default_rng(0).integers(0, 2**16, (40, 60), dtype=np.uint16)
    view = View(box=(0.5, 0.5, 0.5, 0.5), flip=True)
    item = {"depth": rotated, "camera": "xtion"}
    shown = apply_view(item, view)
    assert shown["camera"] == "xtion"
    assert shown["depth"].dtype == np.uint16
    np.testing.assert_array_equal(shown["depth"], rotated[20:, :29:-1])
    assert item == {"depth": rotated, "camera": "xtion"}
    cut = {"depth": rotated[20:, :29:-1].copy(), "camera": "xtion"}
    assert torch.equal(prepare(shown, units="sunrgbd"), prepare(cut, units="sunrgbd"))
    with pytest.raises(InputError, match="the keys 'depth' and 'camera'"):
        apply_view({"metres": METRES}, view)
