"""OpenCLIP's weights: a vision transformer and a text tower, ViT-B/32 to ViT-H/14 and beyond.

Sizes are inferred from tensor shapes. Two things are not: attention heads, 64 features each except
for the widths in `HEAD_WIDTHS`; and the activation, QuickGELU in OpenAI's files and GELU in
LAION's (open_clip's model configs; its issue 771).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from openbind.checkpoints.assembly import assemble
from openbind.checkpoints.formats import CheckpointFormat, Listing, sniff_tensors
from openbind.checkpoints.imagebind import open_source
from openbind.checkpoints.renaming import (
    MAX_SCALE,
    Origin,
    check_heads,
    check_rest,
    shape_of,
    take_tower,
    tower_names,
)
from openbind.checkpoints.repository import read_json, read_license
from openbind.configs import checked, from_dict
from openbind.errors import CheckpointError, ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.model.config import (
    Activation,
    HeadConfig,
    PatchStem,
    Pool,
    TokenStem,
    TowerConfig,
    TrunkConfig,
)
from openbind.presets import bind, text_settings
from openbind.space.card import Card, Source
from openbind.space.space import Space

CONFIG = "open_clip_config.json"
"""File beside the weights in OpenCLIP's repositories with activation, mean and std."""
HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104}
"""Features per head in the vision towers of ViT-H/14, g/14 and bigG/14 (open_clip's configs)."""
NORM_EPS = 1e-5
VISUAL = "visual."
"""Prefix of the vision tower's tensors; those of the text tower have none."""
_OWN_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_FILES = (*_OWN_FILES, "model.safetensors", "pytorch_model.bin")
_TOWERS = {"image": "vision", "text": "text"}
_OTHER_TENSORS = ("logit_scale", "attn_mask", "input_resolution", "context_length", "vocab_size")
_BLOCK = {
    "norm_1.": "ln_1.",
    "norm_2.": "ln_2.",
    "attention.in_proj.": "attn.in_proj_",
    "attention.out_proj.": "attn.out_proj.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}
_VISION = {
    "stem.weight": "conv1.weight",
    "stem.cls_token": "class_embedding",
    "stem.positions": "positional_embedding",
    "head.proj.weight": "proj",
    "trunk.pre_norm.": "ln_pre.",
    "head.norm.": "ln_post.",
}
_TEXT = {
    "stem.embedding.weight": "token_embedding.weight",
    "stem.positions": "positional_embedding",
    "head.proj.weight": "text_projection",
    "head.norm.": "ln_final.",
}


def load_openclip(
    source: Mapping[str, Tensor] | str | os.PathLike[str],
    activation: Activation | None = None,
    heads: Mapping[str, int] | None = None,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Space:
    """Load OpenCLIP's weights as a space of image and text.

    Args:
        source: the flat state dict, or a file of it: `open_clip_pytorch_model.bin` (only tensors
            are accepted) or safetensors.
        activation: "quick_gelu" for OpenAI's weights and fine-tunings of them, "gelu" for
            LAION's. None takes that of `open_clip_config.json` beside the file, or "gelu" if
            there is no such file; the card mentions the latter.
        heads: "vision" and "text" → attention heads, if they aren't the usual ones.
        modalities: load only these; None loads both.
        device: of the towers.
        dtype: precision to compute in; None takes the checkpoint's own.

    Raises:
        CheckpointError: the file is missing, truncated, contains objects other than tensors, or
            has another architecture.
        UnknownNameError: no such modality.
    """
    name, state = open_source(source)
    folder = Path(name).parent if not isinstance(source, Mapping) else None
    stated = _read_config(folder)
    check_heads(heads or {}, _TOWERS.values(), name)
    if activation is not None and activation not in get_args(Activation):
        raise UnknownNameError("activation", activation, get_args(Activation))
    wanted = list(_TOWERS) if modalities is None else list(modalities)
    for modality in wanted:
        if modality not in _TOWERS:
            raise UnknownNameError(f"modality of {name}", modality, _TOWERS)
    reader = _Reader(state, activation or stated.activation or "gelu", heads or {}, name)
    towers = [tower for modality, tower in _TOWERS.items() if modality in wanted]
    configs = {tower: getattr(reader, tower)() for tower in towers}
    states = {tower: _take(state, tower, configs[tower], name) for tower in towers}
    try:
        settings = {m: _settings(m, configs[t], stated) for m, t in _TOWERS.items() if m in wanted}
        config = bind("openclip", configs, {"image": 1.0, "text": reader.scale()}, settings)
    except ConfigError as error:
        raise CheckpointError(name, str(error)) from error
    card = _card(name, read_license(folder), activation or stated.activation)
    mapped = not isinstance(source, Mapping)
    return assemble(config, states, card, None, device=device, dtype=dtype, mapped=mapped)


@dataclass(frozen=True)
class _Stated:
    """Values of `open_clip_config.json`; None if absent."""

    activation: Activation | None = None
    mean: Any = None
    std: Any = None


def _read_config(folder: Path | None) -> _Stated:
    path = folder / CONFIG if folder else None
    if path is None or not path.is_file():
        return _Stated()
    values = read_json(path)
    try:
        quick = values["model_cfg"].get("quick_gelu", False)
        image = values.get("preprocess_cfg", {})
        mean, std = image.get("mean"), image.get("std")
    except (KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(path, f"not readable as OpenCLIP's config: {error}") from error
    return _Stated(activation="quick_gelu" if quick else "gelu", mean=mean, std=std)


def _settings(modality: str, config: TowerConfig, stated: _Stated) -> Any:
    if isinstance(config.stem, TokenStem):
        return text_settings(config)
    chosen = {key: value for key, value in (("mean", stated.mean), ("std", stated.std)) if value}
    size = config.stem.size[0] if isinstance(config.stem, PatchStem) else 0
    return from_dict(MODALITIES.get(modality).settings, {"size": size, **chosen})


def _card(name: str, license: str, activation: str | None) -> Card:
    file = os.path.basename(name)
    limits = () if activation else ("The activation is not stated; GELU is assumed.",)
    return Card(
        summary=f"CLIP (arXiv 2103.00020) as trained with OpenCLIP, loaded from {file}.",
        license=license,
        trained_pairs=(("image", "text"),),
        sources=(
            Source(
                name=file, use="both towers", license=license or "not stated", origin="OpenCLIP"
            ),
        ),
        limits=limits,
    )


def _take(
    state: Mapping[str, Tensor], tower: str, config: TowerConfig, source: str
) -> dict[str, Tensor]:
    """Return a tower's tensors; unknown ones beside them are an error."""
    own = [name for name in state if name.startswith(VISUAL) == (tower == "vision")]
    origins = {name: _origin(tower, name) for name in tower_names(config)}
    check_rest(own, origins.values(), _OTHER_TENSORS, source)
    return take_tower(state, config, origins.__getitem__, source)


def _origin(tower: str, name: str) -> Origin:
    """Return where a tensor of ours is in the file (`trunk.blocks.0.mlp.fc1.weight`, ...)."""
    prefix, table = (VISUAL, _VISION) if tower == "vision" else ("", _TEXT)
    if name.startswith("trunk.blocks."):
        _, _, index, rest = name.split(".", 3)
        for ours, theirs in _BLOCK.items():
            if rest.startswith(ours):
                rest = theirs + rest.removeprefix(ours)
                break
        return Origin((f"{prefix}transformer.resblocks.{index}.{rest}",))
    for ours, theirs in table.items():
        if name.startswith(ours):
            found = prefix + theirs + name.removeprefix(ours)
            return Origin((found,), transposed=name == "head.proj.weight")
    raise KeyError(name)


@dataclass(frozen=True)
class _Reader:
    """Infers configs from the shapes of a state dict."""

    state: Mapping[str, Tensor]
    activation: Activation
    heads: Mapping[str, int]
    source: str

    def vision(self) -> TowerConfig:
        """Return the vision tower's config."""
        width, channels, rows, columns = self._shape("visual.conv1.weight", 4)
        count = self._shape("visual.positional_embedding", 2)[0] - 1
        side = math.isqrt(count)
        if side * side != count or side < 1:
            raise CheckpointError(
                self.source,
                f"visual.positional_embedding: expected a square grid and a class token, "
                f"found {count + 1} rows",
            )
        stem = PatchStem(
            channels=channels,
            kernel=(rows, columns),
            stride=(rows, columns),
            size=(side * rows, side * columns),
        )
        heads = self.heads.get("vision", width // HEAD_WIDTHS.get(width, 64))
        embed_dim = self._shape("visual.proj", 2)[1]
        return self._config(stem, self._trunk(VISUAL, width, heads, vision=True), embed_dim)

    def text(self) -> TowerConfig:
        """Return the text tower's config."""
        vocabulary, width = self._shape("token_embedding.weight", 2)
        context = self._shape("positional_embedding", 2)[0]
        stem = TokenStem(vocabulary=vocabulary, context=context)
        trunk = self._trunk("", width, self.heads.get("text", width // 64), vision=False)
        return self._config(stem, trunk, self._shape("text_projection", 2)[1])

    def scale(self) -> float:
        """Return the logit scale, clipped as in training."""
        if "logit_scale" not in self.state:
            raise CheckpointError(self.source, "logit_scale: missing")
        return min(math.exp(float(self.state["logit_scale"])), MAX_SCALE)

    def _trunk(self, prefix: str, width: int, heads: int, *, vision: bool) -> TrunkConfig:
        blocks = f"{prefix}transformer.resblocks."
        depth = len({n[len(blocks) :].split(".")[0] for n in self.state if n.startswith(blocks)})
        hidden = self._shape(f"{blocks}0.mlp.c_fc.weight", 2)[0]
        try:
            return TrunkConfig(
                width=width,
                depth=depth,
                heads=heads,
                mlp_ratio=hidden / width,
                activation=self.activation,
                norm_eps=NORM_EPS,
                causal=not vision,
                pre_norm=vision,
            )
        except ValueError as error:
            raise CheckpointError(self.source, f"{prefix or 'text'}: {error}") from error

    def _config(
        self, stem: PatchStem | TokenStem, trunk: TrunkConfig, embed_dim: int
    ) -> TowerConfig:
        pool: Pool = "eot" if isinstance(stem, TokenStem) else "cls"
        head = HeadConfig(embed_dim=embed_dim, pool=pool, norm_eps=NORM_EPS)
        try:
            return checked(TowerConfig(stem=stem, trunk=trunk, head=head))
        except ConfigError as error:
            raise CheckpointError(self.source, str(error)) from error

    def _shape(self, name: str, axes: int) -> tuple[int, ...]:
        return shape_of(self.state, name, axes, self.source)


def _load(listing: Listing, **options: Any) -> Space:
    return load_openclip(listing.find(_FILES) or listing.path, **options)


FORMAT = CheckpointFormat(
    name="openclip",
    sniff=lambda listing: sniff_tensors(listing, _FILES, VISUAL, _OWN_FILES),
    load=_load,
    weights=lambda listing, modalities: [[file] for file in _FILES],
    hints=("activation", "heads"),
)
