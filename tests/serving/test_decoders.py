"""Uploads are decoded in processes that end: at a limit, at a deadline, when nobody waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import InputError, MissingExtraError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality, Sample
from openbind.serving.decoders import Abandoned, Decoders
from openbind.serving.limits import Limits

MakeDecoders = Callable[..., Decoders]


def read_command(item: bytes) -> Sample:
    """Do what an item says: stand in for decoders that hang, crash or take all memory."""
    command, _, value = item.decode().partition(" ")
    if command == "sleep":
        time.sleep(float(value))
    elif command == "spin":
        end = time.process_time() + float(value)
        while time.process_time() < end:
            pass
    elif command == "allocate":
        np.ones(int(value), np.uint8)
    elif command == "exit":
        os._exit(3)
    elif command == "overflow":
        raise OverflowError("too large")
    elif command == "panic":
        raise BaseException("panic")
    elif command == "missing":
        raise MissingExtraError("reading it", "package", "extra")
    elif command == "refuse":
        raise InputError(item, "refused")
    return Sample(torch.full((1, 2), float(os.getpid())))


def prepare(settings: Any, folder: Path | None) -> Callable[[bytes], Sample]:
    return read_command


@dataclass(frozen=True)
class NoSettings:
    """Commands have none."""


COMMANDS = Modality(
    name="commands",
    accepts="bytes",
    settings=NoSettings,
    prepare=prepare,
    clip_dims=1,
    has_clips=False,
    tower="none",
    scale=1.0,
)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDecoders]:
    """Make decoders of the commands above; they are closed at the end."""
    monkeypatch.setitem(MODALITIES.added, "commands", COMMANDS)
    made: list[Decoders] = []

    def create(work_seconds: float = 20.0, decode_bytes: int = 1 << 30) -> Decoders:
        item = Limits().item.changed(work_seconds=work_seconds)
        decoder: Any = SimpleNamespace(settings={"commands": NoSettings()}, folder=None)
        made.append(Decoders(decoder, Limits(item=item, decode_bytes=decode_bytes)))
        return made[-1]

    yield create
    for decoders in made:
        decoders.close()


def run(decoders: Decoders, command: str, seconds: float = 60.0) -> torch.Tensor | None:
    return decoders.start("commands", command.encode()).result(seconds, lambda: True)


def test_clips_are_those_of_the_space(starter: openbind.Space, media: Path) -> None:
    """Of every modality; errors keep their reason."""
    decoders = Decoders(starter.decoder, Limits())
    for modality, name in (("image", "dog.webp"), ("audio", "dog.ogg"), ("imu", "20-walking.csv")):
        data = (media / name).read_bytes()
        (sample,) = starter.decoder.samples(modality, data)
        found = decoders.start(modality, data).result(60, lambda: True)
        assert found is not None
        torch.testing.assert_close(found, sample.clips, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError) as raised:
        decoders.start("image", b"no image").result(60, lambda: True)
    with pytest.raises(InputError) as expected:
        next(starter.decoder.samples("image", b"no image"))
    assert raised.value.reason == expected.value.reason
    decoders.close()


def test_processes_are_reused(make: MakeDecoders) -> None:
    """After a result, a refusal or an error, but not after they ended."""
    decoders = make()
    first = run(decoders, "pid")
    assert first is not None
    assert first[0, 0] != os.getpid()
    with pytest.raises(InputError, match="refused"):
        run(decoders, "refuse")
    torch.testing.assert_close(run(decoders, "pid"), first)
    with pytest.raises(MissingExtraError):
        run(decoders, "missing")
    with pytest.raises(InputError, match="OverflowError"):
        run(decoders, "overflow")
    torch.testing.assert_close(run(decoders, "pid"), first)
    with pytest.raises(InputError):
        run(decoders, "exit")
    second = run(decoders, "pid")
    assert second is not None
    assert not torch.equal(second, first)


@pytest.mark.parametrize("command", ["panic", "exit", f"allocate {1 << 40}", "allocate 300000000"])
def test_whatever_a_decoder_does(make: MakeDecoders, command: str) -> None:
    """Panics, crashes and too much memory are refusals of the item, and the next is decoded."""
    decoders = make(decode_bytes=200 << 20)
    with pytest.raises(InputError):
        run(decoders, command)
    assert run(decoders, "pid") is not None


def test_time_is_limited(make: MakeDecoders) -> None:
    """By the system, so that no process outlives its limit whatever becomes of the service."""
    decoders = make(work_seconds=0.5)
    with pytest.raises(InputError, match=r"0\.5 s"):
        run(decoders, "spin 30")
    assert run(decoders, "pid") is not None


def test_a_client_that_leaves(make: MakeDecoders) -> None:
    """Its item is given up at once, and its process ends."""
    decoders = make()
    decoding = decoders.start("commands", b"sleep 30")
    with pytest.raises(Abandoned):
        decoding.result(60, lambda: False)
    assert not decoding._worker.process.is_alive()


def test_slow_items_can_wait(make: MakeDecoders) -> None:
    """None says that it goes on; it can be deferred, read later, or ended."""
    decoders = make()
    decoding = decoders.start("commands", b"sleep 0.5")
    assert decoding.result(0.1, lambda: True) is None
    decoding.defer()
    assert decoding.result(60, lambda: True) is not None
    ended = decoders.start("commands", b"sleep 30")
    assert ended.result(0.1, lambda: True) is None
    ended.end()
    assert run(decoders, "pid") is not None


def test_close_ends_what_runs(make: MakeDecoders) -> None:
    """No process is left."""
    decoders = make()
    decoders.warm(2)
    decoding = decoders.start("commands", b"sleep 30")
    decoders.close()
    with pytest.raises(InputError):
        decoding.result(60, lambda: True)
    assert not decoding._worker.process.is_alive()
