"""The sampler follows straight paths, and guidance moves away from the unconditional image."""

from __future__ import annotations

import pytest
import torch

from openbind.generation.network import Condition
from openbind.generation.sampler import SamplerSettings, draw_images
from tests.generation.small_generator import make_condition


def denoise(noisy: torch.Tensor, time_B: torch.Tensor, known: Condition) -> torch.Tensor:
    """Return the first number of the content in each pixel; unknown content is 0."""
    return torch.ones_like(noisy) * known.what_BD[:, :1, None, None]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_known_image_is_reached_exactly(steps: int) -> None:
    known, noise = make_condition(3), torch.randn(3, 3, 4, 4)
    drawn = draw_images(denoise, noise, known, SamplerSettings(steps=steps, guidance=1))
    assert torch.allclose(drawn, denoise(noise, noise, known), atol=1e-5)


def test_guidance_counts_between_its_times_only() -> None:
    known, noise = make_condition(2), torch.randn(2, 3, 4, 4)
    target = denoise(noise, noise, known)

    def draw(**changes: float) -> torch.Tensor:
        settings = SamplerSettings(steps=4, guidance=3, **changes)  # type: ignore[arg-type]
        return draw_images(denoise, noise, known, settings)

    assert torch.allclose(draw(begin=0.0, end=1.0), 3 * target, atol=1e-4)
    assert torch.allclose(draw(begin=0.3, end=0.3), target, atol=1e-4)


def test_each_step_is_reported() -> None:
    seen: list[int] = []
    settings = SamplerSettings(steps=3, guidance=1)
    draw_images(denoise, torch.randn(1, 3, 4, 4), make_condition(1), settings, seen.append)
    assert seen == [1, 2, 3]
