"""A pair made ready: its rows read, its frozen side embedded, its trained side set up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from openbind.data.augment import read_augmentations
from openbind.data.loader import AugmentedItems, CachedFeatures, Side, SkippedItem
from openbind.data.pairs import Row, choose_split, hold_out
from openbind.data.sampler import PairSize
from openbind.data.sources import read_rows
from openbind.data.table import Anchor, PairTable, tabulate
from openbind.data.views import ViewPlan
from openbind.embedding.cache import VectorCache
from openbind.errors import ConfigError
from openbind.space.space import Space
from openbind.training.anchors import (
    AnchorPlan,
    Anchors,
    embed_anchors,
    plan_digest,
    read_anchors,
    write_anchors,
)
from openbind.training.contrast import Corpus
from openbind.training.distributed import World, gather_objects
from openbind.training.features import keep_features
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.state import RunFolder
from openbind.training.trained_tower import TrainedTower
from openbind.training.validation import choose_rows


@dataclass
class PairState:
    """One pair of a run.

    Args:
        plan: what the recipe says of it.
        table: rows that train.
        corpus: the frozen side's embeddings.
        side: reads the trained side.
        validation: rows that don't train, or None.
        validation_KE: embeddings of their frozen items, shown whole.
        skipped: items that were found unusable already.
    """

    plan: PairPlan
    table: PairTable
    corpus: Corpus
    side: Side
    validation: PairTable | None = None
    validation_KE: np.ndarray | None = None
    skipped: list[SkippedItem] = field(default_factory=list)

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches one epoch has: as many as fit, each row `repeat` times."""
        return max(1, int(len(self.table.rows) * self.plan.repeat) // batch_size)

    def kept_pairs(self) -> tuple[CachedFeatures, PairTable, torch.Tensor]:
        """Return features that were computed before, their rows, and the frozen items' vectors."""
        assert isinstance(self.side, CachedFeatures)
        return self.side, self.table, self.corpus.vectors_KVE

    def size(self, batch_size: int) -> PairSize:
        """What the sampler has to know."""
        weight = self.plan.weight
        return PairSize(
            name=self.plan.name,
            anchors=self.table.choices,
            views=self.plan.views.count,
            weight=self.batches_per_epoch(batch_size) if weight is None else weight,
        )


@dataclass(frozen=True)
class Preparation:
    """What all pairs of a run share.

    Args:
        recipe: of the run.
        space: the starting one.
        root: data folder.
        world: the processes.
        folder: of the run; None keeps nothing there.
        progress: show bars on stderr.
    """

    recipe: Recipe
    space: Space
    root: Path
    world: World
    folder: RunFolder | None
    progress: bool


@dataclass(frozen=True)
class PairRows:
    """A pair's rows.

    Args:
        train: that train.
        held: that validate.
        others: whose frozen items only repel.
        excluded: what the sources passed over, and why.
    """

    train: list[Row]
    held: list[Row]
    others: tuple[Row, ...] = ()
    excluded: tuple[str, ...] = ()


def read_pair(plan: PairPlan, root: Path, seed: int) -> PairRows:
    """Read a pair's rows: those that train and those that validate.

    Raises:
        ConfigError, InputError: the data can't be read as the recipe says.
    """
    found = read_rows(plan.data, plan.pair, root)
    train, held = _part_rows(plan, found.rows, seed)
    if plan.extra_negatives is None:
        return PairRows(train, held, excluded=found.excluded)
    frozen = plan.pair[0]
    others = read_rows(plan.extra_negatives, (frozen, frozen), root)
    return PairRows(train, held, others.rows, found.excluded + others.excluded)


def _part_rows(plan: PairPlan, rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    if isinstance(plan.validation, str):
        held = choose_split(rows, plan.validation)
        keys = {row.key for row in held}
        left = choose_split(rows, plan.split) if plan.split else rows
        return [row for row in left if row.key not in keys], list(held)
    chosen = list(choose_split(rows, plan.split) if plan.split else rows)
    if plan.validation is None:
        return chosen, []
    return hold_out(chosen, plan.validation, seed)


def prepare_pair(
    index: int, plan: PairPlan, trained_tower: TrainedTower, given: Preparation
) -> PairState:
    """Read a pair's rows and make both of its sides ready.

    Raises:
        ConfigError, InputError: the data can't be used as the recipe says.
    """
    recipe = given.recipe
    frozen = plan.pair[0]
    if frozen not in given.space.modalities:
        known = ", ".join(given.space.modalities)
        raise ConfigError(f"{plan.name}: {recipe.start} has no {frozen}, only {known}")
    rows = read_pair(plan, given.root, recipe.seed)
    table = tabulate(rows.train, frozen, rows.others)
    operations = read_augmentations(plan.augment.get(frozen, ()))
    anchor_plan = AnchorPlan(
        modality=frozen, views=plan.views, operations=operations, seed=recipe.seed
    )
    anchors = _embed_all(given, anchor_plan, table.anchors, index)
    broken = [SkippedItem(plan.name, "excluded", text) for text in rows.excluded]
    broken += _list_broken(plan, table.anchors, anchors.broken)
    table, vectors_KVE = table.without(anchors.broken), _good(anchors)
    side, table, more = _trained_side(plan, table, trained_tower, given)
    corpus = Corpus(table, vectors_KVE, plan.positives)
    pair = PairState(plan, table, corpus, side, skipped=broken + more)
    if rows.held:
        held = choose_rows(tabulate(rows.held, frozen), recipe.logging.validation_rows)
        whole = _embed_all(given, AnchorPlan(modality=frozen, views=ViewPlan()), held.anchors, None)
        pair.skipped += _list_broken(plan, held.anchors, whole.broken)
        pair.validation, pair.validation_KE = held.without(whole.broken), _good(whole)[:, 0].numpy()
    return pair


def _embed_all(
    given: Preparation, plan: AnchorPlan, anchors: Sequence[Anchor], index: int | None
) -> Anchors:
    """Embed frozen items, each process its share, and exchange them; or read the run's file."""
    digest = plan_digest(given.space, plan, anchors)
    path = None if given.folder is None or index is None else given.folder.anchors(index)
    if path is not None and (kept := read_anchors(path, digest)) is not None:
        return kept
    part = slice(given.world.rank, None, given.world.size)
    with closing(VectorCache()) as cache:
        mine = embed_anchors(given.space, plan, anchors, cache, part=part, progress=given.progress)
    merged = _merge(mine, given.world)
    if path is not None and given.world.is_first:
        write_anchors(path, merged, digest)
    return merged


def _merge(mine: Anchors, world: World) -> Anchors:
    if world.size == 1:
        return mine
    parts = gather_objects((mine.vectors_KVE[world.rank :: world.size], mine.broken), world)
    vectors_KVE, broken = mine.vectors_KVE, dict(mine.broken)
    for rank, (rows, bad) in enumerate(parts):
        vectors_KVE[rank :: world.size] = rows
        broken |= bad
    return Anchors(vectors_KVE, broken)


def _good(anchors: Anchors) -> torch.Tensor:
    kept = [i for i in range(len(anchors.vectors_KVE)) if i not in anchors.broken]
    return anchors.vectors_KVE[kept]


def _list_broken(
    plan: PairPlan, anchors: Sequence[Anchor], broken: dict[int, str]
) -> list[SkippedItem]:
    return [SkippedItem(plan.name, anchors[i].key, reason) for i, reason in sorted(broken.items())]


def _trained_side(
    plan: PairPlan, table: PairTable, trained_tower: TrainedTower, given: Preparation
) -> tuple[Side, PairTable, list[SkippedItem]]:
    """Set up how the trained side is read: items, or a frozen body's features of them."""
    modality = plan.pair[1]
    operations = read_augmentations(plan.augment.get(modality, ()))
    folder, seed = given.space.folder, given.recipe.seed
    if trained_tower.plan.train != "head":
        shown = AugmentedItems(
            table, modality, trained_tower.settings, folder, plan.views, operations, seed
        )
        return shown, table, []
    if operations:
        raise ConfigError(
            f"{plan.name}: towers.{modality}.train: head keeps each item's features, so "
            "augmentations of it would do nothing; leave them out, or train it in full"
        )
    return keep_features(plan, table, trained_tower, folder, seed, given.progress)
