"""The network that removes noise from small images given a condition, and the one that enlarges.

A U-Net (Ronneberger et al. 2015, arXiv:1505.04597; Ho et al. 2020, arXiv:2006.11239) that predicts
the clean image. Beside the noisy image it gets a sketch, a linear function of the condition that
starts as a regression. The condition also scales and shifts the features of every block (Perez et
al. 2018, arXiv:1709.07871) and, since it says where things are, is added to the smallest map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional as F

from openbind.configs import Range, Width

NUMBER_DIM = 128
"""Sines and cosines that encode a number."""
GROUPS = 8
"""Of channels that are normalized together."""
HEAD_DIM = 32


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Architecture; the defaults are those of the starter's generator.

    Args:
        size: rows and columns of the images that noise is removed from.
        patch: rows and columns of the pixels that are read and written together.
        channels: of each level, halved in size from one to the next.
        width: of the condition.
        what_dim: dimensions of a vector that say what is in an image, its first ones.
        where_dim: dimensions that say where things are, its last ones.
        near: training images whose contents are part of the condition.
        enlarge: how many times larger drawn images are made at the end.
        enlarge_width: channels of the network that does so.
    """

    size: Annotated[int, Range(8, 256)] = 32
    patch: Annotated[int, Range(1, 16)] = 2
    channels: Annotated[tuple[Width, ...], Range(1, 8)] = (64, 128, 160)
    width: Width = 256
    what_dim: Width = 384
    where_dim: Width = 128
    near: Annotated[int, Range(1, 64)] = 4
    enlarge: Annotated[int, Range(1, 8)] = 3
    enlarge_width: Width = 32

    @property
    def side(self) -> int:
        """Rows and columns of the largest map."""
        return self.size // self.patch

    @property
    def smallest(self) -> int:
        """Rows and columns of the smallest map."""
        return self.size // (self.patch << (len(self.channels) - 1))


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is known of each image; learned vectors stand for the rest.

    Args:
        what_BD: unit vectors of the content.
        where_BD: unit vectors of the layout.
        sigma_B: noise of `what_BD`, see `corrupt`.
        near_BKD: contents of the nearest training images.
        known_B3: whether `what_BD`, `where_BD` and `near_BKD` are known.
    """

    what_BD: torch.Tensor
    where_BD: torch.Tensor
    sigma_B: torch.Tensor
    near_BKD: torch.Tensor
    known_B3: torch.Tensor

    def take(self, rows: Sequence[int]) -> Condition:
        """Return some rows, which may repeat."""
        index = torch.tensor(list(rows))
        return Condition(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def unknown(self) -> Condition:
        """Return the condition of which nothing is known."""
        values = {field.name: torch.zeros_like(getattr(self, field.name)) for field in fields(self)}
        return Condition(**values)

    def join(self, other: Condition) -> Condition:
        """Return the rows of both."""
        names = [field.name for field in fields(self)]
        return Condition(**{n: torch.cat([getattr(self, n), getattr(other, n)]) for n in names})


class Block(nn.Module):
    """Two convolutions, the second's input scaled and shifted by the condition."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(width, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, map_BCHW: torch.Tensor, condition_BD: torch.Tensor) -> torch.Tensor:
        """Return the map after the block."""
        hidden = self.first(F.silu(self.norm(map_BCHW)))
        scale, shift = self.film(condition_BD)[:, :, None, None].chunk(2, dim=1)
        hidden = F.group_norm(hidden, GROUPS) * (1 + scale) + shift
        output: torch.Tensor = self.skip(map_BCHW) + self.second(F.silu(hidden))
        return output


class Attention(nn.Module):
    """Self-attention of a small map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, map_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the map after attention."""
        batch, channels, rows, columns = map_BCHW.shape
        tokens_BND = self.norm(map_BCHW).flatten(2).transpose(1, 2)
        split = self.qkv(tokens_BND).view(batch, rows * columns, 3, -1, HEAD_DIM)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        added_BDN = self.out(mixed).transpose(1, 2)
        output: torch.Tensor = map_BCHW + added_BDN.reshape(batch, channels, rows, columns)
        return output


