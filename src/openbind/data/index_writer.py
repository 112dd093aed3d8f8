"""Writes the rows of a source as columns, one by one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np

from openbind.data.columns import ColumnWriter, TextWriter
from openbind.data.index import FORMAT, META, NUMBERS, Cells, Names, RowIndex, map_numbers
from openbind.data.pairs import Row, RowItems
from openbind.data.stored_items import encode_item, make_relative, place_of, with_span
from openbind.embedding.items import Item, item_name

FLUSHED = 4_096
"""Rows, or items, that are written together."""
SHARED_CELLS = 10_000
"""Lists of items that are remembered, so that rows with the same list store it once."""


def index_rows(
    rows: Iterable[Row],
    root: str | os.PathLike[str] = "",
    folder: Path | None = None,
    modalities: Sequence[str] = (),
    excluded: Sequence[str] = (),
) -> RowIndex:
    """Write rows as columns, a few at a time.

    Args:
        rows: all with items of the same modalities.
        root: the data folder.
        folder: where to; None keeps the columns in memory.
        modalities: of the rows, the frozen one first; without, those of the first row.
        excluded: what the source skipped; read after the rows.

    Raises:
        TypeError: with a folder, an item that has no text.
        OSError: the files can't be written.
    """
    found = iter(rows)
    head = list(islice(found, 1))
    modalities = modalities or tuple(name for row in head for name in row.items)
    writer = _Writer(os.fspath(root), folder, tuple(dict.fromkeys(modalities)))
    with closing(writer):
        for row in chain(head, found):
            writer.add(row)
        return writer.finish(tuple(excluded))


@dataclass
class _CellWriter:
    """Writes one modality's columns."""

    cell: ColumnWriter
    row: ColumnWriter
    end: ColumnWriter
    items: TextWriter
    cells: int = 0
    count: int = 0
    shared: dict[int, tuple[int, tuple[Item, ...]]] = field(default_factory=dict)

    def find(self, items: tuple[Item, ...], shares: bool) -> int | None:
        """Return the cell of the very same list of items, if it is remembered."""
        known = self.shared.get(id(items)) if shares and len(items) > 1 else None
        return None if known is None else known[0]

    def add_cell(self, items: int, row: int) -> None:
        """End a cell of the row, after its items."""
        self.cell.add(self.cells)
        self.row.add(row)
        self.cells += 1
        self.count += items
        self.end.add(self.count)

    def remember(self, items: tuple[Item, ...]) -> None:
        """Note the newest cell's list, which is kept so that its id stays its own."""
        if len(self.shared) >= SHARED_CELLS:
            self.shared.clear()
        self.shared[id(items)] = (self.cells, items)

    def finish(self) -> Cells:
        return Cells(self.cell.finish(), self.row.finish(), self.end.finish(), self.items.finish())


