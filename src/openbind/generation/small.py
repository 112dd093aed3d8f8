"""The small decoder that ships with a space, and its file.

The file is safetensors: the networks' weights (matrices with 8 bits and one scale a row), the
vectors of the images that were learned from (likewise), their names and thumbnails, the mean vector
of each modality, and in its metadata a config. It is read when something is first drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from openbind.configs import Range, from_dict, to_dict
from openbind.errors import CheckpointError, ConfigError, first_line
from openbind.generation.decoder import (
    MAX_CANDIDATES,
    Progress,
    check_accepted,
    image_seeds,
    report,
)
from openbind.generation.network import Condition, Enlarger, Network, NetworkConfig
from openbind.generation.prior import ImageVectors, PriorSettings, find_condition, move
from openbind.generation.sampler import SamplerSettings, draw_images
from openbind.generation.thumbnails import Thumbnails

VERSION = 1
SCALE = ".scale"
"""Ends the name of the scales of a matrix with 8 bits."""
MIN_NUMBERS = 4096
"""Smaller tensors have 16 bits."""
SHEET = "thumbnails"
"""Name of the tensor with the thumbnails' file, and key of their names in the metadata."""
OTHER = "other"
"""Key of `GeneratorConfig.priors` for modalities that it doesn't have, and for sums."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """What a file says beside its tensors.

    Args:
        accepts: identity of the image side that it learned from.
        network: architecture.
        sampler: how images are drawn.
        priors: modality, or `OTHER` → how its vectors become conditions.
        candidates: of each image, of which the nearest is kept.
    """

    accepts: str
    network: NetworkConfig
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    priors: dict[str, PriorSettings] = field(default_factory=dict)
    candidates: Annotated[int, Range(1, MAX_CANDIDATES)] = 8

    def prior_of(self, modality: str | None) -> PriorSettings:
        """Return the settings of a modality."""
        other = self.priors.get(OTHER, PriorSettings())
        return self.priors.get(modality or OTHER, other)


@dataclass(frozen=True, kw_only=True)
class Generator:
    """What a file holds.

    Args:
        config: of all.
        network, enlarger: in evaluation mode.
        images: vectors of what was learned from.
        means: modality → mean of its unit contents (what_dim,).
        thumbnails: of the images that were learned from; None if the file has none.
    """

    config: GeneratorConfig
    network: Network
    enlarger: Enlarger
    images: ImageVectors
    means: Mapping[str, torch.Tensor]
    thumbnails: Thumbnails | None = None

    @torch.inference_mode()
    def find_nearest(
        self, vectors_BE: torch.Tensor, modality: str | None, count: int = 1
    ) -> torch.Tensor:
        """Return rows (B, count) of the images learned from that a search would find."""
        settings = self.config.prior_of(modality)
        what_BD, _ = self._split(vectors_BE, modality, settings.center)
        near_B = (move(what_BD, self.images, settings) @ self.images.what_MD.T).argmax(dim=1)
        return (self.images.what_MD[near_B] @ self.images.what_MD.T).topk(count, dim=1).indices

    @torch.inference_mode()
    def find_condition(
        self, vector_E: torch.Tensor, modality: str | None, seeds: Sequence[int]
    ) -> Condition:
        """Return what the network is told of a vector of a space, for each image's seed."""
        settings, near = self.config.prior_of(modality), self.config.network.near
        rows_BE = vector_E.expand(len(seeds), -1)
        what_BD, where_BD = self._split(rows_BE, modality, settings.center)
        return find_condition(what_BD, where_BD, self.images, settings, near, seeds)

    def _split(
        self, vectors_BE: torch.Tensor, modality: str | None, center: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return unit contents, centered by a fraction of the modality's mean, and layouts."""
        shape = self.config.network
        what_BD, where_BD = vectors_BE.split([shape.what_dim, shape.where_dim], dim=1)
        mean_D = self.means.get(modality or "", torch.zeros(shape.what_dim))
        return F.normalize(F.normalize(what_BD, dim=1) - center * mean_D, dim=1), where_BD

    @torch.inference_mode()
    def draw(
        self,
        known: Condition,
        seeds: list[int],
        settings: SamplerSettings,
        seen: Callable[[int], None] = lambda done: None,
    ) -> list[Image.Image]:
        """Draw one image for each row of `known`, from its seed.

        They are drawn together: the last digits depend on how many they are. One thread computes
        it, as they would depend on the threads as well, and several are slower where cores are
        shared.

        Args:
            known: of the images.
            seeds: of each.
            settings: of the sampler.
            seen: called after each step with the steps done.
        """
        size = self.config.network.size
        noise = [torch.randn(3, size, size, generator=_start(seed)) for seed in seeds]
        with one_thread():
            small_BCHW = draw_images(self.network, torch.stack(noise), known, settings, seen)
            large_BCHW = (self.enlarger(small_BCHW.clamp(-1, 1)) + 1) * 127.5
        pixels_BCHW = large_BCHW.round().clamp(0, 255).to(torch.uint8)
        return [Image.fromarray(pixels) for pixels in pixels_BCHW.permute(0, 2, 3, 1).numpy()]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _report(progress: Progress | None, before: int, total: int, done: int) -> None:
    report(progress, before + done, total)


class SmallDecoder:
    """Draws images with the generator in a file, which is read at the first drawing.

    Args:
        path: of the file.
        image_side: identity of the image side of the space that it draws for; None accepts the
            file's own.
    """

    def __init__(self, path: Path, image_side: Callable[[], str] | None = None) -> None:
        self.path = path
        self._image_side = image_side
        self.config = read_generator_config(path)

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        return self.config.network.what_dim + self.config.network.where_dim

    @property
    def accepts(self) -> str:
        """Identity of the image side that it learned from."""
        return self.config.accepts

    @property
    def candidates(self) -> int:
        """Of each image, if nothing else is asked for."""
        return self.config.candidates

    @cached_property
    def generator(self) -> Generator:
        """The file's content.

        Raises:
            CheckpointError: the file is damaged.
            InputError: it learned from another image side than the space's.
        """
        if self._image_side is not None:
            check_accepted(self, [self._image_side()], self.path.parent.name)
        return read_generator(self.path)

    def draw(
        self,
        vectors_BE: np.ndarray,
        *,
        modality: str | None,
        n: int,
        candidates: int,
        seed: int,
        steps: int | None,
        guidance: float | None,
        progress: Progress | None,
    ) -> list[list[Image.Image]]:
        """Draw images of each vector; see `openbind.generation.decoder.Decoder`."""
        generator = self.generator
        changes = {"steps": steps, "guidance": guidance}
        chosen = {name: value for name, value in changes.items() if value is not None}
        settings = SamplerSettings(**{**to_dict(self.config.sampler), **chosen})
        total, drawn = len(vectors_BE) * n * settings.steps, list[list[Image.Image]]()
        for vector_E in vectors_BE:
            # One by one, as the images: in a batch the last digits depend on the others.
            seeds = image_seeds(seed, n * candidates)
            images: list[Image.Image] = []
            for at in range(n):
                before = (len(drawn) * n + at) * settings.steps
                seen = partial(_report, progress, before, total)
                own = seeds[at * candidates : (at + 1) * candidates]
                known = generator.find_condition(torch.from_numpy(vector_E), modality, own)
                images += generator.draw(known, own, settings, seen)
            drawn.append(images)
        return drawn


def write_generator(generator: Generator, path: Path) -> None:
    """Write a generator to a file."""
    tensors: dict[str, torch.Tensor] = {}
    for part in ("network", "enlarger"):
        for name, value in getattr(generator, part).state_dict().items():
            tensors |= pack(f"{part}.{name}", value)
    tensors |= pack("images.what", generator.images.what_MD)
    tensors |= pack("images.where", generator.images.where_MD)
    tensors |= {f"means.{name}": mean.float() for name, mean in generator.means.items()}
    about = {"config": json.dumps({"format": VERSION, **to_dict(generator.config)})}
    if generator.thumbnails is not None:
        content = bytearray(generator.thumbnails.content)
        tensors[SHEET] = torch.frombuffer(content, dtype=torch.uint8)
        about[SHEET] = json.dumps(generator.thumbnails.names)
    save_file(tensors, path, metadata=about)


def read_generator_config(path: Path) -> GeneratorConfig:
    """Read a file's config.

    Raises:
        CheckpointError: not a file of a generator, or of another version.
    """
    try:
        with safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})["config"])
        if values.pop("format", None) != VERSION:
            raise CheckpointError(
                path, f"expected format {VERSION} of generators; update openbind?"
            )
        return from_dict(GeneratorConfig, values)
    except (SafetensorError, OSError, KeyError, ValueError, ConfigError) as error:
        reason = f"damaged, or not a generator ({first_line(error)})"
        raise CheckpointError(path, reason) from error


