"""A report has every part, says what was trained together, and warns before the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.report.composition import MOST_DOTS, compose_report, find_trained_pairs
from openbind.evaluation.report.contents import Report
from openbind.space.card import Card, Source
from openbind.space.space import Space


def test_every_part(report: Report, embedded: list[EmbeddedItems]) -> None:
    """Six modalities: 30 directions, all items on the map, a naming for each but words."""
    assert len(report.cells) == 30
    assert len(report.atlas) == sum(len(some.items) for some in embedded) < MOST_DOTS
    assert [(kind.modality, kind.count) for kind in report.kinds] == [
        (some.modality, 4) for some in embedded
    ]
    assert {naming.modality for naming in report.namings} == {k.modality for k in report.kinds} - {
        "text"
    }
    relevance = {(c.query, c.target): c.pools[0].relevance for c in report.cells}
    assert relevance["image", "thermal"] == "scene"
    assert relevance["image", "audio"] == "class"


def test_trained_pairs_are_those_of_towers(starter: openbind.Space) -> None:
    """Videos count as images: what was trained with the one was with the other."""
    pairs = find_trained_pairs(starter)
    others = ("text", "audio", "imu", "depth", "thermal")
    expected = [(shown, other) for shown in ("image", "video") for other in others]
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in [*expected, ("image", "video")]
    }
    assert all((b, a) in pairs for a, b in pairs)
    assert ("text", "audio") not in pairs


def test_warnings(report: Report) -> None:
    """The caller's come first; then overlaps, tasks that weren't asked, and files excluded."""
    first, overlap, skipped, ours, theirs = report.warnings
    assert first == "made up"
    assert overlap.startswith("ours was trained on ESC-10, which shares items with esc50")
    assert skipped == "esc50, ours: probe was not asked: no items to train on"
    assert "1 files could not be used; the first is /data/broken.wav: truncated" in ours
    assert "theirs" in theirs


def test_warns_of_sets_trained_on(starter: openbind.Space, embedded: list[EmbeddedItems]) -> None:
    """A set of the collection whose name is in the name of a source."""
    source = Source(name="Made, split 1", use="pairs", license="CC0", origin="here")
    space = Space(starter.config, starter.towers, Card(sources=(source,)))
    report = compose_report(space, embedded[:2], title="x")
    name = starter.name
    assert report.warnings == (f"{name} was trained on Made, split 1, and is measured on made",)


def test_the_seed_decides(starter: openbind.Space, embedded: list[EmbeddedItems]) -> None:
    """The same seed gives the same report."""
    first, again = (compose_report(starter, embedded[:2], title="x", seed=5) for _ in range(2))
    assert first == again


def test_one_item_is_no_collection(starter: openbind.Space, embedded: list[EmbeddedItems]) -> None:
    """Without anything to compare there is no report."""
    some = embedded[0]
    single = replace(some, items=some.items[:1], vectors_NE=some.vectors_NE[:1])
    with pytest.raises(InputError, match="at least two items"):
        compose_report(starter, [single], title="x")
