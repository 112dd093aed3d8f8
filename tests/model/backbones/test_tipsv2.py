"""TIPSv2's towers compute what Transformers' model does; its patches are cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from openbind.errors import CheckpointError
from openbind.model.backbones.reference import OpenModel
from openbind.model.backbones.tipsv2 import Tipsv2Config, Tipsv2Tower
from tests.tiny_anchors import write_tipsv2

transformers = pytest.importorskip("transformers", reason="Transformers isn't installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Transformers


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small model of random weights."""
    folder: Path = write_tipsv2(tmp_path_factory.mktemp("tipsv2"))
    return transformers.Tipsv2Model.from_pretrained(folder).eval()


def make_tower(network: Any, part: str) -> Tipsv2Tower:
    config = Tipsv2Config(name="a/b", revision="0", part=part, embed_dim=32)
    ids = {"input_ids": torch.tensor([[3, 4], [5, 0]]), "attention_mask": torch.ones(2, 2)}
    return Tipsv2Tower(config, OpenModel(network, lambda texts: ids)).eval()


@torch.inference_mode()
def test_images_and_patches(network: Any) -> None:
    """Of any size; a cell is the model's token of that patch, of unit length."""
    tower = make_tower(network, "image")
    for size in ((56, 56), (28, 70)):
        image_BCHW = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
        expected = network.get_image_features(image_BCHW)
        assert torch.equal(tower(image_BCHW), expected.pooler_output)
        cells_BHWE = tower.cells(image_BCHW)
        rows, columns = size[0] // 14, size[1] // 14
        assert cells_BHWE.shape == (2, rows, columns, 32)
        patches_BND = F.normalize(expected.last_hidden_state[:, 2:], dim=-1)
        assert torch.allclose(cells_BHWE.flatten(1, 2), patches_BND)
    assert tower.dense_size(448) == 448


@torch.inference_mode()
def test_texts(network: Any) -> None:
    """The mean over tokens, as the model pools them."""
    tower = make_tower(network, "text")
    bytes_BN = torch.zeros(2, 5, dtype=torch.uint8)
    expected = network.get_text_features(**tower.tokenize(bytes_BN))
    assert torch.equal(tower(bytes_BN), expected.pooler_output)
    assert tower.state_dict() == {}


def test_closed_tower() -> None:
    """A tower without its model names it."""
    config = Tipsv2Config(name="a/b", revision="0", part="image", embed_dim=32)
    with pytest.raises(CheckpointError, match="a/b"):
        Tipsv2Tower(config)(torch.zeros(1, 3, 28, 28))
