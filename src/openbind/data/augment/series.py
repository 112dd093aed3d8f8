"""Augmentation of windows of IMU data.

The paper mentions noise and rotation without numbers; both are in Um et al. 2017 (arXiv
1706.00527). Computed in NumPy, so that results don't depend on PyTorch's number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from openbind.data.augment.operation import Stage, check_axes
from openbind.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AxisNoise:
    """Adds Gaussian noise to every value.

    Args:
        std: standard deviation of the noise as a fraction of each channel's own over the window,
            since channels have different units; a constant channel stays constant.
    """

    std: float
    stage: ClassVar[Stage] = "tensor"

    def __post_init__(self) -> None:
        if self.std < 0:
            raise ValueError(f"std: expected 0 or more, found {self.std}")

    def __call__(self, x: Any, rng: np.random.Generator) -> torch.Tensor:
        """Add noise to a window (C, T)."""
        values_CT = check_axes(x, "CT", self).numpy()
        size_C1 = self.std * values_CT.std(axis=1, keepdims=True)
        noise_CT = rng.standard_normal(values_CT.shape, dtype=np.float32)
        return torch.from_numpy(values_CT + size_C1 * noise_CT)


@dataclass(frozen=True, kw_only=True)
class AxisRotation:
    """Rotates x, y, z of all sensors alike, as if the device were mounted at another angle.

    Args:
        degrees: maximum angle, uniform from 0; the axis is uniform over all directions.
    """

    degrees: float
    stage: ClassVar[Stage] = "tensor"

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError(f"degrees: expected 0 to 180, found {self.degrees}")

    def __call__(self, x: Any, rng: np.random.Generator) -> torch.Tensor:
        """Rotate a window (C, T) whose channels are triples of x, y, z.

        Raises:
            ConfigError: the number of channels isn't a multiple of 3.
        """
        values_CT = check_axes(x, "CT", self).numpy()
        if len(values_CT) % 3:
            raise ConfigError(
                f"AxisRotation needs channels in triples of x, y, z, found {len(values_CT)}"
            )
        turn = _rotation(rng.standard_normal(3), math.radians(rng.uniform(0, self.degrees)))
        triples = values_CT.reshape(-1, 3, values_CT.shape[1])
        turned = np.einsum("ij,njt->nit", turn, triples).reshape(values_CT.shape)
        return torch.from_numpy(turned.astype(values_CT.dtype))


def _rotation(axis: np.ndarray, radians: float) -> np.ndarray:
    """Return the rotation matrix (3, 3) around an axis of any length (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned = np.eye(3) + math.sin(radians) * cross + (1 - math.cos(radians)) * cross @ cross
    return np.asarray(turned)
