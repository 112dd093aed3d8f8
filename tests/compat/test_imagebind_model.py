"""The model has the reference's outputs, gradients and parts."""

from __future__ import annotations

import pytest
import torch

import openbind
from openbind.compat.imagebind_model import ImageBindModel

Tensors = dict[str, torch.Tensor]


def test_reference_outputs(mini: openbind.Space, golden: Tensors) -> None:
    """Scaled outputs agree with those of the reference, clips and videos included."""
    model = ImageBindModel(mini)
    names = {key.removeprefix("input/"): key for key in golden if key.startswith("input/")}
    for name, key in names.items():
        kind = "vision" if name == "video" else name
        with torch.no_grad():
            found = model({kind: golden[key]})[kind]
        expected = golden[f"output/{name}"]
        assert (found - expected).norm() < 1e-4 * expected.norm(), name


def test_sensors_as_tensors(small: openbind.Space) -> None:
    """Depth, thermal and IMU have no loader in the reference: tensors of its shapes."""
    model = ImageBindModel(small)
    inputs = {"depth": torch.rand(2, 1, 224, 224), "thermal": torch.rand(2, 1, 224, 224)}
    with torch.no_grad():
        found = model.forward({**inputs, "imu": torch.randn(2, 6, 2000), "text": None})
    assert {key: tuple(value.shape) for key, value in found.items()} == dict.fromkeys(
        ("depth", "thermal", "imu"), (2, 1024)
    )
    assert found["depth"].norm(dim=-1) == pytest.approx(5, rel=1e-4)
    with pytest.raises(openbind.InputError, match="axes"):
        model({"imu": torch.zeros(2, 6)})


def test_gradients(small: openbind.Space) -> None:
    """Scripts train on outputs, and fine-tune the trunks."""
    model = ImageBindModel(small)
    model.requires_grad_(True)
    ids = small.preprocess("text", ["a dog"])
    with torch.no_grad():
        vector_BE = model({"text": ids})["text"]
    torch.nn.Linear(1024, 2)(vector_BE).sum().backward()
    model({"text": ids})["text"].sum().backward()
    trunk = model.modality_trunks["text"]
    assert all(weight.grad is not None for weight in trunk.parameters())
    parts = (model.modality_preprocessors, model.modality_trunks, model.modality_heads)
    count = sum(weight.numel() for part in parts for weight in part.parameters())
    assert count == sum(weight.numel() for weight in model.parameters())
    model.zero_grad()
    model.requires_grad_(False)


def test_official_weights(mini: openbind.Space, golden_state: Tensors, golden: Tensors) -> None:
    """`load_state_dict` takes the official layout, and its own."""
    model = ImageBindModel(mini)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    model.load_state_dict(golden_state)
    found = model({"depth": golden["input/depth"]})["depth"].detach()
    torch.testing.assert_close(found, golden["output/depth"], rtol=1e-4, atol=1e-4)
    assert not model.load_state_dict(model.state_dict()).missing_keys
