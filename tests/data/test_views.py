"""Views depend only on the plan and their key, and cover the plan's ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from openbind.configs import from_dict
from openbind.data.views import ViewPlan, apply_view, draw_view, view_rng
from openbind.errors import ConfigError
from openbind.modalities.spec import View


def draw(count: int, **plan: Any) -> list[View]:
    return [draw_view(ViewPlan(**plan), view_rng(0, "it", i)) for i in range(count)]


def test_default_plan_is_whole() -> None:
    """By default a view is the whole span, and draws no random numbers."""
    rng = view_rng(0, "it", 0)
    assert draw_view(ViewPlan(), rng) == View()
    assert draw_view(ViewPlan(), rng, (2.0, 4.0)) == View(span=(2.0, 4.0))
    assert rng.random() == view_rng(0, "it", 0).random()
    assert ViewPlan(count=3).is_whole
    assert not ViewPlan(flip=0.5).is_whole


def test_boxes_are_in_range() -> None:
    """Boxes lie inside the image, with area and ratio in their ranges."""
    for view in draw(500, crop=(0.08, 0.6)):
        assert view.box is not None
        top, left, height, width = view.box
        assert min(top, left) >= 0
        assert max(top + height, left + width) <= 1 + 1e-12
        assert 0.08 - 1e-9 <= height * width <= 0.6 + 1e-9
        assert 3 / 4 - 1e-9 <= width / height <= 4 / 3 + 1e-9


def test_boxes_have_torchvisions_distribution() -> None:
    """The area is uniform, the log-ratio symmetric, the position uniform."""
    boxes = np.array([view.box for view in draw(4_000, crop=(0.1, 0.5))])
    top, left, height, width = boxes.T
    areas = height * width
    quartiles = np.quantile(areas, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.2, 0.3, 0.4], atol=0.015)
    np.testing.assert_allclose(np.log(width / height).mean(), 0, atol=0.01)
    np.testing.assert_allclose(np.log(width / height).std(), math.log(4 / 3) / 3**0.5, atol=0.01)
    np.testing.assert_allclose((top / (1 - height)).mean(), 0.5, atol=0.02)
    np.testing.assert_allclose((left / (1 - width)).mean(), 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("ratio", "box"),
    [
        ((0.5, 0.9), (0.0, 0.05, 1.0, 0.9)),
        ((2.0, 3.0), (0.25, 0.0, 0.5, 1.0)),
        ((0.9, 1.1), (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_impossible_boxes_are_central(
    ratio: tuple[float, float], box: tuple[float, float, float, float]
) -> None:
    """The whole area can't have another ratio: the largest allowed central box is taken."""
    [view] = draw(1, crop=(1.0, 1.0), ratio=ratio)
    assert view.box == pytest.approx(box)


def test_flips_and_moments() -> None:
    """Flips have their probability, moments are uniform; both only if configured."""
    views = draw(2_000, flip=0.25, seconds=2.0)
    assert np.mean([view.flip for view in views]) == pytest.approx(0.25, abs=0.03)
    moments = np.array([view.moment for view in views])
    np.testing.assert_allclose(np.quantile(moments, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)
    assert {view.seconds for view in views} == {2.0}
    assert all(view.flip for view in draw(9, flip=1.0))
    assert {view.moment for view in draw(9, flip=0.5)} == {0.5}


def test_random_numbers_are_the_same_everywhere() -> None:
    """The first number of one key is pinned across processes, machines and versions."""
    assert view_rng(3, "Vögel/a.jpg", 7).bit_generator.random_raw() == 13121558801107579006


def test_views_have_a_repr() -> None:
    """All values are plain Python, so a view's repr can be a key."""
    [view] = draw(1, crop=(0.2, 1.0), flip=0.5, seconds=1.0)
    assert eval(repr(view), {"View": View}) == view
    assert draw(1, crop=(0.2, 1.0), flip=0.5, seconds=1.0) == [view]


def test_random_numbers_depend_on_seed_key_and_index() -> None:
    """Seed, key and index are unambiguous."""
    names = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1), (0, "0/a", 0), (0, "a/0", 0)]
    assert len({view_rng(*name).random() for name in names}) == len(names)
    assert view_rng(0, "a", 0).random() == view_rng(0, "a", 0).random()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count: expected at least 1"),
        ({"crop": [0, 0.5]}, "crop: expected fractions"),
        ({"crop": [0.5, 0.2]}, "crop: expected fractions"),
        ({"crop": [0.5, 1.5]}, "crop: expected fractions"),
        ({"ratio": [2.0, 1.0]}, "ratio: expected"),
        ({"flip": 2.0}, "flip: expected a probability"),
        ({"seconds": 0}, "seconds: expected more than 0"),
        ({"second": 1.0}, "did you mean 'seconds'"),
    ],
)
def test_bad_plans(values: dict[str, Any], message: str) -> None:
    """Errors name the field."""
    with pytest.raises(ConfigError, match=message):
        from_dict(ViewPlan, values)


def test_modality_without_parts() -> None:
    """Text supports only the whole item."""
    assert apply_view("text", "a dog", View()) == "a dog"
    with pytest.raises(ConfigError, match="text"):
        apply_view("text", "a dog", View(flip=True))
