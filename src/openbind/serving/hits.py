"""Results over HTTP: found by a signed id alone, their files only inside the indexed folders."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from openbind.errors import InputError
from openbind.media.types import AUDIO_EXTENSIONS, is_recording, media_type
from openbind.media.video import VIDEO_EXTENSIONS
from openbind.modalities import MODALITIES
from openbind.search.index import Index
from openbind.search.results import Hit
from openbind.serving.errors import ApiError
from openbind.serving.schemas import HitRow

UNKNOWN = "application/octet-stream"


SECRET = "service.key"  # noqa: S105  # the name of a file
"""The file in an index's folder that ids are signed with."""
SECRET_BYTES = 32
SIGNATURE_BYTES = 12


class PublicIds:
    """Ids of rows as clients see them.

    A row's own id is a hash of its path: who guesses a path could ask whether it is indexed. So
    clients get it with a signature, and nothing is looked up without the right one.

    Args:
        secret: signs the ids; see `read_secret`.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def public(self, row_id: str) -> str:
        """Return a row's id for clients."""
        return f"{row_id}-{self._sign(row_id)}"

    def row(self, public_id: str) -> str:
        """Return the row's own id.

        Raises:
            ApiError: 404, an id that this service never gave out.
        """
        row_id, _, signature = public_id.rpartition("-")
        if not secrets.compare_digest(signature.encode(), self._sign(row_id).encode()):
            raise not_found(public_id)
        return row_id

    def _sign(self, row_id: str) -> str:
        signed = hashlib.blake2b(row_id.encode(), key=self._secret, digest_size=SIGNATURE_BYTES)
        return signed.hexdigest()


def read_secret(folder: Path) -> bytes:
    """Return the secret of an index, made when it is first served; only its owner may read it.

    An index in a folder that can't be written gets another one each time it is served.
    """
    path, made = folder / SECRET, secrets.token_bytes(SECRET_BYTES)
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(made)
    except FileExistsError:
        found = path.read_bytes()
        return found if len(found) == SECRET_BYTES else made
    except OSError:
        pass
    return made


def not_found(public_id: str) -> ApiError:
    """Return the error of an id that isn't in the index."""
    message = f"no item {public_id[:80]!r} in the index"
    return ApiError(404, message, param="id", code="item_not_found")


def find_hit(index: Index, ids: PublicIds, public_id: str) -> Hit:
    """Look up a row by its public id.

    Raises:
        ApiError: 404, no such row.
    """
    try:
        return index.hit(ids.row(public_id))
    except InputError as error:
        raise not_found(public_id) from error


def leads_out(hit: Hit) -> bool:
    """Return whether a row's file is a link to somewhere outside its indexed folder."""
    try:
        return not hit.path.resolve().is_relative_to(hit.root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return True


def resolve_path(hit: Hit) -> Path:
    """Return the file of a row, links resolved.

    Raises:
        ApiError: 404, it no longer exists, or lies outside its indexed folder: a link put in its
            place must not lead to other files.
    """
    gone = ApiError(
        404,
        "the file of this item no longer exists; update the index",
        param="id",
        code="file_not_found",
    )
    try:
        path = hit.path.resolve(strict=True)
        root = hit.root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise gone from error
    if not path.is_file() or not path.is_relative_to(root):
        raise gone
    return path


def public_path(hit: Hit) -> str:
    """Return a file's path as clients see it: relative, the root's name first."""
    try:
        return public_name((Path(hit.root.name) / hit.path.relative_to(hit.root)).as_posix())
    except ValueError:
        return public_name(hit.path.name)


def public_name(name: str) -> str:
    """Return a file's name as JSON can hold it: bytes that aren't UTF-8 become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def has_images(hit: Hit) -> bool:
    """Return whether a recording is shown with images: not the audio track of a video."""
    is_heard = MODALITIES.get(hit.modality).extensions & AUDIO_EXTENSIONS
    return hit.path.suffix.lower() in VIDEO_EXTENSIONS and not is_heard


def hit_row(hit: Hit, ids: PublicIds) -> HitRow:
    """Return a result as it is sent to clients."""
    public_id = ids.public(hit.id)
    return HitRow(
        object="hit",
        id=public_id,
        modality=hit.modality,
        path=public_path(hit),
        score=hit.score,
        deviations=hit.deviations,
        close=hit.close,
        start_seconds=hit.start_s,
        end_seconds=hit.end_s,
        size_bytes=hit.size,
        content=hit.hash,
        modified=hit.modified.isoformat(),
        taken=hit.taken.isoformat(),
        camera=hit.camera,
        width=hit.width,
        height=hit.height,
        duration_seconds=hit.duration,
        media_type=media_type(hit.path),
        media_url=f"v1/items/{public_id}/media",
        playable_url=f"v1/items/{public_id}/playable" if is_recording(hit.path) else None,
        thumbnail_url=f"v1/items/{public_id}/thumbnail",
        drawing_url=f"v1/items/{public_id}/drawing",
    )
