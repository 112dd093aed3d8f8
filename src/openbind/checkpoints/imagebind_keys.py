"""The official ImageBind state dict: infer configs from its shapes, map its names to ours.

The flat state dict of `imagebind_huge.pth` has 1,311 entries under four prefixes
(`modality_preprocessors`, `modality_trunks`, `modality_heads`, `modality_postprocessors`), then
the tower's name. This module reads no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from openbind.errors import CheckpointError
from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.model.tower import Tower

Shapes = Mapping[str, tuple[int, ...]]
TowerState = dict[str, Tensor]

HEADS = {"vision": 16, "text": 16, "audio": 12, "depth": 8, "thermal": 12, "imu": 8}
"""Attention heads of `imagebind_huge` (table 9 of the paper; CLIP ViT-H's for the first two)."""

MAX_SCALE = 100.0
"""Upper limit of logit scales, after the exponential (as CLIP's, arXiv 2103.00020, 2.5)."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The official names of one tower, where towers differ.

    Args:
        projection: key of the stem's weight, below the preprocessor; "" for a token embedding.
        norm: prefix of the stem's LayerNorm, "" if there is none.
        positions: key of the position embeddings.
        head: names of the head's LayerNorm and of its Linear.
        size: rows and columns of the trained input, where the positions don't determine them.
        drop_path, dropout: of the training (table 9; the released head of IMU).
    """

    projection: str
    norm: str
    positions: str = "pos_embedding_helper.pos_embed"
    head: tuple[str, str] = ("0", "2")
    size: tuple[int, int] | None = None
    drop_path: float = 0.0
    dropout: float = 0.0


_LAYOUTS = {
    "vision": _Layout(projection="rgbt_stem.proj.1.weight", norm=""),
    "text": _Layout(projection="", norm="", positions="pos_embed", head=("proj.0", "proj.1")),
    "audio": _Layout(
        projection="rgbt_stem.proj.weight",
        norm="rgbt_stem.norm_layer",
        size=(128, 204),  # mel bins and frames of a 2-s clip
        drop_path=0.1,
    ),
    "depth": _Layout(projection="depth_stem.proj.weight", norm="depth_stem.norm_layer"),
    "thermal": _Layout(projection="rgbt_stem.proj.weight", norm="rgbt_stem.norm_layer"),
    "imu": _Layout(
        projection="imu_stem.proj.weight",
        norm="imu_stem.norm_layer",
        positions="pos_embed",
        head=("0", "3"),  # 1 picks the token, 2 is dropout
        drop_path=0.7,
        dropout=0.5,
    ),
}
_IMU_CHANNELS = 6  # accelerometer and gyroscope, x y z
_RELEASED_STRIDE = 10  # of the released audio stem; no shape shows a stride


def read_towers(
    state: Mapping[str, Tensor], heads: Mapping[str, int], source: str = "state dict"
) -> dict[str, tuple[TowerConfig, TowerState]]:
    """Infer configs from the shapes of an official state dict, and rename its tensors.

    Args:
        state: the flat state dict, or the part of some towers; tensors may be read lazily or be
            on the meta device.
        heads: attention heads of each tower in `state` (shapes don't show them); see `HEADS`.
        source: name of the state dict in errors.

    Returns:
        tower ("vision", "text", "audio", "depth", "thermal", "imu") → its config and its state
        dict, the same tensors as in `state`.

    Raises:
        CheckpointError: a tensor is missing, unknown, or its shape contradicts the others; or the
            heads of a tower are missing.
    """
    groups = _group(state, source)
    return {name: _read_tower(name, groups[name], heads, source) for name in groups}


def scales(state: Mapping[str, Tensor]) -> dict[str, float]:
    """Return logit scales: tower → exp(stored), clipped at `MAX_SCALE`. Vision has none."""
    found = {name: state.get(_scale_key(name)) for name in _LAYOUTS}
    return {
        name: min(math.exp(float(value)), MAX_SCALE)
        for name, value in found.items()
        if value is not None
    }


def write_state(
    towers: Mapping[str, Mapping[str, Tensor]], scales: Mapping[str, float]
) -> dict[str, Tensor]:
    """Convert our towers to an official state dict, the inverse of `read_towers`.

    Args:
        towers: tower → its state dict, in our names.
        scales: tower → logit scale; those of 1 or of vision are not stored.

    Returns:
        the flat state dict, with the official one's causal mask of text.
    """
    state: dict[str, Tensor] = {}
    for name, tower in towers.items():
        state |= {official_key(name, key): value for key, value in tower.items()}
        if name == "text":
            context = tower["stem.positions"].shape[1]
            state[_MASK] = torch.full((context, context), -torch.inf).triu(1)
        if name in scales and name != "vision":
            state[_scale_key(name)] = torch.tensor(math.log(scales[name]))
    return state


def official_key(tower: str, key: str) -> str:
    """Return the official name of a tensor, such as "stem.cls_token" of "imu"."""
    layout = _LAYOUTS[tower]
    part, _, rest = key.partition(".")
    if part == "stem":
        return f"modality_preprocessors.{tower}." + _official_stem(layout, rest)
    if part == "head":
        which, _, parameter = rest.partition(".")
        return f"modality_heads.{tower}.{layout.head[which == 'proj']}.{parameter}"
    rest = rest.replace("pre_norm.", "pre_transformer_layer.0.")
    rest = rest.replace("attention.in_proj.", "attn.in_proj_").replace("attention.", "attn.")
    return f"modality_trunks.{tower}.{rest}"


def _official_stem(layout: _Layout, rest: str) -> str:
    fixed = {
        "positions": layout.positions,
        "weight": layout.projection,
        "embedding.weight": "token_embedding.weight",
    }
    return fixed.get(rest, rest.replace("norm.", f"{layout.norm}."))


_MASK = "modality_preprocessors.text.mask"


def _scale_key(tower: str) -> str:
    return f"modality_postprocessors.{tower}.1.log_logit_scale"


def _group(state: Mapping[str, Tensor], source: str) -> dict[str, dict[str, Tensor]]:
    """Group entries by tower, without mask and scales; unknown entries are an error."""
    groups: dict[str, dict[str, Tensor]] = {}
    known = ("modality_preprocessors", "modality_trunks", "modality_heads")
    others = {_MASK, *(_scale_key(name) for name in _LAYOUTS)}
    for key, value in state.items():
        prefix, _, rest = key.partition(".")
        tower = rest.partition(".")[0]
        if key in others:
            continue
        if prefix not in known or tower not in _LAYOUTS:
            raise CheckpointError(source, f"{key}: not a tensor of ImageBind")
        groups.setdefault(tower, {})[key] = value
    if not groups:
        raise CheckpointError(source, "no tensors of ImageBind's towers")
    return {name: groups[name] for name in _LAYOUTS if name in groups}


def _read_tower(
    name: str, state: Mapping[str, Tensor], heads: Mapping[str, int], source: str
) -> tuple[TowerConfig, TowerState]:
    if name not in heads:
        raise CheckpointError(
            source, f"heads: expected a number for the tower {name!r}, found none"
        )
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    reader = _Reader(name, shapes, source)
    try:
        config = reader.config(heads[name])
    except ValueError as error:  # an impossible config, such as heads that don't divide the width
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(source, f"{name}: {error}") from error
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in Tower(config).state_dict().items()}
    for key, shape in expected.items():
        reader.shape(official_key(name, key), shape)
    names = {official_key(name, key): key for key in expected}
    for key in state:
        if key not in names:
            raise CheckpointError(source, f"{key}: unexpected beside the other tensors")
    return config, {ours: state[official] for official, ours in names.items()}


