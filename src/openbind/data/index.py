"""The rows of a source as columns, written once and mapped by all processes and workers.

A row of Python objects takes a kilobyte, in each process and, once its reference counts change, in
each worker. As columns it takes about as much as its paths, once for all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from openbind.data.columns import ColumnWriter, Texts, TextWriter, map_column, map_texts
from openbind.data.pairs import Row, RowItems
from openbind.embedding.items import Item, Member, StoredFeatures, StoredVector, item_name

FORMAT = 1
NUMBERS = {
    "label": "<i4",
    "split": "<i4",
    "weight": "<f8",
    "start": "<f8",
    "end": "<f8",
    "place": "<f8",
}
"""Columns of numbers: codes of label and split (-1 is none), NaN without a span, and `place_of`."""
META = "rows.json"
SHARED_CELLS = 10_000
"""Lists of items that are remembered, so that rows with the same list store it once."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The items of one modality. A row has a cell, a cell one item or several.

    Args:
        cell_N: row → cell.
        row_C: cell → the first row that has it.
        end_C: (cells + 1,) where each cell's items start and end.
        items: of all cells, as `encode_item` writes them.
    """

    cell_N: np.ndarray
    row_C: np.ndarray
    end_C: np.ndarray
    items: Texts


@dataclass(frozen=True, eq=False)
class Names:
    """Which of the frozen items are the same.

    Args:
        digest_M: of each item's name, see `anchor_name`.
        id_M: number of its name, in the order in which names first come.
        first_I: for each name, the first item that has it.
    """

    digest_M: np.ndarray
    id_M: np.ndarray
    first_I: np.ndarray


@dataclass(frozen=True, eq=False)
class RowIndex:
    """All rows of a source.

    Args:
        root: the data folder; items that lie in it are stored relative to it.
        numbers: see `NUMBERS`.
        keys: names of the rows.
        cells: modality → its items; the first is the frozen one.
        names: of the frozen items.
        labels, splits: code → name.
        excluded: what the source skipped, and why.
        objects: items that have no text, which only an index in memory can have.
        folder: of its files; None is an index in memory.
    """

    root: str
    numbers: Mapping[str, np.ndarray]
    keys: Texts
    cells: Mapping[str, Cells]
    names: Names
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    objects: tuple[Item, ...] = ()
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __reduce__(self) -> Any:
        # A worker that isn't a fork maps the files again.
        if self.folder is not None:
            return open_index, (self.folder, self.root)
        return RowIndex, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @cached_property
    def rows(self) -> RowView:
        """All rows, in the source's order."""
        return RowView(self, np.arange(len(self)))

    @cached_property
    def inside(self) -> Callable[[str], str]:
        """The function that makes paths relative to the data folder."""
        return make_relative(self.root)

    def row(self, number: int) -> Row:
        """Return one row."""
        label, split = self.numbers["label"][number], self.numbers["split"][number]
        return Row(
            key=self.keys[number],
            items=_RowItems(self, number),
            label=None if label < 0 else self.labels[label],
            split=None if split < 0 else self.splits[split],
            span=self.span(number),
            weight=float(self.numbers["weight"][number]),
        )

    def span(self, number: int) -> tuple[float, float] | None:
        """Return the seconds that a row covers; None is all."""
        start = float(self.numbers["start"][number])
        return None if np.isnan(start) else (start, float(self.numbers["end"][number]))

    def state(self, modality: str, position: int, row: int) -> tuple[str, tuple[int, ...]]:
        """Return an item's name as `anchor_name` does, and its file's state.

        Args:
            modality: of the item.
            position: among all of the modality.
            row: that has it.
        """
        text, span = self.cells[modality].items[position], self.span(row)
        if text[0] == "p":
            return _spanned(text[1:], span), stat_file(os.path.join(self.root, text[1:]))
        item = decode_item(text, self.root, self.objects)
        return anchor_name(item, span, self.inside), file_state(item)

    def item(self, modality: str, position: int) -> Item:
        """Return one item of a modality."""
        return decode_item(self.cells[modality].items[position], self.root, self.objects)


