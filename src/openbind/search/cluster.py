"""Embed on a Ray cluster: folders too large for one machine.

Files are split into chunks of one modality. A worker writes each chunk to a Parquet file of a fixed
name, atomically: a chunk that is retried after a crash produces the same file, and a run that was
killed continues with the chunks that are missing. Vectors never pass through the machine that
started the run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.embedding.items import item_name
from openbind.embedding.many import ComputeOptions, Entry, Failure, embed_many
from openbind.errors import InputError, MissingExtraError, OpenbindError
from openbind.search.export import file_batch, write_parquet
from openbind.space.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack

CHUNK_FILES = 256
"""Files of a chunk: what is repeated when a worker is killed."""
FAILURES = b"openbind.failures"
"""Key of a Parquet file's metadata: path → reason of files that could not be embedded, as JSON."""
PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a run.

    Args:
        files: number of files embedded.
        failures: files that could not be embedded.
    """

    files: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What every worker needs to know."""

    source: str
    dtype: str
    device: str
    fingerprint: str
    folder: str
    threads: int
    options: ComputeOptions


def embed_on_ray(
    space: Space,
    source: str,
    entries: Sequence[Entry],
    target: str | os.PathLike[str],
    *,
    address: str | None = None,
    progress: bool = False,
    **options: Unpack[ComputeOptions],
) -> Outcome:
    """Embed files on a cluster and write them as a folder of Parquet files.

    Args:
        space: workers load their own copy, whose fingerprint has to be the same.
        source: what `openbind.load` takes to load it, on every machine of the cluster.
        entries: files, at the same paths on all machines.
        target: the folder, with columns path, modality and vector (a fixed-size list of float32);
            it appears when it is complete.
        address: of a running cluster, as for `ray.init`; None starts one on this machine.
        progress: show a progress bar on stderr if it takes longer than a second.
        options: as in `ComputeOptions`; `workers` is the number of processes that embed, None for
            one per GPU if the space is on one, else one per two CPUs.

    Returns:
        the number of files embedded, and the failures.

    Raises:
        InputError: the target exists; `workers` is below 1; or the space is on a GPU, and the
            cluster has none.
        MissingExtraError: Ray isn't installed.
        OpenbindError: a worker failed; finished chunks are kept for the next run.
    """
    final = Path(target).absolute()
    if final.exists():
        raise InputError(target, "exists already; choose another path for the Parquet folder")
    workers = options.pop("workers", None)
    if workers is not None and workers < 1:
        raise InputError("workers", f"expected at least 1, found {workers}")
    chunks = list(split(entries))
    folder = _open_partial(final, space.fingerprint, chunks)
    weight = next(next(iter(space.towers.values())).parameters())
    with _cluster(address) as ray:
        job = _Job(
            source=source,
            dtype=str(weight.dtype).removeprefix("torch."),
            device=space.device.type,
            fingerprint=space.fingerprint,
            folder=str(folder),
            threads=1,
            options=options,
        )
        todo = [chunk for chunk in chunks if not _file_of(folder, chunk["number"]).exists()]
        if todo:
            _run(ray, job, todo, workers, progress)
    outcome = _read_outcome([_file_of(folder, chunk["number"]) for chunk in chunks])
    (folder / PLAN).unlink()
    folder.replace(final)
    return outcome


