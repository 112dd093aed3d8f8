"""Adapters start without effect, are trained alone, and merge into the plain network."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from openbind.configs import from_dict
from openbind.errors import ConfigError, MissingExtraError
from openbind.model.config import HeadConfig, TowerConfig, TrunkConfig, WindowStem
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.training.lora import LoraPlan, add_lora, merge_lora


def build_tower() -> Tower:
    config = TowerConfig(
        stem=WindowStem(channels=2, kernel=4, steps=20),
        trunk=TrunkConfig(width=24, depth=2, heads=3, bias_kv=True),
        head=HeadConfig(embed_dim=6),
    )
    return initialize(Tower(config), torch.Generator().manual_seed(0)).eval()


def change(tower: nn.Module) -> None:
    """Give all adapters random weights, as after training."""
    for name, parameter in tower.named_parameters():
        if "lora" in name:
            nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("grad", [False, True])
def test_changes_are_heard(grad: bool) -> None:
    """Initially they don't change the output; trained, they do, on all code paths."""
    torch.manual_seed(0)
    tower, x_BCT = build_tower(), torch.randn(3, 2, 20)
    with torch.set_grad_enabled(grad):
        before = tower(x_BCT)
        add_lora(tower, LoraPlan(rank=2), "towers.x")
        torch.testing.assert_close(tower(x_BCT), before, rtol=1e-4, atol=1e-5)
        for layer in ("in_proj", "out_proj", "fc1", "fc2"):
            fresh = build_tower()
            add_lora(fresh, LoraPlan(rank=2, layers=(layer,)), "towers.x")
            change(fresh)
            assert (fresh(x_BCT) - before).abs().max() > 0.01, layer


def test_what_is_trained() -> None:
    """Only adapters need gradients, two small matrices per layer, and all get one."""
    tower = build_tower()
    add_lora(tower, LoraPlan(rank=2, layers=("in_proj", "fc2")), "towers.x")
    change(tower)
    trained = {name: p for name, p in tower.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * 2
    assert all("lora" in name for name in trained)
    tower(torch.randn(3, 2, 20)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in trained.values())


def test_merge() -> None:
    """The merged network has plain names and sizes, and the same outputs to 1e-5."""
    torch.manual_seed(0)
    tower, x_BCT = build_tower(), torch.randn(3, 2, 20)
    expected = {name: value.shape for name, value in tower.state_dict().items()}
    layers = ("in_proj", "out_proj", "fc1", "fc2", "proj")
    add_lora(tower, LoraPlan(rank=3, alpha=5, layers=layers), "towers.x")
    change(tower)
    merged = merge_lora(tower)
    assert {name: value.shape for name, value in merged.state_dict().items()} == expected
    with torch.no_grad():
        torch.testing.assert_close(merged(x_BCT), tower(x_BCT), rtol=1e-5, atol=1e-5)
    weight = tower.trunk.blocks[0].mlp.fc1
    added = 5 / 3 * weight.lora_B["default"].weight @ weight.lora_A["default"].weight
    plain = build_tower().trunk.blocks[0].mlp.fc1.weight
    torch.testing.assert_close(merged.trunk.blocks[0].mlp.fc1.weight, plain + added)


def test_merge_leaves_the_tower() -> None:
    """Merging doesn't change the tower, which can be trained further."""
    tower = build_tower()
    add_lora(tower, LoraPlan(), "towers.x")
    change(tower)
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    merge_lora(tower)
    assert before.keys() == tower.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in tower.state_dict().items())


def test_unknown_layers() -> None:
    """A missing layer, or one that isn't a Linear, is refused with the known ones."""
    for layer in ("qkv", "norm_1"):
        with pytest.raises(ConfigError, match=rf"towers.x.lora.layers: .*'{layer}'.*fc1, fc2"):
            add_lora(build_tower(), LoraPlan(layers=(layer,)), "towers.x")


def test_without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without peft the error names the extra."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"openbind\[lora\]"):
        add_lora(build_tower(), LoraPlan(), "towers.x")


@pytest.mark.parametrize("values", [{"rank": 0}, {"alpha": 0}, {"layers": []}, {"dropout": 1.0}])
def test_impossible_plans(values: dict[str, object]) -> None:
    """Invalid plans are refused."""
    with pytest.raises(ConfigError):
        from_dict(LoraPlan, values)
