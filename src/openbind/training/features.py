"""The trained side where only a head is trained: the frozen body's features, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from openbind.data.items import open_item
from openbind.data.loader import Broken, KeptFeatures, Side, show
from openbind.data.pairs import Row
from openbind.data.table import PairTable
from openbind.encoding import map_ahead
from openbind.errors import ConfigError, InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import View
from openbind.training.recipe import PairPlan
from openbind.training.towers import features
from openbind.training.trainee import Trainee


def keep_features(
    plan: PairPlan, table: PairTable, trainee: Trainee, folder: Path | None, progress: bool
) -> tuple[Side, PairTable, list[Broken]]:
    """Run the frozen body over all rows. Features are a row of numbers a clip, kept in memory.

    Args:
        plan: of the pair.
        table: its rows.
        trainee: the tower.
        folder: of the starting space, where files that preprocessing needs are.
        progress: show a bar on stderr.

    Returns:
        the side to train from, the rows that can be used, and the items that can't.

    Raises:
        ConfigError: not one row can be used.
    """
    modality = plan.pair[1]
    preprocess = MODALITIES.get(modality).prepare(trainee.settings, folder)

    def clips(row: Row) -> torch.Tensor:
        view = View(span=row.span)
        items = (show(modality, open_item(item), view) for item in row.items[modality])
        return torch.cat([preprocess(item).clips for item in items])

    kept: list[int] = []
    found: list[torch.Tensor] = []
    broken: list[Broken] = []
    results = map_ahead(clips, table.rows)
    label = f"features of {modality}"
    bar = tqdm(results, desc=label, total=len(table.rows), delay=1, disable=not progress)
    for index, result in enumerate(bar):
        try:
            found.append(features(trainee.tower, result()))
            kept.append(index)
        except InputError as error:
            broken.append(Broken(plan.name, table.rows[index].key, str(error)))
    if not kept:
        raise ConfigError(f"{plan.name}: not one row can be used; the first: {broken[0].reason}")
    return KeptFeatures(found), table.only(kept), broken


def join_features(sides: Sequence[Side]) -> torch.Tensor:
    """Give all features of some sides, (clips, D), to standardise by."""
    kept = [side for side in sides if isinstance(side, KeptFeatures)]
    return torch.cat([clips_SD for side in kept for clips_SD in side.features])
