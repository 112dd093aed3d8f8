"""openbind: images, video, text, audio, depth, thermal and IMU data in one embedding space.

import openbind
space = openbind.load("starter")
space.encode("audio", ["bark.wav"])        # (1, dim) float32, unit length
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbind.checkpoints.native import save
    from openbind.errors import (
        CheckpointError,
        ConfigError,
        InputError,
        MissingExtraError,
        OpenbindError,
        UnknownNameError,
    )
    from openbind.opening import load
    from openbind.search.index import Index
    from openbind.space.space import Space
    from openbind.space.vectors import combine

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Index",
    "InputError",
    "MissingExtraError",
    "OpenbindError",
    "Space",
    "UnknownNameError",
    "combine",
    "load",
    "save",
]

# Names are imported when they are first used, so that `import openbind` doesn't import torch.
_HOMES = {
    "load": "openbind.opening",
    "save": "openbind.checkpoints.native",
    "Index": "openbind.search.index",
    "Space": "openbind.space.space",
    "combine": "openbind.space.vectors",
    **dict.fromkeys([name for name in __all__ if name.endswith("Error")], "openbind.errors"),
}

# Subpackages that users reach by name: `openbind.checkpoints.load_imagebind(...)`.
_ROOMS = ("checkpoints", "testing")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"openbind.{name}")
    raise AttributeError(f"module 'openbind' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "__version__"])
