"""Files below folders: which there are, what they are read as, and what was passed over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openbind.embedding.many import Entry, Failure
from openbind.embedding.overrides import TypeOverride, read_as
from openbind.errors import InputError
from openbind.modalities import MODALITIES, settle_modality

BROKEN_LINK, NO_PERMISSION, NOT_REGULAR = "broken link", "no permission", "not a regular file"
HIDDEN, FOLDER_LINK = "hidden", "link to a folder"
FAILED, CHANGED = "failed to decode", "changed while read"
"""Reasons for which a file is skipped."""
LISTED = 6
"""File formats that a summary's line names; all of them are in its fields."""
LONGEST_FORMAT = 12
"""Letters of a file extension; what is longer is part of a name."""
EFFECTIVE = {os.access} & os.supports_effective_ids
"""Whether `os.access` can ask about the user that opens files, not the one who started us."""


@dataclass
class Summary:
    """What became of the files below some folders: none is passed over in silence.

    Formats are file extensions in lower case without the dot, "" for files without one.

    Attributes:
        read: modality → format → number of files.
        others: format → number of files that none of the modalities takes.
        skipped: reason → number of files (and of hidden folders, which aren't entered).
        folders: number of folders that couldn't be read; what is in them is not known.
    """

    read: dict[str, dict[str, int]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    folders: int = 0

    def note_read(self, modality: str, path: Path) -> None:
        """Count a file that is read as a modality."""
        _add(self.read.setdefault(modality, {}), _format(path))

    def note_other(self, path: Path) -> None:
        """Count a file that no modality takes."""
        _add(self.others, _format(path))

    def note_skipped(self, reason: str, count: int = 1) -> None:
        """Count files that are skipped for a reason."""
        _add(self.skipped, reason, count)

    def note_failed(self, modality: str, path: Path, reason: str = FAILED) -> None:
        """Count a file that was counted as read as skipped instead."""
        formats = self.read[modality]
        _add(formats, _format(path), -1)
        if not formats:
            del self.read[modality]
        self.note_skipped(reason)

    def plain(self) -> dict[str, Any]:
        """Return the fields as values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Say it in one line."""
        total = sum(sum(formats.values()) for formats in self.read.values())
        kinds = [
            f"{sum(formats.values()):,} {modality} ({_list_formats(formats)})"
            for modality, formats in sorted(self.read.items())
        ]
        others = sum(self.others.values())
        reasons = [f"{others:,} of other types ({_list_formats(self.others)})"] if others else []
        reasons += [f"{count:,} {reason}" for reason, count in sorted(self.skipped.items())]
        skipped = others + sum(self.skipped.values())
        parts = [f"{total:,} read" + (f": {', '.join(kinds)}" if kinds else "")]
        if skipped:
            parts.append(f"{skipped:,} skipped: {', '.join(reasons)}")
        if self.folders:
            parts.append(f"{self.folders:,} folders could not be read")
        return "; ".join(parts)


@dataclass(frozen=True)
class Scan:
    """The result of a scan.

    Args:
        entries: files to embed.
        summary: of everything that was found.
        failures: files to embed that can't be read, and folders whose content is not known.
    """

    entries: tuple[Entry, ...]
    summary: Summary
    failures: tuple[Failure, ...] = ()


def scan(
    paths: Iterable[str | os.PathLike[str]],
    modalities: Sequence[str],
    overrides: Sequence[TypeOverride] = (),
) -> Scan:
    """List the files below some folders that hold one of the modalities.

    Hidden files and folders are skipped; links to folders are not followed. Pipes, sockets,
    devices, broken links and files without permission are skipped without being opened.

    Args:
        paths: folders, searched through all their levels, or files.
        modalities: names; a file of another kind is only counted.
        overrides: what files are, before their extension is asked; patterns are matched with the
            path below the folder, or with the path of a file as given.

    Raises:
        InputError: a path doesn't exist, or the only one is a file of no known kind or no file;
            among several it is a failure.
    """
    scanner, listed = _Scanner(modalities, overrides), list(paths)
    for given in listed:
        path = Path(given).expanduser()
        if path.is_dir():
            for file in walk_files(path, scanner.failures.append, summary=scanner.summary):
                scanner.take(file, file.relative_to(path).as_posix())
        else:
            scanner.take_given(path, given, alone=len(listed) == 1)
    return Scan(tuple(scanner.entries), scanner.summary, tuple(scanner.failures))


class _Scanner:
    """What a scan has found so far."""

    def __init__(self, modalities: Sequence[str], overrides: Sequence[TypeOverride]) -> None:
        self.modalities, self.overrides = modalities, overrides
        self.entries: list[Entry] = []
        self.failures: list[Failure] = []
        self.summary, self.seen = Summary(), set[Path]()

    def take_given(self, path: Path, given: Any, *, alone: bool) -> None:
        """Take a file that was given by name, which should be one of the modalities.

        Raises:
            InputError: it isn't there; or, if it is `alone`, it is no regular file, can't be read,
                or is of no known kind.
        """
        if not os.path.lexists(path):
            raise InputError(given, "no such file or folder")
        reason = find_obstacle(path)
        known = read_as(path.as_posix(), self.modalities, self.overrides)[0] is not None
        if reason is None and not known:
            named = [name for name in self.modalities if MODALITIES.get(name).extensions]
            expected = f"expected one of {', '.join(named)}, or its --type"
            reason = f"unsupported file extension {path.suffix!r}; {expected}"
        if reason is not None and alone:
            raise InputError(given, reason)
        if reason is not None and not known:
            self.failures.append(Failure(path, reason))
        self.take(path, path.as_posix())

    def take(self, file: Path, name: str) -> None:
        """Note what a file is read as, or why it is skipped."""
        if file in self.seen:
            return
        self.seen.add(file)
        modality, settings = read_as(name, self.modalities, self.overrides)
        if (obstacle := find_obstacle(file)) is not None:
            self.summary.note_skipped(obstacle)
            if modality is not None:
                self.failures.append(Failure(file, obstacle))
            return
        if not settings:
            modality = settle_modality(file, modality, self.modalities)
        if modality is None:
            self.summary.note_other(file)
        else:
            self.summary.note_read(modality, file)
            self.entries.append(Entry(modality, file, settings=settings))


def find_obstacle(path: Path) -> str | None:
    """Return why a file can't be read, without opening it; None if it can."""
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return BROKEN_LINK
        return NO_PERMISSION if error.errno == errno.EACCES else error.strerror or str(error)
    if not stat.S_ISREG(status.st_mode):
        return NOT_REGULAR  # reading a pipe or a device might never end
    readable = os.access(path, os.R_OK, effective_ids=bool(EFFECTIVE))
    return None if readable else NO_PERMISSION


def walk_files(
    folder: Path,
    on_failure: Callable[[Failure], object],
    *,
    summary: Summary | None = None,
    follow_links: bool = False,
) -> Iterator[Path]:
    """List the files below a folder in order, without hidden ones.

    Args:
        folder: where to start.
        on_failure: called for each folder that can't be read, with its path and the reason.
        summary: counts these, hidden files and folders, and links that aren't followed.
        follow_links: enter links to folders, each folder once.
    """
    noted = Summary() if summary is None else summary

    def failed(error: OSError) -> None:
        noted.folders += 1
        reason = f"folder can't be read ({error.strerror or error})"
        on_failure(Failure(Path(error.filename or folder), reason))

    entered: set[tuple[int, int]] = set()
    _is_new(folder, entered)
    for root, folders, names in os.walk(folder, onerror=failed, followlinks=follow_links):
        shown = sorted(name for name in folders if not name.startswith("."))
        files = sorted(name for name in names if not name.startswith("."))
        hidden = len(folders) + len(names) - len(shown) - len(files)
        if hidden:
            noted.note_skipped(HIDDEN, hidden)
        if follow_links:
            shown = [name for name in shown if _is_new(Path(root, name), entered)]
        elif links := sum(os.path.islink(os.path.join(root, name)) for name in shown):
            noted.note_skipped(FOLDER_LINK, links)
        folders[:] = shown
        yield from (Path(root, name) for name in files)


def _is_new(folder: Path, entered: set[tuple[int, int]]) -> bool:
    """Note a folder; False if it was entered before by another way."""
    try:
        status = folder.stat()
    except OSError:
        return True  # the walk reports it
    key = (status.st_dev, status.st_ino)
    if key in entered:
        return False
    entered.add(key)
    return True


def _format(path: Path) -> str:
    extension = path.suffix.lower().removeprefix(".")
    return extension if len(extension) <= LONGEST_FORMAT else ""


def _add(counts: dict[str, int], key: str, count: int = 1) -> None:
    """Add to a count; counts of 0 are deleted."""
    counts[key] = counts.get(key, 0) + count
    if not counts[key]:
        del counts[key]


def _list_formats(counts: Mapping[str, int]) -> str:
    """Say the most frequent formats: "2 HEIC, 1 JPG"."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {name.upper() or 'without extension'}" for name, count in ranked[:LISTED]]
    more = sum(count for _, count in ranked[LISTED:])
    return ", ".join([*named, *([f"{more:,} more"] if more else [])])
