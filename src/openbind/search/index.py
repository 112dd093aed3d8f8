"""Index: vectors of the files in some folders, updated incrementally, searched concurrently."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.errors import InputError
from openbind.search.ann import Nearest
from openbind.search.columns import SHOWN, vectors_of
from openbind.search.conditions import Where, write_condition
from openbind.search.meta import Meta, with_root, with_type_overrides
from openbind.search.place import FOLDER, find_place, place_of
from openbind.search.ranking import rank_rows
from openbind.search.results import Hit, make_hits
from openbind.search.store import Store
from openbind.search.table import one_of, reading
from openbind.search.update import Changes, update
from openbind.search.verify import Report, verify
from openbind.space.calibration import Unrelated
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from openbind.embedding.many import ComputeOptions


class Index(Store):
    """An index of files by their vectors; use `create` or `open` to get one."""

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
        """Create an empty index.

        Args:
            directory: where to store it; created if missing; or s3://bucket/prefix.
            space: embeds its files and queries.
            roots: folders whose files to index.
            source: what `openbind.load` takes to load the space; None for the space's name.
            type_overrides: pattern of paths below the roots (`*` matches `/` too) → modality, for
                files whose extension doesn't determine it, as in {"scans/*": "depth"}; with
                settings of its preprocessing in parentheses: {"tum/*": "depth(units=5000)"}.

        Raises:
            InputError: the directory has an index, a root is not a folder, or the space lacks a
                modality.
            ConfigError: a modality has no such setting.
            MissingExtraError: LanceDB isn't installed.
        """
        place = place_of(directory)
        if place.exists():
            raise InputError(directory, "has an index already; `openbind index update` updates it")
        meta = Meta(
            space=source or space.name,
            fingerprint=space.fingerprint,
            dtype=_dtype_of(space),
            dim=space.dim,
            identities={name: space.identity(name) for name in space.modalities},
            roots=(),
            roots_made=0,
        )
        for root in roots:
            meta = with_root(meta, root)
        meta = with_type_overrides(meta, type_overrides or {})
        with place.writing():
            if place.exists():
                raise InputError(directory, "another process has just created an index here")
            # The description is written last: a place without it can still become an index.
            index = cls(place, place.open_table(space.dim, create=True))
            index.write_meta(meta)
        return index

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Index:
        """Open an index.

        Args:
            directory: its folder, the root that holds it in `.openbind`, or s3://bucket/prefix.

        Raises:
            InputError: there is no index, or one of another format.
            MissingExtraError: LanceDB isn't installed.
        """
        place = find_place(directory)
        return cls(place, place.open_table(place.read().dim))

    @classmethod
    def reset(cls, directory: str | os.PathLike[str]) -> Index:
        """Open an index whose tables are damaged, with empty ones: `update` embeds all files again.

        Raises:
            InputError: there is no index, its description is damaged as well, or another process
                writes.
        """
        place = find_place(directory)
        with place.writing():
            meta = replace(place.read(), ann=None, summary=None)
            index = cls(place, place.open_table(meta.dim, create=True))
            index.write_meta(meta)
        return index

    @property
    def version(self) -> int:
        """A number that changes with every change of the rows."""
        return self.table.versions.newest()

    def load_space(
        self,
        *,
        device: str = "auto",
        dtype: str = "auto",
        modalities: Iterable[str] | None = None,
    ) -> Space:
        """Load the space of the index.

        Args:
            device: as for `openbind.load`.
            dtype: as for `openbind.load`; "auto" for the precision that the index was made in.
            modalities: load only the towers these need; None for all.

        Raises:
            InputError: another space has its name now.
            UnknownNameError, CheckpointError: as `openbind.load`.
        """
        from openbind.catalog import load

        meta = self.meta
        precision = meta.dtype if dtype == "auto" else dtype
        space = load(meta.space, modalities=modalities, device=device, dtype=precision)
        self.check_space(space)
        return space

    def add(
        self,
        roots: Sequence[str | os.PathLike[str]],
        type_overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Add roots, or type overrides as in `create`; `update` embeds their files.

        Raises:
            InputError: a root is not a folder, or overlaps another; the space lacks a modality; or
                another process writes.
        """
        with self.writing():
            meta = with_type_overrides(self.meta, type_overrides or {})
            for root in roots:
                meta = with_root(meta, root)
            self.write_meta(meta)

    def remove(self, root: str | os.PathLike[str]) -> int:
        """Remove a root and its rows; the files stay.

        Returns:
            number of rows removed.

        Raises:
            InputError: not a root of the index; or another process writes.
        """
        path = Path(root).expanduser().absolute()
        with self.writing():
            meta = self.meta
            chosen = [known for known in meta.roots if known.path == path]
            if not chosen:
                known = ", ".join(str(known.path) for known in meta.roots)
                raise InputError(root, f"not a root of this index; its roots are {known}")
            kept = tuple(known for known in meta.roots if known not in chosen)
            # If this is killed here, `update` deletes the rows, since their root is unknown.
            self.write_meta(replace(meta, roots=kept))
            return self.table.remove_root(chosen[0].number)

    def update(
        self,
        space: Space,
        *,
        allow_empty: bool = False,
        progress: bool = False,
        report: Callable[[int, int], None] | None = None,
        **options: Unpack[ComputeOptions],
    ) -> Changes:
        """Embed new and changed files, and delete the rows of files that are gone.

        A run that is killed loses only what it had not committed; the next one continues.

        Args:
            space: the one that the index was created with.
            allow_empty: delete rows even if a root now has no files.
            progress: show a progress bar on stderr if it takes longer than a second.
            report: called with the number of files done and of all; what it raises ends the run.
            options: `batch_size`, `workers` and `device` as in `ComputeOptions`.

        Raises:
            InputError: another space, a root that is missing or has no files any more, or another
                process writes.
            OSError: the disk is full; committed rows are kept.
        """
        return update(
            self, space, allow_empty=allow_empty, progress=progress, report=report, **options
        )

    def verify(self, *, progress: bool = False) -> Report:
        """Compare every row with its file's content, without changing anything.

        Raises:
            InputError: a root is missing.
        """
        return verify(self, progress=progress)

    def search(
        self,
        query_E: np.ndarray,
        top_k: int = 20,
        *,
        modalities: Sequence[str] = (),
        where: Where = None,
        exact: bool = False,
        unrelated: Mapping[str, Unrelated] | None = None,
    ) -> list[Hit]:
        """Find the files nearest to a query, each by its best segment.

        Args:
            query_E: vector of the index's space.
            top_k: number of results at most.
            modalities: of the results; empty for all.
            where: filter of the rows, such as "year > 2020 and path like '%beach%'", or the same as
                plain values, {"column": "year", "op": ">", "value": 2020} (docs/index.md);
                of a list of them all.
            exact: compare every row even if there is an approximate index.
            unrelated: modality → cosines of unrelated items with the query, from
                `expect_unrelated`: hits of different modalities are ranked comparably.

        Returns:
            hits in descending order of similarity, or of deviations above unrelated items.

        Raises:
            InputError: a vector of wrong length, zero, or not finite; `top_k` below 1; an unknown
                modality; or an invalid filter, with the place.
        """
        meta = self.meta
        query_E = np.asarray(query_E, np.float32)
        if query_E.shape != (meta.dim,) or not _has_direction(query_E):
            found = f"{query_E.shape} {query_E.dtype}"
            raise InputError("the query", f"expected ({meta.dim},) finite numbers, found {found}")
        if top_k < 1:
            raise InputError("top_k", f"expected at least 1, found {top_k}")
        ann, known = None if exact else meta.ann, meta.modalities
        condition = write_condition(known, modalities, where)
        nearest = Nearest(self.table, query_E, ann)

        def find(modality: str | None) -> list[dict[str, Any]]:
            own = condition if modality is None else write_condition(known, [modality], where)
            return nearest.files(top_k, own)

        with reading(self.place):
            if not unrelated:
                return self._hits(meta, find(None))
            counts = self.table.count_by_modality(condition)
            return self._hits(meta, rank_rows(find, counts, top_k, unrelated))

    def count_files(self, modalities: Sequence[str] = (), where: Where = None) -> dict[str, int]:
        """Return the number of files of each modality that a filter admits, see `search`.

        Raises:
            InputError: an unknown modality, or an invalid filter.
        """
        condition = write_condition(self.meta.modalities, modalities, where)
        with reading(self.place):
            return self.table.count_files(condition)

    def vector(self, row_id: str) -> np.ndarray:
        """Return the vector of a row, (dim,) float32.

        Raises:
            InputError: no such row.
        """
        vector_E: np.ndarray = self.vectors([row_id])[0]
        return vector_E

    def vectors(self, row_ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of rows, (n, dim), in the order of their ids.

        Raises:
            InputError: no such row.
        """
        return self.table.vectors(row_ids)

    def hit(self, row_id: str) -> Hit:
        """Return a row as a hit with score 1.

        Raises:
            InputError: no such row.
        """
        return self._hits(self.meta, self._row(row_id, SHOWN).to_pylist())[0]

    def thumbnail(self, row_id: str) -> bytes | None:
        """Return the thumbnail of a row's segment as JPEG; None if its modality has none.

        Raises:
            InputError: no such row.
        """
        jpeg: bytes | None = self._row(row_id, ["thumbnail"]).column("thumbnail")[0].as_py()
        return jpeg

    def sample(self, count: int, seed: int) -> tuple[list[Hit], np.ndarray]:
        """Draw random rows, the same for the same seed and state of the index.

        Returns:
            hits with score 1, and their vectors (n, dim), n ≤ count.
        """
        with reading(self.place):
            total = self.table.rows.count_rows()
            drawn = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
            query = self.table.rows.take_offsets(sorted(map(int, drawn)))
            found = query.select([*SHOWN, "vector"]).to_arrow()
        vectors_KE = vectors_of(found.column("vector"), self.table.dim)
        return self._hits(self.meta, found.select(SHOWN).to_pylist()), vectors_KE

    def _row(self, row_id: str, columns: Sequence[str]) -> Any:
        query = self.table.rows.search().select(list(columns))
        with reading(self.place):
            found = query.where(one_of("id", [row_id])).limit(1).to_arrow()
        if not found.num_rows:
            raise InputError(row_id, "no such row in the index; it may have been deleted")
        return found

    def _hits(self, meta: Meta, rows: Iterable[dict[str, Any]]) -> list[Hit]:
        return make_hits(rows, {root.number: root.path for root in meta.roots})


def _has_direction(query_E: np.ndarray) -> bool:
    """Return whether all numbers are finite, and not all of them zero."""
    squared = query_E @ query_E  # one pass; the others where it says nothing
    return 0 < squared < np.inf or bool(np.isfinite(query_E).all() and query_E.any())


def default_folder(roots: Sequence[str | os.PathLike[str]]) -> Path:
    """Return where an index over some folders is stored by default."""
    return Path(roots[0]).expanduser().absolute() / FOLDER


def _dtype_of(space: Space) -> str:
    weight = next(next(iter(space.towers.values())).parameters())
    return str(weight.dtype).removeprefix("torch.")
