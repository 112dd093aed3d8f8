"""Text vectors of a saved space without PyTorch, whose import takes longer than a search.

The one architecture is `openbind.model.backbones.minilm`, where its sources are; this is its
arithmetic for one text in NumPy. Who uses it compares it with the space first (`is_same`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.names import inside

if TYPE_CHECKING:
    from openbind.space.space import Space

KIND = "minilm"
SCALE = "int8_scale"
"""Name of the tensor with the steps of a table in 8 bits, as in `openbind.model.int8`."""
PROBE = "A dog barks at the sea; 2 red cars."
SAME = 1e-5
"""Largest difference of two vectors that count as the same."""
Encode = Callable[[str], np.ndarray]
"""From a text to its unit vector (dim,) float32."""
Weights = dict[str, np.ndarray]


def digest_text(folder: Path, modality: str) -> str | None:
    """Hash the files of a saved space that decide its text vectors.

    Args:
        folder: of the space.
        modality: of texts.

    Returns:
        hexadecimal; None if it isn't a space with a text tower of this kind.
    """
    try:
        tower, settings, weights, vocabulary = _find_files(folder, modality)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    digest = hashlib.blake2b(json.dumps([tower, settings], sort_keys=True).encode())
    for path in (weights, vocabulary):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def open_text(folder: Path, modality: str) -> Encode:
    """Return the function from a text to its vector.

    The function raises `ValueError` for texts that the space's own preprocessing has to judge:
    empty ones, very long ones and invalid Unicode.

    Args:
        folder, modality: as for `digest_text`, which isn't None for them.
    """
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tower, settings, path, vocabulary = _find_files(folder, modality)
    loaded = load_file(path)
    # Of the table of words only a few rows are needed.
    weights = {k: v if k == "word.weight" else v.astype(np.float32) for k, v in loaded.items()}
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["context"])

    def encode(text: str) -> np.ndarray:
        if not text.strip() or len(text) > settings["context"]:
            raise ValueError("expected a text that is neither empty nor long")
        text.encode()  # raises for what isn't valid Unicode
        ids = tokenizer.encode(text.lower() if settings["lower"] else text).ids
        return _embed(weights, tower["config"], np.array(ids))

    return encode


def is_same(space: Space, folder: Path, modality: str) -> bool:
    """Return whether `open_text` gives the vectors of a space."""
    if digest_text(folder, modality) is None:
        return False
    try:
        quick_E = open_text(folder, modality)(PROBE)
    except (OSError, ValueError, KeyError, TypeError):  # stored in a type that NumPy lacks
        return False
    vector_E = space.encode(modality, PROBE)
    return quick_E.shape == vector_E.shape and bool(np.abs(quick_E - vector_E).max() < SAME)


def _find_files(folder: Path, modality: str) -> tuple[Any, Any, Path, Path]:
    """Return the tower's spec, the settings, the file of weights and that of the vocabulary.

    Raises:
        OSError, ValueError, KeyError, TypeError: not such a space.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    binding = config["modalities"][modality]
    tower, settings = config["towers"][binding["tower"]], binding["settings"]
    if tower["kind"] != KIND:
        raise ValueError(f"expected a tower {KIND}, found {tower['kind']}")
    weights = inside(folder, f"{binding['tower']}.safetensors")
    return tower, settings, weights, inside(folder, settings["tokenizer"])


def _embed(weights: Weights, config: dict[str, Any], ids_N: np.ndarray) -> np.ndarray:
    count, heads, eps = len(ids_N), config["num_heads"], config["norm_eps"]
    words_ND = weights["word.weight"][ids_N].astype(np.float32)
    if f"word.{SCALE}" in weights:
        words_ND *= weights[f"word.{SCALE}"][ids_N, None]
    tokens_ND = _norm(weights, "norm", words_ND + weights["position.weight"][:count], eps)
    for number in range(config["num_layers"]):
        layer = f"layers.{number}"
        qkv = _linear(weights, f"{layer}.qkv", tokens_ND).reshape(count, 3, heads, -1)
        query_AND, key_AND, value_AND = qkv.transpose(1, 2, 0, 3)
        scores_ANN = query_AND @ key_AND.transpose(0, 2, 1) / np.sqrt(query_AND.shape[-1])
        odds_ANN = np.exp(scores_ANN - scores_ANN.max(axis=-1, keepdims=True))
        mixed_AND = odds_ANN / odds_ANN.sum(axis=-1, keepdims=True) @ value_AND
        mixed_ND = mixed_AND.transpose(1, 0, 2).reshape(count, -1)
        mixed_ND = _linear(weights, f"{layer}.out", mixed_ND)
        tokens_ND = _norm(weights, f"{layer}.norm_attention", tokens_ND + mixed_ND, eps)
        hidden_ND = _gelu(_linear(weights, f"{layer}.mlp_in", tokens_ND))
        hidden_ND = _linear(weights, f"{layer}.mlp_out", hidden_ND)
        tokens_ND = _norm(weights, f"{layer}.norm_mlp", tokens_ND + hidden_ND, eps)
    pooled_D = tokens_ND.mean(axis=0)
    embed_E = _linear(weights, "head", pooled_D / np.linalg.norm(pooled_D))
    return np.asarray(embed_E / np.linalg.norm(embed_E), np.float32)


def _linear(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(weights: Weights, name: str, x: np.ndarray, eps: float) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + eps)
    return np.asarray(centered / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def _gelu(x: np.ndarray) -> np.ndarray:
    """Apply x Φ(x), with erf by Abramowitz and Stegun 7.1.26 (error at most 1.5e-7)."""
    z = np.abs(x) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    tail = sum(factor * t ** (power + 1) for power, factor in enumerate(series)) * np.exp(-z * z)
    return np.asarray(0.5 * x * (1 + np.sign(x) * (1 - tail)), np.float32)
