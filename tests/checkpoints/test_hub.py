"""A space is pushed to a hub and pulled again; only the needed files of one commit are fetched.

A local server stands in for the Hub; Hugging Face's client runs in a subprocess, because it reads
the Hub's address at import.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_anchors import write_clip
from tests.warm import Warm

COMMITS = ("0" * 40, "1" * 40)
"""Commits of each repository: `main` before and after someone pushes."""
COMMIT = COMMITS[0]


class Hub(http.server.ThreadingHTTPServer):
    """Repositories by name, each a table of files; records what was fetched at which revision."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.fetched: list[str] = []
        self.revisions: list[str] = []
        self.moving: dict[str, dict[str, bytes]] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        for name, (status, code) in self.server.refused.items():
            if f"/{name}/" in f"{path}/":
                self.answer(status, {"error": "Access to this is refused"}, code)
                return
        if found := re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/(\w+)/(.+)", path):
            self.send_file(*found.groups())
        elif found := re.match(r"/api/models/([\w-]+/[\w-]+)(/tree/|/revision/)?(\w*)", path):
            files = self.files(found[1], found[3])
            if files is None:
                self.answer(404, {"error": "Repository not found"}, "RepoNotFound")
            elif found[2] == "/tree/":
                self.answer(200, [
                    {"type": "file", "path": name, "size": len(data), "oid": "0"}
                    for name, data in files.items()
                ])  # fmt: skip
            else:
                siblings = [{"rfilename": name} for name in files]
                commit = self.commit(found[1], found[3])
                self.answer(200, {"id": found[1], "sha": commit, "siblings": siblings})
        else:
            self.answer(404, {"error": "Not found"})

    def commit(self, repository: str, revision: str) -> str:
        """Resolve a revision; `main` of a moving repository is the newest once weights are read."""
        if revision in COMMITS:
            return revision
        moved = repository in self.server.moving and "config.json" in self.server.fetched
        return COMMITS[1] if moved else COMMITS[0]

    def files(self, repository: str, revision: str) -> dict[str, bytes] | None:
        if self.commit(repository, revision) == COMMITS[1]:
            return self.server.moving[repository]
        return self.server.repositories.get(repository)

    def send_file(self, repository: str, revision: str, name: str) -> None:
        data = (self.files(repository, revision) or {}).get(name)
        if data is None:
            self.answer(404, {"error": "Entry not found"}, "EntryNotFound")
            return
        if self.command == "GET":
            self.server.fetched.append(name)
            self.server.revisions.append(revision)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.commit(repository, revision))
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


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub that runs during the test."""
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


Run = Callable[[str], str]


@pytest.fixture
def run(hub: Hub, tmp_path: Path, warm: Warm) -> Run:
    """Runs Python that knows the hub; gives what it prints."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "no_proxy": "*",
    }

    def call(code: str) -> str:
        done = warm.run(code, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return call


@pytest.mark.slow
def test_round_trip(hub: Hub, run: Run) -> None:
    """Pushed, pulled by its id, equal; one modality fetches its tower only, once."""
    code = """
import openbind
from openbind.checkpoints import push_to_hub
space = openbind.load("tiny", weights="random", modalities=["imu", "depth"], device="cpu")
print(push_to_hub(space, "someone/tiny"))
imu = openbind.load("hf:someone/tiny", modalities=["imu"], device="cpu")
again = openbind.load("hf:someone/tiny@main", modalities=["imu"], device="cpu")
x = __import__("torch").ones(1, 6, 2000)
for part in (imu, again):
    assert part.modalities == ("imu",)
    assert (part.embed_tensors({"imu": x})["imu"] == space.embed_tensors({"imu": x})["imu"]).all()
try:
    openbind.load("hf:someone/nothing")
except openbind.CheckpointError as error:
    print(error.path)
"""
    link, refused = run(code).splitlines()
    assert link.endswith(f"someone/tiny/commit/{COMMIT}")
    assert refused == "someone/nothing"
    stored = hub.repositories["someone/tiny"]
    assert {"config.json", "README.md", "imu.safetensors", "depth.safetensors"} <= set(stored)
    assert hub.fetched.count("imu.safetensors") == 1
    assert "depth.safetensors" not in hub.fetched
    front_matter = stored["README.md"].decode().split("---")[1]
    assert "library_name: openbind" in front_matter
    assert "- imu" in front_matter


@pytest.mark.slow
def test_choice_of_weights(hub: Hub, run: Run) -> None:
    """Of several files of weights one is fetched; without weights in a known format: an error."""
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
    print(error.path)
"""
    both, old, openclip, bare = run(code).splitlines()
    assert both == "config.json model.safetensors"
    assert old == "config.json pytorch_model.bin"
    assert openclip == "open_clip_config.json open_clip_model.safetensors"
    assert bare == "a/bare"


@pytest.mark.slow
def test_one_commit(hub: Hub, run: Run) -> None:
    """Config and weights are of one commit, though someone pushes between the two requests."""
    config = b'{"model_type": "clip"}'
    hub.repositories["a/moving"] = {"config.json": config, "model.safetensors": b"old"}
    hub.moving["a/moving"] = {"config.json": config, "model.safetensors": b"new"}
    code = """
from openbind.checkpoints.hub import pull
folder = pull("a/moving")
print(folder.name, (folder / "model.safetensors").read_text())
"""
    assert run(code) == f"{COMMITS[0]} old"
    assert set(hub.revisions) == {COMMITS[0]}


@pytest.mark.slow
def test_format_of_another_package(hub: Hub, run: Run) -> None:
    """An added format states which files of a repository are fetched, and loads them."""
    hub.repositories["a/toy"] = {"config.json": b'{"toy": 1}', "toy.bin": b"7", "other.bin": b"x"}
    code = """
import openbind
from openbind.checkpoints.formats import FORMATS, CheckpointFormat
def load(listing, **options):
    space = openbind.load("tiny", weights="random", modalities=["imu"], device="cpu")
    space.number = int((listing.path / "toy.bin").read_text())
    return space
FORMATS.add("toy", CheckpointFormat(
    name="toy",
    sniff=lambda listing: 100 if "toy" in listing.config else 0,
    load=load,
    weights=lambda listing, modalities: [["toy.safetensors"], ["toy.bin"]],
))
print(openbind.load("hf:a/toy").number)
"""
    assert run(code) == "7"
    assert "other.bin" not in hub.fetched


@pytest.mark.slow
def test_only_what_draws_is_fetched(hub: Hub, run: Run) -> None:
    """Of a diffusion model UNet and VAE, in half precision where there is; no encoders."""
    parts = ("unet", "vae", "text_encoder", "image_encoder")
    kinds = ("diffusion_pytorch_model", "diffusion_pytorch_model.fp16")
    names = [f"{part}/{kind}.safetensors" for part in parts for kind in kinds]
    weights = {name: name.encode() for name in names}  # equal files would be fetched once
    settings = [*(f"{part}/config.json" for part in parts), "scheduler/scheduler_config.json"]
    settings += ["model_index.json", "image_normalizer/config.json"]
    hub.repositories["a/unclip"] = weights | dict.fromkeys(settings, b"{}")
    hub.repositories["a/pickles"] = dict.fromkeys(settings, b"{}") | {"unet/model.bin": b"x"}
    hub.repositories["a/adapter"] = {"models/a.safetensors": b"x", "models/b.safetensors": b"x"}
    code = """
from openbind.checkpoints import hub
from openbind.errors import CheckpointError
print(hub.is_fetched("a/unclip", "unet/config.json"))
hub.pull_diffusion("a/unclip")
print(hub.is_fetched("a/unclip", "unet/config.json"))
print(hub.pull_file("a/adapter", "models/a.safetensors").read_text())
for wrong in (lambda: hub.pull_diffusion("a/pickles"), lambda: hub.pull_file("a/adapter", "c")):
    try:
        wrong()
    except CheckpointError as error:
        print(error.path)
"""
    assert run(code).split() == ["False", "True", "x", "a/pickles", "a/adapter"]
    fetched = [name for name in hub.fetched if name.endswith(("safetensors", "bin"))]
    half = [f"{part}/diffusion_pytorch_model.fp16.safetensors" for part in ("unet", "vae")]
    assert sorted(fetched) == ["models/a.safetensors", *half]
    assert not {name for name in hub.fetched if "encoder" in name}


@pytest.mark.slow
def test_anchor(hub: Hub, run: Run, tmp_path: Path) -> None:
    """A model of sentence-transformers is of one commit; its space refers to it, offline too."""
    pytest.importorskip("sentence_transformers", reason="the extra st isn't installed")
    folder = write_clip(tmp_path / "clip")
    hub.repositories["a/clip"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    code = """
import os, warnings
warnings.simplefilter("ignore")
import openbind
space = openbind.load("st:a/clip", device="cpu")
config = space.config.towers["text"].config
print(config.name, config.revision, space.card.license, space.card.sources[0].origin)
openbind.save(space, "SAVED")
for name in ("st:a/none", "st:a/clip@nothing"):
    try:
        openbind.load(name, device="cpu")
    except openbind.CheckpointError as error:
        print(error.path, "check the name" in error.reason)
""".replace("SAVED", str(tmp_path / "saved"))
    loaded, missing, *_ = run(code).splitlines()
    assert loaded == f"a/clip {COMMIT} apache-2.0 hf:a/clip"
    assert missing == "a/none True"
    offline = """
import os, warnings
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import openbind
print(openbind.load("SAVED", device="cpu").encode("text", ["red"]).shape)
try:
    openbind.load("st:a/other", device="cpu")
except openbind.CheckpointError as error:
    print("connect once" in error.reason)
""".replace("SAVED", str(tmp_path / "saved"))
    assert run(offline).splitlines() == ["(1, 16)", "True"]


@pytest.mark.slow
def test_refused_repositories(hub: Hub, run: Run) -> None:
    """Gated, private, missing and failing ones, wrong revisions and tokens: one message each."""
    hub.refused = {
        "a/gated": (403, "GatedRepo"),
        "a/private": (401, "RepoNotFound"),
        "a/missing": (404, "RepoNotFound"),
        "a/revision": (404, "RevisionNotFound"),
        "a/token": (401, ""),
        "a/failing": (500, ""),
    }
    code = """
import openbind
for prefix, end in (("st:", ""), ("hf:", ""), ("tipsv2:", ""), ("pe-av:", "#audio")):
    for name in NAMES:
        try:
            openbind.load(f"{prefix}{name}{end}", device="cpu")
        except openbind.CheckpointError as error:
            assert error.path == name, error.path
            print(prefix, name.split("/")[1], error.reason.replace(chr(10), "|"), sep="~")
""".replace("NAMES", repr(list(hub.refused)))
    found: dict[str, set[str]] = {}
    for line in run(code).splitlines():
        _, name, reason = line.split("~")
        found.setdefault(name, set()).add(reason)
    expected = {
        "gated": "accept its terms",
        "private": "check the name",
        "missing": "check the name",
        "revision": "no such branch",
        "token": "hf auth login",
        "failing": "500",
    }
    assert found.keys() == expected.keys()
    for name, advice in expected.items():
        (reason,) = found[name]
        assert advice in reason, reason
        assert len(reason) < 300, reason


@pytest.mark.slow
def test_published_license(hub: Hub, run: Run) -> None:
    """A space that refers to a stricter model isn't published as a permissive one."""
    code = """
from dataclasses import replace
import openbind
from openbind.checkpoints import push_to_hub
from openbind.space.card import Source
space = openbind.load("tiny", weights="random", modalities=["imu"], device="cpu")
frozen = Source(name="a/b", use="frozen: text", license="cc-by-nc-4.0", origin="hf:a/b")
for license in ("apache-2.0", "cc-by-nc-4.0"):
    space.card = replace(space.card, license=license, sources=(frozen,))
    try:
        print(push_to_hub(space, "someone/stricter"))
    except openbind.CheckpointError as error:
        print("cc-by-nc-4.0" in error.reason and "a/b" in error.reason)
"""
    refused, link = run(code).splitlines()
    assert refused == "True"
    assert link.endswith(f"someone/stricter/commit/{COMMIT}")
    from huggingface_hub import ModelCard

    stored = ModelCard(hub.repositories["someone/stricter"]["README.md"].decode()).data
    assert (stored.license, stored.library_name) == ("cc-by-nc-4.0", "openbind")
    assert stored.base_model == ["a/b"]
    assert {"embeddings", "imu"} <= set(stored.tags)
