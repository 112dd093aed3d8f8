"""OpenCLIP weights agree with CLIP's published architecture, written here on PyTorch's own layers.

And, where transformers is there, with its `CLIPModel` given the same weights.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

import openbind
from openbind.checkpoints import load_openclip
from openbind.errors import CheckpointError, UnknownNameError
from openbind.model.config import PatchStem

State = dict[str, Tensor]
HEADS = {"vision": 4, "text": 2}


def make_state(
    vision: int = 48, text: int = 32, *, depth: int = 2, embed: int = 20, device: str = "cpu"
) -> State:
    """Return a random state dict; its names are from OpenCLIP's published files."""
    generator = None if device == "meta" else torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device) * 0.2

    state: State = {
        "visual.class_embedding": draw(vision),
        "visual.positional_embedding": draw(17, vision),
        "visual.proj": draw(vision, embed),
        "visual.conv1.weight": draw(vision, 3, 8, 8),
        "positional_embedding": draw(77, text),
        "text_projection": draw(text, embed),
        "token_embedding.weight": draw(49408, text),
        "logit_scale": torch.tensor(3.0),
    }
    for name, width in (("visual.ln_pre", vision), ("visual.ln_post", vision), ("ln_final", text)):
        state |= {f"{name}.weight": draw(width), f"{name}.bias": draw(width)}
    for prefix, width in (("visual.", vision), ("", text)):
        for index in range(depth):
            block = f"{prefix}transformer.resblocks.{index}."
            shapes: dict[str, tuple[int, ...]] = {
                "ln_1.weight": (width,),
                "ln_1.bias": (width,),
                "attn.in_proj_weight": (3 * width, width),
                "attn.in_proj_bias": (3 * width,),
                "attn.out_proj.weight": (width, width),
                "attn.out_proj.bias": (width,),
                "ln_2.weight": (width,),
                "ln_2.bias": (width,),
                "mlp.c_fc.weight": (4 * width, width),
                "mlp.c_fc.bias": (4 * width,),
                "mlp.c_proj.weight": (width, 4 * width),
                "mlp.c_proj.bias": (width,),
            }
            state |= {block + name: draw(*shape) for name, shape in shapes.items()}
    return state


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@torch.no_grad()
def plain_trunk(state: State, prefix: str, x: Tensor, heads: int, quick: bool) -> Tensor:
    """Compute blocks by `nn.TransformerEncoderLayer`, which differs in names only."""
    names = {"ln_1": "norm1", "ln_2": "norm2", "attn": "self_attn", "mlp.c_fc": "linear1",
             "mlp.c_proj": "linear2"}  # fmt: skip
    mask = None if prefix else nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    for index in range(2):
        block = f"{prefix}transformer.resblocks.{index}."
        own = {k.removeprefix(block): v for k, v in state.items() if k.startswith(block)}
        for theirs, torchs in names.items():
            own = {k.replace(f"{theirs}.", f"{torchs}."): v for k, v in own.items()}
        layer = nn.TransformerEncoderLayer(
            x.shape[-1], heads, 4 * x.shape[-1], 0.0, quick_gelu if quick else F.gelu,
            batch_first=True, norm_first=True,
        )  # fmt: skip
        layer.load_state_dict(own)
        x = layer(x, src_mask=mask)
    return x


@torch.no_grad()
def plain_clip(state: State, pixels: Tensor, ids: Tensor, quick: bool) -> tuple[Tensor, Tensor]:
    """Compute CLIP as published (arXiv 2103.00020, section 2.4)."""

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), state[f"{name}.weight"], state[f"{name}.bias"])

    x = F.conv2d(pixels, state["visual.conv1.weight"], stride=8).flatten(2).transpose(1, 2)
    x = torch.cat([state["visual.class_embedding"].expand(len(x), 1, -1), x], dim=1)
    x = norm("visual.ln_pre", x + state["visual.positional_embedding"])
    x = plain_trunk(state, "visual.", x, HEADS["vision"], quick)
    image = norm("visual.ln_post", x[:, 0]) @ state["visual.proj"]
    y = state["token_embedding.weight"][ids] + state["positional_embedding"]
    y = norm("ln_final", plain_trunk(state, "", y, HEADS["text"], quick))
    text = y[torch.arange(len(ids)), ids.argmax(dim=-1)] @ state["text_projection"]
    return F.normalize(image, dim=-1), F.normalize(text, dim=-1)


