"""Pairs: aligned samples of two modalities, before anything is decoded."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbind.embedding.items import Item
from openbind.errors import shorten

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Common names of splits, in lower case → the name used here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One aligned sample.

    Args:
        key: its name in the source, stable across runs: random choices depend on it.
        items: modality → its items, one of which is drawn at a time (a sound may have several
            images of the same class, an image several captions).
        label: class label; with `positives: label`, rows of one label match each other.
        split: "train", "val", ...; None where the source has no splits.
        span: seconds (start, end) of its recordings that it covers; None is all of them.
        group: what it shares with other rows, the recording it was cut from for instance; rows of
            one group are held out together. None is a group of its own, by its key.
        weight: how much it counts beside others where a head's features are standardized and its
            ridge regression is solved, not at all with 0; steps draw all rows alike.
    """

    key: str
    items: Mapping[str, tuple[Item, ...]]
    label: str | None = None
    split: str | None = None
    span: tuple[float, float] | None = None
    group: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Rows:
    """The rows that a source finds.

    Args:
        rows: in the source's order, the same in every run; they may be read one by one while the
            source goes on, and once only.
        excluded: what was skipped and why, as sentences without a full stop; complete when all
            rows have been read.
    """

    rows: Iterable[Row]
    excluded: Sequence[str] = ()


class RowItems(Mapping[str, tuple[Item, ...]]):
    """The items of one row, as a source reads them by the million.

    A file stays its path's text, and becomes a `Path`, which takes a while, on access only.

    Args:
        modalities: names of the row's modalities; one tuple is shared by all rows.
        cells: for each modality the text of one path, or the items themselves.
        root: where relative texts of paths start.
    """

    __slots__ = ("_cells", "_modalities", "_root")

    def __init__(
        self,
        modalities: tuple[str, ...],
        cells: tuple[str | tuple[Item, ...], ...],
        root: str = "",
    ) -> None:
        self._modalities, self._cells, self._root = modalities, cells, root

    @property
    def root(self) -> str:
        """Where relative texts of paths start."""
        return self._root

    def path_of(self, modality: str) -> str | None:
        """Return the text of a modality's only file; None if it has other items, or several."""
        cell = self._cells[self._modalities.index(modality)]
        return cell if isinstance(cell, str) else None

    def __getitem__(self, modality: str) -> tuple[Item, ...]:
        if modality not in self._modalities:
            raise KeyError(modality)
        cell = self._cells[self._modalities.index(modality)]
        return (Path(self._root, cell),) if isinstance(cell, str) else cell

    def __iter__(self) -> Iterator[str]:
        return iter(self._modalities)

    def __len__(self) -> int:
        return len(self._modalities)

    def __repr__(self) -> str:
        return repr(dict(self))


def name_split(name: str) -> str:
    """Normalize a split's name: "valid" and "validation" become "val"."""
    return SPLITS.get(name.lower(), name)


def read_name(value: Any) -> str | None:
    """Read a row's label or split, text or a number, as an interned string; None for None and "".

    Raises:
        ValueError: a list or an object; the caller adds the location.
    """
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"expected one label or split, found {shorten(value)}")
    text = "" if value is None else str(value).strip()
    return sys.intern(text) if text else None


def read_split(value: Any) -> str | None:
    """Read a row's split as `read_name` does, with its name normalized."""
    name = read_name(value)
    return None if name is None else name_split(name)


def read_weight(value: Any) -> float:
    """Read a row's weight, a number or text; 1 for None and "".

    Raises:
        ValueError: not a finite number of at least 0; the caller adds the location.
    """
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (OverflowError, TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight: expected a number of at least 0, found {shorten(value)}")
    return weight


def read_span(start: Any, end: Any) -> tuple[float, float] | None:
    """Read a row's `start` and `end` in seconds, as numbers or text; None where both are empty.

    Raises:
        ValueError: one without the other, not numbers, or not 0 ≤ start < end; the caller adds
            the location.
    """
    missing = [value is None or value == "" for value in (start, end)]
    if all(missing):
        return None
    if any(missing):
        raise ValueError(
            f"expected start and end or neither, found {shorten(start)} and {shorten(end)}"
        )
    try:
        span = (float(start), float(end))
    except (OverflowError, TypeError, ValueError) as error:
        found = f"{shorten(start)} and {shorten(end)}"
        raise ValueError(f"expected start and end in seconds, found {found}") from error
    if not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"expected 0 ≤ start < end, found {span[0]:g} and {span[1]:g}")
    return span
