"""Shards: WebDataset's tar files, where the parts of a sample share a name."""

from __future__ import annotations

import glob
import json
import os
import posixpath
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openbind.data.pairs import DataConfig, Row, Rows, read_name, read_span, read_split
from openbind.embedding.items import Item, Member, RowItems
from openbind.errors import ConfigError, InputError
from openbind.media.source import open_source
from openbind.modalities import MODALITIES, TEXT, modality_of_file

NOTES, LABEL, CAPTION = "json", "cls", "txt"
"""Extensions of a sample's notes, its label and its words, as WebDataset has them."""
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""First bytes of compressed files."""
BLOCK_BYTES = 512
"""Of a tar; one of zeros or more end it (POSIX.1-2001, pax, ustar interchange format)."""
TAIL_BYTES = 1 << 20
"""Looked at behind a tar's last member. Tar fills up with zeros there, to 10 KiB as a rule."""


@dataclass
class _Sample:
    """The parts of one sample.

    Args:
        members: extension → where it is.
        texts: extension → content, of the parts that are read with the index.
    """

    members: dict[str, Member] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def read_shards(config: DataConfig, pair: tuple[str, str], root: Path) -> Rows:
    """List the pairs in tar files; of each only headers, words and notes are read.

    A sample is what shares a name up to its first dot. What follows says what a part is:
    `<modality>.<extension>`, or an extension that belongs to one modality ("txt": text). "cls" is
    the label; "json" may have `label`, `split`, `start`, `end`, and texts under the name of the
    words' modality.

    Args:
        config: its `shards`, and its `columns` (modality → extension).
        pair: names of the two modalities, the frozen one first.
        root: relative patterns start there.

    Raises:
        ConfigError: no file matches, or no sample has both modalities.
        InputError: a shard is missing, compressed, truncated or no tar, or its notes are broken.
    """
    reader = _RowReader(pair, config.columns)
    pattern = config.shards or ""
    rows = tuple(row for name in _expand(pattern, root) for row in reader.read(root / name, name))
    counts = ", ".join(f"{extension} ({n})" for extension, n in reader.extensions.most_common(20))
    excluded = [f"{n} samples of {pattern} have no {m}" for m, n in reader.missing.items()]
    if not rows:
        raise ConfigError(
            f"shards {pattern}: no sample has both {' and '.join(pair)}; "
            f"{'; '.join(excluded) or 'there are no samples'}; extensions: {counts or 'none'}; "
            "`columns` can map a modality to one of them"
        )
    if reader.odd:
        excluded.append(f"{reader.odd} members of {pattern} are links or sparse files")
    return Rows(rows, tuple(excluded))


class _RowReader:
    """Turns shards into rows.

    Args:
        pair: names of the modalities.
        mapped: modality → extension, for those that are said.

    Attributes:
        missing: modality → samples that have none of it.
        extensions: of all members, with their number.
        odd: members whose bytes don't lie in one piece.
    """

    def __init__(self, pair: tuple[str, str], mapped: Mapping[str, str]) -> None:
        self.pair = pair
        self.mapped = {m: extension.lower().removeprefix(".") for m, extension in mapped.items()}
        self.missing: Counter[str] = Counter()
        self.extensions: Counter[str] = Counter()
        self.odd = 0
        self._known: dict[tuple[str, str], bool] = {}

    def read(self, path: Path, name: str) -> Iterator[Row]:
        """Yield the rows of one shard, in the order of its members."""
        for stem, sample in self._index(path).items():
            self.extensions.update(sample.members.keys())
            try:
                row = self._read_row(f"{name}/{stem}", sample)
            except ValueError as error:
                raise InputError(path, f"{stem}: {error}") from error
            if row is not None:
                yield row

    def _read_row(self, key: str, sample: _Sample) -> Row | None:
        notes = _parse_notes(sample.texts.get(NOTES, "{}"))
        cells = tuple(self._make_cell(modality, sample, notes) for modality in self.pair)
        missing = [m for m, cell in zip(self.pair, cells, strict=True) if not cell]
        if missing:
            self.missing.update(missing)
            return None
        return Row(
            key=key,
            items=RowItems(self.pair, cells),
            label=read_name(notes.get("label")) or read_name(sample.texts.get(LABEL)),
            split=read_split(notes.get("split")),
            span=read_span(notes.get("start"), notes.get("end")),
        )

    def _index(self, path: Path) -> dict[str, _Sample]:
        samples: dict[str, _Sample] = {}
        with _open_tar(path) as archive:
            for info in _walk_headers(archive, path):
                folder, name = posixpath.split(info.name.removeprefix("./"))
                stem, _, extension = name.partition(".")
                if info.isdir() or not stem or not extension:
                    continue
                if not info.isreg() or info.issparse():
                    self.odd += 1
                    continue
                member = Member(path, info.name, info.offset_data, info.size)
                sample = samples.setdefault(posixpath.join(folder, stem), _Sample())
                extension = extension.lower()
                if extension in sample.members:
                    raise InputError(path, f"has {info.name} twice")
                sample.members[extension] = member
                if extension in (NOTES, LABEL) or self._takes(TEXT, extension):
                    sample.texts[extension] = _read_text(archive, member)
        return samples

    def _make_cell(
        self, modality: str, sample: _Sample, notes: Mapping[str, Any]
    ) -> tuple[Item, ...]:
        extensions = [extension for extension in sample.members if self._takes(modality, extension)]
        if modality != TEXT:
            return tuple(sample.members[extension] for extension in extensions)
        said = [sample.texts[extension] for extension in extensions] or notes.get(TEXT, [])
        texts = said if isinstance(said, list) else [said]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{TEXT}: expected a text, or a list of texts, found {said!r:.60}")
        return tuple(text.strip() for text in texts if text.strip())

    def _takes(self, modality: str, extension: str) -> bool:
        """Return whether a member of some extension holds a modality."""
        if (modality, extension) not in self._known:
            self._known[modality, extension] = self._decide(modality, extension)
        return self._known[modality, extension]

    def _decide(self, modality: str, extension: str) -> bool:
        if modality in self.mapped:
            return extension == self.mapped[modality]
        if extension in self.mapped.values():
            return False
        first, dot, _ = extension.partition(".")
        if dot:
            return first == modality
        if extension == CAPTION:
            return modality == TEXT
        return modality_of_file(f"member.{extension}", MODALITIES.names()) == modality


