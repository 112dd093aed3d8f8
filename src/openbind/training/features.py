"""The trained side where only a head is trained: the frozen body's features, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from openbind.data.loader import CachedFeatures, SkippedItem
from openbind.data.pairs import Row
from openbind.data.table import PairTable
from openbind.data.views import ViewKey, anchor_view, apply_view
from openbind.embedding.items import open_item
from openbind.errors import ConfigError, InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import View
from openbind.space.decoding import map_ahead
from openbind.training.heads import features
from openbind.training.recipe import PairPlan
from openbind.training.trained_tower import TrainedTower


def keep_features(
    plan: PairPlan,
    table: PairTable,
    trained_tower: TrainedTower,
    folder: Path | None,
    seed: int,
    progress: bool,
) -> tuple[CachedFeatures, PairTable, list[SkippedItem]]:
    """Run the frozen body over all rows. Features are a row of numbers a clip, kept in memory.

    Args:
        plan: of the pair; an item is seen through each of its anchors' views.
        table: its rows.
        trained_tower: the tower.
        folder: of the starting space, where files that preprocessing needs are.
        seed: of the views.
        progress: show a bar on stderr.

    Returns:
        the side to train from, the rows that can be used, and the items that can't.

    Raises:
        ConfigError: not one row can be used.
    """
    modality = plan.pair[1]
    preprocess = MODALITIES.get(modality).prepare(trained_tower.settings, folder)

    def view(row: Row, key: ViewKey) -> View:
        if key is None:
            return View(span=row.span)
        anchor = table.anchors[key[0]]
        return anchor_view(anchor, plan.views, seed, key[1])

    def clips(index: int) -> dict[ViewKey, torch.Tensor]:
        row = table.rows[index]
        opened = [open_item(item) for item in row.items[modality]]
        found: dict[ViewKey, torch.Tensor] = {}
        for key in _view_keys(plan, table, index):
            shown = (apply_view(modality, item, view(row, key)) for item in opened)
            found[key] = torch.cat([preprocess(item).clips for item in shown])
        return found

    kept: list[int] = []
    found: list[dict[ViewKey, torch.Tensor]] = []
    broken: list[SkippedItem] = []
    results = map_ahead(clips, range(len(table.rows)))
    label = f"features of {modality}"
    bar = tqdm(results, desc=label, total=len(table.rows), delay=1, disable=not progress)
    for index, result in enumerate(bar):
        try:
            found.append({key: features(trained_tower.tower, x) for key, x in result().items()})
            kept.append(index)
        except InputError as error:
            broken.append(SkippedItem(plan.name, table.rows[index].key, str(error)))
    if not kept:
        raise ConfigError(f"{plan.name}: not one row can be used; the first: {broken[0].reason}")
    return CachedFeatures(found), table.only(kept), broken


def join_features(
    parts: Sequence[tuple[CachedFeatures, PairTable, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all features of some pairs, and what each is to be mapped to.

    Args:
        parts: the features, the rows they are of, and vectors_KVE of the rows' frozen items.

    Returns:
        features_ND of all clips in all views; targets_NE, the frozen item as it is in that key,
        or the mean of all that the row has.
    """
    rows_ND, rows_NE = [], []
    for side, table, vectors_KVE in parts:
        for views, choice in zip(side.features, table.choices, strict=True):
            for key, clips_SD in views.items():
                if key is None:
                    target_E = vectors_KVE[list(choice)].mean(dim=(0, 1))
                else:
                    target_E = vectors_KVE[key]
                rows_ND.append(clips_SD)
                rows_NE.append(target_E.expand(len(clips_SD), -1))
    return torch.cat(rows_ND), torch.cat(rows_NE)


def _view_keys(plan: PairPlan, table: PairTable, row: int) -> list[ViewKey]:
    if plan.views.is_whole:
        return [None]  # However often it is shown, it is shown whole.
    return [(anchor, view) for anchor in table.choices[row] for view in range(plan.views.count)]
