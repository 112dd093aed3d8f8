"""`linear` and `project` equal `F.linear` and an activation, on every path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from openbind.model import linear as linear_module
from openbind.model.linear import activate, linear, project


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("activation", ["none", "gelu", "gelu_tanh", "quick_gelu"])
@pytest.mark.parametrize("shape", [(3,), (5, 7), (2, 3, 4), (0, 4)])
def test_same_numbers(dtype: torch.dtype, activation: str, shape: tuple[int, ...]) -> None:
    """Without gradients the product equals the plain one to rounding, in any shape and dtype."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, 24, generator=generator).to(dtype)
    weight, bias = torch.randn(40, 24, generator=generator).to(dtype), torch.ones(40, dtype=dtype)
    expected = activate(F.linear(x.double(), weight.double(), bias.double()), activation)
    with torch.no_grad():
        found = linear(x, weight, bias, activation)
    assert found.dtype == dtype
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_strided_input() -> None:
    """Inputs that aren't contiguous are supported."""
    x, weight = torch.randn(6, 5, 3), torch.randn(4, 6)
    with torch.no_grad():
        torch.testing.assert_close(
            linear(x.permute(1, 2, 0), weight), x.permute(1, 2, 0) @ weight.T
        )


def test_gradients() -> None:
    """The product can be differentiated."""
    x, weight = torch.randn(3, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    linear(x, weight, activation="gelu").sum().backward()
    assert x.grad is not None
    assert weight.grad is not None


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "quick_gelu"])
def test_activations(activation: str) -> None:
    """Activations equal their definitions."""
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    definitions = {
        "gelu": x * 0.5 * (1 + torch.erf(x / 2**0.5)),
        "gelu_tanh": 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
        "quick_gelu": x / (1 + torch.exp(-1.702 * x)),
    }
    torch.testing.assert_close(activate(x, activation), definitions[activation])


class Doubled(nn.Module):
    """An adapter: a module around a Linear that changes its result."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(x)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [None, slice(2), slice(2, None)])
def test_layers(rows: slice | None, bias: bool, grad: bool) -> None:
    """Rows of a Linear equal those of the module's result; a module in its place is called."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 5, bias=bias), torch.randn(2, 3, 6)
    wanted = slice(None) if rows is None else rows
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(project(layer, x, rows), layer(x)[..., wanted])
        found = project(Doubled(layer), x, rows, "gelu")
        torch.testing.assert_close(found, F.gelu(2 * layer(x)[..., wanted]))


@pytest.fixture
def _probed_again() -> Iterator[None]:
    """Forget what the probe found, before and after."""
    linear_module._fused_dtypes.cache_clear()
    yield
    linear_module._fused_dtypes.cache_clear()


def missing(*arguments: Any) -> torch.Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")


def changed(*arguments: Any) -> torch.Tensor:
    raise RuntimeError("mkldnn::_linear_pointwise() expected at most 5 argument(s)")


def wrong(x: torch.Tensor, weight: torch.Tensor, *arguments: Any) -> torch.Tensor:
    return torch.zeros(len(x), len(weight))


@pytest.mark.parametrize("operation", [missing, changed, wrong])
@pytest.mark.usefixtures("_probed_again")
def test_without_the_private_operation(operation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of PyTorch without oneDNN's product, or with another one, uses `F.linear`."""
    monkeypatch.setattr(linear_module, "_multiply", operation)
    x, weight = torch.randn(3, 4), torch.randn(2, 4)
    expected = F.gelu(F.linear(x, weight))
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, activation="gelu"), expected)
    x.requires_grad_()
    linear(x, weight, activation="gelu").sum().backward()
    assert x.grad is not None


@pytest.mark.usefixtures("_probed_again")
def test_the_operation_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is available the fast path is taken; it is probed once."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch was built without oneDNN")
    calls: list[str] = []
    multiply = linear_module._multiply

    def recorded(*arguments: Any) -> torch.Tensor:
        calls.append(arguments[3] if len(arguments) > 3 else "none")
        return multiply(*arguments)

    monkeypatch.setattr(linear_module, "_multiply", recorded)
    with torch.inference_mode():
        for _ in range(3):
            linear(torch.ones(3, 4), torch.ones(2, 4), activation="gelu")
    assert len(calls) == 1 + 3