@pytest.fixture(scope="module")
def state() -> State:
    """A small model."""
    return make_state()


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor]:
    """Pixels and token ids."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.zeros(2, 77, dtype=torch.long)
    ids[0, :4] = torch.tensor([49406, 320, 1929, 49407])
    ids[1] = torch.tensor([49406, *range(500, 575), 49407])
    return torch.randn(2, 3, 32, 32, generator=generator), ids


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_published_architecture(
    state: State, inputs: tuple[Tensor, Tensor], activation: str
) -> None:
    """Both towers agree with either activation, and differ between the two."""
    space = load_openclip(state, activation, heads=HEADS)  # type: ignore[arg-type]
    found = space.embed_tensors({"image": inputs[0], "text": inputs[1]})
    quick = activation == "quick_gelu"
    expected = plain_clip(state, *inputs, quick)
    other = plain_clip(state, *inputs, not quick)
    for name, value, wrong in zip(("image", "text"), expected, other, strict=True):
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
        assert (found[name] - wrong).abs().max() > 1e-3
    assert space.config.modalities["text"].scale == pytest.approx(math.exp(3))


def test_transformers(state: State, inputs: tuple[Tensor, Tensor]) -> None:
    """The same weights in transformers' CLIPModel give the same vectors."""
    transformers = pytest.importorskip("transformers")
    sizes = {"num_hidden_layers": 2, "hidden_act": "quick_gelu"}
    config = transformers.CLIPConfig(
        text_config={"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2,
                     **sizes},
        vision_config={"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 4,
                       "image_size": 32, "patch_size": 8, **sizes},
        projection_dim=20,
    )  # fmt: skip
    model = transformers.CLIPModel(config).eval()
    model.load_state_dict(to_transformers(state), strict=True)
    with torch.no_grad():
        expected = model(pixel_values=inputs[0], input_ids=inputs[1])
    space = load_openclip(state, "quick_gelu", heads=HEADS)
    found = space.embed_tensors({"image": inputs[0], "text": inputs[1]})
    torch.testing.assert_close(found["image"], expected.image_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["text"], expected.text_embeds, rtol=1e-4, atol=1e-5)


def to_transformers(state: State) -> State:
    """Rename OpenCLIP's tensors to transformers'."""
    whole = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "logit_scale": "logit_scale",
    }
    parts = {
        "visual.ln_pre.": "vision_model.pre_layrnorm.",
        "visual.ln_post.": "vision_model.post_layernorm.",
        "ln_final.": "text_model.final_layer_norm.",
        "visual.transformer.resblocks.": "vision_model.encoder.layers.",
        "transformer.resblocks.": "text_model.encoder.layers.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".attn.out_proj.": ".self_attn.out_proj.",
        ".mlp.c_fc.": ".mlp.fc1.",
        ".mlp.c_proj.": ".mlp.fc2.",
    }
    found = {
        "visual_projection.weight": state["visual.proj"].T.contiguous(),
        "text_projection.weight": state["text_projection"].T.contiguous(),
    }
    for name, value in state.items():
        if name in ("visual.proj", "text_projection"):
            continue
        target = whole.get(name, name)
        if name not in whole:
            for ours, theirs in parts.items():
                target = target.replace(ours, theirs)
        if ".attn.in_proj_" in target:
            kind = target.rsplit("_", 1)[1]
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                key = target.split(".attn.")[0] + f".self_attn.{letter}_proj.{kind}"
                found[key] = part.clone()
            continue
        found[target] = value
    return found


@pytest.mark.parametrize(
    ("vision", "heads"), [(768, 12), (1024, 16), (1280, 16), (1408, 16), (1664, 16)]
)
def test_heads_of_known_sizes(vision: int, heads: int) -> None:
    """64 features per head, except for H (80), g (88) and bigG (104)."""
    state = make_state(vision, 512, depth=1, device="meta")
    state |= {"logit_scale": torch.tensor(4.6)}
    state = {k: torch.empty_like(v, device="cpu") if v.is_meta else v for k, v in state.items()}
    config = load_openclip(state, "gelu").config
    assert config.towers["vision"].config.trunk.heads == heads
    assert config.towers["text"].config.trunk.heads == 8
    assert config.towers["vision"].config.trunk.norm_eps == 1e-5


