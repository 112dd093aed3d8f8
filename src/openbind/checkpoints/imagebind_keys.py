"""The official ImageBind state dict: configs read off its shapes, and its names ↔ ours.

The flat state dict of `imagebind_huge.pth` has 1,311 entries under four prefixes
(`modality_preprocessors`, `modality_trunks`, `modality_heads`, `modality_postprocessors`), then
the tower's name. Nothing here touches a file.
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
"""Logit scales are clipped here, after the exponential (as CLIP's, arXiv 2103.00020, 2.5)."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the official names of one tower differ from those of another.

    Args:
        projection: key of the stem's weight, below the preprocessor; "" for a table of ids.
        norm: prefix of the stem's LayerNorm, "" if there is none.
        positions: key of the positions.
        head: names of the head's LayerNorm and of its Linear.
        size: rows and columns of the trained input, where positions alone don't tell.
        drop_path, dropout: what the tower was trained with (table 9; the released head of IMU).
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
    """Read configs off the shapes of an official state dict, and give its tensors our names.

    Args:
        state: the flat state dict, or the part of it that belongs to some towers; lazily read
            tensors and tensors on the meta device will do.
        heads: attention heads of each tower that is in `state` (no shape shows them); see `HEADS`.
        source: what errors call the state dict.

    Returns:
        tower ("vision", "text", "audio", "depth", "thermal", "imu") → its config and its state
        dict, the same tensors as in `state`.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape than the rest implies;
            or the heads of a tower are not said.
    """
    groups = _group(state, source)
    return {name: _read_tower(name, groups[name], heads, source) for name in groups}


def scales(state: Mapping[str, Tensor]) -> dict[str, float]:
    """Read logit scales: tower → exp(stored), clipped at `MAX_SCALE`. Vision has none."""
    found = {name: state.get(_scale_key(name)) for name in _LAYOUTS}
    return {
        name: min(math.exp(float(value)), MAX_SCALE)
        for name, value in found.items()
        if value is not None
    }


def write_state(
    towers: Mapping[str, Mapping[str, Tensor]], scales: Mapping[str, float]
) -> dict[str, Tensor]:
    """Turn our towers back into an official state dict, the inverse of `read_towers`.

    Args:
        towers: tower → its state dict, in our names.
        scales: tower → logit scale; those of 1 or of vision are not stored.

    Returns:
        the flat state dict, with the causal mask that the official one holds for text.
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
    """Translate one name of a tower's state dict: "stem.cls_token" of "imu", say."""
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
    """Sort entries by tower, without the mask and the scales; refuse what is none of them."""
    groups: dict[str, dict[str, Tensor]] = {}
    known = ("modality_preprocessors", "modality_trunks", "modality_heads")
    apart = {_MASK, *(_scale_key(name) for name in _LAYOUTS)}
    for key, value in state.items():
        prefix, _, rest = key.partition(".")
        tower = rest.partition(".")[0]
        if key in apart:
            continue
        if prefix not in known or tower not in _LAYOUTS:
            raise CheckpointError(source, f"{key}: not a tensor of an ImageBind checkpoint")
        groups.setdefault(tower, {})[key] = value
    if not groups:
        raise CheckpointError(source, "no tensor of an ImageBind tower in it")
    return {name: groups[name] for name in _LAYOUTS if name in groups}


def _read_tower(
    name: str, state: Mapping[str, Tensor], heads: Mapping[str, int], source: str
) -> tuple[TowerConfig, TowerState]:
    if name not in heads:
        raise CheckpointError(source, f"say how many attention heads the tower {name!r} has")
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    reader = _Reader(name, shapes, source)
    try:
        config = reader.config(heads[name])
    except ValueError as error:  # a config that can't be, such as heads that don't divide a width
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
            raise CheckpointError(source, f"{key}: no such tensor expected beside the others")
    return config, {ours: state[official] for official, ours in names.items()}


@dataclass(frozen=True)
class _Reader:
    """Reads one tower's config off the shapes of its tensors."""

    tower: str
    shapes: Shapes
    source: str

    def config(self, heads: int) -> TowerConfig:
        """Put the whole config together."""
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
        """Look up a shape; `expected` is what it has to be."""
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
        """Find stride and trained size that give `count` patches.

        Patches touch on a square grid, unless the size is known: then the stride is what fits it.
        """
        key = official_key(self.tower, "stem.positions")
        if size is None:
            side = math.isqrt(count)
            if side * side != count or not count:
                raise CheckpointError(
                    self.source, f"{key}: expected a square grid and 1 more, found {count + 1}"
                )
            return kernel, (side * kernel[0], side * kernel[1])
        for step in (_RELEASED_STRIDE, *range(1, max(kernel) + 1)):
            if math.prod((s - k) // step + 1 for s, k in zip(size, kernel, strict=True)) == count:
                return (step, step), size
        raise CheckpointError(
            self.source,
            f"{key}: no stride cuts {size} into {count} patches of {kernel}",
        )
