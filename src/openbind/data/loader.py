"""Draws → tensors: decoded in worker processes, with unusable items replaced by their neighbors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from openbind.data.augment import apply_all
from openbind.data.sampler import Draw, Draws
from openbind.data.table import PairTable
from openbind.data.views import ViewKey, ViewPlan, anchor_view, apply_view
from openbind.embedding.items import open_item
from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Preprocess

MAX_SKIPPED_IN_A_ROW = 20
"""Neighbors tried in place of an unusable item before the run stops."""


@dataclass(frozen=True)
class SkippedItem:
    """An item that can't be used, and why."""

    pair: str
    item: str
    reason: str


@dataclass
class Batch:
    """The rows of one step in one process.

    Args:
        inputs: (rows, ...) clips of the trained side, all of one pair.
        draws: the rows; for a skipped item, those of the neighbor that replaced it.
        skipped: items that couldn't be used.
    """

    inputs: torch.Tensor
    draws: Draws
    skipped: list[SkippedItem] = field(default_factory=list)

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which a GPU copies asynchronously."""
        return replace(self, inputs=self.inputs.pin_memory())


class AugmentedItems:
    """The trained side of one pair: decoded, cut to its anchor's view, augmented.

    Args:
        table: the pair's rows.
        modality: name of the trained side.
        settings, folder: of its preprocessing.
        plan: of the views.
        operations: augmentations of both stages.
        seed: of the views.
    """

    def __init__(
        self,
        table: PairTable,
        modality: str,
        settings: Any,
        folder: Path | None,
        plan: ViewPlan,
        operations: Sequence[Any],
        seed: int,
    ) -> None:
        self.table, self.modality, self.plan, self.seed = table, modality, plan, seed
        self.settings, self.folder, self.operations = settings, folder, tuple(operations)
        self._preprocess: Preprocess | None = None

    def __len__(self) -> int:
        return len(self.table.rows)

    def read(self, draw: Draw) -> torch.Tensor:
        """Return one clip of a draw's item.

        Raises:
            InputError: the item can't be used.
        """
        rng = np.random.default_rng(draw.noise)
        view = anchor_view(self.table.anchors[draw.anchor], self.plan, self.seed, draw.view)
        items = self.table.rows.items(draw.row, self.modality)
        item = items[int(rng.integers(len(items)))]
        shown = apply_view(self.modality, open_item(item), view)
        shown = apply_all(self.operations, "item", shown, rng)
        clips = self.preprocess(shown).clips
        clip = clips[int(rng.integers(len(clips)))]
        result: torch.Tensor = apply_all(self.operations, "tensor", clip, rng)
        return result

    @property
    def preprocess(self) -> Preprocess:
        """The modality's preprocessing, created in each process because it can't be pickled."""
        if self._preprocess is None:
            self._preprocess = MODALITIES.get(self.modality).prepare(self.settings, self.folder)
        return self._preprocess

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_preprocess": None}


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """The trained side of one pair where only a head is trained: the body's features.

    Args:
        table: the pair's rows.
        views: of each of a row's frozen items; 0 is the whole item, once for all of them.
        values_MD: features of all clips, view after view.
        end_V: (all views + 1,) where each view's clips start and end.
        first_N: for each row, its first view.
    """

    table: PairTable
    views: int
    values_MD: torch.Tensor
    end_V: np.ndarray
    first_N: np.ndarray

    def __len__(self) -> int:
        return len(self.first_N)

    def read(self, draws: Draws) -> torch.Tensor:
        """Return one clip's features of each draw (B, D)."""
        view_B = self.first_N[draws.rows_B]
        if self.views:
            place_B = self.table.choices.places(draws.rows_B, draws.anchors_B)
            view_B = view_B + place_B * self.views + draws.views_B
        clip_B = self.end_V[view_B]
        count_B = self.end_V[view_B + 1] - clip_B
        for place in np.flatnonzero(count_B > 1):  # a generator takes longer than all the rest
            rng = np.random.default_rng(int(draws.noises_B[place]))
            clip_B[place] += rng.integers(count_B[place])
        return self.values_MD.index_select(0, torch.from_numpy(clip_B))

    def clips(self, view: int) -> torch.Tensor:
        """Return features_SD of the clips of one of all views."""
        return self.values_MD[int(self.end_V[view]) : int(self.end_V[view + 1])]

    def row(self, number: int) -> dict[ViewKey, torch.Tensor]:
        """Return features_SD of a row, by view."""
        keys: list[ViewKey] = [None]
        if self.views:
            anchors = self.table.choices[number]
            keys = [(anchor, view) for anchor in anchors for view in range(self.views)]
        first = int(self.first_N[number])
        return {key: self.clips(first + place) for place, key in enumerate(keys)}


