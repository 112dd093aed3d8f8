"""Checkpoint formats: a registry, detection from a path's content, loading as a space."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from openbind.checkpoints.repository import read_json
from openbind.checkpoints.tensors import open_tensors
from openbind.errors import CheckpointError, OpenbindError, first_line
from openbind.registry import Registry
from openbind.space.space import Space

FORMATS = Registry(
    "checkpoint format",
    "openbind.checkpoint_formats",
    {
        "openbind": "openbind.checkpoints.native:FORMAT",
        "huggingface": "openbind.checkpoints.huggingface:FORMAT",
        "openclip": "openbind.checkpoints.openclip:FORMAT",
        "imagebind": "openbind.checkpoints.imagebind:FORMAT",
    },
)
CONFIG = "config.json"


@dataclass(frozen=True)
class Listing:
    """What is at a path; each part is read on first use.

    Args:
        path: a directory or a file.
        files: names of the files in the directory, if they aren't all on this disk (of a
            repository that is not fetched yet); None lists the directory.
    """

    path: Path
    files: tuple[str, ...] | None = None
    _tensor_names: dict[Path, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Sorted names of the files in the directory; of a file its own name."""
        if self.files is not None:
            return tuple(sorted(self.files))
        if not self.path.is_dir():
            return (self.path.name,)
        return tuple(sorted(file.name for file in self.path.iterdir() if file.is_file()))

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of the directory's config.json; empty if there is none.

        Raises:
            CheckpointError: it is not a JSON object.
        """
        path = self.path / CONFIG
        return read_json(path) if path.is_file() else {}

    def find(self, patterns: Iterable[str]) -> Path | None:
        """Return the first file that matches the first possible pattern, or the path if a file."""
        if self.path.is_file():
            return self.path
        for pattern in patterns:
            for name in self.names:
                if fnmatch(name, pattern):
                    return self.path / name
        return None

    def tensor_names(self, file: Path) -> tuple[str, ...]:
        """Return the names of a file's tensors; empty if it has none or can't be read."""
        if file not in self._tensor_names:
            try:
                self._tensor_names[file] = tuple(open_tensors(file))
            except CheckpointError:
                self._tensor_names[file] = ()
        return self._tensor_names[file]


@dataclass(frozen=True, kw_only=True)
class CheckpointFormat:
    """A layout of files that can be loaded as a space.

    Args:
        name: key in `FORMATS`.
        sniff: how certain it is that a path has this format: 0 it has not, 100 it is stated in
            the files; the highest wins. Reads names and config.json, of weights at most the names.
        load: (listing, *, modalities, device, dtype, **hints) → space, its towers in eval mode
            without gradients. `dtype` None means the checkpoint's own; errors are
            `CheckpointError` and `UnknownNameError`.
        weights: (listing, modalities) → groups of file patterns in order of preference; of a
            repository the first group that matches is fetched, and all small files.
        hints: keywords that `load` takes beyond these, for what the files don't state.
        dtype: the precision that the files ask to be computed in ("float32"); None leaves the
            choice to the machine.
    """

    name: str
    sniff: Callable[[Listing], int]
    load: Callable[..., Space]
    weights: Callable[[Listing, Iterable[str] | None], Sequence[Sequence[str]]]
    hints: tuple[str, ...] = ()
    dtype: Callable[[Listing], str | None] = lambda listing: None


def rank_formats(listing: Listing) -> list[CheckpointFormat]:
    """Return the formats that a path may have, the most certain first."""
    formats = [FORMATS.get(name) for name in FORMATS.names()]
    scores = {id(item): item.sniff(listing) for item in formats}
    possible = [item for item in formats if scores[id(item)] > 0]
    return sorted(possible, key=lambda item: -scores[id(item)])


def detect(listing: Listing) -> CheckpointFormat:
    """Return the format of what is at a path.

    Raises:
        CheckpointError: nothing there, or of no known format.
    """
    if not listing.path.exists():
        raise CheckpointError(listing.path, "no such file or directory")
    for item in rank_formats(listing):
        return item
    if listing.path.is_file():
        names = list(open_tensors(listing.path))
        found = f"{len(names)} tensors, the first {names[0]}" if names else "no tensors"
    else:
        found = ", ".join(listing.names[:8]) or "no files"
    known = ", ".join(FORMATS.names())
    raise CheckpointError(listing.path, f"expected a format of {known}; found {found}")


def sniff_tensors(
    listing: Listing, files: Sequence[str], prefix: str, own_files: Sequence[str] = ()
) -> int:
    """Score a path for a format without a config: one that a prefix of tensor names identifies.

    Args:
        listing: of the path.
        files: patterns of files of weights, in order of preference.
        prefix: of at least one tensor's name.
        own_files: patterns that no other format uses, for weights that can't be read (yet).
    """
    if {"format", "model_type"} & listing.config.keys():
        return 0  # config.json states another format
    file = listing.find(files)
    if file is None:
        return 0
    names = listing.tensor_names(file)
    if names:
        return 80 if any(name.startswith(prefix) for name in names) else 0
    return 30 if any(fnmatch(file.name, pattern) for pattern in own_files) else 0


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    **hints: Any,
) -> Space:
    """Load a file or directory of any known format as a space.

    Args:
        path: a directory or file; its content decides the format.
        modalities: load only these, and read only what they need; None loads all.
        device: of the towers.
        dtype: precision to compute in; None takes the checkpoint's own.
        **hints: what the files of a format don't state, such as `heads` (tower → attention
            heads) or `activation`; None is no hint.

    Raises:
        CheckpointError: of no known format, unusable, or a hint that its format doesn't take.
        UnknownNameError: no such modality.
    """
    listing = Listing(Path(path))
    chosen = detect(listing)
    given = {name: value for name, value in hints.items() if value is not None}
    refused = sorted(given.keys() - set(chosen.hints))
    if refused:
        taken = ", ".join(chosen.hints) or "none"
        raise CheckpointError(
            path, f"hints for the format {chosen.name}: expected {taken}; found {refused[0]}"
        )
    return load_as(chosen, listing, modalities=modalities, device=device, dtype=dtype, **given)


def load_as(chosen: CheckpointFormat, listing: Listing, **options: Any) -> Space:
    """Load a path as a space of a known format; `options` are those of `CheckpointFormat.load`.

    Raises:
        CheckpointError: unusable, in whatever way it is damaged.
        UnknownNameError: no such modality.
    """
    try:
        return chosen.load(listing, **options)
    except OpenbindError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError) as error:
        raise CheckpointError(listing.path, _unusable(chosen, error)) from error
    except (MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(listing.path, _unusable(chosen, error)) from error


def _unusable(chosen: CheckpointFormat, error: Exception) -> str:
    return f"can't be used as {chosen.name} ({type(error).__name__}: {first_line(error)})"
