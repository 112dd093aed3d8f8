"""The frozen side of a pair: each view of each item is embedded once.

Vectors are cached by content, for all runs. A run also has a table of its own, so that resuming it
opens no item; the table is used only for the same space and unchanged files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from openbind.atomic import atomic_path
from openbind.data.augment import apply_all
from openbind.data.table import Anchor
from openbind.data.views import ViewPlan, anchor_view, apply_view, view_rng
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import DerivedItem, Item, Member, open_item
from openbind.embedding.many import Entry, embed_many
from openbind.modalities.spec import View
from openbind.space.space import Space
from openbind.training.distributed import World, gather_objects


@dataclass(frozen=True, kw_only=True)
class AnchorPlan:
    """How frozen items are embedded.

    Args:
        modality: of the items.
        views: of each item.
        operations: augmentations of items, drawn for each view.
        seed: of views and operations.
    """

    modality: str
    views: ViewPlan = field(default_factory=ViewPlan)
    operations: tuple[Any, ...] = ()
    seed: int = 0

    @property
    def distinct_views(self) -> int:
        """Return how many views differ: whole items without augmentation are all alike."""
        return 1 if self.views.is_whole and not self.operations else self.views.count

    def entries(self, anchor: Anchor) -> list[Entry]:
        """Return what to embed for an item: all its views at once, or each augmented one."""
        indices = range(self.distinct_views)
        views = tuple(anchor_view(anchor, self.views, self.seed, index) for index in indices)
        if not self.operations:
            return [Entry(self.modality, anchor.item, views)]
        draws = ((self.seed, f"{anchor.key}/operations", index) for index in indices)
        return [
            Entry(self.modality, Augmented(anchor.item, self.modality, view, self.operations, draw))
            for view, draw in zip(views, draws, strict=True)
        ]


@dataclass(frozen=True)
class Augmented(DerivedItem):
    """A view of an item, augmented.

    Args:
        modality: of the item.
        view: part of it.
        operations: augmentations of items.
        draw: arguments of `view_rng` for their random numbers.
    """

    modality: str
    view: View
    operations: tuple[Any, ...]
    draw: tuple[int, str, int]

    def read(self) -> Any:
        """Return the augmented view, as preprocessing takes it.

        Raises:
            InputError: the item can't be used.
        """
        shown = apply_view(self.modality, open_item(self.source), self.view)
        return apply_all(self.operations, "item", shown, view_rng(*self.draw))


@dataclass(frozen=True)
class Anchors:
    """Vectors of frozen items.

    Args:
        vectors_KVE: unit vectors (items, views, dim) of the usable items, in order.
        skipped: index of an unusable item → reason.
    """

    vectors_KVE: Tensor
    skipped: dict[int, str]


def embed_anchors(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    *,
    world: World | None = None,
    cache: VectorCache | None = None,
    progress: bool = False,
) -> Anchors:
    """Embed frozen items, each process its part; all processes must call.

    Args:
        space: embeds them, on its device.
        plan: views and augmentations.
        anchors: the items.
        world: the processes; None is this one alone.
        cache: of vectors; None doesn't cache.
        progress: show a bar on stderr.

    Returns:
        the vectors of all items, the same in all processes.
    """
    world = world or World()
    mine = range(len(anchors))[world.rank :: world.size]
    entries = [entry for index in mine for entry in plan.entries(anchors[index])]
    rows = embed_many(
        space,
        entries,
        cache=cache,
        progress=progress,
        batch_size=world.batch_size,
        workers=world.workers,
    )
    views = plan.distinct_views
    vectors_KVE = np.full((len(mine), views, space.dim), np.nan, np.float32)
    skipped: dict[int, str] = {}
    for row in rows:
        # An entry has all views of an item, or one.
        position, view = divmod(row.index * len(row.entry.views), views)
        if row.vectors_VE is None:
            skipped[mine[position]] = str(row.error)
        else:
            vectors_KVE[position, view : view + len(row.vectors_VE)] = row.vectors_VE
    if world.size > 1:
        parts = gather_objects((vectors_KVE, skipped), world)
        vectors_KVE = np.empty((len(anchors), views, space.dim), np.float32)
        for rank, (part_KVE, reasons) in enumerate(parts):
            vectors_KVE[rank :: world.size] = part_KVE
            skipped |= reasons
    usable = [index for index in range(len(anchors)) if index not in skipped]
    chosen_KVE = torch.from_numpy(vectors_KVE[usable] if skipped else vectors_KVE)
    return Anchors(chosen_KVE, dict(sorted(skipped.items())))


def load_anchors(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    path: Path | None,
    *,
    world: World,
    progress: bool = False,
) -> Anchors:
    """Read a run's table of vectors, or embed the items and write it; all processes must call.

    Args:
        space, plan, anchors, world, progress: see `embed_anchors`.
        path: of the table, which is memory-mapped; None embeds without the cache and writes
            nothing.
    """
    if path is None:
        return embed_anchors(space, plan, anchors, world=world, progress=progress)
    state = table_state(space, plan, anchors)
    table = read_table(path, state)
    if all(gather_objects(table is not None, world)):
        assert table is not None
        return table
    with closing(VectorCache()) as cache:
        table = embed_anchors(space, plan, anchors, world=world, cache=cache, progress=progress)
    if world.is_first:
        write_table(path, table, state)
    world.wait()
    return read_table(path, state) or table


def table_state(space: Space, plan: AnchorPlan, anchors: Sequence[Anchor]) -> str:
    """Hash everything that decides a table's vectors.

    Content is identified as build tools do it, by a file's path, size and times: a file that was
    written again counts as changed, and is then looked up in the cache by its content.
    """
    digest = hashlib.blake2b(f"{space.identity(plan.modality)}/{plan!r}".encode(), digest_size=20)
    for anchor in anchors:
        digest.update(f"/{anchor!r}{_file_state(anchor.item)}".encode())
    return digest.hexdigest()


def _file_state(item: Item) -> tuple[int, ...]:
    """Return size and times of an item's file; () for a text or a missing file."""
    path = item.tar if isinstance(item, Member) else getattr(item, "path", item)
    try:
        status = path.stat() if isinstance(path, Path) else None
    except OSError:
        return ()
    return () if status is None else (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def write_table(path: Path, anchors: Anchors, state: str) -> None:
    """Write a run's table of vectors."""
    metadata = {"state": state, "skipped": json.dumps(anchors.skipped)}
    with atomic_path(path) as temporary:
        save_file({"vectors_KVE": anchors.vectors_KVE}, temporary, metadata=metadata)


def read_table(path: Path, state: str) -> Anchors | None:
    """Map a run's table of vectors; None if there is none of this state."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("state") != state:
                return None
            skipped = {int(k): str(v) for k, v in json.loads(metadata["skipped"]).items()}
            return Anchors(file.get_tensor("vectors_KVE"), skipped)
    except SafetensorError:
        return None
