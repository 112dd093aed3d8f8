"""Towers whose weights are another model's: named by repository and commit, or by directory.

A saved space holds the name, revision and settings of such a model, and none of its weights.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openbind.checkpoints.repository import fetch, read_json, read_license
from openbind.errors import (
    CheckpointError,
    MissingExtraError,
    OpenbindError,
    first_line,
    shorten,
)
from openbind.model import TOWERS
from openbind.registry import Registry
from openbind.space.card import FROZEN, Card, Source
from openbind.space.config import SpaceConfig, TowerSpec
from openbind.space.space import Space

OPENERS = Registry(
    "opener of models",
    "openbind.model_openers",
    {
        "sentence_transformer": "openbind.checkpoints.sentence_transformers:open_model",
        "tipsv2": "openbind.checkpoints.tipsv2:open_model",
        "pe_av": "openbind.checkpoints.pe_av:open_model",
    },
)
"""Kind of a tower → (configs of towers of one model, device, dtype) → the model that they share."""
PACKAGES = ("torchvision", "timm")
"""That some models need, and no extra of openbind installs."""
SCALE = 20.0
"""Logit scale of models that store none, a temperature of 0.05, within the range that embedding
models are trained with."""
_BLOCK = 1 << 20
_REPOSITORY = r"[\w-][\w.-]*/[\w.-]+"


@dataclass(frozen=True)
class Reference:
    """Where a model is.

    Args:
        name: of a repository of the Hugging Face Hub, or the path of a directory.
        revision: the repository's commit; of a directory "sha256:" and a digest of its files.
    """

    name: str
    revision: str

    @property
    def folder(self) -> Path | None:
        """The directory; None of a repository."""
        return Path(self.name) if self.revision.startswith("sha256:") else None

    @property
    def commit(self) -> str | None:
        """The commit of a repository; None of a directory."""
        return None if self.folder else self.revision

    @property
    def title(self) -> str:
        """What the model is called."""
        return self.folder.name if self.folder else self.name

    def fetch(self, patterns: Sequence[str]) -> Path:
        """Return the folder that has the files of these patterns; fetch what isn't cached.

        Raises:
            CheckpointError: as `repository.fetch`.
        """
        return self.folder or fetch(self.name, [*patterns], self.revision)

    def describe(self, library: str, use: Sequence[str], limits: Sequence[str] = ()) -> Card:
        """Return the card of a space of this model, with the license that its own card states.

        Args:
            library: that computes.
            use: modalities of the space.
            limits: sentences beside the one on weights.
        """
        license = read_license(self.fetch(["README.md"]))
        origin = self.name if self.folder else f"hf:{self.name}"
        return Card(
            summary=f"{self.title}, a model of {library}, at revision {self.revision}.",
            license=license,
            sources=(
                Source(
                    name=self.title,
                    use=f"{FROZEN}{', '.join(use)}",
                    license=license or "not stated",
                    origin=origin,
                ),
            ),
            limits=(
                f"The weights of {self.title} aren't included: they are read from its own "
                "repository or directory when the space is loaded, under their own license.",
                *limits,
            ),
        )


def resolve(prefix: str, name: str) -> Reference:
    """Return where a model is, with the commit or digest of today.

    Args:
        prefix: of the name, for errors.
        name: "organization/name", "organization/name@revision", or the path of a directory.

    Raises:
        CheckpointError: no such repository, revision or directory.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # no name would be the working directory
        folder = folder.resolve()
        return Reference(str(folder), digest(folder))
    repository, _, revision = name.partition("@")
    if not re.fullmatch(_REPOSITORY, repository):
        raise CheckpointError(
            prefix + name, "no such directory, and not organization/name of a repository"
        )
    return Reference(repository, fetch(repository, ["config.json"], revision or None).name)


def read_config(where: Reference, kind: str) -> dict[str, Any]:
    """Return the config of a model that Transformers calls `kind`.

    Raises:
        CheckpointError: it is of another kind, or not readable.
    """
    values = read_json(where.fetch(["*.json"]) / "config.json")
    found = values.get("model_type")
    if found != kind:
        reason = f"config.json: model_type: expected {kind}, found {shorten(found)}"
        raise CheckpointError(where.name, reason)
    return values


def is_reference(spec: TowerSpec) -> bool:
    """Return whether a tower's weights are elsewhere, and its config says where."""
    return bool(getattr(TOWERS.get(spec.kind), "is_reference", False))


def attach(config: SpaceConfig, model: Any, card: Card) -> Space:
    """Return the space of towers that share one model."""
    return Space(config, {name: _tower(spec, model) for name, spec in config.towers.items()}, card)


