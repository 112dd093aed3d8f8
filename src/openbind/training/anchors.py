"""The frozen side of a pair: each view of each item is embedded once.

Vectors are cached by content, for all runs. A run also has a file of its own, which all processes
map, so that resuming it opens no item; it is used only for the same space and unchanged files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openbind.data.augment import apply_all
from openbind.data.stored_items import file_state
from openbind.data.table import Anchor, AnchorView
from openbind.data.views import ViewPlan, anchor_view, apply_view, view_rng
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import DerivedItem, open_item
from openbind.embedding.many import Entry, embed_many
from openbind.modalities.spec import View
from openbind.space.space import Space
from openbind.training.blocks import BlockRows, fill_blocks
from openbind.training.distributed import World


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


def load_anchors(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    folder: Path | None = None,
    *,
    world: World | None = None,
    cache: VectorCache | None = None,
    progress: bool = False,
) -> Anchors:
    """Embed frozen items, each process its part, or read a run's vectors; all must call.

    Args:
        space: embeds them, on its device.
        plan: views and augmentations.
        anchors: the items, at least one.
        folder: of the run's vectors, see `fill_blocks`.
        world: the processes; None is this one alone.
        cache: of vectors, found by content; None doesn't cache.
        progress: show a bar on stderr.

    Returns:
        the vectors of all items, mapped; the same in all processes.
    """
    world = world or World()
    rows = fill_blocks(
        folder,
        len(anchors),
        partial(describe_anchors, space, plan, anchors),
        partial(_embed_blocks, space, plan, anchors, world, cache, progress),
        world,
    )
    return Anchors(torch.from_numpy(rows.values_MD), dict(sorted(rows.skipped.items())))


def _embed_blocks(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    world: World,
    cache: VectorCache | None,
    progress: bool,
    blocks: Sequence[range],
) -> Iterator[BlockRows]:
    """Embed the items of some blocks, without a pause between them."""
    entries = _Entries(plan, anchors, blocks)
    embedded = embed_many(space, entries, cache=cache, progress=progress, **world.embedding)
    for block in blocks:
        skipped: dict[int, str] = {}
        vectors = []
        for index in block:
            # An entry has all views of an item, or one.
            parts = list(islice(embedded, entries.of_an_item))
            known = [row.vectors_VE for row in parts if row.vectors_VE is not None]
            if len(known) == len(parts):
                vectors.append(np.concatenate(known))
            else:
                skipped[index] = str(next(row.error for row in parts if row.error is not None))
        none = np.empty((0, plan.distinct_views, space.dim), np.float32)
        usable = [index not in skipped for index in block]
        yield BlockRows(np.stack(vectors) if vectors else none, np.array(usable, np.int32), skipped)


@dataclass(frozen=True)
class _Entries:
    """What is embedded for the items of some blocks, made one by one.

    Args:
        plan: how.
        anchors: all items.
        blocks: ranges of them.
    """

    plan: AnchorPlan
    anchors: Sequence[Anchor]
    blocks: Sequence[range]

    @property
    def of_an_item(self) -> int:
        return self.plan.distinct_views if self.plan.operations else 1

    def __len__(self) -> int:
        return sum(map(len, self.blocks)) * self.of_an_item

    def __iter__(self) -> Iterator[Entry]:
        for block in self.blocks:
            for anchor in self.anchors[block.start : block.stop]:
                yield from self.plan.entries(anchor)


def describe_anchors(
    space: Space, plan: AnchorPlan, anchors: Sequence[Anchor], block: range
) -> str:
    """Hash everything that decides the vectors of some items.

    Content is identified as build tools do it, by a file's name, size and times: a file that was
    written again counts as changed, and is then looked up in the cache by its content. Where the
    data lie doesn't count.
    """
    start = f"{space.identity(plan.modality)}/{plan!r}/{len(anchors)}"
    digest = hashlib.blake2b(start.encode(), digest_size=20)
    own = anchors[block.start : block.stop]
    if isinstance(own, AnchorView):
        digest.update(own.fingerprint())
    else:
        for anchor in own:
            state = file_state(anchor.item)
            digest.update(f"/{anchor.key}/{state}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
