"""The columns of an index's tables: of its rows, and of the files that could not be embedded."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: a file, or a segment of a long recording. The fields are columns, beside `vector`.

    Args:
        id: of the row: the file's key and the segment's number.
        file: key of the file, a hash of its root and path.
        root: number of the root in `index.json`.
        path: below the root, with `/` between folders.
        modality: what the file is embedded as.
        settings: of its preprocessing that differ from the space's, as "units=5000".
        segment, segments: number of the segment, and how many the file has.
        start_s, end_s: of the segment, in seconds; None for files without a duration.
        hash: of the file's content.
        stat_key: size, times and inode of the file when it was hashed; "" if it may have changed
            since without changing them.
        size: of the file in bytes.
        modified: modification time of the file.
        taken: date of a photograph in the camera's local time, stored as if UTC; of other files
            `modified`.
        year: of `taken`.
        camera: that took a photograph: its maker and model.
        width, height: in pixels, if the file has any.
        duration: in seconds, if the file has one.
        thumbnail: a JPEG of the segment.
    """

    id: str
    file: str
    root: int
    path: str
    modality: str
    settings: str
    segment: int
    segments: int
    start_s: float | None
    end_s: float | None
    hash: str
    stat_key: str
    size: int
    modified: datetime
    taken: datetime
    year: int
    camera: str | None
    width: int | None
    height: int | None
    duration: float | None
    thumbnail: bytes | None

    @property
    def kind(self) -> tuple[str, str]:
        """Modality and settings, as `FileState.kind`."""
        return self.modality, self.settings


@dataclass(frozen=True, kw_only=True)
class FileState:
    """The state in which a file was indexed, or failed to be; fields as in `Row`."""

    file: str
    path: str
    root: int
    modality: str
    settings: str
    hash: str
    stat_key: str

    @property
    def kind(self) -> tuple[str, str]:
        """What decides its vectors beside its content: modality and settings."""
        return self.modality, self.settings


COLUMNS = tuple(field.name for field in fields(Row))
SHOWN = tuple(name for name in COLUMNS if name != "thumbnail")
"""Columns of a hit, which filters may name."""
DIGEST = "digest"
"""Column of the checksum of a row's vector and other columns, which finds flipped bits."""
DIGEST_BYTES = 8


def row_schema(dim: int) -> Any:
    """Return the Arrow schema of the rows, with vectors of some length."""
    import pyarrow as pa

    # Users' filters refer to these columns: their names and types are documented.
    kinds = {
        "root": pa.int16(),
        "segment": pa.int32(),
        "segments": pa.int32(),
        "start_s": pa.float32(),
        "end_s": pa.float32(),
        "size": pa.int64(),
        "modified": pa.timestamp("us", tz="UTC"),
        "taken": pa.timestamp("us", tz="UTC"),
        "year": pa.int16(),
        "width": pa.int32(),
        "height": pa.int32(),
        "duration": pa.float32(),
        "thumbnail": pa.binary(),
    }
    listed = [(name, kinds.get(name, pa.string())) for name in COLUMNS]
    vector = ("vector", pa.list_(pa.float32(), dim))
    return pa.schema([*listed, vector, (DIGEST, pa.string())])


def failure_schema() -> Any:
    """Return the Arrow schema of the files that could not be embedded."""
    import pyarrow as pa

    names = [field.name for field in fields(FileState)]
    kinds = {"root": pa.int16()}
    listed = [(name, kinds.get(name, pa.string())) for name in names]
    return pa.schema([*listed, ("reason", pa.string())])


def vectors_of(column: Any, dim: int) -> np.ndarray:
    """Return an Arrow column of vectors as (n, dim) float32."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(-1, dim)