class _RowItems(Mapping[str, tuple[Item, ...]]):
    """The items of one row, read from the index when they are asked for."""

    __slots__ = ("_index", "_number")

    def __init__(self, index: RowIndex, number: int) -> None:
        self._index, self._number = index, number

    def __getitem__(self, modality: str) -> tuple[Item, ...]:
        cells = self._index.cells[modality]
        cell = cells.cell_N[self._number]
        positions = range(cells.end_C[cell], cells.end_C[cell + 1])
        return tuple(self._index.item(modality, position) for position in positions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.cells)

    def __len__(self) -> int:
        return len(self._index.cells)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, eq=False)
class RowView(Sequence[Row]):
    """Some rows of an index; a row becomes an object when it is read.

    Args:
        source: all rows.
        numbers_N: which ones.
    """

    source: RowIndex
    numbers_N: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers_N)

    @overload
    def __getitem__(self, key: int) -> Row: ...

    @overload
    def __getitem__(self, key: slice | np.ndarray) -> RowView: ...

    def __getitem__(self, key: int | slice | np.ndarray) -> Row | RowView:
        if isinstance(key, slice | np.ndarray):
            return RowView(self.source, self.numbers_N[key])
        return self.source.row(int(self.numbers_N[key]))

    def column(self, name: str) -> np.ndarray:
        """Return a column of numbers of these rows; see `NUMBERS`."""
        values: np.ndarray = self.source.numbers[name][self.numbers_N]
        return values

    def items(self, row: int, modality: str) -> tuple[Item, ...]:
        """Return a row's items of one modality."""
        return _RowItems(self.source, int(self.numbers_N[row]))[modality]


def encode_item(item: Item, inside: Callable[[str], str]) -> str | None:
    """Write an item as a text, whose first letter says what it is; None if it has none.

    Args:
        item: the item.
        inside: makes a path relative to the data folder.
    """
    if isinstance(item, Path):
        return f"p{inside(item.as_posix())}"
    if isinstance(item, str):
        return f"t{item}"
    if isinstance(item, Member):
        tar = inside(item.tar.as_posix())
        return f"m{item.offset}\0{item.size}\0{tar}\0{item.name}"
    if isinstance(item, StoredVector):
        return f"v{item.row}\0{inside(item.path.as_posix())}"
    if isinstance(item, StoredFeatures):
        return f"f{item.vector.row}\0{inside(item.vector.path.as_posix())}"
    return None


def decode_item(text: str, root: str, objects: Sequence[Item] = ()) -> Item:
    """Read an item that `encode_item` wrote.

    Args:
        text: the item.
        root: the data folder.
        objects: items without a text, by number.
    """
    kind, rest = text[:1], text[1:]
    if kind == "p":
        return Path(root, rest)
    if kind == "t":
        return rest
    if kind == "o":
        return objects[int(rest)]
    if kind == "m":
        offset, size, tar, name = rest.split("\0", 3)
        return Member(Path(root, tar), name, int(offset), int(size))
    row, _, path = rest.partition("\0")
    vector = StoredVector(Path(root, path), int(row))
    return vector if kind == "v" else StoredFeatures(vector)


def make_relative(root: str) -> Callable[[str], str]:
    """Return a function that makes paths relative to the data folder, however that is spelled."""
    if not root:
        return str
    spellings = dict.fromkeys(
        (Path(root).as_posix(), os.path.abspath(root), os.path.realpath(root))
    )
    prefixes = tuple(f"{spelling.rstrip('/')}/" for spelling in spellings)

    def inside(path: str) -> str:
        prefix = next((p for p in prefixes if path.startswith(p)), "")
        return path[len(prefix) :]

    return inside


