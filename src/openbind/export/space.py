"""A space → a folder of graphs, with its preprocessing, its card, and a report of parity."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from openbind.atomic import atomic_folder
from openbind.checkpoints import native
from openbind.checkpoints.repository import read_inside
from openbind.configs import to_dict
from openbind.errors import CheckpointError, UnknownNameError
from openbind.export.graphs import WRITERS, trace
from openbind.export.quantization import CALIBRATION_CLIPS, quantize_convolutions
from openbind.modalities import MODALITIES
from openbind.runtime.exported import open_exported, run_clips
from openbind.runtime.manifest import CARD, FORMATS, README, Graph, Manifest, write_manifest
from openbind.space.card import to_model_card
from openbind.space.shipped import shipped_items
from openbind.space.space import Space
from openbind.space.vectors import clip_vectors

LEAST_COSINE = {"float32": 0.9999, "int8": 0.95}
"""To the vectors of the space in float32, by the graph's weights; below it nothing is written."""


def export_space(
    space: Space,
    directory: str | os.PathLike[str],
    *,
    format: str = "onnx",
    modalities: Iterable[str] | None = None,
    dtype: str = "float32",
    items: Mapping[str, Sequence[Any]] | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> Manifest:
    """Write towers of a space as graphs, and compare their vectors with the space's.

    Args:
        space: its towers are written in float32, whatever they compute in.
        directory: that isn't there, or is empty; written as a whole or not at all.
        format: "onnx", or "pt2" for `torch.export.load`.
        modalities: of which towers are written; None takes all that can be.
        dtype: "float32", or "int8" for the convolutions of towers that mainly consist of them.
        items: modality → items to compare with; of the others, items that ship.
        report: called with a line for each modality.

    Returns:
        what was written, with the least cosine of each modality.

    Raises:
        UnknownNameError: no such format, modality or dtype; "int8" needs ONNX.
        CheckpointError: the directory isn't empty, a tower can't be written, or its vectors differ.
        MissingExtraError: without the extra "onnx".
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    dtypes = [*LEAST_COSINE] if format == "onnx" else ["float32"]
    if dtype not in dtypes:
        raise UnknownNameError(f"dtype of {format}", dtype, dtypes)
    chosen = list(space.modalities if modalities is None else modalities)
    native.select_modalities(space.config, chosen)
    final = Path(directory)
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise CheckpointError(final, "already there and not empty; choose another directory")
    exact = _in_float32(space)
    given = {name: list((items or {}).get(name) or shipped_items(name)) for name in chosen}
    try:
        with atomic_folder(final) as folder:
            graphs = _write_all(exact, given, format, folder, None if modalities else report)
            if dtype == "int8":
                graphs = {n: _quantize(exact, n, graph, folder) for n, graph in graphs.items()}
            manifest = Manifest(
                format=format,  # type: ignore[arg-type]
                name=space.name,
                dim=space.dim,
                source=exact.fingerprint,
                modalities=graphs,
            )
            _write_card(space, list(graphs), folder)
            write_manifest(folder, manifest)
            manifest = _compare(exact, manifest, given, folder, report)
            write_manifest(folder, manifest)
    except OSError as error:
        raise CheckpointError(final, f"couldn't be written ({error}); nothing was") from error
    return manifest


def _in_float32(space: Space) -> Space:
    """Return the space in evaluation mode and float32 on the CPU, without changing it."""
    towers = {name: _copy_tower(tower) for name, tower in space.towers.items()}
    return Space(space.config, towers, space.card, space.folder)


def _copy_tower(tower: nn.Module) -> nn.Module:
    """Return a tower for exporting; itself, where nothing of it has to change."""
    if getattr(tower, "is_reference", False):
        return tower
    weights = tower.state_dict().values()
    same = all(w.device.type == "cpu" and w.dtype in (torch.float32, torch.int64) for w in weights)
    if same and not tower.training:
        return tower
    return copy.deepcopy(tower).float().cpu().eval()


def _write_all(
    space: Space,
    given: Mapping[str, list[Any]],
    format: str,
    folder: Path,
    skip: Callable[[str], object] | None,
) -> dict[str, Graph]:
    """Write the graphs of modalities.

    Args:
        space: in float32.
        given: modality → items to compare with.
        format, folder: of the files.
        skip: called with a line for each that can't be written; None raises instead.

    Raises:
        CheckpointError: one can't be written, or none.
    """
    graphs: dict[str, Graph] = {}
    for name, items in given.items():
        try:
            graphs[name] = _write(space, name, items, format, folder)
        except CheckpointError as error:
            if skip is None or len(given) == 1:
                raise
            for part in folder.glob(f"{name}.{format}*"):
                part.unlink()
            skip(f"{name}: skipped, {error.reason}")
    if not graphs:
        raise CheckpointError(space.name, "no tower of it can be written as a graph")
    return graphs


def _write(space: Space, modality: str, items: list[Any], format: str, folder: Path) -> Graph:
    """Write the graph of one modality, and the files of its preprocessing."""
    if not items:
        raise CheckpointError(modality, "no items of it ship to compare with; pass items= of yours")
    binding = space.config.modalities[modality]
    tower, spec = space.towers[binding.tower], MODALITIES.get(modality)
    if getattr(tower, "is_reference", False):
        raise CheckpointError(modality, "a model of others; export it with their tools")
    clips = torch.cat([space.decoder.preprocess(modality, item).clips[:1] for item in items[:2]])
    if len(clips) < 2:
        clips = clips.repeat(2, *[1] * (clips.ndim - 1))
    is_ids = clips.dtype == torch.int64
    program = trace(modality, tower, clips, clips.shape[1] if is_ids else None)
    file = f"{modality}.{format}"
    WRITERS[format](modality, program, folder / file)
    for name in spec.files(binding.settings):
        shutil.copyfile(read_inside(space.folder or Path(), name), read_inside(folder, name))
    return Graph(
        file=file,
        clip=tuple(clips.shape[1:]),
        type=str(clips.dtype).removeprefix("torch."),  # type: ignore[arg-type]
        padding=_padding(tower, binding.settings) if is_ids else None,
        settings=binding.settings,
        version=spec.version,
        scale=binding.scale,
    )


def _quantize(space: Space, modality: str, graph: Graph, folder: Path) -> Graph:
    """Store the convolutions of a graph in int8, if it mainly has them."""
    items = shipped_items(modality, others=True)
    clips = (space.decoder.preprocess(modality, item).clips[:CALIBRATION_CLIPS] for item in items)
    batches = (batch.numpy() for batch in clips)
    if not quantize_convolutions(modality, folder / graph.file, batches):
        return graph
    return replace(graph, weights="int8")


def _padding(tower: nn.Module, settings: Any) -> int | None:
    """Return the id of which columns may be cut from the end of token ids.

    Towers that mask padding, and causal ones that read their end token, ignore what comes after.
    """
    config: Any = tower.config
    if hasattr(config, "pad_id"):
        return int(config.pad_id)
    reads_end = config.trunk.causal and config.head.pool == "eot"
    return int(settings.pad) if reads_end else None


def _write_card(space: Space, modalities: list[str], folder: Path) -> None:
    native.write_json(folder / CARD, to_dict(space.card))
    text = to_model_card(space.name, modalities, space.card)
    (folder / README).write_text(text, encoding="utf-8")
    if space.folder is not None and (known := space.folder / native.ATTRIBUTION).is_file():
        shutil.copyfile(known, folder / native.ATTRIBUTION)  # licenses ask for it with any copy


def _compare(
    space: Space,
    manifest: Manifest,
    items: dict[str, list[Any]],
    folder: Path,
    report: Callable[[str], object],
) -> Manifest:
    """Return the manifest with the least cosines to the space.

    Raises:
        CheckpointError: one is below `LEAST_COSINE`.
    """
    found = {}
    for name, graph in manifest.modalities.items():
        expected_NE = space.encode(name, items[name])
        exported_NE = _encode(space, manifest, name, items[name], folder)
        cosine = float((expected_NE * exported_NE).sum(axis=1).min())
        least = LEAST_COSINE[graph.weights]
        if not cosine >= least:
            reason = f"its graph's vectors have cosines from {cosine:.6f} to the space's"
            raise CheckpointError(name, f"{reason}, expected at least {least}; nothing was written")
        found[name] = replace(graph, items=len(items[name]), cosine=round(cosine, 7))
        about = f"{graph.weights}, least cosine {cosine:.6f} of {len(items[name])} items"
        report(f"{name}: {graph.file}, {about}")
    return replace(manifest, modalities=found)


def _encode(
    space: Space, manifest: Manifest, modality: str, items: list[Any], folder: Path
) -> np.ndarray:
    """Embed items by a written graph; of ONNX by all that its users run, preprocessing included."""
    if manifest.format == "onnx":
        exported = open_exported(folder, "onnx", modalities=[modality])
        return np.asarray(exported.encode(modality, items))
    graph = manifest.modalities[modality]
    program = torch.export.load(folder / graph.file).module()

    def run(clips: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(program(torch.from_numpy(clips)).numpy())

    samples = [space.decoder.preprocess(modality, item).clips.numpy() for item in items]
    rows = iter(run_clips(run, [c for clips in samples for c in clips], graph.padding, 8))
    return np.stack(
        [clip_vectors(np.stack([next(rows) for _ in clips])).mean_vector() for clips in samples]
    )
