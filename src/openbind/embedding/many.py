"""Embed many items: keep what is known, say what failed, stream rows in order.

Everything that embeds more than a handful of items goes through `embed_many`: folders, an index,
the frozen side of training, validation, evaluation, workers of a cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypedDict, TypeVar

import numpy as np
import torch

from openbind.embedding.cache import VectorCache
from openbind.embedding.items import (
    KEY_BYTES,
    Ensemble,
    Item,
    StoredVector,
    content_key,
    item_name,
    load_vector,
    open_item,
)
from openbind.embedding.progress import ItemBar, open_bar
from openbind.errors import InputError, decoding
from openbind.modalities.spec import Sample, View
from openbind.space.decoding import Decoder, Settings, map_ahead
from openbind.space.inputs import OnError, report_error
from openbind.space.pipeline import Batching, Finished, run_tasks
from openbind.space.space import Space

T = TypeVar("T")
LOOKUPS = 64
"""Entries that are looked up in the cache together."""
WRITES = 64
"""New vectors that are written to the cache together: what a killed run loses at most."""
WHOLE = (View(),)
OnDecoded = Callable[["Entry", float], object]


class BatchOptions(TypedDict, total=False):
    """Keywords of `embed_many` and `compute_many`.

    Keys:
        batch_size: clips that go through a tower together; None chooses by device and size.
        workers: decoders ahead of the tower; None takes one a core, 2 to 8.
    """

    batch_size: int | None
    workers: int | None


class ComputeOptions(BatchOptions, total=False):
    """Keywords that everything that embeds takes and passes on to `embed_many`.

    Keys:
        device: where to compute; None takes the device the space is on.
    """

    device: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An item to embed.

    Args:
        modality: what it is read as.
        item: what it is.
        views: parts of it, each of which gets a vector; the item is opened once for all.
        settings: of the modality's preprocessing that differ from the space's for this item.
    """

    modality: str
    item: Item
    views: tuple[View, ...] = WHOLE
    settings: Settings = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be embedded, or a folder that could not be read, and why."""

    item: Item
    reason: str

    @property
    def name(self) -> str:
        """The item's name."""
        return item_name(self.item)


@dataclass(frozen=True)
class Embedded:
    """What came of an entry.

    Args:
        index: of the entry, from 0.
        entry: the entry.
        vectors_VE: float32 unit vectors (views, dim); None if the item can't be used.
        error: why it can't be used.
        thumbnails: JPEGs of the views that were computed, where they were asked for.
    """

    index: int
    entry: Entry
    vectors_VE: np.ndarray | None
    error: InputError | None = None
    thumbnails: Sequence[bytes | None] = ()

    @property
    def failure(self) -> Failure | None:
        """The reason without the exception, for reports."""
        return None if self.error is None else Failure(self.entry.item, self.error.reason)


@dataclass(eq=False)
class _Task:
    """An entry on its way: which of its views are known, which have to be computed."""

    index: int
    entry: Entry
    keys: list[bytes] = field(default_factory=list)
    known: dict[int, np.ndarray] = field(default_factory=dict)
    error: InputError | None = None
    decoded: int = 0

    def note_decoded(self, sample: Sample) -> float:
        """Count a decoded view; returns where it ends in the recording, in seconds."""
        view = self.entry.views[self.missing[min(self.decoded, len(self.missing) - 1)]]
        self.decoded += 1
        return view.span[1] if view.span else sample.times[-1][1] if sample.times else 0.0

    @property
    def missing(self) -> list[int]:
        return [v for v in range(len(self.entry.views)) if v not in self.known]


def embed_many(
    space: Space,
    entries: Iterable[Entry],
    *,
    cache: VectorCache | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    processes: bool = False,
    on_error: OnError = "return",
    progress: bool = False,
    on_decoded: OnDecoded | None = None,
    thumbnails: bool = False,
) -> Iterator[Embedded]:
    """Embed items; those that the cache knows aren't opened, but for their content's hash.

    Decoding and hashing run in workers ahead of the towers; memory is bounded.

    Args:
        space: has the modalities.
        entries: of any modalities, mixed; read only a few ahead.
        cache: vectors of earlier runs, found by content; new ones are added every few items.
        batch_size, workers, device: see `ComputeOptions`.
        processes: decode in processes instead of threads.
        on_error: "return" yields a row with an error; else as for `Space.encode`.
        progress: show a bar on stderr once the wait is longer than a second.
        on_decoded: called with an entry and the seconds of it that are decoded so far.
        thumbnails: draw each view.

    Yields:
        one row an entry, in order.

    Raises:
        InputError: an item can't be used, with `on_error="raise"`.
        UnknownNameError: the space lacks a modality.
    """
    space = space if device is None else space.to(device)
    bar = open_bar(entries, "embedding", "item", shown=progress)
    results = run_tasks(
        ((task.entry.modality, task) for task in _look_up(space, entries, cache)),
        partial(_decode, space.decoder, thumbnails=thumbnails),
        space.batching(batch_size),
        workers=workers,
        processes=processes,
        on_sample=partial(_note_sample, on_decoded or partial(_show, bar)),
    )
    new: dict[bytes, np.ndarray] = {}
    try:
        for result in results:
            row = _finish(result, new)
            if cache is not None and len(new) >= WRITES:
                cache.put(new)
                new.clear()
            bar.count(row.entry)
            if row.error is not None and on_error != "return":
                report_error(row.index, row.error, on_error)
            yield row
    finally:
        bar.close()
        if cache is not None and new:
            cache.put(new)


