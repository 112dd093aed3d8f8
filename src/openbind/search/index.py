"""Index: made once over some folders, kept up by `update`, searched by many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.search.ann import search_rows
from openbind.search.meta import (
    Meta,
    has_meta,
    read_meta,
    with_root,
    with_type_overrides,
)
from openbind.search.results import Hit, Info
from openbind.search.store import FOLDER, ROWS, Store, writing_in
from openbind.search.table import SHOWN, RowTable, one_of, vectors_of
from openbind.search.update import Changes, update
from openbind.search.verify import Report, verify
from openbind.space.space import Space


class Index(Store):
    """An index of files by their vectors. Made by `create` or `open`, not by hand.

    Attributes:
        folder: where it is kept.
    """

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        space: Space,
        roots: Sequence[str | os.PathLike[str]],
        *,
        source: str | None = None,
        type_overrides: Mapping[str, str] | None = None,
    ) -> Index:
        """Make an empty index.

        Args:
            directory: where it is kept; made if it is missing.
            space: what its vectors will be of.
            roots: folders whose files it will hold.
            source: what `openbind.load` takes to get the space; None is the space's name.
            type_overrides: pattern of paths below the roots (`*` matches `/` too) → modality, for
                files whose extension doesn't determine it, as in {"scans/*": "depth"}.

        Raises:
            InputError: there is an index already, a root is no folder, or the space hasn't got a
                modality.
            MissingExtraError: LanceDB isn't there.
        """
        folder = Path(directory).absolute()
        if has_meta(folder):
            raise InputError(directory, "has an index already; `openbind index update` keeps it up")
        meta = Meta(
            space=source or space.name,
            fingerprint=space.fingerprint,
            dtype=_dtype_of(space),
            dim=space.dim,
            modalities=space.modalities,
            roots=(),
            roots_made=0,
        )
        for root in roots:
            meta = with_root(meta, root)
        meta = with_type_overrides(meta, type_overrides or {})
        folder.mkdir(parents=True, exist_ok=True)
        with writing_in(folder):
            if has_meta(folder):
                raise InputError(directory, "another process has just made an index of it")
            # Its description is written last: a folder without one can be made into an index.
            index = cls(folder, RowTable(folder / ROWS, space.dim, create=True))
            index.write_meta(meta)
        return index

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Index:
        """Open an index.

        Args:
            directory: its folder, or one of media that has it in `.openbind`.

        Raises:
            InputError: there is no index, or one of another format.
            MissingExtraError: LanceDB isn't there.
        """
        place = Path(directory).expanduser().absolute()
        for folder in (place, place / FOLDER):
            if has_meta(folder):
                meta = read_meta(folder)
                return cls(folder, RowTable(folder / ROWS, meta.dim))
        raise InputError(directory, "no index here; `openbind index create` makes one")

    @property
    def rows(self) -> int:
        """How many rows it has."""
        count: int = self.table.rows.count_rows()
        return count

    @property
    def version(self) -> int:
        """A number that is another one after every change of the rows."""
        number: int = self.table.rows.version
        return number

    def load_space(self, *, device: str = "auto") -> Space:
        """Load the space that made the vectors.

        Raises:
            InputError: what is called so now is another space.
            UnknownNameError, CheckpointError: as `openbind.load`.
        """
        from openbind.catalog import load

        meta = self.meta
        space = load(meta.space, device=device, dtype=meta.dtype)
        self.check_space(space)
        return space

    def add(
        self,
        roots: Sequence[str | os.PathLike[str]],
        type_overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Add folders, or type_overrides as in `create`; `update` embeds the files.

        Raises:
            InputError: one is no folder, lies in another root or holds one; the space hasn't got a
                modality; or another process writes.
        """
        with self.writing():
            meta = with_type_overrides(self.meta, type_overrides or {})
            for root in roots:
                meta = with_root(meta, root)
            self.write_meta(meta)

    def remove(self, root: str | os.PathLike[str]) -> int:
        """Take a folder and its rows out; files stay where they are.

        Returns:
            how many rows left.

        Raises:
            InputError: it isn't among the roots; or another process writes.
        """
        path = Path(root).expanduser().absolute()
        with self.writing():
            meta = self.meta
            chosen = [known for known in meta.roots if known.path == path]
            if not chosen:
                known = ", ".join(str(known.path) for known in meta.roots)
                raise InputError(root, f"is no root of this index; its roots are {known}")
            kept = tuple(known for known in meta.roots if known not in chosen)
            # Rows of a root that isn't listed are taken for lost ones by `update`, and removed.
            self.write_meta(replace(meta, roots=kept))
            return self.table.remove_root(chosen[0].number)

    def update(self, space: Space, *, allow_empty: bool = False, progress: bool = False) -> Changes:
        """Embed what is new or changed in the folders, forget what is gone.

        A run that is killed loses what it hadn't committed; the next goes on from there.

        Args:
            space: the one that made it.
            allow_empty: believe that a root of which files are indexed has none now.
            progress: show a bar on stderr once the wait is longer than a second.

        Raises:
            InputError: another space, a root that isn't there or has lost all its files, or
                another process writes.
            OSError: the disk is full; what was committed stays.
        """
        return update(self, space, allow_empty=allow_empty, progress=progress)

    def verify(self, *, progress: bool = False) -> Report:
        """Read every row, hash every file, and compare; nothing is changed.

        Raises:
            InputError: a root isn't there.
        """
        return verify(self, progress=progress)

    def info(self) -> Info:
        """Count what is in it."""
        meta = self.meta
        counts = {
            name: self.table.rows.count_rows(f"segment = 0 AND {one_of('modality', [name])}")
            for name in meta.modalities
        }
        by_modality = {name: count for name, count in counts.items() if count}
        return Info(
            space=meta.space,
            fingerprint=meta.fingerprint,
            dim=meta.dim,
            roots=tuple(root.path for root in meta.roots),
            rows=self.rows,
            files=sum(by_modality.values()),
            failed=self.table.failures.count_rows(),
            bytes=sum(map(_size_of, self.folder.rglob("*"))),
            by_modality=by_modality,
            ann=str(meta.ann) if meta.ann else None,
        )

    def search(
        self,
        query_E: np.ndarray,
        top_k: int = 20,
        *,
        modalities: Sequence[str] = (),
        where: str | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """Find the files nearest to a query, each by its best segment.

        Args:
            query_E: unit vector of the index's space.
            top_k: number of results at most.
            modalities: of the results; empty for all.
            where: SQL over the columns of a hit, such as "year > 2020 AND path LIKE '%beach%'".
            exact: compare with every row, also where there is an approximate index.

        Returns:
            the nearest first.

        Raises:
            InputError: a vector of another length or without direction, an unknown modality, or a
                filter that can't be used.
        """
        meta = self.meta
        query_E = np.asarray(query_E, np.float32)
        if query_E.shape != (meta.dim,) or not np.isfinite(query_E).all() or not query_E.any():
            found = f"{query_E.shape} {query_E.dtype}"
            raise InputError("the query", f"expected ({meta.dim},) finite numbers, found {found}")
        wanted = self._filter(meta, modalities, where)
        rows = search_rows(self.table, query_E, top_k, wanted, None if exact else meta.ann)
        return self._hits(meta, rows)

    def vector(self, row_id: str) -> np.ndarray:
        """Return the vector of a row, (dim,) float32.

        Raises:
            InputError: there is no such row.
        """
        found = self._row(row_id, ["vector"])
        vector_E: np.ndarray = vectors_of(found.column("vector"), self.table.dim)[0]
        return vector_E

    def hit(self, row_id: str) -> Hit:
        """Return a row as a hit of score 1.

        Raises:
            InputError: there is no such row.
        """
        return self._hits(self.meta, self._row(row_id, SHOWN).to_pylist())[0]

    def thumbnail(self, row_id: str) -> bytes | None:
        """Return the small image of a row's file, a JPEG; None if its kind has none.

        Raises:
            InputError: there is no such row.
        """
        file = self._row(row_id, ["file"]).column("file")[0].as_py()
        query = self.table.rows.search().select(["thumbnail"])
        found = query.where(f"{one_of('file', [file])} AND segment = 0").to_arrow()
        return found.column("thumbnail")[0].as_py() if found.num_rows else None

    def sample(self, count: int, seed: int) -> tuple[list[Hit], np.ndarray]:
        """Draw rows, always the same of one seed and state.

        Returns:
            hits of score 1, and their vectors (n, dim), n ≤ count.
        """
        total = self.table.rows.count_rows()
        drawn = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
        query = self.table.rows.take_offsets(sorted(map(int, drawn)))
        found = query.select([*SHOWN, "vector"]).to_arrow()
        vectors_KE = vectors_of(found.column("vector"), self.table.dim)
        return self._hits(self.meta, found.select(SHOWN).to_pylist()), vectors_KE

    def _filter(self, meta: Meta, modalities: Sequence[str], where: str | None) -> str | None:
        for name in modalities:
            if name not in meta.modalities:
                known = ", ".join(meta.modalities)
                raise InputError(name, f"no modality of this index; it has {known}")
        conditions = [one_of("modality", modalities)] if modalities else []
        if where is not None and where.strip():
            self.table.check_filter(where)
            conditions.append(f"({where})")
        return " AND ".join(conditions) or None

    def _row(self, row_id: str, columns: Sequence[str]) -> Any:
        query = self.table.rows.search().select(list(columns))
        found = query.where(one_of("id", [row_id])).limit(1).to_arrow()
        if not found.num_rows:
            raise InputError(row_id, "no such row in the index; it may have been removed")
        return found

    def _hits(self, meta: Meta, rows: Iterable[dict[str, Any]]) -> list[Hit]:
        roots = {root.number: root.path for root in meta.roots}
        names = [name for name in Hit.__dataclass_fields__ if name not in ("path", "root", "score")]
        return [
            Hit(
                path=roots[row["root"]] / row["path"],
                root=roots[row["root"]],
                score=float(row.get("score", 1.0)),
                **{name: row[name] for name in names},
            )
            for row in rows
            if row["root"] in roots
        ]


def default_folder(roots: Sequence[str | os.PathLike[str]]) -> Path:
    """Where an index over some folders is kept unless told otherwise."""
    return Path(roots[0]).expanduser().absolute() / FOLDER


def _size_of(path: Path) -> int:
    """A file's size; none of one that a writer has just taken away, or of a folder."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _dtype_of(space: Space) -> str:
    weight = next(next(iter(space.towers.values())).parameters())
    return str(weight.dtype).removeprefix("torch.")
