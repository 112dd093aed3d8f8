"""From a file to the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from openbind.modalities.spec import View
from openbind.search.columns import Row
from openbind.search.metadata import Content, FileMetadata, read_content, read_metadata
from openbind.search.scan import FileEntry
from openbind.search.segments import WHOLE, cut


@dataclass(frozen=True, kw_only=True)
class ScannedFile:
    """A file that was compared with the index.

    Args:
        entry: the file.
        content: its hash and times; None if its size, times and inode are as indexed.
        metadata, views: only of a file to embed; one view per segment.
    """

    entry: FileEntry
    content: Content | None = None
    metadata: FileMetadata = field(default_factory=FileMetadata)
    views: tuple[View, ...] = WHOLE

    def hashed(self) -> Content:
        """Return the content of a file that was hashed."""
        if self.content is None:
            raise ValueError(f"{self.entry.path} was not hashed")
        return self.content


def rows_of(scanned: ScannedFile, thumbnails: Sequence[bytes | None]) -> list[Row]:
    """Return the rows of a file that was embedded, one per segment with its thumbnail."""
    entry, content, metadata = scanned.entry, scanned.hashed(), scanned.metadata
    taken = _as_utc(metadata.taken) or content.modified
    whole = (0.0, metadata.duration) if metadata.duration is not None else (None, None)
    return [
        Row(
            id=f"{entry.key}-{number}",
            file=entry.key,
            root=entry.root,
            path=entry.name,
            modality=entry.modality,
            settings=entry.kind[1],
            segment=number,
            segments=len(scanned.views),
            start_s=(view.span or whole)[0],
            end_s=(view.span or whole)[1],
            hash=content.hash,
            stat_key=content.stat_key,
            size=content.size,
            modified=content.modified,
            taken=taken,
            year=taken.year,
            camera=metadata.camera,
            width=metadata.width,
            height=metadata.height,
            duration=metadata.duration,
            thumbnail=thumbnail,
        )
        for number, (view, thumbnail) in enumerate(zip(scanned.views, thumbnails, strict=True))
    ]


def relabel(row: Row, scanned: ScannedFile) -> Row:
    """Return a row of the same content for another path or modification time."""
    entry, content = scanned.entry, scanned.hashed()
    taken = row.taken if row.taken != row.modified else content.modified
    return replace(
        row,
        id=f"{entry.key}-{row.segment}",
        file=entry.key,
        root=entry.root,
        path=entry.name,
        stat_key=content.stat_key,
        modified=content.modified,
        taken=taken,
        year=taken.year,
    )


def _as_utc(taken: datetime | None) -> datetime | None:
    """Return a camera's local time as if it were UTC: the hour that its owner remembers."""
    return taken and taken.replace(tzinfo=timezone.utc)


def describe(entry: FileEntry, content: Content) -> ScannedFile:
    """Read the metadata of a file to embed."""
    metadata = read_metadata(entry.path)
    return ScannedFile(
        entry=entry,
        content=content,
        metadata=metadata,
        views=cut(entry.modality, metadata.duration),
    )


def is_unchanged(scanned: ScannedFile) -> bool:
    """Return whether a file still has the content that was hashed before it was embedded."""
    try:
        return read_content(scanned.entry.path).hash == scanned.hashed().hash
    except OSError:
        return False
