"""The description of an index, `index.json`: its space, its roots, how it is searched."""

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
        number: by which rows refer to it; never given to another folder.
        path: absolute.
    """

    number: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class TypeOverride:
    """The modality of files whose extension doesn't determine it: a PNG may be a depth map.

    Args:
        pattern: of paths below a root, in shell syntax; `*` matches `/` too.
        modality: of the files that match.
    """

    pattern: str
    modality: str


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


def write_meta(folder: Path, meta: Meta) -> None:
    """Replace `index.json` atomically."""
    fields = {"format": FORMAT, **asdict(meta)}
    fields["roots"] = [
        {**asdict(root), "path": _portable(root.path, folder)} for root in meta.roots
    ]
    with atomic_path(folder / META) as temporary:
        temporary.write_text(json.dumps(fields, indent=1, ensure_ascii=False), encoding="utf-8")


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
    """Return the description with more overrides, pattern → modality, before the existing ones.

    Raises:
        InputError: the space lacks a modality.
    """
    for modality in patterns.values():
        if modality not in meta.modalities:
            known = ", ".join(meta.modalities)
            raise InputError(modality, f"not a modality of {meta.space}; it has {known}")
    made = [TypeOverride(pattern=pattern, modality=name) for pattern, name in patterns.items()]
    kept = [override for override in meta.type_overrides if override.pattern not in patterns]
    return replace(meta, type_overrides=(*made, *kept))


def modality_of(meta: Meta, name: str) -> str | None:
    """Return the modality of a file by its path below its root, with `/`; None if it has none."""
    for override in meta.type_overrides:
        if fnmatchcase(name, override.pattern):
            return override.modality
    return modality_of_file(name, meta.modalities)


def read_meta(folder: Path) -> Meta:
    """Read `index.json`.

    Raises:
        InputError: another format, or invalid content.
        OSError: it doesn't exist.
    """
    try:
        fields = json.loads((folder / META).read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            reason = f"an index of another format, this version reads {FORMAT}; create it again"
            raise InputError(folder, reason)
        roots = [
            Root(**{**root, "path": Path(os.path.normpath(folder / root["path"]))})
            for root in fields.pop("roots")
        ]
        overrides = tuple(TypeOverride(**override) for override in fields.pop("type_overrides"))
        ann = fields.pop("ann")
        return Meta(
            **{**fields, "identities": dict(fields["identities"])},
            roots=tuple(roots),
            type_overrides=overrides,
            ann=Ann(**ann) if ann else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(folder / META, f"can't be read ({error}); was it edited?") from error


def _portable(path: Path, folder: Path) -> str:
    """Return a root that contains the index relative to it, so that both can be moved together."""
    return os.path.relpath(path, folder) if path in folder.parents else str(path)
