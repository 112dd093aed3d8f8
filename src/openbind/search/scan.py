"""List the files below an index's roots, and the folders that can't be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from openbind.embedding.many import Failure
from openbind.embedding.scan import walk_files
from openbind.errors import InputError
from openbind.modalities import settle_modality
from openbind.search.meta import Meta, Root, file_key, modality_of
from openbind.search.metadata import Content
from openbind.search.table import FileState


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file below a root.

    Args:
        key: `file_key` of root and name.
        root: number of its root.
        name: its path below the root, with `/`.
        path: of the file.
        modality: what it is embedded as.
    """

    key: str
    root: int
    name: str
    path: Path
    modality: str

    def state(self, content: Content) -> FileState:
        """Return what the table stores about it."""
        return FileState(
            file=self.key,
            path=self.name,
            root=self.root,
            modality=self.modality,
            hash=content.hash,
            stat_key=content.stat_key,
        )


@dataclass
class RootScan:
    """The files below an index's roots.

    Attributes:
        files: those of the index's modalities.
        failures: folders that can't be read; the files below them are unknown, not gone.
        hidden: (root number, prefix of names) of these folders.
    """

    files: list[FileEntry] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    hidden: set[tuple[int, str]] = field(default_factory=set)

    def hides(self, root: int, name: str) -> bool:
        """Return whether a file is below a folder that can't be read."""
        return any(number == root and name.startswith(prefix) for number, prefix in self.hidden)


def scan_roots(meta: Meta, folder: Path) -> RootScan:
    """List the files of an index's roots.

    Args:
        meta: of the index.
        folder: where the index is stored; its own files are excluded.

    Raises:
        InputError: a root is missing, so its files would be taken for deleted.
    """
    found = RootScan()
    for root in meta.roots:
        if not root.path.is_dir():
            raise InputError(
                root.path,
                "this root of the index is missing; mount it, or remove it with "
                "`openbind index remove`",
            )
        failures: list[Failure] = []
        for path in walk_files(root.path, failures.append):
            name = _name(path, root)
            modality = None if folder in path.parents else modality_of(meta, name)
            modality = settle_modality(path, modality, meta.modalities)
            if modality is not None:
                found.files.append(
                    FileEntry(
                        key=file_key(root.number, name),
                        root=root.number,
                        name=name,
                        path=path,
                        modality=modality,
                    )
                )
        for failure in failures:
            below = _name(Path(failure.name), root)
            found.hidden.add((root.number, "" if below == "." else f"{below}/"))
        found.failures += failures
    return found


def _name(path: Path, root: Root) -> str:
    """Return the path below a root; bytes that aren't UTF-8 are escaped, so it can be stored."""
    return path.relative_to(root.path).as_posix().encode("utf-8", "backslashreplace").decode()
