"""Open and demux the containers that FFmpeg reads (mp4, webm, m4a …), with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbind.errors import InputError, MissingExtraError
from openbind.media.source import open_source
from openbind.media.truncation import check_truncation, is_mostly_there, report_missing

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
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
PROMISED = SEEKABLE | {"asf", "avi", "flac"}
"""Formats that state their duration. FFmpeg guesses others' from the bit rate or the last times."""


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
    check_truncation(source, opened)
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

    Warns of a file that lacks its last tenth or less.

    Yields:
        packets with content, including those marked as discarded, and Theora's repeated frames.

    Raises:
        InputError: at the end, when more packets are missing.
    """
    count, end = 0, Fraction(0)
    for packet in container.demux():
        time = packet.dts if packet.pts is None else packet.pts
        if packet.size and time is not None and packet.time_base is not None:
            end = max(end, (time + (packet.duration or 0)) * packet.time_base)
        if packet.stream is stream and (packet.size or is_repeat(packet)):
            count += 1
            yield packet
    # Where the header has both, both must fall short: an AVI counts frames that it omits, a
    # trimmed mp4 frames that it hides.
    if stream.frames > count and stream.duration and stream.time_base:
        promised = ((stream.start_time or 0) + stream.duration) * stream.time_base
        if end < promised - stream.time_base:
            missing = f"truncated: found {count} of {stream.frames} frames"
            report_missing(source, missing, is_mostly_there(count, stream.frames))
    if container.duration and not stream.frames and container.format.name in PROMISED:
        promised = Fraction(container.duration, 1_000_000)
        rates = [1 / (video.average_rate or DEFAULT_FPS) for video in container.streams.video]
        if end < promised - HEADER_TOLERANCE_SECONDS - max(rates, default=Fraction(0)):
            missing = f"truncated: found {float(end):.1f} of {float(promised):.1f} s"
            report_missing(source, missing, is_mostly_there(end, promised))


def is_repeat(packet: Packet) -> bool:
    """Return whether an empty packet repeats the frame before it (Theora I specification, 7.1)."""
    codec = packet.stream.codec_context
    return (
        not packet.size and packet.pts is not None and codec is not None and codec.name == "theora"
    )


def find_images(container: InputContainer) -> VideoStream | None:
    """Return the default track of images, or else the first; covers of albums don't count."""
    from av.stream import Disposition

    tracks = container.streams.video
    return _default([t for t in tracks if not t.disposition & Disposition.attached_pic])


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return the default audio track, or else the first."""
    return _default(list(container.streams.audio))


def _default(tracks: list[Any]) -> Any:
    from av.stream import Disposition

    chosen = [track for track in tracks if track.disposition & Disposition.default]
    return next(iter(chosen or tracks), None)


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
