"""An index of real media files, and services on a real port of this machine."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import torch
from fastapi import FastAPI
from PIL import Image
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import openbind
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import SampleItem
from openbind.search.index import Index, default_folder
from openbind.serving.app import create_app
from openbind.serving.server import Server
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


class InProcess:
    """Decodes in the calling thread, by whatever space a test has."""

    def __init__(self, space: Any) -> None:
        self.space = space

    def start(self, modality: str, item: bytes) -> Finished:
        return Finished(lambda: next(iter(self.space.decoder.samples(modality, item))).clips)

    def warm(self, count: int) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""


class Finished:
    """What `InProcess` decodes, when it is asked for."""

    seconds = 0.0

    def __init__(self, decode: Callable[[], torch.Tensor]) -> None:
        self.decode = decode

    def result(self, seconds: float, wanted: Callable[[], bool]) -> torch.Tensor:
        return self.decode()


@pytest.fixture(scope="session")
def in_process() -> type[InProcess]:
    """Decoders without processes."""
    return InProcess


@pytest.fixture(scope="session")
def running() -> Callable[[FastAPI], AbstractContextManager[httpx.Client]]:
    """Return a context that runs an application and yields a client."""
    return _running


@contextmanager
def _running(app: FastAPI) -> Iterator[httpx.Client]:
    """Run an application as `openbind serve` does, on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(app, app.state.service)
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
def live(
    starter: openbind.Space,
    index: Index,
    painter: Any,
    data_url: Callable[[bytes], str],
    png: bytes,
) -> Iterator[httpx.Client]:
    """A client of a running service that has an index, and a decoder that draws at once."""
    space = starter.with_generator(painter(starter.dim))
    with _running(create_app(Service(space, index))) as client:
        client.get("/")  # the page's cookie
        body = {"modality": "image", "input": data_url(png)}  # starts a decoder
        client.post("/v1/embeddings", json=body).raise_for_status()
        yield client


@pytest.fixture(scope="session")
def echo() -> ASGIApp:
    """An application that responds with the size of the body."""
    return _echo


@pytest.fixture(scope="session")
def request_of() -> Callable[..., tuple[int, bytes, dict[str, str]]]:
    """Return a function that sends one request to an application, without a server."""
    return _request


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the size of the body."""
    message = await receive()
    assert not message.get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(message.get("body", b""))})


def _request(
    app: Any, chunks: list[bytes], *, headers: dict[str, Any] | None = None, path: str = "/x"
) -> tuple[int, bytes, dict[str, str]]:
    """Send one request; a body without chunks never ends."""
    given = iter(
        [
            {"type": "http.request", "body": chunk, "more_body": at < len(chunks) - 1}
            for at, chunk in enumerate(chunks)
        ]
    )
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(given, None)
        if message is None:
            await asyncio.sleep(60)
            raise AssertionError
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in (headers or {}).items()
    ]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
    asyncio.run(app(scope, receive, send))
    if not sent:
        return 0, b"", {}
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]), found
