"""`openbind serve`: a program that serves until it is told to end, and isn't open by accident."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from openbind.cli import serve

Run = Callable[..., tuple[int, str, str]]
KEY = {"Authorization": "Bearer secret"}


@contextmanager
def served(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the program on a free port with a key; gives it, what it serves, and its address."""
    program = subprocess.Popen(
        [sys.executable, "-m", "openbind", "serve", "--port", "0", *map(str, arguments)],
        env={**os.environ, "OPENBIND_API_KEY": "secret"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stderr is not None
    told = ""
    while not (found := re.search(r"serving (.+) at (http://127\.0\.0\.1:\d+)/", told)):
        line = program.stderr.readline()
        assert line, told
        told += line
    yield program, found[1], found[2]
    program.kill()
    program.wait()
    program.stderr.close()


def test_serves_until_told_to_end() -> None:
    """A request under way is answered after SIGTERM; then the program ends by itself."""
    answers: list[httpx.Response] = []
    with (
        served() as (program, what, url),
        httpx.Client(base_url=url, headers=KEY, timeout=60) as client,
    ):
        assert what == "the space starter"
        assert client.get("/health").json()["model"] == "starter"
        body = {"input": [f"text number {n} of many, to take a while" for n in range(600)]}
        asking = threading.Thread(
            target=lambda: answers.append(client.post("/v1/embeddings", json=body))
        )
        asking.start()
        with httpx.Client(base_url=url, headers=KEY) as other:
            while "openbind_backlog_seconds 0.0" in other.get("/metrics").text:
                assert asking.is_alive()
        program.send_signal(signal.SIGTERM)
        asking.join(60)
        assert len(answers[0].json()["data"]) == 600
        assert program.wait(30) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


@pytest.mark.slow
def test_folders_are_indexed_first(media: Path) -> None:
    """In one line from folders to search; the next time only what is new is embedded."""
    with served(media) as (_, what, url):
        assert what == f"6 rows of {media / '.openbind'}"
        body = {"parts": [{"input": "a rooster"}]}
        found = httpx.post(f"{url}/v1/search", json=body, headers=KEY).json()["data"]
        assert found[0]["path"].startswith("media/rooster")
    more = media.with_name("more")
    more.mkdir()
    shutil.copy(media / "dog.webp", more)
    (more / "broken.png").write_bytes(b"no image")
    with served(media, more) as (_, what, _):
        assert what.startswith("7 rows")
    with served("--index", media) as (_, what, _):
        assert what.startswith("7 rows")


def test_folders_or_an_index(run: Run, media: Path) -> None:
    """Not both."""
    assert "not both" in run("serve", media, "--index", media, "--port", "0")[2]


def test_other_machines_need_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one only this machine itself is served."""
    monkeypatch.delenv("OPENBIND_API_KEY", raising=False)
    for host in ("0.0.0.0", "::", "192.168.0.1"):
        code, out, err = run("serve", "--host", host, "--port", "0")
        assert (code, out) == (1, "")
        assert "OPENBIND_API_KEY" in err


def test_answers_leave_at_once() -> None:
    """No answer waits for the client's system to acknowledge its first packet."""
    with (
        serve._listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port(run: Run) -> None:
    """It is told in one line, before a model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run("serve", "--port", taken.getsockname()[1])
        assert code == 1
        assert "can't be listened on" in err
        assert len(err.splitlines()) == 1
    assert "0 to 65535" in run("serve", "--port", "70000")[2]


def test_without_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "openbind[serve]" in run("serve", "--port", "0")[2]
