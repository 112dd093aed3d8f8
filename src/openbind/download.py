"""Download a file once: resumed, verified, atomic; and the folder for cached files."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO

import platformdirs

from openbind.errors import CheckpointError

CACHE_VARIABLE = "OPENBIND_CACHE"
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60


def cache_directory() -> Path:
    """Return the folder for cached files: $OPENBIND_CACHE, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("openbind"))


def download(
    url: str,
    target: Path,
    sizes: tuple[int, int],
    *,
    sha256: str | None = None,
    progress: bool = True,
) -> None:
    """Download a file; resume an interrupted download if the file hasn't changed since.

    The incomplete file is `<target>.part`, with the server's version of it in
    `<target>.part.version`; `target` appears when it is complete and verified. Of several
    processes one downloads, the others wait.

    Args:
        url: http or https.
        target: path of the file; its folder is created if missing.
        sizes: minimum and maximum size in bytes; a file of another size is refused.
        sha256: hexadecimal digest of the file; None if it isn't known.
        progress: show a progress bar on stderr.

    Raises:
        CheckpointError: no connection, or it was interrupted (run again to resume); the size or
            the digest is wrong; or the disk has too little space.
    """
    from filelock import FileLock

    if not url.startswith(("http://", "https://")):
        raise CheckpointError(url, "expected an http or https URL")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with FileLock(f"{part}.lock"):
        if target.is_file():
            return
        try:
            total = _fetch(url, part, sizes, progress)
        except (OSError, http.client.HTTPException) as error:
            size = part.stat().st_size if part.is_file() else 0
            raise CheckpointError(
                url, f"the download stopped at {size:,} bytes ({error}); run again to resume"
            ) from error
        found = part.stat().st_size
        if found != total:
            raise CheckpointError(
                url, f"expected {total:,} bytes, found {found:,}; run again to resume"
            )
        if sha256 is not None:
            _check_digest(url, part, sha256)
        part.replace(target)
        _version_file(part).unlink(missing_ok=True)


def _fetch(url: str, part: Path, sizes: tuple[int, int], progress: bool) -> int:
    """Download the rest of `part`; returns the size of the complete file in bytes."""
    start = part.stat().st_size if part.is_file() else 0
    version = _version_file(part).read_text() if _version_file(part).is_file() else ""
    # The scheme was checked, and is at each redirect.
    request = urllib.request.Request(url, headers={"User-Agent": "openbind"})  # noqa: S310
    if start and version:
        # A server with another version ignores the range and sends the whole file.
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", version)
    try:
        opener = urllib.request.build_opener(_KeepHttps)
        response = opener.open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        total = _total_size(error.headers, 0)
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start == total:
            return total  # already complete
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # longer than the file
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        elif not _continues(response.headers, start, version):
            part.unlink()
            raise OSError("the server answered with another part or version of the file")
        total = _total_size(response.headers, start)
        _check_size(url, total, sizes)
        _check_disk_space(part, total - start)
        if not start:
            part.unlink(missing_ok=True)
            _version_file(part).write_text(_version_of(response.headers))
        _write(response, part, start, total, progress)
    return total


class _KeepHttps(urllib.request.HTTPRedirectHandler):
    """Refuses redirects from https to anything that isn't encrypted."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request, as urllib decides, or refuse it."""
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise urllib.error.HTTPError(newurl, code, "redirect away from https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _continues(headers: Message, start: int, version: str) -> bool:
    """Return whether a partial answer begins where the file ends, and is of its version."""
    begins = headers.get("Content-Range", "").replace(" ", "").startswith(f"bytes{start}-")
    return begins and _version_of(headers) in ("", version)


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _version_of(headers: Message) -> str:
    """Return what identifies a file's version in If-Range: a strong ETag, else its date."""
    tag: str = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _total_size(headers: Message, start: int) -> int:
    """Return the announced size of the complete file in bytes; 0 if there is none."""
    total = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    if total:
        return int(total[1])
    return start + int(headers.get("Content-Length", 0))


def _check_size(url: str, total: int, sizes: tuple[int, int]) -> None:
    if not sizes[0] <= total <= sizes[1]:
        raise CheckpointError(
            url, f"expected a file of {sizes[0]:,} to {sizes[1]:,} bytes, found {total:,}"
        )


def _check_digest(url: str, part: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256.lower():
        part.unlink()
        _version_file(part).unlink(missing_ok=True)
        raise CheckpointError(
            url, f"expected the sha256 {sha256}, found {digest.hexdigest()}; the file was deleted"
        )


def _check_disk_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise CheckpointError(
            part.parent,
            f"the download needs {needed:,} bytes, the disk has {free:,}; "
            f"set ${CACHE_VARIABLE} to another folder",
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
