"""The rows of one pair, and its frozen items without duplicates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np

from openbind.data.index import RowIndex, RowView
from openbind.data.index_writer import index_rows
from openbind.data.pairs import Row
from openbind.data.stored_items import anchor_name
from openbind.embedding.items import Item


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frozen item of a pair.

    Args:
        key: its name, stable across runs and wherever the data lie: its views depend on it.
        item: the item.
        span: seconds (start, end) of the recording that it covers; None is all of it.
    """

    key: str
    item: Item
    span: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class AnchorView(Sequence[Anchor]):
    """Frozen items, each of which becomes an object when it is read.

    Args:
        indexes: where they are.
        modality: of the items.
        part_K: for each, which of the indexes has it.
        position_K: its position there.
    """

    indexes: tuple[RowIndex, ...]
    modality: str
    part_K: np.ndarray
    position_K: np.ndarray

    def __len__(self) -> int:
        return len(self.position_K)

    @overload
    def __getitem__(self, key: int) -> Anchor: ...

    @overload
    def __getitem__(self, key: slice | np.ndarray) -> AnchorView: ...

    def __getitem__(self, key: int | slice | np.ndarray) -> Anchor | AnchorView:
        if isinstance(key, slice | np.ndarray):
            return replace(self, part_K=self.part_K[key], position_K=self.position_K[key])
        return next(iter(self[np.array([key])]))

    def __iter__(self) -> Iterator[Anchor]:
        """Read all, which takes a fraction of the time of reading each."""
        for index, positions, rows in self._places():
            for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
                item, span = index.item(self.modality, position), index.span(row)
                yield Anchor(anchor_name(item, span, index.inside), item, span)

    def fingerprint(self) -> bytes:
        """Hash the items and the states of their files; see `RowIndex.fingerprint`."""
        digest = hashlib.blake2b(self.part_K.tobytes(), digest_size=20)
        for index, positions, rows in self._places():
            digest.update(index.fingerprint(self.modality, positions, rows))
        return digest.digest()

    def _places(self) -> Iterator[tuple[RowIndex, np.ndarray, np.ndarray]]:
        """Yield, for each index, the items' positions in it and their rows."""
        for part in dict.fromkeys(self.part_K.tolist()):
            index, positions = self.indexes[part], self.position_K[self.part_K == part]
            cells = index.cells[self.modality]
            found = np.searchsorted(cells.end_C, positions, "right") - 1
            yield index, positions, cells.row_C[found]


