"""A file that was looked at, and the rows that are written of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openbind.modalities.thumbnails import draw_thumbnail
from openbind.search.metadata import Content, Facts, read_content, read_facts
from openbind.search.scan import Found
from openbind.search.segments import Span, cut
from openbind.search.table import Row


@dataclass(frozen=True, kw_only=True)
class ScannedFile:
    """A file that was looked at.

    Args:
        found: which.
        content: as it was hashed; None if nothing has changed since it was last.
        facts, thumbnail, spans: of a file to embed.
    """

    found: Found
    content: Content | None = None
    facts: Facts = field(default_factory=Facts)
    thumbnail: bytes | None = None
    spans: tuple[Span, ...] = (None,)

    def hashed(self) -> Content:
        """Its content, where it was hashed."""
        if self.content is None:
            raise ValueError(f"{self.found.path} was not hashed")
        return self.content


def rows_of(seen: ScannedFile, parts: int) -> list[Row]:
    """Write the rows of a file that was embedded."""
    found, content, facts = seen.found, seen.hashed(), seen.facts
    whole = (0.0, facts.duration) if facts.duration is not None else (None, None)
    return [
        Row(
            id=f"{found.key}-{part}",
            file=found.key,
            root=found.root,
            path=found.name,
            modality=found.modality,
            part=part,
            parts=parts,
            start_s=(seen.spans[part] or whole)[0],
            end_s=(seen.spans[part] or whole)[1],
            hash=content.hash,
            stamp=content.stamp,
            size=content.size,
            modified=content.modified,
            year=(facts.taken or content.modified).year,
            width=facts.width,
            height=facts.height,
            duration=facts.duration,
            thumbnail=seen.thumbnail if part == 0 else None,
        )
        for part in range(parts)
    ]


def relabel(row: Row, seen: ScannedFile) -> Row:
    """Write the row of the same content in another place, or with another date."""
    found, content = seen.found, seen.hashed()
    return replace(
        row,
        id=f"{found.key}-{row.part}",
        file=found.key,
        root=found.root,
        path=found.name,
        stamp=content.stamp,
        modified=content.modified,
        year=row.year if row.year != row.modified.year else content.modified.year,
    )


def describe(found: Found, content: Content) -> ScannedFile:
    """Read what a file to embed says of itself, and draw it."""
    facts = read_facts(found.path)
    return ScannedFile(
        found=found,
        content=content,
        facts=facts,
        thumbnail=draw_thumbnail(found.modality, found.path),
        spans=cut(found.modality, facts.duration),
    )


def is_still(seen: ScannedFile) -> bool:
    """Return whether a file is still what was hashed before it was embedded."""
    try:
        return read_content(seen.found.path).hash == seen.hashed().hash
    except OSError:
        return False
