"""The tower of another library's model: what it hands over, and what it has none of."""

from __future__ import annotations

import pytest
import torch

from openbind.errors import CheckpointError
from openbind.model import TOWERS
from openbind.model.backbones.sentence_transformer import (
    SentenceTransformerConfig,
    SentenceTransformerTower,
)


def make_tower(part: str, rate_hz: float = 0.0) -> SentenceTransformerTower:
    config = SentenceTransformerConfig(
        name="a/b", revision="c", part=part, embed_dim=4, rate_hz=rate_hz
    )
    return SentenceTransformerTower(config)


def test_inputs() -> None:
    """Bytes become texts, pixels images, samples arrays with their rate, frames with theirs."""
    data = torch.tensor([*"dé".encode(), 0, 0], dtype=torch.uint8)
    assert make_tower("text")._to_input(data) == "dé"
    assert make_tower("text")._to_input(data[:2]) == "d"  # cut within a character
    image = make_tower("image")._to_input(torch.zeros(3, 5, 7, dtype=torch.uint8))
    assert (image.size, image.mode) == ((7, 5), "RGB")
    sound = make_tower("audio", 8_000)._to_input(torch.ones(1, 1, 9))
    assert (sound["array"].shape, sound["sampling_rate"]) == ((9,), 8_000)
    video = make_tower("video", 1)._to_input(torch.zeros(3, 2, 5, 7, dtype=torch.uint8))
    assert video["array"].shape == (2, 5, 7, 3)
    assert video["video_metadata"]["fps"] == 1


def test_reference() -> None:
    """It is registered as a reference, stores nothing, and can't embed until it is opened."""
    assert TOWERS.get("sentence_transformer").is_reference
    tower = make_tower("text")
    assert tower.state_dict() == {}
    with pytest.raises(CheckpointError, match="a/b"):
        tower(torch.zeros(1, 4, dtype=torch.uint8))
