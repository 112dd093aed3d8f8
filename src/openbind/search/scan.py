"""The files below an index's folders: which there are, and what they are read as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openbind.errors import InputError
from openbind.search.adhoc import walk_files
from openbind.search.meta import Meta, file_key, modality_of
from openbind.search.metadata import Content
from openbind.search.table import FileState


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file that the scan found.

    Args:
        key: `file_key` of root and name.
        root: number of its root.
        name: its path below the root, with `/`.
        path: of the file.
        modality: what it is read as.
    """

    key: str
    root: int
    name: str
    path: Path
    modality: str

    def state(self, content: Content) -> FileState:
        """What the table is to know of it."""
        return FileState(
            file=self.key,
            path=self.name,
            root=self.root,
            modality=self.modality,
            hash=content.hash,
            stat_key=content.stat_key,
        )


def scan_roots(meta: Meta, folder: Path) -> Iterator[FileEntry]:
    """List the files of an index's folders.

    Args:
        meta: of the index.
        folder: it is kept in; its own files aren't listed.

    Raises:
        InputError: a root isn't there: its files would be taken for removed.
    """
    for root in meta.roots:
        if not root.path.is_dir():
            raise InputError(
                root.path,
                "this root of the index isn't there; mount it, or take it out with "
                "`openbind index remove`",
            )
        for path in walk_files(root.path):
            if folder in path.parents:
                continue
            name = path.relative_to(root.path).as_posix()
            # Names that aren't UTF-8 can't be stored as such.
            name = name.encode("utf-8", "backslashreplace").decode()
            modality = modality_of(meta, name)
            if modality is not None:
                key = file_key(root.number, name)
                yield FileEntry(key=key, root=root.number, name=name, path=path, modality=modality)
