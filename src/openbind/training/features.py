"""The trained side where only a head is trained: features of the frozen body, computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from openbind.data.loader import CachedFeatures, SkippedItem
from openbind.data.table import PairTable
from openbind.data.views import ViewKey, anchor_view
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import StoredFeatures, load_features
from openbind.embedding.many import Entry, compute_many, view_keys
from openbind.errors import ConfigError, InputError
from openbind.modalities.spec import View
from openbind.space.decoding import Decoder, map_ahead
from openbind.space.identity import modality_identity
from openbind.space.pipeline import Finished
from openbind.training.blocks import BlockRows, fill_blocks
from openbind.training.distributed import World
from openbind.training.heads import HeadPlan, features, head_layer, head_names
from openbind.training.recipe import PairPlan
from openbind.training.trained_tower import TrainedTower


def cache_features(
    plan: PairPlan,
    table: PairTable,
    trained_tower: TrainedTower,
    folder: Path | None,
    seed: int,
    *,
    kept: Path | None = None,
    cache: VectorCache | None = None,
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
        kept: folder of the run's features, see `fill_blocks`.
        cache: of features, found by content: those of other runs of the same body, such as the
            settings of a sweep, aren't computed again. None doesn't cache.
        world: the processes; None is this one alone.
        progress: show a bar on stderr.

    Returns:
        the side to train on, with the features of all rows mapped; the usable rows; the items that
        can't be used.

    Raises:
        ConfigError: no row can be used.
    """
    world, rows = world or World(), table.rows
    views = 0 if plan.views.is_whole else plan.views.count
    body = _Body(plan, table, trained_tower, folder, seed, world, cache, progress)
    found = fill_blocks(kept, len(rows), body.describe, body.compute, world)
    skipped = [
        SkippedItem(plan.name, rows[row].key, reason) for row, reason in found.skipped.items()
    ]
    usable = np.delete(np.arange(len(rows)), list(found.skipped))
    if not len(usable):
        raise ConfigError(f"{plan.name}: no row can be used; the first: {skipped[0].reason}")
    end_V = np.concatenate([[0], np.cumsum(found.counts, dtype=np.int64)])
    views_N = table.choices.count_N * views if views else np.ones(len(rows), np.int64)
    first_N = (np.cumsum(views_N) - views_N)[usable]
    kept_table = table.only(usable) if skipped else table
    values_MD = torch.from_numpy(found.values_MD)
    return CachedFeatures(kept_table, views, values_MD, end_V, first_N), kept_table, skipped


