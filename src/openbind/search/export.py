"""Write an index for other programs: Parquet, and collections of Qdrant."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openbind.atomic import atomic_path
from openbind.errors import InputError, MissingExtraError
from openbind.search.index import Index
from openbind.search.table import SHOWN, vectors_of

QDRANT_POINTS = 256
"""Points in one request: a megabyte at 1,024 dimensions."""
NAMES = uuid.UUID("8e0d7a0c-54a5-4d0e-9b4b-0f1b6d3f7c55")
"""Drawn once: Qdrant's points are called by UUIDs, made of the rows' ids under this."""


def write_parquet(index: Index, target: str | os.PathLike[str]) -> int:
    """Write the columns of all rows, with the whole `path`, `root` as a path, and `vector`.

    The file is written a few thousand rows at a time, whole or not at all.

    Returns:
        how many rows.

    Raises:
        InputError: the file's extension isn't `.parquet`.
        OSError: the file can't be written; an older one stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if Path(target).suffix.lower() != ".parquet":
        raise InputError(target, "expected an extension of .parquet")
    schema = index.table.rows.schema
    kept = pa.schema([_stored(pa, schema.field(name)) for name in (*SHOWN, "vector")])
    rows = 0
    with atomic_path(target) as temporary, pq.ParquetWriter(temporary, kept) as writer:
        for batch in _with_paths(index):
            writer.write_table(batch.select(kept.names).cast(kept))
            rows += batch.num_rows
    return rows


def write_qdrant(index: Index, place: str, collection: str) -> int:
    """Write all rows into a collection of Qdrant: cosine, the columns as payload.

    Rows keep their names, so writing again replaces them; points of rows that are gone leave.

    Args:
        index: which.
        place: address of a server (`http://…`), or a folder of Qdrant's local mode.
        collection: made if it is missing.

    Returns:
        how many rows.

    Raises:
        InputError: the collection is of other dimensions.
        MissingExtraError: qdrant-client isn't there.
    """
    try:
        from qdrant_client import QdrantClient, models
    except ImportError as error:
        raise MissingExtraError("export to Qdrant", "qdrant_client", "qdrant") from error
    is_address = place.startswith(("http://", "https://"))
    client = QdrantClient(url=place) if is_address else QdrantClient(path=place)
    try:
        _open_collection(client, models, index, collection)
        names: set[Any] = set()
        for batch in _with_paths(index):
            points = _points(models, index, batch)
            names.update(point.id for point in points)
            for start in range(0, len(points), QDRANT_POINTS):
                client.upsert(collection, points[start : start + QDRANT_POINTS], wait=True)
        _drop_others(client, models, collection, names)
    finally:
        client.close()
    return len(names)


def _open_collection(client: Any, models: Any, index: Index, collection: str) -> None:
    dim = index.table.dim
    if not client.collection_exists(collection):
        vectors = models.VectorParams(size=dim, distance=models.Distance.COSINE)
        client.create_collection(collection, vectors_config=vectors)
        return
    found = client.get_collection(collection).config.params.vectors
    if getattr(found, "size", None) != dim:
        raise InputError(collection, f"a collection of other vectors ({found}), expected {dim}")


def _points(models: Any, index: Index, batch: Any) -> list[Any]:
    vectors_KE = vectors_of(batch.column("vector"), index.table.dim)
    rows = batch.select(SHOWN).to_pylist()
    return [
        models.PointStruct(
            id=str(uuid.uuid5(NAMES, row["id"])),
            vector=vector_E.tolist(),
            payload={**row, "modified": row["modified"].isoformat()},
        )
        for row, vector_E in zip(rows, vectors_KE, strict=True)
    ]


def _drop_others(client: Any, models: Any, collection: str, names: set[Any]) -> None:
    """Take points out that no row has the name of."""
    offset = None
    others: list[Any] = []
    while True:
        points, offset = client.scroll(
            collection, limit=QDRANT_POINTS, offset=offset, with_payload=False
        )
        others += [point.id for point in points if point.id not in names]
        if offset is None:
            break
    if others:
        client.delete(collection, models.PointIdsList(points=others), wait=True)


def _with_paths(index: Index) -> Iterator[Any]:
    """Read all rows, with whole paths in place of those below the roots."""
    import pyarrow as pa

    roots = {root.number: root.path for root in index.meta.roots}
    for batch in index.table.batches([*SHOWN, "vector"]):
        numbers, names = batch.column("root").to_pylist(), batch.column("path").to_pylist()
        paths = [str(roots[n] / name) for n, name in zip(numbers, names, strict=True)]
        folders = [str(roots[number]) for number in numbers]
        batch = batch.set_column(batch.schema.get_field_index("path"), "path", pa.array(paths))
        place = batch.schema.get_field_index("root")
        yield batch.set_column(place, "root", pa.array(folders))


def _stored(pa: Any, field: Any) -> Any:
    """A root is written as its path."""
    return field.with_type(pa.string()) if field.name == "root" else field
