"""Decode ahead of the reader: in threads or processes, in order, holding a bounded amount."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from openbind.errors import UnknownNameError, decoding
from openbind.limits import LIBRARY, ItemLimits
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality, Preprocess, Sample, View
from openbind.modalities.thumbnails import thumbnail_of

T = TypeVar("T")
Result = TypeVar("Result")
Decode = Callable[[T], Iterator[Sample]]
Settings = tuple[tuple[str, Any], ...]
"""Changed fields of a modality's settings and their plain values, sorted by name."""

TASKS_AHEAD = 32
"""Tasks that decoders may be ahead of the tower."""
AHEAD_BYTES = 128 << 20
"""Decoded tensors that may wait for the tower; one that it waits for may always come."""


def default_workers() -> int:
    """Return how many decoders run unless the caller chooses: one a core, 2 to 8."""
    return max(2, min(8, os.cpu_count() or 2))


def map_ahead(
    function: Callable[[T], Result],
    items: Iterable[T],
    workers: int | None = None,
    ahead: int = TASKS_AHEAD,
) -> Iterator[Callable[[], Result]]:
    """Run a function on items in threads, at most `ahead` items before the reader, in order.

    Yields:
        for each item a function that returns the result or raises what the call raised.
    """
    with ThreadPoolExecutor(workers or default_workers(), "openbind-ahead") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result
            while waiting:
                yield waiting.popleft().result
        finally:
            for future in waiting:
                future.cancel()


