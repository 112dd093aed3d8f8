"""Vectors of any modality become vectors of images that were learned from."""

from __future__ import annotations

import torch

from openbind.generation.prior import ImageVectors, PriorSettings, find_condition
from tests.generation.small_generator import unit


def test_the_average_of_one_image_is_that_image() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    query = torch.nn.functional.normalize(images.what_MD[[7, 3]] + 0.1 * unit(2, 16), dim=1)
    settings = PriorSettings(wide_count=1, count=1, share=1.0, sigma=0.3)
    known = find_condition(query, torch.zeros(2, 4), images, settings, near=2)
    assert torch.allclose(known.what_BD, images.what_MD[[7, 3]], atol=1e-6)
    assert torch.allclose(known.where_BD, images.where_MD[[7, 3]], atol=1e-6)
    assert torch.allclose(known.near_BKD[:, 0], images.what_MD[[7, 3]])
    assert known.known_B3.all()
    assert torch.allclose(known.sigma_B, torch.full((2,), settings.sigma))


def test_a_share_of_zero_keeps_the_vector_and_its_layout() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    what, where = unit(2, 16), unit(2, 4)
    known = find_condition(what, where, images, PriorSettings(share=0.0, count=99), near=1)
    assert torch.allclose(known.what_BD, what, atol=1e-6)
    assert torch.allclose(known.where_BD, where, atol=1e-6)


def test_a_missing_layout_stays_unknown_where_none_is_averaged() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    where = torch.stack([torch.zeros(4), unit(4)])
    settings = PriorSettings(layout=False)
    known = find_condition(unit(2, 16), where, images, settings, near=1)
    assert known.known_B3[:, 1].tolist() == [False, True]
