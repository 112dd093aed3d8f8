"""What is in the folder of an exported space: `export.json`, and the files that it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from openbind.checkpoints.repository import read_inside, read_json
from openbind.configs import Range, Width, from_dict, to_dict
from openbind.errors import CheckpointError, ConfigError, UnknownNameError, shorten
from openbind.modalities import MODALITIES

MANIFEST, CARD, README = "export.json", "card.json", "README.md"
VERSION = 1
FORMATS = ("onnx", "pt2")
INPUT, OUTPUT = "clips", "unit_vectors"
"""Names of a graph's tensors."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """How one modality is embedded.

    Args:
        file: of the graph: `clips` (batch, *clip) → `unit_vectors` (batch, dim) float32.
        clip: shape of one clip; the first axis of token ids may be shorter.
        type: of the clips' numbers.
        padding: id that fills the end of token ids; columns of it may be cut. None: none may be.
        settings: of the modality's preprocessing.
        version: of the modality's preprocessing.
        scale: logit scale.
        items: items that were compared with the space.
        cosine: least cosine to the space's vectors.
        weights: what the products are computed from.
    """

    file: str
    clip: tuple[Width, ...]
    type: Literal["float32", "int64", "uint8"]
    padding: int | None = None
    settings: Any
    version: int
    scale: Annotated[float, Range(1e-6, 1e6)] = 1.0
    items: int = 0
    cosine: float = 0.0
    weights: Literal["float32", "int8"] = "float32"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An exported space.

    Args:
        format: of the graphs.
        name, dim: of the space.
        source: fingerprint of the space.
        modalities: name → its graph.
        digests: file → SHA-256, of the graphs and of what preprocessing needs.
    """

    format: Literal["onnx", "pt2"]
    name: str
    dim: Width
    source: str
    modalities: dict[str, Graph]
    digests: dict[str, str] = field(default_factory=dict)

    def files(self, modality: str) -> set[str]:
        """Return the names of the files that a modality needs, with weights beside its graph."""
        graph = self.modalities[modality]
        weights = {name for name in self.digests if name.startswith(f"{graph.file}.")}
        return {graph.file, *weights, *MODALITIES.get(modality).files(graph.settings)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `export.json` with the digests of the files."""
    names = {name for modality in manifest.modalities for name in manifest.files(modality)}
    graphs = tuple(f"{graph.file}." for graph in manifest.modalities.values())
    names |= {path.name for path in folder.iterdir() if path.name.startswith(graphs)}
    digests = {name: _digest(read_inside(folder, name)) for name in sorted(names)}
    values = {"export": VERSION, **to_dict(replace(manifest, digests=digests))}
    text = json.dumps(values, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path, modalities: Iterable[str] | None = None) -> Manifest:
    """Read `export.json`.

    Args:
        folder: has it.
        modalities: keep only these; None keeps all. Only their code is imported, which for some is
            PyTorch's.

    Raises:
        CheckpointError: none there, of another version, or invalid.
        UnknownNameError: the space has no such modality.
    """
    path = folder / MANIFEST
    if not path.is_file():
        reason = f"not an exported space: no {MANIFEST}. To write one: openbind export SPACE DIR"
        raise CheckpointError(folder, reason)
    values = read_json(path)
    version = values.pop("export", None)
    if version != VERSION:
        reason = f"expected export {VERSION}, found {shorten(version)}; update openbind?"
        raise CheckpointError(path, reason)
    try:
        manifest = from_dict(Manifest, values)
    except ConfigError as error:
        raise CheckpointError(path, str(error)) from error
    chosen = list(manifest.modalities if modalities is None else modalities)
    for name in chosen:
        if name not in manifest.modalities:
            raise UnknownNameError(f"modality of {manifest.name}", name, manifest.modalities)
    try:
        return replace(manifest, modalities=_read_settings(manifest, chosen))
    except (ConfigError, UnknownNameError) as error:
        raise CheckpointError(path, str(error)) from error


def _read_settings(manifest: Manifest, modalities: list[str]) -> dict[str, Graph]:
    found = {}
    for name, graph in manifest.modalities.items():
        if name not in modalities:
            continue
        spec = MODALITIES.get(name)
        if graph.version != spec.version:
            reason = f"preprocessing of version {graph.version}, this openbind has {spec.version}"
            raise ConfigError(f"modalities.{name}: {reason}; export the space again")
        place = f"modalities.{name}.settings"
        found[name] = replace(graph, settings=from_dict(spec.settings, graph.settings, place))
    return found


def check_files(folder: Path, manifest: Manifest, modalities: Iterable[str]) -> None:
    """Compare the files of some modalities with their digests.

    Raises:
        CheckpointError: a file is missing, changed, or has no digest.
    """
    for name in sorted(set().union(*(manifest.files(modality) for modality in modalities))):
        path = read_inside(folder, name)
        if not path.is_file():
            raise CheckpointError(path, f"no such file, but {MANIFEST} names it; export again")
        expected, found = manifest.digests.get(name), _digest(path)
        if found != expected:
            reason = f"damaged or changed: expected the sha256 {expected}, found {found}"
            raise CheckpointError(path, f"{reason}; export again")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
