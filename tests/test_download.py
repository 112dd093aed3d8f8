"""A file is fetched once, whole or not at all; what was interrupted goes on where it stopped.

A server on this machine plays the one far away.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbind.download import cache_directory, download
from openbind.errors import CheckpointError

CONTENT = bytes(range(256)) * 12_000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; breaks off after `limit` bytes; notes the ranges that were asked for."""

    limit: int | None = None
    ranged = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        asked = self.headers.get("Range")
        server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranged else 0
        total = len(CONTENT)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = total if server.limit is None else min(start + server.limit, total)
        self.wfile.write(CONTENT[start:end])
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs as long as the test."""
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


SIZES = (len(CONTENT), len(CONTENT))


def test_whole_file(server: Server, tmp_path: Path) -> None:
    """The file is there under its name, nothing half beside it; a second call asks nobody."""
    target = tmp_path / "deep" / "weights.pth"
    for _ in range(2):
        download(server.url, target, SIZES, progress=False)
    assert target.read_bytes() == CONTENT
    assert not list(target.parent.glob("*.part"))
    assert server.asked == [None]


def test_interrupted_and_resumed(server: Server, tmp_path: Path) -> None:
    """A connection that breaks off is an error; the next call asks for the rest alone."""
    target = tmp_path / "weights.pth"
    server.limit = 1_500_000
    with pytest.raises(CheckpointError, match=r"3,072,000 bytes, found 1,500,000; run it again"):
        download(server.url, target, SIZES, progress=False)
    assert not target.exists()
    server.limit = None
    download(server.url, target, SIZES, progress=False)
    assert server.asked == [None, "bytes=1500000-"]
    assert target.read_bytes() == CONTENT


def test_server_without_ranges(server: Server, tmp_path: Path) -> None:
    """A server that sends everything again is taken at its word: nothing is doubled."""
    server.ranged = False
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 1000)
    download(server.url, tmp_path / "weights.pth", SIZES, progress=False)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_part_that_is_whole(server: Server, tmp_path: Path) -> None:
    """A run that was stopped before the renaming is finished."""
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "weights.pth", SIZES, progress=False)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_part_that_is_too_long(server: Server, tmp_path: Path) -> None:
    """What can't be a part of the file is thrown away, and said."""
    part = tmp_path / "weights.pth.part"
    part.write_bytes(CONTENT + b"more")
    with pytest.raises(CheckpointError, match="run it again"):
        download(server.url, tmp_path / "weights.pth", SIZES, progress=False)
    assert not part.exists()


@pytest.mark.parametrize("sizes", [(1, 100), (5_000_000, 6_000_000)])
def test_wrong_size(server: Server, tmp_path: Path, sizes: tuple[int, int]) -> None:
    """Another file is refused before a byte of it is kept."""
    with pytest.raises(CheckpointError, match="the server offers 3,072,000: another file"):
        download(server.url, tmp_path / "weights.pth", sizes, progress=False)
    assert not list(tmp_path.glob("weights.pth*[!k]"))


def test_nobody_there(tmp_path: Path) -> None:
    """A server that can't be reached is named."""
    with pytest.raises(CheckpointError, match=r"http://127\.0\.0\.1:9/x: the download stopped"):
        download("http://127.0.0.1:9/x", tmp_path / "x", (1, 2), progress=False)


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    """Of two that fetch the same file one does, and both find it."""
    target = tmp_path / "weights.pth"
    threads = [
        threading.Thread(target=download, args=(server.url, target, SIZES), kwargs={"progress": 0})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


def test_directory_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$OPENBIND_CACHE says where; without it the user's own folder is taken."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "here"))
    assert cache_directory() == tmp_path / "here"
    monkeypatch.delenv("OPENBIND_CACHE")
    assert cache_directory().name == "openbind"
