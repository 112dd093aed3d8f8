"""Shards: WebDataset tar files, in which the members of a sample share a stem."""

from __future__ import annotations

import glob
import hashlib
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

from openbind.data.pairs import Row, RowItems, Rows, read_name, read_span, read_split, read_weight
from openbind.data.sources import PairSource
from openbind.data.sources.trees import file_state
from openbind.embedding.items import Item, Member
from openbind.errors import ConfigError, InputError, first_line, shorten
from openbind.media.source import open_source
from openbind.modalities import MODALITIES, TEXT, modality_of_file

METADATA, LABEL, CAPTION = "json", "cls", "txt"
"""WebDataset's extensions of a sample's metadata, label and text."""
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MAX_SHARDS, MAX_RANGE = 100_000, 30
"""Shards of one pattern, and characters of one `{000..012}`."""
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""Magic bytes of compressed files."""
BLOCK_BYTES = 512
"""Of a tar; one or more blocks of zeros end it (POSIX.1-2001, pax, ustar interchange format)."""
TAIL_BYTES = 1 << 20
"""Checked after a tar's last member, where tar pads with zeros, usually to 10 KiB."""


@dataclass
class _Sample:
    """The members of one sample.

    Args:
        members: extension → position in the archive.
        texts: extension → content, of the members that are read while indexing.
    """

    members: dict[str, Member] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Shards(PairSource):
    """WebDataset tar files, read in place without unpacking.

    The members of a sample share a name up to its first dot. The rest names the modality:
    `<modality>.<extension>`, or an extension of one modality only ("txt": text). "cls" is the
    label; "json" may have `label`, `split`, `group`, `start`, `end`, `weight`, and `text`.

    Args:
        shards: a path, or a pattern with `*` or `{000..127}`.
        columns: modality → extension of its members, where that isn't one of its own.
    """

    shards: str
    columns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for modality in self.columns:
            MODALITIES.get(modality)

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List the pairs; only headers, texts and metadata are read.

        Raises:
            ConfigError: no file matches, or no sample has both modalities.
            InputError: a shard is missing, compressed, truncated or no tar, or its metadata is
                broken.
        """
        excluded: list[str] = []
        return Rows(self._read_shards(pair, root, excluded), excluded)

    def state(self, pair: tuple[str, str], root: Path) -> str:
        """Hash names, sizes and times of the shards."""
        states = [(name, *file_state(root / name)) for name in _expand(self.shards, root)]
        return hashlib.blake2b(repr(states).encode(), digest_size=16).hexdigest()

    def _read_shards(self, pair: tuple[str, str], root: Path, excluded: list[str]) -> Iterator[Row]:
        reader = _RowReader(pair, self.columns)
        pattern, count = self.shards, 0
        for name in _expand(pattern, root):
            for row in reader.read(root / name, name):
                count += 1
                yield row
        excluded += [f"{n} samples of {pattern} have no {m}" for m, n in reader.missing.items()]
        if not count:
            found = ", ".join(f"{name} ({n})" for name, n in reader.extensions.most_common(20))
            raise ConfigError(
                f"shards {pattern}: no sample has both {' and '.join(pair)}; "
                f"{'; '.join(excluded) or 'there are no samples'}; extensions: {found or 'none'}; "
                "`columns` can map a modality to one of them"
            )
        if reader.scattered:
            excluded.append(f"{reader.scattered} members of {pattern} are links or sparse files")


class _RowReader:
    """Turns shards into rows.

    Args:
        pair: names of the modalities.
        mapped: modality → extension, as given by `columns`.

    Attributes:
        missing: modality → number of samples without an item of it.
        extensions: extension → number of members.
        scattered: number of links and sparse members, whose bytes aren't one range of the file.
    """

    def __init__(self, pair: tuple[str, str], mapped: Mapping[str, str]) -> None:
        self.pair = pair
        self.mapped = {m: extension.lower().removeprefix(".") for m, extension in mapped.items()}
        self.missing: Counter[str] = Counter()
        self.extensions: Counter[str] = Counter()
        self.scattered = 0
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
        metadata = _parse_metadata(sample.texts.get(METADATA, "{}"))
        cells = tuple(self._make_cell(modality, sample, metadata) for modality in self.pair)
        missing = [m for m, cell in zip(self.pair, cells, strict=True) if not cell]
        if missing:
            self.missing.update(missing)
            return None
        return Row(
            key=key,
            items=RowItems(self.pair, cells),
            label=read_name(metadata.get("label")) or read_name(sample.texts.get(LABEL)),
            split=read_split(metadata.get("split")),
            span=read_span(metadata.get("start"), metadata.get("end")),
            group=read_name(metadata.get("group")),
            weight=read_weight(metadata.get("weight")),
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
                    self.scattered += 1
                    continue
                member = Member(path, info.name, info.offset_data, info.size)
                sample = samples.setdefault(posixpath.join(folder, stem), _Sample())
                extension = extension.lower()
                if extension in sample.members:
                    raise InputError(path, f"has {info.name} twice")
                sample.members[extension] = member
                if extension in (METADATA, LABEL) or self._holds(TEXT, extension):
                    sample.texts[extension] = _read_text(archive, member)
        return samples

    def _make_cell(
        self, modality: str, sample: _Sample, metadata: Mapping[str, Any]
    ) -> tuple[Item, ...]:
        extensions = [extension for extension in sample.members if self._holds(modality, extension)]
        if modality != TEXT:
            return tuple(sample.members[extension] for extension in extensions)
        found = [sample.texts[extension] for extension in extensions] or metadata.get(TEXT, [])
        texts = found if isinstance(found, list) else [found]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{TEXT}: expected a text, or a list of texts, found {shorten(found)}")
        return tuple(text.strip() for text in texts if text.strip())

    def _holds(self, modality: str, extension: str) -> bool:
        """Return whether members with an extension are of a modality."""
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


def _parse_metadata(text: str) -> dict[str, Any]:
    try:
        metadata = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{METADATA}: not JSON ({first_line(error)})") from error
    if not isinstance(metadata, dict):
        raise ValueError(f"{METADATA}: expected an object {{…}}, found {shorten(metadata)}")
    return metadata


def _open_tar(path: Path) -> tarfile.TarFile:
    open_source(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
        for mark, kind in COMPRESSED.items():
            if head.startswith(mark):
                raise InputError(
                    path, f"compressed with {kind}: no random access to members; decompress it"
                )
        return tarfile.open(path, "r:")
    except (tarfile.TarError, OSError) as error:
        raise InputError(path, f"not a tar file ({error})") from error


def _walk_headers(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield all members, reading only their headers.

    Raises:
        InputError: the tar is truncated or damaged, or several were concatenated.
    """
    try:
        while (info := archive.next()) is not None:
            # tarfile would keep all headers, a kilobyte each.
            archive.members = []  # type: ignore[attr-defined]
            yield info
    except (tarfile.TarError, OSError) as error:
        raise InputError(path, f"truncated or damaged ({error})") from error
    # tarfile treats a header that it can't parse as the end of the archive.
    tail = _read_at(archive, archive.offset, TAIL_BYTES)
    if len(tail) < BLOCK_BYTES or any(tail[:BLOCK_BYTES]):
        raise InputError(
            path,
            f"truncated or damaged: neither a header nor the end-of-archive mark at byte "
            f"{archive.offset:,}",
        )
    if any(tail):
        raise InputError(path, "data after the end-of-archive mark; split concatenated tars")


