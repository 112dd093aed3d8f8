"""Manifests: tables with one line per pair and one column per modality."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

from openbind.data.pairs import Row, RowItems, Rows, read_name, read_span, read_split, read_weight
from openbind.data.sources import PairSource
from openbind.data.sources.records import Record, RecordFile, open_records
from openbind.data.sources.trees import CHECKED_ROWS, check_files, locate
from openbind.embedding.items import Item, StoredFeatures, StoredVector, content_key
from openbind.errors import ConfigError, InputError, shorten
from openbind.media.source import open_source
from openbind.modalities import MODALITIES, TEXT

VECTORS, FEATURES = ".vector", ".features"
"""Suffixes of columns of stored vectors, and of a body's features, in place of the items."""
VECTOR_CELL = re.compile(r"(?P<path>.+\.npy)(?:#(?P<row>\d+))?")

OPTIONAL = ("label", "split", "key", "group", "start", "end", "weight")
"""Names of further columns, read if present."""


@dataclass(frozen=True)
class _Column:
    """A column with items of one modality."""

    modality: str
    name: str

    @cached_property
    def holds_vectors(self) -> bool:
        return self.name.endswith((VECTORS, FEATURES))

    @cached_property
    def is_path(self) -> bool:
        return self.modality != TEXT and not self.holds_vectors


@dataclass(frozen=True, kw_only=True)
class Manifest(PairSource):
    """A table of pairs.

    A line without one of the two modalities is excluded. A cell of JSON Lines or Parquet may be a
    list of several items. Text cells are texts, all others paths. A column `<modality>.vector`
    names stored vectors of the space ("vectors.npy#12", by row), which add to the modality's own
    items; `<modality>.features` ("features.npy#12") names what its tower's frozen body computed,
    for `train: head`. Without a column `key` the line number is the row's key.

    Args:
        manifest: path of a .csv, .jsonl or .parquet with one column per modality, and optionally
            `label`, `split`, `key`, `group`, `start` and `end` (seconds), and `weight` (see `Row`).
            Without `group`, lines with the same item of the trained modality are one group.
        columns: modality → name of its column, where that differs from the modality's.
    """

    manifest: str
    columns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for modality in self.columns:
            MODALITIES.get(modality)

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List the pairs; only the first rows' files are checked for existence.

        Raises:
            ConfigError: no column for a modality, or no line has both.
            InputError: the manifest or one of the first files is missing, or a line is broken.
            MissingExtraError: Parquet without its extra.
        """
        path = locate(root, self.manifest)
        table = open_records(path)
        columns = {name: _find_columns(path, table, name, self.columns) for name in pair}
        excluded: list[str] = []
        return Rows(self._read_lines(path, table, columns, root, excluded), excluded)

    def state(self, pair: tuple[str, str], root: Path) -> str:
        """Hash the manifest's content."""
        path = locate(root, self.manifest)
        open_source(path)
        return content_key(path).hex()

    def _read_lines(
        self,
        path: Path,
        table: RecordFile,
        columns: Mapping[str, tuple[_Column, ...]],
        root: Path,
        excluded: list[str],
    ) -> Iterator[Row]:
        reader = _RowReader(path, table, columns, os.fspath(root))
        found = reader.read()
        first = list(islice(found, CHECKED_ROWS))
        check_files(first, root)
        yield from chain(first, found)
        excluded += [
            f"{count} {table.line}s of {path} have no {m}" for m, count in reader.missing.items()
        ]
        if not first:
            raise ConfigError(
                f"{path}: no {table.line} has both {' and '.join(columns)}; "
                + ("; ".join(excluded) or f"the file has no {table.line}s below its header")
            )


def _find_columns(
    path: Path, table: RecordFile, modality: str, renamed: Mapping[str, str]
) -> tuple[_Column, ...]:
    """Find a modality's columns: the one given by `columns`, or those named after it."""
    wanted = (
        [renamed[modality]]
        if modality in renamed
        else [modality, modality + VECTORS, modality + FEATURES]
    )
    found = [name for name in wanted if name in table.columns]
    if not found:
        near = difflib.get_close_matches(wanted[0], table.columns, n=1)
        hint = f"did you mean {near[0]!r}? Its" if near else "its"
        raise ConfigError(
            f"{path}: no column {' or '.join(map(repr, wanted))}; {hint} columns are "
            f"{', '.join(table.columns)}; `columns` can map {modality} to one of them"
        )
    return tuple(_Column(modality, name) for name in found)


