"""CLIP and SigLIP in Hugging Face's layout: a directory of config.json, weights and tokenizer.

Sizes, activation and eps come from `config.json` as transformers reads it; missing keys have the
defaults of transformers' `CLIPConfig` and `SiglipConfig` (version 5.23).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openbind.checkpoints.assembly import assemble
from openbind.checkpoints.formats import CONFIG, CheckpointFormat, Listing
from openbind.checkpoints.huggingface_settings import image_settings, text_settings
from openbind.checkpoints.renaming import (
    MAX_SCALE,
    Origin,
    check_rest,
    take_tower,
    tower_names,
)
from openbind.checkpoints.repository import read_json, read_license, repository_id
from openbind.checkpoints.tensors import INDEX, open_tensors
from openbind.configs import checked
from openbind.errors import CheckpointError, ConfigError, UnknownNameError, shorten
from openbind.model.config import (
    Activation,
    HeadConfig,
    PatchStem,
    Pool,
    TokenStem,
    TowerConfig,
    TrunkConfig,
)
from openbind.presets import bind
from openbind.space.card import Card, Source
from openbind.space.space import Space

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights in order of preference; each may be sharded, with an index beside it."""
_FILES = tuple(file + end for file in WEIGHTS for end in ("", INDEX))
KINDS = ("clip", "siglip")
"""Supported values of `model_type`. SigLIP 2 of fixed resolution has "siglip" as well."""
_TOWERS = {"image": "vision", "text": "text"}
_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "quick_gelu": "quick_gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}
_LEGACY_EOT = 2
"""`eos_token_id` of old, incorrect CLIP configs: the highest id in a text is its end."""

_COMMON = {"num_hidden_layers": 12, "num_channels": 3, "image_size": 224}
_CLIP = {**_COMMON, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "patch_size": 32}
_SIGLIP = {**_COMMON, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "patch_size": 16}
_BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("clip", "vision"): {**_CLIP, **_BASE},
    ("clip", "text"): {
        **_CLIP,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_attention_heads": 8,
        "vocab_size": 49_408,
        "max_position_embeddings": 77,
        "eos_token_id": 49_407,
    },
    ("siglip", "vision"): {**_SIGLIP, **_BASE, "vision_use_head": True},
    ("siglip", "text"): {
        **_SIGLIP,
        **_BASE,
        "vocab_size": 32_000,
        "max_position_embeddings": 64,
        "projection_size": None,
    },
}

_BLOCK = {
    "norm_1.": "layer_norm1.",
    "norm_2.": "layer_norm2.",
    "attention.out_proj.": "self_attn.out_proj.",
    "mlp.": "mlp.",
}
_SHARED = {
    ("vision", "stem.weight"): "embeddings.patch_embedding.weight",
    ("vision", "stem.bias"): "embeddings.patch_embedding.bias",
    ("vision", "stem.cls_token"): "embeddings.class_embedding",
    ("vision", "stem.positions"): "embeddings.position_embedding.weight",
    ("text", "stem.embedding.weight"): "embeddings.token_embedding.weight",
    ("text", "stem.positions"): "embeddings.position_embedding.weight",
    ("vision", "trunk.pre_norm."): "pre_layrnorm.",  # their spelling
    ("vision", "head.norm."): "post_layernorm.",
    ("text", "head.norm."): "final_layer_norm.",
    ("text", "head.proj."): "head.",
    ("vision", "head.pool.query"): "head.probe",
    ("vision", "head.pool.in_proj."): "head.attention.in_proj_",
    ("vision", "head.pool.out_proj."): "head.attention.out_proj.",
    ("vision", "head.pool.norm."): "head.layernorm.",
    ("vision", "head.pool.mlp."): "head.mlp.",
}
_CLIP_PROJECTIONS = {"vision": "visual_projection.weight", "text": "text_projection.weight"}
_BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")


