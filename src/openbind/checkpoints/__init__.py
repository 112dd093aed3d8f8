"""Weights of this and other projects as spaces; one file for each format.

Names are imported when they are first used, as in the package itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbind.checkpoints.formats import read
    from openbind.checkpoints.hub import push_to_hub
    from openbind.checkpoints.huggingface import load_huggingface
    from openbind.checkpoints.imagebind import load_imagebind
    from openbind.checkpoints.openclip import load_openclip

__all__ = ["load_huggingface", "load_imagebind", "load_openclip", "push_to_hub", "read"]

_HOMES = {
    "load_huggingface": "openbind.checkpoints.huggingface",
    "load_imagebind": "openbind.checkpoints.imagebind",
    "load_openclip": "openbind.checkpoints.openclip",
    "push_to_hub": "openbind.checkpoints.hub",
    "read": "openbind.checkpoints.formats",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'openbind.checkpoints' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
