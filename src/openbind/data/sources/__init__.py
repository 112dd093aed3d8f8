"""Where pairs come from: manifests, folders, shards, videos; one function reads each kind."""

from __future__ import annotations

from pathlib import Path

from openbind.data.pairs import DataConfig, Rows
from openbind.data.sources.folders import read_folders
from openbind.data.sources.manifest import read_manifest
from openbind.data.sources.shards import read_shards
from openbind.data.sources.videos import read_videos
from openbind.modalities import MODALITIES


def read_rows(config: DataConfig, pair: tuple[str, str], root: Path) -> Rows:
    """List a source's pairs; no item is decoded.

    Args:
        config: where they lie.
        pair: names of the two modalities, the frozen one first.
        root: the data folder; relative paths start there.

    Returns:
        the rows that have items of both modalities (at least one row), and what was excluded.

    Raises:
        ConfigError: nothing pairs up, or a column or folder isn't there.
        InputError: a file of the source is missing or broken.
        UnknownNameError: no such modality.
        MissingExtraError: Parquet or videos without their extra.
    """
    for modality in (*pair, *config.columns, *(config.folders or ())):
        MODALITIES.get(modality)
    if config.manifest:
        return read_manifest(config, pair, root)
    if config.folders:
        return read_folders(config, pair, root)
    if config.shards:
        return read_shards(config, pair, root)
    return read_videos(config, pair, root)
