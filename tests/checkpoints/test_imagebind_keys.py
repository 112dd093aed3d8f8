"""The official state dict: configs are inferred from shapes, names map one to one.

Outputs are checked against the reference's own numbers on a small model, and for other sizes
against a plain implementation of the published architecture, written here on
`torch.nn.MultiheadAttention`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from openbind.checkpoints.imagebind_keys import (
    HEADS,
    official_key,
    read_towers,
    scales,
    write_state,
)
from openbind.errors import CheckpointError
from openbind.model.config import PatchStem, TokenStem, TowerConfig, WindowStem
from openbind.model.tower import Tower

GOLDEN = Path(__file__).parents[1] / "golden" / "imagebind_mini.safetensors"
State = dict[str, Tensor]
WIDTHS = {"vision": 40, "text": 24, "audio": 32, "depth": 24, "thermal": 16, "imu": 48}
DEPTHS = {"vision": 3, "text": 2, "audio": 1, "depth": 2, "thermal": 3, "imu": 2}
OTHER_HEADS = {"vision": 5, "text": 3, "audio": 2, "depth": 4, "thermal": 1, "imu": 6}


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, int], State]:
    """Config and tensors of the reference's small model."""
    with safe_open(GOLDEN, "pt") as file:
        config = json.loads(file.metadata()["config"])
        return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def golden_state(golden: tuple[dict[str, int], State]) -> State:
    """The small model's official state dict."""
    return {k.removeprefix("state/"): v for k, v in golden[1].items() if k.startswith("state/")}


def run(config: TowerConfig, state: State, x: Tensor) -> Tensor:
    with torch.device("meta"):
        tower = Tower(config)
    tower.load_state_dict(state, assign=True)
    with torch.no_grad():
        result: Tensor = tower.eval()(x)
    return result


@pytest.mark.parametrize("key", ["vision", "video", "text", "audio", "depth", "thermal", "imu"])
def test_golden(golden: tuple[dict[str, int], State], golden_state: State, key: str) -> None:
    """Every output of the reference model, including video and clips, agrees to 1e-4."""
    config, tensors = golden
    name = "vision" if key == "video" else key
    heads = {tower: config.get(f"{tower}_num_heads", HEADS[tower]) for tower in HEADS}
    tower_config, state = read_towers(golden_state, heads)[name]
    x, expected = tensors[f"input/{key}"], tensors[f"output/{key}"]
    flat = x.flatten(0, 1) if key in ("video", "audio") else x
    unit = F.normalize(run(tower_config, state, flat), dim=-1)
    scaled = unit * scales(golden_state).get(name, 1.0)
    found = scaled.view(len(x), -1, scaled.shape[-1]).mean(dim=1)
    assert ((found - expected).norm() / expected.norm()).item() < 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_round_trip(golden_state: State) -> None:
    """Our names map back to every official one, including the mask."""
    towers = read_towers(golden_state, {**HEADS, "thermal": 4, "audio": 3, "text": 2, "vision": 4})
    back = write_state({k: state for k, (_, state) in towers.items()}, scales(golden_state))
    assert set(back) == set(golden_state)
    for key, value in golden_state.items():
        torch.testing.assert_close(back[key], value, rtol=1e-6, atol=0)


def test_huge_has_1311_entries() -> None:
    """The released sizes have the released model's entries and parameters, each name once."""
    huge = make_state(
        {"vision": 1280, "text": 1024, "audio": 768, "depth": 384, "thermal": 768, "imu": 512},
        {"vision": 32, "text": 24, "audio": 12, "depth": 12, "thermal": 12, "imu": 6},
        embed=1024,
        device="meta",
    )
    assert len(huge) == 1311
    towers = read_towers(huge, HEADS)
    assert sum(len(state) for _, state in towers.values()) == 1311 - 6
    counts = {name: sum(v.numel() for v in state.values()) for name, (_, state) in towers.items()}
    assert counts == {
        "vision": 632_829_440,
        "text": 354_032_640,
        "audio": 86_235_648,
        "depth": 21_871_872,
        "thermal": 86_211_072,
        "imu": 19_600_384,
    }
    for name, (_, state) in towers.items():
        assert {official_key(name, key) for key in state} <= set(huge)