def _parse_notes(text: str) -> dict[str, Any]:
    try:
        notes = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{NOTES}: not JSON ({error})") from error
    if not isinstance(notes, dict):
        raise ValueError(f"{NOTES}: expected an object {{…}}, found {notes!r:.60}")
    return notes


def _open_tar(path: Path) -> tarfile.TarFile:
    open_source(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
        for mark, kind in COMPRESSED.items():
            if head.startswith(mark):
                raise InputError(
                    path, f"compressed with {kind}: members can't be read by their place; unpack it"
                )
        return tarfile.open(path, "r:")
    except (tarfile.TarError, OSError) as error:
        raise InputError(path, f"not a tar file ({error})") from error


def _walk_headers(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield all members; what lies between their headers isn't read.

    Raises:
        InputError: the tar is truncated or damaged, or others were joined to it.
    """
    try:
        while (info := archive.next()) is not None:
            # It would keep them all, a kilobyte each.
            archive.members = []  # type: ignore[attr-defined]
            yield info
    except (tarfile.TarError, OSError) as error:
        raise InputError(path, f"truncated or damaged ({error})") from error
    # At a header that it can't read tarfile stops as if the archive ended there.
    tail = _read_at(archive, archive.offset, TAIL_BYTES)
    if len(tail) < BLOCK_BYTES or any(tail[:BLOCK_BYTES]):
        raise InputError(
            path,
            f"truncated or damaged: no header and no mark of the end at byte {archive.offset:,}",
        )
    if any(tail):
        raise InputError(path, "goes on behind the mark of its end; joined tars must be parted")


def _read_at(archive: tarfile.TarFile, offset: int, size: int) -> bytes:
    assert archive.fileobj is not None, "the archive is open"
    archive.fileobj.seek(offset)
    return archive.fileobj.read(size)


def _read_text(archive: tarfile.TarFile, member: Member) -> str:
    try:
        return _read_at(archive, member.offset, member.size).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(member.tar, f"{member.name}: not a text in UTF-8 ({error})") from error


def _expand(pattern: str, root: Path) -> list[str]:
    """List the shards of a pattern, in sorted order, as paths that start from `root`."""
    names: list[str] = []
    for name in _expand_ranges(os.path.expanduser(pattern)):
        if "*" not in name:
            names.append(name)
            continue
        # Only the star has a meaning; brackets are what they are.
        found = glob.glob(glob.escape(name).replace("[*]", "*"), root_dir=root)
        if not found:
            raise ConfigError(f"shards: no file matches {name!r} in {root}")
        names += sorted(found)
    return names


def _expand_ranges(pattern: str) -> Iterator[str]:
    """Write `{000..012}` out; the numbers have as many digits as the first has."""
    match = RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last = match.groups()
    if int(first) > int(last):
        raise ConfigError(f"shards: {match[0]} counts down in {pattern!r}")
    for number in range(int(first), int(last) + 1):
        text = str(number).zfill(len(first))
        yield from _expand_ranges(f"{pattern[: match.start()]}{text}{pattern[match.end() :]}")
