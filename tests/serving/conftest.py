"""An index of real media files, and services on a real port of this machine."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

import openbind
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import SampleItem
from openbind.search.index import Index, default_folder
from openbind.serving.app import create_app
from openbind.serving.service import Service


@pytest.fixture(scope="session")
def data_url() -> Callable[[bytes], str]:
    """Return bytes as a data URL."""
    return lambda content: f"data:;base64,{base64.b64encode(content).decode()}"


@pytest.fixture(scope="session")
def png() -> bytes:
    """A small image."""
    out = BytesIO()
    Image.linear_gradient("L").resize((32, 24)).convert("RGB").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def running() -> Callable[[FastAPI], AbstractContextManager[httpx.Client]]:
    """Return a context that runs an application and yields a client."""
    return _running


@contextmanager
def _running(app: FastAPI) -> Iterator[httpx.Client]:
    """Run an application as `openbind serve` does, on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="session")
def media(
    samples: Path, sample_items: list[SampleItem], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of images, audio, a depth map and an IMU recording."""
    root = tmp_path_factory.mktemp("media")
    for modality in ("image", "audio"):
        for concept in ("dog", "rooster", "rain"):
            item = next(i for i in sample_items if (i.modality, i.concept) == (modality, concept))
            shutil.copy(samples / item.path, root / f"{concept}{Path(item.path).suffix}")
    shutil.copy(held_out_folder() / "rooms/kitchen-1.png", root)
    shutil.copy(held_out_folder() / "basicmotions/20-walking.csv", root)
    return root


@pytest.fixture(scope="session")
def index(starter: openbind.Space, media: Path) -> Index:
    """An index of that folder."""
    type_overrides = {"kitchen-*.png": "depth", "*.csv": "imu"}
    made = Index.create(default_folder([media]), starter, [media], type_overrides=type_overrides)
    made.update(starter)
    return made


@pytest.fixture(scope="session")
def live(starter: openbind.Space, index: Index) -> Iterator[httpx.Client]:
    """A client of a running service that has an index."""
    with _running(create_app(Service(starter, index))) as client:
        yield client
