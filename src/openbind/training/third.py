"""A third modality of a pair's rows, frozen too: what `loss: gram` needs beside the pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from openbind.data.listing import read_rows
from openbind.data.loader import SkippedItem
from openbind.data.table import PairTable
from openbind.embedding.many import Entry
from openbind.errors import ConfigError
from openbind.modalities.spec import View
from openbind.training.recipe import PairPlan
from openbind.training.validation import embed_shared

if TYPE_CHECKING:
    from openbind.training.pair_state import Preparation


def read_third(
    plan: PairPlan, table: PairTable, given: Preparation
) -> tuple[PairTable, dict[str, np.ndarray], list[SkippedItem]]:
    """Embed the first item of the third modality of each row; all processes must call.

    Args:
        plan: of the pair.
        table: its rows.
        given: what the pairs have in common.

    Returns:
        the rows that have one, their vectors by key, and those that have none.

    Raises:
        ConfigError: no row has one.
    """
    assert plan.third is not None
    pair = plan.third, plan.pair[1]
    found = {row.key: row for row in read_rows(plan.data, pair, given.root).rows}
    own = [index for index, row in enumerate(table.rows) if row.key in found]
    entries = [
        Entry(plan.third, row.items[plan.third][0], (View(span=row.span),))
        for row in (found[table.rows[index].key] for index in own)
    ]
    vectors_NE = embed_shared(given.space, entries, given.world)
    vectors = {
        table.rows[index].key: vector
        for index, vector in zip(own, vectors_NE, strict=True)
        if not np.isnan(vector).any()
    }
    if not vectors:
        raise ConfigError(f"{plan.name}: third: no row has {plan.third} that can be used")
    reason = f"it has no {plan.third} that can be used"
    missing = [row.key for row in table.rows if row.key not in vectors]
    skipped = [SkippedItem(plan.name, key, reason) for key in missing]
    kept = [index for index, row in enumerate(table.rows) if row.key in vectors]
    return table.only(kept), vectors, skipped


def stack_third(table: PairTable, vectors: dict[str, np.ndarray]) -> torch.Tensor | None:
    """Return the third vector of each row (N, E); None without a third modality."""
    if not vectors:
        return None
    return torch.from_numpy(np.stack([vectors[row.key] for row in table.rows]))
