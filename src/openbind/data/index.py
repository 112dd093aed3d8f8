"""The rows of a source as columns, written once and mapped by all processes and workers.

A row of Python objects takes a kilobyte, in each process and, once its reference counts change, in
each worker. As columns it takes about as much as its paths, once for all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from openbind.data.columns import Texts, map_column, map_texts
from openbind.data.pairs import Row
from openbind.data.stored_items import (
    State,
    decode_item,
    file_of,
    file_state,
    make_relative,
    stat_file,
)
from openbind.embedding.items import Item, item_name

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
        first_M: for each name, the first item that has it.
    """

    digest_M: np.ndarray
    id_M: np.ndarray
    first_M: np.ndarray


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

    def fingerprint(self, modality: str, positions: np.ndarray, rows: np.ndarray) -> bytes:
        """Hash items, what their rows cover of them, and their files' sizes and times.

        Paths count as they are inside the data folder. It looks at every file, and makes no object
        of an item that is one, as it is for millions.

        Args:
            modality: of the items.
            positions: among all of the modality.
            rows: that have them.
        """
        texts, digest = self.cells[modality].items, hashlib.blake2b(digest_size=20)
        view, root, known = texts.data.data, os.fsencode(self.root), dict[bytes, State]()
        starts, ends = texts.ends[positions], texts.ends[positions + 1]
        found, states = list[bytes](), list[int]()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            text = view[start:end].tobytes()
            found.append(text)
            path = file_of(text)
            if text[:1] == b"p":
                states += stat_file(os.path.join(root, path))
            elif path:  # one file of many items
                if path not in known:
                    known[path] = stat_file(os.path.join(root, path))
                states += known[path]
            elif text[:1] == b"o":
                item = self.objects[int(text[1:])]
                found.append(item_name(item).encode("utf-8", "surrogatepass"))
                states += file_state(item)
        for part in (ends - starts, np.array(states, "<i8"), *self._spans(rows)):
            digest.update(part.tobytes())
        digest.update(b"".join(found))
        return digest.digest()

    def _spans(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where rows start and end in their recordings."""
        return self.numbers["start"][rows], self.numbers["end"][rows]

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

    def fingerprint(self, modality: str) -> bytes:
        """Hash the rows' items of a modality, and their files' states."""
        cells = self.source.cells[modality]
        cell_N = cells.cell_N[self.numbers_N]
        count_N = cells.end_C[cell_N + 1] - cells.end_C[cell_N]
        shift_N = cells.end_C[cell_N] - (np.cumsum(count_N) - count_N)
        positions = np.repeat(shift_N, count_N) + np.arange(count_N.sum())
        digest = hashlib.blake2b(count_N.tobytes(), digest_size=20)
        rows = np.repeat(self.numbers_N, count_N)
        digest.update(self.source.fingerprint(modality, positions, rows))
        return digest.digest()

    def items(self, row: int, modality: str) -> tuple[Item, ...]:
        """Return a row's items of one modality."""
        return _RowItems(self.source, int(self.numbers_N[row]))[modality]


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
        load = partial(map_numbers, folder)
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


def map_numbers(folder: Path, name: str, kind: str) -> np.ndarray:
    """Map a column of numbers; see `map_column`."""
    return map_column(folder / f"{name}.column", np.dtype(kind))
