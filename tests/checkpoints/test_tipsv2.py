"""TIPSv2 directories as spaces: same vectors, things located by text, references, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import CheckpointError, UnknownNameError
from tests import tiny_anchors

transformers = pytest.importorskip("transformers", reason="Transformers isn't installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Transformers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of random weights."""
    return tiny_anchors.write_tipsv2(tmp_path_factory.mktemp("tipsv2"))


@pytest.fixture(scope="module")
def space(folder: Path) -> openbind.Space:
    """It as a space."""
    return openbind.load(f"tipsv2:{folder}", device="cpu")


def test_same_vectors(space: openbind.Space, folder: Path) -> None:
    """Images have the size and range that the model takes; texts its tokens, padded or not."""
    model = transformers.Tipsv2Model.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["red", "A photo of red that is longer than the context of this model"]
    given = tokenizer(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    image = tiny_anchors.draw("red", 1, (56, 56))
    pixels_CHW = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    with torch.inference_mode():
        expected = model(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            pixel_values=pixels_CHW[None],
        )
    assert space.modalities == ("image", "text")
    np.testing.assert_allclose(space.encode("text", texts), expected.text_embeds, atol=1e-5)
    found = space.encode("image", [image])
    np.testing.assert_allclose(found, expected.image_embeds, atol=1e-5)
    logits = space.logits("text", space.encode("text", texts), "image", found)
    np.testing.assert_allclose(logits, expected.logits_per_text, rtol=1e-3)


def test_located(space: openbind.Space) -> None:
    """A query is compared with patches, so its own patch of an image is the hottest."""
    image = tiny_anchors.draw("white", 1, (56, 56))
    image.paste(tiny_anchors.draw("black", 2, (14, 14)), (28, 14))
    cells_NE = space.patch_embeddings("image", space.preprocess("image", image))[0].numpy()
    assert cells_NE.shape == (16, 32)
    found = space.locate(image, cells_NE[1 * 4 + 2])
    assert found.heat.shape == (4, 4)
    x, y = found.peak
    assert (x // 14, y // 14) == (2, 1)
    assert space.locate(image, space.encode("text", "red")).heat.shape == (4, 4)


def test_saved_space_is_a_reference(space: openbind.Space, folder: Path, tmp_path: Path) -> None:
    """A saved space has no weights, and loads equal; the license is the model's."""
    openbind.save(space, tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.safetensors"))
    again = openbind.load(tmp_path / "saved", device="cpu", modalities=["text"])
    assert (again.encode("text", "red") == space.encode("text", "red")).all()
    assert again.identity("text") == space.identity("text")
    assert space.card.license == "apache-2.0"
    assert space.card.sources[0].origin == str(folder)


def test_errors(folder: Path, tmp_path: Path) -> None:
    """Another model, missing weights, other modalities and options are one error each."""
    other = tiny_anchors.write_clip(tmp_path / "clip")
    with pytest.raises(CheckpointError, match="model_type") as caught:
        openbind.load(f"tipsv2:{other}", device="cpu")
    assert caught.value.path == str(other)
    with pytest.raises(UnknownNameError) as unknown:
        openbind.load(f"tipsv2:{folder}", modalities=["audio"])
    assert unknown.value.known == ("image", "text")
    with pytest.raises(CheckpointError, match="anchor"):
        openbind.load(f"tipsv2:{folder}", anchor={"truncate_dim": 8})
    with pytest.raises(CheckpointError, match="organization/name"):
        openbind.load(f"tipsv2:{tmp_path / 'none'}")
    with pytest.raises(CheckpointError, match="tipsv2:"):
        openbind.load(folder)
