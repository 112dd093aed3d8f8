"""Draws → tensors: decoding in worker processes, broken items replaced by their neighbors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from openbind.data.augment import apply_all
from openbind.data.sampler import Draw
from openbind.data.table import PairTable
from openbind.data.views import ViewPlan, draw_view, view_rng
from openbind.embedding.items import open_item
from openbind.errors import ConfigError, InputError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Preprocess, View

MAX_BROKEN_IN_A_ROW = 20
"""Items tried in a broken one's place before the data is called unusable."""


@dataclass(frozen=True)
class SkippedItem:
    """An item that couldn't be used, and why."""

    pair: str
    item: str
    reason: str


@dataclass
class Batch:
    """What one step of one process sees.

    Args:
        inputs: (rows, ...) of the trained side's clips, all of one pair.
        draws: what they are; where an item was broken, its neighbor's.
        skipped: the items that were.
    """

    inputs: torch.Tensor
    draws: list[Draw]
    skipped: list[SkippedItem] = field(default_factory=list)


class ShownItems:
    """The trained side of one pair: decoded, shown through its anchor's view, augmented.

    Args:
        table: the pair's rows.
        modality: name of the trained side.
        settings, folder: of its preprocessing.
        plan: of the views.
        operations: augmentations, of both stages.
        seed: the views' own.
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
        anchor = self.table.anchors[draw.anchor]
        view = anchor_view(anchor.key, anchor.span, self.plan, self.seed, draw.view)
        items = self.table.rows[draw.row].items[self.modality]
        item = items[int(rng.integers(len(items)))]
        shown = show(self.modality, open_item(item), view)
        shown = apply_all(self.operations, "item", shown, rng)
        clips = self.prepared(shown).clips
        clip = clips[int(rng.integers(len(clips)))]
        result: torch.Tensor = apply_all(self.operations, "tensor", clip, rng)
        return result

    @property
    def prepared(self) -> Preprocess:
        """The modality's preprocessing; made where it is used, since it can't be pickled."""
        if self._preprocess is None:
            self._preprocess = MODALITIES.get(self.modality).prepare(self.settings, self.folder)
        return self._preprocess

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_preprocess": None}


Sight = tuple[int, int] | None
"""An anchor and the number of its view; None shows the whole item, whatever the anchor."""


@dataclass(frozen=True)
class KeptFeatures:
    """The trained side of one pair where only a head is trained: features computed before.

    Args:
        features: for each row, features_SD of its clips in each sight of it.
    """

    features: Sequence[Mapping[Sight, torch.Tensor]]

    def __len__(self) -> int:
        return len(self.features)

    def read(self, draw: Draw) -> torch.Tensor:
        """Return one clip's features."""
        sights = self.features[draw.row]
        clips_SD = sights[None if None in sights else (draw.anchor, draw.view)]
        return clips_SD[int(np.random.default_rng(draw.noise).integers(len(clips_SD)))]


Side = ShownItems | KeptFeatures


def show(modality: str, item: Any, view: View) -> Any:
    """Show an item through a view, as something that preprocessing takes.

    Raises:
        ConfigError: the modality has no parts, but a part is asked for.
        InputError: the item can't be used.
    """
    spec = MODALITIES.get(modality)
    if spec.apply_view is None:
        if view == View():
            return item
        raise ConfigError(f"views: {modality} has no parts that could be shown; use the whole")
    return spec.apply_view(item, view)


def anchor_view(
    key: str, span: tuple[float, float] | None, plan: ViewPlan, seed: int, index: int
) -> View:
    """Draw one view of a frozen item: the same for its kept embedding and for its partner."""
    return draw_view(plan, view_rng(seed, key, index), span)


class _Draws(Dataset[Any]):
    """What the workers hold: the trained sides of all pairs."""

    def __init__(self, names: Sequence[str], sides: Sequence[Side], tables: Sequence[PairTable]):
        self.names, self.sides, self.tables = names, sides, tables

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, Draw, list[SkippedItem]]:
        broken: list[SkippedItem] = []
        side, table = self.sides[draw.pair], self.tables[draw.pair]
        for _ in range(MAX_BROKEN_IN_A_ROW):
            try:
                return side.read(draw), draw, broken
            except InputError as error:
                key = table.rows[draw.row].key
                broken.append(SkippedItem(self.names[draw.pair], key, str(error)))
            row = (draw.row + 1) % len(side)
            draw = replace(draw, row=row, anchor=table.choices[row][0])
        raise InputError(
            f"{self.names[draw.pair]}: {MAX_BROKEN_IN_A_ROW} rows in succession",
            f"can't be read; the last, {broken[-1].item}: {broken[-1].reason}",
        )


def load_batches(
    names: Sequence[str],
    sides: Sequence[Side],
    tables: Sequence[PairTable],
    draws: Iterable[list[Draw]],
    *,
    num_workers: int,
) -> Iterator[Batch]:
    """Read batches ahead.

    Args:
        names: of the pairs.
        sides: the trained side of each pair.
        tables: the rows of each pair.
        draws: what each batch holds, in order.
        num_workers: processes; 0 reads when asked, in this process. The tensors are the same.

    Raises:
        InputError: too many items in succession can't be read, or clips of a batch differ in
            shape.
    """
    loader: DataLoader[Any] = DataLoader(
        _Draws(names, sides, tables),
        batch_sampler=draws,
        num_workers=num_workers,
        collate_fn=_stack,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_use_one_thread,
    )
    yield from loader


def _stack(parts: list[tuple[torch.Tensor, Draw, list[SkippedItem]]]) -> Batch:
    shapes = {tuple(clip.shape) for clip, _, _ in parts}
    if len(shapes) > 1:
        raise InputError(
            f"a batch of {len(parts)} clips",
            f"they differ in shape, {sorted(shapes)}; choose settings that give one shape",
        )
    inputs = torch.stack([clip for clip, _, _ in parts])
    broken = [item for _, _, found in parts for item in found]
    return Batch(inputs, [draw for _, draw, _ in parts], broken)


def _use_one_thread(worker: int) -> None:
    """Leave the cores to the other workers and to the training itself."""
    torch.set_num_threads(1)
