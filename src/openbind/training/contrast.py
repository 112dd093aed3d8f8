"""The frozen items that a batch is contrasted with: its rows' own, and negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from openbind.data.index import RowView
from openbind.data.sampler import Draws
from openbind.data.table import PairTable
from openbind.training.losses.chunked import Excluded


@dataclass(frozen=True)
class Contrast:
    """The frozen side of a batch.

    Args:
        items_KE: unit vectors: one for each group of positives in the batch, then the negatives.
        target_Q: for each row of the batch, the index of its item.
        excluded: pairs of a row and another of its own positives, which isn't its negative.
        third_KE: unit vectors of the items' third modality, for "gram".
    """

    items_KE: Tensor
    target_Q: Tensor
    excluded: Excluded | None = None
    third_KE: Tensor | None = None

    def items(self) -> Tensor:
        """Return what the loss takes as items: (K, E), or (K, 2, E) with a third modality."""
        if self.third_KE is None:
            return self.items_KE
        return torch.stack([self.items_KE, self.third_KE], dim=1)

    def part(self, rows: slice, device: torch.device) -> Contrast:
        """Return the contrast of some rows of the batch, with the same items, on a device."""
        excluded = None
        if self.excluded is not None:
            queries, items = self.excluded
            mine = (rows.start <= queries) & (queries < rows.stop)
            excluded = (queries[mine] - rows.start).to(device), items[mine].to(device)
        third_KE = None if self.third_KE is None else self.third_KE.to(device)
        items_KE, target_Q = self.items_KE.to(device), self.target_Q[rows].to(device)
        return Contrast(items_KE, target_Q, excluded, third_KE)


class Corpus:
    """The frozen items of a pair, and which of them are positives of which row.

    Args:
        table: the pair's rows.
        vectors_KVE: embeddings of its frozen items.
        positives: "item": only the item drawn for a row is its positive. "row": other items of
            its own aren't its negatives. "label": nor are those of all rows of its label; an item
            of rows with different labels counts for the first.
        similar: nor are items whose cosine with the row's own is above it; None is none.
        third_NE: a third modality's vector of each row, for "gram".
    """

    def __init__(
        self,
        table: PairTable,
        vectors_KVE: Tensor,
        positives: Literal["item", "row", "label"],
        similar: float | None = None,
        third_NE: Tensor | None = None,
    ) -> None:
        self.third_NE = third_NE
        self.table, self.vectors_KVE, self.positives = table, vectors_KVE, positives
        self.similar = similar
        self._group_K = np.arange(len(table.anchors))
        self._group_N: np.ndarray | None = None
        if positives == "label":
            self._group_N = _label_groups(table.rows)
            self._group_K[:] = -1
            rows, anchors = table.choices.flat()
            found, first = np.unique(anchors, return_index=True)
            self._group_K[found] = self._group_N[rows[first]]

    def contrast(
        self,
        draws: Draws,
        negatives: Literal["batch", "corpus"] | int,
        rng: Callable[[], np.random.Generator],
    ) -> Contrast:
        """Choose the items that a batch is contrasted with.

        Args:
            draws: of the whole batch.
            negatives: besides the batch's own items: "batch" none, "corpus" all frozen items of
                other groups, a number a random sample of those (all, if there are fewer).
            rng: makes the generator of the sample and its views.
        """
        groups_Q = self._group_K[draws.anchors_B]
        _, first, target_Q = np.unique(groups_Q, return_index=True, return_inverse=True)
        anchors_K, views_K = draws.anchors_B[first], draws.views_B[first]
        if negatives != "batch":
            others = np.flatnonzero(~np.isin(self._group_K, groups_Q))
            generator = rng()
            if isinstance(negatives, int) and negatives < len(others):
                others = generator.choice(others, negatives, replace=False)
            anchors_K = np.concatenate([anchors_K, others])
            views = generator.integers(self.vectors_KVE.shape[1], size=len(others))
            views_K = np.concatenate([views_K, views])
        target_Q = target_Q.reshape(-1).astype(np.int64)
        excluded = None
        if self.positives != "item" and not self._has_one(draws.rows_B, groups_Q):
            excluded = self._exclude(draws.rows_B, anchors_K, target_Q)
        items_KE = self._vectors(anchors_K, views_K)
        target = torch.from_numpy(target_Q)
        if self.similar is not None:
            excluded = _exclude_similar(items_KE, target, self.similar, excluded)
        # Rows that share an item share the third of the first of them.
        third_KE = None if self.third_NE is None else self.third_NE[draws.rows_B[first]]
        return Contrast(items_KE, target, excluded, third_KE)

    def _vectors(self, anchors_K: np.ndarray, views_K: np.ndarray) -> Tensor:
        """Return the vectors of views of items; one index takes a third of the time of two."""
        views = self.vectors_KVE.shape[1]
        if views == 1 or self.vectors_KVE.stride(1) == 0:  # all views have the same vector
            return self.vectors_KVE[:, 0].index_select(0, torch.from_numpy(anchors_K))
        rows_K = torch.from_numpy(anchors_K * views + views_K)
        return self.vectors_KVE.flatten(0, 1).index_select(0, rows_K)

    def _has_one(self, rows_Q: np.ndarray, groups_Q: np.ndarray) -> bool:
        """Return whether each row has one item, and no positives but those of its group."""
        if (self.table.choices.count_N[rows_Q] != 1).any():
            return False
        return self._group_N is None or bool((self._group_N[rows_Q] == groups_Q).all())

    def _exclude(
        self, rows_Q: np.ndarray, anchors_K: np.ndarray, target_Q: np.ndarray
    ) -> Excluded | None:
        """Find the positives of each row among the items, without its target."""
        groups_K = self._group_K[anchors_K]
        order_K = np.argsort(groups_K, kind="stable")
        sorted_K = groups_K[order_K]
        query_R, anchor_R = self.table.choices.gather(rows_Q)
        group_R = self._group_K[anchor_R]
        if self._group_N is not None:  # the label's, beside those of the row's items
            query_R = np.concatenate([query_R, np.arange(len(rows_Q))])
            group_R = np.concatenate([group_R, self._group_N[rows_Q]])
        # Pairs of a query and a group, each once, as one number.
        count = 1 + group_R.max()
        query_R, group_R = np.divmod(np.unique(query_R * count + group_R), count)
        start_R, end_R = (np.searchsorted(sorted_K, group_R, side) for side in ("left", "right"))
        found_R = end_R - start_R
        shift_R = start_R - (np.cumsum(found_R) - found_R)
        items = order_K[np.repeat(shift_R, found_R) + np.arange(found_R.sum())]
        queries = np.repeat(query_R, found_R)
        others = items != target_Q[queries]
        if not others.any():
            return None
        return torch.from_numpy(queries[others]), torch.from_numpy(items[others])


def _label_groups(rows: RowView) -> np.ndarray:
    """Number the rows' labels; a row without one is a group of its own."""
    group_N = rows.column("label").astype(np.int64)
    alone = np.flatnonzero(group_N < 0)
    group_N[alone] = len(rows.source.labels) + np.arange(len(alone))
    return group_N


def _exclude_similar(
    items_KE: Tensor, target_Q: Tensor, similar: float, excluded: Excluded | None
) -> Excluded | None:
    """Add the items that are nearly a row's own to what isn't its negative."""
    near_QK = (items_KE @ items_KE.T > similar)[target_Q]
    if excluded is not None:
        near_QK[excluded] = True
    near_QK[torch.arange(len(target_Q)), target_Q] = False
    queries, items = near_QK.nonzero(as_tuple=True)
    return (queries, items) if len(queries) else None