def open_references(
    specs: Mapping[str, TowerSpec], device: str | torch.device, dtype: torch.dtype | None
) -> dict[str, torch.nn.Module]:
    """Open the towers of a saved space whose weights are elsewhere; each model once.

    Args:
        specs: towers by name; those that have weights of their own are passed over.
        device: of the models.
        dtype: precision to compute in.

    Raises:
        CheckpointError: a model isn't there any more, or changed; else as when it was loaded.
        MissingExtraError: the library that computes isn't installed.
    """
    groups: dict[tuple[str, Reference], list[str]] = {}
    for name, spec in specs.items():
        if is_reference(spec):
            where = Reference(spec.config.name, spec.config.revision)
            groups.setdefault((spec.kind, where), []).append(name)
    towers: dict[str, torch.nn.Module] = {}
    for (kind, where), names in groups.items():
        _check_unchanged(where)
        model = OPENERS.get(kind)([specs[name].config for name in names], device, dtype)
        towers |= {name: _tower(specs[name], model) for name in names}
    return towers


def opened(name: str, library: str, extra: str, open: Callable[[], Any]) -> Any:
    """Open a model by a library; what goes wrong is one error that names the model.

    Args:
        name: of the model.
        library: that opens it, as its package is called.
        extra: of openbind that installs the library.
        open: does it.

    Raises:
        CheckpointError: it can't be opened.
        MissingExtraError: the library isn't installed.
    """
    try:
        return open()
    except OpenbindError:
        raise
    except Exception as error:  # of several libraries
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            raise MissingExtraError(f"the model {name}", library, extra) from error
        found = f"{type(error).__name__}: {first_line(error)}"
        for package in PACKAGES:
            if isinstance(error, ImportError) and package in str(error).lower():
                found = f"it needs {package}: pip install {package}"
        shown = library.replace("_", "-")
        raise CheckpointError(name, f"can't be opened by {shown} ({found})") from error


def precision_on(device: str | torch.device, dtype: torch.dtype | None) -> torch.dtype | None:
    """Return the precision to compute in: as given, float32 on a CPU, else None, the model's."""
    if dtype is None and torch.device(device).type == "cpu":
        return torch.float32
    return dtype


def digest(folder: Path) -> str:
    """Hash the names and contents of a folder's files; hidden ones don't count."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        found.update(f"/{relative.as_posix()} {path.stat().st_size}/".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    return f"sha256:{found.hexdigest()}"


def _tower(spec: TowerSpec, model: Any) -> torch.nn.Module:
    tower: torch.nn.Module = TOWERS.get(spec.kind)(spec.config, model)
    return tower.eval().requires_grad_(False)


def _check_unchanged(where: Reference) -> None:
    """Compare a directory with the digest that a saved space has of it."""
    if where.folder is None:
        if not re.fullmatch(_REPOSITORY, where.name):
            raise CheckpointError(where.name, "expected organization/name of a repository")
        return
    if not where.folder.is_dir():
        reason = "no such directory, but the space refers to the model in it"
        raise CheckpointError(where.name, reason)
    if digest(where.folder) != where.revision:
        reason = "its files changed since the space was made, so its vectors may differ"
        raise CheckpointError(where.name, f"{reason}; load the model and save the space again")


def check_complete(name: str, found: dict[str, Any], optional: set[str]) -> None:
    """Check that a network got all its weights: Transformers draws missing ones at random.

    Args:
        name: of the model.
        found: what `from_pretrained` tells of loading.
        optional: weights that may be missing.

    Raises:
        CheckpointError: some are missing, or have other shapes.
    """
    missing = sorted({*found["missing_keys"]} - optional)
    wrong = sorted(str(key[0]) for key in found["mismatched_keys"])
    if missing or wrong:
        count, first = len(missing) + len(wrong), [*missing, *wrong][0]
        reason = f"{count} weights are missing or have other shapes, the first {first}"
        raise CheckpointError(name, f"{reason}; expected a model of this kind")


def make_tokenize(
    tokenizer: Any, length: int
) -> Callable[[Sequence[str]], dict[str, torch.Tensor]]:
    """Return the function from texts to the keywords of a text model of Transformers.

    Args:
        tokenizer: Transformers' own.
        length: most tokens; longer texts are cut.
    """

    def tokenize(texts: Sequence[str]) -> dict[str, torch.Tensor]:
        given = tokenizer(
            list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
        )
        return {name: given[name] for name in ("input_ids", "attention_mask")}

    return tokenize
