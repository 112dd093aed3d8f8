"""Sources in a card that share items with a data set are found by name."""

from __future__ import annotations

import pytest

from openbind.evaluation.contamination import identify, match_sources, trained_items
from openbind.space.card import Card, Source


def make_card(name: str, origin: str = "here", items: tuple[str, ...] = ()) -> Card:
    """A card with one source."""
    return Card(sources=(Source(name=name, use="", license="", origin=origin, items=items),))


@pytest.mark.parametrize(
    ("name", "origin", "matches"),
    [
        ("LLVIP", "here", True),
        ("LLVIP, test split", "here", True),
        ("LLVIP, training split", "here", False),
        ("RoadScene", "here", False),
        ("street scenes", "made of LLVIP, test split", True),
        ("KAIST", "here", True),
    ],
)
def test_matches(name: str, origin: str, matches: bool) -> None:
    """By name and origin, unless the name is of another split."""
    card = make_card(name, origin)
    assert match_sources(card, "LLVIP, test split", ("Kaist",)) == ((name,) if matches else ())


def test_listed_items_are_skipped_and_not_warned_of() -> None:
    """A source that lists its items is no overlap; its items are those of the data set's name."""
    card = make_card("RoadScene, 2 of 221 pairs", items=("a.jpg", "b.jpg"))
    assert match_sources(card, "RoadScene") == ()
    assert trained_items(card, "RoadScene") == {"a.jpg", "b.jpg"}
    assert trained_items(card, "LLVIP") == frozenset()


def test_a_file_in_another_format_is_the_same() -> None:
    """Only the extension may differ."""
    assert identify("a.b.jpg") == identify("a.b.png") == "a.b"
    assert identify("a.jpg") != identify("b.jpg")