class _Writer:
    """Writes an index row by row."""

    def __init__(self, root: str, folder: Path | None, modalities: tuple[str, ...]) -> None:
        self._root, self._folder, self._modalities = root, folder, modalities
        self._files: list[ColumnWriter | TextWriter] = []
        self._numbers = {name: self._column(name, kind) for name, kind in NUMBERS.items()}
        self._add_numbers = tuple(column.add for column in self._numbers.values())
        self._keys = self._texts("key")
        self._cells = {name: self._open_cells(name) for name in modalities}
        self._names = self._column("name", "S16")
        self._labels: dict[str, int] = {}
        self._splits: dict[str, int] = {}
        self._objects: list[Item] = []
        self._inside = make_relative(root)
        self._count = 0

    def _column(self, name: str, kind: str) -> ColumnWriter:
        column = ColumnWriter(self._folder and self._folder / f"{name}.column", kind)
        self._files.append(column)
        return column

    def _texts(self, name: str) -> TextWriter:
        texts = TextWriter(self._folder, name)
        self._files.append(texts)
        return texts

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            file.close()

    def _open_cells(self, modality: str) -> _CellWriter:
        cell, row, end = (
            self._column(f"{modality}.{part}", "<i8") for part in ("cell", "row", "end")
        )
        end.add(0)
        return _CellWriter(cell, row, end, self._texts(f"{modality}.item"))

    def add(self, row: Row) -> None:
        """Append a row."""
        label, split, weight, start, end, place = self._add_numbers
        label(-1 if row.label is None else self._code(self._labels, row.label))
        split(-1 if row.split is None else self._code(self._splits, row.split))
        weight(row.weight)
        first, last = row.span or (np.nan, np.nan)
        start(first)
        end(last)
        place(place_of(row.key if row.group is None else row.group))
        self._keys.add(row.key)
        for modality, cells in self._cells.items():
            path = self._path(row.items, modality) if isinstance(row.items, RowItems) else None
            if path is None:
                self._add_items(modality, cells, row)
                continue
            self._add_item(modality, cells, f"p{path}", path, row.span)
            cells.add_cell(1, self._count)
        self._count += 1
        if self._count % FLUSHED == 0:
            self._flush()

    def _path(self, items: RowItems, modality: str) -> str | None:
        """Return the only file's path inside the data folder; None if reading it takes a `Path`."""
        text = items.path_of(modality)
        if text is None or "//" in text or "/./" in text:
            return None
        if items.root != self._root or os.path.isabs(text):
            return self._inside(os.path.join(items.root, text).removeprefix("./"))
        return None if text.startswith("./") else text

    def _add_items(self, modality: str, cells: _CellWriter, row: Row) -> None:
        items = row.items[modality]
        known = cells.find(items, shares=row.span is None)
        if known is not None:
            cells.cell.add(known)
            return
        if row.span is None and len(items) > 1:
            cells.remember(items)
        for item in items:
            name = item_name(item) if isinstance(item, str) else self._inside(item_name(item))
            self._add_item(modality, cells, self._encode(item), name, row.span)
        cells.add_cell(len(items), self._count)
        if cells.items.waiting > FLUSHED:
            self._flush()

    def _add_item(
        self,
        modality: str,
        cells: _CellWriter,
        text: str,
        name: str,
        span: tuple[float, float] | None,
    ) -> None:
        cells.items.add(text)
        if modality == self._modalities[0]:
            self._names.add(_digest(with_span(name, span)))

    def _flush(self) -> None:
        for file in self._files:
            file.flush()

    def _encode(self, item: Item) -> str:
        text = encode_item(item, self._inside)
        if text is not None:
            return text
        if self._folder is not None:
            raise TypeError(
                f"a {type(item).__name__} can't be stored: the source's `state` has to be None"
            )
        self._objects.append(item)
        return f"o{len(self._objects) - 1}"

    @staticmethod
    def _code(codes: dict[str, int], name: str) -> int:
        return codes.setdefault(name, len(codes))

    def finish(self, excluded: tuple[str, ...]) -> RowIndex:
        """Return the index of all rows."""
        index = RowIndex(
            root=self._root,
            numbers={name: column.finish() for name, column in self._numbers.items()},
            keys=self._keys.finish(),
            cells={name: cells.finish() for name, cells in self._cells.items()},
            names=self._finish_names(self._names.finish()),
            labels=tuple(self._labels),
            splits=tuple(self._splits),
            excluded=excluded,
            objects=tuple(self._objects),
            folder=self._folder,
        )
        if self._folder is not None:
            meta = {
                "format": FORMAT,
                "modalities": self._modalities,
                "labels": index.labels,
                "splits": index.splits,
                "excluded": excluded,
            }
            (self._folder / META).write_text(json.dumps(meta), encoding="utf-8")
        return index

    def _finish_names(self, digest_M: np.ndarray) -> Names:
        """Number the names in the order in which they first come."""
        _, first, inverse = np.unique(digest_M, return_index=True, return_inverse=True)
        order = np.argsort(first)
        id_of = np.empty(len(first), np.int64)
        id_of[order] = np.arange(len(first))
        found = {"id": id_of[inverse.reshape(-1)], "first": first[order].astype(np.int64)}
        if self._folder is None:
            return Names(digest_M, found["id"], found["first"])
        for name, values in found.items():
            values.tofile(self._folder / f"{name}.column")
        folder = self._folder
        return Names(
            digest_M, map_numbers(folder, "id", "<i8"), map_numbers(folder, "first", "<i8")
        )


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
