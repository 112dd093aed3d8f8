"""Winograd's algorithm gives the sums of the direct one, and is taken where it is faster."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from openbind.model.convolution import SameConv
from openbind.model.winograd import can_transform, convolve_transformed, transform_weight


@pytest.mark.parametrize("shape", [(1, 1), (4, 8), (5, 3), (12, 25)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_direct_sum(shape: tuple[int, int], bias: bool) -> None:
    """To rounding, for any size."""
    image_BCHW, weight_OCHW = torch.randn(2, 32, *shape), torch.randn(48, 32, 3, 3)
    bias_O = torch.randn(48) if bias else None
    expected = F.conv2d(image_BCHW, weight_OCHW, bias_O, padding=1)
    found = convolve_transformed(image_BCHW, transform_weight(weight_OCHW), bias_O)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 3e-5 * float(expected.abs().max())


def test_kernels_are_transformed_exactly() -> None:
    """A kernel of one 1 in the middle returns its input."""
    weight_OCHW = torch.zeros(3, 3, 3, 3)
    weight_OCHW[range(3), range(3), 1, 1] = 1
    image_BCHW = torch.randn(1, 3, 9, 7)
    found = convolve_transformed(image_BCHW, transform_weight(weight_OCHW), None)
    torch.testing.assert_close(found, image_BCHW, rtol=0, atol=1e-5)


def test_where_it_is_taken() -> None:
    """For 3 × 3 kernels over many channels and tiles in float32."""
    wide = torch.empty(2, 128, 12, 12)
    assert can_transform(SameConv(128, 256, 3), wide)
    assert not can_transform(SameConv(128, 128, 3), wide)
    assert not can_transform(SameConv(128, 256, 3), wide[:1])
    assert not can_transform(SameConv(128, 256, 3), wide.bfloat16())
    assert not can_transform(SameConv(128, 256, 3, 2), wide)
    assert not can_transform(SameConv(128, 256, 5), wide)
    assert not can_transform(SameConv(256, 256, 3, 1, 256), torch.empty(2, 256, 12, 12))


@torch.no_grad()
def test_layers_take_it() -> None:
    """A layer's result is the direct one's to rounding, with its activation."""
    conv, image_BCHW = SameConv(128, 256, 3), torch.randn(2, 128, 12, 12)
    expected = F.relu(F.conv2d(image_BCHW, conv.weight, conv.bias, padding=1))
    torch.testing.assert_close(conv(image_BCHW, "relu"), expected, rtol=0, atol=3e-5)