def test_space(state: State) -> None:
    """Sizes are inferred; images have the trained size; texts CLIP's vocabulary."""
    space = load_openclip(state, heads=HEADS)
    assert space.modalities == ("image", "text")
    stem = space.config.towers["vision"].config.stem
    assert stem == PatchStem(channels=3, kernel=(8, 8), stride=(8, 8), size=(32, 32))
    assert space.config.modalities["image"].settings.size == 32
    assert space.encode("text", ["a photo of a dog", "a cat"]).shape == (2, 20)
    assert "not stated" in space.card.limits[0]


@pytest.mark.parametrize("extension", ["bin", "safetensors"])
def test_files(tmp_path: Path, state: State, extension: str) -> None:
    """A file loads with the config beside it and its README's license; buffers are ignored."""
    path = tmp_path / f"open_clip_pytorch_model.{extension}"
    stored = {**state, "attn_mask": torch.zeros(77, 77)}
    torch.save(stored, path) if extension == "bin" else save_file(stored, path)
    (tmp_path / "README.md").write_text("---\ntags: [clip]\nlicense: mit\n---\n# CLIP")
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps(
            {
                "model_cfg": {"quick_gelu": True},
                "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.25]},
            }
        )
    )
    space = load_openclip(path, heads=HEADS)
    assert space.config.towers["text"].config.trunk.activation == "quick_gelu"
    assert space.config.modalities["image"].settings.std == (0.5, 0.5, 0.25)
    assert (space.card.license, space.card.limits) == ("mit", ())
    expected = load_openclip(state, "quick_gelu", heads=HEADS)
    ids = torch.tensor([[49406, 5, 49407]])
    found = load_openclip(path, modalities=["text"], heads=HEADS)
    assert list(found.towers) == ["text"]
    assert torch.equal(
        found.embed_tensors({"text": ids})["text"], expected.embed_tensors({"text": ids})["text"]
    )


def test_saved_and_loaded(tmp_path: Path, state: State) -> None:
    """A space survives openbind's own format bit-exactly."""
    space = load_openclip(state, "quick_gelu", heads=HEADS)
    openbind.save(space, tmp_path / "clip")
    again = openbind.load(tmp_path / "clip", device="cpu")
    assert again.fingerprint == space.fingerprint
    assert (again.encode("text", "a dog") == space.encode("text", "a dog")).all()


def test_half_stored_wholes(state: State) -> None:
    """OpenAI's files have some tensors in half precision: the widest dtype is used."""
    mixed = {k: v.half() if k.endswith("proj") else v for k, v in state.items()}
    assert load_openclip(mixed, heads=HEADS).config.dtype == "float32"
    halves = {k: v.half() for k, v in state.items()}
    assert load_openclip(halves, heads=HEADS).config.dtype == "float16"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("visual.ln_post.bias", None, "visual.ln_post.bias: missing"),
        ("visual.positional_embedding", torch.zeros(18, 48), "square grid.*found 18"),
        ("visual.proj", torch.zeros(3, 20), r"visual.proj: expected \(20, 48\), found \(20, 3\)"),
        ("text_projection", torch.zeros(32, 21), "one dimension, found"),
        ("logit_scale", None, "logit_scale: missing"),
        (
            "visual.transformer.resblocks.0.ls_1.gamma",
            torch.zeros(48),
            "1 tensors of another architecture, such as visual.*gamma",
        ),
        ("text_decoder.weight", torch.zeros(3), "another architecture, such as text_decoder"),
    ],
)
def test_mismatches(state: State, name: str, value: Tensor | None, message: str) -> None:
    """Errors name missing, misshapen and unknown tensors."""
    damaged = {k: v for k, v in state.items() if k != name}
    if value is not None:
        damaged[name] = value
    with pytest.raises(CheckpointError, match=message):
        load_openclip(damaged, heads=HEADS)


def test_unknown_modality(state: State) -> None:
    """The space has only image and text."""
    with pytest.raises(UnknownNameError, match="known: image, text"):
        load_openclip(state, modalities=["audio"])


def test_wrong_heads(state: State) -> None:
    """Heads that don't divide the width are an error."""
    with pytest.raises(CheckpointError, match="5 heads don't divide a width of 48"):
        load_openclip(state, heads={"vision": 5})