def load_huggingface(
    directory: str | os.PathLike[str],
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load a Hugging Face CLIP or SigLIP (1 or 2) directory as a space of image and text.

    Args:
        directory: with config.json, model.safetensors or pytorch_model.bin (or their shards),
            tokenizer.json, and preprocessor_config.json unless images have the usual
            preprocessing.
        modalities: load only these; None loads both.
        device: of the towers.
        dtype: precision to compute in; None takes the checkpoint's own.

    Raises:
        CheckpointError: a file is missing, truncated, contains objects other than tensors, or
            doesn't match config.json; or config.json has an unsupported architecture.
        UnknownNameError: no such modality.
    """
    folder = Path(directory)
    values = read_json(folder / CONFIG)
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        known = " or ".join(KINDS)
        raise CheckpointError(
            folder / CONFIG,
            f"model_type: expected {known}, found {shorten(kind)}; before the name of the "
            "directory or repository st: loads what sentence-transformers can, tipsv2: and pe-av: "
            "those models",
        )
    wanted = list(_TOWERS) if modalities is None else list(modalities)
    for name in wanted:
        if name not in _TOWERS:
            raise UnknownNameError(f"modality of {folder.name}", name, _TOWERS)
    path = Listing(folder).find(_FILES)
    if path is None:
        raise CheckpointError(folder, f"expected {' or '.join(WEIGHTS)}, found neither")
    state = open_tensors(path)
    towers = [tower for name, tower in _TOWERS.items() if name in wanted]
    configs = {tower: _tower_config(kind, tower, values, folder) for tower in towers}
    states = {tower: _take(state, kind, tower, configs[tower], path) for tower in towers}
    settings, limits = {}, list[str]()
    if "image" in wanted:
        settings["image"], differences = image_settings(folder, kind, configs["vision"])
        limits += differences
    if "text" in wanted:
        settings["text"] = text_settings(folder, kind, configs["text"])
    scale, bias = _scale(state, kind, path)
    if bias is not None:
        limits.append(f"Logits exclude the bias: P(pair) = sigmoid(logit {bias:+.4g}).")
    name = repository_id(folder) or folder.resolve().name
    try:
        config = bind(name, configs, {"image": 1.0, "text": scale}, settings)
    except ConfigError as error:
        raise CheckpointError(folder / CONFIG, str(error)) from error
    card = _card(folder, kind, limits)
    return assemble(config, states, card, folder, device=device, dtype=dtype, mapped=True)


def _tower_config(kind: str, tower: str, values: dict[str, Any], folder: Path) -> TowerConfig:
    """Return one tower's config."""
    # In older files this key takes precedence.
    own = values.get(f"{tower}_config_dict") or values.get(f"{tower}_config") or {}
    if not isinstance(own, dict):
        raise CheckpointError(folder / CONFIG, f"{tower}_config: expected a mapping")
    v = {**_DEFAULTS[kind, tower], **own}
    if not isinstance(v["hidden_act"], str) or v["hidden_act"] not in _ACTIVATIONS:
        raise CheckpointError(
            folder / CONFIG,
            f"{tower}_config.hidden_act: expected one of {sorted(_ACTIVATIONS)}, "
            f"found {shorten(v['hidden_act'])}",
        )
    if not v.get("vision_use_head", True):
        raise CheckpointError(
            folder / CONFIG, "vision_use_head: expected true, found false: no embedding"
        )
    try:
        trunk = TrunkConfig(
            width=v["hidden_size"],
            depth=v["num_hidden_layers"],
            heads=v["num_attention_heads"],
            mlp_ratio=v["intermediate_size"] / v["hidden_size"],
            activation=_ACTIVATIONS[v["hidden_act"]],
            norm_eps=v["layer_norm_eps"],
            causal=(kind, tower) == ("clip", "text"),
            pre_norm=(kind, tower) == ("clip", "vision"),
        )
        stem = _vision_stem(kind, v) if tower == "vision" else _text_stem(kind, v)
        head = _head(kind, tower, v, values.get("projection_dim", 512))
        return checked(TowerConfig(stem=stem, trunk=trunk, head=head))
    except (ArithmeticError, ConfigError, ValueError, TypeError) as error:
        raise CheckpointError(folder / CONFIG, f"{tower}_config: {error}") from error


def _vision_stem(kind: str, v: dict[str, Any]) -> PatchStem:
    patch, size = v["patch_size"], v["image_size"]
    return PatchStem(
        channels=v["num_channels"],
        kernel=(patch, patch),
        stride=(patch, patch),
        size=(size, size),
        bias=kind == "siglip",
        cls_token=kind == "clip",
    )


def _text_stem(kind: str, v: dict[str, Any]) -> TokenStem:
    eot = v.get("eos_token_id") if kind == "clip" else None
    return TokenStem(
        vocabulary=v["vocab_size"],
        context=v["max_position_embeddings"],
        eot=None if eot == _LEGACY_EOT else eot,
    )


def _head(kind: str, tower: str, v: dict[str, Any], projection: int) -> HeadConfig:
    eps = v["layer_norm_eps"]
    if kind == "clip":
        pool: Pool = "cls" if tower == "vision" else "eot"
        return HeadConfig(embed_dim=projection, pool=pool, norm_eps=eps)
    if tower == "vision":
        return HeadConfig(embed_dim=v["hidden_size"], pool="attention", norm_eps=eps, project=False)
    dim = v["projection_size"] or v["hidden_size"]
    return HeadConfig(embed_dim=dim, pool="last", norm_eps=eps, bias=True)


def _take(
    state: Mapping[str, Tensor], kind: str, tower: str, config: TowerConfig, path: Path
) -> dict[str, Tensor]:
    """Return a tower's tensors; unknown ones beside them are an error."""
    origins = {name: _origin(kind, tower, name) for name in tower_names(config)}
    own = [name for name in state if name.startswith(f"{tower}_model.")]
    check_rest(own, origins.values(), _BUFFERS, str(path))
    return take_tower(state, config, origins.__getitem__, str(path))


def _origin(kind: str, tower: str, name: str) -> Origin:
    """Return where a tensor of ours is in the file (`trunk.blocks.0.mlp.fc1.weight`, ...)."""
    model = f"{tower}_model."
    if name == "head.proj.weight" and kind == "clip":
        return Origin((_CLIP_PROJECTIONS[tower],))
    if name.startswith("trunk.blocks."):
        _, _, index, rest = name.split(".", 3)
        block = f"{model}encoder.layers.{index}."
        if rest.startswith("attention.in_proj."):
            end = rest.removeprefix("attention.in_proj.")
            return Origin(tuple(f"{block}self_attn.{part}_proj.{end}" for part in "qkv"))
        for ours, theirs in _BLOCK.items():
            if rest.startswith(ours):
                return Origin((block + theirs + rest.removeprefix(ours),))
    for (where, ours), theirs in _SHARED.items():
        if where == tower and name.startswith(ours):
            return Origin((model + theirs + name.removeprefix(ours),))
    raise KeyError(name)


def _scale(state: Mapping[str, Tensor], kind: str, path: Path) -> tuple[float, float | None]:
    """Return the logit scale and SigLIP's logit bias; only CLIP clips its scale."""
    needed = ["logit_scale"] if kind == "clip" else ["logit_scale", "logit_bias"]
    for name in needed:
        if name not in state or state[name].numel() != 1:
            raise CheckpointError(path, f"{name}: expected a scalar")
    scale = math.exp(float(state["logit_scale"]))
    if kind == "clip":
        return min(scale, MAX_SCALE), None
    return scale, float(state["logit_bias"])


def _card(folder: Path, kind: str, limits: list[str]) -> Card:
    papers = {"clip": "CLIP (arXiv 2103.00020)", "siglip": "SigLIP (arXiv 2303.15343, 2502.14786)"}
    repository, license = repository_id(folder), read_license(folder)
    return Card(
        summary=f"{papers[kind]}, loaded from a Hugging Face checkpoint.",
        license=license,
        trained_pairs=(("image", "text"),),
        sources=(
            Source(
                name=repository or folder.resolve().name,
                use="both towers",
                license=license or "not stated",
                origin=f"hf:{repository}" if repository else str(folder.resolve()),
            ),
        ),
        limits=tuple(limits),
    )


def _sniff(listing: Listing) -> int:
    kind = listing.config.get("model_type")
    kind = kind if isinstance(kind, str | None) else ""
    return 90 if kind in KINDS else 40 if kind is not None else 0


FORMAT = CheckpointFormat(
    name="huggingface",
    sniff=_sniff,
    load=lambda listing, **options: load_huggingface(listing.path, **options),
    weights=lambda listing, modalities: [["model*.safetensors"], ["pytorch_model*.bin"]],
)