Side = AugmentedItems | CachedFeatures


class _DrawDataset(Dataset[Any]):
    """The trained sides of all pairs, as each worker holds them."""

    def __init__(self, names: Sequence[str], sides: Sequence[Side], tables: Sequence[PairTable]):
        self.names, self.sides, self.tables = names, sides, tables

    def __getitems__(self, draws: Draws) -> Batch | InputError:
        """Read a batch; an error is returned, because workers raise it as a `RuntimeError`."""
        side = self.sides[draws.pair]
        if isinstance(side, CachedFeatures):
            return Batch(side.read(draws), draws)
        try:
            return _stack([self._read(side, draw) for draw in draws])
        except InputError as error:
            return error

    def _read(
        self, side: AugmentedItems, draw: Draw
    ) -> tuple[torch.Tensor, Draw, list[SkippedItem]]:
        skipped: list[SkippedItem] = []
        table = self.tables[draw.pair]
        for _ in range(MAX_SKIPPED_IN_A_ROW):
            try:
                return side.read(draw), draw, skipped
            except InputError as error:
                key = table.rows[draw.row].key
                skipped.append(SkippedItem(self.names[draw.pair], key, str(error)))
            row = (draw.row + 1) % len(side)
            draw = replace(draw, row=row, anchor=table.choices[row][0])
        raise InputError(
            f"{self.names[draw.pair]}: {MAX_SKIPPED_IN_A_ROW} consecutive rows",
            f"can't be read; the last is {skipped[-1].item}: {skipped[-1].reason}",
        )


def load_batches(
    names: Sequence[str],
    sides: Sequence[Side],
    tables: Sequence[PairTable],
    draws: Iterable[Draws],
    *,
    num_workers: int,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Read batches ahead of the consumer.

    Args:
        names: of the pairs.
        sides: the trained side of each pair.
        tables: the rows of each pair.
        draws: the rows of each batch, in order.
        num_workers: processes; 0 reads in this process. The tensors don't depend on it.
        pin_memory: put batches into page-locked memory, for a GPU.

    Raises:
        InputError: too many consecutive items can't be read, or the clips of a batch differ in
            shape.
    """
    dataset = _DrawDataset(names, sides, tables)
    found: Iterator[Batch | InputError] = map(dataset.__getitems__, draws)
    if num_workers:
        found = iter(_start_workers(dataset, draws, num_workers, pin_memory))
    for batch in found:
        if isinstance(batch, InputError):
            raise batch
        yield batch.pin_memory() if pin_memory and not num_workers else batch


def _start_workers(
    dataset: _DrawDataset, draws: Iterable[Draws], num_workers: int, pin_memory: bool
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=draws,  # type: ignore[arg-type]  # any lists of what the data set takes
        num_workers=num_workers,
        collate_fn=_unchanged,
        prefetch_factor=4,
        worker_init_fn=_use_one_thread,
        pin_memory=pin_memory,
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _stack(parts: list[tuple[torch.Tensor, Draw, list[SkippedItem]]]) -> Batch:
    shapes = {tuple(clip.shape) for clip, _, _ in parts}
    if len(shapes) > 1:
        raise InputError(
            f"a batch of {len(parts)} clips",
            f"clips differ in shape, {sorted(shapes)}; choose settings that give one shape",
        )
    inputs = torch.stack([clip for clip, _, _ in parts])
    skipped = [item for _, _, found in parts for item in found]
    return Batch(inputs, Draws.of([draw for _, draw, _ in parts]), skipped)


def _use_one_thread(worker: int) -> None:
    """Leave the cores to the other workers and to the training process."""
    torch.set_num_threads(1)