def test_configs_of_huge() -> None:
    """Sizes, strides and options are inferred from shapes."""
    state = make_state(WIDTHS, DEPTHS, embed=20, device="meta")
    towers = {name: config for name, (config, _) in read_towers(state, OTHER_HEADS).items()}
    assert towers["vision"].stem == PatchStem(
        channels=3, kernel=(14, 14), stride=(14, 14), size=(224, 224), frames=2
    )
    assert towers["audio"].stem == PatchStem(
        channels=1, kernel=(16, 16), stride=(10, 10), size=(128, 204), norm=True
    )
    assert towers["text"].stem == TokenStem(vocabulary=50, context=77)
    assert towers["imu"].stem == WindowStem(channels=6, kernel=8, steps=2000)
    assert {n: c.trunk.width for n, c in towers.items()} == WIDTHS
    assert {n: c.trunk.depth for n, c in towers.items()} == DEPTHS
    assert {n for n, c in towers.items() if c.trunk.pre_norm} == {"vision"}
    assert {n for n, c in towers.items() if c.trunk.causal} == {"text"}
    assert {n for n, c in towers.items() if not c.trunk.bias_kv} == {"vision", "text"}


@pytest.mark.parametrize("name", HEADS)
def test_other_sizes(name: str) -> None:
    """A model of other widths, depths and heads agrees with the plain implementation."""
    state = make_state(WIDTHS, DEPTHS, embed=20)
    shapes = {"vision": (2, 3, 224, 224), "audio": (2, 1, 128, 204), "imu": (2, 6, 2000)}
    x = torch.randn(shapes.get(name, (2, 1, 224, 224)), generator=torch.Generator().manual_seed(1))
    if name == "text":
        x = torch.tensor([[48, 3, 49, 0, 0, 0], [48, 5, 6, 7, 49, 0]])
        x = F.pad(x, (0, 71))
    config, ours = read_towers(state, OTHER_HEADS)[name]
    expected = plain_tower(name, state, OTHER_HEADS[name], x)
    torch.testing.assert_close(run(config, ours, x), expected, rtol=1e-4, atol=1e-5)


def test_part_of_a_checkpoint(golden_state: State) -> None:
    """Only the present towers are read, and only their heads are needed."""
    part = {k: v for k, v in golden_state.items() if k.split(".")[1] == "imu"}
    assert set(read_towers(part, {"imu": 2})) == {"imu"}
    assert scales(part) == {"imu": pytest.approx(5.0)}


def test_scales() -> None:
    """Scales are exponentials, clipped at 100; vision has none."""
    key = "modality_postprocessors.{}.1.log_logit_scale"
    state = {key.format("text"): torch.tensor(4.7), key.format("audio"): torch.tensor(math.log(20))}
    assert scales(state) == {"text": 100.0, "audio": pytest.approx(20.0)}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("modality_trunks.imu.blocks.1.mlp.fc2.bias", None, "fc2.bias: missing, expected .48,."),
        ("modality_heads.imu.0.weight", torch.zeros(7), r"expected \(48,\), found \(7,\)"),
        ("modality_heads.imu.3.weight", torch.zeros(7), "expected 2 axes"),
        ("modality_heads.imu.9.weight", torch.zeros(7), "imu.9.weight"),
        ("modality_heads.smell.0.weight", torch.zeros(7), "smell.0.weight"),
        ("optimizer", torch.zeros(7), "optimizer"),
        ("modality_preprocessors.thermal.pos_embedding_helper.pos_embed", torch.zeros(1, 199, 16),
         "square grid"),
        ("modality_preprocessors.audio.pos_embedding_helper.pos_embed", torch.zeros(1, 230, 32),
         "no stride"),
    ],
)  # fmt: skip
def test_mismatches(key: str, value: Tensor | None, message: str) -> None:
    """Errors name missing, unknown and misshapen tensors, with expected and found shapes."""
    state = make_state(WIDTHS, DEPTHS, embed=20, device="meta")
    state.pop(key, None)
    if value is not None:
        state[key] = value
    with pytest.raises(CheckpointError, match=f"weights.pth: .*{message}"):
        read_towers(state, OTHER_HEADS, "weights.pth")


