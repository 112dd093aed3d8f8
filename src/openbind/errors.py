"""Every error openbind raises on purpose; each names the item, the problem and the remedy."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class OpenbindError(Exception):
    """Base class of all errors that openbind raises on purpose.

    Errors keep their type and attributes when they are pickled, and so across processes.
    """

    def __reduce__(self) -> Any:
        # By default an exception is rebuilt by calling its class with `args`, the message alone.
        kind, args, *state = tuple[Any, ...](super().__reduce__())
        return _rebuild, (kind, args), *state


def _rebuild(kind: type[OpenbindError], args: tuple[Any, ...]) -> OpenbindError:
    return kind.__new__(kind, *args)


class InputError(OpenbindError, ValueError):
    """An item (a file, an array, a text) can't be used.

    Args:
        item: the item or its name; shortened by `describe`.
        reason: one sentence without a full stop: what was found, what was expected, what to do.

    Attributes:
        item: short name of the item.
        reason: the reason alone, for tables and JSON.
    """

    def __init__(self, item: Any, reason: str) -> None:
        self.item = describe(item)
        self.reason = printable(reason)
        super().__init__(f"{self.item}: {self.reason}")


class LimitError(InputError):
    """An item takes more than it may: it is too large, too long, or too much work.

    Args:
        item: as for `InputError`.
        limit: name of the limit, a field of `openbind.limits.ItemLimits`.
        allowed: its value.
        found: what the item has, or had when decoding was stopped.
        shown: what the item has, for people; by default the number.

    Attributes:
        limit, allowed, found: as given.
    """

    def __init__(
        self, item: Any, limit: str, allowed: float, found: float, shown: str = ""
    ) -> None:
        self.limit, self.allowed, self.found = limit, allowed, found
        beyond = "is below" if limit.startswith("min_") else "exceeds"
        super().__init__(
            item,
            f"{shown or f'{found:,.15g} {limit}'} {beyond} the limit {limit}={allowed:,.15g}; "
            f"to change it: --limit {limit}=N, or Space.with_limits({limit}=N)",
        )


class CheckpointError(OpenbindError, ValueError):
    """A weight file or model directory is missing, truncated, or of an unexpected format.

    Args:
        path: the file, directory or URL.
        reason: what was expected, what was found, what to do.

    Attributes:
        path, reason: as given.
    """

    def __init__(self, path: Any, reason: str) -> None:
        self.path = str(path)
        self.reason = printable(reason)
        super().__init__(f"{printable(self.path)}: {self.reason}")


class ConfigError(OpenbindError, ValueError):
    """A configuration has an unknown key, a missing key, or a value of the wrong type."""


class UnknownNameError(OpenbindError, ValueError):
    """A name is unknown; the message lists the nearest known names.

    Args:
        kind: what was looked up, in the singular ("model", "modality").
        name: the unknown name.
        known: all known names.
        hint: what else to try, added to the message.

    Attributes:
        kind, name: as given.
        known: all known names, sorted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        near = difflib.get_close_matches(name[:100], self.known, n=3, cutoff=0.5)
        parts = [
            f"no {kind} named {shorten(name)}",
            f"did you mean {' or '.join(map(repr, near))}?" if near else "",
            f"known: {', '.join(self.known)}" if self.known else "none are known",
            hint,
        ]
        super().__init__("; ".join(filter(None, parts)))


class TrainingError(OpenbindError, RuntimeError):
    """A training run can't continue: the loss is NaN or infinite, or processes disagree."""


class MissingExtraError(OpenbindError, ImportError):
    """An optional package is missing.

    Args:
        purpose: what needs it ("reading video").
        package: import name of the missing package.
        extra: the extra of openbind that installs it.

    Attributes:
        purpose, package, extra: as given.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        self.purpose = purpose
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'openbind[{extra}]'",
            name=package,
        )


def describe(item: Any, limit: int = 120) -> str:
    """Return a short name of an item: a path unchanged, a text shortened, an array's shape."""
    if isinstance(item, bytes | bytearray | memoryview):
        return f"<{len(item)} bytes>"
    if isinstance(item, tuple) and len(item) == 2:
        return f"({describe(item[0])}, {item[1]!r})"
    shape = getattr(item, "shape", None)
    if shape is not None:
        return f"<{type(item).__name__} {tuple(shape)} {getattr(item, 'dtype', '')}>"
    text = str(item)
    text = printable(text if len(text) <= limit else text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


def shorten(value: Any) -> str:
    """Return how a value is written, shortened; of nested ones only the beginning is visited."""
    return describe(_SHORT.repr(value), 200)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, shortened; of an empty one its type."""
    line = str(error).strip().partition("\n")[0]
    return describe(line, 300) if line else type(error).__name__


CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, line ends, marks that turn the direction of writing, bytes that are no text
(Unicode 16, chapter 23): a name that has them could forge lines or steer a terminal."""


def printable(text: str) -> str:
    r"""Escape what could forge lines or steer a terminal: an ESC in a file's name as `\x1b`."""
    return CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


@contextmanager
def decoding(item: Any) -> Iterator[None]:
    """Convert whatever a decoder raises into an `InputError` that names the item.

    Damaged and hostile files make libraries raise anything: MemoryError, OverflowError, errors of
    their own, and panics of Rust, which aren't even exceptions (`BaseException`). Errors of
    openbind and of the system pass unchanged.
    """
    try:
        yield
    except (OpenbindError, OSError, GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        name, line = type(error).__name__, first_line(error)
        reason = name if line == name else f"{name}: {line}"
        raise InputError(item, f"can't be decoded ({reason})") from error
