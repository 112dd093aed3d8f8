"""Open and demux the containers that FFmpeg reads (mp4, webm, m4a …), with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.errors import InputError, MissingExtraError
from openbind.media.source import open_source
from openbind.media.truncation import find_truncation

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.stream import Stream

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,"
    "flv,asf,gif,apng,dv,mxf,nut,ogg,mp3,wav,w64,caf,aiff,au,flac,aac,ac3,eac3,amr,amrnb,amrwb,"
    "ape,dsf,tta,wv"
)
"""Allowed demuxers. Playlists (hls, concat) are excluded because they open further files and
addresses; `tty` because it makes a video of any text."""
DEFAULT_FPS = Fraction(25)
"""Frame rate of a video without one in its header (a GIF of one frame, say); FFmpeg's default."""
HEADER_TOLERANCE_SECONDS = Fraction(1, 10)
"""How much shorter than its header a webm may be, besides one video frame: the duration of the
last packets needn't be stored."""

SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
"""FFmpeg's names of the formats that can be sought by time without reading the rest."""


@contextmanager
def ffmpeg_errors(source: Any) -> Iterator[None]:
    """Convert FFmpeg's errors into an `InputError` that names the source."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        reason = f"not audio or video of a known format, or broken or truncated ({error.strerror})"
        raise InputError(source, reason) from error


@contextmanager
def open_container(source: Any) -> Iterator[InputContainer]:
    """Open a path or bytes; FFmpeg's errors, inside the context too, become `InputError`.

    Args:
        source: path or bytes.

    Yields:
        the container, closed at the end.

    Raises:
        InputError: missing, empty, of no known format, or broken.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(f"reading {source!s:.80}", "av", "video") from error
    opened = open_source(source)
    if missing := find_truncation(opened):
        raise InputError(source, missing)
    # An absolute path can't be mistaken for an address ("http:…", "concat:…").
    file = str(opened.absolute()) if isinstance(opened, Path) else opened
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    with (
        ffmpeg_errors(source),
        av.open(file, metadata_errors="ignore", container_options=options) as container,
    ):
        yield container


def demux_whole(container: InputContainer, stream: Stream, source: Any) -> Iterator[Packet]:
    """Read all packets of a stream, then compare their number and end with the headers.

    Yields:
        packets with content, including those marked as discarded.

    Raises:
        InputError: at the end, when packets are missing.
    """
    count, end = 0, Fraction(0)
    for packet in container.demux():
        time = packet.dts if packet.pts is None else packet.pts
        if packet.size and time is not None and packet.time_base is not None:
            end = max(end, (time + (packet.duration or 0)) * packet.time_base)
        if packet.size and packet.stream is stream:
            count += 1
            yield packet
    # Where the header has both, both must fall short: an AVI counts frames that it omits, a
    # trimmed mp4 frames that it hides.
    if stream.frames > count and stream.duration and stream.time_base:
        promised = ((stream.start_time or 0) + stream.duration) * stream.time_base
        if end < promised - stream.time_base:
            raise InputError(source, f"truncated: found {count} of {stream.frames} frames")
    if container.duration and not stream.frames:
        promised = Fraction(container.duration, 1_000_000)
        rates = [1 / (video.average_rate or DEFAULT_FPS) for video in container.streams.video]
        if end < promised - HEADER_TOLERANCE_SECONDS - max(rates, default=Fraction(0)):
            reason = f"truncated: found {float(end):.1f} of {float(promised):.1f} s"
            raise InputError(source, reason)


def header_seconds(container: InputContainer, stream: Stream) -> Fraction | None:
    """Return a stream's duration by the headers of a seekable file; None if they have none."""
    if container.format.name not in SEEKABLE:
        return None
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    if not container.duration:
        return None
    # Matroska counts from 0, whenever the stream starts.
    start = (stream.start_time or 0) * (stream.time_base or 0)
    return Fraction(container.duration, 1_000_000) - start