@pytest.mark.parametrize(("heads", "message"), [({}, "heads.*imu"), ({"imu": 7}, "don't divide")])
def test_heads(golden_state: State, heads: dict[str, int], message: str) -> None:
    """Heads are required, and divide the width."""
    part = {k: v for k, v in golden_state.items() if k.split(".")[1] == "imu"}
    with pytest.raises(CheckpointError, match=message):
        read_towers(part, heads)


def test_empty() -> None:
    """A state dict without any tower is refused."""
    with pytest.raises(CheckpointError, match="state dict: no tensors"):
        read_towers({}, HEADS)


def make_state(
    widths: dict[str, int], depths: dict[str, int], *, embed: int, device: str = "cpu"
) -> State:
    """Return a random official state dict; its names are from the published list."""
    generator = None if device == "meta" else torch.Generator().manual_seed(0)
    vocabulary = 49408 if widths["text"] == 1024 else 50

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device) * 0.2

    state: State = {}
    stems = {
        "vision": ("rgbt_stem.proj.1.weight", (3, 2, 14, 14)),
        "audio": ("rgbt_stem.proj.weight", (1, 16, 16)),
        "depth": ("depth_stem.proj.weight", (1, 16, 16)),
        "thermal": ("rgbt_stem.proj.weight", (1, 16, 16)),
        "imu": ("imu_stem.proj.weight", (48,)),
    }
    counts = {"vision": 257, "text": 77, "audio": 229, "depth": 197, "thermal": 197, "imu": 251}
    for name, width in widths.items():
        stem = f"modality_preprocessors.{name}"
        helper = "" if name in ("text", "imu") else "pos_embedding_helper."
        state[f"{stem}.{helper}pos_embed"] = draw(1, counts[name], width)
        if name == "text":
            state[f"{stem}.token_embedding.weight"] = draw(vocabulary, width)
            state[f"{stem}.mask"] = torch.full((77, 77), -torch.inf, device=device).triu(1)
        else:
            key, shape = stems[name]
            state[f"{stem}.cls_token"] = draw(1, 1, width)
            state[f"{stem}.{key}"] = draw(width, *shape)
            if name != "vision":
                norm = f"{stem}.{key.split('.')[0]}.norm_layer"
                state |= {f"{norm}.weight": draw(width), f"{norm}.bias": draw(width)}
        for index in range(depths[name]):
            block = f"modality_trunks.{name}.blocks.{index}"
            shapes: dict[str, tuple[int, ...]] = {
                "attn.in_proj_weight": (3 * width, width),
                "attn.in_proj_bias": (3 * width,),
                "attn.out_proj.weight": (width, width),
                "attn.out_proj.bias": (width,),
                "norm_1.weight": (width,),
                "norm_1.bias": (width,),
                "mlp.fc1.weight": (4 * width, width),
                "mlp.fc1.bias": (4 * width,),
                "mlp.fc2.weight": (width, 4 * width),
                "mlp.fc2.bias": (width,),
                "norm_2.weight": (width,),
                "norm_2.bias": (width,),
            }
            if name not in ("vision", "text"):
                shapes |= {"attn.bias_k": (1, 1, width), "attn.bias_v": (1, 1, width)}
            state |= {f"{block}.{key}": draw(*shape) for key, shape in shapes.items()}
        head = f"modality_heads.{name}" + (".proj" if name == "text" else "")
        last = {"text": 1, "imu": 3}.get(name, 2)
        state |= {f"{head}.0.weight": draw(width), f"{head}.0.bias": draw(width)}
        state[f"{head}.{last}.weight"] = draw(embed, width)
        if name == "vision":
            norm = "modality_trunks.vision.pre_transformer_layer.0"
            state |= {f"{norm}.weight": draw(width), f"{norm}.bias": draw(width)}
        else:
            state[f"modality_postprocessors.{name}.1.log_logit_scale"] = torch.tensor(1.5)
    return state


