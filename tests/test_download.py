"""A download is complete and verified, or not there; it resumes only the version it began with.

A local HTTP server stands in for the remote one.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from openbind.download import _KeepHttps, cache_directory, download
from openbind.errors import CheckpointError

CONTENT = bytes(range(256)) * 12_000
CHANGED = CONTENT[::-1]
SIZES = (len(CONTENT), len(CONTENT))
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; disconnects after `limit` bytes; records the requested ranges."""

    limit: int | None = None
    supports_ranges = True
    ignores_versions = False
    shift = 0
    validator: str | None = "ETag"
    content = CONTENT

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/weights.pth"

    @property
    def version(self) -> str:
        """The current validator: an ETag, or a date that depends on the content."""
        if self.validator == "ETag":
            return f'"{hashlib.sha256(self.content).hexdigest()}"'
        return f"Sun, 29 Nov 2026 10:00:{self.content[0] % 60:02} GMT"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        is_other = self.headers.get("If-Range") not in (None, server.version)
        if not server.supports_ranges or (is_other and not server.ignores_versions):
            wanted = None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        total = len(server.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start + server.shift}-{total - 1}/{total}")
        if server.validator:
            self.send_header(server.validator, server.version)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = total if server.limit is None else min(start + server.limit, total)
        self.wfile.write(server.content[start:end])
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs during the test."""
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def interrupt(server: Server, target: Path, size: int = 1_500_000) -> None:
    """Download the first `size` bytes."""
    server.limit = size
    with pytest.raises(CheckpointError, match="run again to resume"):
        download(server.url, target, SIZES, progress=False)
    server.limit = None
    assert not target.exists()


def remaining_files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, without locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_complete_file(server: Server, tmp_path: Path) -> None:
    """Only the complete file is left; a second call sends no request."""
    target = tmp_path / "deep" / "weights.pth"
    for _ in range(2):
        download(server.url, target, SIZES, sha256=DIGEST, progress=False)
    assert target.read_bytes() == CONTENT
    assert remaining_files(target.parent) == ["weights.pth"]
    assert server.ranges == [None]


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_interrupted_and_resumed(server: Server, tmp_path: Path, validator: str) -> None:
    """The next call requests only the remaining bytes."""
    server.validator = validator
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    download(server.url, target, SIZES, progress=False)
    assert server.ranges == [None, "bytes=1500000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_file_changed_meanwhile(server: Server, tmp_path: Path, validator: str) -> None:
    """A changed file of the same size is downloaded from the start, never spliced."""
    server.validator = validator
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    server.content = CHANGED
    download(server.url, target, SIZES, progress=False)
    assert target.read_bytes() == CHANGED


def test_no_validator(server: Server, tmp_path: Path) -> None:
    """A server that states no version isn't trusted to have kept it: a full download."""
    server.validator = None
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    server.content = CHANGED
    download(server.url, target, SIZES, progress=False)
    assert server.ranges == [None, None]
    assert target.read_bytes() == CHANGED


def test_server_without_ranges(server: Server, tmp_path: Path) -> None:
    """A server that ignores the range sends everything; nothing is appended."""
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    server.supports_ranges = False
    download(server.url, target, SIZES, progress=False)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("shift", [0, 7])
def test_wrong_parts(server: Server, tmp_path: Path, shift: int) -> None:
    """A part of another version, or from another byte, is never appended."""
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    server.shift = shift
    if not shift:
        server.content, server.ignores_versions = CHANGED, True
    with pytest.raises(CheckpointError, match="another part or version"):
        download(server.url, target, SIZES, progress=False)
    assert not target.exists()
    download(server.url, target, SIZES, progress=False)
    assert target.read_bytes() == server.content


@pytest.mark.parametrize("url", ["http://b/x", "ftp://b/x", "file:///etc/passwd"])
def test_redirects_stay_encrypted(url: str) -> None:
    """From https only to https; from http to either."""
    handler, old = _KeepHttps(), urllib.request.Request("https://a/x")
    with pytest.raises(urllib.error.HTTPError, match="away from https"):
        handler.redirect_request(old, io.BytesIO(), 302, "Found", Message(), url)  # type: ignore[arg-type]
    followed = handler.redirect_request(old, io.BytesIO(), 302, "Found", Message(), "https://b/x")  # type: ignore[arg-type]
    assert followed is not None


def test_complete_part(server: Server, tmp_path: Path) -> None:
    """A download that was killed just before the renaming is finished without another one."""
    target = tmp_path / "weights.pth"
    interrupt(server, target)
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    download(server.url, target, SIZES, progress=False)
    assert server.ranges == [None, f"bytes={len(CONTENT)}-"]
    assert target.read_bytes() == CONTENT


def test_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    """A part that is too long is deleted, and the next call starts from scratch."""
    target, part = tmp_path / "weights.pth", tmp_path / "weights.pth.part"
    interrupt(server, target)
    part.write_bytes(CONTENT + b"more")
    with pytest.raises(CheckpointError):
        download(server.url, target, SIZES, progress=False)
    assert not part.exists()
    download(server.url, target, SIZES, progress=False)
    assert target.read_bytes() == CONTENT


def test_wrong_digest(server: Server, tmp_path: Path) -> None:
    """A file with another sha256 is deleted."""
    with pytest.raises(CheckpointError) as error:
        download(server.url, tmp_path / "weights.pth", SIZES, sha256="0" * 64, progress=False)
    assert DIGEST in error.value.reason
    assert remaining_files(tmp_path) == []


@pytest.mark.parametrize("sizes", [(1, 100), (5_000_000, 6_000_000)])
def test_wrong_size(server: Server, tmp_path: Path, sizes: tuple[int, int]) -> None:
    """A file of another size is refused before any of it is written."""
    with pytest.raises(CheckpointError, match="3,072,000"):
        download(server.url, tmp_path / "weights.pth", sizes, progress=False)
    assert remaining_files(tmp_path) == []


def test_no_connection(tmp_path: Path) -> None:
    """The error names the URL."""
    with pytest.raises(CheckpointError) as error:
        download("http://127.0.0.1:9/x", tmp_path / "x", (1, 2), progress=False)
    assert error.value.path == "http://127.0.0.1:9/x"


def test_concurrent_downloads(server: Server, tmp_path: Path) -> None:
    """Of two concurrent calls one downloads."""
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
    assert server.ranges == [None]


def test_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$OPENBIND_CACHE overrides the user's cache folder."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "here"))
    assert cache_directory() == tmp_path / "here"
    monkeypatch.delenv("OPENBIND_CACHE")
    assert cache_directory().name == "openbind"