def compute_many(
    decoder: Decoder,
    entries: Iterable[Entry],
    compute: Callable[[str, torch.Tensor], torch.Tensor],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
) -> Iterator[Finished[Entry]]:
    """Run any function over the clips of items: the features of a tower's body, for instance.

    Args:
        decoder: turns opened items into samples.
        entries: as in `embed_many`.
        compute: (modality, clips (batch, ...)) → (batch, width).
        batch_size, workers: see `ComputeOptions`.
        device: type of the device that computes.

    Yields:
        in order, each entry with the rows of its clips, one array a view, or its error.
    """
    tasks = ((entry.modality, _Task(0, entry)) for entry in entries)
    batching = Batching(compute, batch_size, device)
    for result in run_tasks(tasks, partial(_decode, decoder), batching, workers=workers):
        yield Finished(result.task.entry, result.modality, result.vectors, result.error)


def collect(
    rows: Iterable[Embedded], count: int, dim: int
) -> tuple[np.ndarray, dict[int, InputError]]:
    """Gather rows of one view each in an array.

    Args:
        rows: from `embed_many`.
        count: how many.
        dim: of the vectors.

    Returns:
        (count, dim) float32, NaN where an item can't be used; index → error of those.
    """
    vectors_NE = np.full((count, dim), np.nan, np.float32)
    errors: dict[int, InputError] = {}
    for row in rows:
        if row.vectors_VE is None:
            assert row.error is not None
            errors[row.index] = row.error
        else:
            (vectors_NE[row.index],) = row.vectors_VE
    return vectors_NE, errors


def view_keys(identity: str, entry: Entry) -> list[bytes]:
    """Hash, for each view of an item, all that decides its vector.

    Args:
        identity: `space.identity(entry.modality)`.
        entry: the item is read whole; its name doesn't count.

    Raises:
        InputError: the item can't be read.
    """
    content = content_key(entry.item)
    changes = repr(entry.settings) if entry.settings else ""
    start = f"{identity}/{changes}".encode() + content
    return [
        hashlib.blake2b(start + repr(view).encode(), digest_size=KEY_BYTES).digest()
        for view in entry.views
    ]


def _look_up(space: Space, entries: Iterable[Entry], cache: VectorCache | None) -> Iterator[_Task]:
    """Yield tasks with the vectors that are known: stored ones, and those in the cache."""

    def prepare(pair: tuple[int, Entry]) -> _Task:
        task = _Task(*pair)
        entry = task.entry
        try:
            with decoding(item_name(entry.item)):
                if isinstance(entry.item, StoredVector):
                    vector_E = load_vector(entry.item, space.dim)
                    task.known = dict.fromkeys(range(len(entry.views)), vector_E)
                elif cache is not None:
                    task.keys = view_keys(space.identity(entry.modality), entry)
        except InputError as error:
            task.error = error
        return task

    # Without a cache nothing is looked up together: entries go on as they come.
    together = 1 if cache is None else LOOKUPS
    prepared = map_ahead(prepare, enumerate(entries), ahead=together)
    while chunk := [result() for result in islice(prepared, together)]:
        if cache is not None:
            stored = cache.get([key for task in chunk for key in task.keys])
            found = {key: vector for key, vector in stored.items() if vector.shape == (space.dim,)}
            for task in chunk:
                task.known |= {v: found[key] for v, key in enumerate(task.keys) if key in found}
        yield from chunk


def _note_sample(on_decoded: OnDecoded, task: _Task, sample: Sample) -> None:
    on_decoded(task.entry, task.note_decoded(sample))


def _show(bar: ItemBar, entry: Entry, seconds: float) -> None:
    bar.show_seconds(item_name(entry.item), seconds)


def _decode(decoder: Decoder, task: _Task, thumbnails: bool = False) -> Iterator[Sample]:
    """Decode the views of an entry that aren't known; runs in workers."""
    if task.error is not None:
        raise task.error
    entry, missing = task.entry, task.missing
    if not missing:
        return
    read = partial(decoder.samples, entry.modality)
    if isinstance(entry.item, Ensemble):
        opened = map(open_item, entry.item.items)
        samples = [next(read(item, WHOLE, entry.settings)) for item in opened]
        yield Sample(torch.cat([sample.clips for sample in samples]))
        return
    with decoding(item_name(entry.item)):
        item = open_item(entry.item)
    views = [entry.views[view] for view in missing]
    yield from read(item, views, entry.settings, thumbnails=thumbnails)


def _finish(result: Finished[_Task], new: dict[bytes, np.ndarray]) -> Embedded:
    """Put known and computed vectors together, and take note of the new ones."""
    task = result.task
    if result.error is not None:
        return Embedded(task.index, task.entry, None, result.error)
    name = item_name(task.entry.item)
    defects = filter(None, (clips.find_defect(name) for clips in result.vectors))
    if (error := next(defects, None)) is not None:
        return Embedded(task.index, task.entry, None, error)
    for view, clips in zip(task.missing, result.vectors, strict=True):
        vector_E = clips.mean_vector()
        task.known[view] = vector_E
        if task.keys:
            new[task.keys[view]] = vector_E
    vectors_VE = np.stack([task.known[view] for view in range(len(task.entry.views))])
    return Embedded(task.index, task.entry, vectors_VE, thumbnails=result.thumbnails)
