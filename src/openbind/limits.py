"""Limits of one item: how many pixels, seconds, rows, how much memory and time it may take.

The loaders check them while they decode, since headers lie. `ItemLimits.applied` sets what holds
for the calls inside; otherwise `LIBRARY` holds. Limits decide which items are refused, no number.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError, LimitError

FREE_PIXELS = 2_000_000_000
"""Pixels of a video that may be decoded however small its file is: a few seconds of work."""


@dataclass(frozen=True, kw_only=True)
class ItemLimits:
    """What one item may take. Each is the largest value allowed, but for `min_rate_hz`.

    Args:
        pixels: of one image or map.
        side_ratio: longer over shorter side of an image, a map or a frame.
        scans: of a progressive JPEG.
        frame_pixels: of one frame of a video.
        frames: of a video.
        decoded_pixels: of all frames that are decoded for one part of a video, also those between a
            key frame and the one wanted.
        pixels_per_byte: the same over the size of the file, beyond `FREE_PIXELS`.
        seconds: duration of audio, motion or a video.
        samples: of audio, all channels together.
        min_rate_hz, max_rate_hz: samples per second of audio.
        channels: of audio.
        rows, columns, cells: of a table of measurements.
        bytes: memory that decoding one image, map or array takes, estimated before it is decoded.
        work_seconds: time that decoding one part of an item may take.
    """

    pixels: int = 178_956_970
    side_ratio: float = 50.0
    scans: int = 100
    frame_pixels: int = 36_000_000
    frames: int = 2_000_000
    decoded_pixels: int = 50_000_000_000
    pixels_per_byte: int = 20_000
    seconds: float = 86_400.0
    samples: int = 20_000_000_000
    min_rate_hz: int = 50
    max_rate_hz: int = 1_000_000
    channels: int = 64
    rows: int = 5_000_000
    columns: int = 2_000
    cells: int = 50_000_000
    bytes: int = 512 << 20
    work_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Check that every limit is a positive number.

        Raises:
            ValueError: one isn't.
        """
        for field in dataclasses.fields(self):
            if not 0 < getattr(self, field.name) < math.inf:
                raise ValueError(f"{field.name}: expected a positive number")

    def changed(self, **changes: float) -> ItemLimits:
        """Return other limits.

        Args:
            changes: name → value.

        Raises:
            ConfigError: no such limit (the nearest is named), or no positive number.
        """
        return from_dict(ItemLimits, {**to_dict(self), **changes}, "limits")

    @contextmanager
    def applied(self, clock: Clock | None = None) -> Iterator[None]:
        """Set the limits of the calls inside, in this thread.

        Args:
            clock: goes on where an earlier block of the same part ended; None starts a new one.
        """
        clock = clock or Clock()
        clock.start()
        token = _current.set((self, clock))
        try:
            yield
        finally:
            _current.reset(token)
            clock.stop()


class Clock:
    """Measures the time of work on one part of an item, without the pauses between blocks."""

    def __init__(self) -> None:
        self._spent, self._started = 0.0, math.inf

    def start(self) -> None:
        """Begin a block of work."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """End a block of work."""
        self._spent, self._started = self.seconds, math.inf

    @property
    def seconds(self) -> float:
        """Time of work so far."""
        return self._spent + max(0.0, time.monotonic() - self._started)


LIBRARY = ItemLimits()
"""For calls from Python."""
COMMAND_LINE = ItemLimits(
    side_ratio=200.0,
    frames=10_000_000,
    decoded_pixels=400_000_000_000,
    seconds=30 * 86_400.0,
    samples=1_000_000_000_000,
    min_rate_hz=10,
    max_rate_hz=4_000_000,
    rows=20_000_000,
    columns=10_000,
    cells=200_000_000,
    bytes=4 << 30,
    work_seconds=3_600.0,
)
"""For the command line, which reads its user's own files; `--limit NAME=VALUE` changes them."""
SERVICE = ItemLimits(
    pixels=64_000_000,
    frame_pixels=36_000_000,
    frames=100_000,
    decoded_pixels=10_000_000_000,
    seconds=600.0,
    samples=120_000_000,
    min_rate_hz=100,
    max_rate_hz=200_000,
    channels=16,
    rows=200_000,
    columns=1_000,
    cells=4_000_000,
    bytes=384 << 20,
    work_seconds=20.0,
)
"""For uploads to the service, which anyone may send."""

_current: ContextVar[tuple[ItemLimits, Clock | None]] = ContextVar(
    "openbind_limits", default=(LIBRARY, None)
)


def current_limits() -> ItemLimits:
    """Return the limits that hold here."""
    return _current.get()[0]


def check_limit(name: str, found: float, item: Any, shown: str = "") -> None:
    """Check a quantity of the item that is being decoded, and the time that it takes.

    Args:
        name: of the limit.
        found: the quantity.
        item: named by errors.
        shown: the quantity for people, such as "8000 × 8000 pixels"; by default number and name.

    Raises:
        LimitError: it is beyond the limit.
    """
    limits, clock = _current.get()
    allowed = getattr(limits, name)
    is_beyond = found < allowed if name.startswith("min_") else found > allowed
    if is_beyond or math.isnan(found):
        raise LimitError(item, name, allowed, found, shown)
    if clock is not None and clock.seconds > limits.work_seconds:
        raise LimitError(item, "work_seconds", limits.work_seconds, clock.seconds)


def check_sides(width: int, height: int, item: Any, name: str = "pixels") -> None:
    """Check the size of an image, a map or a frame.

    Args:
        width, height: in pixels.
        item: named by errors.
        name: of the limit of their product.

    Raises:
        LimitError: too many pixels, or one side too long for the other.
    """
    shown = f"{width} × {height} pixels"
    check_limit(name, width * height, item, shown)
    check_limit("side_ratio", max(width, height) / max(1, min(width, height)), item, shown)


def check_audio(rate_hz: float, channels: int, samples: int, item: Any) -> None:
    """Check the rate, channels and duration of audio.

    Args:
        rate_hz: samples per second.
        channels: their number.
        samples: of each channel.
        item: named by errors.

    Raises:
        LimitError: one is beyond its limit.
    """
    check_limit("min_rate_hz", rate_hz, item)
    check_limit("max_rate_hz", rate_hz, item)
    check_limit("channels", channels, item)
    check_limit("seconds", samples / rate_hz, item)
    check_limit("samples", samples * channels, item)


def parse_limits(pairs: list[str], limits: ItemLimits) -> ItemLimits:
    """Change limits by `NAME=VALUE` pairs.

    Args:
        pairs: as given on the command line.
        limits: what they change.

    Raises:
        ConfigError: not a pair, no such limit, or no positive number.
    """
    changes: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            number = float(value.replace("_", ""))
        except ValueError:
            raise ConfigError(f"limit {pair!r}: expected NAME=NUMBER") from None
        changes[name] = int(number) if number.is_integer() else number
    return limits.changed(**changes)


def limits_table() -> str:
    """Return a Markdown table of the presets, as docs/inputs.md has it."""
    presets = (LIBRARY, COMMAND_LINE, SERVICE)
    rows = [
        f"| `{field.name}` | " + " | ".join(f"{getattr(p, field.name):,.12g}" for p in presets)
        for field in dataclasses.fields(ItemLimits)
    ]
    head = ["| limit | Python | command line | service |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"{row} |" for row in rows)])