@dataclass
class _RowReader:
    """Turns lines into rows.

    Args:
        path: of the manifest.
        table: its content.
        columns: of the pair's modalities, the frozen one first.
        root: relative paths start there.
        missing: modality → number of lines without an item of it.
    """

    path: Path
    table: RecordFile
    columns: Mapping[str, tuple[_Column, ...]]
    root: str
    missing: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._vector_files: dict[str, Path] = {}
        self._modalities = tuple(self.columns)
        self._present = {name for name in OPTIONAL if name in self.table.columns}
        self._has_spans = not self._present.isdisjoint(("start", "end"))
        self._is_path = [column.is_path for column in self.columns[self._modalities[-1]]] == [True]

    def read(self) -> Iterator[Row]:
        """Yield the row of each line with both modalities."""
        names = [column.name for columns in self.columns.values() for column in columns]
        names += [name for name in OPTIONAL if name in self._present]
        keys: set[str] = set()
        for line, record in self.table.records(names):
            try:
                row = self._read_row(line, record)
                if row is not None and "key" in self._present:
                    if row.key in keys:
                        raise ValueError(f"key: {row.key!r} is used by an earlier row")
                    keys.add(row.key)
            except ValueError as error:
                raise InputError(self.path, f"{self.table.line} {line}: {error}") from error
            if row is not None:
                yield row

    def _read_row(self, line: int, record: Record) -> Row | None:
        cells = tuple(self._read_cells(columns, record) for columns in self.columns.values())
        if not all(cells):
            pairs = zip(self._modalities, cells, strict=True)
            self.missing.update(modality for modality, cell in pairs if not cell)
            return None
        # Columns that the table lacks aren't read for each of millions of lines.
        get, present = record.get, self._present
        group = read_name(get("group")) if "group" in present else None
        return Row(
            key=str(get("key") or line) if "key" in present else str(line),
            items=RowItems(self._modalities, cells, self.root),
            label=read_name(get("label")) if "label" in present else None,
            split=read_split(get("split")) if "split" in present else None,
            span=read_span(get("start"), get("end")) if self._has_spans else None,
            # As written in the manifest, so that it doesn't depend on the data folder.
            group=group or self._trained_cell(record, cells[-1]),
            weight=read_weight(get("weight")) if "weight" in present else 1.0,
        )

    def _trained_cell(self, record: Record, cell: str | tuple[Item, ...]) -> str:
        """Return what a line's columns of the trained modality have, as a text."""
        if self._is_path and isinstance(cell, str):
            return cell
        columns = self.columns[self._modalities[-1]]
        return "/".join(str(record.get(column.name) or "").strip() for column in columns)

    def _read_cells(self, columns: tuple[_Column, ...], record: Record) -> str | tuple[Item, ...]:
        """Return the items of one modality from all its columns."""
        if len(columns) == 1:
            return self._read_cell(columns[0], record)
        cells = [self._read_cell(column, record) for column in columns]
        filled = [cell for cell in cells if cell]
        if len(filled) < 2:
            return filled[0] if filled else ()
        parts = [(Path(self.root, c),) if isinstance(c, str) else c for c in filled]
        return tuple(item for part in parts for item in part)

    def _read_cell(self, column: _Column, record: Record) -> str | tuple[Item, ...]:
        """Return a cell's items as `RowItems` stores them; empty for an empty cell."""
        value = record.get(column.name)
        if isinstance(value, str) and column.is_path:
            return value.strip()
        listed = value if isinstance(value, list) else [value]
        texts = []
        for text in listed:
            if isinstance(text, str):
                texts.append(text.strip())
            elif text is not None:
                raise ValueError(
                    f"{column.name}: expected a text, or a list of texts, found {shorten(text)}"
                )
        texts = [text for text in texts if text]
        if column.modality == TEXT and not column.holds_vectors:
            return tuple(texts)
        if column.holds_vectors:
            return tuple(self._read_vector(text, column) for text in texts)
        if len(texts) == 1:
            return texts[0]
        return tuple(Path(self.root, text) for text in texts)

    def _read_vector(self, text: str, column: _Column) -> StoredVector | StoredFeatures:
        match = VECTOR_CELL.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{column.name}: expected 'file.npy' or 'file.npy#row', found {shorten(text)}"
            )
        path = self._vector_files.setdefault(match["path"], Path(self.root, match["path"]))
        vector = StoredVector(path, int(match["row"] or 0))
        return StoredFeatures(vector) if column.name.endswith(FEATURES) else vector