@dataclass(frozen=True)
class _Reader:
    """Infers one tower's config from the shapes of its tensors."""

    tower: str
    shapes: Shapes
    source: str

    def config(self, heads: int) -> TowerConfig:
        """Return the config."""
        layout = _LAYOUTS[self.tower]
        return TowerConfig(
            stem=self._stem(layout),
            trunk=self._trunk(layout, heads),
            head=HeadConfig(
                pool="eot" if self.tower == "text" else "cls",
                embed_dim=self._of("head.proj.weight", 2)[0],
                dropout=layout.dropout,
            ),
        )

    def shape(self, key: str, expected: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return a tensor's shape, and check that it is the expected one, if given."""
        if key not in self.shapes:
            what = f", expected {expected}" if expected else ""
            raise CheckpointError(self.source, f"{key}: missing{what}")
        found = self.shapes[key]
        if expected is not None and found != expected:
            raise CheckpointError(self.source, f"{key}: expected {expected}, found {found}")
        return found

    def _of(self, ours: str, axes: int) -> tuple[int, ...]:
        key = official_key(self.tower, ours)
        found = self.shape(key)
        if len(found) != axes:
            raise CheckpointError(self.source, f"{key}: expected {axes} axes, found {found}")
        return found

    def _has(self, ours: str) -> bool:
        return official_key(self.tower, ours) in self.shapes

    def _trunk(self, layout: _Layout, heads: int) -> TrunkConfig:
        prefix = f"modality_trunks.{self.tower}.blocks."
        indices = {
            key[len(prefix) :].split(".")[0] for key in self.shapes if key.startswith(prefix)
        }
        hidden, width = self._of("trunk.blocks.0.mlp.fc1.weight", 2)
        return TrunkConfig(
            width=width,
            depth=len(indices),
            heads=heads,
            mlp_ratio=hidden / width,
            bias_kv=self._has("trunk.blocks.0.attention.bias_k"),
            causal=self.tower == "text",
            pre_norm=self._has("trunk.pre_norm.weight"),
            drop_path=layout.drop_path,
        )

    def _stem(self, layout: _Layout) -> PatchStem | TokenStem | WindowStem:
        positions = self._of("stem.positions", 3)[1]
        if self.tower == "text":
            vocabulary = self._of("stem.embedding.weight", 2)[0]
            return TokenStem(vocabulary=vocabulary, context=positions)
        if self.tower == "imu":
            kernel = self._of("stem.weight", 2)[1] // _IMU_CHANNELS
            return WindowStem(
                channels=_IMU_CHANNELS,
                kernel=kernel,
                steps=(positions - 1) * kernel,
                norm=self._has("stem.norm.weight"),
            )
        _, channels, *frames, rows, columns = self._of(
            "stem.weight", 5 if self.tower == "vision" else 4
        )
        stride, size = self._grid((rows, columns), positions - 1, layout.size)
        return PatchStem(
            channels=channels,
            kernel=(rows, columns),
            stride=stride,
            size=size,
            frames=frames[0] if frames else 1,
            norm=self._has("stem.norm.weight"),
        )

    def _grid(
        self, kernel: tuple[int, int], count: int, size: tuple[int, int] | None
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the stride and the trained size that give `count` patches.

        If the size isn't known, patches don't overlap and form a square grid.
        """
        key = official_key(self.tower, "stem.positions")
        if size is None:
            side = math.isqrt(count)
            if side * side != count or not count:
                raise CheckpointError(
                    self.source,
                    f"{key}: expected a square grid and a class token, found {count + 1}",
                )
            return kernel, (side * kernel[0], side * kernel[1])
        for step in (_RELEASED_STRIDE, *range(1, max(kernel) + 1)):
            if math.prod((s - k) // step + 1 for s, k in zip(size, kernel, strict=True)) == count:
                return (step, step), size
        raise CheckpointError(
            self.source,
            f"{key}: no stride gives {count} patches of {kernel} in {size}",
        )
