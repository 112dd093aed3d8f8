"""Recordings converted for browsers: kept, bounded, refused with the reason, served by ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI

import openbind
from openbind import Index
from openbind.serving.app import create_app
from openbind.serving.errors import ApiError
from openbind.serving.limits import Limits
from openbind.serving.playing import Playables
from openbind.serving.service import Service

pytest.importorskip("av", reason="the extra video isn't installed")


def write(path: Path, level: float) -> Path:
    """Write a second of noise."""
    soundfile.write(path, np.random.default_rng(0).normal(0, level, 44_100), 44_100)
    return path


def test_kept_and_bounded(tmp_path: Path) -> None:
    """One is made once; those used longest ago make room; failures say why."""
    first, second = write(tmp_path / "a.aiff", 0.1), write(tmp_path / "b.aiff", 0.2)
    (tmp_path / "broken.aiff").write_bytes(b"FORM" + bytes(99))

    async def run() -> None:
        playables = Playables(replace(Limits(), playable_bytes=30_000))
        made = await playables.get(first, images=False)
        assert made.read_bytes()[4:8] == b"ftyp"
        before = made.stat()
        assert await playables.get(first, images=False) == made
        assert made.stat().st_mtime_ns == before.st_mtime_ns
        other = await playables.get(second, images=False)
        assert (other.exists(), made.exists()) == (True, False)
        with pytest.raises(ApiError) as caught:
            await playables.get(tmp_path / "broken.aiff", images=False)
        assert (caught.value.status, caught.value.code) == (415, "not_playable")
        playables.close()
        assert not other.exists()

    asyncio.run(run())


def test_route(
    tmp_path: Path,
    starter: openbind.Space,
    running: Callable[[FastAPI], AbstractContextManager[httpx.Client]],
) -> None:
    """Ranges of a converted file; needs the page's cookie."""
    (tmp_path / "files").mkdir()
    write(tmp_path / "files" / "noise.aiff", 0.1)
    index = Index.create(tmp_path / "index", starter, [tmp_path / "files"])
    index.update(starter)
    with running(create_app(Service(starter, index))) as client:
        (hit,) = client.get("/v1/sample").json()["data"]
        assert hit["media_type"] is None
        assert client.get(hit["playable_url"]).status_code == 403
        client.get("/")
        whole = client.get(hit["playable_url"])
        assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/mp4")
        part = client.get(hit["playable_url"], headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
