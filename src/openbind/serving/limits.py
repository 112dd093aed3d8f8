"""Limits of a service, checked from headers before anything is decoded."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

from PIL import Image

from openbind.errors import InputError, MissingExtraError
from openbind.media.arrays import NPY, NPZ
from openbind.media.containers import open_container
from openbind.media.image import BROKEN
from openbind.media.series import duration_of


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a service.

    Args:
        body_bytes: size of one request body.
        held_bytes: size of all bodies in progress; beyond it clients get 503.
        drain_bytes: read and discarded of a body that is too large, so that its sender gets to
            read the response.
        body_seconds: wait between two chunks of a body.
        items: of one request: inputs, parts of a query, labels times templates.
        characters: of one text.
        pixels: of one image, one map, one frame of a video.
        seconds: duration of one audio file, video or recording.
        samples: of one audio file, all channels together.
        rows: of one table of measurements.
        array_bytes: uncompressed size of a zip file of arrays.
        results: of one search.
        wait_seconds: estimated time of the queued work; beyond it clients get 503.
        decoded_bytes: memory of decoded items that wait for the model.
    """

    body_bytes: int = 32 << 20
    held_bytes: int = 256 << 20
    drain_bytes: int = 128 << 20
    body_seconds: float = 30.0
    items: int = 2048
    characters: int = 32_768
    pixels: int = 64_000_000
    seconds: float = 600.0
    samples: int = 60_000_000
    rows: int = 200_000
    array_bytes: int = 64 << 20
    results: int = 200
    wait_seconds: float = 20.0
    decoded_bytes: int = 256 << 20


class TooLargeError(InputError):
    """An item exceeds a limit."""


def check_item(item: Any, limits: Limits) -> None:
    """Check the size of an item from its headers; unreadable items are left to the decoders.

    Args:
        item: a text, or the content of a file of any format.
        limits: the limits.

    Raises:
        TooLargeError: a limit is exceeded.
    """
    if isinstance(item, str):
        if len(item) > limits.characters:
            raise TooLargeError(
                item, f"{len(item):,} characters exceed the limit of {limits.characters:,}"
            )
        return
    if item.startswith((NPY, NPZ)):
        _check_array(item, limits)
    elif not (_check_image(item, limits) or _check_audio(item, limits)):
        _check_table(item, limits) if _is_text(item) else _check_video(item, limits)


def _check_image(data: bytes, limits: Limits) -> bool:
    """Check the size in an image's header; return whether it is an image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(data, f"exceeds the limit of {limits.pixels:,} pixels") from error
    except BROKEN:
        return False
    _check_pixels(data, width, height, limits)
    return True


def _check_pixels(data: bytes, width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        found = f"{width} × {height} pixels"
        raise TooLargeError(data, f"{found} exceed the limit of {limits.pixels:,}")


def _check_seconds(data: bytes, seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise TooLargeError(data, f"longer than the limit of {limits.seconds:g} s")


def _check_audio(data: bytes, limits: Limits) -> bool:
    """Check the duration in an audio header; return whether libsndfile knows the format."""
    import soundfile

    try:
        info = soundfile.info(io.BytesIO(data))
    except (soundfile.SoundFileError, TypeError):
        return False
    _check_seconds(data, info.frames / max(info.samplerate, 1), limits)
    samples = info.frames * info.channels
    if samples > limits.samples:
        raise TooLargeError(data, f"{samples:,} samples exceed the limit of {limits.samples:,}")
    return True


def _check_video(data: bytes, limits: Limits) -> None:
    """Check frame sizes, and durations by the packets: headers may be silent, or wrong."""
    try:
        with open_container(data) as container:
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    context = stream.codec_context
                    _check_pixels(data, context.width, context.height, limits)
            for packet in container.demux():
                time = packet.dts if packet.pts is None else packet.pts
                if time is not None and packet.time_base is not None:
                    end = float((time + (packet.duration or 0)) * packet.time_base)
                    start = float((packet.stream.start_time or 0) * packet.time_base)
                    _check_seconds(data, end - start, limits)
    except TooLargeError:
        raise
    except (InputError, MissingExtraError):
        return


def _check_array(data: bytes, limits: Limits) -> None:
    """Check the uncompressed size of a zip file of arrays."""
    if not data.startswith(NPZ):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, *BROKEN):
        return
    if size > limits.array_bytes:
        found = f"{size:,} uncompressed bytes"
        raise TooLargeError(data, f"{found} exceed the limit of {limits.array_bytes:,}")


def _check_table(data: bytes, limits: Limits) -> None:
    """Check the rows of a table, and its duration if it has a time column."""
    rows = data.count(b"\n") + data.count(b"\r")
    if rows > limits.rows:
        raise TooLargeError(data, f"{rows:,} rows exceed the limit of {limits.rows:,}")
    try:
        seconds = duration_of(data)
    except InputError:
        return
    if seconds is not None:
        _check_seconds(data, seconds, limits)


def _is_text(data: bytes) -> bool:
    """Return whether a file looks like a table of text by its first bytes."""
    return not any(byte < 9 for byte in data[:512])
