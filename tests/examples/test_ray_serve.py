"""Replicas behind Ray Serve answer as the service does, from one index."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import openbind
from openbind.search.index import Index

pytestmark = pytest.mark.slow

pytest.importorskip("ray", reason="Ray isn't installed")
pytest.importorskip("grpc_reflection", reason="Ray Serve isn't installed: pip install 'ray[serve]'")

SCRIPT = Path(__file__).parents[2] / "examples" / "ray_serve.py"
START_SECONDS = 240


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ask(url: str, body: dict[str, Any] | None = None, key: str = "secret") -> Any:
    """Send a request and return the JSON of its answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.load(answer)


def test_two_replicas(tmp_path: Path, samples: Path, starter: openbind.Space) -> None:
    """Vectors are the space's, searches find the index's files, and a wrong key is refused."""
    images = sorted((samples / "images").iterdir())[:3]
    for path in images:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Index.create(tmp_path / ".openbind", starter, [tmp_path]).update(starter)
    port = free_port()
    environment = {
        **os.environ,
        "OPENBIND_API_KEY": "secret",
        "OPENBIND_INDEX": str(tmp_path / ".openbind"),
        "RAY_worker_niceness": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, str(SCRIPT), "--replicas", "2", "--cpus", "0.5", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while b"serving at" not in (tmp_path / "log").read_bytes():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(1)
        url = f"http://127.0.0.1:{port}"
        body = {"model": "starter", "input": ["a dog"]}
        for _ in range(4):  # both replicas
            found = ask(f"{url}/v1/embeddings", body)["data"][0]["embedding"]
            assert found == pytest.approx(starter.encode("text", "a dog").tolist(), abs=1e-5)
        hits = ask(f"{url}/v1/search", {"parts": [{"input": "a dog"}], "top_k": 3})
        assert len(hits["data"]) == 3
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{url}/v1/embeddings", body, key="wrong")
        assert caught.value.code == 401
        caught.value.close()
    finally:
        process.terminate()
        process.wait(60)
