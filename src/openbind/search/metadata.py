"""Metadata of files: pixel size, duration, date. Durations that no header states are counted."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from PIL import ExifTags, Image

from openbind.errors import InputError, MissingExtraError, OpenbindError, decoding
from openbind.media.audio import OpenAudio
from openbind.media.image import BROKEN
from openbind.media.video import is_video, probe_video

TAKEN = "%Y:%m:%d %H:%M:%S"
"""Format of dates in Exif 2.32 (tag 0x9003)."""
ROTATED = {5, 6, 7, 8}
"""EXIF orientations of images stored rotated by 90° (Exif 2.32, tag 0x0112)."""
UNREADABLE = (*BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning)
MAX_CAMERA = 80
"""Characters of a camera's name."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST_SECONDS, LAST_SECONDS = -62_135_596_800.0, 253_402_300_799.0
"""Of dates: the years 1 to 9999. File systems, and clocks that are wrong, have others."""
SETTLED_NS = 2_000_000_000
"""Coarsest resolution of file times (FAT): a file that was changed less than this before it was
hashed may be changed again without a new time."""


@dataclass(frozen=True, kw_only=True)
class FileMetadata:
    """Metadata of a file; None where unknown.

    Args:
        width, height: in pixels, upright.
        duration: in seconds, of what is decoded.
        taken: date of a photograph, in the camera's local time.
        camera: that took it: its maker and model.
    """

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    taken: datetime | None = None
    camera: str | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a file when it was hashed.

    Args:
        hash: of all its bytes.
        stat_key: as in `Row`.
        size: in bytes.
        modified: modification time, UTC.
    """

    hash: str
    stat_key: str
    size: int
    modified: datetime


def stat_key_of(status: os.stat_result) -> str:
    """Return a string that changes when a file does: its size, times and inode."""
    # The time of change (ctime) can't be set, so a restored date doesn't hide a change.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def date_of(seconds: float) -> datetime:
    """Return a time as a date in UTC; one outside of what dates can be, as the nearest that can."""
    return EPOCH + timedelta(seconds=min(max(seconds, FIRST_SECONDS), LAST_SECONDS))


def read_content(path: Path) -> Content:
    """Hash a file.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        # Reading a pipe would never end.
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    now_ns = time.time_ns()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    settled = now_ns - max(before.st_mtime_ns, before.st_ctime_ns) > SETTLED_NS
    return Content(
        hash=digest.hexdigest(),
        stat_key=stat_key_of(before) if settled else "",
        size=before.st_size,
        modified=date_of(before.st_mtime),
    )


def read_metadata(path: Path) -> FileMetadata:
    """Read the metadata of an image, video or audio file; other files have none.

    Nor have those that libraries can't read for whatever reason: embedding them reports it.
    """
    try:
        with decoding(path):
            return _read_metadata(path)
    except (OpenbindError, OSError):
        return FileMetadata()


def _read_metadata(path: Path) -> FileMetadata:
    if is_video(path):
        return _of_video(path)
    try:
        with Image.open(path) as image:  # only the header is read
            exif = image.getexif()
            width, height = image.size
            if exif.get(ExifTags.Base.Orientation, 1) in ROTATED:
                width, height = height, width
            return FileMetadata(
                width=width, height=height, taken=_taken(exif), camera=_camera(exif)
            )
    except UNREADABLE:  # not an image, or a broken one: embedding it reports why
        return FileMetadata(duration=_audio_seconds(path))


def _of_video(path: Path) -> FileMetadata:
    try:
        info = probe_video(path)
        return FileMetadata(width=info.width, height=info.height, duration=float(info.seconds))
    except (InputError, MissingExtraError):  # without images, or broken: embedding reports why
        return FileMetadata(duration=_audio_seconds(path))


def _audio_seconds(path: Path) -> float | None:
    try:
        with OpenAudio(path) as audio:
            return audio.measure() or None
    except (InputError, MissingExtraError):
        return None


def _camera(exif: Image.Exif) -> str | None:
    """Return maker and model; many models begin with their maker."""
    tags = (ExifTags.Base.Make, ExifTags.Base.Model)
    maker, model = (" ".join(str(exif.get(tag, "")).split("\0")[0].split()) for tag in tags)
    known = maker.split(" ")[0].lower()
    name = model if model.lower().startswith(known) else f"{maker} {model}"
    printable = "".join(character for character in name if character.isprintable())
    return printable.strip()[:MAX_CAMERA] or None


def _taken(exif: Image.Exif) -> datetime | None:
    try:
        details = exif.get_ifd(ExifTags.IFD.Exif)
        return datetime.strptime(str(details[ExifTags.Base.DateTimeOriginal]), TAKEN)
    except BROKEN:  # no such tag, or not in the format of the standard
        return None
