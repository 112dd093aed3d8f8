"""Bridges: a linear map from the image vectors of one space to those of another."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from openbind.atomic import atomic_path
from openbind.configs import from_dict
from openbind.errors import CheckpointError, ConfigError, InputError

KEY = "openbind_bridge"
"""Of the metadata of a file."""
MIN_IMAGES = 50
HELD_OUT = 5
"""One image of so many is held out."""
STRENGTHS = tuple(10.0**power for power in range(-4, 4))
"""Of the ridge penalty, relative to the mean variance of a dimension."""


@dataclass(frozen=True, kw_only=True)
class BridgeInfo:
    """What a bridge connects, and how well.

    Args:
        source, target: identities of the image sides (`Space.identity`).
        source_name, target_name: of the spaces.
        family: of public encoders that the target's image side belongs to; "" is none.
        norm: median length of the target's image vectors before they are made of unit length.
        strength: of the penalty, chosen on the held-out images.
        images: number of images.
        held_out: number of those that chose the strength and were measured.
        cosine: mean over held-out images, of the mapped vector and the true one.
        recall_at_1: fraction of held-out images whose own vector is nearest to the mapped one.
        chance: of that.
    """

    source: str
    target: str
    source_name: str
    target_name: str
    family: str
    norm: float
    strength: float
    images: int
    held_out: int
    cosine: float
    recall_at_1: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A ridge regression between two spaces.

    Args:
        weight_ED: from the source's dimensions to the target's.
        bias_D: added to it.
        info: what it connects.
    """

    weight_ED: np.ndarray
    bias_D: np.ndarray
    info: BridgeInfo

    def apply(self, vectors_BE: np.ndarray) -> np.ndarray:
        """Map vectors of the source to unit vectors of the target, (batch, dim) float32."""
        mapped_BD = vectors_BE @ self.weight_ED + self.bias_D
        return _unit(mapped_BD).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write it to a safetensors file, whole or not at all.

        Raises:
            InputError: it can't be written.
        """
        tensors = {"weight": self.weight_ED, "bias": self.bias_D}
        try:
            with atomic_path(path) as temporary:
                save_file(tensors, temporary, {KEY: json.dumps(asdict(self.info))})
        except (OSError, SafetensorError) as error:
            raise InputError(path, f"couldn't be written ({error}); nothing was changed") from error


def read_bridge(path: Path) -> Bridge:
    """Read a file that `Bridge.save` wrote.

    Raises:
        CheckpointError: it doesn't exist, or isn't a bridge.
    """
    try:
        with safe_open(path, "np") as file:
            stored = json.loads((file.metadata() or {})[KEY])
            weight_ED, bias_D = file.get_tensor("weight"), file.get_tensor("bias")
        info = from_dict(BridgeInfo, stored)
    except FileNotFoundError as error:
        raise CheckpointError(path, "no such file; `openbind bridge` makes one") from error
    except (OSError, SafetensorError, KeyError, ValueError, ConfigError) as error:
        raise CheckpointError(path, f"not a bridge of `openbind bridge` ({error})") from error
    shapes_fit = weight_ED.ndim == 2 and bias_D.shape == weight_ED.shape[1:]
    if not shapes_fit or not (np.isfinite(weight_ED).all() and np.isfinite(bias_D).all()):
        raise CheckpointError(path, "damaged: its tensors don't fit, or aren't finite")
    return Bridge(weight_ED=weight_ED, bias_D=bias_D, info=info)


@dataclass(frozen=True)
class Fit:
    """A map and its measurements on held-out images; see `BridgeInfo`."""

    weight_ED: np.ndarray
    bias_D: np.ndarray
    strength: float
    held_out: int
    cosine: float
    recall_at_1: float


def fit_bridge(a_NE: np.ndarray, b_ND: np.ndarray, seed: int = 0) -> Fit:
    """Fit a ridge regression; its penalty is the best of `STRENGTHS` on held-out images.

    The measurements are of the map that the other images give; the map returned is fitted to all.

    Args:
        a_NE, b_ND: vectors of the same images in two spaces, unit rows.
        seed: of the choice of images to hold out.

    Raises:
        InputError: fewer than `MIN_IMAGES` different images.
    """
    _, first = np.unique(a_NE, axis=0, return_index=True)
    if len(first) < MIN_IMAGES:
        reason = f"expected at least {MIN_IMAGES} different images, found {len(first)}"
        raise InputError("bridge", f"{reason}; thousands are better")
    order = np.random.default_rng(seed).permutation(np.sort(first))
    held, kept = np.split(order, [len(order) // HELD_OUT])
    measured = []
    for strength in STRENGTHS:
        weight_ED, bias_D = _ridge(a_NE[kept], b_ND[kept], strength)
        mapped_MD = _unit(a_NE[held] @ weight_ED + bias_D)
        cosines_MM = mapped_MD @ b_ND[held].T
        recall = float((cosines_MM.argmax(1) == np.arange(len(held))).mean())
        measured.append((float(np.diag(cosines_MM).mean()), recall, strength))
    cosine, recall, strength = max(measured)
    weight_ED, bias_D = _ridge(a_NE[order], b_ND[order], strength)
    return Fit(
        weight_ED.astype(np.float32),
        bias_D.astype(np.float32),
        strength,
        len(held),
        cosine,
        recall,
    )


def _ridge(a_NE: np.ndarray, b_ND: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias that minimize squared error plus a penalty of the weight."""
    a_mean_E, b_mean_D = a_NE.mean(0, dtype=np.float64), b_ND.mean(0, dtype=np.float64)
    centered_NE = a_NE - a_mean_E
    gram_EE = centered_NE.T @ centered_NE
    penalty = strength * np.trace(gram_EE) / len(gram_EE)
    gram_EE[np.diag_indices_from(gram_EE)] += penalty
    weight_ED = np.linalg.solve(gram_EE, centered_NE.T @ (b_ND - b_mean_D))
    return weight_ED, b_mean_D - a_mean_E @ weight_ED


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))
