"""Videos: each is paired with its own audio track, window by window."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbind.data.pairs import Row, RowItems, Rows
from openbind.data.sources import PairSource
from openbind.data.sources.trees import Subfolder, locate, tree_state, walk_files
from openbind.errors import ConfigError, InputError
from openbind.media.video import is_video, measure_video
from openbind.space.decoding import map_ahead

PROBES = 4
"""Videos opened at once: reading headers is mostly waiting for the disk."""


@dataclass(frozen=True, kw_only=True)
class Videos(PairSource):
    """A folder of videos with sound, cut into windows.

    Each window is a row whose two items are the same video. The last window of a video is kept
    if it is at least half a window long.

    Args:
        videos: the folder; subfolders may be splits and classes (`<split>/<class>/…`).
        seconds: length of a window.
    """

    videos: str
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds: expected a length above 0, found {self.seconds}")

    def read(self, pair: tuple[str, str], root: Path) -> Rows:
        """List the windows; only the headers of the videos are read.

        Raises:
            ConfigError: no video can be used.
            InputError: the folder doesn't exist.
            MissingExtraError: PyAV isn't installed.
        """
        folder = locate(root, self.videos)
        videos = list(walk_files(folder, is_video))
        excluded: list[str] = []
        return Rows(self._read_windows(pair, folder, videos, excluded), excluded)

    def state(self, pair: tuple[str, str], root: Path) -> str:
        """Hash names, sizes and times of the videos."""
        return tree_state(locate(root, self.videos), is_video)

    def _read_windows(
        self,
        pair: tuple[str, str],
        folder: Path,
        videos: Sequence[tuple[Subfolder, str]],
        excluded: list[str],
    ) -> Iterator[Row]:
        paths = (os.path.join(parent.path, name) for parent, name in videos)
        lengths = map_ahead(measure_video, paths, workers=PROBES)
        count = 0
        for (parent, name), length in zip(videos, lengths, strict=True):
            try:
                windows = _cut_windows(length(), self.seconds)
            except InputError as error:
                excluded.append(str(error))
                continue
            if not windows:
                excluded.append(f"{os.path.join(parent.path, name)}: shorter than half a window")
            count += len(windows)
            yield from _make_rows(parent, name, pair, windows)
        if not count:
            reasons = "".join(f"; {reason}" for reason in excluded[:3])
            raise ConfigError(f"{folder}: none of {len(videos)} videos can be used{reasons}")


def _cut_windows(total_seconds: float, seconds: float) -> list[tuple[float, float]]:
    count = int(total_seconds / seconds + 0.5)
    return [(i * seconds, min((i + 1) * seconds, total_seconds)) for i in range(count)]


def _make_rows(
    parent: Subfolder, name: str, pair: tuple[str, str], windows: list[tuple[float, float]]
) -> list[Row]:
    video = f"{parent.relative}/{name}" if parent.relative else name
    path = os.path.join(parent.path, name)
    items = RowItems(pair, (path, path))
    return [
        Row(
            key=f"{video}@{span[0]:g}",
            items=items,
            label=parent.label,
            split=parent.split,
            span=span,
            group=video,
        )
        for span in windows
    ]
