"""The networks: shapes, what they depend on, and the noise of conditions."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from openbind.generation.network import corrupt
from tests.generation.small_generator import NETWORK, make_condition, make_generator, unit


@pytest.mark.parametrize("part", ["what_BD", "where_BD", "sigma_B", "near_BKD"])
def test_an_image_depends_on_each_part_of_the_condition(part: str) -> None:
    network, known = make_generator().network, make_condition(2)
    noise, time_B = torch.randn(2, 3, 16, 16), torch.tensor([0.2, 0.7])
    other = dataclasses.replace(known, **{part: getattr(known, part).flip(0)})
    drawn = network(noise, time_B, known)
    assert drawn.shape == noise.shape
    assert not torch.allclose(drawn, network(noise, time_B, other))


def test_what_is_unknown_has_no_influence() -> None:
    network, known, other = make_generator().network, make_condition(2), make_condition(2)
    noise, time_B = torch.randn(2, 3, 16, 16), torch.rand(2)
    hidden = [
        dataclasses.replace(c, known_B3=torch.zeros(2, 3, dtype=torch.bool), sigma_B=torch.zeros(2))
        for c in (known, other)
    ]
    assert torch.equal(*(network(noise, time_B, condition) for condition in hidden))


def test_enlarging_multiplies_the_sides() -> None:
    assert make_generator().enlarger(torch.rand(1, 3, 16, 16)).shape == (1, 3, 32, 32)


def test_noise_of_a_condition_lowers_its_cosine_as_documented() -> None:
    what_BD, sigma = unit(500, 384), 0.75
    noisy_BD = corrupt(what_BD, torch.full((500,), sigma), torch.randn(500, 384))
    cosine = (what_BD * noisy_BD).sum(1).mean().item()
    assert cosine == pytest.approx((1 + sigma**2) ** -0.5, abs=0.01)
    assert torch.equal(corrupt(what_BD, torch.zeros(500), what_BD), what_BD) or torch.allclose(
        corrupt(what_BD, torch.zeros(500), what_BD), what_BD, atol=1e-6
    )


def test_rows_of_conditions_can_be_taken_and_joined() -> None:
    known = make_condition(3)
    taken = known.take([2, 0]).join(known.unknown())
    assert torch.equal(taken.what_BD[:2], known.what_BD[[2, 0]])
    assert not taken.known_B3[2:].any()
    assert len(taken.sigma_B) == 5
    assert NETWORK.smallest == 4
