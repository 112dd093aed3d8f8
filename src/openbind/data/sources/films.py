"""Films: videos whose sound is paired with their own pictures, window by window."""

from __future__ import annotations

import os
from pathlib import Path

from openbind.data.items import RowItems
from openbind.data.pairs import DataConfig, Row, Rows
from openbind.data.sources.trees import Place, locate, walk_files
from openbind.encoding import map_ahead
from openbind.errors import ConfigError, InputError
from openbind.media.video import is_film, measure_film

PROBES = 4
"""Films opened at once: headers lie all over the disk, so that waiting is most of the work."""


def read_films(config: DataConfig, pair: tuple[str, str], root: Path) -> Rows:
    """Cut films with sound into windows; of each film only the headers are read.

    Each window is a row, both of whose modalities have the film as their item. A film has as many
    as its length holds, the last of half a window's length or more.

    Args:
        config: its `films`, a folder (`<split>/<class>/…` below it, both optional), and `seconds`.
        pair: names of the two modalities, the frozen one first.
        root: a relative folder starts there.

    Raises:
        ConfigError: no film can be used.
        InputError: the folder isn't there.
        MissingExtraError: PyAV isn't there.
    """
    folder = locate(root, config.films or "")
    films = list(walk_files(folder, is_film))
    lengths = map_ahead(
        measure_film, (os.path.join(place.path, name) for place, name in films), workers=PROBES
    )
    rows: list[Row] = []
    left_out: list[str] = []
    for (place, name), length in zip(films, lengths, strict=True):
        try:
            windows = _cut_windows(length(), config.seconds)
        except InputError as error:
            left_out.append(str(error))
            continue
        if not windows:
            left_out.append(f"{os.path.join(place.path, name)}: shorter than half a window")
        rows += _make_rows(place, name, pair, windows)
    if not rows:
        reasons = "".join(f"; {reason}" for reason in left_out[:3])
        raise ConfigError(f"{folder}: of {len(films)} films none can be used{reasons}")
    return Rows(tuple(rows), tuple(left_out))


def _cut_windows(total_seconds: float, seconds: float) -> list[tuple[float, float]]:
    count = int(total_seconds / seconds + 0.5)
    return [(i * seconds, min((i + 1) * seconds, total_seconds)) for i in range(count)]


def _make_rows(
    place: Place, name: str, pair: tuple[str, str], windows: list[tuple[float, float]]
) -> list[Row]:
    film = f"{place.relative}/{name}" if place.relative else name
    path = os.path.join(place.path, name)
    items = RowItems(pair, (path, path))
    return [
        Row(
            key=f"{film}@{span[0]:g}",
            items=items,
            label=place.label,
            split=place.split,
            span=span,
            recording=film,
        )
        for span in windows
    ]
