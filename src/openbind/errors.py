"""Every error a caller can meet: which item, what was expected, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class OpenbindError(Exception):
    """Base class of all errors that openbind raises on purpose."""


class InputError(OpenbindError, ValueError):
    """An item handed in (a file, an array, a text) can't be used.

    Args:
        item: what was handed in, or its name; it is shortened by `describe`.
        reason: one sentence without a full stop: what was found, what was expected, what to do.

    Attributes:
        item: the short name of the item.
        reason: the reason alone, for tables and JSON.
    """

    def __init__(self, item: Any, reason: str) -> None:
        self.item = describe(item)
        self.reason = reason
        super().__init__(f"{self.item}: {reason}")


class CheckpointError(OpenbindError, ValueError):
    """A weight file or model directory is missing, truncated, of another format, or doesn't fit.

    Args:
        path: the file or directory.
        reason: what was expected, what was found, what to do.
    """

    def __init__(self, path: Any, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class ConfigError(OpenbindError, ValueError):
    """A configuration has an unknown key, a missing key, or a value of the wrong kind."""


class UnknownNameError(OpenbindError, ValueError):
    """A name is in no table; the nearest names are listed.

    Args:
        kind: what was looked up, in the singular ("model", "modality").
        name: the name given.
        known: the names there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
        listed = f"known: {', '.join(names)}" if names else "none are known"
        super().__init__(f"no {kind} named {name!r}; " + "; ".join(filter(None, [hint, listed])))


class TrainingError(OpenbindError, RuntimeError):
    """A training run can't go on: the loss is no number, or processes disagree."""


class MissingExtraError(OpenbindError, ImportError):
    """An optional package is needed for what was asked.

    Args:
        purpose: what needs it ("reading video").
        package: the import name that is missing.
        extra: the extra of openbind that installs it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'openbind[{extra}]'",
            name=package,
        )


def describe(item: Any, limit: int = 120) -> str:
    """Name an input in a few words: a path as it is, a text shortened, an array by its shape."""
    if isinstance(item, bytes | bytearray | memoryview):
        return f"<{len(item)} bytes>"
    if isinstance(item, tuple) and len(item) == 2:
        return f"({describe(item[0])}, {item[1]!r})"
    shape = getattr(item, "shape", None)
    if shape is not None:
        return f"<{type(item).__name__} {tuple(shape)} {getattr(item, 'dtype', '')}>"
    text = str(item)
    return text if len(text) <= limit else text[: limit - 1] + "…"
