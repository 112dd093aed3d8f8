"""The trained side where only a head is trained: features of the frozen body, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from openbind.data.loader import CachedFeatures, SkippedItem
from openbind.data.table import PairTable
from openbind.data.views import ViewKey, anchor_view
from openbind.embedding.many import Entry, compute_many
from openbind.errors import ConfigError
from openbind.modalities.spec import View
from openbind.space.decoding import Decoder
from openbind.space.pipeline import Finished
from openbind.training.distributed import World, gather_objects
from openbind.training.heads import features
from openbind.training.recipe import PairPlan
from openbind.training.trained_tower import TrainedTower

Found = dict[int, list[list[Tensor]]]
"""Row → item → view → features_SD of its clips."""


def cache_features(
    plan: PairPlan,
    table: PairTable,
    trained_tower: TrainedTower,
    folder: Path | None,
    seed: int,
    *,
    world: World | None = None,
    progress: bool = False,
) -> tuple[CachedFeatures, PairTable, list[SkippedItem]]:
    """Run the frozen body over all rows on the device, each process its part; all must call.

    Args:
        plan: of the pair; an item is shown in each view of each of its anchors.
        table: its rows.
        trained_tower: the tower.
        folder: of the starting space, with the files that preprocessing needs.
        seed: of the views.
        world: the processes; None is this one alone.
        progress: show a bar on stderr.

    Returns:
        the side to train on, with the features of all rows in memory; the usable rows; the items
        that can't be used.

    Raises:
        ConfigError: no row can be used.
    """
    world = world or World()
    mine = range(len(table.rows))[world.rank :: world.size]
    entries = [
        (row, Entry(plan.pair[1], item, _views(plan, table, row, seed)))
        for row in mine
        for item in table.rows[row].items[plan.pair[1]]
    ]
    found: Found = {row: [] for row in mine}
    reasons: dict[int, str] = {}
    for row, result in _run_body(entries, trained_tower, folder, progress):
        if result.error is not None:
            reasons.setdefault(row, str(result.error))
        else:
            found[row].append([torch.from_numpy(features_SD) for features_SD in result.vectors])
    for part, others in gather_objects((found, reasons), world):
        found |= part
        reasons |= others
    kept = [row for row in range(len(table.rows)) if row not in reasons]
    skipped = [SkippedItem(plan.name, table.rows[r].key, why) for r, why in sorted(reasons.items())]
    if not kept:
        raise ConfigError(f"{plan.name}: no row can be used; the first: {skipped[0].reason}")
    side = []
    for row in kept:
        clips = [torch.cat(of_items) for of_items in zip(*found[row], strict=True)]
        side.append(dict(zip(_view_keys(plan, table, row), clips, strict=True)))
    return CachedFeatures(side), table.only(kept), skipped


def _run_body(
    entries: Sequence[tuple[int, Entry]],
    trained_tower: TrainedTower,
    folder: Path | None,
    progress: bool,
) -> Iterator[tuple[int, Finished[Entry]]]:
    """Compute the features of rows' items, in order."""
    modality, tower = trained_tower.modality, trained_tower.tower

    def compute(_: str, clips: Tensor) -> Tensor:
        return features(tower, clips)

    decoder = Decoder({modality: trained_tower.settings}, folder)
    results = compute_many(
        decoder, [e for _, e in entries], compute, device=trained_tower.device.type
    )
    bar = tqdm(total=len(entries), desc=f"features of {modality}", delay=1, disable=not progress)
    with bar:
        for (row, _), result in zip(entries, results, strict=True):
            yield row, result
            bar.update()


def join_features(
    parts: Sequence[tuple[CachedFeatures, PairTable, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Return all features of some pairs, and the vectors that they are mapped to.

    Args:
        parts: the features, their rows, and vectors_KVE of the rows' frozen items.

    Returns:
        features_ND of all clips in all views; targets_NE, the frozen item's vector in that view,
        or the mean of all vectors of the row's frozen items.
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
        return [None]
    return [(anchor, view) for anchor in table.choices[row] for view in range(plan.views.count)]


def _views(plan: PairPlan, table: PairTable, row: int, seed: int) -> tuple[View, ...]:
    """Return the views of `_view_keys`: those of the row's frozen items."""
    return tuple(
        View(span=table.rows[row].span)
        if key is None
        else anchor_view(table.anchors[key[0]], plan.views, seed, key[1])
        for key in _view_keys(plan, table, row)
    )
