"""What a service takes at most, checked before anything is decoded."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from openbind.errors import InputError, MissingExtraError
from openbind.media.arrays import NPY, NPZ
from openbind.media.containers import open_container
from openbind.media.image import BROKEN
from openbind.media.series import TIME_COLUMNS
from openbind.media.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service takes at most.

    Args:
        body_bytes: of one request.
        held_bytes: of the bodies of all requests under way; more are asked to come back.
        drain_bytes: read and dropped of a body that is too large, so that its sender reads why.
        body_seconds: that a client may take between two parts of its body.
        items: of one request: inputs, parts of a query, labels times templates.
        characters: of one text.
        pixels: of one image, one map, one frame of a video.
        seconds: of one sound, video or recording.
        samples: of one sound, all channels together.
        rows: of one table of measurements.
        array_bytes: of a zip file of arrays, unpacked.
        results: of one search.
        wait_seconds: of work that may wait for the model before requests are turned away.
        decoded_bytes: of items decoded and waiting for the model.
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
    """An item would take more to decode than the service gives."""


def check_item(item: Any, limits: Limits) -> None:
    """Refuse what would take too much to decode; what can't be read at all is left to decoders.

    Args:
        item: a text, or the bytes of a file of any kind; headers are read, no image or sound
            is decoded.
        limits: the bounds.

    Raises:
        TooLargeError: larger than a limit allows.
    """
    if isinstance(item, str):
        if len(item) > limits.characters:
            found = f"a text of {len(item):,} characters"
            raise TooLargeError(item, f"{found}; at most {limits.characters:,} are taken")
        return
    if item.startswith((NPY, NPZ)):
        _check_array(item, limits)
    elif not (_check_image(item, limits) or _check_sound(item, limits)):
        _check_table(item, limits) if _is_text(item) else _check_video(item, limits)


def _check_image(data: bytes, limits: Limits) -> bool:
    """Check the size that a image's header says; returns whether it is a image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(data, f"more than {limits.pixels:,} pixels; refused") from error
    except BROKEN:
        return False
    _check_pixels(data, width, height, limits)
    return True


def _check_pixels(data: bytes, width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        found = f"{width} × {height} pixels"
        raise TooLargeError(data, f"{found}; at most {limits.pixels:,} are taken")


def _check_seconds(data: bytes, seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise TooLargeError(data, f"lasts more than the {limits.seconds:g} s that are taken")


def _check_sound(data: bytes, limits: Limits) -> bool:
    """Check the length that a sound's header says; returns whether libsndfile knows it."""
    import soundfile

    try:
        info = soundfile.info(io.BytesIO(data))
    except (soundfile.SoundFileError, TypeError):
        return False
    _check_seconds(data, info.frames / max(info.samplerate, 1), limits)
    if info.frames * info.channels > limits.samples:
        found = f"{info.frames * info.channels:,} samples"
        raise TooLargeError(data, f"{found}; at most {limits.samples:,} are taken")
    return True


def _check_video(data: bytes, limits: Limits) -> None:
    """Add up a container's packets: headers may say nothing, or less than the truth."""
    try:
        with open_container(data) as container:
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    context = stream.codec_context
                    _check_pixels(data, context.width, context.height, limits)
            for packet in container.demux():
                time = packet.dts if packet.pts is None else packet.pts
                if time is not None and packet.time_base is not None:
                    lasted = float((time + (packet.duration or 0)) * packet.time_base)
                    start = float((packet.stream.start_time or 0) * packet.time_base)
                    _check_seconds(data, lasted - start, limits)
    except TooLargeError:
        raise
    except (InputError, MissingExtraError):
        return


def _check_array(data: bytes, limits: Limits) -> None:
    """Check how large a zip file's arrays are unpacked; a plain one is as large as the body."""
    if not data.startswith(NPZ):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, *BROKEN):
        return
    if size > limits.array_bytes:
        found = f"{size:,} bytes unpacked"
        raise TooLargeError(data, f"{found}; at most {limits.array_bytes:,} are taken")


def _check_table(data: bytes, limits: Limits) -> None:
    """Check how many rows a table has, and how long it lasts if it has a column of times."""
    rows = data.count(b"\n") + data.count(b"\r")
    if rows > limits.rows:
        raise TooLargeError(data, f"a table of {rows:,} rows; at most {limits.rows:,} are taken")
    try:
        table = read_table(data)
    except InputError:
        return
    for place, name in enumerate(table.columns or ()):
        if name.strip().lower() in TIME_COLUMNS:
            _check_seconds(data, float(np.ptp(table.values_TC[:, place])), limits)


def _is_text(data: bytes) -> bool:
    """Return a table from other files by its first bytes."""
    return not any(byte < 9 for byte in data[:512])
