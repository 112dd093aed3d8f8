"""The empty prompt is that of the model's own text encoder, computed once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

import openbind
from openbind.catalog import find
from openbind.checkpoints import load_huggingface, prompts
from openbind.checkpoints.prompts import empty_ids, empty_prompt, skip_last_layer
from openbind.errors import CheckpointError

transformers = pytest.importorskip("transformers", reason="transformers is the reference here")


def test_space_computes_it(tmp_path: Path) -> None:
    """A text tower without its last layer is Stable Diffusion 2's text encoder."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    text = {**sizes, "num_hidden_layers": 3, "vocab_size": 60, "max_position_embeddings": 12,
            "bos_token_id": 58, "eos_token_id": 59, "pad_token_id": 0}  # fmt: skip
    vision = {**sizes, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    shutil.copy(find("starter") / "tokenizer.json", tmp_path)
    tower = load_huggingface(tmp_path).towers["text"]
    ids = torch.tensor([[58, 59, *[0] * 10]])
    model.text_model.encoder.layers = model.text_model.encoder.layers[:-1]
    with torch.inference_mode():
        expected = model.text_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(skip_last_layer(tower, ids), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def plain() -> openbind.Space:
    """A space without the text tower of CLIP ViT-H."""
    return openbind.load("tiny", weights="random", modalities=["text"], device="cpu")


def test_own_encoder_computes_it_once(
    plain: openbind.Space,
    tiny_diffusion: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then only the embedding is needed; SDXL takes zeros."""
    pytest.importorskip("diffusers")
    folder = tiny_diffusion.save_model(tmp_path / "model", "unclip")
    entry = tiny_diffusion.entry_of("unclip")
    with torch.inference_mode():
        own = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
        expected = own(empty_ids(0)).last_hidden_state
    torch.testing.assert_close(empty_prompt(entry, folder, plain), expected)
    shutil.rmtree(folder / "text_encoder")
    torch.testing.assert_close(empty_prompt(entry, folder, plain), expected)
    zeros = empty_prompt(replace(entry, pipeline="sdxl"), folder, plain)
    assert zeros.shape == (1, 77, 32)
    assert not zeros.any()
    other = replace(entry, repository="someone/else")
    fetched: list[object] = []
    monkeypatch.setattr(
        prompts.hub, "pull_diffusion", lambda *asked: fetched.append(asked) or folder
    )
    with pytest.raises(CheckpointError, match="--fetch-text-encoder"):
        empty_prompt(other, folder, plain)
    assert not fetched
    with pytest.raises(CheckpointError, match="text_encoder"):
        empty_prompt(other, folder, plain, fetch=True)
    assert fetched == [("someone/else", ["text_encoder"])]


def test_an_embedding_in_a_file(
    plain: openbind.Space, tiny_diffusion: ModuleType, tmp_path: Path
) -> None:
    """It goes before all else; other shapes and other files are refused."""
    pytest.importorskip("diffusers")
    folder = tiny_diffusion.save_model(tmp_path / "model", "unclip")
    entry = tiny_diffusion.entry_of("unclip")
    given, expected = tmp_path / "prompt.safetensors", torch.rand(1, 77, 32)
    save_file({"prompt": expected}, given)
    torch.testing.assert_close(empty_prompt(entry, folder, plain, given=given), expected)
    save_file({"prompt": torch.rand(1, 77, 31)}, given)
    with pytest.raises(CheckpointError, match="shape"):
        empty_prompt(entry, folder, plain, given=given)
    with pytest.raises(CheckpointError, match="safetensors"):
        empty_prompt(entry, folder, plain, given=tmp_path / "missing")
