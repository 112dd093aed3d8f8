"""Measures of drawn images tell copies, sets and seeds apart."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.evaluation.drawn import copied_fraction, diversity, kernel_distance, shuffle


def unit(chance: np.random.Generator, *shape: int, shift: float = 0.0) -> np.ndarray:
    values = chance.normal(size=shape) + shift
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


def test_kernel_distance_is_zero_for_one_distribution_and_larger_for_two() -> None:
    chance = np.random.default_rng(0)
    a, b, c = unit(chance, 400, 16), unit(chance, 400, 16), unit(chance, 400, 16, shift=0.5)
    assert abs(kernel_distance(a, b)) < 0.01
    assert kernel_distance(a, c) > 0.1


def test_copies_are_counted_and_other_images_are_not() -> None:
    chance = np.random.default_rng(0)
    trained, held, new = (unit(chance, 300, 32) for _ in range(3))
    drawn = np.concatenate([trained[:30], new[:70]])
    assert copied_fraction(drawn, held, trained) == pytest.approx(0.3, abs=0.05)
    assert copied_fraction(new, held, trained) <= 0.05


def test_diversity_is_zero_for_one_image_and_one_for_unrelated_images() -> None:
    chance = np.random.default_rng(0)
    same = np.repeat(unit(chance, 10, 1, 64), 4, axis=1)
    assert diversity(same) == pytest.approx(0, abs=1e-9)
    assert diversity(unit(chance, 50, 4, 64)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_no_condition_stays_in_its_place(count: int) -> None:
    order = shuffle(count)
    assert sorted(order) == list(range(count))
    assert (order != np.arange(count)).all()
