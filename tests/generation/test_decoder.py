"""Requests to a decoder: checked in one place, deterministic, cancelable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openbind.errors import InputError
from openbind.generation.decoder import (
    MAX_CANDIDATES,
    MAX_SEED,
    CanceledError,
    check_accepted,
    generate,
    image_seeds,
)


@pytest.fixture(scope="module", name="painter")
def _painter(painter: Any) -> Any:
    return painter(8)


UNIT = np.eye(8, dtype=np.float32)


def test_one_vector_or_several(painter: Any) -> None:
    """One gives a list of images, several a list for each, none an empty list."""
    one = generate(painter, UNIT[0], n=2)
    assert [image.size for image in one] == [(16, 16)] * 2
    assert [len(images) for images in generate(painter, UNIT[:3], n=2)] == [2, 2, 2]
    assert generate(painter, UNIT[:0]) == []
    assert len(generate(painter, UNIT[:1].astype(np.float16))[0]) == 4


def test_seed_decides_whatever_the_batch(painter: Any) -> None:
    """The same vector and seed give the same images, alone or among others."""
    (alone,) = generate(painter, UNIT[1], n=1, seed=5)
    among = generate(painter, UNIT[:3], n=2, seed=5)[1]
    assert alone.tobytes() == among[0].tobytes()
    assert among[0].tobytes() != among[1].tobytes()
    assert generate(painter, UNIT[1], n=1, seed=6)[0].tobytes() != alone.tobytes()
    assert len(set(image_seeds(MAX_SEED, 9))) == 9


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (np.eye(7, dtype=np.float32)[0], "another space"),
        (np.ones((1, 1, 8), np.float32), "expected vectors"),
        (np.eye(8, dtype=np.int64)[0], "expected vectors"),
        (["a dog"], "expected vectors"),
        (np.full(8, np.nan, np.float32), "NaN"),
        (np.stack([UNIT[0], np.full(8, np.inf, np.float32)]), "row 1"),
        (20 * UNIT[0], "length 20"),
        (0 * UNIT[0], "length 0"),
    ],
)
def test_wrong_vectors(painter: Any, vectors: Any, reason: str) -> None:
    """Vectors of another space, NaN, and lengths other than 1 are refused."""
    with pytest.raises(InputError, match=reason):
        generate(painter, vectors)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n", value) for value in (0, -1, 1.5, True)),
        *(("candidates", value) for value in (0, -1, 1.5, True, MAX_CANDIDATES + 1, 2)),
        *(("steps", value) for value in (0, -3, 2.5)),
        *(("seed", value) for value in (-1, MAX_SEED + 1, 0.5, None)),
        *(("guidance", value) for value in (-1.0, float("nan"), float("inf"))),
    ],
)
def test_wrong_numbers(painter: Any, name: str, value: Any) -> None:
    """Each number is named that is out of its range; two candidates need something to choose."""
    with pytest.raises(InputError) as caught:
        generate(painter, UNIT[0], **{name: value})
    assert caught.value.item == name


def test_candidates_are_chosen_among(painter: Any) -> None:
    """The one whose vector is nearest is kept; it doesn't depend on how many images there are."""

    def look(images: list[Any]) -> np.ndarray:
        first = np.array([image.getpixel((0, 0))[0] / 255 for image in images])
        return np.stack([first, *[np.sqrt(1 - first**2)] * 7], axis=1)

    options = {"candidates": 5, "seed": 3, "look": look}
    one, two = (generate(painter, UNIT[0], n=n, **options) for n in (1, 2))
    assert [len(one), len(two)] == [1, 2]
    assert one[0].tobytes() == two[0].tobytes() != two[1].tobytes()
    drawn = generate(painter, UNIT[0], n=10, candidates=1, seed=3)
    best = max(drawn[:5], key=lambda image: image.getpixel((0, 0))[0])
    assert one[0].tobytes() == best.tobytes()


def test_progress_can_cancel(painter: Any) -> None:
    """It is called after each step, until it returns False."""
    seen = []
    generate(painter, UNIT[0], steps=2, progress=lambda *at: seen.append(at) or True)
    assert seen == [(1, 2), (2, 2)]
    with pytest.raises(CanceledError):
        generate(painter, UNIT[0], progress=lambda done, total: done < 2)


def test_image_sides(painter: Any) -> None:
    """A decoder of another image side is refused, with both named."""
    check_accepted(painter, {"painted", "other"}, "space")
    with pytest.raises(InputError, match=r"painted.*clip"):
        check_accepted(painter, {"clip"}, "space")
