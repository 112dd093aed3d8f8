"""Export vectors: Parquet, NumPy's npz, and Qdrant collections, from a stream of batches."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbind.atomic import atomic_path
from openbind.embedding.items import item_name, storable_name, stored_name
from openbind.embedding.many import Entry
from openbind.errors import InputError, MissingExtraError, OpenbindError
from openbind.search.columns import SHOWN, vectors_of
from openbind.search.index import Index

QDRANT_POINTS = 256
"""Points per request: a megabyte at 1,024 dimensions."""
NAMES = uuid.UUID("8e0d7a0c-54a5-4d0e-9b4b-0f1b6d3f7c55")
"""Namespace of the UUIDs of Qdrant's points, which are derived from the rows' ids."""


@dataclass(frozen=True)
class Batch:
    """Some rows to export.

    Args:
        columns: name → values, one per row: NumPy or Arrow arrays.
        vectors_KE: (rows, dim) float32.
    """

    columns: Mapping[str, Any]
    vectors_KE: np.ndarray


def file_batch(entries: Sequence[Entry], vectors_KE: np.ndarray) -> Batch:
    """Return embedded files as a batch with the columns `path` and `modality`."""
    # Bytes of a name that aren't UTF-8 are escaped: neither format could store them.
    paths = [storable_name(item_name(entry.item)) for entry in entries]
    modalities = [entry.modality for entry in entries]
    columns = {"path": np.array(paths, np.str_), "modality": np.array(modalities, np.str_)}
    return Batch(columns, vectors_KE)


def index_batches(index: Index) -> Iterator[Batch]:
    """Yield the rows of an index without thumbnails; `path` and `root` are absolute paths."""
    import pyarrow as pa

    roots = {root.number: root.path for root in index.meta.roots}
    for table in index.table.batches([*SHOWN, "vector"]):
        numbers, names = table.column("root").to_pylist(), table.column("path").to_pylist()
        columns = {name: table.column(name) for name in SHOWN}
        paths = [
            storable_name(str(roots[number] / stored_name(name)))
            for number, name in zip(numbers, names, strict=True)
        ]
        columns["path"] = pa.array(paths, pa.string())
        folders = [storable_name(str(roots[number])) for number in numbers]
        columns["root"] = pa.array(folders, pa.string())
        yield Batch(columns, vectors_of(table.column("vector"), index.table.dim))


def write_parquet(
    batches: Iterable[Batch],
    target: str | os.PathLike[str],
    metadata: Mapping[bytes, str] | None = None,
) -> int:
    """Write the columns and `vector`, a fixed-size list of float32, atomically.

    Args:
        batches: at least one; only one is in memory at a time.
        target: the file, with extension .parquet.
        metadata: of the file's schema.

    Returns:
        number of rows.

    Raises:
        InputError: no batches, or another extension.
        MissingExtraError: pyarrow isn't installed.
        OSError: the file can't be written; an existing one is kept.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "pyarrow", "parquet") from error
    _check_extension(target, ".parquet")
    writer, rows = None, 0
    with atomic_path(target) as temporary:
        try:
            for batch in batches:
                flat = np.ascontiguousarray(batch.vectors_KE, np.float32).ravel()
                vectors = pa.FixedSizeListArray.from_arrays(flat, batch.vectors_KE.shape[1])
                table = pa.table({**batch.columns, "vector": vectors})
                if writer is None:
                    schema = table.schema.with_metadata(metadata)
                    writer = pq.ParquetWriter(temporary, schema)
                writer.write_table(table.cast(schema))
                rows += len(flat) // batch.vectors_KE.shape[1]
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise InputError(target, "no vectors to write")
    return rows


