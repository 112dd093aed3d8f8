"""List the files below an index's roots, and the folders that can't be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from openbind.embedding.items import storable_name
from openbind.embedding.many import Failure
from openbind.embedding.overrides import format_settings, read_as
from openbind.embedding.scan import HIDDEN, Summary, find_obstacle, walk_files
from openbind.errors import InputError
from openbind.modalities import settle_modality
from openbind.search.columns import FileState
from openbind.search.meta import Meta, Root, file_key
from openbind.search.metadata import Content
from openbind.space.decoding import Settings


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file below a root.

    Args:
        key: `file_key` of root and name.
        root: number of its root.
        name: its path below the root, with `/`.
        path: of the file.
        modality: what it is embedded as.
        settings: of the modality's preprocessing that differ from the space's.
    """

    key: str
    root: int
    name: str
    path: Path
    modality: str
    settings: Settings = ()

    @property
    def kind(self) -> tuple[str, str]:
        """What decides its vectors beside its content: modality and settings, as stored."""
        return self.modality, format_settings(self.settings)

    def state(self, content: Content) -> FileState:
        """Return what the table stores about it."""
        return FileState(
            file=self.key,
            path=self.name,
            root=self.root,
            modality=self.modality,
            settings=self.kind[1],
            hash=content.hash,
            stat_key=content.stat_key,
        )


@dataclass
class RootScan:
    """The files below an index's roots.

    Attributes:
        files: those of the index's modalities.
        blocked: files of the index's modalities that can't be read: broken links, pipes, files
            without permission.
        failures: these, and folders that can't be read; the files below them are unknown, not gone.
        hidden: (root number, prefix of names) of these folders.
        summary: of everything that was found.
    """

    files: list[FileEntry] = field(default_factory=list)
    blocked: list[FileEntry] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    failures: list[Failure] = field(default_factory=list)
    hidden: set[tuple[int, str]] = field(default_factory=set)

    def hides(self, root: int, name: str) -> bool:
        """Return whether a file is below a folder that can't be read."""
        return any(number == root and name.startswith(prefix) for number, prefix in self.hidden)


def scan_roots(meta: Meta, folder: Path | None) -> RootScan:
    """List the files of an index's roots.

    Args:
        meta: of the index.
        folder: where the index is stored, if in one; its own files are excluded.

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
        for path in walk_files(root.path, failures.append, summary=found.summary):
            if folder is None or folder not in path.parents:
                _take(found, meta, root, path)
        if folder and folder.parent == root.path and folder.name.startswith("."):
            found.summary.note_skipped(HIDDEN, -1)  # the index itself
        for failure in failures:
            below = _name(Path(failure.name), root)
            found.hidden.add((root.number, "" if below == "." else f"{below}/"))
        found.failures += failures
    return found


def _take(found: RootScan, meta: Meta, root: Root, path: Path) -> None:
    """Note what a file is read as, or why it is skipped."""
    name = _name(path, root)
    modality, settings = read_as(name, meta.modalities, meta.type_overrides)
    obstacle = find_obstacle(path)
    if obstacle is None and not settings:
        modality = settle_modality(path, modality, meta.modalities)
    entry = FileEntry(
        key=file_key(root.number, name),
        root=root.number,
        name=name,
        path=path,
        modality=modality or "",
        settings=settings,
    )
    if obstacle is not None:
        found.summary.note_skipped(obstacle)
        if modality is not None:
            found.failures.append(Failure(path, obstacle))
            found.blocked.append(entry)
    elif modality is None:
        found.summary.note_other(path)
    else:
        found.summary.note_read(modality, path)
        found.files.append(entry)


def _name(path: Path, root: Root) -> str:
    """Return the path below a root, as it is stored."""
    return storable_name(path.relative_to(root.path).as_posix())
