"""Held-out items are drawn, beside the nearest image of the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import openbind
from openbind.evaluation.builtin import find_sets
from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.report.imagined import EACH, imagine
from openbind.evaluation.samples import read_script, samples_folder


def test_sounds_are_drawn(starter: openbind.Space, painter: Any) -> None:
    """Each with images and a neighbor; nothing without a decoder."""
    part = read_script(samples_folder()).drawn
    assert part is not None
    part = replace(part, labels=part.labels[:2])
    sets = find_sets()
    held = next(held for held in sets if held.title == part.set)
    assert set(part.labels) <= {item.label for item in held.sides[part.modality].items}
    items = held.sides["image"].items[:3]
    vectors_NE = starter.encode("image", [item.content for item in items])
    images = EmbeddedItems(modality="image", items=items, vectors_NE=vectors_NE)
    space = starter.with_generator(painter(starter.dim))
    drawn = imagine(Embedder(space), part, sets, images)
    assert [each.item.label for each in drawn] == list(part.labels)
    for each in drawn:
        assert len(each.images) == EACH
        assert each.images[0].startswith("data:image/png;base64,")
        assert each.nearest.item in items
    plain = starter.with_limits()
    plain.generator = None
    assert imagine(Embedder(plain), part, sets, images) == []