def split(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Split files into numbered chunks of one modality, the same for the same files."""
    by_modality: dict[str, list[str]] = {}
    for entry in entries:
        path = str(Path(item_name(entry.item)).absolute())
        by_modality.setdefault(entry.modality, []).append(path)
    numbers = itertools.count()
    for modality, paths in by_modality.items():
        for start in range(0, len(paths), CHUNK_FILES):
            chunk = paths[start : start + CHUNK_FILES]
            yield {"number": next(numbers), "modality": modality, "paths": chunk}


class ChunkWriter:
    """Embeds chunks and writes them; one per worker process.

    Args:
        job: what to load, and where to write.

    Raises:
        OpenbindError: this machine has another space by that name.
    """

    def __init__(self, job: _Job) -> None:
        import torch

        from openbind.catalog import load

        torch.set_num_threads(job.threads)
        self.job, self.folder = job, Path(job.folder)
        self.space = load(job.source, dtype=job.dtype, device=job.device)
        if self.space.fingerprint != job.fingerprint:
            raise OpenbindError(
                f"{job.source} is another space on this machine (fingerprint "
                f"{self.space.fingerprint[:8]}) than where the run was started "
                f"({job.fingerprint[:8]}); vectors of two spaces can't be compared"
            )

    def __call__(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Embed a chunk and write its Parquet file."""
        entries = [Entry(str(chunk["modality"]), Path(path)) for path in chunk["paths"]]
        options: ComputeOptions = {**self.job.options, "workers": self.job.threads}
        rows = list(embed_many(self.space, entries, **options))
        good = [row.entry for row in rows if row.vectors_VE is not None]
        vectors = [row.vectors_VE for row in rows if row.vectors_VE is not None]
        empty_NE = np.zeros((0, self.space.dim), np.float32)
        batch = file_batch(good, np.concatenate([empty_NE, *vectors]))
        failures = {row.failure.name: row.failure.reason for row in rows if row.failure}
        target = _file_of(self.folder, chunk["number"])
        write_parquet([batch], target, {FAILURES: json.dumps(failures)})
        return {"files": len(entries)}


def _run(
    ray: Any, job: _Job, chunks: list[dict[str, Any]], workers: int | None, progress: bool
) -> None:
    """Distribute chunks to workers until all are written.

    Raises:
        OpenbindError: a worker failed.
    """
    # A worker is on one machine: more threads than the largest has would never be free.
    largest = max(int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"])
    count, threads, resources = share(
        ray.cluster_resources(), largest, job.device, workers, len(chunks)
    )
    rows = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map(
        ChunkWriter,
        fn_constructor_args=(replace(job, threads=threads),),
        compute=ray.data.ActorPoolStrategy(size=count),
        **resources,
    )
    total = sum(len(chunk["paths"]) for chunk in chunks)
    with tqdm(total=total, desc="embedding", unit="file", delay=1, disable=not progress) as bar:
        try:
            for row in rows.iter_rows():
                bar.update(row["files"])
        except ray.exceptions.RayError as error:
            reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
            raise OpenbindError(
                f"a worker failed: {reason}. Finished chunks are kept; the same command continues"
            ) from error


def share(
    resources: Mapping[str, float], largest: int, device: str, workers: int | None, chunks: int
) -> tuple[int, int, dict[str, float]]:
    """Share a cluster among workers.

    Args:
        resources: of the cluster, by Ray's names.
        largest: CPUs of the largest machine.
        device: kind of the space's device; workers ask for GPUs if it is one of NVIDIA's or AMD's.
        workers: number of processes; None for one per GPU, or one per two CPUs.
        chunks: number of chunks.

    Returns:
        number of workers, threads of each, and what each asks for.

    Raises:
        InputError: the space is on a GPU, and the cluster has none.
    """
    cpus = int(resources.get("CPU", 1))
    gpus = int(resources.get("GPU", 0)) if device == "cuda" else 0
    if device == "cuda" and not gpus:
        raise InputError("the cluster", "has no GPUs, but the space is on one; use --device cpu")
    count = min(workers or gpus or max(1, cpus // 2), chunks)
    threads = max(1, min(cpus // count, largest))
    return count, threads, {"num_cpus": threads, "num_gpus": min(1.0, gpus / count)}


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or run one on this machine while the block runs.

    Raises:
        InputError: the address can't be reached.
        MissingExtraError: Ray isn't installed.
    """
    # Read by Ray on import and by every process it starts: no usage reports, no log lines of Ray
    # on stderr, which are in its log files anyway.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray", "ray") from error
    started = not ray.is_initialized()
    if started:
        try:
            # A cluster that runs for one command needs no page about it.
            own: dict[str, Any] = {} if address else {"include_dashboard": False}
            ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
        except (ValueError, ConnectionError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise InputError(f"Ray at {address or 'local'}", f"can't start: {reason}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _open_partial(final: Path, fingerprint: str, chunks: list[dict[str, Any]]) -> Path:
    """Create the folder of an unfinished run; an existing one of the same plan is continued."""
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


def _file_of(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06}.parquet"


def _read_outcome(paths: Sequence[Path]) -> Outcome:
    """Sum up the metadata of the Parquet files."""
    import pyarrow.parquet as pq

    files, failures = 0, []
    for path in paths:
        metadata = pq.read_metadata(path)
        files += metadata.num_rows
        reasons = json.loads((metadata.metadata or {}).get(FAILURES, b"{}"))
        failures += [Failure(Path(name), reason) for name, reason in reasons.items()]
    return Outcome(files=files, failures=tuple(failures))