class Decoder:
    """Turns items into samples by each modality's settings. Picklable, for use in processes.

    Args:
        settings: modality → settings of its preprocessing.
        folder: of the checkpoint, where files such as a vocabulary are.
        limits: of each item.
    """

    def __init__(
        self, settings: Mapping[str, Any], folder: Path | None, limits: ItemLimits = LIBRARY
    ) -> None:
        self.settings, self.folder, self.limits = dict(settings), folder, limits
        self._prepared: dict[tuple[str, Settings], Preprocess] = {}

    def prepare(self, modality: str, changes: Settings = ()) -> Preprocess:
        """Return a modality's function from an item to its sample, prepared once.

        Args:
            modality: what items are read as.
            changes: of its settings.

        Raises:
            UnknownNameError: no such modality.
            ConfigError: no such setting, or a wrong value.
        """
        key = (modality, changes)
        if key not in self._prepared:
            if modality not in self.settings:
                raise UnknownNameError("modality", modality, self.settings)
            spec: Modality = MODALITIES.get(modality)
            settings = spec.change(self.settings[modality], dict(changes))
            self._prepared[key] = spec.prepare(settings, self.folder)
        return self._prepared[key]

    def samples(
        self,
        modality: str,
        item: Any,
        views: Sequence[View] = (View(),),
        changes: Settings = (),
        *,
        thumbnails: bool = False,
    ) -> Iterator[Sample]:
        """Decode views of an item, which is opened once for all of them.

        Args:
            modality: what the item is read as.
            item: as `Modality.accepts` says.
            views: parts of it.
            changes: of the modality's settings.
            thumbnails: draw each view, from what is decoded anyway where that is possible.

        Yields:
            one sample a view, in order.

        Raises:
            InputError: the item can't be used.
        """
        preprocess = self.prepare(modality, changes)
        spec: Modality = MODALITIES.get(modality)
        with decoding(item), closing(spec.read_views(item, views)) as parts:
            for _ in views:
                # Limits hold while this works, not while its reader does.
                with self.limits.applied():
                    part = next(parts)
                    sample = preprocess(part)
                    drawn = thumbnail_of(modality, part, sample) if thumbnails else None
                # What it is drawn from is large.
                yield replace(sample, draw=None, thumbnail=drawn)

    def preprocess(self, modality: str, item: Any) -> Sample:
        """Decode an item without views.

        Args:
            modality, item: as for `samples`.

        Raises:
            InputError: the item can't be used.
        """
        with decoding(item), self.limits.applied():
            return replace(self.prepare(modality)(item), draw=None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_prepared": {}}


def decode_ahead(
    tasks: Iterable[tuple[str, T]], decode: Decode[T], *, workers: int | None, processes: bool
) -> Generator[tuple[str, T, Iterator[Sample]], None, None]:
    """Decode tasks ahead of the reader.

    Args:
        tasks: (modality, task) pairs; read only a few ahead.
        decode: task → its samples; must be picklable with `processes`.
        workers: how many decode; None takes one a core, 2 to 8.
        processes: decode in processes instead of threads. A process returns all samples of a task
            at once; threads stream them, and wait while too much is decoded.

    Yields:
        modality, task and its samples as they come, in the tasks' order. Reading the samples
        raises what decoding raised.
    """
    run = _decode_in_processes if processes else _decode_in_threads
    return run(tasks, decode, workers or default_workers())


class _Closed(Exception):  # noqa: N818 - ends a decoder, never leaves this module
    """Nobody reads any more."""


class _Lanes:
    """Samples of several tasks, filled by decoders and emptied in order by one reader."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held_bytes = 0
        self.head: _Lane | None = None
        self.closed = False


class _Lane:
    """The samples of one task that are decoded and not read yet."""

    def __init__(self, lanes: _Lanes) -> None:
        self.lanes = lanes
        self.samples: deque[Sample] = deque()
        self.error: BaseException | None = None
        self.ended = False

    def fill(self, decode: Callable[[], Iterator[Sample]]) -> None:
        """Decode; runs in a decoder's thread."""
        try:
            with closing(_as_generator(decode())) as samples:
                for sample in samples:
                    self._put(sample)
        except _Closed:
            pass
        except BaseException as error:  # the reader raises it
            self.error = error
        finally:
            with self.lanes.changed:
                self.ended = True
                self.lanes.changed.notify_all()

    def _put(self, sample: Sample) -> None:
        lanes = self.lanes
        with lanes.changed:
            # The lane that is read may always go on when it is empty: nobody waits for ever.
            lanes.changed.wait_for(
                lambda: (
                    lanes.closed
                    or lanes.held_bytes < AHEAD_BYTES
                    or (lanes.head is self and not self.samples)
                )
            )
            if lanes.closed:
                raise _Closed
            self.samples.append(sample)
            lanes.held_bytes += sample.clips.nbytes
            lanes.changed.notify_all()

    def read(self) -> Iterator[Sample]:
        """Yield the samples as they come; raises what decoding raised."""
        lanes = self.lanes
        while True:
            with lanes.changed:
                lanes.head = self
                lanes.changed.notify_all()
                lanes.changed.wait_for(lambda: self.samples or self.ended)
                if not self.samples:
                    break
                sample = self.samples.popleft()
                lanes.held_bytes -= sample.clips.nbytes
                lanes.changed.notify_all()
            yield sample
        if self.error is not None:
            raise self.error


def _as_generator(values: Iterator[T]) -> Generator[T, None, None]:
    """Wrap an iterator so that it can be closed."""
    yield from values


def _decode_in_threads(
    tasks: Iterable[tuple[str, T]], decode: Callable[[T], Iterator[Sample]], workers: int
) -> Generator[tuple[str, T, Iterator[Sample]], None, None]:
    lanes = _Lanes()
    waiting: deque[tuple[str, T, _Lane]] = deque()
    with ThreadPoolExecutor(workers, "openbind-decode") as pool:
        try:
            for modality, task in tasks:
                lane = _Lane(lanes)
                waiting.append((modality, task, lane))
                pool.submit(lane.fill, partial(decode, task))
                if len(waiting) > TASKS_AHEAD:
                    yield _read_lane(*waiting.popleft())
            while waiting:
                yield _read_lane(*waiting.popleft())
        finally:
            with lanes.changed:
                lanes.closed = True
                lanes.changed.notify_all()
            pool.shutdown(wait=True, cancel_futures=True)


def _decode_in_processes(
    tasks: Iterable[tuple[str, T]], decode: Callable[[T], Iterator[Sample]], workers: int
) -> Generator[tuple[str, T, Iterator[Sample]], None, None]:
    # Forking a process whose threads hold locks may hang it.
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[str, T, Future[list[Sample]]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_use_one_thread) as pool:
        try:
            for modality, task in tasks:
                waiting.append((modality, task, pool.submit(_decode_all, decode, task)))
                if len(waiting) > 2 * workers:
                    yield _read_future(*waiting.popleft())
            while waiting:
                yield _read_future(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _decode_all(decode: Callable[[T], Iterator[Sample]], task: T) -> list[Sample]:
    return list(decode(task))


def _read_lane(modality: str, task: T, lane: _Lane) -> tuple[str, T, Iterator[Sample]]:
    return modality, task, lane.read()


def _read_future(
    modality: str, task: T, future: Future[list[Sample]]
) -> tuple[str, T, Iterator[Sample]]:
    def read() -> Iterator[Sample]:
        yield from future.result()

    return modality, task, read()
