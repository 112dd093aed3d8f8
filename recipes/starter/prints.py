"""Prints of what the starter was trained on: short vectors that tell whether an item was among it.

A print is the backbone's standardized features on their principal components, half whitened, in 8
bits. Copies that were encoded again, cut or scaled nearly keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

DIMS = {"image": 64, "audio": 128}
SAME = {"image": 0.95, "audio": 0.83}
"""Cosine of two prints from which on they are taken as of one item; different waves reach 0.82."""


def write_prints(path: Path, features: dict[str, torch.Tensor]) -> None:
    """Write the prints of each modality's features_BD, with what makes prints of others."""
    tensors = {}
    for name, features_BD in features.items():
        mean_D, std_D = features_BD.mean(0), features_BD.std(0) + 1e-2
        standard_BD = (features_BD - mean_D) / std_D
        variance_K, direction_DK = torch.linalg.eigh(standard_BD.T @ standard_BD)
        largest = variance_K.argsort(descending=True)[: DIMS[name]]
        weight_KD = direction_DK[:, largest].T / variance_K[largest, None] ** 0.25 / std_D
        tensors[f"{name}.mean_D"] = mean_D.numpy().astype(np.float16)
        tensors[f"{name}.weight_KD"] = weight_KD.numpy().astype(np.float16, order="C")
        print_BK = make_prints(tensors, name, features_BD.numpy())
        tensors[f"{name}.print_BK"] = np.round(print_BK * 127).astype(np.int8)
    save_file(tensors, path)


def make_prints(
    tensors: Mapping[str, NDArray[Any]], name: str, features_BD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return unit prints (B, K) of features."""
    centered_BD = features_BD - tensors[f"{name}.mean_D"].astype(np.float32)
    print_BK = centered_BD @ tensors[f"{name}.weight_KD"].astype(np.float32).T
    return np.asarray(print_BK / np.linalg.norm(print_BK, axis=1, keepdims=True), np.float32)


def find_trained(path: Path, name: str, features_BD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each item the largest cosine of its print with those of what was trained on."""
    tensors = load_file(path)
    trained_NK = tensors[f"{name}.print_BK"].astype(np.float32)
    trained_NK /= np.linalg.norm(trained_NK, axis=1, keepdims=True)
    return np.asarray((make_prints(tensors, name, features_BD) @ trained_NK.T).max(axis=1))
