"""OWLv2: a tiny random detector in its true format, by text, image and everything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import openbind
from openbind.errors import InputError
from openbind.localisation.owlv2 import load_owlv2, to_boxes

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector as `save_pretrained` leaves it."""
    path = tmp_path_factory.mktemp("owlv2")
    sizes = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4}
    config = transformers.Owlv2Config(
        text_config={**sizes, "num_hidden_layers": 1, "vocab_size": 600},
        vision_config={**sizes, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    torch.manual_seed(0)
    model = transformers.Owlv2ForObjectDetection(config)
    torch.nn.init.zeros_(model.box_head.dense2.weight)  # boxes around each patch
    torch.nn.init.zeros_(model.box_head.dense2.bias)
    model.save_pretrained(path)
    words = [chr(code) for code in range(33, 127)]
    names = [*words, *(f"{word}</w>" for word in words), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({name: at for at, name in enumerate(names)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "pad_token": "!"})
    )
    return path


def test_boxes_in_pixels() -> None:
    """Of the padded square; outside of the image they are cut, tiny ones are dropped."""
    boxes = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.5, 0.9, 0.2, 0.1], [0.5, 0.4, 0.4, 0.8]])
    found = to_boxes(boxes, torch.tensor([0.0, 5.0, 1.0]), (200, 100))
    assert found[0][:4] == pytest.approx((60, 0, 140, 100))
    assert found[1] == pytest.approx((0, 0, 100, 100, 0.5))
    assert len(found) == 2


@pytest.mark.parametrize("query", ["text", "image", "audio", "vector"])
def test_any_query(folder: Path, query: str) -> None:
    """Text and images go to the detector; vectors are compared with what is in its boxes."""
    space = openbind.load("tiny", weights="random")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    given = {
        "text": "a dog",
        "image": image.crop((0, 0, 30, 30)),
        "audio": space.encode("audio", (np.random.default_rng(1).normal(0, 0.1, 16_000), 16_000)),
        "vector": space.encode("text", "a dog"),
    }[query]
    found = space.locate(image, given, method=f"owlv2:{folder}")
    assert found.method == "owlv2"
    assert found.size == (90, 60)
    assert found.boxes
    assert found.boxes == sorted(found.boxes, key=lambda box: -box[4])
    for x0, y0, x1, y1, score in found.boxes:
        assert 0 <= x0 < x1 <= 90
        assert 0 <= y0 < y1 <= 60
        assert -1 <= score <= 1


def test_no_detector(tmp_path: Path) -> None:
    """A folder without one is named."""
    with pytest.raises(InputError, match=tmp_path.name):
        load_owlv2(str(tmp_path))
