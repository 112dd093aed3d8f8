"""Files → vectors, through the cache: what it knows isn't opened."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from openbind.embedding.cache import FilePart, KeyMaker, VectorCache
from openbind.errors import InputError
from openbind.space.pipeline import unit_rows
from openbind.space.space import Space

FileItem = str | os.PathLike[str] | FilePart

CHUNK_ITEMS = 128
"""Items embedded between two writes to the cache: what a killed run loses, and has in memory."""


def embed_paths(
    space: Space,
    modality: str,
    paths: Sequence[FileItem],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Embed files of one modality, those that the cache knows without opening the model.

    Args:
        space: embeds the others.
        modality: what all of them are read as.
        paths: of the files, or parts of files.
        cache: vectors of earlier runs, added to after every few items; None does without.
        progress: show a bar on stderr once the wait is longer than a second.

    Returns:
        (n, dim) float32 with unit rows, NaN where a file can't be used; place → reason of those.
    """
    vectors_NE = np.full((len(paths), space.dim), np.nan, np.float32)
    failures: dict[int, str] = {}
    keys: dict[int, bytes] = {}
    maker = KeyMaker(modality, space.fingerprint)
    for index, path in enumerate(paths):
        try:
            keys[index] = maker.of_item(path)
        except OSError as error:
            failures[index] = error.strerror or str(error)
    known = cache.get(keys.values()) if cache else {}
    for index, key in keys.items():
        if key in known:
            vectors_NE[index] = known[key]
    todo = [index for index, key in keys.items() if key not in known]
    with tqdm(total=len(todo), desc=modality, unit="item", delay=1, disable=not progress) as bar:
        for start in range(0, len(todo), CHUNK_ITEMS):
            chunk = todo[start : start + CHUNK_ITEMS]
            reasons = _embed_chunk(space, modality, {i: paths[i] for i in chunk}, vectors_NE)
            failures |= reasons
            if cache:
                cache.put({keys[i]: vectors_NE[i] for i in chunk if i not in reasons})
            bar.update(len(chunk))
    return vectors_NE, failures


def embed_texts(
    space: Space,
    modality: str,
    groups: Sequence[Sequence[str]],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Embed groups of texts, each to the mean of its texts' vectors, through the cache.

    Args:
        space: embeds those that the cache doesn't know.
        modality: that takes texts.
        groups: one or more, as many texts in each; one text a group gives its own vector.
        cache: vectors of earlier runs, added to; None does without.
        progress: show a bar on stderr once the wait is longer than a second.

    Returns:
        (groups, dim) float32, unit rows.
    """

    def make(places: Sequence[int]) -> np.ndarray:
        texts = [text for place in places for text in groups[place]]
        vectors_NE = space.encode(modality, texts, progress=progress)
        mean_NE: np.ndarray = vectors_NE.reshape(len(places), -1, space.dim).mean(axis=1)
        return unit_rows(mean_NE)

    if cache is None:
        return make(range(len(groups)))
    maker = KeyMaker(modality, space.fingerprint)
    return np.stack(cache.fill([maker.of_texts(texts) for texts in groups], make))


def _embed_chunk(
    space: Space, modality: str, items: dict[int, FileItem], vectors_NE: np.ndarray
) -> dict[int, str]:
    """Write the rows of some items; returns place → reason of those that can't be used."""
    failures: dict[int, str] = {}
    opened = {}
    for place, item in items.items():
        try:
            opened[place] = item.read() if isinstance(item, FilePart) else item
        except InputError as error:
            failures[place] = error.reason
    places = list(opened)

    def note(at: int, error: InputError) -> None:
        failures[places[at]] = error.reason

    vectors_NE[places] = space.encode(modality, list(opened.values()), on_error=note)
    return failures
