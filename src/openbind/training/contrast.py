"""What a batch is contrasted with: the frozen items of its rows, each once, and extra negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from openbind.data.sampler import Draw
from openbind.data.table import PairTable


@dataclass(frozen=True)
class Contrast:
    """The frozen side of a batch.

    Args:
        items_KE: unit vectors: one of each thing in the batch, then the extra negatives.
        target_Q: for each row of the batch, the index of its item.
    """

    items_KE: torch.Tensor
    target_Q: torch.Tensor


class Corpus:
    """The frozen items of a pair, and which of them are of one thing.

    Args:
        table: the pair's rows.
        vectors_KVE: embeddings of its frozen items.
        positives: "item" and "row" make each frozen item a thing of its own; "label" makes those
            of one label, by the first row that has them, one thing.
    """

    def __init__(
        self,
        table: PairTable,
        vectors_KVE: torch.Tensor,
        positives: Literal["item", "row", "label"],
    ) -> None:
        self.vectors_KVE = vectors_KVE
        self.thing_K = np.arange(len(table.anchors))
        if positives == "label":
            numbers: dict[str, int] = {}
            self.thing_K[:] = -1
            for row, choice in zip(table.rows, table.choices, strict=True):
                number = numbers.setdefault(row.label or f"row {row.key}", len(numbers))
                for anchor in choice:
                    if self.thing_K[anchor] < 0:
                        self.thing_K[anchor] = number

    def contrast(
        self,
        draws: Sequence[Draw],
        negatives: Literal["batch", "corpus"] | int,
        rng: np.random.Generator,
    ) -> Contrast:
        """Choose what a batch is contrasted with.

        Args:
            draws: of the whole batch.
            negatives: "batch" adds none, "corpus" all frozen items of other things, a number so
                many of those (all, if there are fewer).
            rng: which of them, and which of their views.
        """
        things_Q = self.thing_K[[draw.anchor for draw in draws]]
        _, first, target_Q = np.unique(things_Q, return_index=True, return_inverse=True)
        chosen = [(draws[i].anchor, draws[i].view) for i in first]
        own_KE = self.vectors_KVE[[a for a, _ in chosen], [v for _, v in chosen]]
        target = torch.from_numpy(target_Q.reshape(-1).astype(np.int64))
        if negatives == "batch":
            return Contrast(own_KE, target)
        others = np.flatnonzero(~np.isin(self.thing_K, things_Q))
        if isinstance(negatives, int) and negatives < len(others):
            others = rng.choice(others, negatives, replace=False)
        views = rng.integers(self.vectors_KVE.shape[1], size=len(others))
        extra_KE = self.vectors_KVE[torch.from_numpy(others), torch.from_numpy(views)]
        return Contrast(torch.cat([own_KE, extra_KE]), target)
