"""Rows of numbers that processes compute in blocks, write once, and then map together.

A block is a range of items. It is written as soon as it is complete, so that a killed run goes on
from there, with another number of processes too. When all blocks are there, the first process joins
them into one file, which all processes and workers map. Only the blocks' states, a few bytes each,
are sent between processes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from openbind.atomic import atomic_path
from openbind.errors import CheckpointError
from openbind.training.distributed import World, gather_objects

LARGEST_BLOCK, BLOCKS = 1024, 256
"""Items of a block at most; fewer items than these two make are in about so many blocks."""


@dataclass(frozen=True)
class BlockRows:
    """The rows of some items.

    Args:
        values_MD: float32 (rows, …) of all items.
        counts: rows of each part of an item, of each view for instance, item after item; all 0
            where an item can't be used.
        skipped: index of an unusable item → reason.
    """

    values_MD: np.ndarray
    counts: np.ndarray
    skipped: dict[int, str]


def fill_blocks(
    folder: Path | None,
    count: int,
    describe: Callable[[range], str],
    compute: Callable[[Sequence[range]], Iterator[BlockRows]],
    world: World,
) -> BlockRows:
    """Compute the rows of items, each process its blocks, or read them; all must call.

    Args:
        folder: where they are kept, the same for all processes; None computes everything in each
            process and keeps nothing.
        count: of the items, at least 1.
        describe: hash of all that decides the rows of some items.
        compute: yields the rows of each of some ranges of items, in order.
        world: the processes.

    Returns:
        the rows of all items, mapped; the same in all processes.

    Raises:
        CheckpointError: the files can't be written.
    """
    blocks = split_blocks(count)
    if folder is None:
        return _concatenate(list(compute(blocks)))
    mine = range(len(blocks))[world.rank :: world.size]
    found = gather_objects({block: describe(blocks[block]) for block in mine}, world)
    states = [found[block % world.size][block] for block in range(len(blocks))]
    joined = read_joined(folder, states)
    if all(gather_objects(joined is not None, world)):
        assert joined is not None
        return joined
    missing = [block for block in mine if not _is_written(folder, block, states[block])]
    for block, rows in zip(missing, compute([blocks[b] for b in missing]), strict=True):
        _write_block(folder, block, states[block], rows)
    world.wait()
    if world.is_first:
        join_blocks(folder, states)
    world.wait()
    joined = read_joined(folder, states)
    if joined is None:
        raise CheckpointError(
            folder, "what the first process wrote isn't there; all machines need the same --output"
        )
    return joined


def split_blocks(count: int) -> list[range]:
    """Split items into blocks, the same for any number of processes."""
    size = max(8, min(LARGEST_BLOCK, -(-count // BLOCKS)))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def join_blocks(folder: Path, states: Sequence[str]) -> None:
    """Join all blocks into one file, a block at a time, and delete them.

    Raises:
        CheckpointError: a block isn't there, or they can't be written.
    """
    counts, shapes, skipped = [], [], dict[str, str]()
    for block, state in enumerate(states):
        with _open_block(folder, block, state) as file:
            counts.append(file.get_tensor("counts"))
            shapes.append(file.get_slice("values").get_shape())
            skipped |= json.loads(file.metadata()["skipped"])
    shape = (sum(rows for rows, *_ in shapes), *shapes[0][1:])
    meta = {"states": list(states), "skipped": skipped}
    try:
        (folder / "joined.json").unlink(missing_ok=True)
        with atomic_path(folder / "values.npy") as temporary, temporary.open("wb") as file:
            _write_header(file, shape)
            for block, state in enumerate(states):
                with _open_block(folder, block, state) as part:
                    file.write(part.get_tensor("values").tobytes())
        with atomic_path(folder / "counts.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.concatenate(counts))
        with atomic_path(folder / "joined.json") as temporary:
            temporary.write_text(json.dumps(meta), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(folder, f"couldn't be written ({error})") from error
    shutil.rmtree(folder / "blocks", ignore_errors=True)


def read_joined(folder: Path, states: Sequence[str]) -> BlockRows | None:
    """Map the rows of all blocks; None if there are none of these states."""
    try:
        meta = json.loads((folder / "joined.json").read_text(encoding="utf-8"))
        if meta["states"] != list(states):
            return None
        counts = np.load(folder / "counts.npy", allow_pickle=False)
        # "c": PyTorch takes no read-only arrays. Nobody writes, so the pages stay shared.
        mode: Literal["c"] | None = "c" if counts.any() else None  # nothing can't be mapped
        values_MD = np.load(folder / "values.npy", mmap_mode=mode, allow_pickle=False)
        skipped = {int(index): str(why) for index, why in meta["skipped"].items()}
    except (OSError, ValueError, KeyError):
        return None
    return BlockRows(values_MD, counts, skipped)


def _block_path(folder: Path, block: int) -> Path:
    return folder / "blocks" / f"{block:06d}.safetensors"


def _is_written(folder: Path, block: int, state: str) -> bool:
    try:
        with safe_open(_block_path(folder, block), framework="numpy") as file:
            return bool((file.metadata() or {}).get("state") == state)
    except (OSError, SafetensorError):
        return False


def _write_block(folder: Path, block: int, state: str, rows: BlockRows) -> None:
    tensors = {"values": np.ascontiguousarray(rows.values_MD), "counts": rows.counts}
    metadata = {"state": state, "skipped": json.dumps(rows.skipped)}
    try:
        with atomic_path(_block_path(folder, block)) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(folder, f"couldn't be written ({error})") from error


def _open_block(folder: Path, block: int, state: str) -> Any:
    if not _is_written(folder, block, state):
        path = _block_path(folder, block)
        raise CheckpointError(path, "isn't there; all machines need the same --output")
    return safe_open(_block_path(folder, block), framework="numpy")


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )


def _concatenate(parts: Sequence[BlockRows]) -> BlockRows:
    return BlockRows(
        np.concatenate([part.values_MD for part in parts]),
        np.concatenate([part.counts for part in parts]),
        {index: why for part in parts for index, why in part.skipped.items()},
    )
