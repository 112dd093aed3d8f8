"""Retrieval on held-out rows, in both directions between two modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.data.table import PairTable
from openbind.embedding.many import Entry, collect, embed_many
from openbind.errors import ConfigError
from openbind.evaluation.metrics import chance_recall_at, recall_at
from openbind.modalities.spec import View
from openbind.space.space import Space
from openbind.training.distributed import World, gather_objects

RANKS = (1, 5, 10)
SHOWN = 5
"""Frozen items that an example has."""


@dataclass(frozen=True)
class HeldOut:
    """The validation rows of a pair.

    Args:
        table: the rows.
        vectors_KE: embeddings of its frozen items; None where that side is trained too, and
            embedded at each measurement.
    """

    table: PairTable
    vectors_KE: np.ndarray | None

    def metrics(self, pair: tuple[str, str]) -> list[str]:
        """Return the names of what is measured, if all items can be used."""
        frozen, other = pair
        counts = {f"{other}→{frozen}": len(self.table.anchors)}
        counts[f"{frozen}→{other}"] = len(self.table.rows)
        return [f"{name} R@{rank}" for name, count in counts.items() for rank in ranks_of(count)]


@dataclass(frozen=True)
class Example:
    """What one row retrieves.

    Args:
        query: entry of the row's other item.
        found: entries of the frozen items that are nearest, in order.
        relevant: which of them are the row's own.
    """

    query: Entry
    found: tuple[Entry, ...]
    relevant: tuple[bool, ...]


@dataclass(frozen=True)
class Retrieval:
    """Retrieval results of one pair.

    Args:
        pair: the two modalities, the frozen one first.
        rows: number of usable rows.
        items: number of frozen items.
        recall: metric such as "audio→image R@1" → value in [0, 1].
        chance: metric → its value in random order.
        examples: what some rows retrieve.
        together: whether the two were trained together.
    """

    pair: tuple[str, str]
    rows: int
    items: int
    recall: dict[str, float]
    chance: dict[str, float]
    examples: tuple[Example, ...] = ()
    together: bool = True

    def queries(self, metric: str) -> int:
        """Return the number of queries of a metric."""
        return self.items if metric.startswith(f"{self.pair[0]}→") else self.rows

    @property
    def score(self) -> float:
        """The mean of all recalls, by which checkpoints are compared."""
        return float(np.mean(list(self.recall.values())))


@dataclass(frozen=True)
class Validation:
    """All that one validation measures.

    Args:
        pairs: name of a pair in logs → its retrieval.
        emergence: name of two modalities that aren't trained together → their retrieval.
    """

    pairs: Mapping[str, Retrieval]
    emergence: Mapping[str, Retrieval]

    @property
    def mean(self) -> float:
        """The mean over the pairs, by which checkpoints are compared if no metric is chosen."""
        scores = [result.score for result in (self.pairs or self.emergence).values()]
        return float(np.mean(scores))

    def numbers(self) -> dict[str, Any]:
        """Return what is logged."""
        parts = {"validation": self.pairs, "emergence": self.emergence}
        return {
            part: {name: result.recall for name, result in found.items()}
            for part, found in parts.items()
            if found
        }


def ranks_of(count: int) -> list[int]:
    """Return the ranks at which recall is measured among so many items.

    A rank of the number of items or more finds everything.
    """
    return [rank for rank in RANKS if rank == 1 or rank < count]


def measure_retrieval(
    space: Space,
    pair: tuple[str, str],
    held_out: HeldOut,
    *,
    by_label: bool = False,
    world: World | None = None,
    examples: int = 0,
    together: bool = True,
) -> Retrieval:
    """Retrieve each row's frozen items by its other item, and the reverse; all processes must call.

    Args:
        space: embeds the trained side, on its device.
        pair: names of the two modalities, the frozen one first.
        held_out: the rows and the frozen side.
        by_label: all frozen items of a row's label are relevant, not only its own.
        world: the processes, each of which embeds a part of the rows; None is this one alone.
        examples: rows, evenly spaced, whose nearest frozen items are returned.
        together: whether the two are trained together.

    Raises:
        ConfigError: no row can be used.
    """
    frozen, other = pair
    world = world or World()
    held_out = _with_vectors(space, frozen, held_out, world)
    assert held_out.vectors_KE is not None
    vectors_QE = embed_shared(space, _row_entries(other, held_out.table), world)
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
        for rank in ranks_of(scores.shape[1]):
            recall[f"{name} R@{rank}"] = recall_at(scores, relevant, rank)
            chance[f"{name} R@{rank}"] = chance_recall_at(relevant, rank)
    shown = _examples(pair, table, np.flatnonzero(used_K), scores_QK, relevant_QK, examples)
    return Retrieval(pair, len(kept), int(used_K.sum()), recall, chance, shown, together)


def _with_vectors(space: Space, frozen: str, held_out: HeldOut, world: World) -> HeldOut:
    """Embed the first side where it is trained too, and drop what can't be used of it."""
    if held_out.vectors_KE is not None:
        return held_out
    vectors_KE = embed_shared(space, _item_entries(frozen, held_out.table), world)
    broken = np.flatnonzero(np.isnan(vectors_KE).any(axis=1)).tolist()
    table = held_out.table.without(dict.fromkeys(broken, ""))
    return HeldOut(table, np.delete(vectors_KE, broken, axis=0))


def _row_entries(modality: str, table: PairTable) -> list[Entry]:
    """Return each row's first item."""
    return [Entry(modality, row.items[modality][0], (View(span=row.span),)) for row in table.rows]


def _item_entries(modality: str, table: PairTable) -> list[Entry]:
    return [Entry(modality, own.item, (View(span=own.span),)) for own in table.anchors]


def _examples(
    pair: tuple[str, str],
    table: PairTable,
    used: np.ndarray,
    scores_QK: np.ndarray,
    relevant_QK: np.ndarray,
    count: int,
) -> tuple[Example, ...]:
    """Return what some rows retrieve; `used` are the columns' indices in the table."""
    if not count:
        return ()
    frozen, other = pair
    chosen = np.unique(np.linspace(0, len(scores_QK) - 1, count).astype(int))
    rows, items = _row_entries(other, table.only(chosen.tolist())), _item_entries(frozen, table)
    examples = []
    for query, entry in zip(chosen, rows, strict=True):
        nearest = np.argsort(-scores_QK[query], kind="stable")[:SHOWN]
        found = tuple(items[used[item]] for item in nearest)
        examples.append(Example(entry, found, tuple(relevant_QK[query, nearest].tolist())))
    return tuple(examples)


def embed_shared(space: Space, entries: Sequence[Entry], world: World) -> np.ndarray:
    """Embed items of one view, each process a part; NaN where one can't be used; all must call."""
    mine = entries[world.rank :: world.size]
    mine_NE, _ = collect(embed_many(space, mine, **world.embedding), len(mine), space.dim)
    vectors_NE = np.empty((len(entries), space.dim), np.float32)
    for rank, part_NE in enumerate(gather_objects(mine_NE, world)):
        vectors_NE[rank :: world.size] = part_NE
    return vectors_NE


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
