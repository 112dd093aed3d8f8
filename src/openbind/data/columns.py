"""Columns of millions of values: appended to files, and mapped by every process that reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np


class ColumnWriter:
    """Appends numbers to a column, which wait until they are flushed.

    Args:
        path: of the file; None keeps the column in memory.
        kind: NumPy's name of the type, with its byte order.

    Attributes:
        add: appends one value; a list's own method, as it is called for each row.
    """

    def __init__(self, path: Path | None, kind: str) -> None:
        self._path, self._kind = path, np.dtype(kind)
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("wb")
        self._waiting: list[Any] = []
        self.add = self._waiting.append

    def flush(self) -> None:
        """Write what waits."""
        self.write(np.array(self._waiting, self._kind))
        self._waiting.clear()

    def write(self, values: np.ndarray) -> None:
        """Write values of the column's type at once, after what was flushed."""
        self._file.write(values.tobytes())

    def finish(self) -> np.ndarray:
        """Return the whole column; nothing can be added to it any more."""
        self.flush()
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getvalue(), self._kind)
        self._file.close()
        assert self._path is not None, "the column is in a file"
        return map_column(self._path, self._kind)

    def close(self) -> None:
        """Close the file, whatever is in it."""
        self._file.close()


class TextWriter:
    """Appends texts to a column of bytes, and where they end to one of numbers.

    Args:
        folder: of the two files; None keeps them in memory.
        name: of the column.

    Attributes:
        add: appends one text, as `ColumnWriter.add` does.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        ends, path = text_files(folder, name) if folder else (None, None)
        self._ends = ColumnWriter(ends, "<i8")
        self._ends.add(0)
        self._path, self._size = path, 0
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("wb")
        self._waiting: list[str] = []
        self.add = self._waiting.append

    @property
    def waiting(self) -> int:
        """The number of texts that wait."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what waits."""
        self._ends.flush()
        encoded = [text.encode("utf-8", "surrogatepass") for text in self._waiting]
        self._waiting.clear()
        ends = self._size + np.cumsum([len(text) for text in encoded], dtype="<i8")
        self._ends.write(ends)
        self._size += self._file.write(b"".join(encoded))

    def finish(self) -> Texts:
        """Return the whole column; nothing can be added to it any more."""
        self.flush()
        ends = self._ends.finish()
        if isinstance(self._file, io.BytesIO):
            return Texts(ends, np.frombuffer(self._file.getvalue(), np.uint8))
        self._file.close()
        assert self._path is not None, "the column is in a file"
        return Texts(ends, map_column(self._path, np.dtype(np.uint8)))

    def close(self) -> None:
        """Close the files, whatever is in them."""
        self._ends.close()
        self._file.close()


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """A column of texts; one becomes a `str` when it is read.

    Args:
        ends: (number + 1,) where each text starts and ends among the bytes.
        data: bytes of all texts, UTF-8.
    """

    ends: np.ndarray
    data: np.ndarray

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start, end = self.ends[index], self.ends[index + 1]
        return self.data[start:end].tobytes().decode("utf-8", "surrogatepass")


def text_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a column of texts: where they end, and their bytes."""
    return folder / f"{name}.ends", folder / f"{name}.text"


def map_column(path: Path, kind: np.dtype[Any]) -> np.ndarray:
    """Map a column's file; its pages are shared by all processes, and never written.

    Raises:
        OSError: no such file.
        ValueError: it isn't a whole number of values.
    """
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r")


def map_texts(folder: Path, name: str) -> Texts:
    """Map a column of texts, as `map_column` does."""
    ends, data = text_files(folder, name)
    return Texts(map_column(ends, np.dtype("<i8")), map_column(data, np.dtype(np.uint8)))
