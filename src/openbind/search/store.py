"""The parts of an index: its place, its description, its rows, and who may write."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from openbind.errors import InputError
from openbind.search.meta import Meta
from openbind.search.place import Place
from openbind.search.results import Info
from openbind.search.table import RowTable, one_of
from openbind.space.space import Space


class Store:
    """An index as it is stored.

    Args:
        place: where.
        table: its rows.
    """

    def __init__(self, place: Place, table: RowTable) -> None:
        self.place = place
        self.table = table

    @property
    def folder(self) -> Path | None:
        """The folder of the index; None in an object store."""
        return self.place.folder

    @property
    def meta(self) -> Meta:
        """The current description, which another process may have changed."""
        return self.place.read()

    def write_meta(self, meta: Meta) -> None:
        """Replace the description."""
        self.place.write(meta)

    def writing(self) -> AbstractContextManager[None]:
        """Be the only writer, as `Place.writing`."""
        return self.place.writing()

    def check_space(self, space: Space, *, complete: bool = False) -> None:
        """Check that a space embeds as the one that the index was created with.

        Args:
            space: some or all of the index's modalities; only these are compared.
            complete: require all of them.

        Raises:
            InputError: another space, or a modality is missing.
        """
        meta = self.meta
        missing = set(meta.identities) - set(space.modalities) if complete else set()
        if missing:
            raise InputError(space.name, f"loaded without {', '.join(sorted(missing))}; load all")
        if any(space.identity(name) != meta.identities.get(name) for name in space.modalities):
            raise InputError(
                str(self.place),
                f"its vectors are of the space {meta.space!r} ({meta.dim} dimensions, fingerprint "
                f"{meta.fingerprint[:8]}), not of {space.name!r} ({space.dim} dimensions, "
                f"{space.fingerprint[:8]}): vectors of two spaces can't be compared. Load that "
                "space, or create another index",
            )

    @property
    def rows(self) -> int:
        """Number of rows."""
        count: int = self.table.rows.count_rows()
        return count

    def info(self) -> Info:
        """Return counts of files and rows by modality, and sizes."""
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
            bytes=self.place.size(),
            by_modality=by_modality,
            ann=str(meta.ann) if meta.ann else None,
            type_overrides={o.pattern: o.notation for o in meta.type_overrides},
            summary=meta.summary,
        )
