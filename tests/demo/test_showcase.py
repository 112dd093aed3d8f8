"""What the demo shows is computed, and its numbers are those of the metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.demo.samples import SampleItem, read_script, read_unseen
from openbind.demo.showcase import BEST, Showcase, build_showcase

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def showcase(starter: openbind.Space, sample_items: list[SampleItem], samples: Path) -> Showcase:
    """The demo's own."""
    script = read_script(samples)
    return build_showcase(starter, sample_items + read_unseen(script.unseen), script, samples)


def test_sounds_find_images_far_above_chance(showcase: Showcase) -> None:
    """Sound → image on the samples: at least three times chance."""
    (part,) = [d for d in showcase.directions if (d.source, d.target) == ("audio", "image")]
    assert part.trained
    assert part.recall > 3 * part.chance


def test_words_and_sounds_are_emergent(showcase: Showcase) -> None:
    """They never met, and still classify far above chance."""
    (part,) = [d for d in showcase.directions if (d.source, d.target) == ("text", "audio")]
    assert not part.trained
    (found,) = [c for c in showcase.classifications if c.modality == "audio"]
    assert not found.trained
    assert found.accuracy > 5 * found.chance
    right = [item.concept == label for item, label, _ in found.rows]
    assert np.mean(right) == pytest.approx(found.accuracy)


@pytest.mark.parametrize("modality", ["depth", "imu"])
def test_what_was_never_seen_is_named(showcase: Showcase, modality: str) -> None:
    """Unseen rooms and motions get their names at twice the level of chance and more."""
    (found,) = [c for c in showcase.classifications if c.modality == modality]
    assert not found.trained
    assert found.accuracy >= 2 * found.chance


def test_a_space_of_fewer_modalities(
    showcase: Showcase, starter: openbind.Space, sample_items: list[SampleItem], samples: Path
) -> None:
    """What the space has no modality for is excluded; the rest is the same."""
    config = replace(
        starter.config,
        modalities={name: starter.config.modalities[name] for name in ("image", "text")},
    )
    fewer = openbind.Space(config, starter.towers, starter.card, starter.folder)
    found = build_showcase(fewer, sample_items, read_script(samples), samples)
    assert [(d.source, d.target) for d in found.directions] == [("text", "image")]
    assert not found.classifications
    assert set(found.counts) == {"image", "text"}


def test_sum_of_fruit_and_birds_finds_both(showcase: Showcase) -> None:
    """A image that has both is among the best, and the parts aren't answers."""
    fruit_and_birds = showcase.sums[0]
    assert fruit_and_birds.found
    keys = [item.key for item, _ in fruit_and_birds.best]
    assert len(keys) == BEST
    assert not any(
        item.key in keys for item, _ in fruit_and_birds.asked if isinstance(item, SampleItem)
    )


def test_heat_maps(showcase: Showcase) -> None:
    """Concepts in one order on both sides; the diagonal is the brightest on average."""
    for heat_map in showcase.heat_maps:
        size = len(heat_map.concepts)
        assert heat_map.cosines.shape == (size, size)
        assert np.diag(heat_map.cosines).mean() > heat_map.cosines.mean()
