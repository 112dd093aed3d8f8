"""Media types of files that browsers can display or play."""

from __future__ import annotations

from pathlib import Path

from openbind.media.video import VIDEO_EXTENSIONS

# fmt: off
AUDIO_EXTENSIONS = frozenset([
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf",
    ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".oga", ".ogg",
    ".opus", ".spx", ".w64", ".wav", ".weba", ".wma",
])
# fmt: on
"""Extensions of audio files, in lower case."""
MEDIA_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".3gp": "video/3gpp",
    ".m4v": "video/mp4",
    ".mp4": "video/mp4",
    ".ogv": "video/ogg",
    ".webm": "video/webm",
}
"""Extension → IANA media type. Python's own table lacks WebP, Ogg and FLAC on some systems."""


def media_type(path: str | Path) -> str | None:
    """Return a file's media type by its extension; None if browsers can't display or play it."""
    return MEDIA_TYPES.get(Path(path).suffix.lower())


def plays_as_audio(path: str | Path) -> bool:
    """Return whether browsers play a file as audio."""
    return (media_type(path) or "").startswith("audio/")


def plays_as_video(path: str | Path) -> bool:
    """Return whether browsers play a file as video."""
    return (media_type(path) or "").startswith("video/")


def is_recording(path: str | Path) -> bool:
    """Return whether a file is audio or video by its extension."""
    return Path(path).suffix.lower() in AUDIO_EXTENSIONS | VIDEO_EXTENSIONS
