"""Hugging Face's CLIP and SigLIP agree with transformers on the same small random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import openbind
from openbind.catalog import find
from openbind.checkpoints import load_huggingface
from openbind.errors import CheckpointError, UnknownNameError

transformers = pytest.importorskip("transformers", reason="transformers is the reference here")

TEXT = {"hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3,
        "num_attention_heads": 4, "vocab_size": 60, "max_position_embeddings": 12,
        "bos_token_id": 58, "eos_token_id": 59, "pad_token_id": 0}  # fmt: skip
VISION = {"hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 2,
          "num_attention_heads": 3, "image_size": 32, "patch_size": 8}  # fmt: skip


def save_model(folder: Path, kind: str, **changes: Any) -> Any:
    """Save a small model with random weights by transformers, with a tokenizer."""
    text, vision = {**TEXT, **changes}, VISION
    if kind == "clip":
        acts = {"hidden_act": changes.get("hidden_act", "quick_gelu")}
        config = transformers.CLIPConfig(
            text_config={**text, **acts}, vision_config={**vision, **acts}, projection_dim=20
        )
        model = transformers.CLIPModel(config)
    else:
        config = transformers.SiglipConfig(
            text_config={**text, "projection_size": 48}, vision_config=vision
        )
        model = transformers.SiglipModel(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    model.logit_scale.data.fill_(3.0)
    model.save_pretrained(folder)
    shutil.copy(find("starter") / "tokenizer.json", folder)
    return model.eval()


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    """Pixels and token ids; texts end at the first, a middle and the last position."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 58, (3, 12), generator=generator)
    ids[0, 5] = ids[1, 11] = ids[2, 3] = 59
    ids[0, 8] = 59  # a second end changes nothing
    return torch.randn(3, 3, 32, 32, generator=generator), ids


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("clip", {}),
        ("clip", {"hidden_act": "gelu"}),
        ("clip", {"eos_token_id": 2}),
        ("clip", {"layer_norm_eps": 1e-2}),
        ("siglip", {}),
    ],
)
def test_transformers(
    tmp_path: Path, inputs: tuple[Tensor, Tensor], kind: str, changes: dict[str, Any]
) -> None:
    """Vectors and scale agree for each variant of config.json."""
    model = save_model(tmp_path, kind, **changes)
    with torch.no_grad():
        expected = model(pixel_values=inputs[0], input_ids=inputs[1])
    space = load_huggingface(tmp_path)
    found = space.embed_tensors({"image": inputs[0], "text": inputs[1]})
    torch.testing.assert_close(found["image"], expected.image_embeds, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["text"], expected.text_embeds, rtol=1e-4, atol=1e-6)
    cosine = found["text"] @ found["image"].T
    logits = cosine * space.config.modalities["text"].scale
    bias = 0.0 if kind == "clip" else float(model.logit_bias.detach())
    torch.testing.assert_close(logits + bias, expected.logits_per_text, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_defaults_of_transformers(tmp_path: Path, kind: str) -> None:
    """An empty config.json has transformers' defaults."""
    values = {"model_type": kind, "text_config": {}, "vision_config": {}}
    config: Any = transformers.CLIPConfig() if kind == "clip" else transformers.SiglipConfig()
    from openbind.checkpoints.huggingface import _tower_config

    for name, theirs in (("text", config.text_config), ("vision", config.vision_config)):
        ours = _tower_config(kind, name, values, tmp_path)
        assert ours.trunk.width == theirs.hidden_size
        assert ours.trunk.mlp_width == theirs.intermediate_size
        assert ours.trunk.depth == theirs.num_hidden_layers
        assert ours.trunk.heads == theirs.num_attention_heads
        assert ours.trunk.norm_eps == theirs.layer_norm_eps
        acts = {"gelu_tanh": "gelu_pytorch_tanh"}
        assert acts.get(ours.trunk.activation, ours.trunk.activation) == theirs.hidden_act
        stem: Any = ours.stem
        if name == "text":
            assert stem.vocabulary == theirs.vocab_size
            assert stem.context == theirs.max_position_embeddings
            assert stem.eot == (theirs.eos_token_id if kind == "clip" else None)
        else:
            assert stem.size[0] == theirs.image_size
            assert stem.kernel[0] == theirs.patch_size


def test_weights_in_every_form(tmp_path: Path, inputs: tuple[Tensor, Tensor]) -> None:
    """safetensors, PyTorch's format and shards load equally; half precision stays half."""
    model = save_model(tmp_path, "clip")
    expected = load_huggingface(tmp_path).fingerprint
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert load_huggingface(tmp_path).fingerprint == expected
    (tmp_path / "pytorch_model.bin").unlink()
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert load_huggingface(tmp_path).fingerprint == expected
    text = load_huggingface(tmp_path, modalities=["text"])
    assert list(text.towers) == ["text"]


def test_space_travels(tmp_path: Path) -> None:
    """A saved space includes the vocabulary and doesn't need the original directory."""
    save_model(tmp_path / "clip", "clip", vocab_size=30522, eos_token_id=2)
    (tmp_path / "clip" / "README.md").write_text("---\nlicense: mit\n---\n")
    space = openbind.load(tmp_path / "clip", device="cpu", dtype="float32")
    assert (space.name, space.card.license) == ("clip", "mit")
    vector = space.encode("text", "a dog")
    openbind.save(space, tmp_path / "ours")
    shutil.rmtree(tmp_path / "clip")
    again = openbind.load(tmp_path / "ours", device="cpu")
    assert (again.encode("text", "a dog") == vector).all()


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key, value in values.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "siglip2"}, "expected clip or siglip, found 'siglip2'"),
        ({"text_config": {"hidden_act": "relu"}}, "hidden_act: expected one of .*found 'relu'"),
        ({"text_config": {"hidden_size": 64}}, r"expected \(1, 12, 64\), found \(12, 32\)"),
        ({"vision_config": {"num_attention_heads": 5}}, "5 heads don't divide"),
        ({"vision_config": {"num_hidden_layers": 1}}, "another architecture, such as vision_model"),
        ({"vision_config": {"num_hidden_layers": 3}}, "layers.2.*missing"),
        ({"vision_config": {"patch_size": "8"}}, "vision_config: "),
        ({"projection_dim": 21}, r"expected \(21, 48\), found \(20, 48\)"),
    ],
)
def test_configs_that_do_not_fit(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    """The error names the file, what was expected and what was found."""
    save_model(tmp_path, "clip")
    change(tmp_path, **values)
    with pytest.raises(CheckpointError, match=message):
        load_huggingface(tmp_path)


def test_directories_that_do_not_fit(tmp_path: Path) -> None:
    """The error names missing and truncated files."""
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        load_huggingface(tmp_path)
    save_model(tmp_path, "siglip")
    with pytest.raises(UnknownNameError, match="known: image, text"):
        load_huggingface(tmp_path, modalities=["audio"])
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated"):
        load_huggingface(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors or pytorch_model\.bin"):
        load_huggingface(tmp_path)
    change(tmp_path, vision_config={"vision_use_head": False})
    (tmp_path / "tokenizer.json").unlink()
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="vision_use_head"):
        load_huggingface(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="expected a JSON object, found a list"):
        load_huggingface(tmp_path)
