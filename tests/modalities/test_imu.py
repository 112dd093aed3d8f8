"""A recording becomes windows of 2,000 steps, whatever its rate, units and missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from openbind.errors import InputError
from openbind.modalities.imu import MODALITY, ImuSettings, apply_view
from openbind.modalities.spec import Sample, View

WAVES_TC = np.sin(np.arange(2_000)[:, None] * np.linspace(0.01, 0.05, 6)).astype(np.float32)


def prepare(item: Any, **settings: Any) -> Sample:
    return MODALITY.prepare(ImuSettings(**settings), None)(item)


def test_values_pass_as_they_are() -> None:
    """At the window's rate and length values are unchanged, channels first."""
    sample = prepare((WAVES_TC, 200))
    assert sample.clips.shape == (1, 6, 2_000)
    np.testing.assert_array_equal(sample.clips[0].numpy(), WAVES_TC.T)
    assert sample.times == ((0.0, 10.0),)


def test_both_readings_of_the_paper() -> None:
    """2,000 steps are 10 s at 200 Hz, or 5 s at 400 Hz."""
    noise = np.random.default_rng(0).normal(size=(4_000, 6))
    assert prepare((noise, 400)).times == ((0.0, 10.0),)
    assert prepare((noise, 400), rate_hz=400).times == ((2.5, 7.5),)


def test_rate_is_brought_to_the_window() -> None:
    """A slow wave recorded at 50 Hz is the same wave at 200 Hz."""

    def wave(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * np.arange(10 * rate) / rate)[:, None].repeat(6, 1)

    found, expected = prepare((wave(50), 50)), prepare((wave(200), 200))
    middle = slice(100, -100)
    torch.testing.assert_close(
        found.clips[0, :, middle], expected.clips[0, :, middle], atol=5e-3, rtol=0
    )


def test_units() -> None:
    """G and degrees are converted to m/s² and radians."""
    ones = np.ones((2_000, 6))
    clip = prepare((ones, 200), acceleration="g", rotation="deg/s").clips[0]
    torch.testing.assert_close(clip[:3, 5], torch.full((3,), 9.80665))
    torch.testing.assert_close(clip[3:, 5], torch.full((3,), float(np.pi / 180)))


def test_units_of_the_file_come_first() -> None:
    """The settings' units are of columns whose names don't state them, in parts as well."""
    header = "seconds,ax (g),ay (g),az (g),gx,gy,gz"
    rows = [f"{i / 200},1,1,1,1,1,1" for i in range(2_000)]
    table = "\n".join([header, *rows]).encode()
    for item in (table, apply_view(table, View())):
        for acceleration in ("m/s2", "g"):
            clip = prepare(item, acceleration=acceleration, rotation="deg/s").clips[0]
            torch.testing.assert_close(clip[:3, 5], torch.full((3,), 9.80665))
            torch.testing.assert_close(clip[3:, 5], torch.full((3,), float(np.pi / 180)))


@pytest.mark.parametrize("rate", [12.5, 1.5, 31.25, 99.73])
def test_fractional_rates(rate: float) -> None:
    """A recording of 30 s lasts 30 s at any rate."""
    steps = round(30 * rate)
    sample = prepare((WAVES_TC[:1, :].repeat(steps, 0), rate), clips="cover")
    assert sample.times is not None
    assert sample.times[-1][1] == pytest.approx(steps / rate, abs=0.01)
    part = apply_view((WAVES_TC[:1, :].repeat(steps, 0), rate), View(span=(3.0, 7.0)))
    assert len(part.values_TC) == round(4 * rate)


def test_short_and_long() -> None:
    """Short inputs are padded with zeros; long ones are cut to the middle or to windows."""
    short = prepare((np.ones((500, 6)), 200)).clips[0]
    assert (short[:, :500] == 1).all()
    assert (short[:, 500:] == 0).all()
    ramp = np.arange(6_000)[:, None].repeat(6, 1).astype(np.float32)
    assert prepare((ramp, 200)).clips[0, 0, 0] == 2_000
    assert len(prepare((ramp, 200), clips="cover").clips) == 3