def _read_at(archive: tarfile.TarFile, offset: int, size: int) -> bytes:
    assert archive.fileobj is not None, "the archive is open"
    archive.fileobj.seek(offset)
    return archive.fileobj.read(size)


def _read_text(archive: tarfile.TarFile, member: Member) -> str:
    try:
        return _read_at(archive, member.offset, member.size).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(member.tar, f"{member.name}: not UTF-8 text ({error})") from error


def _expand(pattern: str, root: Path) -> list[str]:
    """List the shards of a pattern in sorted order, as paths relative to `root`."""
    names: list[str] = []
    _check_ranges(pattern)
    for name in _expand_ranges(os.path.expanduser(pattern)):
        if "*" not in name:
            names.append(name)
            continue
        # Only * is special; brackets are literal.
        found = glob.glob(glob.escape(name).replace("[*]", "*"), root_dir=root)
        if not found:
            raise ConfigError(f"shards: no file matches {name!r} in {root}")
        names += sorted(found)
    return names


def _check_ranges(pattern: str) -> None:
    """Check that `{000..012}` count up, and not too far, before any is expanded."""
    count = 1
    for match in RANGE.finditer(pattern):
        first, last = (int(number[:20]) for number in match.groups())
        if first > last:
            raise ConfigError(f"shards: {match[0][:40]} counts down in {shorten(pattern)}")
        count *= last - first + 1
        if count > MAX_SHARDS or len(match[0]) > MAX_RANGE:
            raise ConfigError(f"shards: expected at most {MAX_SHARDS:,}, found {shorten(pattern)}")


def _expand_ranges(pattern: str) -> Iterator[str]:
    """Expand `{000..012}`; numbers are padded to the width of the first."""
    match = RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        text = str(number).zfill(len(first))
        yield from _expand_ranges(f"{pattern[: match.start()]}{text}{pattern[match.end() :]}")
