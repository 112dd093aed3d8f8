"""Statistics of motion, and what can be said from them: a small tower for IMU data.

Few people's recordings are enough for it, because what shouldn't matter doesn't enter:

- the device's orientation: every statistic of motion is the same for turned axes;
- gravity: slow acceleration is filtered out. Where gravity points is a statistic of its own, which
  counts only where the device is nearly still, and is 0 for recordings without gravity;
- the sensor's rate: nothing is above 5 Hz.

A layer of random cosines (Rahimi and Recht 2007, "Random features for large-scale kernel machines")
makes a Linear on top as expressive as a kernel regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openbind.errors import InputError

GRAVITY = 9.81
SLOWEST_HZ = 0.4
"""Slower acceleration is taken for gravity turning with the device."""
BANDS_HZ = (0.4, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Limits of the bands of acceleration; rotation has two slower ones in addition."""
SLOW_BANDS_HZ = (0.05, 0.2)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
LAGS_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
RHYTHM_SECONDS = (0.3, 2.5)
"""Range of lags in which a rhythm, such as of steps, is looked for."""
NOISE = (1e-3, 1e-4)
"""Energies of acceleration, (m/s²)², and rotation, (rad/s)², that count as none."""
STILL = 0.3
"""Energy of acceleration, (m/s²)², at which orientation counts half."""
STATISTICS = 93
SWEEPS = 4
"""Of rotations, after which a matrix of three axes is diagonal to 15 digits."""


@dataclass(frozen=True, kw_only=True)
class MotionStatisticsConfig:
    """Architecture.

    Args:
        rate_hz: of the windows, at least 10.
        cosines: number of random cosines.
        embed_dim: dimensions of the joint space.
    """

    rate_hz: int = 10
    cosines: int = 768
    embed_dim: int = 384

    def __post_init__(self) -> None:
        if self.rate_hz < 2 * BANDS_HZ[-1]:
            raise ValueError(f"rate_hz: expected at least {2 * BANDS_HZ[-1]:g}")


class MotionStatistics(nn.Module):
    """Embeds windows of an accelerometer and a gyroscope, of at least three seconds.

    `mean` and `scale` standardize the statistics; `waves` and `phase` are those of the cosines.
    """

    config_type = MotionStatisticsConfig
    mean: Tensor
    scale: Tensor

    def __init__(self, config: MotionStatisticsConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(STATISTICS))
        self.register_buffer("scale", torch.ones(STATISTICS))
        self.waves = nn.Linear(STATISTICS, config.cosines)
        self.head = nn.Linear(config.cosines, config.embed_dim)

    def features(self, imu_BCT: Tensor) -> Tensor:
        """Compute the cosines of windows (B, 6, T): m/s² and rad/s.

        Raises:
            InputError: another number of axes or channels, or less than three seconds.
        """
        shortest = 3 * self.config.rate_hz
        if imu_BCT.ndim != 3 or imu_BCT.shape[1] != 6 or imu_BCT.shape[2] < shortest:
            raise InputError(imu_BCT, f"expected (B, 6, T) of at least {shortest} steps")
        found_BD = motion_statistics(imu_BCT.float(), self.config.rate_hz)
        scaled_BD = (found_BD - self.mean) / self.scale
        features_BD: Tensor = self.waves(scaled_BD.to(self.waves.weight.dtype)).cos()
        return features_BD

    def forward(self, imu_BCT: Tensor) -> Tensor:
        """Return embed_BE, not yet of unit length; see `features` for the input."""
        embed_BE: Tensor = self.head(self.features(imu_BCT))
        return embed_BE


@torch.no_grad()
def prepare_statistics(tower: MotionStatistics, imu_BCT: Tensor, seed: int = 0) -> None:
    """Standardize a tower's statistics over some windows, and draw its cosines.

    Args:
        tower: is modified.
        imu_BCT: windows as of the training.
        seed: of the cosines.
    """
    std_D, mean_D = torch.std_mean(motion_statistics(imu_BCT, tower.config.rate_hz), dim=0)
    tower.mean.copy_(mean_D)
    tower.scale.copy_(std_D + 0.05)
    generator = torch.Generator().manual_seed(seed)
    tower.waves.weight.normal_(0, STATISTICS**-0.5, generator=generator)
    tower.waves.bias.uniform_(0, 2 * math.pi, generator=generator)


