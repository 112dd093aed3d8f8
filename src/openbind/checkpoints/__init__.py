"""Checkpoints of this and other projects as spaces; one file per format.

Names are imported on first use, as in the package itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbind.checkpoints.formats import FORMATS, CheckpointFormat, Listing, load_checkpoint
    from openbind.checkpoints.hub import push_to_hub
    from openbind.checkpoints.huggingface import load_huggingface
    from openbind.checkpoints.imagebind import load_imagebind
    from openbind.checkpoints.openclip import load_openclip

__all__ = [
    "FORMATS",
    "CheckpointFormat",
    "Listing",
    "load_checkpoint",
    "load_huggingface",
    "load_imagebind",
    "load_openclip",
    "push_to_hub",
]

_MODULES = {
    "FORMATS": "formats",
    "CheckpointFormat": "formats",
    "Listing": "formats",
    "load_checkpoint": "formats",
    "load_huggingface": "huggingface",
    "load_imagebind": "imagebind",
    "load_openclip": "openclip",
    "push_to_hub": "hub",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        module = importlib.import_module(f"openbind.checkpoints.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'openbind.checkpoints' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
