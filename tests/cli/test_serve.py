"""`openbind serve`: a program that serves until interrupted, and isn't open by accident."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import httpx2 as httpx
import pytest
from PIL import Image

from openbind import Space
from openbind.checkpoints import hub
from openbind.cli import serve
from openbind.evaluation import decoders
from openbind.generation import large
from openbind.serving.server import Server
from tests.tiny_diffusion import bridge_of

Run = Callable[..., tuple[int, str, str]]
KEY = {"Authorization": "Bearer secret"}


@contextmanager
def served(*changes: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the program on a free port with a key; yield it, what it serves, and its address.

    Args:
        changes: lines of Python that come before.
    """
    code = "import sys\nfrom openbind.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    program = subprocess.Popen(
        [sys.executable, "-c", "\n".join([*changes, code]), "serve", "--port", "0"],
        env={**os.environ, "OPENBIND_API_KEY": "secret"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stderr is not None
    log = ""
    while not (found := re.search(r"serving (.+) at (http://127\.0\.0\.1:\d+)/", log)):
        line = program.stderr.readline()
        assert line, log
        log += line
    yield program, found[1], found[2]
    program.kill()
    program.wait()
    program.stderr.close()


@pytest.mark.slow
def test_serves_until_interrupted() -> None:
    """An open request is answered after SIGTERM; then the program ends."""
    responses: list[httpx.Response] = []
    with (
        served() as (program, what, url),
        httpx.Client(base_url=url, headers=KEY, timeout=60) as client,
    ):
        assert what == "the space starter"
        assert client.get("/health").json()["model"] == "starter"
        body = {"input": [f"text number {n} of many, to take a while" for n in range(600)]}
        client_thread = threading.Thread(
            target=lambda: responses.append(client.post("/v1/embeddings", json=body))
        )
        client_thread.start()
        with httpx.Client(base_url=url, headers=KEY) as other:
            while "openbind_backlog_seconds 0.0" in other.get("/metrics").text:
                assert client_thread.is_alive()
        program.send_signal(signal.SIGTERM)
        client_thread.join(60)
        assert len(responses[0].json()["data"]) == 600
        assert program.wait(30) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


@pytest.mark.slow
def test_ends_with_much_work_left() -> None:
    """Soon after the time for open requests, of which each gets an answer or 503."""
    statuses: list[int] = []
    texts = [f"{n} " + "a few words of several letters " * 450 for n in range(2000)]

    def post(url: str) -> None:
        body = {"input": texts}
        statuses.append(
            httpx.post(f"{url}/v1/embeddings", json=body, headers=KEY, timeout=120).status_code
        )

    soon = "from openbind.serving import server; server.DRAIN_SECONDS = 4.0"
    with served(soon) as (program, _, url):
        clients = [threading.Thread(target=post, args=(url,)) for _ in range(2)]
        for client in clients:
            client.start()
        while "openbind_backlog_seconds 0.0" in httpx.get(f"{url}/metrics", headers=KEY).text:
            assert clients[0].is_alive()
        program.send_signal(signal.SIGTERM)
        program.wait(20)
        for client in clients:
            client.join(10)
    assert len(statuses) == 2
    assert set(statuses) <= {200, 503}


@pytest.mark.slow
def test_folders_are_indexed_meanwhile(
    run: Run, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command from folders to search, up at once; the next run embeds only new files."""
    seen: list[tuple[int, str]] = []

    def visit(client: httpx.Client) -> None:
        while (index := client.get("/v1/index").json())["updating"]:
            time.sleep(0.1)
        body = {"parts": [{"input": "a rooster"}]}
        found = client.post("/v1/search", json=body).json()["data"]
        seen.append((index["rows"], found[0]["path"]))

    def serve_once(*arguments: object) -> str:
        code, _, err = run("serve", *arguments, "--port", "0")
        assert code == 0, err
        found = re.search(r"serving (.+) at http://127\.0\.0\.1:\d+/", err)
        assert found
        return found[1]

    monkeypatch.setattr(Visited, "visit", staticmethod(visit), raising=False)
    monkeypatch.setattr("openbind.serving.server.Server", Visited)
    assert serve_once(media).endswith(f"rows of {media / '.openbind'}")
    more = media.with_name("more")
    more.mkdir()
    shutil.copy(media / "dog.webp", more)
    (more / "broken.png").write_bytes(b"no image")
    serve_once(media, more)
    assert serve_once("--index", media).startswith("7 rows")
    assert [rows for rows, _ in seen] == [6, 7, 7]
    assert all(path.startswith("media/rooster") for _, path in seen)


def test_folders_or_an_index(run: Run, media: Path) -> None:
    """They exclude each other."""
    assert "not both" in run("serve", media, "--index", media, "--port", "0")[2]


def test_other_machines_need_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key only this machine is served."""
    monkeypatch.delenv("OPENBIND_API_KEY", raising=False)
    for host in ("0.0.0.0", "::", "192.168.0.1"):
        code, out, err = run("serve", "--host", host, "--port", "0")
        assert (code, out) == (1, "")
        assert "OPENBIND_API_KEY" in err


def test_responses_leave_at_once() -> None:
    """No response waits for the client's system to acknowledge its first packet (TCP_NODELAY)."""
    with (
        serve._listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port(run: Run) -> None:
    """A port in use is reported in one line, before a model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run("serve", "--port", taken.getsockname()[1])
        assert code == 1
        assert f"127.0.0.1:{taken.getsockname()[1]}" in err
        assert len(err.splitlines()) == 1
    assert "--port 70000" in run("serve", "--port", "70000")[2]


def test_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "openbind.serving.server", raising=False)
    assert "openbind[serve]" in run("serve", "--port", "0")[2]


def test_a_bridge_needs_a_decoder(run: Run, tmp_path: Path) -> None:
    """And a decoder that doesn't fit the space is refused before anything is served."""
    code, _, err = run("serve", "--port", "0", "--bridge", tmp_path / "b.safetensors")
    assert code == 2 or code == 1
    assert "--bridge" in err
    code, _, err = run("serve", "--port", "0", "--decoder", "unclip-h")
    assert code != 0
    assert "openbind bridge" in err


class Visited(Server):
    """Serves in a thread while its visitor makes requests, then stops."""

    visit: Callable[[httpx.Client], None]

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        thread = threading.Thread(target=super().run, args=(sockets,))
        thread.start()
        try:
            while not self.started:
                assert thread.is_alive()
                time.sleep(0.01)
            with httpx.Client(base_url=url, timeout=60) as client:
                type(self).visit(client)
        finally:
            self.should_exit = True
            thread.join()


@pytest.fixture
def folder(tiny_diffusion: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large decoder named "tiny" in the layout of the public ones, as if it were downloaded."""
    pytest.importorskip("diffusers", reason="the extra generate isn't installed")
    monkeypatch.setitem(large.DECODERS.added, "tiny", tiny_diffusion.entry_of("unclip"))
    folder: Path = tiny_diffusion.save_model(tmp_path / "model", "unclip")
    monkeypatch.setattr(decoders, "SAMPLES", 4)
    monkeypatch.setattr(hub, "is_fetched", lambda *_: True)
    monkeypatch.setattr(hub, "pull_diffusion", lambda _: folder)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers.*")
def test_serves_a_large_decoder_over_a_bridge(
    run: Run,
    starter: Space,
    media: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Texts and images are drawn by it, wrong requests are refused, and all is the same again."""
    bridge, seen = tmp_path / "bridge.safetensors", []
    bridge_of(starter, large.DECODERS.get("tiny").family.dim).save(bridge)
    picture = base64.b64encode((media / "dog.webp").read_bytes()).decode()
    picture = f"data:image/webp;base64,{picture}"

    def visit(client: httpx.Client) -> None:
        assert client.get("/v1/models").json()["data"][0]["draws"] is True
        parts = [{"modality": "image", "input": picture}]
        for query in ({"prompt": "a dog"}, {"prompt": "a dog"}, {"parts": parts}):
            answer = client.post("/v1/images/generations", json={**query, "n": 2, "steps": 1})
            assert answer.status_code == 200, answer.text
            seen.append([base64.b64decode(row["b64_json"]) for row in answer.json()["data"]])
        wrong = client.post("/v1/images/generations", json={"prompt": "a dog", "steps": 0})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "steps")

    monkeypatch.setattr(Visited, "visit", staticmethod(visit), raising=False)
    monkeypatch.setattr("openbind.serving.server.Server", Visited)
    code, _, err = run("serve", "--decoder", "tiny", "--bridge", bridge, "--port", "0")
    assert code == 0, err
    text, again, image = seen
    assert text == again
    assert text[0] != text[1]
    assert text[0] != image[0]
    for data in (*text, *image):
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.size == (32, 32)


def test_decoders_that_do_not_fit_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    """Before anything is served: without a bridge, with a missing one, by an unknown name."""
    code, _, err = run("serve", "--decoder", "tiny", "--port", "0")
    assert (code, "openbind bridge starter" in err) == (1, True)
    missing = tmp_path / "missing.safetensors"
    code, _, err = run("serve", "--decoder", "tiny", "--bridge", missing, "--port", "0")
    assert (code, "missing.safetensors" in err) == (1, True)
    code, _, err = run("serve", "--bridge", missing, "--port", "0")
    assert (code, "--decoder" in err) == (1, True)
    code, _, err = run("serve", "--decoder", "unclip-x", "--port", "0")
    assert (code, "unclip-h" in err) == (1, True)
