"""The registry of modalities; plug-ins add theirs by the entry point `openbind.modalities`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openbind.media.sniffing import TRANSPORT, holds_only_audio, is_transport_stream
from openbind.registry import Registry

MODALITIES = Registry(
    "modality",
    "openbind.modalities",
    {
        "image": "openbind.modalities.image:MODALITY",
        "video": "openbind.modalities.video:MODALITY",
        "text": "openbind.modalities.text:MODALITY",
        "audio": "openbind.modalities.audio:MODALITY",
        "depth": "openbind.modalities.depth:MODALITY",
        "thermal": "openbind.modalities.thermal:MODALITY",
        "imu": "openbind.modalities.imu:MODALITY",
    },
)

IMAGE = "image"
"""The modality that generators learn from."""
TEXT = "text"
"""The modality of labels, captions and queries."""
IMAGE = "image"
"""The modality of still images, and of single frames."""


def modality_of_file(path: str | os.PathLike[str], among: Iterable[str]) -> str | None:
    """Return the first of some modalities that has a file's extension; None if none has it."""
    extension = Path(path).suffix.lower()
    for name in among:
        if extension in MODALITIES.get(name).extensions:
            return name
    return None


def settle_modality(path: Path, modality: str | None, among: Iterable[str]) -> str | None:
    """Return a file's modality by its content, where its extension may mislead.

    A container for video that holds only audio, such as a browser's voice recording, is audio. A
    `.ts` file that isn't a transport stream (TypeScript) is none.

    Args:
        path: of the file; a few bytes of it are read.
        modality: by `modality_of_file`.
        among: names to choose from.
    """
    if modality != "video" or not path.is_file():  # opening a pipe might never end
        return modality
    if path.suffix.lower() in TRANSPORT and not is_transport_stream(path):
        return None
    return "audio" if "audio" in among and holds_only_audio(path) else modality


def modality_of_recording(item: Any, among: Iterable[str]) -> str | None:
    """Return what a recording is read as, if the caller doesn't say.

    Args:
        item: a path; of (array, rate) pairs, those with (frames, rows, columns, channels) are
            video, others audio.
        among: names to choose from.
    """
    timed = [name for name in among if MODALITIES.get(name).duration is not None]
    if isinstance(item, str | os.PathLike):
        path = Path(item)
        return settle_modality(path, modality_of_file(path, timed), timed)
    values = item.get("array") if isinstance(item, Mapping) else item
    if isinstance(values, tuple) and values:
        values = values[0]
    dims = getattr(values, "ndim", None)
    found = "video" if dims == 4 else "audio" if dims in (1, 2) else None
    return found if found in timed else None


def tracks_of_recording(path: Path, among: Iterable[str]) -> list[str]:
    """Return what a recording may be read as: a video also as audio, if it has a soundtrack."""
    among = list(among)
    found = modality_of_recording(path, among)
    if found == "video" and "audio" in among:
        return [found, "audio"]
    return [] if found is None else [found]
