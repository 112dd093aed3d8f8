"""What an index knows of itself, in `index.json`: its space, its folders, how it is searched."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from openbind.atomic import atomic_path
from openbind.errors import InputError
from openbind.modalities import modality_of_file
from openbind.search.ann import Ann

META = "index.json"
FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Root:
    """A folder whose files are indexed.

    Args:
        number: what rows call it by; it is never given to another folder.
        path: absolute.
    """

    number: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class TypeOverride:
    """What files are read as whose extension doesn't say it: a depth map may be any PNG.

    Args:
        pattern: of paths below a root, as shells have them; `*` spans folders too.
        modality: what files that match are read as.
    """

    pattern: str
    modality: str


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What `index.json` says.

    Args:
        space: what `openbind.load` takes to get the space.
        fingerprint: the space's.
        dtype: the precision it ran in, which is part of the fingerprint.
        dim: of the vectors.
        modalities: the space's.
        roots: the folders.
        roots_made: how many roots there ever were, so that no number is given twice.
        type_overrides: asked in this order, before a file's extension.
        ann: the approximate index, if the table has one.
    """

    space: str
    fingerprint: str
    dtype: str
    dim: int
    modalities: tuple[str, ...]
    roots: tuple[Root, ...]
    roots_made: int
    type_overrides: tuple[TypeOverride, ...] = ()
    ann: Ann | None = None


def file_key(root: int, path: str) -> str:
    """The key of a file: of its root's number and its path below, with `/` between folders."""
    return hashlib.blake2b(f"{root}/{path}".encode(), digest_size=12).hexdigest()


def has_meta(folder: Path) -> bool:
    """Return whether there is an index in a folder."""
    return (folder / META).is_file()


def write_meta(folder: Path, meta: Meta) -> None:
    """Replace `index.json`, whole or not at all."""
    told = {"format": FORMAT, **asdict(meta)}
    told["roots"] = [{**asdict(root), "path": _portable(root.path, folder)} for root in meta.roots]
    with atomic_path(folder / META) as temporary:
        temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")


def with_root(meta: Meta, root: str | os.PathLike[str]) -> Meta:
    """Add a folder.

    Raises:
        InputError: it is no folder, or lies in another root, or around one.
    """
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise InputError(root, "no such folder")
    for known in meta.roots:
        if path == known.path or path in known.path.parents or known.path in path.parents:
            raise InputError(root, f"is in the index already, as a part of {known.path} or around")
    made = Root(number=meta.roots_made, path=path)
    return replace(meta, roots=(*meta.roots, made), roots_made=meta.roots_made + 1)


def with_type_overrides(meta: Meta, patterns: Mapping[str, str]) -> Meta:
    """Add type_overrides, pattern → modality, in front of those there are.

    Raises:
        InputError: the space hasn't got a modality.
    """
    for modality in patterns.values():
        if modality not in meta.modalities:
            known = ", ".join(meta.modalities)
            raise InputError(modality, f"no modality of {meta.space}; it has {known}")
    made = [TypeOverride(pattern=pattern, modality=name) for pattern, name in patterns.items()]
    kept = [override for override in meta.type_overrides if override.pattern not in patterns]
    return replace(meta, type_overrides=(*made, *kept))


def modality_of(meta: Meta, name: str) -> str | None:
    """Return what a file is read as by its path below its root; None for no modality.

    Args:
        meta: of the index.
        name: with `/` between folders.
    """
    for override in meta.type_overrides:
        if fnmatchcase(name, override.pattern):
            return override.modality
    return modality_of_file(name, meta.modalities)


def _portable(path: Path, folder: Path) -> str:
    """Write a root that holds the index by the way there, so that both can be moved together."""
    return os.path.relpath(path, folder) if path in folder.parents else str(path)


def read_meta(folder: Path) -> Meta:
    """Read `index.json`.

    Raises:
        InputError: it is of another format, or was edited.
        OSError: it isn't there.
    """
    try:
        told = json.loads((folder / META).read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise InputError(folder, f"an index of another format; this version reads {FORMAT}")
        roots = [
            Root(**{**root, "path": Path(os.path.normpath(folder / root["path"]))})
            for root in told.pop("roots")
        ]
        ann = told.pop("ann")
        told["modalities"] = tuple(told["modalities"])
        told["type_overrides"] = tuple(
            TypeOverride(**override) for override in told["type_overrides"]
        )
        return Meta(**told, roots=tuple(roots), ann=Ann(**ann) if ann else None)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(folder / META, f"can't be read ({error}); was it edited?") from error
