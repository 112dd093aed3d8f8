"""A space that was exported: the same vectors without PyTorch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from openbind.checkpoints.repository import read_json
from openbind.configs import from_dict, to_dict
from openbind.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    MissingExtraError,
    UnknownNameError,
    decoding,
)
from openbind.limits import LIBRARY, ItemLimits
from openbind.modalities import MODALITIES
from openbind.modalities.spec import ArraySample, PreprocessArrays
from openbind.runtime.engines import ENGINES, Run
from openbind.runtime.manifest import CARD, Graph, Manifest, check_files, read_manifest
from openbind.space.card import Card
from openbind.space.decoding import map_ahead
from openbind.space.inputs import OnError, is_many, report_error
from openbind.space.vectors import ClipVectors, check_vectors, clip_vectors

BATCH_CLIPS = 16
"""Clips of one call of a graph, unless the caller chooses."""


class ExportedSpace:
    """Encodes with graphs that `openbind export` wrote. Made by `openbind.load(…, runtime=…)`.

    It has `Space`'s `encode`, `preprocess`, `similarity` and `logits`; what needs the towers
    themselves is refused. PyTorch isn't imported for images, text, IMU data and most audio.

    Args:
        folder: of the exported space.
        manifest: read from it.
        card: of the space.
        runtime: name of what computes.
        dtype: precision to compute in, as the runtime takes it.
        limits: of each item.

    Attributes:
        manifest, card, runtime: as given.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        card: Card,
        runtime: str,
        dtype: str = "auto",
        limits: ItemLimits = LIBRARY,
    ) -> None:
        self.manifest, self.card, self.runtime = manifest, card, runtime
        self._folder, self._dtype, self._limits = folder, dtype, limits
        self._prepared: dict[str, PreprocessArrays] = {}
        self._opened: dict[str, Run] = {}

    @property
    def name(self) -> str:
        """What the space is called."""
        return self.manifest.name

    @property
    def dim(self) -> int:
        """Dimensions of the joint embedding."""
        return self.manifest.dim

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that can be encoded."""
        return tuple(self.manifest.modalities)

    def __repr__(self) -> str:
        given = f"dim={self.dim}, modalities={list(self.modalities)}, runtime={self.runtime!r}"
        return f"ExportedSpace({self.name!r}, {given})"

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"an exported space has no {name!r}: it encodes, preprocesses and compares; for "
            "everything else load the space that was exported"
        )

    def identity(self, modality: str) -> str:
        """Return a hash of what decides a modality's vectors: graph, settings, runtime, precision.

        Raises:
            UnknownNameError: the space has no such modality.
        """
        graph = self._graph(modality)
        digests = {name: self.manifest.digests[name] for name in self.manifest.files(modality)}
        parts = [modality, graph.version, to_dict(graph.settings), digests]
        text = json.dumps([*parts, self.runtime, self._dtype], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def encode(
        self,
        modality: str,
        items: Any,
        *,
        batch_size: int = BATCH_CLIPS,
        workers: int | None = None,
        pool: str | None = "mean",
        on_error: OnError = "raise",
    ) -> Any:
        """Embed items of one modality, as `Space.encode`.

        Args:
            modality: one of `modalities`.
            items: several items or one, as the modality accepts.
            batch_size: clips that go through the graph together.
            workers: threads that decode ahead.
            pool: "mean" returns one vector an item; None the vectors of its clips.
            on_error: "raise", "warn", or a function called with (index, InputError).

        Returns:
            (n, dim) float32 with rows of unit length; (dim,) for a single item; a list of arrays
            for `pool=None`.

        Raises:
            InputError: an item can't be used, and why.
            UnknownNameError: the space has no such modality.
        """
        if pool not in ("mean", None):
            raise ValueError(f"pool: expected 'mean' or None, found {pool!r}")
        self._graph(modality)
        single = not is_many(items, MODALITIES.get(modality))
        listed = [items] if single else list(items)
        rows: list[ClipVectors] = []
        for item, found in zip(
            listed, self._embed(modality, listed, batch_size, workers), strict=True
        ):
            error = found if isinstance(found, InputError) else found.find_defect(item)
            if error is not None:
                report_error(len(rows), error, on_error)
            failed = clip_vectors(np.full((1, self.dim), np.nan, np.float32))
            rows.append(failed if error is not None or isinstance(found, InputError) else found)
        if pool is None:
            return rows[0] if single else rows
        if not rows:
            return np.zeros((0, self.dim), np.float32)
        vectors = np.stack([row.mean_vector() for row in rows])
        return vectors[0] if single else vectors

    def preprocess(self, modality: str, items: Any) -> np.ndarray:
        """Turn items into what the graph gets: the clips of all items, (clips, ...).

        Raises:
            InputError: an item can't be used, or clips have different shapes.
        """
        self._graph(modality)
        listed = items if is_many(items, MODALITIES.get(modality)) else [items]
        samples = [self._decode(modality, item) for item in listed]
        if len({sample.clips.shape[1:] for sample in samples}) > 1:
            raise InputError(modality, "clips have different shapes; preprocess items one by one")
        return np.concatenate([sample.clips for sample in samples])

    def similarity(self, a_NE: Any, b_ME: Any) -> np.ndarray:
        """Return the cosines of two sets of vectors, (n, m) float32, as `Space.similarity`.

        Raises:
            InputError: not vectors of this space.
        """
        a_NE, b_ME = check_vectors(a_NE, self.dim), check_vectors(b_ME, self.dim)
        return np.asarray(a_NE @ b_ME.T, np.float32)

    def logits(self, a_modality: str, a_NE: Any, b_modality: str, b_ME: Any) -> np.ndarray:
        """Return similarities with the scales that the model was trained with, (n, m) float32.

        Raises:
            InputError, UnknownNameError: not vectors of this space; no such modality.
        """
        scale = self._graph(a_modality).scale * self._graph(b_modality).scale
        return np.asarray(scale * self.similarity(a_NE, b_ME), np.float32)

    def _graph(self, modality: str) -> Graph:
        if modality not in self.manifest.modalities:
            raise UnknownNameError(f"modality of {self.name}", modality, self.modalities)
        return self.manifest.modalities[modality]

    def _decode(self, modality: str, item: Any) -> ArraySample:
        if modality not in self._prepared:
            self._prepared[modality] = _prepare(modality, self._graph(modality), self._folder)
        with decoding(item), self._limits.applied():
            return self._prepared[modality](item)

    def _embed(
        self, modality: str, items: Iterable[Any], batch_size: int, workers: int | None
    ) -> Iterator[ClipVectors | InputError]:
        """Yield the vectors of items, or why one has none, in order."""
        waiting: list[ArraySample | InputError] = []
        clips = 0
        for result in map_ahead(partial(self._decode, modality), items, workers):
            waiting.append(_settle(result))
            clips += 0 if isinstance(waiting[-1], InputError) else len(waiting[-1].clips)
            if clips >= batch_size:
                yield from self._compute(modality, waiting, batch_size)
                waiting, clips = [], 0
        yield from self._compute(modality, waiting, batch_size)

    def _compute(
        self, modality: str, waiting: list[ArraySample | InputError], batch_size: int
    ) -> Iterator[ClipVectors | InputError]:
        run, graph = self.open(modality), self._graph(modality)
        samples = [each for each in waiting if isinstance(each, ArraySample)]
        clips = [clip for sample in samples for clip in sample.clips]
        rows = iter(run_clips(run, clips, graph.padding, batch_size))
        for each in waiting:
            if isinstance(each, InputError):
                yield each
            else:
                yield clip_vectors(np.stack([next(rows) for _ in each.clips]), each.times)

    def open(self, modality: str) -> Run:
        """Return what computes a modality's batches; its files are checked on first use.

        Raises:
            UnknownNameError: the space has no such modality.
            CheckpointError: a file of it was changed, or can't be opened.
        """
        file = self._graph(modality).file
        if file not in self._opened:
            check_files(self._folder, self.manifest, [modality])
            open_graph: Callable[[Path, str], Run] = ENGINES.get(self.runtime)
            self._opened[file] = open_graph(self._folder / file, self._dtype)
        return self._opened[file]


def open_exported(
    directory: str | os.PathLike[str],
    runtime: str,
    *,
    modalities: Iterable[str] | None = None,
    dtype: str = "auto",
) -> ExportedSpace:
    """Open a folder that `openbind export --format onnx` wrote.

    Args:
        directory: the folder.
        runtime: "onnx" or "openvino".
        modalities: check and open only these; None takes all.
        dtype: "auto" or "float32"; OpenVINO also computes in "bfloat16".

    Raises:
        CheckpointError: not an exported space, of another format, or a file of it was changed.
        UnknownNameError: no such runtime, or the space has no such modality.
        MissingExtraError: the runtime isn't installed.
    """
    folder = Path(directory).expanduser()
    ENGINES.get(runtime)
    manifest = read_manifest(folder, modalities)
    if manifest.format != "onnx":
        reason = f"graphs of the format {manifest.format}; these runtimes take onnx"
        raise CheckpointError(folder, f"{reason}: openbind export SPACE DIR --format onnx")
    space = ExportedSpace(folder, manifest, _read_card(folder), runtime, str(dtype))
    for name in manifest.modalities:
        space.open(name)
    return space


def run_clips(
    run: Run, clips: list[np.ndarray], padding: int | None, batch_size: int
) -> list[np.ndarray]:
    """Compute the vectors of clips, in batches of one shape.

    Args:
        run: computes a batch.
        clips: of any shapes.
        padding: id that may be cut from the end of token ids; None cuts nothing.
        batch_size: clips of a batch.

    Returns:
        one row a clip, in order.
    """
    order = sorted(range(len(clips)), key=lambda index: _work(clips[index], padding))
    rows: dict[int, np.ndarray] = {}
    while order:
        same = [i for i in order[:batch_size] if clips[i].shape == clips[order[0]].shape]
        batch = np.stack([clips[i] for i in same])
        if padding is not None:
            batch = np.ascontiguousarray(batch[:, : max(_length(clips[i], padding) for i in same)])
        rows |= dict(zip(same, run(batch), strict=True))
        order = [i for i in order if i not in rows]
    return [rows[index] for index in range(len(clips))]


def _work(clip: np.ndarray, padding: int | None) -> tuple[tuple[int, ...], int]:
    return clip.shape, 0 if padding is None else _length(clip, padding)


def _length(ids_N: np.ndarray, padding: int) -> int:
    """Return the length of token ids with one of the padding, which may be the end itself."""
    used = np.flatnonzero(ids_N != padding)
    return min(len(ids_N), int(used[-1]) + 2) if len(used) else 1


def _settle(result: Callable[[], ArraySample]) -> ArraySample | InputError:
    """Return what was decoded, or its error as one of the item."""
    try:
        return result()
    except InputError as error:
        return error
    except OSError as error:
        return InputError(error.filename or "item", error.strerror or str(error))
    except MissingExtraError as error:
        found = InputError("item", str(error))
        found.__cause__ = error
        return found


def _prepare(modality: str, graph: Graph, folder: Path) -> PreprocessArrays:
    spec = MODALITIES.get(modality)
    if spec.prepare_arrays is not None:
        prepared: PreprocessArrays = spec.prepare_arrays(graph.settings, folder)
        return prepared
    preprocess = spec.prepare(graph.settings, folder)  # imports PyTorch

    def read(item: Any) -> ArraySample:
        sample = preprocess(item)
        return ArraySample(sample.clips.numpy(), sample.times)

    return read


def _read_card(folder: Path) -> Card:
    path = folder / CARD
    try:
        return from_dict(Card, read_json(path)) if path.is_file() else Card()
    except ConfigError as error:
        raise CheckpointError(path, str(error)) from error
