"""Decoders run ahead of the reader, in order, and hold a bounded amount."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.errors import InputError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.spec import Sample, View
from openbind.modalities.video import VideoSettings
from openbind.space import decoding
from openbind.space.decoding import Decoder, decode_ahead, map_ahead


def test_map_ahead_keeps_order_and_bound() -> None:
    """Results in the items' order, never more than `ahead` of the reader; errors at their place."""
    started, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            started.append(item)
        if item == 5:
            raise ValueError("five")
        return item * item

    results = []
    for index, result in enumerate(map_ahead(work, range(12), workers=2, ahead=3)):
        assert max(started) <= index + 4
        try:
            results.append(result())
        except ValueError as error:
            results.append(str(error))
    assert results == [0, 1, 4, 9, 16, "five", 36, 49, 64, 81, 100, 121]


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_order_and_errors(processes: bool) -> None:
    """Samples come in the tasks' order; an error is raised where its samples are read."""
    decoder = Decoder({"text": MODALITIES.get("text").settings()}, None)
    decode = partial(decoder.samples, "text")
    texts = ["a dog", "", "rain", 7]
    found = []
    for modality, text, samples in decode_ahead(
        [("text", text) for text in texts], decode, workers=2, processes=processes
    ):
        assert modality == "text"
        try:
            (sample,) = samples
            found.append((text, tuple(sample.clips.shape)))
        except InputError:
            found.append((text, None))
    assert found == [("a dog", (1, 77)), ("", None), ("rain", (1, 77)), (7, None)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders wait while too much waits to be read, and the one that is read never waits long."""
    monkeypatch.setattr(decoding, "AHEAD_BYTES", 10 * 8)
    made = read = most = 0
    lock = threading.Lock()

    def decode(task: int) -> Iterator[Sample]:
        nonlocal made, most
        for _ in range(50):
            with lock:
                made += 1
                most = max(most, made - read)
            yield Sample(torch.zeros(1, 2))

    for _, _, samples in decode_ahead([("m", n) for n in range(6)], decode, workers=3,
                                      processes=False):  # fmt: skip
        for _ in samples:
            with lock:
                read += 1
    assert read == made == 300
    assert most <= 10 + 2 * 3  # what waits, and one in the hands of each decoder and of the reader


def test_a_reader_may_leave() -> None:
    """Closing ends the decoders, those that wait for room too, and closes what they read."""
    closed = threading.Event()

    def decode(task: int) -> Iterator[Sample]:
        try:
            while True:
                yield Sample(torch.zeros(1, 1 << 20))
        finally:
            closed.set()

    with closing(decode_ahead([("m", 0)], decode, workers=1, processes=False)) as lanes:
        _, _, samples = next(lanes)
        next(samples)
    assert closed.is_set()


def test_decoder_goes_to_processes() -> None:
    """A decoder prepares each modality once, and again where it was unpickled."""
    import pickle

    decoder = Decoder({"text": MODALITIES.get("text").settings()}, None)
    assert decoder.prepare("text") is decoder.prepare("text")
    copy = pickle.loads(pickle.dumps(decoder))
    (sample,) = copy.samples("text", "a dog")
    (expected,) = decoder.samples("text", "a dog")
    torch.testing.assert_close(sample.clips, expected.clips)
    with pytest.raises(UnknownNameError):
        decoder.prepare("image")


def test_thumbnails_show_their_own_part() -> None:
    """Each part of a video and of audio has one of what was decoded; elsewhere there are none."""
    frames = np.zeros((40, 48, 64, 3), np.uint8)
    frames[20:] = 255
    decoder = Decoder({"video": VideoSettings(size=32), "audio": AudioSettings()}, None)
    views = [View(span=(0.0, 2.0)), View(span=(2.0, 4.0))]
    dark, light = decoder.samples("video", (frames, 10), views, thumbnails=True)
    for sample, level in ((dark, 0), (light, 255)):
        assert sample.thumbnail is not None
        with Image.open(io.BytesIO(sample.thumbnail)) as image:
            assert np.abs(np.asarray(image).astype(int) - level).max() < 8
    samples = np.zeros((1, 32_000), np.float32)
    (sound,) = decoder.samples("audio", (samples, 8_000), thumbnails=True)
    assert sound.thumbnail is not None
    (plain,) = decoder.samples("audio", (samples, 8_000))
    assert plain.thumbnail is None
    assert plain.draw is None
