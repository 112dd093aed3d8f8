"""A pair ready to train: rows read, the frozen side embedded, the trained side set up."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from openbind.data.augment import read_augmentations
from openbind.data.index import RowIndex, RowView, open_index
from openbind.data.listing import read_rows
from openbind.data.loader import AugmentedItems, CachedFeatures, Side, SkippedItem
from openbind.data.sampler import PairSize, require_batch
from openbind.data.sources import PairSource
from openbind.data.splits import choose_fold, choose_split, hold_out
from openbind.data.table import PairTable, tabulate
from openbind.embedding.cache import VectorCache
from openbind.errors import ConfigError
from openbind.space.space import Space
from openbind.training.anchors import AnchorPlan, load_anchors
from openbind.training.contrast import Corpus
from openbind.training.distributed import World, gather_objects
from openbind.training.features import cache_features
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.state import RunFolder
from openbind.training.third import read_third, stack_third
from openbind.training.trained_tower import TrainedTower
from openbind.training.validation import HeldOut, Retrieval, measure_retrieval


@dataclass(frozen=True)
class PairCounts:
    """Size of a pair's data; of all of it, even where only a sample was prepared.

    Args:
        rows: training rows.
        held_out: validation rows.
        anchors: frozen items.
    """

    rows: int
    held_out: int
    anchors: int


@dataclass
class PairState:
    """One pair of a run.

    Args:
        plan: of the recipe.
        table: training rows.
        corpus: the frozen side's embeddings.
        side: reads the trained side.
        counts: of all rows.
        classes_CE: names of the classes that the tower keeps, or None.
        validation: held-out rows, or None.
        skipped: items that can't be used.
        frozen_seconds, features_seconds: what embedding the frozen side, and computing a frozen
            body's features, took.
    """

    plan: PairPlan
    table: PairTable
    corpus: Corpus
    side: Side
    counts: PairCounts
    classes_CE: torch.Tensor | None = None
    validation: HeldOut | None = None
    skipped: list[SkippedItem] = field(default_factory=list)
    frozen_seconds: float = 0.0
    features_seconds: float = 0.0

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the number of full batches of an epoch, with each row `repeat` times.

        Args:
            batch_size: of a pair without one of its own.
        """
        rows = int(self.counts.rows * self.plan.repeat)
        return max(1, rows // (self.plan.batch_size or batch_size))

    def measure(self, space: Space, world: World, examples: int = 0) -> Retrieval | None:
        """Return retrieval results on the validation rows, if there are any; all must call.

        Args:
            space: embeds the trained side.
            world: the processes.
            examples: rows whose nearest frozen items are returned.
        """
        if self.validation is None:
            return None
        by_label, given = self.plan.positives == "label", (space, self.plan.pair, self.validation)
        return measure_retrieval(*given, by_label=by_label, world=world, examples=examples)

    def cached_pairs(self) -> tuple[CachedFeatures, PairTable, torch.Tensor]:
        """Return cached features, their rows, and vectors_KVE of the frozen items."""
        assert isinstance(self.side, CachedFeatures)
        return self.side, self.table, self.corpus.vectors_KVE

    def size(self, batch_size: int) -> PairSize:
        """Return what the sampler needs to know."""
        weight = self.plan.weight
        return PairSize(
            name=self.plan.name,
            anchors=self.table.choices,
            views=self.plan.views.count,
            weight=self.batches_per_epoch(batch_size) if weight is None else weight,
            batch_size=self.plan.batch_size,
        )


@dataclass(frozen=True)
class Preparation:
    """What the pairs of a run have in common.

    Args:
        recipe: of the run.
        space: the starting one.
        root: data folder.
        world: the processes.
        folder: of the run; None neither reads nor writes vectors.
        limit: rows of each pair that are prepared, for a dry run; None is all.
        progress: show bars on stderr.
    """

    recipe: Recipe
    space: Space
    root: Path
    world: World
    folder: RunFolder | None = None
    limit: int | None = None
    progress: bool = False

    def rows_folder(self, name: str) -> Path | None:
        """Return the folder of one table of vectors or features; None keeps none."""
        return None if self.folder is None else self.folder.rows / name

    def open_cache(self) -> AbstractContextManager[VectorCache | None]:
        """Open the cache of vectors and features of all runs; a dry run uses none."""
        return nullcontext() if self.folder is None else VectorCache()


@dataclass(frozen=True)
class PairRows:
    """A pair's rows.

    Args:
        train: training rows.
        held_out: validation rows.
        extra: rows whose frozen items are used as negatives only.
        excluded: what the sources skipped, and why.
    """

    train: RowView
    held_out: RowView
    extra: RowView | None = None
    excluded: tuple[str, ...] = ()


def read_pair(plan: PairPlan, root: Path, world: World | None = None) -> PairRows:
    """Read a pair's training and validation rows; all processes must call.

    Args:
        plan: of the pair.
        root: data folder.
        world: the processes; None is this one alone.

    Raises:
        ConfigError, InputError: the data can't be read as the recipe says.
    """
    world = world or World()
    found = list_rows(plan.data, plan.pair, root, world)
    train, held_out = _split_rows(plan, found.rows)
    if plan.extra_negatives is None:
        return PairRows(train, held_out, excluded=found.excluded)
    frozen = plan.pair[0]
    extra = list_rows(plan.extra_negatives, (frozen, frozen), root, world)
    return PairRows(train, held_out, extra.rows, found.excluded + extra.excluded)


def list_rows(source: PairSource, pair: tuple[str, str], root: Path, world: World) -> RowIndex:
    """List a source's rows in one process of each machine; the others map what it wrote.

    Raises:
        ConfigError, InputError: see `read_rows`.
    """
    index = read_rows(source, pair, root) if world.local_rank == 0 else None
    folders = gather_objects(None if index is None else index.folder, world)
    folder = folders[world.rank - world.local_rank]
    if index is None and folder is not None:
        index = open_index(folder, root)
    return read_rows(source, pair, root) if index is None else index


def _split_rows(plan: PairPlan, rows: RowView) -> tuple[RowView, RowView]:
    chosen = choose_split(rows, plan.split)
    if plan.folds is not None:
        return choose_fold(chosen, plan.folds, plan.fold)
    if isinstance(plan.validation, str):
        held_out = choose_split(rows, plan.validation)
        return chosen[~np.isin(chosen.numbers_N, held_out.numbers_N)], held_out
    none = np.empty(0, np.int64)
    return (chosen, rows[none]) if plan.validation is None else hold_out(chosen, plan.validation)


def prepare_pair(
    index: int, plan: PairPlan, trained_tower: TrainedTower, given: Preparation
) -> PairState:
    """Read a pair's rows, embed the frozen side and set up the trained side; all must call.

    Args:
        index: of the pair in the recipe.
        plan: of the pair.
        trained_tower: of its trained modality.
        given: what the pairs have in common.

    Raises:
        ConfigError, InputError: the data can't be used as the recipe says.
    """
    recipe, frozen = given.recipe, plan.pair[0]
    if frozen not in given.space.modalities:
        known = ", ".join(given.space.modalities)
        raise ConfigError(f"{plan.name}: {recipe.start} has no {frozen}, only {known}")
    rows = read_pair(plan, given.root, given.world)
    require_batch(plan.name, len(rows.train), plan.batch_size or recipe.batch_size)
    table = tabulate(rows.train, frozen, () if rows.extra is None else rows.extra)
    counts = PairCounts(len(table.rows), len(rows.held_out), len(table.anchors))
    if given.limit is not None:
        table = table.sample(given.limit)
    thirds, missing = dict[str, np.ndarray](), list[SkippedItem]()
    if plan.third is not None:
        table, thirds, missing = read_third(plan, table, given)
    operations = read_augmentations(plan.augment.get(frozen, ()))
    anchor_plan = AnchorPlan(
        modality=frozen, views=plan.views, operations=operations, seed=recipe.seed
    )
    started = time.perf_counter()
    table, vectors_KVE, skipped = _embed(given, plan, anchor_plan, table, f"anchors-{index}")
    embedded = time.perf_counter()
    side, table, unreadable = _trained_side(index, plan, table, trained_tower, given)
    pair = PairState(
        plan,
        table,
        Corpus(table, vectors_KVE, plan.positives, plan.similar, stack_third(table, thirds)),
        side,
        counts if given.limit is not None else replace(counts, rows=len(table.rows)),
        skipped=[SkippedItem(plan.name, "excluded", why) for why in rows.excluded],
        classes_CE=_read_classes(index, plan, trained_tower, given),
        frozen_seconds=embedded - started,
        features_seconds=time.perf_counter() - embedded,
    )
    pair.skipped += missing + skipped + unreadable
    if len(rows.held_out):
        limit = min(recipe.logging.validation_rows, given.limit or len(rows.held_out))
        held_out = tabulate(rows.held_out, frozen).sample(limit)
        whole = AnchorPlan(modality=frozen)
        held_out, whole_KVE, skipped = _embed(given, plan, whole, held_out, f"validation-{index}")
        pair.validation = HeldOut(held_out, whole_KVE[:, 0].numpy())
        pair.skipped += skipped
    return pair


def _read_classes(
    index: int, plan: PairPlan, trained_tower: TrainedTower, given: Preparation
) -> torch.Tensor | None:
    """Embed the names of the classes that the trained tower's own classifier keeps.

    Raises:
        ConfigError: the tower has no classifier, of another number of classes, or a name can't be
            used.
    """
    if plan.keep is None:
        return None
    frozen, expected = plan.pair[0], trained_tower.num_classes()
    rows = list_rows(plan.keep.classes, (frozen, frozen), given.root, given.world).rows
    if len(rows) != expected:
        raise ConfigError(
            f"{plan.name}: keep.classes: {len(rows)} rows, but the classifier of "
            f"{plan.pair[1]} has {expected} classes; name each of them, in their order"
        )
    table = tabulate(rows, frozen)
    table, vectors_KVE, skipped = _embed(
        given, plan, AnchorPlan(modality=frozen), table, f"classes-{index}"
    )
    if skipped:
        raise ConfigError(f"{plan.name}: keep.classes: {skipped[0].item}: {skipped[0].reason}")
    return vectors_KVE[[choice[0] for choice in table.choices], 0]


def _embed(
    given: Preparation, plan: PairPlan, anchor_plan: AnchorPlan, table: PairTable, name: str
) -> tuple[PairTable, torch.Tensor, list[SkippedItem]]:
    """Embed a table's frozen items; returns it without unusable ones, vectors_KVE, and those."""
    with given.open_cache() as cache:
        found = load_anchors(
            given.space,
            anchor_plan,
            table.anchors,
            given.rows_folder(name),
            world=given.world,
            cache=cache,
            progress=given.progress,
        )
    skipped = [
        SkippedItem(plan.name, table.anchors[i].key, why) for i, why in found.skipped.items()
    ]
    vectors_KVE = found.vectors_KVE.expand(-1, anchor_plan.views.count, -1)
    return table.without(found.skipped), vectors_KVE, skipped


def _trained_side(
    index: int, plan: PairPlan, table: PairTable, trained_tower: TrainedTower, given: Preparation
) -> tuple[Side, PairTable, list[SkippedItem]]:
    """Set up reading of the trained side: items, or a frozen body's features of them."""
    modality = plan.pair[1]
    operations = read_augmentations(plan.augment.get(modality, ()))
    folder, seed = given.space.folder, given.recipe.seed
    if trained_tower.plan.train != "head":
        items = AugmentedItems(
            table, modality, trained_tower.settings, folder, plan.views, operations, seed
        )
        return items, table, []
    if operations:
        raise ConfigError(
            f"{plan.name}: augment.{modality}: has no effect with towers.{modality}.train: head, "
            "which caches each item's features; remove it, or train the whole tower"
        )
    with given.open_cache() as cache:
        return cache_features(
            plan,
            table,
            trained_tower,
            folder,
            seed,
            kept=given.rows_folder(f"features-{index}"),
            cache=cache,
            world=given.world,
            progress=given.progress,
        )
