"""A copy of a small index's rows beside its tables, for a first answer without loading them.

Importing LanceDB and PyTorch takes seconds. A snapshot belongs to one state of the tables, and is
not used for another; it only saves time.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbind.atomic import atomic_path
from openbind.configs import from_dict
from openbind.embedding.items import stored_name
from openbind.modalities import TEXT
from openbind.search.ranking import rank_rows
from openbind.space.calibration import Unrelated
from openbind.space.card import Card
from openbind.space.quick_text import Encode, digest_text, is_same, open_text

if TYPE_CHECKING:
    from openbind.search.store import Store
    from openbind.space.space import Space

SNAPSHOT = "snapshot.npz"
META, HIDDEN = "index.json", ".openbind"
MOST_ROWS = 20_000
"""Larger indexes have none: their own search is faster then."""
COLUMNS = ("file", "root", "path", "modality", "start_s", "end_s")


@dataclass(frozen=True)
class Snapshot:
    """The rows of an index.

    Args:
        folder: of the index.
        rows: with `COLUMNS`; paths are whole.
        vectors_KE: unit rows.
        modalities: of the index.
        info: as `describe_index` returns it.
        space: folder of the space, and the digest of what decides its text vectors; None if
            NumPy doesn't compute them.
    """

    folder: Path
    rows: list[dict[str, Any]]
    vectors_KE: np.ndarray
    modalities: tuple[str, ...]
    info: dict[str, Any]
    space: tuple[Path, str] | None

    def open_text(self) -> Encode | None:
        """Return the function from a text to its vector; None where it takes the space itself."""
        if self.space is None or digest_text(self.space[0], TEXT) != self.space[1]:
            return None
        return open_text(self.space[0], TEXT)

    def read_card(self) -> tuple[Card, str]:
        """Return the card and the name of the space of `open_text`."""
        assert self.space is not None
        folder = self.space[0]
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        path = folder / "card.json"
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return from_dict(Card, values), config["name"]

    def search(
        self,
        query_E: np.ndarray,
        top_k: int,
        modalities: Sequence[str] = (),
        unrelated: Mapping[str, Unrelated] | None = None,
    ) -> list[dict[str, Any]]:
        """Find the files nearest to a query, as `Index.search`.

        Args:
            query_E: unit vector.
            top_k: number of files at most.
            modalities: of the results; empty for all.
            unrelated: as for `Index.search`.

        Returns:
            rows with `score`, and `deviations` and `close` where they are known.
        """
        scores_K = self.vectors_KE @ query_E
        order = [int(row) for row in np.argsort(-scores_K, kind="stable")]
        chosen = set(modalities or self.modalities)

        def find(modality: str | None) -> list[dict[str, Any]]:
            wanted = chosen if modality is None else {modality}
            best: dict[str, dict[str, Any]] = {}
            for place in order:
                row = self.rows[place]
                if row["modality"] in wanted and row["file"] not in best:
                    best[row["file"]] = {**row, "score": float(scores_K[place])}
                if len(best) == top_k:
                    break
            return list(best.values())

        if not unrelated:
            return find(None)
        counts = Counter(row["modality"] for row in self.rows if row["modality"] in chosen)
        return rank_rows(find, counts, top_k, unrelated)


def write_snapshot(store: Store, space: Space) -> None:
    """Write the snapshot of an index in a folder, unless it has this state's, or too many rows.

    Args:
        store: of the index; its writer's lock is held.
        space: that its vectors are of.
    """
    if store.folder is None:
        return
    path, state = store.folder / SNAPSHOT, read_state(store.folder)
    known: Any = None
    with suppress(OSError, ValueError, KeyError):
        head = _read(path)[0]
        if head["state"] == state:
            return
        known = head["encoder"]
    with suppress(OSError):  # a full disk, for instance: it only saves time
        if store.rows > MOST_ROWS:
            path.unlink(missing_ok=True)
            return
        rows, vectors_KE = _collect(store)
        head = {
            "state": state,
            "rows": rows,
            "info": describe_index(store),
            "encoder": _describe_encoder(space, known),
        }
        data = np.frombuffer(json.dumps(head).encode(), np.uint8)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, head=data, vectors=vectors_KE)


def read_snapshot(directory: str | os.PathLike[str]) -> Snapshot | None:
    """Read the snapshot of an index, given its folder or the root that holds it.

    Returns:
        None if there is none of the index's present state.
    """
    path = Path(directory).expanduser().absolute()
    folder = next((f for f in (path, path / HIDDEN) if (f / META).is_file()), path)
    try:
        head, vectors_KE = _read(folder / SNAPSHOT)
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if head["state"] != read_state(folder):
            return None
        roots = {
            root["number"]: Path(os.path.normpath(folder / root["path"])) for root in meta["roots"]
        }
        rows = [
            {**row, "path": roots[row["root"]] / stored_name(row["path"])} for row in head["rows"]
        ]
        if len(rows) != len(vectors_KE):
            return None
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        info = {**head["info"], "roots": [str(root) for root in roots.values()], "bytes": size}
        stored = head["encoder"]
        space = (Path(stored[0]), stored[1]) if stored and meta["dtype"] == "float32" else None
        return Snapshot(folder, rows, vectors_KE, tuple(meta["identities"]), info, space)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_state(folder: Path) -> str:
    """Hash the versions of an index's tables, and its description.

    Raises:
        OSError: they can't be read.
    """
    digest = hashlib.blake2b((folder / META).read_bytes(), digest_size=16)
    for versions in sorted((folder / "rows").glob("*/_versions")):
        listed = sorted(versions.iterdir(), key=_version_of)
        digest.update("\n".join(sorted(path.name for path in listed)).encode())
        if listed:
            digest.update(listed[-1].read_bytes())
    return digest.hexdigest()


def _version_of(manifest: Path) -> int:
    """Return a version's number by its file's name, as times don't survive copying.

    LanceDB counts names down from the largest number of 64 bits, so that the newest is listed
    first; it counted up before.
    """
    try:
        number = int(manifest.stem)
    except ValueError:  # a temporary file
        return -1
    return number if number < 1 << 63 else (1 << 64) - 1 - number


def describe_index(store: Store) -> dict[str, Any]:
    """Return the values of `Store.info` as plain ones, and what the last scan found in a line."""
    info = store.info()
    scan = None if info.summary is None else str(info.summary)
    return {**asdict(info), "roots": [str(root) for root in info.roots], "last_scan": scan}


def _collect(store: Store) -> tuple[list[dict[str, Any]], np.ndarray]:
    from openbind.search.columns import vectors_of

    rows: list[dict[str, Any]] = []
    vectors = [np.zeros((0, store.table.dim), np.float32)]
    for batch in store.table.batches([*COLUMNS, "vector"]):
        rows += batch.select(list(COLUMNS)).to_pylist()
        vectors.append(vectors_of(batch.column("vector"), store.table.dim))
    return rows, np.concatenate(vectors)


def _describe_encoder(space: Space, known: Any) -> list[str] | None:
    """Return folder and digest of a space whose text vectors NumPy computes, else None.

    Args:
        space: of the index.
        known: what the last snapshot had; the index's space doesn't change, so it holds if the
            files are the same.
    """
    folder = space.folder
    if folder is None or TEXT not in space.modalities:
        return None
    digest = digest_text(folder, TEXT)
    described = None if digest is None else [str(folder.absolute()), digest]
    return described if known == described or is_same(space, folder, TEXT) else None


def _read(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Read the file; its checksums are compared.

    Raises:
        OSError, ValueError, KeyError: it isn't there, or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            return head, np.asarray(stored["vectors"], np.float32)
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged") from error
