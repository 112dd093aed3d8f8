"""Limits hold while files are decoded, name what they refuse, and can be changed."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from openbind.errors import ConfigError, LimitError
from openbind.limits import (
    COMMAND_LINE,
    LIBRARY,
    SERVICE,
    Clock,
    ItemLimits,
    check_limit,
    current_limits,
    parse_limits,
)
from openbind.media.audio import read_audio
from openbind.media.image import read_image
from openbind.media.video import probe_video


def image(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


def audio(seconds: float, channels: int = 1, rate_hz: int = 8000, kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    samples = np.zeros((int(seconds * rate_hz), channels), np.int16)
    soundfile.write(out, samples, rate_hz, format=kind)
    return out.getvalue()


def video(seconds: int, size: int = 32, file: Any = None) -> bytes:
    out = file or io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(5))
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(seconds * 5):
            frame = av.VideoFrame.from_ndarray(np.zeros((size, size, 3), np.uint8))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return bytes(out.getvalue())


@pytest.mark.parametrize(
    ("read", "limit", "value", "accepted", "refused"),
    [
        (read_image, "pixels", 600, image(30, 20), image(30, 21)),
        (read_image, "side_ratio", 10, image(20, 2), image(21, 2)),
        (read_audio, "seconds", 2, audio(2), audio(2.5)),
        (read_audio, "samples", 32_000, audio(2, 2), audio(2, 3)),
        (read_audio, "channels", 2, audio(1, 2), audio(1, 3)),
        (read_audio, "max_rate_hz", 8000, audio(1), audio(1, rate_hz=8001)),
        (read_audio, "min_rate_hz", 8000, audio(1), audio(1, rate_hz=7999)),
        (probe_video, "frames", 15, video(3), video(4)),
        (probe_video, "seconds", 3, video(3), video(4)),
        (probe_video, "frame_pixels", 2000, video(1), video(1, 64)),
    ],
)
def test_limits_hold_while_decoding(
    read: Callable[[bytes], Any], limit: str, value: float, accepted: bytes, refused: bytes
) -> None:
    """What just fits is read; an error says which limit was exceeded, and by what."""
    with LIBRARY.changed(**{limit: value}).applied():
        read(accepted)
        with pytest.raises(LimitError) as caught:
            read(refused)
    assert (caught.value.limit, caught.value.allowed) == (limit, value)
    assert caught.value.found != value
    assert f"--limit {limit}=N" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).limit == limit


def test_time_of_work_is_limited() -> None:
    """It counts over several blocks of one part, without the pauses between them."""
    clock = Clock()
    limits = LIBRARY.changed(work_seconds=1e-9)
    with limits.applied(clock), pytest.raises(LimitError, match="work_seconds"):
        check_limit("pixels", 1, "item")
    spent = clock.seconds
    with LIBRARY.applied(clock):
        check_limit("pixels", 1, "item")
    assert clock.seconds > spent


def test_limits_hold_in_their_block_and_thread() -> None:
    """Outside, and in threads started inside, the library's hold."""
    seen = []
    with SERVICE.applied():
        assert current_limits() is SERVICE
        thread = threading.Thread(target=lambda: seen.append(current_limits()))
        thread.start()
        thread.join()
    assert current_limits() is LIBRARY
    assert seen == [LIBRARY]


def test_limits_can_be_changed() -> None:
    """By name; unknown names and values that aren't positive numbers are refused."""
    assert parse_limits(["seconds=7200", "side_ratio=1.5"], LIBRARY) == LIBRARY.changed(
        seconds=7200, side_ratio=1.5
    )
    assert parse_limits([], COMMAND_LINE) is not None
    for wrong in ("second=5", "seconds", "seconds=many", "seconds=0", "seconds=nan", "frames=1.5"):
        with pytest.raises(ConfigError):
            parse_limits([wrong], LIBRARY)


@pytest.mark.parametrize("name", list(ItemLimits.__dataclass_fields__))
def test_the_service_is_strictest_and_the_command_line_widest(name: str) -> None:
    """Each limit of the library is between the other two."""
    low, middle, high = (getattr(limits, name) for limits in (SERVICE, LIBRARY, COMMAND_LINE))
    assert high <= middle <= low if name.startswith("min_") else low <= middle <= high
