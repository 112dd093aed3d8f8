"""Draw images with a network that removes noise: Euler's method along straight paths.

The path from noise to image is z(t) = t · image + (1 - t) · noise, its velocity image - noise
(Liu et al. 2023, arXiv:2209.03003). Methods of second order took twice as long for images that
weren't better. Guidance counts in the middle of the path only (Kynkäänniemi et
al. 2024, arXiv:2404.07724).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch

from openbind.configs import Range
from openbind.generation.network import Condition

Denoise = Callable[[torch.Tensor, torch.Tensor, Condition], torch.Tensor]
"""Noisy images, times and conditions → clean images, as `Network`."""


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How images are drawn; chosen on held-out drawings (recipes/starter/generator).

    Args:
        steps: of the path.
        guidance: 1 draws from the condition; larger ones move away from the unconditional image.
        begin, end: times between which guidance counts.
        warp: steps are dense near the noise for numbers above 1, even for 1.
    """

    steps: Annotated[int, Range(1, 1000)] = 12
    guidance: Annotated[float, Range(0, 100)] = 2.0
    begin: Annotated[float, Range(0, 1)] = 0.1
    end: Annotated[float, Range(0, 1)] = 0.9
    warp: Annotated[float, Range(0.1, 10)] = 1.0


def draw_images(
    denoise: Denoise,
    noise_BCHW: torch.Tensor,
    known: Condition,
    settings: SamplerSettings,
    seen: Callable[[int], None] = lambda done: None,
) -> torch.Tensor:
    """Draw an image from each noise, in about [-1, 1].

    Args:
        denoise: the network.
        noise_BCHW: normal numbers.
        known: of the images.
        settings: of the method.
        seen: called after each step with the steps done.
    """
    times = torch.linspace(0, 1, settings.steps + 1) ** settings.warp

    image_BCHW = noise_BCHW
    for step, (now, then) in enumerate(zip(times.tolist(), times[1:].tolist(), strict=False)):
        clean_BCHW = guide(denoise, image_BCHW, now, known, settings)
        image_BCHW = image_BCHW + (then - now) / (1 - now) * (clean_BCHW - image_BCHW)
        seen(step + 1)
    return image_BCHW


def guide(
    denoise: Denoise,
    image_BCHW: torch.Tensor,
    time: float,
    known: Condition,
    settings: SamplerSettings,
) -> torch.Tensor:
    """Return the clean images that the network sees, moved away from the unconditional ones."""
    time_B = torch.full((len(image_BCHW),), time)
    if settings.guidance <= 1 or not settings.begin <= time < settings.end:
        return denoise(image_BCHW, time_B, known)
    both = denoise(
        torch.cat([image_BCHW] * 2), torch.cat([time_B] * 2), known.join(known.unknown())
    )
    conditional, plain = both.chunk(2)
    return plain + settings.guidance * (conditional - plain)