def write_npz(batches: Iterable[Batch], target: str | os.PathLike[str]) -> int:
    """Write one array per column and `vector`, (n, dim) float32, atomically.

    Args:
        batches: at least one.
        target: the file, with extension .npz.

    Returns:
        number of rows.

    Raises:
        InputError: no batches, or another extension.
        OSError: the file can't be written; an existing one is kept.
    """
    _check_extension(target, ".npz")
    listed = list(batches)
    if not listed:
        raise InputError(target, "no vectors to write")
    arrays: dict[str, Any] = {
        name: np.concatenate([np.asarray(batch.columns[name]) for batch in listed])
        for name in listed[0].columns
    }
    vectors_KE = np.concatenate([batch.vectors_KE for batch in listed]).astype(np.float32)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, vector=vectors_KE)
    return len(vectors_KE)


def write_qdrant(batches: Iterable[Batch], location: str, collection: str, dim: int) -> int:
    """Write rows into a Qdrant collection: cosine distance, the columns as payload.

    Points keep their ids, so that a repeated export replaces them and deletes those of rows that
    are gone.

    Args:
        batches: with a column `id`.
        location: URL of a server (`http://…`), or a folder of Qdrant's local mode.
        collection: created if missing.
        dim: of the vectors.

    Returns:
        number of rows.

    Raises:
        InputError: the collection has other dimensions.
        OpenbindError: the server can't be reached, or refuses.
        MissingExtraError: qdrant-client isn't installed.
    """
    try:
        from qdrant_client import QdrantClient, models
    except ImportError as error:
        raise MissingExtraError("export to Qdrant", "qdrant_client", "qdrant") from error
    is_url = location.startswith(("http://", "https://"))
    written: set[Any] = set()
    with _qdrant_errors(location):
        # Without the check of versions, which runs in a thread and outlives a failure.
        where = {"url": location} if is_url else {"path": location}
        client = QdrantClient(**where, check_compatibility=False)
        try:
            _open_collection(client, models, collection, dim)
            for batch in batches:
                points = _points(models, batch)
                written.update(point.id for point in points)
                for start in range(0, len(points), QDRANT_POINTS):
                    client.upsert(collection, points[start : start + QDRANT_POINTS], wait=True)
            _delete_others(client, models, collection, written)
        finally:
            client.close()
    return len(written)


def _check_extension(target: str | os.PathLike[str], expected: str) -> None:
    if Path(target).suffix.lower() != expected:
        raise InputError(target, f"expected an extension of {expected}")


@contextmanager
def _qdrant_errors(location: str) -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except OpenbindError:
        raise
    except (ApiException, RuntimeError, ValueError) as error:
        # RuntimeError: a folder that is in use; ValueError: an invalid URL or name.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OpenbindError(f"Qdrant at {location}: {reason}") from error


def _open_collection(client: Any, models: Any, collection: str, dim: int) -> None:
    if not client.collection_exists(collection):
        vectors = models.VectorParams(size=dim, distance=models.Distance.COSINE)
        client.create_collection(collection, vectors_config=vectors)
        return
    found = client.get_collection(collection).config.params.vectors
    if getattr(found, "size", None) != dim:
        raise InputError(collection, f"a collection of other vectors ({found}), expected {dim}")


def _points(models: Any, batch: Batch) -> list[Any]:
    columns = {name: values.to_pylist() for name, values in batch.columns.items()}
    columns["modified"] = [modified.isoformat() for modified in columns["modified"]]
    return [
        models.PointStruct(
            id=str(uuid.uuid5(NAMES, columns["id"][row])),
            vector=vector_E.tolist(),
            payload={name: values[row] for name, values in columns.items()},
        )
        for row, vector_E in enumerate(batch.vectors_KE)
    ]


def _delete_others(client: Any, models: Any, collection: str, written: set[Any]) -> None:
    """Delete the points whose rows are gone."""
    offset = None
    others: list[Any] = []
    while True:
        points, offset = client.scroll(
            collection, limit=QDRANT_POINTS, offset=offset, with_payload=False
        )
        others += [point.id for point in points if point.id not in written]
        if offset is None:
            break
    if others:
        client.delete(collection, models.PointIdsList(points=others), wait=True)
