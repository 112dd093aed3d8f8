"""Cosines of unrelated pairs, measured on an index's own rows: a card's are of other files.

Rows are paired at random, equal files excluded. Pairs of modalities with few rows keep what the
card says, and so do texts, which no index has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.atomic import atomic_path
from openbind.configs import from_dict
from openbind.errors import ConfigError, OpenbindError
from openbind.space.calibration import Unrelated, measure_unrelated
from openbind.space.card import Card

if TYPE_CHECKING:
    from openbind.search.store import Store

UNRELATED = "unrelated.json"
"""The file in an index's folder."""
MIN_ROWS = 100
"""Rows of a modality below which the card's numbers are used."""
MAX_ROWS = 4000
"""Rows that are drawn from an index."""
EACH_ROWS = 500
"""Of these, rows of one modality that are paired."""
CHANGE = 1.2
"""Factor by which an index grows or shrinks until it is measured again."""


def write_unrelated(store: Store) -> None:
    """Measure an index in a folder, unless it has about as many rows as when it was measured.

    Args:
        store: of the index; its writer's lock is held.
    """
    if store.folder is None:
        return
    path, rows = store.folder / UNRELATED, store.rows
    known = _read(path).get("rows")
    if rows < MIN_ROWS or (known and known / CHANGE <= rows <= known * CHANGE):
        return
    with suppress(OSError, OpenbindError):  # without it the card's numbers are used
        found = measure_rows(*_draw(store, rows))
        plain = {"rows": rows, "unrelated": [asdict(each) for each in found]}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def refine_card(card: Card, folder: Path | None) -> Card:
    """Return a card with an index's own cosines of unrelated pairs in place of the space's.

    Args:
        card: of the space.
        folder: of the index; None for one in an object store, which has none of its own.
    """
    if folder is None:
        return card
    own = []
    with suppress(ConfigError, TypeError, KeyError):
        own = [from_dict(Unrelated, each) for each in _read(folder / UNRELATED)["unrelated"]]
    pairs = {frozenset(each.modalities) for each in own}
    others = [each for each in card.unrelated if frozenset(each.modalities) not in pairs]
    return replace(card, unrelated=(*own, *others))


def measure_rows(
    rows: Mapping[str, np.ndarray], sources: Mapping[str, np.ndarray]
) -> list[Unrelated]:
    """Measure the cosines of rows of all pairs of modalities.

    Args:
        rows: modality → unit vectors (n, dim); those of fewer than `MIN_ROWS` are skipped.
        sources: modality → what each row comes from, (n,); rows of one aren't paired.
    """
    kept = {name: own_NE for name, own_NE in rows.items() if len(own_NE) >= MIN_ROWS}
    return [
        measure_unrelated((a, b), kept[a], kept[b], sources[a][:, None] == sources[b])
        for a, b in combinations_with_replacement(kept, 2)
    ]


def _draw(store: Store, count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draw rows: vectors and contents by modality."""
    from openbind.search.columns import vectors_of

    chosen = np.random.default_rng(0).choice(count, min(count, MAX_ROWS), replace=False)
    query = store.table.rows.take_offsets(sorted(map(int, chosen)))
    found = query.select(["modality", "hash", "vector"]).to_arrow()
    vectors_KE = vectors_of(found.column("vector"), store.table.dim)
    names_K = np.asarray(found.column("modality").to_pylist())
    sources_K = np.asarray(found.column("hash").to_pylist())
    places = {str(name): np.flatnonzero(names_K == name) for name in np.unique(names_K)}
    spread = {
        name: own[np.linspace(0, len(own) - 1, min(len(own), EACH_ROWS), dtype=int)]
        for name, own in places.items()
    }
    vectors = {name: vectors_KE[own] for name, own in spread.items()}
    return vectors, {name: sources_K[own] for name, own in spread.items()}


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}
