"""Train/test contamination: what a space's card declares about the data of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from openbind.space.card import Card


def match_sources(card: Card, title: str, overlaps: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the sources in a card that share items with a data set.

    A source matches if its name or origin contains the title or one of the overlaps, or if the
    title starts with its name: "LLVIP" matches "LLVIP, test split", "LLVIP, training split"
    doesn't. Sources that list their items don't match, as these are skipped (`trained_items`).

    Args:
        card: of the space that is measured.
        title: of the data set.
        overlaps: names of data sets that share items with it, or of packages that it comes from.
    """
    whole = title.lower()
    names = (whole, *(name.lower() for name in overlaps))
    return tuple(
        source.name
        for source in card.sources
        if not source.items
        and (
            whole.startswith(source.name.lower())
            or any(name in f"{source.name} {source.origin}".lower() for name in names)
        )
    )


def identify(name: str) -> str:
    """Return what a file of a data set is called in any format: its name without the extension."""
    return PurePath(name).stem


def trained_items(card: Card, title: str) -> frozenset[str]:
    """Return the file names of a data set's items that a space was trained on.

    Args:
        card: of the space that is measured.
        title: of the data set; sources with it in their names count.
    """
    return frozenset(
        name
        for source in card.sources
        if title.lower() in source.name.lower()
        for name in source.items
    )
