"""The description of an index, `index.json`: its space, its roots, how it is searched."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from openbind.atomic import atomic_path
from openbind.configs import from_dict
from openbind.embedding.overrides import TypeOverride, check_overrides, parse_type
from openbind.embedding.scan import Summary
from openbind.errors import ConfigError, InputError
from openbind.search.ann import Ann

META = "index.json"
FORMAT = 4


@dataclass(frozen=True, kw_only=True)
class Root:
    """A folder whose files are indexed.

    Args:
        number: by which rows refer to it; never given to another folder.
        path: absolute.
    """

    number: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class Meta:
    """The content of `index.json`.

    Args:
        space: what `openbind.load` takes to load the space.
        fingerprint: of the space.
        dtype: precision of the space's towers, which changes its vectors.
        dim: of the vectors.
        identities: modality → `Space.identity`, so that a space loaded in part can be checked.
        roots: the indexed folders.
        roots_made: number of roots ever added, so that no number is used twice.
        type_overrides: tried in this order, before a file's extension.
        ann: the approximate index, if the table has one.
        summary: what became of the roots' files in the last update; None before the first.
    """

    space: str
    fingerprint: str
    dtype: str
    dim: int
    identities: dict[str, str]
    roots: tuple[Root, ...]
    roots_made: int
    type_overrides: tuple[TypeOverride, ...] = ()
    ann: Ann | None = None
    summary: Summary | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of the space."""
        return tuple(self.identities)


def file_key(root: int, path: str) -> str:
    """Return the key of a file: a hash of its root's number and its path below, with `/`."""
    return hashlib.blake2b(f"{root}/{path}".encode(), digest_size=12).hexdigest()


def has_meta(folder: Path) -> bool:
    """Return whether there is an index in a folder."""
    return (folder / META).is_file()


def text_of(meta: Meta, folder: Path | None) -> str:
    """Return a description as JSON; roots that contain its folder are relative to it."""
    fields = {"format": FORMAT, **asdict(meta)}
    fields["roots"] = [
        {**asdict(root), "path": _portable(root.path, folder)} for root in meta.roots
    ]
    text = json.dumps(fields, indent=1, ensure_ascii=False)
    # Bytes of a path that aren't UTF-8 are escaped as JSON reads them back.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_meta(folder: Path, meta: Meta) -> None:
    """Replace `index.json` atomically."""
    with atomic_path(folder / META) as temporary:
        temporary.write_text(text_of(meta, folder), encoding="utf-8")


def with_root(meta: Meta, root: str | os.PathLike[str]) -> Meta:
    """Return the description with another root.

    Raises:
        InputError: not a folder, or it contains another root or is contained in one.
    """
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise InputError(root, "no such folder")
    for known in meta.roots:
        if path == known.path or path in known.path.parents or known.path in path.parents:
            raise InputError(root, f"is in the index already: it overlaps the root {known.path}")
    made = Root(number=meta.roots_made, path=path)
    return replace(meta, roots=(*meta.roots, made), roots_made=meta.roots_made + 1)


def with_type_overrides(meta: Meta, patterns: Mapping[str, str]) -> Meta:
    """Return the description with more overrides, pattern → type, before the existing ones.

    Args:
        meta: of the index.
        patterns: the type is a modality, or one with settings, as "depth(units=5000)".

    Raises:
        InputError: the space lacks a modality, or another notation.
        ConfigError: a modality has no such setting, or a wrong value.
    """
    made = [parse_type(pattern, notation) for pattern, notation in patterns.items()]
    check_overrides(made, meta.modalities, meta.space)
    kept = [override for override in meta.type_overrides if override.pattern not in patterns]
    return replace(meta, type_overrides=(*made, *kept))


def read_meta(folder: Path) -> Meta:
    """Read `index.json`.

    Raises:
        InputError: another format, or invalid content.
        OSError: it doesn't exist.
    """
    try:
        text = (folder / META).read_text(encoding="utf-8")
    except ValueError as error:
        raise InputError(folder / META, f"can't be read ({error}); was it edited?") from error
    return meta_of(text, folder, folder)


@lru_cache(maxsize=8)
def meta_of(text: str, name: str | Path, folder: Path | None) -> Meta:
    """Read a description; the last ones are kept, since each search asks for its own.

    Args:
        text: as from `text_of`.
        name: of the index, for messages.
        folder: that relative roots start from.

    Raises:
        InputError: another format, or invalid content.
    """
    try:
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            reason = f"an index of another format, this version reads {FORMAT}"
            reason = f"{reason}; delete this folder and create it again"
            raise InputError(name, reason)
        start = folder or Path()
        fields["roots"] = [
            {**root, "path": Path(os.path.normpath(start / root["path"]))}
            for root in fields["roots"]
        ]
        meta = from_dict(Meta, fields)
        if meta.dim < 1:
            raise ConfigError(f"dim: expected at least 1, found {meta.dim}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}/{META}", f"can't be read ({error}); was it edited?") from error
    return meta


def _portable(path: Path, folder: Path | None) -> str:
    """Return a root that contains the index relative to it, so that both can be moved together."""
    return os.path.relpath(path, folder) if folder and path in folder.parents else str(path)
