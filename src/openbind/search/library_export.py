"""Write embedded files for other programs: Parquet and NumPy's npz."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from openbind.atomic import atomic_path
from openbind.errors import MissingExtraError
from openbind.search.adhoc import Library


def write_parquet(library: Library, target: str | os.PathLike[str]) -> None:
    """Write columns path, modality (strings) and vector (a fixed-size list of float32).

    Raises:
        MissingExtraError: pyarrow isn't installed.
        OSError: the file can't be written; an older one stays.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "pyarrow", "parquet") from error
    vectors_KE = np.ascontiguousarray(library.vectors_KE, dtype=np.float32)
    table = pa.table(
        {
            "path": [str(entry.path) for entry in library.entries],
            "modality": [entry.modality for entry in library.entries],
            "vector": pa.FixedSizeListArray.from_arrays(vectors_KE.ravel(), vectors_KE.shape[1]),
        }
    )
    with atomic_path(target) as temporary:
        pq.write_table(table, temporary)


def write_npz(library: Library, target: str | os.PathLike[str]) -> None:
    """Write arrays path and modality (unicode) and vector, (n, dim) float32.

    Raises:
        OSError: the file can't be written; an older one stays.
    """
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            path=np.array([str(entry.path) for entry in library.entries]),
            modality=np.array([entry.modality for entry in library.entries]),
            vector=library.vectors_KE.astype(np.float32),
        )


WRITERS: dict[str, Callable[[Library, str | os.PathLike[str]], None]] = {
    ".parquet": write_parquet,
    ".npz": write_npz,
}
