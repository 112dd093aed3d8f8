"""What a space is measured on across modalities: items with their vectors, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openbind.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that was embedded.

    Args:
        title: what a person calls it; the words themselves for words.
        path: its file; empty for words.
        label: its class, in one vocabulary for all modalities; "" is none.
        pair: the scene that it was captured of: items of other modalities with the same key show
            the same; "" is none.
        set: the data set that it belongs to; items are compared within it.
    """

    title: str
    path: str = ""
    label: str = ""
    pair: str = ""
    set: str = ""


@dataclass(frozen=True, kw_only=True)
class EmbeddedItems:
    """The items of one modality.

    Args:
        modality: what they are embedded as.
        items: at least one.
        vectors_NE: float32 unit rows, one for each item.

    Raises:
        InputError: no items, or vectors that are not theirs, not finite or not of unit length.
    """

    modality: str
    items: tuple[Item, ...]
    vectors_NE: np.ndarray

    def __post_init__(self) -> None:
        shape = self.vectors_NE.shape
        if not self.items or len(shape) != 2 or shape[0] != len(self.items):
            expected = f"({len(self.items)}, dim) vectors" if self.items else "at least one item"
            raise InputError(self.modality, f"expected {expected}, found {shape}")
        lengths = np.linalg.norm(self.vectors_NE.astype(np.float64), axis=1)
        # NaN is not near 1 either: rows of items that could not be embedded are found as well.
        wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
        if len(wrong):
            raise InputError(
                f"{self.modality} {self.items[wrong[0]].title!r}",
                f"expected vectors of unit length, found {lengths[wrong[0]]:g}; exclude items "
                "that can't be embedded",
            )

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of its data sets, sorted."""
        return tuple(sorted({item.set for item in self.items}))

    def of_set(self, name: str) -> EmbeddedItems:
        """Keep the items of one data set; there must be some."""
        places = [place for place, item in enumerate(self.items) if item.set == name]
        return EmbeddedItems(
            modality=self.modality,
            items=tuple(self.items[place] for place in places),
            vectors_NE=self.vectors_NE[places],
        )


def answers(queries: Sequence[Item], targets: Sequence[Item], *, by_pair: bool) -> np.ndarray:
    """Return which items answer which: those of the same scene, or those of the same class.

    Returns:
        relevant_QK bool; an item without a key has no answer and is none.
    """
    query_keys = np.array([item.pair if by_pair else item.label for item in queries])
    item_keys = np.array([item.pair if by_pair else item.label for item in targets])
    return np.asarray((query_keys[:, None] == item_keys) & (item_keys != ""))


def share_scenes(queries: Sequence[Item], targets: Sequence[Item]) -> bool:
    """Return whether some of the items were captured together with some of the others."""
    return bool({item.pair for item in queries if item.pair} & {item.pair for item in targets})
