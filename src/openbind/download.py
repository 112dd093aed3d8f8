"""Files that are fetched once and kept: where they are, and how they come there."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import platformdirs

from openbind.errors import CheckpointError

CACHE_VARIABLE = "OPENBIND_CACHE"
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60


def cache_directory() -> Path:
    """Where openbind keeps what it can have again: $OPENBIND_CACHE, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("openbind"))


def download(url: str, target: Path, sizes: tuple[int, int], *, progress: bool = True) -> None:
    """Fetch a file; what an interrupted run left in `<target>.part` is continued.

    `target` appears under its name only when it is whole. Of several processes one fetches, the
    others wait for it.

    Args:
        url: http or https.
        target: where the file goes; its folder is made if missing.
        sizes: the fewest and the most bytes that it may have; a server that offers another
            number has another file, and nothing is fetched.
        progress: show a bar on stderr.

    Raises:
        CheckpointError: the server can't be reached, offers another size, or the connection broke
            off (run it again, and it goes on); or the disk has no room.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with FileLock(f"{part}.lock"):
        if target.is_file():
            return
        try:
            total = _fetch(url, part, sizes, progress)
        except (OSError, http.client.HTTPException) as error:
            kept = part.stat().st_size if part.is_file() else 0
            raise CheckpointError(
                url, f"the download stopped at {kept:,} bytes ({error}); run it again to go on"
            ) from error
        found = part.stat().st_size
        if found != total:
            raise CheckpointError(
                url, f"expected {total:,} bytes, found {found:,}; run it again to go on"
            )
        part.replace(target)


def _fetch(url: str, part: Path, sizes: tuple[int, int], progress: bool) -> int:
    """Add to `part` what it lacks; returns the bytes that the whole file has."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "openbind"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        total = _announced(error.headers, 0)
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start == total:
            return total  # it was whole already
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # longer than the file: not a part of it
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server sends the whole file, whatever was asked
        total = _announced(response.headers, start)
        _check_size(url, total, sizes)
        _check_room(part, total - start)
        _write(response, part, start, total, progress)
    return total


def _announced(headers: Message, start: int) -> int:
    """Bytes of the whole file, as the server says; 0 if it doesn't."""
    whole = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    if whole:
        return int(whole[1])
    return start + int(headers.get("Content-Length", 0))


def _check_size(url: str, total: int, sizes: tuple[int, int]) -> None:
    if not sizes[0] <= total <= sizes[1]:
        raise CheckpointError(
            url,
            f"expected {sizes[0]:,} to {sizes[1]:,} bytes, the server offers {total:,}: "
            "another file",
        )


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise CheckpointError(
            part.parent,
            f"the download needs {needed:,} bytes more, the disk has {free:,}; "
            f"${CACHE_VARIABLE} chooses another folder",
        )


def _write(
    response: http.client.HTTPResponse, part: Path, start: int, total: int, progress: bool
) -> None:
    from tqdm import tqdm

    bar = tqdm(
        desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, disable=not progress
    )
    with part.open("ab" if start else "wb") as file, bar:
        while block := response.read(_BLOCK):
            file.write(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())
