"""The checks accept only the inputs that an operation supports."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.data.augment.grids import FrequencyMask
from openbind.data.augment.operation import check_axes, check_image
from openbind.data.augment.pixels import ColorJitter
from openbind.errors import ConfigError


def test_what_fits_passes_as_it_is() -> None:
    """No copy is made."""
    image, clip = Image.new("RGB", (2, 2)), torch.zeros(1, 2, 3)
    assert check_image(image, ColorJitter()) is image
    assert check_axes(clip, "CFT", FrequencyMask()) is clip


def test_what_does_not_fit() -> None:
    """The error names the operation, its input, and what was found."""
    expected = r"ColorJitter .*found an image of mode L"
    with pytest.raises(ConfigError, match=expected):
        check_image(Image.new("L", (2, 2)), ColorJitter())
    with pytest.raises(ConfigError, match=r"found <ndarray \(2, 2, 3\) float64>"):
        check_image(np.zeros((2, 2, 3)), ColorJitter())
    with pytest.raises(ConfigError, match=r"FrequencyMask needs clips \(C, F, T\), found"):
        check_axes(torch.zeros(6, 200), "CFT", FrequencyMask())
