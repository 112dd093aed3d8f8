"""Tiny diffusion models with random weights, saved in the layout of the public ones.

Their components are those of diffusers' own tests of Stable unCLIP and of IP-Adapters.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import openbind
from openbind.generation.bridge import Bridge, BridgeInfo
from openbind.generation.large import Family, LargeDecoder

WIDTH = 32
FAMILY = Family(name="tiny", width=384, depth=12, patch=16, dim=256, activation="gelu")
"""The image side of the preset `tiny`."""
BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "block_out_channels": (32, 64),
    "attention_head_dim": (2, 4),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "use_linear_projection": True,
}


def entry_of(pipeline: str) -> LargeDecoder:
    """Return the entry of a tiny decoder."""
    adapter = None if pipeline == "unclip" else ("someone/adapter", "models/adapter.safetensors")
    return LargeDecoder(
        family=FAMILY,
        pipeline=pipeline,
        repository=f"someone/{pipeline}",
        license="Open RAIL",
        consent="terms of a test",
        gigabytes=0.1,
        adapter=adapter,
        steps=2,
    )


def save_model(folder: Path, pipeline: str, dim: int = FAMILY.dim) -> Path:
    """Save a tiny diffusion model, and its adapter for vectors of `dim`."""
    import diffusers

    torch.manual_seed(0)
    more: dict[str, Any] = {}
    if pipeline == "unclip":
        more = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2 * dim}
    if pipeline == "sdxl":
        more = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
            "transformer_layers_per_block": (1, 1),
        }
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, **BLOCKS, **more
    )
    unet.save_pretrained(folder / "unet")
    diffusers.AutoencoderKL().save_pretrained(folder / "vae")
    kind = "v_prediction" if pipeline == "unclip" else "epsilon"
    diffusers.PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=kind,
        skip_prk_steps=True,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    if pipeline == "unclip":
        _save_noising(folder, dim)
    else:
        save_adapter(folder / "adapter.safetensors", unet, dim)
    _save_text_encoder(folder / "text_encoder")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    return folder


def bridge_of(space: openbind.Space, dim: int, **changes: Any) -> Bridge:
    """Return a bridge of random weights from a space to the family `tiny`."""
    weight_ED = np.random.default_rng(0).normal(size=(space.dim, dim)).astype(np.float32)
    info = BridgeInfo(
        source=space.identity("image"),
        target="b" * 32,
        source_name=space.name,
        target_name="other",
        family="tiny",
        norm=9.0,
        strength=1.0,
        images=100,
        held_out=20,
        cosine=0.5,
        recall_at_1=0.5,
        chance=0.05,
    )
    bias_D = np.zeros(dim, np.float32)
    return Bridge(weight_ED=weight_ED, bias_D=bias_D, info=replace(info, **changes))


def _save_noising(folder: Path, dim: int) -> None:
    import diffusers
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
        StableUnCLIPImageNormalizer,
    )

    normalizer = StableUnCLIPImageNormalizer(embedding_dim=dim)
    normalizer.save_pretrained(folder / "image_normalizer")
    noising = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    noising.save_pretrained(folder / "image_noising_scheduler")


def save_adapter(path: Path, unet: Any, dim: int) -> None:
    """Save an IP-Adapter of a UNet in the form of the public ones."""
    from diffusers.models.attention_processor import IPAdapterAttnProcessor
    from diffusers.models.embeddings import ImageProjection

    projection = ImageProjection(
        image_embed_dim=dim, cross_attention_dim=WIDTH, num_image_text_embeds=4
    ).state_dict()
    tensors = {
        f"image_proj.{name.replace('image_embeds', 'proj')}": value
        for name, value in projection.items()
    }
    channels, number = unet.config.block_out_channels, 1
    for name in unet.attn_processors:
        if name.endswith("attn1.processor"):
            continue
        place = name.split(".")
        if place[0] == "mid_block":
            hidden = channels[-1]
        else:
            order = channels[::-1] if place[0] == "up_blocks" else channels
            hidden = order[int(place[1])]
        state = IPAdapterAttnProcessor(hidden, WIDTH).state_dict()
        for part in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{number}.{part}.weight"] = state[f"{part}.0.weight"]
        number += 2
    save_file(tensors, path)


def _save_text_encoder(folder: Path) -> None:
    import transformers

    config = transformers.CLIPTextConfig(
        hidden_size=WIDTH, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4
    )
    transformers.CLIPTextModel(config).save_pretrained(folder)
