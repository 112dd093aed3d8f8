"""A file that was looked at, and the rows that are written of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openbind.modalities.thumbnails import draw_thumbnail
from openbind.search.metadata import Content, FileMetadata, read_content, read_metadata
from openbind.search.scan import FileEntry
from openbind.search.segments import Span, cut
from openbind.search.table import Row


@dataclass(frozen=True, kw_only=True)
class ScannedFile:
    """A file that was looked at.

    Args:
        entry: which file.
        content: as it was hashed; None if nothing has changed since it was last.
        metadata, thumbnail, spans: of a file to embed.
    """

    entry: FileEntry
    content: Content | None = None
    metadata: FileMetadata = field(default_factory=FileMetadata)
    thumbnail: bytes | None = None
    spans: tuple[Span, ...] = (None,)

    def hashed(self) -> Content:
        """Its content, where it was hashed."""
        if self.content is None:
            raise ValueError(f"{self.entry.path} was not hashed")
        return self.content


def rows_of(seen: ScannedFile, segments: int) -> list[Row]:
    """Write the rows of a file that was embedded."""
    found, content, metadata = seen.entry, seen.hashed(), seen.metadata
    whole = (0.0, metadata.duration) if metadata.duration is not None else (None, None)
    return [
        Row(
            id=f"{found.key}-{segment}",
            file=found.key,
            root=found.root,
            path=found.name,
            modality=found.modality,
            segment=segment,
            segments=segments,
            start_s=(seen.spans[segment] or whole)[0],
            end_s=(seen.spans[segment] or whole)[1],
            hash=content.hash,
            stat_key=content.stat_key,
            size=content.size,
            modified=content.modified,
            year=(metadata.taken or content.modified).year,
            width=metadata.width,
            height=metadata.height,
            duration=metadata.duration,
            thumbnail=seen.thumbnail if segment == 0 else None,
        )
        for segment in range(segments)
    ]


def relabel(row: Row, seen: ScannedFile) -> Row:
    """Write the row of the same content in another place, or with another date."""
    found, content = seen.entry, seen.hashed()
    return replace(
        row,
        id=f"{found.key}-{row.segment}",
        file=found.key,
        root=found.root,
        path=found.name,
        stat_key=content.stat_key,
        modified=content.modified,
        year=row.year if row.year != row.modified.year else content.modified.year,
    )


def describe(found: FileEntry, content: Content) -> ScannedFile:
    """Read what a file to embed says of itself, and draw it."""
    metadata = read_metadata(found.path)
    return ScannedFile(
        entry=found,
        content=content,
        metadata=metadata,
        thumbnail=draw_thumbnail(found.modality, found.path),
        spans=cut(found.modality, metadata.duration),
    )


def is_still(seen: ScannedFile) -> bool:
    """Return whether a file is still what was hashed before it was embedded."""
    try:
        return read_content(seen.entry.path).hash == seen.hashed().hash
    except OSError:
        return False