@dataclass(frozen=True, eq=False)
class Choices(Sequence[tuple[int, ...]]):
    """For each row, the indices of its frozen items.

    Args:
        start_N, count_N: where a row's indices are, and how many.
        anchor_M: the indices.
    """

    start_N: np.ndarray
    count_N: np.ndarray
    anchor_M: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> Choices:
        """Build the choices from lists of indices."""
        listed = [np.array(row, np.int64) for row in rows]
        count_N = np.array([len(row) for row in listed], np.int64)
        start_N = np.cumsum(count_N) - count_N
        return cls(start_N, count_N, np.concatenate([np.empty(0, np.int64), *listed]))

    def __len__(self) -> int:
        return len(self.start_N)

    @overload
    def __getitem__(self, key: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, key: slice | np.ndarray) -> Choices: ...

    def __getitem__(self, key: int | slice | np.ndarray) -> tuple[int, ...] | Choices:
        if isinstance(key, slice | np.ndarray):
            return Choices(self.start_N[key], self.count_N[key], self.anchor_M)
        start = self.start_N[key]
        return tuple(self.anchor_M[start : start + self.count_N[key]].tolist())

    def pick(self, rows_B: np.ndarray, at_B: np.ndarray) -> np.ndarray:
        """Return one frozen item of each row; `at_B` in [0, 1) says which."""
        count_B = self.count_N[rows_B]
        anchors_B: np.ndarray = self.anchor_M[
            self.start_N[rows_B] + (at_B * count_B).astype(np.int64)
        ]
        return anchors_B

    def places(self, rows_B: np.ndarray, anchors_B: np.ndarray) -> np.ndarray:
        """Return where, among each row's frozen items, one of them is (first, if it is twice)."""
        row_M, anchor_M = self.gather(rows_B)
        found_M = np.flatnonzero(anchor_M == anchors_B[row_M])
        _, first_B = np.unique(row_M[found_M], return_index=True)
        count_B = self.count_N[rows_B]
        places_B: np.ndarray = found_M[first_B] - (np.cumsum(count_B) - count_B)
        return places_B

    def gather(self, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in `rows_B`, and the frozen items of the rows there, one by one."""
        positions = np.repeat(np.arange(len(rows_B)), self.count_N[rows_B])
        return positions, self.anchor_M[self._positions(rows_B)]

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and their frozen items, one by one; rows with the same list count once."""
        _, rows_R = np.unique(self.start_N, return_index=True)
        rows_R = np.sort(rows_R)
        return np.repeat(rows_R, self.count_N[rows_R]), self.anchor_M[self._positions(rows_R)]

    def renumber(self, new_K: np.ndarray) -> Choices:
        """Rename the frozen items; those with a negative new index are dropped."""
        anchor_M = np.where(self.anchor_M < 0, -1, new_K[self.anchor_M])
        if not (anchor_M < 0).any():
            return replace(self, anchor_M=anchor_M)
        before = np.concatenate([[0], np.cumsum(anchor_M >= 0)])
        start_N = before[self.start_N]
        count_N = before[self.start_N + self.count_N] - start_N
        return Choices(start_N, count_N, anchor_M[anchor_M >= 0])

    def _positions(self, rows_R: np.ndarray) -> np.ndarray:
        """Return where the indices of some rows are, row after row."""
        count_R = self.count_N[rows_R]
        shift_R = self.start_N[rows_R] - (np.cumsum(count_R) - count_R)
        return np.repeat(shift_R, count_R) + np.arange(count_R.sum())


@dataclass(frozen=True)
class PairTable:
    """Rows and the frozen items that they are paired with.

    Args:
        rows: of the pair.
        anchors: all frozen items, without duplicates.
        choices: for each row, the indices of its frozen items.
    """

    rows: RowView
    anchors: AnchorView
    choices: Choices = field(repr=False)

    def without(self, skipped: Mapping[int, str]) -> PairTable:
        """Drop frozen items that can't be used, and rows that have no other.

        Args:
            skipped: index of a frozen item → reason.
        """
        return self._without(np.fromiter(skipped, np.int64, len(skipped)))

    def only(self, rows: Sequence[int] | np.ndarray) -> PairTable:
        """Keep some rows, by index; frozen items keep their indices."""
        chosen = np.asarray(rows, np.int64)
        return PairTable(self.rows[chosen], self.anchors, self.choices[chosen])

    def sample(self, limit: int) -> PairTable:
        """Keep at most `limit` rows, evenly spaced, and only their frozen items."""
        step = max(1.0, len(self.rows) / limit)
        table = self.only([int(i * step) for i in range(min(limit, len(self.rows)))])
        unused = np.ones(len(self.anchors), bool)
        unused[table.choices.flat()[1]] = False
        return table._without(np.flatnonzero(unused))

    def _without(self, skipped: np.ndarray) -> PairTable:
        if not len(skipped):
            return self
        new_K = np.zeros(len(self.anchors), np.int64)
        new_K[skipped] = -1
        kept = np.flatnonzero(new_K >= 0)
        new_K[kept] = np.arange(len(kept))
        choices = self.choices.renumber(new_K)
        rows = np.flatnonzero(choices.count_N)
        return PairTable(self.rows[rows], self.anchors[kept], choices[rows])


def tabulate(
    rows: RowView | Sequence[Row], modality: str, extra: RowView | Sequence[Row] = ()
) -> PairTable:
    """Collect the frozen items of rows.

    Args:
        rows: each with items of the modality.
        modality: the frozen one.
        extra: further rows, whose frozen items come after those of `rows` and have no partner.
    """
    if not isinstance(rows, RowView):
        others = [name for name in (rows[0].items if rows else ()) if name != modality]
        rows = index_rows(rows, modalities=(modality, *others)).rows
    view = rows
    index = view.source
    cells = index.cells[modality]
    cell_N = cells.cell_N[view.numbers_N]
    start_N = cells.end_C[cell_N]
    choices = Choices(start_N, cells.end_C[cell_N + 1] - start_N, index.names.id_M)
    used_M = np.zeros(len(index.names.first_M), bool)
    used_M[choices.flat()[1]] = True
    names_K = np.flatnonzero(used_M)
    new_M = np.full(len(used_M), -1)
    new_M[names_K] = np.arange(len(names_K))
    anchor_M = new_M[index.names.id_M]
    first_K = index.names.first_M[names_K]
    anchors = AnchorView((index,), modality, np.zeros(len(names_K), np.int8), first_K)
    table = PairTable(view, anchors, replace(choices, anchor_M=anchor_M))
    return _with_extra(table, extra) if len(extra) else table


def _with_extra(table: PairTable, extra: RowView | Sequence[Row]) -> PairTable:
    """Append the frozen items of further rows that aren't there yet."""
    if not isinstance(extra, RowView):
        extra = index_rows(extra, modalities=(table.anchors.modality,)).rows
    anchors, modality = table.anchors, table.anchors.modality
    own = anchors.indexes[0].names.digest_M[anchors.position_K]
    more = tabulate(extra, modality).anchors
    new = np.flatnonzero(~np.isin(extra.source.names.digest_M[more.position_K], own))
    joined = AnchorView(
        (*anchors.indexes, extra.source),
        modality,
        np.concatenate([anchors.part_K, np.ones(len(new), np.int8)]),
        np.concatenate([anchors.position_K, more.position_K[new]]),
    )
    return replace(table, anchors=joined)