@torch.no_grad()
def plain_tower(name: str, state: State, heads: int, x: Tensor) -> Tensor:
    """Compute the published architecture step by step, with the official names."""
    stem = {
        key.removeprefix(f"modality_preprocessors.{name}."): value
        for key, value in state.items()
        if key.startswith(f"modality_preprocessors.{name}.")
    }
    (positions,) = (value for key, value in stem.items() if key.endswith("pos_embed"))
    if name == "text":
        tokens = stem["token_embedding.weight"][x]
    else:
        tokens = plain_patches(name, stem, x)
        tokens = torch.cat([stem["cls_token"].expand(len(x), -1, -1), tokens], dim=1)
    y = (tokens + positions).transpose(0, 1)
    width, trunk = y.shape[-1], f"modality_trunks.{name}."

    def norm(prefix: str, value: Tensor) -> Tensor:
        return F.layer_norm(
            value, (width,), state[f"{prefix}.weight"], state[f"{prefix}.bias"], 1e-6
        )

    if name == "vision":
        y = norm(f"{trunk}pre_transformer_layer.0", y)
    for index in range(DEPTHS[name]):
        block = f"{trunk}blocks.{index}."
        attention = nn.MultiheadAttention(width, heads, add_bias_kv=f"{block}attn.bias_k" in state)
        prefix = f"{block}attn."
        attention.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        z = norm(f"{block}norm_1", y)
        y = y + attention(z, z, z, attn_mask=stem.get("mask"), need_weights=False)[0]
        mlp = (state[f"{block}mlp.{part}"] for part in
               ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"))  # fmt: skip
        up, up_bias, down, down_bias = mlp
        y = y + F.linear(F.gelu(F.linear(norm(f"{block}norm_2", y), up, up_bias)), down, down_bias)
    head = f"modality_heads.{name}" + (".proj" if name == "text" else "")
    at = x.argmax(dim=-1) if name == "text" else torch.zeros(len(x), dtype=torch.long)
    chosen = norm(f"{head}.0", y.transpose(0, 1))[torch.arange(len(x)), at]
    return F.linear(chosen, state[f"{head}.{({'text': 1, 'imu': 3}).get(name, 2)}.weight"])


def plain_patches(name: str, stem: State, x: Tensor) -> Tensor:
    """Return the patch embeddings of a tower, after their LayerNorm."""
    (weight,) = (value for key, value in stem.items() if "proj" in key)
    if name == "vision":
        frames = x.unsqueeze(2).repeat(1, 1, 2, 1, 1)
        return F.conv3d(frames, weight, stride=(2, 14, 14)).flatten(2).transpose(1, 2)
    if name == "imu":
        tokens = F.conv1d(x, weight.view(-1, 6, 8), stride=8).transpose(1, 2)
    else:
        stride = 10 if name == "audio" else 16
        tokens = F.conv2d(x, weight, stride=stride).flatten(2).transpose(1, 2)
    (scale,) = (value for key, value in stem.items() if key.endswith("norm_layer.weight"))
    (shift,) = (value for key, value in stem.items() if key.endswith("norm_layer.bias"))
    return F.layer_norm(tokens, (tokens.shape[-1],), scale, shift, 1e-5)
