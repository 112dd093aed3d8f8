"""ImageBind's official weights: `imagebind_huge.pth`, its safetensors copy, or any other size.

`imagebind_keys.py` has the layout of the tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from openbind.checkpoints.assembly import assemble
from openbind.checkpoints.formats import CheckpointFormat, Listing, sniff_tensors
from openbind.checkpoints.imagebind_keys import HEADS, read_towers, scales
from openbind.checkpoints.native import select_modalities
from openbind.checkpoints.renaming import check_heads
from openbind.checkpoints.tensors import open_tensors
from openbind.errors import CheckpointError, ConfigError
from openbind.modalities import MODALITIES
from openbind.presets import bind
from openbind.space.card import Card, Source
from openbind.space.space import Space

LICENSE = "CC-BY-NC-SA-4.0"
"""License of the weights that Meta released; other weights in this layout have their own."""
TRAINED_PAIRS = (
    ("image", "text"),
    ("video", "audio"),
    ("image", "depth"),
    ("image", "thermal"),
    ("video", "imu"),
)
"""Pairs of modalities in the training of the released model (paper, section 4)."""
PREFIX = "modality_"
_FILES = (
    "imagebind_huge.safetensors",
    "imagebind_huge.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "*.safetensors",
    "*.pth",
)


def load_imagebind(
    source: Mapping[str, Tensor] | str | os.PathLike[str],
    heads: Mapping[str, int] | None = None,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load an official ImageBind state dict of any widths and depths as a space.

    Args:
        source: the flat state dict; or a file of it, `.pth` (only tensors are accepted) or
            safetensors. Only the tensors of the needed towers are read.
        heads: tower ("vision", "text", "audio", "depth", "thermal", "imu") → attention heads,
            which shapes don't show; other towers have those of `imagebind_huge`.
        modalities: load only these; None loads all that the source has towers for.
        device: of the towers.
        dtype: precision to compute in; None takes the checkpoint's own.

    Returns:
        a space with the preprocessing and the scaled outputs of the reference:
        `space.embed_tensors({"vision": image_BCHW, "audio": mel_BSCFT}, scaled=True)`.

    Raises:
        CheckpointError: the file is missing, truncated or contains objects other than tensors;
            or tensors are missing, unknown, or of shapes that contradict the others.
        UnknownNameError: no such tower in `heads`, or no such modality.
    """
    name, state = open_source(source)
    check_heads(heads or {}, HEADS, name)
    wanted = None if modalities is None else list(modalities)
    part = state if wanted is None else _select_towers(state, _towers_for(wanted))
    towers = read_towers(part, {**HEADS, **(heads or {})}, name)
    stored = scales(part)
    for tower in towers:
        if tower != "vision" and tower not in stored:
            raise CheckpointError(name, f"the logit scale of {tower} is missing")
    configs = {tower: config for tower, (config, _) in towers.items()}
    by_modality = {m: stored.get(MODALITIES.get(m).tower, 1.0) for m in MODALITIES.table}
    try:
        config = bind("imagebind", configs, by_modality)
    except ConfigError as error:
        raise CheckpointError(name, str(error)) from error
    if wanted is not None:
        config = select_modalities(config, wanted)
    states = {tower: state for tower, (_, state) in towers.items()}
    card = make_card(name, list(config.modalities))
    mapped = not isinstance(source, Mapping)
    return assemble(config, states, card, None, device=device, dtype=dtype, mapped=mapped)


def open_source(
    source: Mapping[str, Tensor] | str | os.PathLike[str],
) -> tuple[str, Mapping[str, Tensor]]:
    """Return a source's name for errors, and its tensors; a file is opened."""
    if isinstance(source, Mapping):
        return "state dict", source
    return str(source), open_tensors(source)


def make_card(origin: str, modalities: list[str]) -> Card:
    """Return the card of weights in the official layout."""
    return Card(
        summary=f"ImageBind (arXiv 2305.05665), loaded from {os.path.basename(origin)}.",
        license=LICENSE,
        trained_pairs=tuple(p for p in TRAINED_PAIRS if set(p) <= set(modalities)),
        sources=(
            Source(
                name="ImageBind",
                use="all towers",
                license=LICENSE,
                origin="arXiv 2305.05665",
            ),
        ),
        limits=("The license is that of Meta's weights; others in this layout have their own.",),
    )


def _towers_for(modalities: Iterable[str]) -> set[str]:
    return {MODALITIES.get(name).tower for name in modalities}


def _select_towers(state: Mapping[str, Tensor], towers: set[str]) -> dict[str, Tensor]:
    """Return some towers' tensors, and those of no tower for `read_towers` to refuse."""
    others = [[tower] for tower in HEADS if tower not in towers]
    return {name: state[name] for name in state if name.split(".", 2)[1:2] not in others}


def _load(listing: Listing, **options: Any) -> Space:
    return load_imagebind(listing.find(_FILES) or listing.path, **options)


FORMAT = CheckpointFormat(
    name="imagebind",
    sniff=lambda listing: sniff_tensors(listing, _FILES, PREFIX, ("imagebind*",)),
    load=_load,
    weights=lambda listing, modalities: [[file] for file in _FILES],
    hints=("heads",),
)
