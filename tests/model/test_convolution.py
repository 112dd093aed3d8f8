"""Convolutions equal the plain ones with TensorFlow's padding, on every path."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from openbind.model import convolution
from openbind.model.convolution import Bounds, SameConv, Settings, bound


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    [(6, 3, 2, 0, 1), (7, 3, 2, 1, 1), (6, 5, 2, 1, 2), (6, 3, 1, 1, 1), (1, 5, 2, 2, 2)],
)
@pytest.mark.parametrize("grad", [False, True])
def test_pads_as_tensorflow_does(
    size: int, kernel: int, stride: int, before: int, after: int, grad: bool
) -> None:
    """SAME padding gives ceil(size / stride) outputs, the odd one of the padding at the end."""
    conv, image = SameConv(1, 1, kernel, stride), torch.randn(1, 1, size, 7)
    columns = max((-(-7 // stride) - 1) * stride + kernel - 7, 0)
    padded = F.pad(image, (columns // 2, columns - columns // 2, before, after))
    expected = F.conv2d(padded, conv.weight, conv.bias, stride)
    assert expected.shape[2:] == (-(-size // stride), -(-7 // stride))
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(conv(image), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize(("groups", "outputs"), [(1, 10), (6, 6)])
def test_same_numbers(dtype: torch.dtype, activation: Bounds, groups: int, outputs: int) -> None:
    """Without gradients the result is the plain one's to rounding; nothing is written to."""
    conv = SameConv(6, outputs, 3, 1, groups).to(dtype)
    image = 9 * torch.randn(2, 6, 8, 9).to(dtype)
    before = image.clone()
    plain = F.conv2d(image.double(), conv.weight.double(), conv.bias.double(), 1, 1, 1, groups)
    with torch.inference_mode():
        found = conv(image, activation)
        added = conv(image, residual=found)
    assert found.dtype == dtype
    close = {"rtol": 2e-2, "atol": 0.2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(found.double(), bound(plain.clone(), activation), **close)
    torch.testing.assert_close(added.double(), plain + found.double(), **close)
    assert torch.equal(image, before)


def test_gradients() -> None:
    """Training takes the path that has them."""
    conv, image = SameConv(3, 4, 3, 2), torch.randn(1, 3, 8, 8)
    conv(image, "relu6").sum().backward()
    assert conv.weight.grad is not None


@torch.no_grad()
def test_changed_weights_count() -> None:
    """Copies in other layouts are made again when the weight changes, by any way."""
    conv, image = SameConv(3, 4, 3), torch.randn(1, 3, 8, 8)
    conv(image)
    other = SameConv(3, 4, 3)
    conv.load_state_dict(other.state_dict())
    torch.testing.assert_close(conv(image), other(image))
    conv.weight.data = torch.zeros_like(conv.weight)
    torch.testing.assert_close(conv(image)[0, :, 0, 0], conv.bias)
    assert conv.bfloat16()(image.bfloat16()).dtype == torch.bfloat16
    conv.weight = torch.nn.Parameter(torch.zeros_like(conv.weight))
    torch.testing.assert_close(conv(image.bfloat16())[0, :, 0, 0], conv.bias)


@torch.no_grad()
def test_copies_are_left_behind() -> None:
    """A layer in use can be copied and pickled, and is saved as any convolution."""
    conv, image = SameConv(3, 4, 3), torch.randn(1, 3, 8, 8)
    expected = conv(image)
    assert set(conv.state_dict()) == {"weight", "bias"}
    for other in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        torch.testing.assert_close(other(image), expected)


@pytest.fixture
def _probed_again() -> Iterator[None]:
    """Forget what the probe found, before and after."""
    convolution._fused_dtypes.cache_clear()
    yield
    convolution._fused_dtypes.cache_clear()


def missing(*arguments: Any) -> Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")


def changed(*arguments: Any) -> Tensor:
    raise RuntimeError("expected at most 5 argument(s)")


def wrong(settings: Settings, image: Tensor, packed: Tensor, *arguments: Any) -> Tensor:
    return torch.zeros_like(image)


@pytest.mark.parametrize("operation", [missing, changed, wrong])
@pytest.mark.parametrize("name", ["convolve", "convolve_and_add"])
@pytest.mark.usefixtures("_probed_again")
def test_without_the_private_operations(
    name: str, operation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release of PyTorch without them, or with others, takes the plain convolution."""
    monkeypatch.setattr(Settings, name, operation)
    conv, image = SameConv(3, 3, 3), torch.randn(1, 3, 8, 8)
    with torch.inference_mode():
        found = conv(image, residual=image)
    torch.testing.assert_close(found, F.conv2d(image, conv.weight, conv.bias, 1, 1) + image)


@pytest.mark.usefixtures("_probed_again")
def test_the_operation_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is available the fast path is taken."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch was built without oneDNN")
    calls: list[str] = []
    convolve = Settings.convolve

    def recorded(settings: Settings, *arguments: Any) -> Tensor:
        calls.append(arguments[3])
        return convolve(settings, *arguments)

    monkeypatch.setattr(Settings, "convolve", recorded)
    with torch.inference_mode():
        SameConv(3, 4, 3, 2)(torch.randn(1, 3, 8, 8), "relu6")
    assert calls[-1] == "relu6"
    assert len(calls) == 2  # with the probe
