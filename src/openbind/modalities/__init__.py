"""The registry of modalities; plug-ins add theirs by the entry point `openbind.modalities`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

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

TEXT = "text"
"""The modality of labels, captions and queries."""


def modality_of_file(path: str | os.PathLike[str], among: Iterable[str]) -> str | None:
    """Return the first of some modalities that has a file's extension; None if none has it."""
    extension = Path(path).suffix.lower()
    for name in among:
        if extension in MODALITIES.get(name).extensions:
            return name
    return None