def test_gaps_are_filled_with_lines() -> None:
    """Rows of NaN are interpolated; the given array isn't modified."""
    ramp = np.arange(2_000)[:, None].repeat(6, 1).astype(np.float32)
    gappy = ramp.copy()
    gappy[100:110] = np.nan
    torch.testing.assert_close(prepare((gappy, 200)).clips, prepare((ramp, 200)).clips)
    assert np.isnan(gappy[100:110]).all()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((np.ones((5, 3)), 200), r"expected \(steps, 6\) values, found 5×3"),
        (np.ones((5, 6)), "no rate"),
        ((np.ones((5, 6)), 0), "1 Hz or more"),
        ((np.ones((5, 6)), "fast"), "1 Hz or more"),
        ((np.full((5, 6), np.nan), 200), "no values"),
        ((np.ones((0, 6)), 200), ".+"),
        ("missing.csv", "no such file"),
        (b"no,numbers\nat,all\n", ".+"),
    ],
)
def test_bad_recordings(item: object, message: str) -> None:
    """Each error names what was found and what was expected."""
    with pytest.raises(InputError, match=message):
        prepare(item)


def test_the_whole_view_of_a_recording() -> None:
    """The whole view has the same numbers, also from a table with times."""
    gappy = WAVES_TC[:777].copy()
    gappy[100:110] = np.nan
    rows = [f"{i / 50},1,2,3,4,5,{i}" for i in range(20)]
    table = "\n".join(["seconds,ax,ay,az,gx,gy,gz", *rows]).encode()
    for item in ((WAVES_TC, 130), (gappy, 200), {"array": WAVES_TC, "sampling_rate": 50}, table):
        found, expected = prepare(apply_view(item, View())), prepare(item)
        assert torch.equal(found.clips, expected.clips)
        assert found.times == expected.times


def test_an_excerpt_is_its_steps() -> None:
    """The order and units are kept; box and flip are ignored."""
    view = View(box=(0.0, 0.0, 0.5, 0.5), flip=True, span=(2.0, 6.0), seconds=1.0, moment=1.0)
    part = apply_view((WAVES_TC, 200), view)
    assert part.rate_hz == 200
    np.testing.assert_array_equal(part.values_TC, WAVES_TC[1_000:1_200])
    assert len(apply_view((WAVES_TC, 200), View(seconds=99.0)).values_TC) == 2_000
    with pytest.raises(InputError, match=r"lasts 10\.00 s"):
        apply_view((WAVES_TC, 200), View(span=(10.0, 12.0)))


def test_mirrored_edges() -> None:
    """What is longer than a recording is the recording backwards and forwards again."""
    clip_CT = prepare((WAVES_TC[:300], 200), edges="mirror").clips[0]
    there, back = WAVES_TC[:300].T, WAVES_TC[:300][::-1].T
    for start, expected_CT in ((0, there), (300, back), (600, there)):
        found_CT = clip_CT[:, start : start + 300].numpy()
        np.testing.assert_allclose(found_CT, expected_CT, atol=1e-6)


def test_gravity_stays_even_at_mirrored_edges() -> None:
    """Resampling around the mean doesn't ring at the ends of a constant."""
    still_TC = np.tile([0, 0, 9.81, 0, 0, 0], (125, 1))
    clip_CT = prepare((still_TC, 12.5), edges="mirror", steps=100, rate_hz=10).clips[0]
    np.testing.assert_allclose(clip_CT[2].numpy(), 9.81, atol=1e-4)
    rung_T = prepare((still_TC, 12.5), steps=100, rate_hz=10).clips[0, 2]
    assert (rung_T - 9.81).abs().max() > 0.2


@pytest.mark.parametrize("settings", [{}, {"steps": 100, "rate_hz": 10, "clips": "cover"}])
@pytest.mark.parametrize("edges", ["zeros", "mirror"])
@pytest.mark.parametrize("rate", [200, 50.0, 99.999])
def test_windows_without_pytorch_are_equal(
    settings: dict[str, Any], edges: str, rate: float
) -> None:
    """Also of rates that only PyTorch resamples."""
    settings = {**settings, "edges": edges, "acceleration": "g"}
    assert MODALITY.prepare_arrays is not None
    found = MODALITY.prepare_arrays(ImuSettings(**settings), None)((WAVES_TC[:700], rate))
    expected = prepare((WAVES_TC[:700], rate), **settings)
    assert found.times == expected.times
    assert found.clips.dtype == np.float32
    assert found.clips == pytest.approx(expected.clips.numpy(), abs=2e-5)
