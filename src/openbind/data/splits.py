"""Which rows train and which are held out: by split, by a fraction, or by fold."""

from __future__ import annotations

from collections import Counter

import numpy as np

from openbind.data.index import RowView
from openbind.data.pairs import name_split
from openbind.errors import ConfigError


def choose_split(rows: RowView, split: str | None) -> RowView:
    """Return the rows of one split; None returns all.

    Raises:
        ConfigError: the split has no rows.
    """
    if split is None:
        return rows
    names, codes = rows.source.splits, rows.column("split")
    name = name_split(split)
    chosen = np.flatnonzero(codes == names.index(name)) if name in names else np.empty(0, np.int64)
    if not len(chosen):
        counts = Counter(codes.tolist())
        named = ((names[code] if code >= 0 else "(none)", counts[code]) for code in counts)
        listed = ", ".join(f"{found}: {count} rows" for found, count in sorted(named))
        raise ConfigError(f"no rows of the split {split!r}; there are {listed or 'no rows at all'}")
    return rows[chosen]


def hold_out(rows: RowView, fraction: float) -> tuple[RowView, RowView]:
    """Split off validation rows by a hash of their groups' names.

    A row's side depends on its group's name alone: not on the run's seed, so that runs of several
    seeds are compared on the same rows, nor on rows added later (except that each side has at
    least one). Rows of one group stay together.

    Args:
        rows: to split.
        fraction: of them to hold out, in (0, 1); the result differs from it by chance.

    Returns:
        (training rows, held-out rows), both in their order, neither empty.

    Raises:
        ConfigError: a fraction outside (0, 1), or fewer than two groups.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"validation: expected a fraction between 0 and 1, found {fraction}")
    place = _places(rows, 2)
    held = ((place < fraction) | (place == place.min())) & (place < place.max())
    return rows[np.flatnonzero(~held)], rows[np.flatnonzero(held)]


def choose_fold(rows: RowView, folds: int, fold: int) -> tuple[RowView, RowView]:
    """Split rows for cross-validation; rows of one group are in the same fold.

    Args:
        rows: to split.
        folds: number of parts, of about as many groups each.
        fold: which of them is held out, from 0.

    Returns:
        (training rows, held-out rows), both in their order, neither empty.

    Raises:
        ConfigError: fewer groups than folds.
    """
    groups, group = np.unique(_places(rows, folds), return_inverse=True)
    held = (np.arange(len(groups)) % folds == fold)[group.reshape(-1)]
    return rows[np.flatnonzero(~held)], rows[np.flatnonzero(held)]


def _places(rows: RowView, at_least: int) -> np.ndarray:
    """Return the hashes of the rows' groups, of which there have to be some."""
    place = rows.column("place")
    groups = len(np.unique(place))
    if groups < at_least:
        raise ConfigError(
            f"{len(rows)} rows of {groups} groups can't be split for validation, which needs at "
            f"least {at_least} groups; add data or name a validation split"
        )
    return place
