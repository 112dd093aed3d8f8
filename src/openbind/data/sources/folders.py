"""Folders: one for each modality; files pair up by their names or by their class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbind.data.pairs import DataConfig, Row, Rows
from openbind.data.sources.trees import Place, locate, walk_files
from openbind.embedding.items import Item, RowItems
from openbind.errors import ConfigError, InputError
from openbind.modalities import MODALITIES, TEXT

TEXT_EXTENSIONS = frozenset([".txt"])
"""Files of words: the whole content is one text."""

File = tuple[Place, str]
"""A file's folder and its name."""
Cell = str | tuple[Item, ...]


@dataclass(slots=True)
class _Group:
    """Files of the first modality that stand for the same thing.

    Args:
        files: at least one.
        cell: their items, made once they are paired with something.
    """

    files: list[File]
    cell: Cell | None = None


def read_folders(config: DataConfig, pair: tuple[str, str], root: Path) -> Rows:
    """List pairs of files in folders.

    A modality's files are known by their extensions; where it has none of its own, any file is one.

    Args:
        config: its `folders` name one for each modality of the pair, its `by` how files pair up.
        pair: names of the two modalities, the frozen one first.
        root: relative folders start there.

    Raises:
        ConfigError: no folder for a modality, nothing pairs up, or a file is of both modalities.
        InputError: a folder or a text can't be read, or a text is empty.
    """
    folders = _locate_both(config, pair, root)
    files = [list(walk_files(f, _taker(m))) for m, f in zip(pair, folders, strict=True)]
    _refuse_shared(folders, files)
    groups, matches = _match(config.by, *files)
    rows: list[Row] = []
    lonely: list[File] = []
    for group, own in matches:
        if group is None:
            lonely += own
            continue
        if group.cell is None:
            group.cell = _make_cell(pair[0], group.files)
        items = RowItems(pair, (group.cell, _make_cell(pair[1], own)))
        place = own[0][0]
        rows.append(Row(key=_relative(own[0]), items=items, label=place.label, split=place.split))
    if not rows:
        raise ConfigError(_tell_nothing_pairs(config.by, folders, files))
    unused = [file for group in groups.values() if group.cell is None for file in group.files]
    excluded = [
        f"{len(found)} files of {folder} have no partner, {_relative(found[0])} for one"
        for folder, found in zip(folders, (unused, lonely), strict=True)
        if found
    ]
    return Rows(tuple(rows), tuple(excluded))


def _locate_both(config: DataConfig, pair: tuple[str, str], root: Path) -> list[Path]:
    folders = config.folders or {}
    for modality in pair:
        if modality not in folders:
            raise ConfigError(f"folders: none for {modality}, only for {', '.join(folders)}")
    return [locate(root, folders[modality]) for modality in pair]


def _taker(modality: str) -> Callable[[str], bool]:
    """Return by its name whether a file holds a modality."""
    extensions = TEXT_EXTENSIONS if modality == TEXT else MODALITIES.get(modality).extensions
    return lambda name: not extensions or os.path.splitext(name)[1].lower() in extensions


def _refuse_shared(folders: Sequence[Path], files: Sequence[list[File]]) -> None:
    """Refuse a file that both modalities would take: it would be paired with itself."""
    first, other = (folder.resolve() for folder in folders)
    if not (first.is_relative_to(other) or other.is_relative_to(first)):
        return
    paths = [{os.path.realpath(_path(file)) for file in found} for found in files]
    if shared := sorted(paths[0] & paths[1]):
        raise ConfigError(
            f"{shared[0]} would be of both modalities; folders of modalities with the same "
            "extensions must lie side by side"
        )


def _match(
    by: str, anchors: list[File], others: list[File]
) -> tuple[dict[str, _Group], list[tuple[_Group | None, list[File]]]]:
    """Find the partners of each row's files.

    By stem a row has all files of one path but for the extension; by class one file, whose partners
    are of its class, and of its split if the first modality's folder has splits.

    Returns:
        all groups of the first modality, and (partners or None, own files) of each row.
    """
    if by == "stem":
        groups = {key: _Group(files) for key, files in _collect(anchors, _stem).items()}
        own = _collect(others, _stem)
        return groups, [(groups.get(key), files) for key, files in own.items()]
    has_splits = any(place.split for place, _ in anchors)

    def class_of(file: File) -> str:
        place = file[0]
        return f"{place.split if has_splits else None}/{place.label or ''}"

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
    place, name = file
    return f"{place.split}/{place.label or ''}/{os.path.splitext(name)[0]}"


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
        raise InputError(path, f"not a text in UTF-8 ({error})") from error
    if not text:
        raise InputError(path, "an empty text; remove the file to leave its partner out")
    return text


def _tell_nothing_pairs(by: str, folders: Sequence[Path], files: Sequence[list[File]]) -> str:
    found = [
        f"{folder} has {len(own)} files" + "".join(f", {_relative(file)}" for file in own[:2])
        for folder, own in zip(folders, files, strict=True)
    ]
    rule = (
        "files pair up whose paths differ in the extension alone"
        if by == "stem"
        else "files pair up whose class folders have one name, in the same split"
    )
    return f"{'; '.join(found)}; none pair up: by: {by} means that {rule}"