def motion_statistics(imu_BCT: Tensor, rate_hz: int) -> Tensor:
    """Compute all statistics.

    Args:
        imu_BCT: (B, 6, T) float32, m/s² and rad/s.
        rate_hz: of its steps.

    Returns:
        statistics_BD, of the order of 1.
    """
    acceleration_BCT, rotation_BCT = imu_BCT[:, :3], imu_BCT[:, 3:]
    gravity_BC = acceleration_BCT.mean(dim=2)
    moved_BCT = remove_slow(acceleration_BCT, rate_hz)
    turned_BCT = rotation_BCT - rotation_BCT.mean(dim=2, keepdim=True)
    energy_B1 = moved_BCT.square().sum(1).mean(1, keepdim=True)
    turning_B1 = rotation_BCT.square().sum(1).mean(1, keepdim=True)
    found = [
        *energies(moved_BCT, rate_hz, BANDS_HZ, NOISE[0]),
        *energies(turned_BCT, rate_hz, SLOW_BANDS_HZ + BANDS_HZ, NOISE[1]),
        torch.log(energy_B1 + NOISE[0]),
        torch.log(turning_B1 + NOISE[1]),
        torch.log(energy_B1 + NOISE[0]) - torch.log(turning_B1 + NOISE[1]),
        coupling(moved_BCT, rotation_BCT, (energy_B1 * turning_B1 + 1e-6).sqrt()),
        *orientation(gravity_BC, energy_B1),
    ]
    for motion_BCT, noise in ((moved_BCT, NOISE[0]), (rotation_BCT, NOISE[1])):
        found += [
            directions(motion_BCT, noise),
            strengths(motion_BCT, noise**0.5),
            bursts(motion_BCT, rate_hz, noise),
            rhythm(motion_BCT, rate_hz, 10 * noise),
        ]
    return torch.cat(found, dim=1)


def remove_slow(signal_BCT: Tensor, rate_hz: int) -> Tensor:
    """Remove what is slower than `SLOWEST_HZ`; the signal continues mirrored at its ends."""
    steps = signal_BCT.shape[2]
    centered_BCT = signal_BCT - signal_BCT.mean(dim=2, keepdim=True)
    mirrored_BCT = torch.cat([centered_BCT.flip(2), centered_BCT, centered_BCT.flip(2)], dim=2)
    ratio = frequencies(3 * steps, rate_hz).to(signal_BCT.device) / SLOWEST_HZ
    gain = (ratio.square() / (1 + ratio.square())).square()
    filtered_BCT: Tensor = torch.fft.irfft(torch.fft.rfft(mirrored_BCT) * gain, n=3 * steps)
    return filtered_BCT[:, :, steps : 2 * steps]