def read_generator(path: Path) -> Generator:
    """Read a file.

    Raises:
        CheckpointError: it is damaged, or its tensors don't fit its config.
    """
    config = read_generator_config(path)
    try:
        with safe_open(path, "pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            names = json.loads((file.metadata() or {}).get(SHEET, "[]"))
        sheet = stored.pop(SHEET, None)
        tensors = unpack(stored)
        network, enlarger = Network(config.network), Enlarger(config.network)
        for name, module in (("network", network), ("enlarger", enlarger)):
            module.load_state_dict(_part_of(tensors, name))
        images = _part_of(tensors, "images")
        return Generator(
            config=config,
            network=network.eval().requires_grad_(False),
            enlarger=enlarger.eval().requires_grad_(False),
            images=ImageVectors(
                what_MD=F.normalize(images["what"], dim=1),
                where_MD=F.normalize(images["where"], dim=1),
            ),
            means=_part_of(tensors, "means"),
            thumbnails=None if sheet is None else Thumbnails(tuple(names), sheet.numpy().tobytes()),
        )
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(path, f"damaged generator: {first_line(error)}") from error


def pack(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a tensor as it is stored: large ones with 8 bits and a scale for each row."""
    if value.ndim < 2 or value.numel() < MIN_NUMBERS:
        return {name: value.detach().half().contiguous()}
    flat = value.detach().float().flatten(1)
    scale_N = (flat.abs().amax(1) / 127).clamp(min=1e-12)
    rounded = (flat / scale_N[:, None]).round().to(torch.int8)
    return {name: rounded.view(value.shape).contiguous(), name + SCALE: scale_N}


def unpack(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors that `pack` was given, in float32."""
    found = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        if value.dtype == torch.int8:
            scale = stored[name + SCALE]
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        found[name] = value.float()
    return found


def _part_of(tensors: Mapping[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    prefix = f"{part}."
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
