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
from openbind.embedding.items import StoredFeatures, load_features
from openbind.embedding.many import Entry, compute_many
from openbind.errors import ConfigError, InputError
from openbind.modalities.spec import View
from openbind.space.decoding import Decoder
from openbind.space.pipeline import Finished
from openbind.training.distributed import World, gather_objects
from openbind.training.heads import features, head_layer
from openbind.training.recipe import PairPlan
from openbind.training.trained_tower import TrainedTower


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
    world, rows = world or World(), table.rows
    part = range(len(rows))[world.rank :: world.size]
    items = [rows[row].items[plan.pair[1]] for row in part]
    entries = [
        Entry(plan.pair[1], item, _views(plan, table, row, seed))
        for row, own in zip(part, items, strict=True)
        for item in own
        if not isinstance(item, StoredFeatures)
    ]
    results = _run_body(entries, trained_tower, folder, world, progress)
    dim = head_layer(trained_tower.tower).in_features
    mine = []
    for row, own in zip(part, items, strict=True):
        of_row = [item if isinstance(item, StoredFeatures) else next(results) for item in own]
        mine.append(_join_items(_view_keys(plan, table, row), of_row, dim))
    found: list[dict[ViewKey, Tensor] | str] = [""] * len(rows)
    for rank, others in enumerate(gather_objects(mine, world)):
        found[rank :: world.size] = others
    skipped = [
        SkippedItem(plan.name, row.key, reason)
        for row, reason in zip(rows, found, strict=True)
        if isinstance(reason, str)
    ]
    side = {i: views for i, views in enumerate(found) if not isinstance(views, str)}
    if not side:
        raise ConfigError(f"{plan.name}: no row can be used; the first: {skipped[0].reason}")
    return CachedFeatures(list(side.values())), table.only(list(side)), skipped


def _run_body(
    entries: Sequence[Entry],
    trained_tower: TrainedTower,
    folder: Path | None,
    world: World,
    progress: bool,
) -> Iterator[Finished[Entry]]:
    """Compute the features of items, in order."""
    modality, device = trained_tower.modality, trained_tower.device.type

    def compute(_: str, clips: Tensor) -> Tensor:
        return features(trained_tower.tower, clips)

    decoder = Decoder({modality: trained_tower.settings}, folder)
    results = compute_many(decoder, entries, compute, device=device, **world.embedding)
    label = f"features of {modality}"
    return iter(tqdm(results, label, len(entries), delay=1, disable=not progress))


def _join_items(
    keys: Sequence[ViewKey], items: Sequence[StoredFeatures | Finished[Entry]], dim: int
) -> dict[ViewKey, Tensor] | str:
    """Join the clips of a row's items, by view; return the reason if one can't be used."""
    try:
        parts = [_read_clips(item, keys, dim) for item in items]
    except InputError as error:
        return str(error)
    return {key: torch.cat(own) for key, *own in zip(keys, *parts, strict=True)}


def _read_clips(
    found: StoredFeatures | Finished[Entry], keys: Sequence[ViewKey], dim: int
) -> list[Tensor]:
    """Return features_SD of an item's clips in each view; stored ones are of one whole clip.

    Raises:
        InputError: the item can't be used.
        ConfigError: views of stored features.
    """
    if isinstance(found, StoredFeatures):
        if keys != [None]:
            raise ConfigError("views: stored features are of whole items; remove crop and flip")
        return [torch.from_numpy(load_features(found, dim))[None]]
    if found.error is not None:
        raise found.error
    return [torch.from_numpy(clips_SD) for clips_SD in found.vectors]


def join_features(
    parts: Sequence[tuple[CachedFeatures, PairTable, Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all features of some pairs, the vectors that they are mapped to, and weights.

    Args:
        parts: the features, their rows, and vectors_KVE of the rows' frozen items.

    Returns:
        features_ND of all clips in all views, without rows of weight 0; targets_NE, the frozen
        item's vector in that view, or the mean of all vectors of the row's frozen items; weight_N
        of each clip's row.
    """
    rows_ND, rows_NE, weight_N = [], [], list[float]()
    for side, table, vectors_KVE in parts:
        for row, views, choice in zip(table.rows, side.features, table.choices, strict=True):
            if not row.weight:
                continue
            for key, clips_SD in views.items():
                if key is None:
                    target_E = vectors_KVE[list(choice)].mean(dim=(0, 1))
                else:
                    target_E = vectors_KVE[key]
                rows_ND.append(clips_SD)
                rows_NE.append(target_E.expand(len(clips_SD), -1))
                weight_N += [row.weight] * len(clips_SD)
    if not rows_ND:
        raise ConfigError("weight: all rows have the weight 0; the head needs some to start from")
    return torch.cat(rows_ND), torch.cat(rows_NE), torch.tensor(weight_N)


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