def frequencies(steps: int, rate_hz: int) -> Tensor:
    """Return the frequencies in Hz of a spectrum, (steps // 2 + 1,), as `torch.fft.rfftfreq`."""
    return torch.arange(steps // 2 + 1, dtype=torch.float32) * (1 / (steps * (1 / rate_hz)))


def hann_window(steps: int) -> Tensor:
    """Return `torch.hann_window` with zeros at both ends; ONNX lacks that operation."""
    angle_T = torch.arange(steps, dtype=torch.float32) * (2 * math.pi / (steps - 1))
    return torch.cos(angle_T) * -0.5 + 0.5


def energies(
    signal_BCT: Tensor, rate_hz: int, limits_hz: tuple[float, ...], noise: float
) -> tuple[Tensor, Tensor]:
    """Return the logarithm of each band's energy, summed over axes, and the bands' shares."""
    steps = signal_BCT.shape[2]
    taper_T = hann_window(steps).to(signal_BCT.device)
    spectrum_BCF = torch.fft.rfft(signal_BCT * taper_T)
    power_BF = spectrum_BCF.abs().square().sum(1) * (2 / (steps * taper_T.square().sum()))
    hz_F = frequencies(steps, rate_hz).to(signal_BCT.device)
    low_K1, high_K1 = (
        torch.tensor(part)[:, None].to(hz_F) for part in (limits_hz[:-1], limits_hz[1:])
    )
    is_inside_KF = (hz_F >= low_K1) & (hz_F < high_K1)
    energy_BK = power_BF @ is_inside_KF.to(power_BF).T
    shares_BK = energy_BK / (energy_BK.sum(1, keepdim=True) + noise)
    return torch.log(energy_BK + 0.3 * noise), shares_BK.sqrt()


def directions(motion_BCT: Tensor, noise: float) -> Tensor:
    """Return how much of the motion is along its main axes, (B, 3): a line, a plane, or all."""
    centered_BCT = motion_BCT - motion_BCT.mean(dim=2, keepdim=True)
    spread_BCC = centered_BCT @ centered_BCT.transpose(1, 2) / motion_BCT.shape[2]
    axes_BC = eigenvalues(spread_BCC).clamp_min(0).flip(1)
    return (axes_BC / (axes_BC.sum(1, keepdim=True) + noise)).sqrt()


def strengths(motion_BCT: Tensor, noise: float) -> Tensor:
    """Return the logarithm of quantiles of the strength, and of the strongest over the median."""
    found_BK = torch.log(quantiles(motion_BCT.norm(dim=1)) + noise)
    return torch.cat([found_BK, found_BK[:, -1:] - found_BK[:, 2:3]], dim=1)


def quantiles(values_BT: Tensor) -> Tensor:
    """Return quantiles of each row, (B, K), between its nearest two values.

    `torch.quantile` can't be traced for batches of any size by PyTorch 2.11.
    """
    last = values_BT.shape[1] - 1
    below = [int(level * last) for level in QUANTILES]
    above = [min(place + 1, last) for place in below]
    weight_K = values_BT.new_tensor(QUANTILES) * last - values_BT.new_tensor(below)
    sorted_BT = values_BT.sort(dim=1).values
    return torch.lerp(sorted_BT[:, below], sorted_BT[:, above], weight_K)


def bursts(motion_BCT: Tensor, rate_hz: int, noise: float) -> Tensor:
    """Return how unequal the seconds of a window are, (B, 2): in all, and from one to the next."""
    seconds = motion_BCT.shape[2] // rate_hz
    parts_BCST = motion_BCT[:, :, : seconds * rate_hz].unflatten(2, (seconds, rate_hz))
    level_BS = torch.log(parts_BCST.square().sum(dim=(1, 3)) / rate_hz + noise)
    jumps_B1 = level_BS.diff(dim=1).abs().mean(dim=1, keepdim=True)
    return torch.cat([level_BS.std(dim=1, keepdim=True), jumps_B1], dim=1)


def rhythm(motion_BCT: Tensor, rate_hz: int, noise: float) -> Tensor:
    """Return how alike motion is to itself some time later: the extremes, and `LAGS_SECONDS`."""
    steps = motion_BCT.shape[2]
    power_BCF = torch.fft.rfft(motion_BCT, n=2 * steps).abs().square()
    likeness_BT = torch.fft.irfft(power_BCF, n=2 * steps)[:, :, :steps].sum(1)
    likeness_BT = likeness_BT / (likeness_BT[:, :1] + noise * steps)
    first, last = (int(seconds * rate_hz) for seconds in RHYTHM_SECONDS)
    looked_BT = likeness_BT[:, first:last]
    at_lags_BK = likeness_BT[:, [round(seconds * rate_hz) for seconds in LAGS_SECONDS]]
    extremes = (looked_BT.amax(1, keepdim=True), looked_BT.amin(1, keepdim=True))
    return torch.cat([*extremes, at_lags_BK], dim=1)


def coupling(moved_BCT: Tensor, rotation_BCT: Tensor, size_B1: Tensor) -> Tensor:
    """Return how acceleration and rotation go together, (B, 3), whatever the axes."""
    product_BCC = moved_BCT @ rotation_BCT.transpose(1, 2) / moved_BCT.shape[2]
    if not torch.compiler.is_compiling():
        values_BC: Tensor = torch.linalg.svdvals(product_BCC.double()).float()
        return values_BC / size_B1
    squares_BC = eigenvalues(product_BCC.double() @ product_BCC.double().transpose(1, 2))
    return squares_BC.clamp_min(0).sqrt().flip(1) / size_B1


def eigenvalues(symmetric_BCC: Tensor) -> Tensor:
    """Return the eigenvalues of symmetric matrices (B, 3, 3), ascending, (B, 3) float32.

    Graphs of other runtimes have no such operation, but can rotate as Jacobi did (1846).
    """
    if not torch.compiler.is_compiling():
        values_BC: Tensor = torch.linalg.eigvalsh(symmetric_BCC.double()).float()
        return values_BC
    matrix = {(i, j): symmetric_BCC[:, i, j].double() for i in range(3) for j in range(i, 3)}
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            _rotate(matrix, p, q)
    diagonal_BC = torch.stack([matrix[i, i] for i in range(3)], dim=1)
    return diagonal_BC.sort(dim=1).values.float()


def _rotate(matrix: dict[tuple[int, int], Tensor], p: int, q: int) -> None:
    """Turn the axes p and q so that the element between them becomes 0."""
    between_B, half_B = matrix[p, q], (matrix[q, q] - matrix[p, p]) / 2
    sign_B = torch.where(half_B < 0, -1.0, 1.0).double()
    length_B = half_B.abs() + (half_B.square() + between_B.square()).sqrt()
    tangent_B = sign_B * between_B / torch.where(length_B > 0, length_B, 1.0)
    cosine_B = (tangent_B.square() + 1).rsqrt()
    sine_B = cosine_B * tangent_B
    r = 3 - p - q
    first, second = (min(p, r), max(p, r)), (min(q, r), max(q, r))
    matrix[first], matrix[second] = (
        cosine_B * matrix[first] - sine_B * matrix[second],
        sine_B * matrix[first] + cosine_B * matrix[second],
    )
    matrix[p, p] = matrix[p, p] - tangent_B * between_B
    matrix[q, q] = matrix[q, q] + tangent_B * between_B
    matrix[p, q] = torch.zeros_like(between_B)


def orientation(gravity_BC: Tensor, energy_B1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return gravity's direction and its size along each axis, as far as the device is still."""
    still_B1 = 1 / (1 + energy_B1 / STILL)
    direction_BC = gravity_BC / GRAVITY * still_B1
    return direction_BC, direction_BC.abs(), still_B1
