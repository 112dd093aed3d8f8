"""Retrieval on rows that don't train: does a sound find its image, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from openbind.data.pairs import Row
from openbind.data.table import PairTable
from openbind.data.views import apply_view
from openbind.embedding.items import open_item
from openbind.errors import ConfigError, InputError
from openbind.evaluation.metrics import chance_recall_at, recall_at
from openbind.modalities.spec import View
from openbind.space.decoding import map_ahead
from openbind.space.space import Space

RANKS = (1, 5, 10)
CHUNK = 64
"""Items that are open at once."""


@dataclass(frozen=True)
class Retrieval:
    """Numbers of one pair.

    Args:
        pair: the two modalities, the frozen one first.
        rows: how many were looked at.
        items: frozen items among which they search.
        recall: "other→frozen R@1" and the like → the share found.
        chance: the same of a random order.
    """

    pair: tuple[str, str]
    rows: int
    items: int
    recall: dict[str, float]
    chance: dict[str, float]

    @property
    def score(self) -> float:
        """One number to compare checkpoints by: the mean of all recalls."""
        return float(np.mean(list(self.recall.values())))


def measure_retrieval(
    space: Space,
    pair: tuple[str, str],
    table: PairTable,
    vectors_KE: np.ndarray,
    *,
    by_label: bool = False,
) -> Retrieval:
    """Search with each row's item among the frozen items, and back.

    Args:
        space: embeds the trained side.
        pair: names of the two modalities, the frozen one first.
        table: rows that didn't train.
        vectors_KE: embeddings of the table's frozen items.
        by_label: all frozen items of a row's label are right, not only its own.

    Raises:
        ConfigError: none of the rows can be used.
    """
    frozen, other = pair
    vectors_QE = _encode_rows(space, other, table.rows)
    kept = np.flatnonzero(~np.isnan(vectors_QE).any(axis=1)).tolist()
    if not kept:
        raise ConfigError(f"{frozen}-{other}: no validation row can be used")
    table = table.only(kept)
    right_QK = relevant_items(table, by_label)
    used_K = right_QK.any(axis=0)
    scores_QK, right_QK = (vectors_QE[kept] @ vectors_KE.T)[:, used_K], right_QK[:, used_K]
    recall, chance = {}, {}
    for name, scores, right in (
        (f"{other}→{frozen}", scores_QK, right_QK),
        (f"{frozen}→{other}", scores_QK.T, right_QK.T),
    ):
        # Among as many as there are, everything is found.
        for rank in [k for k in RANKS if k == 1 or k < scores.shape[1]]:
            recall[f"{name} R@{rank}"] = recall_at(scores, right, rank)
            chance[f"{name} R@{rank}"] = chance_recall_at(right, rank)
    return Retrieval(pair, len(kept), int(used_K.sum()), recall, chance)


def _encode_rows(space: Space, modality: str, rows: Sequence[Row]) -> np.ndarray:
    """Embed each row's first item, NaN for one that can't be used; a few are open at a time."""

    def show_row(row: Row) -> Any:
        return apply_view(modality, open_item(row.items[modality][0]), View(span=row.span))

    vectors_QE = np.full((len(rows), space.dim), np.nan, np.float32)
    opened = zip(range(len(rows)), map_ahead(show_row, rows), strict=True)
    while chunk := list(islice(opened, CHUNK)):
        places, items = [], []
        for place, result in chunk:
            with suppress(InputError):
                items.append(result())
                places.append(place)
        vectors_QE[places] = space.encode(modality, items, on_error=lambda index, error: None)
    return vectors_QE


def relevant_items(table: PairTable, by_label: bool) -> np.ndarray:
    """Return which frozen items answer which row: (rows, items), bool."""
    right_QK = np.zeros((len(table.rows), len(table.anchors)), bool)
    of_label: dict[str, list[int]] = {}
    for index, (row, choice) in enumerate(zip(table.rows, table.choices, strict=True)):
        right_QK[index, list(choice)] = True
        if row.label is not None:
            of_label.setdefault(row.label, []).append(index)
    if by_label:
        for rows in of_label.values():
            right_QK[rows] = right_QK[rows].any(axis=0)
    return right_QK


def choose_rows(table: PairTable, limit: int) -> PairTable:
    """Take rows spread evenly over a table, at most `limit`, with their frozen items alone."""
    step = max(1.0, len(table.rows) / limit)
    rows = [int(i * step) for i in range(min(limit, len(table.rows)))]
    return _compact(table.only(rows))


def _compact(table: PairTable) -> PairTable:
    used: Sequence[int] = sorted({anchor for choice in table.choices for anchor in choice})
    place = {anchor: index for index, anchor in enumerate(used)}
    return PairTable(
        rows=table.rows,
        anchors=[table.anchors[anchor] for anchor in used],
        choices=[tuple(place[anchor] for anchor in choice) for choice in table.choices],
    )