@dataclass(frozen=True)
class _Body:
    """Computes the features of blocks of rows; see `cache_features`."""

    plan: PairPlan
    table: PairTable
    trained_tower: TrainedTower
    folder: Path | None
    seed: int
    world: World
    cache: VectorCache | None
    progress: bool

    @cached_property
    def identity(self) -> str:
        """A hash of everything that decides the body's features, but not of the head."""
        own = self.trained_tower
        return modality_identity(
            own.modality, own.settings, own.spec, own.tower, self.folder, head_names(own.tower)
        )

    @property
    def dim(self) -> int:
        return head_layer(self.trained_tower.tower).in_features

    def describe(self, block: range) -> str:
        """Hash everything that decides the features of some rows."""
        plan, rows = self.plan, self.table.rows
        start = f"{self.identity}/{plan.views!r}/{self.seed}/{len(rows)}"
        digest = hashlib.blake2b(start.encode(), digest_size=20)
        digest.update(rows[block.start : block.stop].fingerprint(plan.pair[1]))
        if not plan.views.is_whole:
            for row in block:
                digest.update(f"/{_views(plan, self.table, row, self.seed)!r}".encode())
        return digest.hexdigest()

    def compute(self, blocks: Sequence[range]) -> Iterator[BlockRows]:
        """Compute the features of blocks of rows; see `fill_blocks`."""
        label, total = f"features of {self.plan.pair[1]}", sum(map(len, blocks))
        with tqdm(desc=label, total=total, delay=1, disable=not self.progress) as bar:
            for block in blocks:
                yield self._compute_block(block)
                bar.update(len(block))

    def _compute_block(self, block: range) -> BlockRows:
        items = [self.table.rows.items(row, self.plan.pair[1]) for row in block]
        entries = [
            Entry(self.plan.pair[1], item, _views(self.plan, self.table, row, self.seed))
            for row, own in zip(block, items, strict=True)
            for item in own
            if not isinstance(item, StoredFeatures)
        ]
        results = iter(self._run(entries))
        values, counts, skipped = [np.empty((0, self.dim), np.float32)], list[int](), {}
        for row, own in zip(block, items, strict=True):
            of_row = [item if isinstance(item, StoredFeatures) else next(results) for item in own]
            keys = _view_keys(self.plan, self.table, row)
            views = _join_items(keys, of_row, self.dim)
            if isinstance(views, str):
                skipped[row] = views
                counts += [0] * len(keys)
            else:
                values += views
                counts += [len(clips_SD) for clips_SD in views]
        return BlockRows(np.concatenate(values), np.array(counts, np.int32), skipped)

    def _run(self, entries: Sequence[Entry]) -> list[_Features]:
        """Find the features of items in the cache, or compute them."""
        found: list[_Features | None] = [None] * len(entries)
        keys: list[list[bytes]] = [[] for _ in entries]
        if self.cache is not None:
            hashed = map_ahead(partial(view_keys, f"features/{self.identity}"), entries)
            for place, key in enumerate(hashed):
                with suppress(InputError):  # reading it says so again
                    keys[place] = key()
            known = self.cache.get([key for own in keys for key in own])
            for place, own in enumerate(keys):
                if own and all(key in known for key in own):
                    found[place] = [known[key].reshape(-1, self.dim) for key in own]
        missing = [place for place, features in enumerate(found) if features is None]
        new: dict[bytes, np.ndarray] = {}
        for place, result in zip(
            missing, self._compute([entries[p] for p in missing]), strict=True
        ):
            found[place] = result.error or [np.asarray(clips) for clips in result.vectors]
            if keys[place] and result.error is None:
                new |= zip(keys[place], result.vectors, strict=True)
        if self.cache is not None:
            self.cache.put(new)
        return [features for features in found if features is not None]

    def _compute(self, entries: Sequence[Entry]) -> Iterator[Finished[Entry]]:
        own = self.trained_tower

        def compute(_: str, clips: Tensor) -> Tensor:
            return features(own.tower, clips)

        decoder = Decoder({own.modality: own.settings}, self.folder)
        options = self.world.embedding
        return compute_many(decoder, entries, compute, device=own.device.type, **options)


_Features = list[np.ndarray] | InputError
"""An item's features_SD in each view, or why it has none."""


def _join_items(
    keys: Sequence[ViewKey], items: Sequence[StoredFeatures | _Features], dim: int
) -> list[np.ndarray] | str:
    """Join the clips of a row's items, by view; return the reason if one can't be used."""
    try:
        parts = [_read_clips(item, keys, dim) for item in items]
    except InputError as error:
        return str(error)
    return [np.concatenate(own) for own in zip(*parts, strict=True)]


def _read_clips(
    found: StoredFeatures | _Features, keys: Sequence[ViewKey], dim: int
) -> list[np.ndarray]:
    """Return features_SD of an item's clips in each view; stored ones are of one whole clip.

    Raises:
        InputError: the item can't be used.
        ConfigError: views of stored features.
    """
    if isinstance(found, StoredFeatures):
        if keys != [None]:
            raise ConfigError("views: stored features are of whole items; remove crop and flip")
        return [load_features(found, dim)[None]]
    if isinstance(found, InputError):
        raise found
    return found


def join_features(
    parts: Sequence[tuple[CachedFeatures, PairTable, Tensor]], plan: HeadPlan
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a head starts from: features, the vectors that they are mapped to, and weights.

    Args:
        parts: the features of its pairs, their rows, and vectors_KVE of the rows' frozen items.
        plan: of the head; one that isn't standardized starts from nothing, and copies nothing.

    Returns:
        features_ND of all clips in all views, without rows of weight 0; targets_NE, the frozen
        item's vector in that view, or the mean of all vectors of the row's frozen items; weight_N
        of each clip's row.
    """
    if not plan.standardize:
        none = torch.empty(0, parts[0][0].values_MD.shape[1])
        return none, torch.empty(0, parts[0][2].shape[-1]), torch.empty(0)
    rows_ND, rows_NE, weight_N = [], [], list[float]()
    for side, table, vectors_KVE in parts:
        weights = table.rows.column("weight")
        for row in np.flatnonzero(weights).tolist():
            for key, clips_SD in side.row(row).items():
                if key is None:
                    target_E = vectors_KVE[list(table.choices[row])].mean(dim=(0, 1))
                else:
                    target_E = vectors_KVE[key]
                rows_ND.append(clips_SD)
                rows_NE.append(target_E.expand(len(clips_SD), -1))
                weight_N += [float(weights[row])] * len(clips_SD)
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
