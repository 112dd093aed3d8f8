"""What a file says of itself without being decoded: size in pixels, length, date."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from PIL import ExifTags, Image

from openbind.errors import InputError, MissingExtraError
from openbind.media.audio import UNKNOWN_LENGTH
from openbind.media.containers import header_seconds, open_container
from openbind.media.image import BROKEN
from openbind.media.video import is_video

TAKEN = "%Y:%m:%d %H:%M:%S"
"""How Exif 2.32 writes dates (tag 0x9003)."""
LYING = {5, 6, 7, 8}
"""EXIF orientations of images that are stored lying on a side (Exif 2.32, tag 0x0112)."""
UNREADABLE = (*BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning)
SETTLED_NS = 2_000_000_000
"""Clocks of file systems step by as much at the worst (FAT): a file that was changed less than
that before it was hashed may be changed again without a new time."""


@dataclass(frozen=True, kw_only=True)
class FileMetadata:
    """What a file says of itself; None where it says nothing.

    Args:
        width, height: in pixels; of a image upright.
        duration: in seconds.
        taken: when the image was taken, by its camera's clock.
    """

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    taken: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """A file's content at a moment.

    Args:
        hash: of all its bytes.
        stat_key: as in `Row`.
        size: bytes.
        modified: when it was changed, UTC.
    """

    hash: str
    stat_key: str
    size: int
    modified: datetime


def stat_key_of(status: os.stat_result) -> str:
    """Write down what changes when a file does: its size, times and place on the disk."""
    # The time of change (ctime) can't be set, so a restored date doesn't hide a change.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def read_content(path: Path) -> Content:
    """Hash a file.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))  # a pipe would never end
    now_ns = time.time_ns()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    settled = now_ns - max(before.st_mtime_ns, before.st_ctime_ns) > SETTLED_NS
    return Content(
        hash=digest.hexdigest(),
        stat_key=stat_key_of(before) if settled else "",
        size=before.st_size,
        modified=datetime.fromtimestamp(before.st_mtime, timezone.utc),
    )


def read_metadata(path: Path) -> FileMetadata:
    """Read what the header of a image, video or sound says; other files say nothing."""
    if is_video(path):
        return _of_video(path)
    try:
        with Image.open(path) as image:  # only the header is read
            exif = image.getexif()
            width, height = image.size
            if exif.get(ExifTags.Base.Orientation, 1) in LYING:
                width, height = height, width
            return FileMetadata(width=width, height=height, taken=_taken(exif))
    except UNREADABLE:  # of another kind, or broken: what embeds it says why
        return FileMetadata(duration=_sound_seconds(path))


def _of_video(path: Path) -> FileMetadata:
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            seconds = header_seconds(container, stream)
            return FileMetadata(
                width=stream.codec_context.width,
                height=stream.codec_context.height,
                duration=None if seconds is None else float(seconds),
            )
    except (InputError, MissingExtraError, IndexError, AttributeError):
        return FileMetadata()


def _sound_seconds(path: Path) -> float | None:
    import soundfile

    try:
        info = soundfile.info(str(path))
        return float(info.duration) if info.frames < UNKNOWN_LENGTH else None
    except (soundfile.SoundFileError, TypeError):  # TypeError: soundfile's answer to ".raw"
        return _container_seconds(path)


def _container_seconds(path: Path) -> float | None:
    try:
        with open_container(path) as container:
            return container.duration / 1_000_000 if container.duration else None
    except (InputError, MissingExtraError):
        return None


def _taken(exif: Image.Exif) -> datetime | None:
    try:
        details = exif.get_ifd(ExifTags.IFD.Exif)
        return datetime.strptime(str(details[ExifTags.Base.DateTimeOriginal]), TAKEN)
    except BROKEN:  # no such tag, or a camera that writes it in its own way
        return None
