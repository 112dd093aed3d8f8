"""Items of several modalities that are compared with each other, as plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from openbind.embedding.items import Item
from openbind.errors import InputError
from openbind.evaluation.contamination import identify
from openbind.modalities import TEXT


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Where an item comes from and how it may be used.

    Args:
        author, license, source: as its publisher states them.
    """

    author: str
    license: str
    source: str


@dataclass(frozen=True, kw_only=True)
class CollectionItem:
    """An item with what is known about it.

    Args:
        title: a readable name; of a text the text itself.
        path: its file; None for texts.
        label: its class, in one vocabulary for all modalities of the set; "" is none.
        pair: the scene that it was captured of: items of other modalities with the same key show
            the same scene; "" is none.
        set: the data set that it belongs to; items are compared within it.
        credit: author, license and source of its file.
    """

    title: str
    path: Path | None = None
    label: str = ""
    pair: str = ""
    set: str = ""
    credit: Credit | None = None

    @property
    def content(self) -> Item:
        """What is embedded: the file, or the text."""
        return self.title if self.path is None else self.path


@dataclass(frozen=True, kw_only=True)
class SetSide:
    """The items of one modality of a set.

    Args:
        items: at least one.
        settings: changes of the modality's preprocessing that the files need (units of depth).
    """

    items: tuple[CollectionItem, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ItemSet:
    """Items of several modalities that are searched among each other.

    Args:
        title: of the set.
        sides: modality → its items.
        origins: names of the data that they were taken from, for contamination warnings.
    """

    title: str
    sides: Mapping[str, SetSide]
    origins: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Class → its texts."""
        texts = self.sides[TEXT].items if TEXT in self.sides else ()
        labels = dict.fromkeys(item.label for item in texts if item.label)
        return {label: tuple(i.title for i in texts if i.label == label) for label in labels}

    def without(self, names: Collection[str]) -> ItemSet:
        """Return the set without the items whose file has one of these names, in any format."""
        sides, dropped = {}, {identify(name) for name in names}
        for modality, side in self.sides.items():
            items = tuple(
                i for i in side.items if i.path is None or identify(i.path.name) not in dropped
            )
            if items:
                sides[modality] = replace(side, items=items)
        return replace(self, sides=sides)


@dataclass(frozen=True, kw_only=True)
class EmbeddedItems:
    """The items of one modality with their vectors.

    Args:
        modality: what they are embedded as.
        items: at least one.
        vectors_NE: float32 unit rows, one for each item.

    Raises:
        InputError: no items, or vectors of another count, not finite or not of unit length.
    """

    modality: str
    items: tuple[CollectionItem, ...]
    vectors_NE: np.ndarray

    def __post_init__(self) -> None:
        shape = self.vectors_NE.shape
        if not self.items or len(shape) != 2 or shape[0] != len(self.items):
            expected = f"({len(self.items)}, dim) vectors" if self.items else "at least one item"
            raise InputError(self.modality, f"expected {expected}, found {shape}")
        lengths = np.linalg.norm(self.vectors_NE.astype(np.float64), axis=1)
        # NaN fails this comparison too, so rows of items that couldn't be embedded are refused.
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
        """Return the items of one data set; there must be some."""
        indices = [index for index, item in enumerate(self.items) if item.set == name]
        return EmbeddedItems(
            modality=self.modality,
            items=tuple(self.items[index] for index in indices),
            vectors_NE=self.vectors_NE[indices],
        )


def relevance(
    queries: Sequence[CollectionItem], targets: Sequence[CollectionItem], *, by_pair: bool
) -> np.ndarray:
    """Return which targets are relevant to which query: those of the same scene, or class.

    Returns:
        relevant_QK bool; an item without a key is relevant to none.
    """
    query_keys = np.array([item.pair if by_pair else item.label for item in queries])
    item_keys = np.array([item.pair if by_pair else item.label for item in targets])
    return np.asarray((query_keys[:, None] == item_keys) & (item_keys != ""))


def share_scenes(queries: Sequence[CollectionItem], targets: Sequence[CollectionItem]) -> bool:
    """Return whether any two items of both sides were captured of the same scene."""
    return bool({item.pair for item in queries if item.pair} & {item.pair for item in targets})
