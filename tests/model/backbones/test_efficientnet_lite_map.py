"""Invariants of the tower for maps: it treats them as gray images."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    StageConfig,
    read_cells,
)
from openbind.model.backbones.efficientnet_lite_map import (
    EfficientNetLiteMap,
    EfficientNetLiteMapConfig,
    copy_body,
)

STAGES = (
    StageConfig(repeats=1, kernel=3, stride=1, expand=1, channels=4),
    StageConfig(repeats=2, kernel=5, stride=2, expand=2, channels=6),
    StageConfig(repeats=1, kernel=3, stride=2, expand=2, channels=8),
)
IMAGE = EfficientNetLiteConfig(stem_channels=4, stages=STAGES, width=8, num_classes=7, embed_dim=5)


def make(stages: int) -> EfficientNetLiteMap:
    torch.manual_seed(0)
    config = EfficientNetLiteMapConfig(stem_channels=4, stages=STAGES[:stages], grid=3, embed_dim=5)
    return EfficientNetLiteMap(config).eval()


@pytest.mark.parametrize("stages", [2, 3])
def test_sees_grey_images(stages: int) -> None:
    """With an image tower's body, features of a map are those of the gray image."""
    image, tower = EfficientNetLite(IMAGE).eval(), make(stages)
    copy_body(image, tower)
    map_BCHW = torch.randn(2, 1, 40, 50)
    hidden = F.relu6(image.stem(map_BCHW.expand(2, 3, 40, 50)))
    expected = read_cells(image.blocks.read(hidden, (stages,))[0], 3)
    torch.testing.assert_close(tower.features(map_BCHW), expected)
    assert torch.equal(tower.head(tower.features(map_BCHW)), tower(map_BCHW))
    assert tower(map_BCHW).shape == (2, 5)


def test_other_stages_are_refused() -> None:
    """A body of other stages isn't copied partially."""
    other = EfficientNetLiteMapConfig(stem_channels=4, stages=(STAGES[0], STAGES[2]), embed_dim=5)
    with pytest.raises(RuntimeError, match="size mismatch"):
        copy_body(EfficientNetLite(IMAGE), EfficientNetLiteMap(other))


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 32)])
def test_takes_any_size(shape: tuple[int, int]) -> None:
    """Maps of any height and width can be embedded."""
    assert make(3)(torch.randn(2, 1, *shape)).isfinite().all()
