"""Names that come out of files, used as names of files: each stays inside its own folder.

Every reader of a foreign file takes such names through here, and so does whoever writes them;
docs/security.md lists the places.
"""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 255
"""Of a name in UTF-8, as file systems have it."""
_FORBIDDEN = frozenset('/\\:*?"<>|')
"""Separators of folders, drives and streams, and what one of the systems refuses or expands."""


def plain_name(name: str) -> str:
    """Return a name that is one of a file, with nothing that leads elsewhere.

    Args:
        name: as found.

    Raises:
        ValueError: empty, `.` or `..`, too long, or with a separator, a wildcard or a control
            character.
    """
    if name in ("", ".", "..") or _FORBIDDEN & set(name) or not name.isprintable():
        raise ValueError(f"expected a plain name of a file, found {name[:80]!r}")
    if len(name.encode()) > MAX_BYTES:
        raise ValueError(f"expected a name of at most {MAX_BYTES} bytes, found {name[:80]!r}…")
    return name


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder, by a name that was found in a file.

    A link counts as what it leads to. In the cache of the Hugging Face Hub, where each file is a
    link, it may lead to the `blobs` of the same repository.

    Args:
        folder: that holds the file, present or not.
        name: as found.

    Raises:
        ValueError: not a plain name, or a link out of the folder.
    """
    path = folder / plain_name(name)
    root, target = folder.resolve(), path.resolve()
    allowed = [root, *([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])]
    if target.parent not in allowed:
        raise ValueError(f"{name[:80]!r} is a link out of its folder; copy the file there instead")
    return path
