"""What makes two vectors comparable: a hash over everything that decides a number in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from openbind.configs import to_dict
from openbind.errors import CheckpointError
from openbind.modalities import MODALITIES
from openbind.names import inside
from openbind.space.config import TowerSpec


def modality_identity(
    modality: str,
    settings: Any,
    spec: TowerSpec,
    tower: torch.nn.Module,
    folder: Path | None,
    without: Collection[str] = (),
) -> str:
    """Hash what decides the vectors of one modality.

    Args:
        modality: its name; the version of its preprocessing counts.
        settings: of its preprocessing.
        spec: of its tower.
        tower: the network, whose weights count in the precision that they have.
        folder: of the checkpoint; files in it that the settings name count with their content.
        without: names of weights that don't count.

    Raises:
        CheckpointError: such a file isn't there.
    """
    kind = MODALITIES.get(modality)
    digest = hashlib.blake2b(digest_size=16)
    parts = [modality, kind.version, to_dict(settings), to_dict(spec)]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    for name in kind.files(settings):
        digest.update(f"/{name}/".encode() + _file_digest(folder or Path(), name))
    state = tower.state_dict()
    if not state:  # a reference, whose config names the weights
        digest.update(f"/{next(tower.parameters()).dtype}/".encode())
    for key, value in sorted((k, v) for k, v in state.items() if k not in without):
        digest.update(f"/{key} {value.dtype} {tuple(value.shape)}/".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def image_side(settings: Any, spec: TowerSpec, weights: Mapping[str, torch.Tensor]) -> str:
    """Hash what decides the vectors of images up to rounding: what a generator learned from.

    Args:
        settings: of the preprocessing of images.
        spec: of the tower.
        weights: of the tower; they count in bfloat16, so that storing them in another precision is
            the same side.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([to_dict(settings), to_dict(spec)], sort_keys=True).encode())
    for key, value in sorted(weights.items()):
        digest.update(f"/{key} {tuple(value.shape)}/".encode())
        digest.update(value.bfloat16().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Hash plain values by name, whatever their order."""
    text = json.dumps(parts, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _file_digest(folder: Path, name: str) -> bytes:
    try:
        return hashlib.blake2b(inside(folder, name).read_bytes(), digest_size=16).digest()
    except ValueError as error:
        raise CheckpointError(folder, str(error)) from error
    except OSError as error:
        raise CheckpointError(folder / name, "no such file, though the space needs it") from error
