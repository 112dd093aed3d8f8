"""Towers of every family become graphs with a dynamic batch; what can't is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from openbind.errors import CheckpointError
from openbind.export.graphs import UnitVectors, trace, write_onnx, write_pt2
from openbind.model.backbones.aisfx import AiSFXConfig
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLiteConfig,
    LayoutConfig,
    StageConfig,
)
from openbind.model.backbones.efficientnet_lite_map import EfficientNetLiteMapConfig
from openbind.model.backbones.minilm import MiniLMConfig
from openbind.model.backbones.motion_statistics import MotionStatisticsConfig
from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.space.config import TowerSpec
from tests.tiny_spaces import random_tower

STAGES = (
    StageConfig(repeats=1, kernel=3, stride=2, expand=1, channels=8),
    StageConfig(repeats=2, kernel=5, stride=1, expand=2, channels=8),
)
TRUNK = TrunkConfig(width=16, depth=1, heads=2, bias_kv=True)
CAUSAL = TrunkConfig(width=16, depth=1, heads=2, causal=True, pre_norm=True)
PATCHES = PatchStem(channels=3, kernel=(8, 8), stride=(8, 8), size=(16, 16), frames=2)
IDS = TokenStem(vocabulary=100, context=12)
ENDED = TokenStem(vocabulary=100, context=12, eot=99)
WINDOWS = WindowStem(channels=6, kernel=8, steps=64)
LAYOUT = LayoutConfig(stage=1, grid=2, dim=4)


def transformer(stem: Any, trunk: TrunkConfig, pool: Any = "cls") -> TowerSpec:
    config = TowerConfig(stem=stem, trunk=trunk, head=HeadConfig(embed_dim=8, pool=pool))
    return TowerSpec(kind="transformer", config=config)


LITE = EfficientNetLiteConfig(
    stem_channels=8, stages=STAGES, width=16, num_classes=5, embed_dim=8, layout=LAYOUT
)
FAMILIES: dict[str, tuple[TowerSpec, tuple[int, ...]]] = {
    "patches": (transformer(PATCHES, TRUNK), (3, 16, 16)),
    "attention": (transformer(PATCHES, TRUNK, "attention"), (3, 2, 24, 16)),
    "windows": (transformer(WINDOWS, TRUNK), (6, 64)),
    "ended": (transformer(ENDED, CAUSAL, "eot"), (12,)),
    "last": (transformer(IDS, CAUSAL, "last"), (12,)),
    "minilm": (
        TowerSpec(
            kind="minilm",
            config=MiniLMConfig(
                vocab_size=100, width=8, num_layers=1, num_heads=2, mlp_width=8, max_tokens=12
            ),
        ),
        (12,),
    ),
    "lite": (TowerSpec(kind="efficientnet_lite", config=LITE), (3, 24, 24)),
    "lite clips": (TowerSpec(kind="efficientnet_lite", config=LITE), (3, 2, 24, 24)),
    "map": (
        TowerSpec(
            kind="efficientnet_lite_map",
            config=EfficientNetLiteMapConfig(stem_channels=4, stages=STAGES, grid=2, embed_dim=8),
        ),
        (1, 24, 24),
    ),
    "aisfx": (TowerSpec(kind="aisfx", config=AiSFXConfig(channels=(4, 8))), (1, 24, 25)),
    "motion": (
        TowerSpec(kind="motion_statistics", config=MotionStatisticsConfig(cosines=16)),
        (6, 100),
    ),
}


def clips_of(shape: tuple[int, ...], count: int, tokens: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    if len(shape) > 1:
        return torch.rand(count, *shape, generator=generator)
    ids = torch.randint(1, 90, (count, tokens or shape[0]), generator=generator)
    ids[:, -2], ids[:, -1] = 99, 0
    return ids


@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_have_a_dynamic_batch(family: str) -> None:
    """One clip and five have the tower's vectors; so have fewer token ids."""
    spec, shape = FAMILIES[family]
    tower, is_text = random_tower(spec), len(shape) == 1
    graph = trace(family, tower, clips_of(shape, 2), shape[0] if is_text else None).module()
    for count in (1, 5):
        clips = clips_of(shape, count, tokens=7 if is_text else 0)
        with torch.inference_mode():
            torch.testing.assert_close(graph(clips), UnitVectors(tower)(clips), atol=2e-6, rtol=0)


class Branching(torch.nn.Module):
    """Depends on values, as no graph can."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return clips if bool(clips.sum() > 0) else -clips


def test_towers_that_cannot_be_traced_are_named() -> None:
    with pytest.raises(CheckpointError) as caught:
        trace("smell", Branching(), torch.rand(2, 4))
    assert caught.value.path == "smell"
    assert "--modality" in caught.value.reason


def test_what_onnx_lacks_is_named(tmp_path: Path) -> None:
    """Eigenvalues: PyTorch's own format has them."""
    pytest.importorskip("onnxscript", reason="needs the extra onnx")

    class Eigenvalues(torch.nn.Module):
        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvalsh(clips)

    program = trace("motion", Eigenvalues(), torch.eye(3).repeat(2, 1, 1))
    with pytest.raises(CheckpointError) as caught:
        write_onnx("motion", program, tmp_path / "motion.onnx")
    assert caught.value.path == "motion"
    assert "pt2" in caught.value.reason
    write_pt2("motion", program, tmp_path / "motion.pt2")
    assert torch.export.load(tmp_path / "motion.pt2").module()(torch.eye(3)[None]).shape == (1, 3)
