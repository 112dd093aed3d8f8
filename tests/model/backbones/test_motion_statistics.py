"""What shouldn't matter doesn't: orientation, gravity, level; what should, does."""

from __future__ import annotations

import math

import pytest
import torch

from openbind.errors import InputError
from openbind.model.backbones.motion_statistics import (
    QUANTILES,
    STATISTICS,
    MotionStatistics,
    MotionStatisticsConfig,
    hann_window,
    motion_statistics,
    prepare_statistics,
    quantiles,
)

GRAVITY_C1 = torch.tensor([0.0, 0, 9.81, 0, 0, 0])[:, None]


def walk(steps_hz: float = 1.8, seconds: int = 10, seed: int = 0) -> torch.Tensor:
    """Make a window (6, T) at 10 Hz of a body that goes up and down and turns, without gravity."""
    generator = torch.Generator().manual_seed(seed)
    time_T = torch.arange(10 * seconds) / 10
    phase_C1 = 6 * torch.rand(6, 1, generator=generator)
    size_C1 = torch.tensor([1.0, 0.5, 2.0, 0.4, 0.2, 0.1])[:, None]
    noise_CT = 0.05 * torch.randn(6, len(time_T), generator=generator)
    return size_C1 * torch.sin(2 * math.pi * steps_hz * time_T + phase_C1) + noise_CT


def turn(imu_CT: torch.Tensor) -> torch.Tensor:
    """Mount the device otherwise: a third of a turn around (1, 1, 1)."""
    return torch.cat([imu_CT[[1, 2, 0]], imu_CT[[4, 5, 3]]])


def make() -> MotionStatistics:
    torch.manual_seed(0)
    tower = MotionStatistics(MotionStatisticsConfig(cosines=64, embed_dim=16)).eval()
    windows = [walk(0.5 + 0.1 * n, seed=n) * (0.05, 1)[n % 2] + GRAVITY_C1 for n in range(24)]
    prepare_statistics(tower, torch.stack([w for own in windows for w in (own, turn(own))]))
    return tower


def similarity(a_CT: torch.Tensor, b_CT: torch.Tensor) -> float:
    with torch.no_grad():
        features_BD = make().features(torch.stack([a_CT, b_CT]))
    return float(torch.cosine_similarity(features_BD[0], features_BD[1], dim=0))


def test_shape_and_order_of_magnitude() -> None:
    found_BD = motion_statistics(torch.stack([walk(), walk() + GRAVITY_C1]), 10)
    assert found_BD.shape == (2, STATISTICS)
    assert found_BD.abs().max() < 20
    assert make()(torch.zeros(2, 6, 30)).isfinite().all()


def test_orientation_of_what_moves_does_not_matter() -> None:
    window = walk()
    found_BD = motion_statistics(torch.stack([window, turn(window)]), 10)
    torch.testing.assert_close(found_BD[0], found_BD[1], atol=1e-3, rtol=1e-3)
    assert similarity(window + GRAVITY_C1, turn(window + GRAVITY_C1)) > 0.95


def test_gravity_of_what_moves_does_not_matter() -> None:
    window = walk()
    assert similarity(window, window + GRAVITY_C1) > 0.95


def test_orientation_of_what_is_still_does() -> None:
    """Lying and standing differ by nothing else."""
    still = 0.01 * walk() + GRAVITY_C1
    found_BD = motion_statistics(torch.stack([still, turn(still)]), 10)
    assert (found_BD[0] - found_BD[1]).abs().max() > 0.5


def test_what_moves_otherwise_differs() -> None:
    assert similarity(walk(1.0), walk(2.5)) < 0.9
    assert similarity(walk(), 0.02 * walk()) < 0.5


@pytest.mark.parametrize("shape", [(6, 100), (1, 5, 100), (1, 6, 29)])
def test_unusable_windows(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        make()(torch.zeros(shape))


def test_rate_below_the_fastest_band() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        MotionStatisticsConfig(rate_hz=5)


def test_graphs_have_the_same_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without eigenvalues: of still, weak, equal and dependent axes, and of none that moves."""
    windows = [walk(), 1e-4 * walk(), 30 * walk() + GRAVITY_C1, torch.zeros(6, 100)]
    windows += [GRAVITY_C1.repeat(1, 100), walk()[:1].repeat(6, 1), walk() * GRAVITY_C1]
    expected_BD = motion_statistics(torch.stack(windows), 10)
    expected_BE = make()(torch.stack(windows))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    found_BD = motion_statistics(torch.stack(windows), 10)
    torch.testing.assert_close(found_BD, expected_BD, atol=1e-6, rtol=0)
    torch.testing.assert_close(make()(torch.stack(windows)), expected_BE, atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", [2, 7, 100, 240])
def test_what_graphs_lack(steps: int) -> None:
    """Quantiles and the window are PyTorch's own, whose operations can't be exported everywhere."""
    values_BT = torch.rand(5, steps, generator=torch.Generator().manual_seed(0))
    expected = torch.quantile(values_BT, torch.tensor(QUANTILES), dim=1).T
    torch.testing.assert_close(quantiles(values_BT), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(hann_window(steps), torch.hann_window(steps, periodic=False))
