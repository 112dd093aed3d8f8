"""The embedding of the empty prompt, which diffusion models that only see images still take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from openbind.atomic import atomic_path
from openbind.checkpoints import hub
from openbind.download import cache_directory
from openbind.errors import CheckpointError, first_line
from openbind.generation.diffusion import prompt_shape
from openbind.generation.large import LAION_H, LargeDecoder
from openbind.modalities import TEXT
from openbind.model.tower import Tower
from openbind.space.inference import inferring
from openbind.space.space import Space

START, END = 49_406, 49_407
"""Ids of CLIP's vocabulary that begin and end a text."""
FOLDER = "text_encoder"
CLIP_TEXT = (1024, 24)
"""Width and depth of the text tower of CLIP ViT-H/14, whose last layer Stable Diffusion 2 skips."""
_HOW = (
    "needs the embedding of the empty prompt, which the space's text tower can't compute: give a "
    "file with --prompt-embedding, or fetch the model's text encoder once with --fetch-text-encoder"
)


def empty_prompt(
    entry: LargeDecoder,
    folder: Path,
    space: Space,
    *,
    given: Path | None = None,
    fetch: bool = False,
) -> torch.Tensor:
    """Return the embedding of the empty prompt, (1, tokens, width).

    SDXL was trained with zeros for it. Stable Diffusion 2 has the text tower of CLIP ViT-H/14: a
    space with that tower computes it. Otherwise it is in a file, or the model's own text encoder
    is run once, and only the embedding is used from then on.

    Args:
        entry: the decoder.
        folder: of its files.
        space: whose vectors are drawn.
        given: a safetensors file with the embedding as `prompt`; goes before all else.
        fetch: download the text encoder, which nothing else needs, where there is no other way.

    Raises:
        CheckpointError: there is no other way, or a file can't be fetched or used.
    """
    shape = prompt_shape(folder)
    if given is not None:
        return _read(given, shape)
    if entry.pipeline == "sdxl":
        return torch.zeros(shape)
    tower = _text_tower(space)
    if entry.pipeline == "unclip" and tower is not None and tower.config.trunk.width == shape[2]:
        return skip_last_layer(tower, empty_ids(0))
    stored = cache_directory() / "prompts" / f"{entry.repository.replace('/', '--')}.safetensors"
    if not stored.is_file():
        if not (folder / FOLDER / "config.json").is_file():
            if not fetch:
                raise CheckpointError(entry.repository, _HOW)
            folder = hub.pull_diffusion(entry.repository, [FOLDER])
        made_1ND = _encode(folder, empty_ids(0 if entry.pipeline == "unclip" else END))
        with atomic_path(stored) as temporary:
            save_file({"prompt": made_1ND}, temporary)
    return _read(stored, shape)


def _read(path: Path, shape: tuple[int, int, int]) -> torch.Tensor:
    """Read an embedding that has to have a shape."""
    try:
        found = load_file(path)["prompt"]
    except (OSError, KeyError, SafetensorError) as error:
        reason = f"expected a safetensors file with the tensor prompt ({first_line(error)})"
        raise CheckpointError(path, reason) from error
    if tuple(found.shape) != shape:
        reason = f"expected an embedding of shape {shape}, found {tuple(found.shape)}"
        raise CheckpointError(path, reason)
    return found.float()


def empty_ids(pad: int) -> torch.Tensor:
    """Return the token ids of the empty text, (1, 77), padded with `pad`."""
    return torch.tensor([[START, END, *[pad] * 75]])


def skip_last_layer(tower: Tower, ids_BN: torch.Tensor) -> torch.Tensor:
    """Return a text tower's tokens without its last layer, after its last LayerNorm, (B, N, D)."""
    weight = next(tower.parameters())
    with inferring(tower):
        tokens_BND = tower.stem(ids_BN.to(weight.device))
        for block in tower.trunk.blocks[:-1]:
            tokens_BND = block(tokens_BND, None)
        normed: torch.Tensor = tower.head.norm(tokens_BND)
    return normed.float().cpu()


def _text_tower(space: Space) -> Tower | None:
    """Return the space's text tower if it is that of CLIP ViT-H/14."""
    binding = space.config.modalities.get(TEXT)
    tower: Any = None if binding is None else space.towers[binding.tower]
    if not isinstance(tower, Tower) or space.dim != LAION_H.dim:
        return None
    trunk = tower.config.trunk
    is_clip = (trunk.width, trunk.depth) == CLIP_TEXT and trunk.activation == LAION_H.activation
    return tower if is_clip else None


def _encode(folder: Path, ids_BN: torch.Tensor) -> torch.Tensor:
    """Run a diffusion model's own text encoder."""
    from transformers import CLIPTextModel

    half = (folder / FOLDER / "model.fp16.safetensors").is_file()
    try:
        encoder = CLIPTextModel.from_pretrained(
            folder / FOLDER,
            variant="fp16" if half else None,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
        )
        with torch.inference_mode():
            found: torch.Tensor = encoder.eval()(ids_BN).last_hidden_state.float()
    except Exception as error:  # transformers raises anything
        raise CheckpointError(folder / FOLDER, f"can't be loaded ({first_line(error)})") from error
    return found
