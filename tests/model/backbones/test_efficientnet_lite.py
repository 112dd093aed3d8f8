"""Invariants of EfficientNet-Lite: the published numbers, TensorFlow's padding, any size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import openbind
from openbind.model.backbones.efficientnet_lite import (
    EfficientNetLite,
    EfficientNetLiteConfig,
    LayoutConfig,
    StageConfig,
    read_cells,
)

SHIPPED = Path(openbind.__file__).parent / "assets" / "starter" / "vision.safetensors"
GOLDEN = Path(__file__).parent / "golden" / "efficientnet_lite.safetensors"
TINY = EfficientNetLiteConfig(
    stem_channels=4,
    stages=(
        StageConfig(repeats=1, kernel=3, stride=1, expand=1, channels=4),
        StageConfig(repeats=2, kernel=5, stride=2, expand=2, channels=6),
    ),
    width=8,
    num_classes=7,
    embed_dim=5,
)


@pytest.fixture(scope="module")
def shipped() -> EfficientNetLite:
    module = EfficientNetLite(EfficientNetLiteConfig(averaged=(5, 6, 7)))
    weights = {k: v.float() for k, v in load_file(SHIPPED).items() if not k.startswith("layout.")}
    module.load_state_dict(weights)
    return module.eval()


@torch.inference_mode()
def test_equals_the_original(shipped: EfficientNetLite) -> None:
    """Features and logits are the original's, to the precision of half-size weights."""
    golden = load_file(GOLDEN)
    features_BD = shipped.features((golden["pixels_BCHW"].float() - 127) / 128)[:, :1280]
    similarity = F.cosine_similarity(features_BD, golden["features_BD"])
    assert float(similarity.min()) > 0.99999
    logits_BK = shipped.classifier(features_BD)
    torch.testing.assert_close(logits_BK, golden["logits_BK"], atol=0.1, rtol=0)
    assert torch.equal(logits_BK.argmax(1), golden["logits_BK"].argmax(1))


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 32)])
def test_takes_any_size(shape: tuple[int, int]) -> None:
    """Images of any height and width can be embedded."""
    torch.manual_seed(0)
    embed_BE = EfficientNetLite(TINY).eval()(torch.randn(2, 3, *shape))
    assert embed_BE.shape == (2, TINY.embed_dim)
    assert embed_BE.isfinite().all()


def test_memory_layout_changes_nothing() -> None:
    """Images in either memory format have the same embedding, and aren't modified."""
    torch.manual_seed(0)
    module = EfficientNetLite(TINY).eval()
    image_BCHW = torch.randn(2, 3, 33, 33)
    before = image_BCHW.clone()
    other = image_BCHW.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module(image_BCHW), module(other))
    assert torch.equal(image_BCHW, before)


def test_embedding_is_mixture_plus_projection() -> None:
    """Softened class probabilities mix the class vectors; the projection is added."""
    torch.manual_seed(0)
    module = EfficientNetLite(TINY).eval()
    features_BD = torch.rand(3, TINY.width)
    share_BK = torch.softmax(module.classifier(features_BD) / TINY.temperature, dim=1)
    expected = share_BK @ module.mixture.weight.T + module.projection(features_BD)
    torch.testing.assert_close(module.embed(features_BD), expected)


LAYOUT = LayoutConfig(stage=1, grid=2, dim=3, share=0.36)


def test_layout_takes_its_share() -> None:
    """Content and layout make unit vectors; the layout has its fraction."""
    torch.manual_seed(0)
    config = dataclasses.replace(TINY, embed_dim=TINY.embed_dim + LAYOUT.dim, layout=LAYOUT)
    module, plain = EfficientNetLite(config).eval(), EfficientNetLite(TINY).eval()
    plain.load_state_dict(module.state_dict(), strict=False)
    image_BCHW = torch.randn(2, 3, 33, 40)
    embed_BE, shown_BE = module(image_BCHW), plain(image_BCHW)
    torch.testing.assert_close(embed_BE.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(embed_BE[:, :5], 0.8 * F.normalize(shown_BE, dim=1))
    torch.testing.assert_close(embed_BE[:, 5:].norm(dim=1), torch.full((2,), 0.6))


def test_layout_says_where() -> None:
    """Cells keep their order; the outputs of the layout's stage and the last one are returned."""
    torch.manual_seed(0)
    cells = read_cells(torch.arange(8.0).view(1, 2, 2, 2), 2)
    assert cells.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    middle_BCHW, last_BCHW = EfficientNetLite(TINY).blocks.read(torch.randn(1, 4, 8, 8), (1,))
    assert (middle_BCHW.shape[1], last_BCHW.shape[1]) == (4, 6)


AVERAGED = dataclasses.replace(TINY, averaged=(1, 2))


@torch.inference_mode()
def test_earlier_stages_are_averaged_too() -> None:
    """They follow the last features, and only the projection reads them."""
    torch.manual_seed(0)
    module, plain = EfficientNetLite(AVERAGED).eval(), EfficientNetLite(TINY).eval()
    state = module.state_dict()
    plain.load_state_dict(
        {**state, "projection.weight": state["projection.weight"][:, : TINY.width]}
    )
    image_BCHW = torch.randn(2, 3, 64, 64)
    features_BD = module.features(image_BCHW)
    assert features_BD.shape == (2, 8 + 4 + 6)
    last_BD = plain.features(image_BCHW)
    torch.testing.assert_close(features_BD[:, :8], last_BD)
    maps = module.blocks.read(module.stem(image_BCHW, "relu6"), (1,))
    expected_BD = torch.cat([last_BD, *(each.mean(dim=(2, 3)) for each in maps)], dim=1)
    assert F.cosine_similarity(features_BD, expected_BD).min() > 0.999
    module.projection.weight[:, 8:] = 0
    torch.testing.assert_close(module(image_BCHW), plain(image_BCHW))


@pytest.mark.parametrize(
    ("stages", "averaged", "message"),
    [
        (TINY.stages, (3,), "stage 3 of 2"),
        ((TINY.stages[0], dataclasses.replace(TINY.stages[1], stride=3)), (1,), "more than 2"),
    ],
)
def test_stages_that_cannot_be_averaged(
    stages: tuple[StageConfig, ...], averaged: tuple[int, ...], message: str
) -> None:
    """A config of an unknown origin can't ask for a stage that isn't there, nor halve forever."""
    config = dataclasses.replace(TINY, stages=stages, averaged=averaged)
    with pytest.raises(ValueError, match=message):
        EfficientNetLite(config)


@pytest.mark.parametrize("shape", [(1, 1), (33, 64), (67, 48), (2, 90)])
@torch.inference_mode()
def test_cells_of_all_stages_are_the_image(shape: tuple[int, int]) -> None:
    """The mean of the cells is the content part of the image's vector."""
    torch.manual_seed(0)
    module = EfficientNetLite(AVERAGED).eval()
    image_BCHW = torch.randn(2, 3, *shape)
    cells_BHWE = module.cells(image_BCHW, plain=True)
    embed_BE = F.normalize(module(image_BCHW), dim=1)
    torch.testing.assert_close(cells_BHWE.mean(dim=(1, 2)), embed_BE)


def test_clips_are_means_of_frames() -> None:
    """A clip's embedding is the mean of its frames' unit embeddings."""
    torch.manual_seed(0)
    module = EfficientNetLite(TINY).eval()
    clip_BCTHW = torch.randn(2, 3, 4, 20, 20)
    frames = [F.normalize(module(clip_BCTHW[:, :, t]), dim=1) for t in range(4)]
    torch.testing.assert_close(module(clip_BCTHW), torch.stack(frames).mean(0))
