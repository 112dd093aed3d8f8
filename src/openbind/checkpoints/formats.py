"""Whose weights a file or directory holds, told by what is in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from openbind.checkpoints import huggingface, imagebind, native, openclip
from openbind.checkpoints.tensors import open_tensors
from openbind.errors import CheckpointError
from openbind.model.config import Activation
from openbind.space.space import Space

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "imagebind_huge.safetensors",
    "imagebind_huge.pth",
    "model.safetensors",
    "pytorch_model.bin",
)
"""Files of weights in directories without a config of ours or transformers'; the first is taken."""


def read(
    path: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    heads: Mapping[str, int] | None = None,
    activation: Activation | None = None,
) -> Space:
    """Make a space of what lies at a path.

    Args:
        path: a directory that `openbind.save` wrote, or of Hugging Face's CLIP or SigLIP, or with
            a file of weights in it; or such a file, ImageBind's or OpenCLIP's by its names.
        modalities: make only these, and read only what they need; None makes all.
        device: where the towers are put.
        dtype: precision to compute in; None takes the checkpoint's own.
        heads: tower → attention heads, for files that don't say.
        activation: for OpenCLIP's files, which don't say; see `load_openclip`.

    Raises:
        CheckpointError: nothing of that kind there, or it can't be used.
        UnknownNameError: no such modality.
    """
    place = Path(path)
    kwargs: dict[str, Any] = {"modalities": modalities, "device": device, "dtype": dtype}
    if place.is_dir():
        if is_native(place):
            _refuse_hints(place, heads, activation)
            return native.load(place, **kwargs)
        if _config(place).get("model_type") is not None:
            _refuse_hints(place, heads, activation)
            return huggingface.load_huggingface(place, **kwargs)
        place = _weights_in(place)
    state = open_tensors(place)
    if any(name.startswith(imagebind.PREFIX) for name in state):
        return imagebind.load_imagebind(place, heads, **kwargs)
    if any(name.startswith(openclip.VISUAL) for name in state):
        return openclip.load_openclip(place, activation, heads, **kwargs)
    first = next(iter(state), "nothing")
    raise CheckpointError(
        place,
        "expected weights of ImageBind or OpenCLIP (Hugging Face's: the directory with their "
        f"config.json), found {len(state)} tensors, the first {first}",
    )


def is_native(folder: Path) -> bool:
    """Return whether a directory is one of ours, or has nothing that says whose it is."""
    if not folder.is_dir():
        return False
    config = _config(folder)
    if config.get("model_type") is not None:
        return False
    return "format" in config or not any((folder / name).is_file() for name in WEIGHTS)


def _refuse_hints(place: Path, heads: object, activation: object) -> None:
    if heads or activation:
        raise CheckpointError(place, "its config.json says heads and activation; leave them out")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / native.CONFIG
    return huggingface.read_json(path) if path.is_file() else {}


def _weights_in(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(folder, f"expected one of {', '.join(WEIGHTS)}, found none")