def anchor_name(item: Item, span: tuple[float, float] | None, inside: Callable[[str], str]) -> str:
    """Return a frozen item's name, which doesn't depend on where the data lie."""
    name = item_name(item) if isinstance(item, str) else inside(item_name(item))
    return _spanned(name, span)


def _spanned(name: str, span: tuple[float, float] | None) -> str:
    return name if span is None else f"{name}@{span}"


def file_state(item: Item) -> tuple[int, ...]:
    """Return size and times of an item's file; () for a text or a missing file."""
    if isinstance(item, StoredFeatures):
        item = item.vector
    path = item.tar if isinstance(item, Member) else getattr(item, "path", item)
    return stat_file(path) if isinstance(path, Path) else ()


def stat_file(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return a file's size and times; () if it is missing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def place_of(name: str) -> float:
    """Map the name of a group of rows to [0, 1), uniformly and always alike."""
    digest = hashlib.blake2b(f"0/{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


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


def open_index(folder: Path, root: str | os.PathLike[str]) -> RowIndex | None:
    """Map an index that `index_rows` wrote; None if there is none.

    Args:
        folder: of its files.
        root: the data folder, which may lie elsewhere than when it was written.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            return None
        load = partial(_load, folder)
        return RowIndex(
            root=os.fspath(root),
            numbers={name: load(name, kind) for name, kind in NUMBERS.items()},
            keys=map_texts(folder, "key"),
            cells={
                name: Cells(
                    load(f"{name}.cell", "<i8"),
                    load(f"{name}.row", "<i8"),
                    load(f"{name}.end", "<i8"),
                    map_texts(folder, f"{name}.item"),
                )
                for name in meta["modalities"]
            },
            names=Names(load("name", "S16"), load("id", "<i8"), load("first", "<i8")),
            labels=tuple(meta["labels"]),
            splits=tuple(meta["splits"]),
            excluded=tuple(meta["excluded"]),
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _load(folder: Path, name: str, kind: str) -> np.ndarray:
    return map_column(folder / f"{name}.column", np.dtype(kind))


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
        start, end = row.span or (np.nan, np.nan)
        values = {
            "label": -1 if row.label is None else self._code(self._labels, row.label),
            "split": -1 if row.split is None else self._code(self._splits, row.split),
            "weight": row.weight,
            "start": start,
            "end": end,
            "place": place_of(row.key if row.group is None else row.group),
        }
        for name, value in values.items():
            self._numbers[name].add(value)
        self._keys.add(row.key)
        for modality in self._modalities:
            self._add_items(modality, row)
        self._count += 1

    def _add_items(self, modality: str, row: Row) -> None:
        cells = self._cells[modality]
        text = row.items.path_of(modality) if isinstance(row.items, RowItems) else None
        if text is not None and "//" not in text and "/./" not in text:
            cells.cell.add(cells.cells)
            path = self._inside(text.removeprefix("./"))
            self._add_item(modality, f"p{path}", path, row.span)
            self._end_cell(cells, 1)
            return
        items = row.items[modality]
        known = cells.find(items, shares=row.span is None)
        if known is not None:
            cells.cell.add(known)
            return
        cells.cell.add(cells.cells)
        if row.span is None and len(items) > 1:
            cells.remember(items)
        for item in items:
            name = item_name(item) if isinstance(item, str) else self._inside(item_name(item))
            self._add_item(modality, self._encode(item), name, row.span)
        self._end_cell(cells, len(items))

    def _add_item(
        self, modality: str, text: str, name: str, span: tuple[float, float] | None
    ) -> None:
        self._cells[modality].items.add(text)
        if modality == self._modalities[0]:
            self._names.add(_digest(_spanned(name, span)))

    def _end_cell(self, cells: _CellWriter, items: int) -> None:
        cells.count += items
        cells.cells += 1
        cells.row.add(self._count)
        cells.end.add(cells.count)

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
        return Names(digest_M, _load(folder, "id", "<i8"), _load(folder, "first", "<i8"))


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
