"""Files → vectors, through the cache: what it knows isn't opened."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from openbind.cache import VectorCache, content_key
from openbind.errors import InputError
from openbind.space import Space


def embed_paths(
    space: Space,
    modality: str,
    paths: Sequence[str | os.PathLike[str]],
    cache: VectorCache | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Embed files of one modality, those that the cache knows without opening the model.

    Args:
        space: embeds the others.
        modality: what all of them are read as.
        paths: of the files.
        cache: vectors of earlier runs, added to; None does without.
        progress: show a bar on stderr once the wait is longer than a second.

    Returns:
        (n, dim) float32 with unit rows, NaN where a file can't be used; place → reason of those.
    """
    vectors_NE = np.full((len(paths), space.dim), np.nan, np.float32)
    failures: dict[int, str] = {}
    keys: dict[int, bytes] = {}
    for index, path in enumerate(paths):
        try:
            keys[index] = content_key(path, modality, space.fingerprint)
        except OSError as error:
            failures[index] = error.strerror or str(error)
    known = cache.get(keys.values()) if cache else {}
    for index, key in keys.items():
        if key in known:
            vectors_NE[index] = known[key]
    todo = [index for index, key in keys.items() if key not in known]

    def note(at: int, error: InputError) -> None:
        failures[todo[at]] = error.reason

    rows = [paths[index] for index in todo]
    vectors_NE[todo] = space.encode(modality, rows, on_error=note, progress=progress)
    if cache:
        cache.put({keys[i]: vectors_NE[i] for i in todo if i not in failures})
    return vectors_NE, failures
