"""Vectors of any modality become vectors of images that were learned from."""

from __future__ import annotations

import torch

from openbind.generation.prior import ImageVectors, PriorSettings, find_condition
from tests.generation.small_generator import unit


def test_the_average_of_one_image_is_that_image() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    query = torch.nn.functional.normalize(images.what_MD[[7, 3]] + 0.1 * unit(2, 16), dim=1)
    settings = PriorSettings(wide_count=1, count=1, share=1.0, sigma=0.3)
    known = find_condition(query, torch.zeros(2, 4), images, settings, near=2, seeds=[0, 1])
    assert torch.allclose(known.what_BD, images.what_MD[[7, 3]], atol=1e-6)
    assert torch.allclose(known.where_BD, images.where_MD[[7, 3]], atol=1e-6)
    assert torch.allclose(known.near_BKD[:, 0], images.what_MD[[7, 3]])
    assert known.known_B3.all()
    assert torch.allclose(known.sigma_B, torch.full((2,), settings.sigma))


def test_a_share_of_zero_keeps_the_vector_and_its_layout() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    what, where = unit(2, 16), unit(2, 4)
    known = find_condition(
        what, where, images, PriorSettings(share=0.0, count=99), near=1, seeds=[0, 1]
    )
    assert torch.allclose(known.what_BD, what, atol=1e-6)
    assert torch.allclose(known.where_BD, where, atol=1e-6)


def test_a_missing_layout_stays_unknown_where_none_is_taken() -> None:
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    where = torch.stack([torch.zeros(4), unit(4)])
    settings = PriorSettings(layout=False)
    known = find_condition(unit(2, 16), where, images, settings, near=1, seeds=[0, 1])
    assert known.known_B3[:, 1].tolist() == [False, True]


def test_seeds_choose_among_the_nearest() -> None:
    """Equal seeds give equal conditions; others other averages and layouts, of the nearest only."""
    images = ImageVectors(what_MD=unit(30, 16), where_MD=unit(30, 4))
    query, none = images.what_MD[:1].expand(8, -1), torch.zeros(8, 4)
    settings = PriorSettings(wide_count=1, count=3, temperature=1.0, spread=3.0)
    known = find_condition(query, none, images, settings, near=3, seeds=[0, 0, *range(1, 7)])
    assert torch.equal(known.what_BD[0], known.what_BD[1])
    assert len(known.what_BD.unique(dim=0)) == 7
    nearest = (images.what_MD @ images.what_MD[0]).topk(3).indices
    layouts = known.where_BD @ images.where_MD.T
    assert set(layouts.argmax(1).tolist()) <= set(nearest.tolist())
    assert len(layouts.argmax(1).unique()) > 1
    same = find_condition(
        query, none, images, PriorSettings(count=3, spread=0.0), near=3, seeds=range(8)
    )
    assert len(same.what_BD.unique(dim=0)) == 1
