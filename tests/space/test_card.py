"""A card says what was trained, measured and used, and reads well as Markdown."""

from __future__ import annotations

from openbind.configs import from_dict, to_dict
from openbind.space.card import Card, Measurement, Source, to_markdown

CARD = Card(
    summary="A small space.",
    license="Apache-2.0",
    trained_pairs=(("image", "audio"),),
    sources=(Source(name="Net", use="text tower", license="MIT", origin="a package"),),
    measurements=(Measurement(task="t", metric="accuracy", value=0.5, chance=0.1, data="d"),),
    limits=("It can't hear.",),
)


def test_round_trip() -> None:
    """A card survives JSON."""
    assert from_dict(Card, to_dict(CARD)) == CARD


def test_markdown_says_everything() -> None:
    """Pairs, numbers with chance, sources with licenses, limits."""
    text = to_markdown("mini", CARD)
    for part in ("# mini", "image–audio", "0.500", "0.100", "| Net | text tower | MIT |", "- It"):
        assert part in text
