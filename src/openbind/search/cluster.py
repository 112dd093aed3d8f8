"""Folders too large for one machine, embedded on a cluster by Ray Data.

The files are parted into chunks of one modality; each becomes one Parquet file, which a worker
writes whole or not at all under a name of its own. So a chunk that is run again, because its worker
was killed, gives the same file again; a run that was killed itself goes on with what is missing.
The vectors never pass through the machine that started it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.errors import InputError, MissingExtraError, OpenbindError
from openbind.search.adhoc import Entry, Failure
from openbind.space.space import Space

CHUNK_FILES = 256
"""Files of one part: what is done again when a worker is killed."""
FAILURES = b"openbind.failures"
"""Key of a part's metadata: files that could not be used, with reasons, as JSON."""
PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did.

    Args:
        files: embedded, with a row each.
        failures: files that could not be used.
    """

    files: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What every worker has to know."""

    source: str
    dtype: str
    fingerprint: str
    folder: str
    threads: int


def embed_on_ray(
    space: Space,
    source: str,
    entries: Sequence[Entry],
    target: str | os.PathLike[str],
    *,
    workers: int | None = None,
    address: str | None = None,
    progress: bool = False,
) -> Outcome:
    """Embed files on a cluster and write them as a folder of Parquet files.

    Args:
        space: the one to embed with; workers load their own and are held to its fingerprint.
        source: what `openbind.load` takes to get it, on every machine of the cluster.
        entries: from `scan`; all machines see the files by the same paths.
        target: the folder, with columns path, modality and vector (a fixed-size list of float32);
            it is there when all of it is.
        workers: processes that embed; None takes one a GPU, or one for two CPUs.
        address: of a running cluster, as `ray.init` takes it; None starts one on this machine.
        progress: show a bar on stderr once the wait is longer than a second.

    Returns:
        how many files were embedded, and those that could not be used.

    Raises:
        InputError: the target exists; workers are fewer than one.
        MissingExtraError: Ray isn't there.
        OpenbindError: a worker failed; what is done is kept for the next run.
    """
    final = Path(target).absolute()
    if final.exists():
        raise InputError(target, "exists already; a folder of parts is written: name another place")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}", "expected a number of 1 or more")
    chunks = list(part_entries(entries))
    folder = _open_partial(final, space.fingerprint, chunks)
    weight = next(next(iter(space.towers.values())).parameters())
    with _cluster(address) as ray:
        recipe = _Recipe(
            source=source,
            dtype=str(weight.dtype).removeprefix("torch."),
            fingerprint=space.fingerprint,
            folder=str(folder),
            threads=1,
        )
        todo = [chunk for chunk in chunks if not _part_of(folder, chunk["number"]).exists()]
        if todo:
            _run(ray, recipe, todo, workers, progress)
    outcome = _read_outcome([_part_of(folder, chunk["number"]) for chunk in chunks])
    (folder / PLAN).unlink()
    folder.replace(final)
    return outcome


def part_entries(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Part files into numbered chunks of one modality, always in the same way."""
    by_modality: dict[str, list[str]] = {}
    for entry in entries:
        by_modality.setdefault(entry.modality, []).append(str(entry.path.absolute()))
    numbers = itertools.count()
    for modality, paths in by_modality.items():
        for start in range(0, len(paths), CHUNK_FILES):
            chunk = paths[start : start + CHUNK_FILES]
            yield {"number": next(numbers), "modality": modality, "paths": chunk}


class PartWriter:
    """Embeds chunks and writes their parts; one in every worker's process.

    Args:
        recipe: what to load, and where to write.
    """

    def __init__(self, recipe: _Recipe) -> None:
        import torch

        from openbind.catalog import load

        torch.set_num_threads(recipe.threads)
        self.folder = Path(recipe.folder)
        self.space = load(recipe.source, dtype=recipe.dtype)
        if self.space.fingerprint != recipe.fingerprint:
            raise OpenbindError(
                f"{recipe.source} is another space on this machine (fingerprint "
                f"{self.space.fingerprint[:8]}) than where the run was started "
                f"({recipe.fingerprint[:8]}); vectors of two spaces can't be compared"
            )

    def __call__(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Embed a chunk; its part is there afterwards."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        paths = [str(path) for path in chunk["paths"]]
        reasons: dict[int, str] = {}

        def note(place: int, error: InputError) -> None:
            reasons[place] = error.reason

        vectors_NE = self.space.encode(chunk["modality"], paths, on_error=note)
        kept = [place for place in range(len(paths)) if place not in reasons]
        failures = {paths[place]: reason for place, reason in reasons.items()}
        flat = vectors_NE[kept].ravel()
        columns = {
            "path": pa.array([paths[place] for place in kept], pa.string()),
            "modality": pa.array([chunk["modality"]] * len(kept), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.space.dim),
        }
        table = pa.table(columns).replace_schema_metadata({FAILURES: json.dumps(failures)})
        with atomic_path(_part_of(self.folder, chunk["number"])) as temporary:
            pq.write_table(table, temporary)
        return {"files": len(paths)}


def _run(
    ray: Any, recipe: _Recipe, chunks: list[dict[str, Any]], workers: int | None, progress: bool
) -> None:
    """Return the chunks to workers until every part is written.

    Raises:
        OpenbindError: a worker failed.
    """
    resources = ray.cluster_resources()
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    count = min(workers or gpus or max(1, cpus // 2), len(chunks))
    threads = max(1, cpus // count)
    asked = {"num_cpus": threads, "num_gpus": 1 if gpus >= count else 0}
    rows = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map(
        PartWriter,
        fn_constructor_args=(replace(recipe, threads=threads),),
        compute=ray.data.ActorPoolStrategy(size=count),
        **asked,
    )
    total = sum(len(chunk["paths"]) for chunk in chunks)
    with tqdm(total=total, desc="embedding", unit="file", delay=1, disable=not progress) as bar:
        try:
            for row in rows.iter_rows():
                bar.update(row["files"])
        except ray.exceptions.RayError as error:
            reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
            raise OpenbindError(
                f"a worker failed: {reason}. What is done is kept; the same command goes on"
            ) from error


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or run one on this machine for as long as it is needed."""
    # Read by Ray as it is imported and by every process that it starts: nothing is reported to
    # its makers, and what its own log files say isn't said here too.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray", "ray") from error
    started = not ray.is_initialized()
    if started:
        ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _open_partial(final: Path, fingerprint: str, chunks: list[dict[str, Any]]) -> Path:
    """Make the folder that parts are embedded in; one of the same plan keeps its parts."""
    folder = final.with_name(f".{final.name}.partial")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([fingerprint, chunks]).encode())
    plan = {"fingerprint": fingerprint, "files": digest.hexdigest()}
    try:
        if json.loads((folder / PLAN).read_text(encoding="utf-8")) == plan:
            return folder
    except (OSError, ValueError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_path(folder / PLAN) as temporary:
        temporary.write_text(json.dumps(plan), encoding="utf-8")
    return folder


def _part_of(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06}.parquet"


def _read_outcome(parts: Sequence[Path]) -> Outcome:
    """Add up what the parts say of themselves."""
    import pyarrow.parquet as pq

    files, failures = 0, []
    for part in parts:
        metadata = pq.read_metadata(part)
        files += metadata.num_rows
        reasons = json.loads((metadata.metadata or {}).get(FAILURES, b"{}"))
        failures += [Failure(Path(path), reason) for path, reason in reasons.items()]
    return Outcome(files=files, failures=tuple(failures))