class Network(nn.Module):
    """Predicts the clean image behind a noisy one."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, channels, numbers = config.width, config.channels, 3 * config.patch**2
        self.time = nn.Linear(NUMBER_DIM, width)
        self.sigma = nn.Linear(NUMBER_DIM, width)
        self.what = nn.Linear(config.what_dim, width)
        self.where = nn.Linear(config.where_dim, width)
        self.near = nn.Linear(config.what_dim, width)
        self.missing = nn.Parameter(torch.randn(3, width) * 0.02)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.sketch = nn.Linear(2 * config.what_dim + config.where_dim + 3, 3 * config.side**2)
        self.start = nn.Conv2d(numbers + 3, channels[0], 3, padding=1)
        before = (channels[0], *channels[:-1])
        self.down = nn.ModuleList(
            Block(inputs, outputs, width) for inputs, outputs in zip(before, channels, strict=True)
        )
        self.halve = nn.ModuleList(
            nn.Conv2d(count, count, 3, stride=2, padding=1) for count in channels[:-1]
        )
        last = channels[-1]
        self.place = nn.Linear(width, 32 * config.smallest**2)
        self.spread = nn.Conv2d(32, last, 1)
        self.before, self.after = Block(last, last, width), Block(last, last, width)
        self.attention = Attention(last)
        self.join = nn.ModuleList(
            Block(inputs + count, count, width)
            for inputs, count in zip((last, *channels[:0:-1]), channels[::-1], strict=True)
        )
        self.up = nn.ModuleList(Block(count, count, width) for count in channels[::-1])
        self.norm = nn.GroupNorm(GROUPS, channels[0])
        self.end = nn.Conv2d(channels[0], numbers, 3, padding=1)
        blocks = [module for module in self.modules() if isinstance(module, Block)]
        for layer in (self.end, self.attention.out, *(block.second for block in blocks)):
            start_at_zero(layer)
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)  # faster on a CPU

    def forward(
        self, noisy_BCHW: torch.Tensor, time_B: torch.Tensor, known: Condition
    ) -> torch.Tensor:
        """Return the clean image (B, 3, size, size) in about [-1, 1].

        Args:
            noisy_BCHW: time · clean + (1 - time) · noise.
            time_B: from 0, noise, to 1.
            known: of the images.
        """
        condition_BD = self._read_condition(time_B, known)
        side = self.config.side
        sketch_BCHW = self.sketch(flatten_condition(known)).unflatten(1, (3, side, side))
        patches = F.pixel_unshuffle(noisy_BCHW, self.config.patch)
        hidden = torch.cat([patches, sketch_BCHW], dim=1)
        hidden = self.start(hidden.contiguous(memory_format=torch.channels_last))
        kept = []
        for level, block in enumerate(self.down):
            hidden = block(hidden, condition_BD)
            kept.append(hidden)
            if level < len(self.halve):
                hidden = self.halve[level](hidden)
        small = self.config.smallest
        hidden = hidden + self.spread(self.place(condition_BD).unflatten(1, (32, small, small)))
        hidden = self.attention(self.before(hidden, condition_BD))
        hidden = self.after(hidden, condition_BD)
        for level, (joining, block) in enumerate(zip(self.join, self.up, strict=True)):
            if level:
                hidden = F.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = joining(torch.cat([hidden, kept.pop()], dim=1), condition_BD)
            hidden = block(hidden, condition_BD)
        return F.pixel_shuffle(self.end(F.silu(self.norm(hidden))), self.config.patch)

    def _read_condition(self, time_B: torch.Tensor, known: Condition) -> torch.Tensor:
        parts = (
            self.what(known.what_BD * self.config.what_dim**0.5),
            self.where(known.where_BD * self.config.where_dim**0.5),
            self.near(known.near_BKD.mean(1) * self.config.what_dim**0.5),
        )
        summed_BD = self.time(encode_number(time_B)) + self.sigma(encode_number(known.sigma_B))
        for at, part_BD in enumerate(parts):
            is_known_B1 = known.known_B3[:, at, None]
            summed_BD = summed_BD + torch.where(is_known_B1, part_BD, self.missing[at])
        mixed_BD: torch.Tensor = self.mix(summed_BD)
        return mixed_BD


class Enlarger(nn.Module):
    """Enlarges drawn images; learned from the same images as the network."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, self.factor = config.enlarge_width, config.enlarge
        self.start = nn.Conv2d(3, width, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(4))
        self.end = nn.Conv2d(width, 3 * self.factor**2, 3, padding=1)
        start_at_zero(self.end)
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        """Return images `enlarge` times as large."""
        hidden = self.start(image_BCHW)
        for layer in self.layers:
            hidden = hidden + layer(F.gelu(hidden))
        detail = F.pixel_shuffle(self.end(F.gelu(hidden)), self.factor)
        return F.interpolate(image_BCHW, scale_factor=self.factor, mode="bicubic") + detail


def flatten_condition(known: Condition) -> torch.Tensor:
    """Return a condition as rows (B, 2 · what_dim + where_dim + 3), zeros for what is unknown."""
    known_B3 = known.known_B3.float()
    parts = (known.what_BD, known.where_BD, known.near_BKD.mean(1))
    hidden = [part_BD * known_B3[:, at, None] for at, part_BD in enumerate(parts)]
    return torch.cat([*hidden, known_B3], dim=1)


def start_at_zero(layer: nn.Module) -> None:
    """Set a layer's weights to zero, so that what it is added to starts unchanged."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)


def corrupt(what_BD: torch.Tensor, sigma_B: torch.Tensor, noise_BD: torch.Tensor) -> torch.Tensor:
    """Return unit vectors with noise: unit(what + sigma · noise / √dim)."""
    scale_B1 = sigma_B[:, None] / math.sqrt(what_BD.shape[1])
    return F.normalize(what_BD + scale_B1 * noise_BD, dim=1)


def encode_number(number_B: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines (B, `NUMBER_DIM`) of numbers from 0 to about 2."""
    octave = torch.linspace(0, math.log(1000), NUMBER_DIM // 2).exp()
    angle = number_B[:, None] * octave
    return torch.cat([angle.sin(), angle.cos()], dim=1)
