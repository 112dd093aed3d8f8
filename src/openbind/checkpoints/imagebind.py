"""ImageBind's official weights: `imagebind_huge.pth`, its safetensors copy, or any other size.

The layout is in `imagebind_keys.py`; here files become spaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from openbind.checkpoints.assembly import assemble
from openbind.checkpoints.imagebind_keys import HEADS, read_towers, scales
from openbind.checkpoints.tensors import open_tensors
from openbind.errors import CheckpointError, ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.presets import bind
from openbind.space.card import Card, Source
from openbind.space.space import Space

LICENSE = "CC-BY-NC-SA-4.0"
"""Of the weights that Meta released; other weights in the same layout have their own."""
TRAINED_PAIRS = (
    ("image", "text"),
    ("video", "audio"),
    ("image", "depth"),
    ("image", "thermal"),
    ("video", "imu"),
)
"""Pairs of modalities in the training of the released model (paper, section 4)."""
PREFIX = "modality_"


def load_imagebind(
    source: Mapping[str, Tensor] | str | os.PathLike[str],
    heads: Mapping[str, int] | None = None,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Make a space of an official ImageBind state dict, of any widths and depths.

    Args:
        source: the flat state dict; or a file of it, `.pth` (only tensors are accepted) or
            safetensors. Tensors of towers that aren't needed are not read.
        heads: tower ("vision", "text", "audio", "depth", "thermal", "imu") → attention heads,
            which no shape shows; towers that aren't in it have those of `imagebind_huge`.
        modalities: make only these; None makes all that the source has towers for.
        device: where the towers are put.
        dtype: precision to compute in; None takes the checkpoint's own.

    Returns:
        a space whose preprocessing and scaled outputs are the reference's:
        `space.embed_tensors({"vision": image_BCHW, "audio": mel_BSCFT}, scaled=True)`.

    Raises:
        CheckpointError: the file is missing, truncated or holds anything but tensors; or tensors
            are missing, unknown, or of other shapes than the rest implies.
        UnknownNameError: no such tower in `heads`, or modality.
    """
    name, state = open_source(source)
    for tower in heads or {}:
        if tower not in HEADS:
            raise UnknownNameError("tower of ImageBind", tower, HEADS)
    wanted = None if modalities is None else list(modalities)
    part = state if wanted is None else _part(state, _towers_for(wanted))
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
        for modality in wanted:
            if modality not in config.modalities:
                raise UnknownNameError(f"modality of {name}", modality, config.modalities)
        config = config.narrow(wanted)
    states = {tower: state for tower, (_, state) in towers.items()}
    card = make_card(name, list(config.modalities))
    mapped = not isinstance(source, Mapping)
    return assemble(config, states, card, None, device=device, dtype=dtype, mapped=mapped)


def open_source(
    source: Mapping[str, Tensor] | str | os.PathLike[str],
) -> tuple[str, Mapping[str, Tensor]]:
    """Name a source for errors, and open it if it is a file."""
    if isinstance(source, Mapping):
        return "state dict", source
    return str(source), open_tensors(source)


def make_card(origin: str, modalities: list[str]) -> Card:
    """Say what is known of weights in the official layout."""
    return Card(
        summary=f"ImageBind (arXiv 2305.05665), read from {os.path.basename(origin)}.",
        license="that of the weights; Meta's are CC-BY-NC-SA-4.0: research, no commercial use",
        trained_pairs=tuple(p for p in TRAINED_PAIRS if set(p) <= set(modalities)),
        sources=(
            Source(
                name="ImageBind",
                use="all towers",
                license=LICENSE,
                origin="arXiv 2305.05665",
            ),
        ),
    )


def _towers_for(modalities: Iterable[str]) -> set[str]:
    return {MODALITIES.get(name).tower for name in modalities}


def _part(state: Mapping[str, Tensor], towers: set[str]) -> dict[str, Tensor]:
    """Keep some towers' tensors, and whatever is of no tower, which is then refused."""
    others = [[tower] for tower in HEADS if tower not in towers]
    return {name: state[name] for name in state if name.split(".", 2)[1:2] not in others}
