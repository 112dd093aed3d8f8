"""Noise has the right std; rotations are rotations, the same for all triples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openbind.data.augment.series import AxisNoise, AxisRotation
from openbind.errors import ConfigError

MOTION_CT = torch.from_numpy(
    np.random.default_rng(0).normal(size=(6, 2_000)) * [[9], [5], [2], [0.3], [0.1], [0]] + 3
).float()


def rotate(degrees: float, seed: int) -> torch.Tensor:
    return AxisRotation(degrees=degrees)(MOTION_CT, np.random.default_rng(seed))


def triples(values_CT: torch.Tensor) -> torch.Tensor:
    return values_CT.reshape(-1, 3, values_CT.shape[1])


def test_noise_goes_by_each_channel() -> None:
    """A tenth of each channel's own standard deviation; a constant channel stays constant."""
    added_CT = AxisNoise(std=0.1)(MOTION_CT, np.random.default_rng(0)) - MOTION_CT
    expected = 0.1 * MOTION_CT.std(dim=1)
    torch.testing.assert_close(added_CT.std(dim=1), expected, rtol=0.06, atol=1e-6)
    assert (added_CT[5] == 0).all()
    correlation = np.corrcoef(added_CT[:5].numpy()) - np.eye(5)
    assert np.abs(correlation).max() < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_rotation_keeps_lengths_and_angles(seed: int) -> None:
    """Lengths, angles and handedness are preserved."""
    found, before = triples(rotate(180, seed)), triples(MOTION_CT)
    torch.testing.assert_close(found.norm(dim=1), before.norm(dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        (found[0] * found[1]).sum(dim=0), (before[0] * before[1]).sum(dim=0), rtol=1e-3, atol=1e-3
    )
    turned = torch.linalg.det(found[0, :, :3].double())
    torch.testing.assert_close(
        turned, torch.linalg.det(before[0, :, :3].double()), rtol=1e-3, atol=0
    )


def test_rotation_is_one_for_all() -> None:
    """One matrix rotates every triple at every time."""
    found, before = triples(rotate(90, 1)).double(), triples(MOTION_CT).double()
    turn = torch.linalg.lstsq(before[0].T, found[0].T).solution
    torch.testing.assert_close(before[1].T @ turn, found[1].T, rtol=0, atol=1e-4)


def test_rotation_keeps_to_its_angle() -> None:
    """The angle is uniform from 0 to the maximum; 0 changes nothing."""
    angles, axes = [], []
    for seed in range(300):
        found, before = triples(rotate(30, seed)).double(), triples(MOTION_CT).double()
        turn = torch.linalg.lstsq(before[0].T, found[0].T).solution.T
        angles.append(float(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))) * 180 / np.pi)
        axes.append((turn - turn.T)[[2, 0, 1], [1, 2, 0]].numpy())
    assert 0 <= min(angles) < 1
    assert 29 < max(angles) <= 30.01
    assert np.mean(angles) == pytest.approx(15, abs=1.5)
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    assert np.abs((np.array(axes) / lengths).mean(axis=0)).max() < 0.1
    torch.testing.assert_close(rotate(0, 0), MOTION_CT)


def test_channels_come_in_triples() -> None:
    """Other numbers of channels are refused."""
    with pytest.raises(ConfigError, match="found 4"):
        AxisRotation(degrees=9)(MOTION_CT[:4], np.random.default_rng(0))
