"""A space goes to a hub and comes back; of a repository only what is needed is fetched.

A small hub on this machine answers Hugging Face's own client, in a process of its own because the
client reads the hub's address when it is imported.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789012345678901234567890123456789"


class Hub(http.server.ThreadingHTTPServer):
    """Repositories by name, each a table of files; what was fetched is noted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.fetched: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if found := re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/\w+/(.+)", path):
            self.send_file(*found.groups())
        elif found := re.match(r"/api/models/([\w-]+/[\w-]+)(/tree/)?", path):
            files = self.server.repositories.get(found[1])
            if files is None:
                self.answer(404, {"error": "Repository not found"}, "RepoNotFound")
            elif found[2]:
                self.answer(200, [
                    {"type": "file", "path": name, "size": len(data), "oid": "0"}
                    for name, data in files.items()
                ])  # fmt: skip
            else:
                siblings = [{"rfilename": name} for name in files]
                self.answer(200, {"id": found[1], "sha": COMMIT, "siblings": siblings})
        else:
            self.answer(404, {"error": "Not found"})

    def send_file(self, repository: str, name: str) -> None:
        data = self.server.repositories[repository].get(name)
        if data is None:
            self.answer(404, {"error": "Entry not found"}, "EntryNotFound")
            return
        if self.command == "GET":
            self.server.fetched.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            values = json.loads(body)
            repository = "/".join(filter(None, [values.get("organization"), values["name"]]))
            self.server.repositories.setdefault(repository, {})
            return self.answer(200, {"url": f"{self.server.url}/{repository}", "name": repository})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        found = re.match(r"/api/models/([\w-]+/[\w-]+)/(\w+)", self.path)
        assert found, self.path
        repository, verb = found.groups()
        if verb == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                data = base64.b64decode(value["content"])
                self.server.repositories[repository][value["path"]] = data
        url = f"{self.server.url}/{repository}/commit/{COMMIT}"
        return self.answer(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})

    def answer(self, status: int, values: Any, code: str = "") -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub that runs as long as this file's tests."""
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(hub: Hub, tmp_path: Path, code: str) -> str:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "no_proxy": "*",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_there_and_back(hub: Hub, tmp_path: Path) -> None:
    """Pushed, pulled by its id, equal; one modality fetches its tower alone, once."""
    code = """
import openbind
from openbind.checkpoints import push_to_hub
space = openbind.load("tiny", weights="random", modalities=["imu", "depth"], device="cpu")
print(push_to_hub(space, "someone/tiny"))
imu = openbind.load("hf:someone/tiny", modalities=["imu"], device="cpu")
again = openbind.load("someone/tiny", modalities=["imu"], device="cpu")
x = __import__("torch").ones(1, 6, 2000)
for part in (imu, again):
    assert part.modalities == ("imu",)
    assert (part.embed_tensors({"imu": x})["imu"] == space.embed_tensors({"imu": x})["imu"]).all()
try:
    openbind.load("someone/nothing")
except openbind.CheckpointError as error:
    print(error)
"""
    link, refused = run(hub, tmp_path, code).splitlines()
    assert link.endswith(f"someone/tiny/commit/{COMMIT}")
    assert "someone/nothing: neither a directory here nor a repository" in refused
    stored = hub.repositories["someone/tiny"]
    assert {"config.json", "README.md", "imu.safetensors", "depth.safetensors"} <= set(stored)
    assert hub.fetched.count("imu.safetensors") == 1
    assert "depth.safetensors" not in hub.fetched


@pytest.mark.slow
def test_choice_of_weights(hub: Hub, tmp_path: Path) -> None:
    """Of several formats one is fetched; a repository without weights says so."""
    clip = {"config.json": b'{"model_type": "clip"}'}
    hub.repositories["a/both"] = clip | {"model.safetensors": b"x", "pytorch_model.bin": b"x"}
    hub.repositories["a/old"] = clip | {"pytorch_model.bin": b"x", "flax_model.msgpack": b"x"}
    hub.repositories["a/openclip"] = {
        "open_clip_config.json": b"{}",
        "open_clip_pytorch_model.bin": b"x",
        "open_clip_model.safetensors": b"x",
    }
    hub.repositories["a/bare"] = {"README.md": b"-"}
    code = """
from openbind.checkpoints.hub import pull
from openbind.errors import CheckpointError
for name in ("both", "old", "openclip"):
    print(" ".join(sorted(path.name for path in pull(f"a/{name}").iterdir())))
try:
    pull("a/bare")
except CheckpointError as error:
    print(error)
"""
    both, old, openclip, bare = run(hub, tmp_path, code).splitlines()
    assert both == "config.json model.safetensors"
    assert old == "config.json pytorch_model.bin"
    assert openclip == "open_clip_config.json open_clip_model.safetensors"
    assert bare == "a/bare: the repository has no weights that openbind can read"
