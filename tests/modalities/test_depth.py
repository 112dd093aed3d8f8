"""Depth becomes normalized, finite disparity, by its units and camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.configs import from_dict
from openbind.errors import ConfigError, InputError
from openbind.modalities.depth import MODALITY, DepthSettings, Units, apply_view
from openbind.modalities.spec import View
from openbind.signal.disparity import CAMERAS, COUNTS_PER_METRE, SCALES, DisparityScale

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
        (METRES * 1000, {}, "'metres'.*millimetres, kitti"),
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


@pytest.mark.parametrize("per_metre", [256, 5000, 4000, 1000.0, 25.5])
def test_counts_per_metre(per_metre: float) -> None:
    """A number is the counts of a metre."""
    counts = np.round(np.clip(METRES, 0, 9) * per_metre)
    expected = prepare(counts / per_metre)
    typed = counts.astype(np.uint8 if per_metre < 100 else np.uint16)
    torch.testing.assert_close(prepare(typed, units=per_metre), expected, atol=1e-4, rtol=0)


def test_names_of_units() -> None:
    """Each name of a unit is the number in the table; the settings know them all."""
    names = set(get_args(Units))
    assert names - set(COUNTS_PER_METRE) == {"by_type", "sunrgbd", "disparity"}
    assert names > set(COUNTS_PER_METRE)
    counts = np.full((20, 20), 2000, np.uint16)
    for name, per_metre in COUNTS_PER_METRE.items():
        if per_metre > 100:
            assert torch.equal(prepare(counts, units=name), prepare(counts, units=per_metre))


@pytest.mark.parametrize("units", [0, -1, float("inf"), float("nan"), "furlongs", True])
def test_bad_units(units: object) -> None:
    """Other names, and numbers that aren't positive, are refused."""
    with pytest.raises(ConfigError, match="units"):
        from_dict(DepthSettings, {"units": units})


@pytest.mark.parametrize("units", ["metres", "millimetres", "by_type"])
def test_eight_bits_need_a_unit(units: str) -> None:
    """8 bits hold neither metres nor millimetres: the setting is named."""
    with pytest.raises(InputError, match=r"8-bit.*`units`.*25\.5"):
        prepare(np.full((9, 9), 200, np.uint8), units=units)


def test_infinite_is_beyond_the_range() -> None:
    """+inf is the farthest, NaN and -inf are missing as 0 is (REP 117)."""
    for value, same in ((np.inf, 50.0), (np.nan, 0.0), (-np.inf, 0.0)):
        found, expected = METRES.copy(), METRES.copy()
        found[:80], expected[:80] = value, same
        assert torch.equal(prepare(found), prepare(expected))


@pytest.mark.parametrize("missing", [0.0, np.nan, -np.inf])
def test_holes_count_as_their_neighbors(missing: float) -> None:
    """A thin shadow changes little if it is filled, and much if it counts as the nearest."""
    holed = np.full((224, 224), 3.0, np.float32)
    whole = prepare(holed, scale=PLAIN, holes="neighbor")
    holed[:, 100:104] = missing
    torch.testing.assert_close(prepare(holed, scale=PLAIN, holes="neighbor"), whole)
    assert prepare(holed, scale=PLAIN)[..., 102].min() > 100 * whole.max()


def test_holes_of_stored_integers_keep_their_unit() -> None:
    millimetres = np.full((224, 224), 3_000, np.uint16)
    whole = prepare(millimetres, units="by_type", holes="neighbor")
    millimetres[50:60, 50:60] = 0
    torch.testing.assert_close(prepare(millimetres, units="by_type", holes="neighbor"), whole)
