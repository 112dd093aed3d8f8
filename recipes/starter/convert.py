"""Convert the original state dicts of the three backbones: pure functions on dictionaries.

Heads are not converted: the originals have no equivalent. Batch norm is folded into the
convolution before it: w' = w · γ/√(σ²+ε), b' = β − μ · γ/√(σ²+ε) (Ioffe and Szegedy 2015).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

State = Mapping[str, torch.Tensor]

# Batch norm's ε: 1e-3 in the official EfficientNet code, torch's default in aiSFX's.
EFFICIENTNET_NORM_EPS = 1e-3
AISFX_NORM_EPS = 1e-5


def fold_norm(
    weight: torch.Tensor, norm: State, prefix: str, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fold a batch norm into the bias-free convolution before it; return weight and bias."""
    gain = norm[f"{prefix}.weight"].double() / (norm[f"{prefix}.running_var"].double() + eps).sqrt()
    bias = norm[f"{prefix}.bias"].double() - norm[f"{prefix}.running_mean"].double() * gain
    return (weight.double() * gain[:, None, None, None]).float(), bias.float()


def convert_minilm(original: State, num_layers: int = 6) -> dict[str, torch.Tensor]:
    """Convert a BERT encoder's state dict (names as in the published safetensors file).

    The embedding of the first segment, added to every token, is folded into the positions.
    """
    state = {
        "word.weight": original["embeddings.word_embeddings.weight"],
        "position.weight": original["embeddings.position_embeddings.weight"]
        + original["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": original["embeddings.LayerNorm.weight"],
        "norm.bias": original["embeddings.LayerNorm.bias"],
    }
    names = {
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "mlp_in": "intermediate.dense",
        "mlp_out": "output.dense",
        "norm_mlp": "output.LayerNorm",
    }
    for index in range(num_layers):
        source = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            state[f"layers.{index}.qkv.{kind}"] = torch.cat(
                [original[f"{source}.attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
            )
            for ours, theirs in names.items():
                state[f"layers.{index}.{ours}.{kind}"] = original[f"{source}.{theirs}.{kind}"]
    return state


def convert_efficientnet_lite(original: State) -> dict[str, torch.Tensor]:
    """Convert the state dict of `efficientnet-lite-pytorch`, batch norm folded."""
    state: dict[str, torch.Tensor] = {}

    def fold(ours: str, conv: str, norm: str) -> None:
        weight = original[f"{conv}.weight"]
        folded = fold_norm(weight, original, norm, EFFICIENTNET_NORM_EPS)
        state[f"{ours}.weight"], state[f"{ours}.bias"] = folded

    fold("stem", "_conv_stem", "_bn0")
    count = 1 + max(int(key.split(".")[1]) for key in original if key.startswith("_blocks."))
    for index in range(count):
        source, target = f"_blocks.{index}", f"blocks.{index}"
        if f"{source}._expand_conv.weight" in original:
            fold(f"{target}.expand", f"{source}._expand_conv", f"{source}._bn0")
        fold(f"{target}.filter", f"{source}._depthwise_conv", f"{source}._bn1")
        fold(f"{target}.project", f"{source}._project_conv", f"{source}._bn2")
    fold("top", "_conv_head", "_bn1")
    state["classifier.weight"] = original["_fc.weight"]
    state["classifier.bias"] = original["_fc.bias"]
    return state


def convert_aisfx(original: State) -> dict[str, torch.Tensor]:
    """Convert the state dict of `aisfx`, batch norm folded; its own classifiers are dropped.

    The original convolves (time, frequency); ours (frequency, time), so kernels are transposed.
    """
    state: dict[str, torch.Tensor] = {}
    for index in range(4):
        source = f"embedding_net.conv_block{index + 1}"
        for ours, number in (("first", 1), ("second", 2)):
            weight, bias = fold_norm(
                original[f"{source}.conv{number}.weight"],
                original,
                f"{source}.bn{number}",
                AISFX_NORM_EPS,
            )
            state[f"blocks.{index}.{ours}.weight"] = weight.transpose(2, 3).contiguous()
            state[f"blocks.{index}.{ours}.bias"] = bias
    return state
