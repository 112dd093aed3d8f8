"""Load spaces by name: shipped, downloaded, from a path, or from the Hugging Face Hub."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openbind.checkpoints import hub, native
from openbind.checkpoints.adapters import merge_adapters
from openbind.checkpoints.anchors import ANCHORS
from openbind.checkpoints.formats import Listing, detect, load_as
from openbind.checkpoints.pe_av import PREFIX as PE_AV
from openbind.checkpoints.pe_av import load_pe_av
from openbind.checkpoints.sentence_transformers import (
    PREFIX,
    AnchorOptions,
    load_sentence_transformer,
)
from openbind.checkpoints.tipsv2 import PREFIX as TIPSV2
from openbind.checkpoints.tipsv2 import load_tipsv2
from openbind.configs import from_dict
from openbind.download import cache_directory, download
from openbind.errors import CheckpointError, UnknownNameError
from openbind.presets import PRESETS
from openbind.space.config import SpaceConfig
from openbind.space.quantizing import quantize_space
from openbind.space.space import Space

if TYPE_CHECKING:
    import torch

LICENSE_VARIABLE = "OPENBIND_ACCEPT_LICENSE"
"""Comma-separated names of the entries with a license that the user accepts."""
HUB = "hf:"
"""Prefix of a repository of the Hugging Face Hub."""
OWN_LOADERS: dict[str, Callable[..., Space]] = {TIPSV2: load_tipsv2, PE_AV: load_pe_av}
"""Prefix of models of others that sentence-transformers doesn't load → what does."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A named space.

    Args:
        name: for `openbind.load`.
        license: of the weights; "" where there are none.
        source: of the weights, for people.
        config: returns the config of the space.
        url: of the file of weights, if it is downloaded.
        sizes: minimum and maximum size of that file in bytes.
        sha256: hexadecimal digest of that file; None if it isn't known.
        consent: license terms that the user accepts by downloading; "" if there are none.
    """

    name: str
    license: str
    source: str
    config: Callable[[], SpaceConfig]
    url: str = ""
    sizes: tuple[int, int] = (0, 0)
    sha256: str | None = None
    consent: str = ""

    def path(self) -> Path | None:
        """Return the path of the weights, downloaded or not; None if there are none."""
        if self.url:
            return cache_directory() / self.url.rsplit("/", 1)[1]
        return shipped(self.name) if self.name in SHIPPED else None

    def size_bytes(self) -> int:
        """Return the size of the weights on disk, or of the file to download."""
        path = self.path()
        if path is None:
            return 0
        if path.is_dir():
            return sum(p.stat().st_size for p in path.iterdir() if p.is_file())
        return path.stat().st_size if path.is_file() else self.sizes[0]

    def on_disk(self) -> bool:
        """Return whether the weights are on disk."""
        path = self.path()
        return path is not None and path.exists()


SHIPPED = ("starter",)
_WEIGHT_BYTES = 4_803_147_960
"""Tensors of imagebind_huge in float32: 1,200,781,057 parameters, and buffers."""
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="starter",
            license="Apache-2.0 AND CC-BY-4.0",
            source="ships with openbind",
            config=lambda: native.read_config(shipped("starter")),
        ),
        Entry(
            name="imagebind_huge",
            license="CC-BY-NC-SA-4.0",
            source="Meta AI, arXiv 2305.05665",
            config=PRESETS["imagebind_huge"],
            url="https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
            # PyTorch's file adds names and padding: well under 1 %. Its digest isn't known.
            sizes=(_WEIGHT_BYTES, _WEIGHT_BYTES * 101 // 100),
            consent="CC-BY-NC-SA 4.0: for research, not for commercial use",
        ),
        Entry(name="base", license="", source="architecture to train", config=PRESETS["base"]),
        Entry(name="tiny", license="", source="architecture to train", config=PRESETS["tiny"]),
    )
}


def load(
    name: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    device: str = "auto",
    dtype: Any = "auto",
    weights: Literal["trained", "random"] = "trained",
    accept_license: bool = False,
    anchor: AnchorOptions | Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
    adapters: Mapping[str, str | os.PathLike[str]] | None = None,
) -> Space:
    """Load a space.

    Args:
        name: "starter", which ships with the package and works offline; "imagebind_huge", which
            is downloaded once; a directory that `openbind.save` or a training run wrote; any
            other checkpoint of a known format (Hugging Face's CLIP and SigLIP directories, files
            of ImageBind's or OpenCLIP's weights); a repository of the Hugging Face Hub,
            "hf:organization/name" or "hf:organization/name@revision"; "st:" and a repository or
            directory that sentence-transformers loads, "tipsv2:" or "pe-av:" and one of these
            models (docs/anchors.md); or a short name of such a model.
        modalities: load only what these need; None loads all.
        device: "auto" (a GPU if there is one), or any argument of `torch.device`.
        dtype: "auto" (the checkpoint's stated precision, else the fastest one of the device), or
            a torch dtype or its name. "int8" multiplies large weights in 8 bits on CPUs with
            VNNI, the rest as "auto"; towers that this would change too much stay, with a warning.
        weights: "random" builds a named architecture with deterministic initial weights.
        accept_license: accept the license of weights that are downloaded; the same as the
            entry's name in $OPENBIND_ACCEPT_LICENSE.
        anchor: prompts and truncation of "st:" models, as `AnchorOptions` or a mapping.
        trust_remote_code: run Python code of an "st:" model's repository, if it needs it.
        adapters: modality → folder of LoRA adapters, which are merged into its tower.

    Raises:
        UnknownNameError: no such name or path, or the space has no such modality.
        CheckpointError: a file is missing, truncated, or of an unexpected format; or weights
            need a download and their license wasn't accepted.
    """
    is_int8 = str(dtype) in ("int8", "torch.int8")
    target, precision = pick_device(device), None if is_int8 else parse_dtype(dtype)
    chosen = None if modalities is None else list(modalities)
    if weights == "random":
        space = build_random(str(name), chosen, target, precision)
    elif weights == "trained":
        name = ANCHORS[str(name)].reference if str(name) in ANCHORS else name
        options = _read_options(name, anchor, trust_remote_code)
        settings = {"modalities": chosen, "device": target, "dtype": precision}
        if str(name).startswith((PREFIX, *OWN_LOADERS)):
            space = _load_reference(str(name), options, trust_remote_code, settings)
        else:
            space = _load_trained(name, accept_license, settings, adapters or {})
    else:
        raise UnknownNameError("kind of weights", weights, ["trained", "random"])
    return quantize_space(space) if is_int8 else space


def _load_trained(
    name: str | os.PathLike[str],
    accept_license: bool,
    settings: dict[str, Any],
    adapters: Mapping[str, str | os.PathLike[str]],
) -> Space:
    """Load a space from its files, which may have to be downloaded; merge its adapters."""
    path = find(name, modalities=settings["modalities"], accept_license=accept_license)
    space = _load_files(path, settings["modalities"], settings["device"], settings["dtype"])
    entry = ENTRIES.get(str(name))
    if entry is not None and entry.url:
        space.config = replace(space.config, name=entry.name)
        space.card = replace(space.card, license=entry.license)
    return merge_adapters(space, adapters) if adapters else space


def _load_reference(
    name: str, options: AnchorOptions, trust_remote_code: bool, settings: dict[str, Any]
) -> Space:
    """Load a model of others as a space that refers to it."""
    prefix, _, place = name.partition(":")
    if f"{prefix}:" in OWN_LOADERS:
        return OWN_LOADERS[f"{prefix}:"](place, **settings)
    return load_sentence_transformer(
        place, options=options, trust_remote_code=trust_remote_code, **settings
    )


def _load_files(
    path: Path, modalities: list[str] | None, device: str, dtype: torch.dtype | None
) -> Space:
    """Load a file or directory in the format that its content has."""
    listing = Listing(path)
    found = detect(listing)
    if dtype is None:
        stated = found.dtype(listing)
        dtype = parse_dtype(stated) if stated else _fastest_dtype(device)
    return load_as(found, listing, modalities=modalities, device=device, dtype=dtype)


def find(
    name: str | os.PathLike[str],
    *,
    modalities: Iterable[str] | None = None,
    accept_license: bool = False,
) -> Path:
    """Return the directory or file of a space; download it if necessary.

    Args:
        name: as in `load`.
        modalities: download only what these need, where each tower has its own file.
        accept_license: as in `load`.

    Raises:
        UnknownNameError, CheckpointError: as in `load`.
    """
    text = str(name)
    if text in ENTRIES:
        return _find_entry(ENTRIES[text], accept_license)
    if text.startswith((PREFIX, *OWN_LOADERS)) or text in ANCHORS:
        reason = "no file of a space: a reference to another model. Save it, and use the directory"
        raise CheckpointError(text, reason)
    if text.startswith(HUB):
        repo_id, _, revision = text.removeprefix(HUB).partition("@")
        return hub.pull(repo_id, modalities=modalities, revision=revision or None)
    path = native.find_result(Path(name).expanduser())
    if path.exists():
        return path
    is_repo_id = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text) is not None
    hint = f"a repository of the Hugging Face Hub is {HUB}{text}" if is_repo_id else ""
    raise UnknownNameError("space or path", text, [*ENTRIES, *ANCHORS], hint)


def _read_options(
    name: str | os.PathLike[str],
    anchor: AnchorOptions | Mapping[str, Any] | None,
    trust_remote_code: bool,
) -> AnchorOptions:
    """Return the options of a model of sentence-transformers; others take none."""
    if isinstance(anchor, AnchorOptions):
        options = anchor
    else:
        options = from_dict(AnchorOptions, dict(anchor or {}), "anchor")
    if not str(name).startswith(PREFIX) and (options != AnchorOptions() or trust_remote_code):
        reason = f"anchor and trust_remote_code are for {PREFIX} names; this one keeps its own"
        raise CheckpointError(name, reason)
    return options


def shipped(name: str) -> Path:
    """Return the directory of a space in the package."""
    return Path(str(files("openbind"))) / "assets" / name


def pick_device(device: str) -> str:
    """Resolve "auto" to the fastest device of this machine."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def parse_dtype(dtype: Any) -> torch.dtype | None:
    """Return a torch dtype, given or by name; None for "auto".

    Raises:
        UnknownNameError: no such dtype.
    """
    import torch

    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype == "auto":
        return None
    if not isinstance(found, torch.dtype):
        known = ["auto", "float32", "bfloat16", "float16", "int8"]
        raise UnknownNameError("dtype", str(dtype), known)
    return found


def build_random(
    name: str, modalities: list[str] | None, device: str, dtype: torch.dtype | None
) -> Space:
    """Build a named architecture; the weights of a tower depend only on the tower's name.

    Raises:
        UnknownNameError: no such architecture or modality.
    """
    import torch

    from openbind.model.initial import initialize

    if name not in PRESETS:
        raise UnknownNameError("architecture", name, PRESETS)
    config = PRESETS[name]()
    if modalities is not None:
        config = native.select_modalities(config, modalities)
    precision = dtype or _fastest_dtype(device)
    towers = {}
    for tower_name, spec in config.towers.items():
        with torch.device("meta"):
            tower: Any = native.build_tower(spec)
        generator = torch.Generator().manual_seed(zlib.crc32(tower_name.encode()))
        tower = initialize(tower.to_empty(device="cpu"), generator).to(device, precision)
        towers[tower_name] = tower.eval().requires_grad_(False)
    return Space(replace(config, dtype=str(precision).removeprefix("torch.")), towers)


def _find_entry(entry: Entry, accept_license: bool) -> Path:
    path = entry.path()
    if path is None:
        raise CheckpointError(
            entry.name, "no trained weights exist; weights='random' builds the architecture"
        )
    if path.exists():
        return path
    what = f"{entry.url} ({entry.sizes[0] / 1e9:.1f} GB)"
    check_license(entry.name, what, entry.consent, accept_license)
    download(entry.url, path, entry.sizes, sha256=entry.sha256)
    return path


def check_license(name: str, what: str, consent: str, accept_license: bool) -> None:
    """Check that the user accepts the license of what is about to be downloaded, and say so.

    Args:
        name: that the user accepts in $OPENBIND_ACCEPT_LICENSE.
        what: is downloaded, with its size.
        consent: license terms; "" if there are none to accept.
        accept_license: whether they were accepted in the call.

    Raises:
        CheckpointError: they weren't.
    """
    accepted = os.environ.get(LICENSE_VARIABLE, "").replace(" ", "").split(",")
    if consent and not accept_license and name not in accepted:
        raise CheckpointError(
            name,
            f"not on disk. {what} is licensed under {consent}. To accept the license and "
            f"download: accept_license=True, or {LICENSE_VARIABLE}={name}. Or pass the path of "
            "the files",
        )
    print(f"downloading {what}, licensed under {consent}", file=sys.stderr)


def _fastest_dtype(device: str) -> torch.dtype:
    from openbind.model.precision import fastest_dtype

    return fastest_dtype(device)
