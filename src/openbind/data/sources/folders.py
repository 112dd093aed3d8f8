"""Folders: one per modality; files are paired by name or by class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openbind.data.pairs import Row, RowItems, Rows
from openbind.data.sources import PairSource
from openbind.data.sources.trees import Subfolder, locate, tree_state, walk_files
from openbind.embedding.items import Item
from openbind.errors import ConfigError, InputError
from openbind.modalities import MODALITIES, TEXT

TEXT_EXTENSIONS = frozenset([".txt"])
"""Text files: the whole content is one text."""

File = tuple[Subfolder, str]
"""A file's folder and name."""
Cell = str | tuple[Item, ...]


@dataclass(slots=True)
class _Group:
    """Files of the frozen modality with the same stem or class.

    Args:
        files: at least one.
        cell: their items, created once they are paired.
    """

    files: list[File]
    cell: Cell | None = None


@dataclass(frozen=True, kw_only=True)
class Folders(PairSource):
    """One folder of files per modality.

    Subfolders may be splits (`<split>/…`) and classes (`<split>/<class>/…`). A modality's files
    are recognized by their extensions; a modality without extensions accepts any file.

    Args:
        folders: modality → folder.
        by: "stem" pairs files whose relative paths differ only in the extension; "class" pairs
            each file of the trained modality with all files of the frozen one in its class.
    """

    folders: dict[str, str]
    by: Literal["stem", "class"] = "stem"

    def __post_init__(self) -> None:
        for modality in self.folders:
            MODALITIES.get(modality)

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List the pairs of files.

        Raises:
            ConfigError: no folder for a modality, no pairs, or a file of both modalities.
            InputError: a folder or a text can't be read, or a text is empty.
        """
        folders = self._locate_both(pair, root)
        files = [list(walk_files(f, _accepts(m))) for m, f in zip(pair, folders, strict=True)]
        _refuse_shared(folders, files)
        groups, matches = _match(self.by, *files)
        rows: list[Row] = []
        unpaired: list[File] = []
        for group, own in matches:
            if group is None:
                unpaired += own
                continue
            if group.cell is None:
                group.cell = _make_cell(pair[0], group.files)
            items = RowItems(pair, (group.cell, _make_cell(pair[1], own)))
            parent = own[0][0]
            key = _relative(own[0])
            rows.append(Row(key=key, items=items, label=parent.label, split=parent.split))
        if not rows:
            raise ConfigError(_explain_no_pairs(self.by, folders, files))
        unused = [file for group in groups.values() if group.cell is None for file in group.files]
        excluded = [
            f"{len(found)} files of {folder} have no partner, e.g. {_relative(found[0])}"
            for folder, found in zip(folders, (unused, unpaired), strict=True)
            if found
        ]
        return Rows(tuple(rows), tuple(excluded))

    def state(self, pair: tuple[str, str], root: Path) -> str:
        """Hash names, sizes and times of the files of both modalities."""
        folders = self._locate_both(pair, root)
        return "/".join(tree_state(f, _accepts(m)) for m, f in zip(pair, folders, strict=True))

    def _locate_both(self, pair: tuple[str, str], root: Path) -> list[Path]:
        for modality in pair:
            if modality not in self.folders:
                listed = ", ".join(self.folders)
                raise ConfigError(f"folders: no folder for {modality}, only for {listed}")
        return [locate(root, self.folders[modality]) for modality in pair]


def _accepts(modality: str) -> Callable[[str], bool]:
    """Return a predicate: whether a file's name has an extension of the modality."""
    extensions = TEXT_EXTENSIONS if modality == TEXT else MODALITIES.get(modality).extensions
    return lambda name: not extensions or os.path.splitext(name)[1].lower() in extensions


def _refuse_shared(folders: Sequence[Path], files: Sequence[list[File]]) -> None:
    """Refuse a file that belongs to both modalities: it would be paired with itself."""
    first, other = (folder.resolve() for folder in folders)
    if not (first.is_relative_to(other) or other.is_relative_to(first)):
        return
    paths = [{os.path.realpath(_path(file)) for file in found} for found in files]
    if shared := sorted(paths[0] & paths[1]):
        raise ConfigError(
            f"{shared[0]} belongs to both modalities; modalities with the same extensions need "
            "separate folders, neither inside the other"
        )


def _match(
    by: str, anchors: list[File], others: list[File]
) -> tuple[dict[str, _Group], list[tuple[_Group | None, list[File]]]]:
    """Find the partners of each row's files.

    By stem, a row has all files whose paths differ only in the extension. By class, a row has one
    file, with all partners of its class (and of its split if the frozen folder has splits).

    Returns:
        All groups of the frozen modality, and (partners or None, own files) of each row.
    """
    if by == "stem":
        groups = {key: _Group(files) for key, files in _collect(anchors, _stem).items()}
        own = _collect(others, _stem)
        return groups, [(groups.get(key), files) for key, files in own.items()]
    has_splits = any(parent.split for parent, _ in anchors)

    def class_of(file: File) -> str:
        parent = file[0]
        return f"{parent.split if has_splits else None}/{parent.label or ''}"

    groups = {key: _Group(files) for key, files in _collect(anchors, class_of).items()}
    return groups, [
        (groups.get(class_of(file)) if file[0].label else None, [file]) for file in others
    ]


def _collect(files: list[File], key_of: Callable[[File], str]) -> dict[str, list[File]]:
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(key_of(file), []).append(file)
    return found


def _stem(file: File) -> str:
    parent, name = file
    return f"{parent.split}/{parent.label or ''}/{os.path.splitext(name)[0]}"


def _path(file: File) -> str:
    return os.path.join(file[0].path, file[1])


def _relative(file: File) -> str:
    return f"{file[0].relative}/{file[1]}" if file[0].relative else file[1]


def _make_cell(modality: str, files: list[File]) -> Cell:
    if modality == TEXT:
        return tuple(_read_text(_path(file)) for file in files)
    return _path(files[0]) if len(files) == 1 else tuple(Path(_path(file)) for file in files)


def _read_text(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"not UTF-8 text ({error})") from error
    if not text:
        raise InputError(path, "empty text; remove the file to exclude its partner")
    return text


def _explain_no_pairs(by: str, folders: Sequence[Path], files: Sequence[list[File]]) -> str:
    found = [
        f"{folder} has {len(own)} files" + "".join(f", {_relative(file)}" for file in own[:2])
        for folder, own in zip(folders, files, strict=True)
    ]
    rule = (
        "files are paired whose paths differ only in the extension"
        if by == "stem"
        else "files are paired that are in class folders of the same name and split"
    )
    return f"{'; '.join(found)}; no pairs: with `by: {by}` {rule}"
