"""Configuration of transformer towers: stem, trunk and head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from openbind.configs import Epsilon, Range, Side, Width

Activation = Literal["gelu", "quick_gelu", "gelu_tanh"]
Pool = Literal["cls", "eot", "last", "attention"]
Depth = Annotated[int, Range(1, 256)]
"""Blocks of a network."""


@dataclass(frozen=True, kw_only=True)
class PatchStem:
    """Splits pixels (or any grid) into patches, one token each.

    Args:
        channels: channels of the input.
        kernel: rows and columns of a patch.
        stride: distance of patches, in rows and columns.
        size: rows and columns of the inputs that the positions were trained for; positions are
            interpolated for others.
        frames: frames per patch. If more than 1, a still input counts as that many equal frames.
        norm: LayerNorm after the projection.
        norm_eps: epsilon of that LayerNorm.
        bias: bias of the projection.
        cls_token: prepend a learned token.
    """

    channels: Annotated[int, Range(1, 1_024)]
    kernel: tuple[Side, Side]
    stride: tuple[Side, Side]
    size: tuple[Side, Side]
    frames: Annotated[int, Range(1, 64)] = 1
    norm: bool = False
    norm_eps: Epsilon = 1e-5
    bias: bool = False
    cls_token: bool = True

    def __post_init__(self) -> None:
        if min(self.channels, self.frames, *self.kernel, *self.stride) < 1:
            raise ValueError("channels, frames, kernel and stride must be positive")
        if self.size[0] < self.kernel[0] or self.size[1] < self.kernel[1]:
            raise ValueError(f"size {self.size} is smaller than kernel {self.kernel}")


@dataclass(frozen=True, kw_only=True)
class TokenStem:
    """Embeds the ids of a vocabulary.

    Args:
        vocabulary: number of ids.
        context: maximum length of a sequence.
        eot: id of the token that ends a sequence. None means the highest id of each row, as in
            CLIP (where the end token has the highest id of the vocabulary).
    """

    vocabulary: Annotated[int, Range(1, 10_000_000)]
    context: Width
    eot: int | None = None

    def __post_init__(self) -> None:
        if min(self.vocabulary, self.context) < 1:
            raise ValueError("vocabulary and context must be positive")
        if self.eot is not None and not 0 <= self.eot < self.vocabulary:
            raise ValueError(f"eot {self.eot} is not an id of a vocabulary of {self.vocabulary}")


@dataclass(frozen=True, kw_only=True)
class WindowStem:
    """Splits a time series into adjacent windows, one token each.

    Args:
        channels: channels of the series.
        kernel: time steps per window.
        steps: time steps of the inputs that the positions were trained for; positions are
            interpolated for others.
        norm: LayerNorm after the projection.
        norm_eps: epsilon of that LayerNorm.
    """

    channels: Annotated[int, Range(1, 1_024)]
    kernel: Annotated[int, Range(1, 65_536)]
    steps: Annotated[int, Range(1, 1_000_000)]
    norm: bool = True
    norm_eps: Epsilon = 1e-5

    def __post_init__(self) -> None:
        if min(self.channels, self.kernel) < 1 or self.steps < self.kernel:
            raise ValueError("channels and kernel must be positive, steps at least one kernel")


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """A stack of pre-norm transformer blocks.

    Args:
        width: features of a token.
        depth: number of blocks.
        heads: attention heads; must divide the width.
        mlp_ratio: width of the MLP's hidden layer, relative to `width`.
        activation: "gelu" is exact (erf), "gelu_tanh" its tanh approximation, "quick_gelu" is
            OpenAI's x · sigmoid(1.702 x).
        norm_eps: epsilon of all LayerNorms of the trunk.
        bias_kv: each attention has a learned key and value besides those of the tokens.
        causal: tokens attend to themselves and those before them.
        pre_norm: LayerNorm before the first block.
        drop_path: probability in training that a sample skips a branch of the last block; it
            increases linearly from 0 at the first (stochastic depth, arXiv 1603.09382).
        patch_dropout: fraction of a sample's patches dropped in training, never its cls token
            (FLIP, arXiv 2212.00794).
    """

    width: Width
    depth: Depth
    heads: Width
    mlp_ratio: Annotated[float, Range(0.01, 100)] = 4.0
    activation: Activation = "gelu"
    norm_eps: Epsilon = 1e-6
    bias_kv: bool = False
    causal: bool = False
    pre_norm: bool = False
    drop_path: float = 0.0
    patch_dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % self.heads:
            raise ValueError(f"{self.heads} heads don't divide a width of {self.width}")
        for name in ("drop_path", "patch_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be in [0, 1), found {getattr(self, name)}")
        if self.patch_dropout and self.causal:
            raise ValueError("patch_dropout needs patches; a causal trunk has none")

    @property
    def mlp_width(self) -> int:
        """Width of the MLP's hidden layer."""
        return round(self.width * self.mlp_ratio)


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """From tokens to one vector: LayerNorm, pooling, projection.

    Args:
        embed_dim: dimensions of the embedding.
        pool: "cls" takes the first token, "eot" the one that ends the sequence, "last" the last,
            "attention" attends to all of them with a learned query (SigLIP).
        norm_eps: epsilon of the LayerNorm.
        project: end with a Linear to `embed_dim`; without it `embed_dim` is the width.
        bias: bias of that Linear.
        dropout: before that Linear, in training.
    """

    embed_dim: Width
    pool: Pool = "cls"
    norm_eps: Epsilon = 1e-6
    project: bool = True
    bias: bool = False
    dropout: Annotated[float, Range(0, 1)] = 0.0


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """One network from an input tensor to an embedding.

    Args:
        stem: from the input to tokens.
        trunk: transformer blocks.
        head: from tokens to one vector.
    """

    stem: PatchStem | TokenStem | WindowStem
    trunk: TrunkConfig
    head: HeadConfig

    def __post_init__(self) -> None:
        has_cls = isinstance(self.stem, WindowStem) or (
            isinstance(self.stem, PatchStem) and self.stem.cls_token
        )
        if self.head.pool == "cls" and not has_cls:
            raise ValueError("pool 'cls' needs a stem with a cls token")
        if self.head.pool in ("eot", "last") and not isinstance(self.stem, TokenStem):
            raise ValueError(f"pool {self.head.pool!r} needs a stem of token ids")
        if self.trunk.patch_dropout and isinstance(self.stem, TokenStem):
            raise ValueError("patch_dropout needs a stem of patches or windows")
        if not self.head.project and self.head.embed_dim != self.trunk.width:
            raise ValueError(
                f"without a projection embed_dim is the width {self.trunk.width}, "
                f"found {self.head.embed_dim}"
            )
