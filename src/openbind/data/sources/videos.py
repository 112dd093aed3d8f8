"""Videos: videos whose sound is paired with their own images, window by window."""

from __future__ import annotations

import os
from pathlib import Path

from openbind.data.pairs import DataConfig, Row, Rows
from openbind.data.sources.trees import Place, locate, walk_files
from openbind.embedding.items import RowItems
from openbind.errors import ConfigError, InputError
from openbind.media.video import is_video, measure_video
from openbind.space.pipeline import map_ahead

PROBES = 4
"""Videos opened at once: headers lie all over the disk, so that waiting is most of the work."""


def read_videos(config: DataConfig, pair: tuple[str, str], root: Path) -> Rows:
    """Cut videos with sound into windows; of each video only the headers are read.

    Each window is a row, both of whose modalities have the video as their item. A video has as many
    as its length holds, the last of half a window's length or more.

    Args:
        config: its `videos`, a folder (`<split>/<class>/…` below it, both optional), and `seconds`.
        pair: names of the two modalities, the frozen one first.
        root: a relative folder starts there.

    Raises:
        ConfigError: no video can be used.
        InputError: the folder isn't there.
        MissingExtraError: PyAV isn't there.
    """
    folder = locate(root, config.videos or "")
    videos = list(walk_files(folder, is_video))
    lengths = map_ahead(
        measure_video, (os.path.join(place.path, name) for place, name in videos), workers=PROBES
    )
    rows: list[Row] = []
    excluded: list[str] = []
    for (place, name), length in zip(videos, lengths, strict=True):
        try:
            windows = _cut_windows(length(), config.seconds)
        except InputError as error:
            excluded.append(str(error))
            continue
        if not windows:
            excluded.append(f"{os.path.join(place.path, name)}: shorter than half a window")
        rows += _make_rows(place, name, pair, windows)
    if not rows:
        reasons = "".join(f"; {reason}" for reason in excluded[:3])
        raise ConfigError(f"{folder}: of {len(videos)} videos none can be used{reasons}")
    return Rows(tuple(rows), tuple(excluded))


def _cut_windows(total_seconds: float, seconds: float) -> list[tuple[float, float]]:
    count = int(total_seconds / seconds + 0.5)
    return [(i * seconds, min((i + 1) * seconds, total_seconds)) for i in range(count)]


def _make_rows(
    place: Place, name: str, pair: tuple[str, str], windows: list[tuple[float, float]]
) -> list[Row]:
    video = f"{place.relative}/{name}" if place.relative else name
    path = os.path.join(place.path, name)
    items = RowItems(pair, (path, path))
    return [
        Row(
            key=f"{video}@{span[0]:g}",
            items=items,
            label=place.label,
            split=place.split,
            span=span,
            recording=video,
        )
        for span in windows
    ]
