"""Adapters by themselves are read by peft, and merged here as peft merges them."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch

from openbind.checkpoints.adapters import hash_tower, merge_adapters, save_adapters
from openbind.checkpoints.native import build_tower, write_json
from openbind.errors import CheckpointError, UnknownNameError
from openbind.modalities.image import ImageSettings
from openbind.model.config import HeadConfig, PatchStem, TowerConfig, TrunkConfig
from openbind.presets import bind
from openbind.space.space import Space

PLAN = {"r": 2, "lora_alpha": 6, "lora_dropout": 0.0, "target_modules": ["fc1"]}
LAYER = "trunk.blocks.0.mlp.fc1"


def make_space() -> Space:
    config = bind(
        "tiny",
        {
            "vision": TowerConfig(
                stem=PatchStem(channels=3, kernel=(8, 8), stride=(8, 8), size=(16, 16)),
                trunk=TrunkConfig(width=32, depth=1, heads=2),
                head=HeadConfig(embed_dim=16),
            )
        },
        settings={"image": ImageSettings(size=16)},
    )
    torch.manual_seed(0)
    return Space(config, {"vision": build_tower(config.towers["vision"])})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Adapters of one Linear."""
    space = make_space()
    fc1 = space.towers["vision"].get_submodule(LAYER)
    assert isinstance(fc1, torch.nn.Linear)
    tensors = {
        f"{LAYER}.lora_A.weight": torch.randn(2, fc1.in_features),
        f"{LAYER}.lora_B.weight": torch.randn(fc1.out_features, 2),
    }
    base = hash_tower(space.config.towers["vision"], space.towers["vision"])
    binding = space.config.modalities["image"]
    save_adapters(tmp_path / "image", tensors, PLAN, "image", binding, base)
    return tmp_path / "image"


def test_merged_as_peft_does(saved: Path) -> None:
    """Weights are those that peft's own reader and merge give; the space given is unchanged."""
    space = make_space()
    merged = merge_adapters(space, {"image": saved}).towers["vision"].state_dict()
    loaded = peft.PeftModel.from_pretrained(make_space().towers["vision"], str(saved))
    expected = loaded.merge_and_unload().state_dict()
    assert merged.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(merged[key], value)
    before = space.towers["vision"].state_dict()
    assert not torch.equal(merged[f"{LAYER}.weight"], before[f"{LAYER}.weight"])


def test_refused(saved: Path) -> None:
    """Other weights, another modality and other kinds of adapters are refused."""
    other = make_space()
    with torch.no_grad():
        next(other.towers["vision"].parameters()).add_(1)
    with pytest.raises(CheckpointError, match="other weights"):
        merge_adapters(other, {"image": saved})
    with pytest.raises(UnknownNameError):
        merge_adapters(other, {"audio": saved})
    write_json(saved / "adapter_config.json", {"peft_type": "LORA", "use_dora": True, **PLAN})
    with pytest.raises(CheckpointError, match="use_dora"):
        merge_adapters(make_space(), {"image": saved})
    with pytest.raises(CheckpointError, match="no such file"):
        merge_adapters(make_space(), {"image": saved.parent})
