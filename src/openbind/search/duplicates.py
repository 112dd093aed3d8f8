"""Copies and near-duplicates: files of the same content, and files whose vectors nearly agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openbind.embedding.items import content_key
from openbind.embedding.many import Entry

NEAR = 0.85
"""Least cosine of near-duplicates (docs/duplicates.md has what it finds)."""
ROUNDING = 1e-5
"""Of cosines: two vectors of the same content may differ in the last bits."""
BLOCK_NUMBERS = 1 << 24
"""Cosines that are computed together: 64 MB."""


@dataclass(frozen=True)
class Member:
    """A file of a group.

    Args:
        path: of the file.
        size: in bytes.
        is_copy: whether its content is that of a file before it in the group.
        cosine: to the group's first file.
    """

    path: Path
    size: int
    is_copy: bool
    cosine: float


@dataclass(frozen=True)
class Group:
    """Files of one modality that are duplicates of the first of them, the largest.

    Args:
        modality: that they are embedded as.
        members: the first, then by cosine.
    """

    modality: str
    members: tuple[Member, ...]

    @property
    def copies(self) -> int:
        """Number of files whose content another one of the group has too."""
        return sum(member.is_copy for member in self.members)

    @property
    def near(self) -> int:
        """Number of near-duplicates of the first file."""
        return len(self.members) - 1 - self.copies


def find_duplicates(
    entries: Sequence[Entry], vectors_KE: np.ndarray, threshold: float = NEAR
) -> list[Group]:
    """Group files that are duplicates of each other, the largest groups first.

    Args:
        entries: files, as from `embed_paths`.
        vectors_KE: their unit vectors.
        threshold: least cosine to the first file of a group, in (0, 1].

    Raises:
        InputError: a file has gone, or can't be read any more.
        OSError: as well.
    """
    paths = [Path(str(entry.item)) for entry in entries]
    sizes = [path.stat().st_size for path in paths]
    rows_of: dict[tuple[str, object], list[int]] = defaultdict(list)
    for row, entry in enumerate(entries):
        rows_of[entry.modality, entry.settings].append(row)
    found = []
    for (modality, _), rows in rows_of.items():
        ordered = sorted(rows, key=lambda row: (-sizes[row], paths[row]))
        for group in group_rows(vectors_KE[ordered], threshold):
            chosen = [ordered[place] for place in group]
            members = _describe(
                [paths[row] for row in chosen], [sizes[row] for row in chosen], vectors_KE[chosen]
            )
            found.append(Group(modality, members))
    return sorted(found, key=lambda group: (-len(group.members), group.members[0].path))


def group_rows(vectors_KE: np.ndarray, threshold: float) -> list[list[int]]:
    """Group rows around leaders: each row joins the first leader before it that is near enough.

    Nothing is chained: every row of a group is near its leader.

    Args:
        vectors_KE: unit rows; earlier ones become leaders first.
        threshold: least cosine to the leader.

    Returns:
        groups of at least two rows, the leader first, then in order.
    """
    count = len(vectors_KE)
    free_K, groups = np.ones(count, bool), []
    block = max(1, BLOCK_NUMBERS // max(count, 1))
    for start in range(0, count, block):
        near_BK = vectors_KE[start : start + block] @ vectors_KE[start:].T >= threshold - ROUNDING
        for place, near_K in enumerate(near_BK):
            row = start + place
            if not free_K[row]:
                continue
            free_K[row] = False
            joined = start + np.flatnonzero(near_K & free_K[start:])
            free_K[joined] = False
            if len(joined):
                groups.append([row, *joined.tolist()])
    return groups


def _describe(
    paths: Sequence[Path], sizes: Sequence[int], vectors_KE: np.ndarray
) -> tuple[Member, ...]:
    """Compare a group's files with its first; only files of the same size are read."""
    counts = Counter(sizes)
    seen: set[bytes] = set()
    members = []
    for path, size, cosine in zip(paths, sizes, vectors_KE @ vectors_KE[0], strict=True):
        content = content_key(path) if counts[size] > 1 else None
        is_copy = content in seen
        if content is not None:
            seen.add(content)
        members.append(Member(path, size, is_copy, min(float(cosine), 1.0)))
    return (
        members[0],
        *sorted(members[1:], key=lambda member: (not member.is_copy, -member.cosine)),
    )
