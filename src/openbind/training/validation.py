"""Retrieval on held-out rows, in both directions between the two modalities of a pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbind.data.table import PairTable
from openbind.embedding.many import Entry, collect, embed_many
from openbind.errors import ConfigError
from openbind.evaluation.metrics import chance_recall_at, recall_at
from openbind.modalities.spec import View
from openbind.space.space import Space
from openbind.training.distributed import World, gather_objects

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class HeldOut:
    """The validation rows of a pair.

    Args:
        table: the rows.
        vectors_KE: embeddings of its frozen items.
    """

    table: PairTable
    vectors_KE: np.ndarray


@dataclass(frozen=True)
class Retrieval:
    """Retrieval results of one pair.

    Args:
        pair: the two modalities, the frozen one first.
        rows: number of usable rows.
        items: number of frozen items.
        recall: metric such as "audio→image R@1" → value in [0, 1].
        chance: metric → its value in random order.
    """

    pair: tuple[str, str]
    rows: int
    items: int
    recall: dict[str, float]
    chance: dict[str, float]

    def queries(self, metric: str) -> int:
        """Return the number of queries of a metric."""
        return self.items if metric.startswith(f"{self.pair[0]}→") else self.rows

    @property
    def score(self) -> float:
        """The mean of all recalls, by which checkpoints are compared."""
        return float(np.mean(list(self.recall.values())))


def measure_retrieval(
    space: Space,
    pair: tuple[str, str],
    held_out: HeldOut,
    *,
    by_label: bool = False,
    world: World | None = None,
) -> Retrieval:
    """Retrieve each row's frozen items by its other item, and the reverse; all processes must call.

    Args:
        space: embeds the trained side, on its device.
        pair: names of the two modalities, the frozen one first.
        held_out: the rows and the frozen side.
        by_label: all frozen items of a row's label are relevant, not only its own.
        world: the processes, each of which embeds a part of the rows; None is this one alone.

    Raises:
        ConfigError: no row can be used.
    """
    frozen, other = pair
    vectors_QE = _embed_rows(space, other, held_out.table, world or World())
    kept = np.flatnonzero(~np.isnan(vectors_QE).any(axis=1)).tolist()
    if not kept:
        raise ConfigError(f"{frozen}-{other}: no validation row can be used")
    table = held_out.table.only(kept)
    relevant_QK = relevant_items(table, by_label)
    used_K = relevant_QK.any(axis=0)
    relevant_QK = relevant_QK[:, used_K]
    scores_QK = vectors_QE[kept] @ held_out.vectors_KE[used_K].T
    recall, chance = {}, {}
    for name, scores, relevant in (
        (f"{other}→{frozen}", scores_QK, relevant_QK),
        (f"{frozen}→{other}", scores_QK.T, relevant_QK.T),
    ):
        # A rank of the number of items or more finds everything.
        for rank in [k for k in RANKS if k == 1 or k < scores.shape[1]]:
            recall[f"{name} R@{rank}"] = recall_at(scores, relevant, rank)
            chance[f"{name} R@{rank}"] = chance_recall_at(relevant, rank)
    return Retrieval(pair, len(kept), int(used_K.sum()), recall, chance)


def _embed_rows(space: Space, modality: str, table: PairTable, world: World) -> np.ndarray:
    """Embed each row's first item; NaN where it can't be used."""
    rows = table.rows[world.rank :: world.size]
    entries = [Entry(modality, row.items[modality][0], (View(span=row.span),)) for row in rows]
    mine_NE, _ = collect(
        embed_many(space, entries, **world.embedding),
        len(rows),
        space.dim,
    )
    vectors_QE = np.empty((len(table.rows), space.dim), np.float32)
    for rank, part_NE in enumerate(gather_objects(mine_NE, world)):
        vectors_QE[rank :: world.size] = part_NE
    return vectors_QE


def relevant_items(table: PairTable, by_label: bool) -> np.ndarray:
    """Return which frozen items are relevant for which row: (rows, items) bool."""
    relevant_QK = np.zeros((len(table.rows), len(table.anchors)), bool)
    of_label: dict[str, list[int]] = {}
    for index, (row, choice) in enumerate(zip(table.rows, table.choices, strict=True)):
        relevant_QK[index, list(choice)] = True
        if row.label is not None:
            of_label.setdefault(row.label, []).append(index)
    if by_label:
        for rows in of_label.values():
            relevant_QK[rows] = relevant_QK[rows].any(axis=0)
    return relevant_QK
