"""Spaces to and from the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openbind.checkpoints import huggingface, native
from openbind.errors import CheckpointError
from openbind.space.space import Space

_SMALL = ["*.json", "README.md"]
_FOREIGN = (
    ["open_clip_model.safetensors"],
    ["open_clip_pytorch_model.bin"],
    ["model.safetensors"],
    ["*.safetensors"],
    ["imagebind_huge.pth"],
    ["pytorch_model.bin"],
)
"""Weights in repositories whose config says nothing, in the order in which they are looked for."""


def pull(
    repo_id: str, *, modalities: Iterable[str] | None = None, revision: str | None = None
) -> Path:
    """Fetch a repository's config and the weights that are needed; what is there isn't fetched.

    Args:
        repo_id: "organization/name".
        modalities: only what these need, where each tower has its own file.
        revision: branch, tag or commit.

    Returns:
        the directory in Hugging Face's cache.

    Raises:
        CheckpointError: no such repository, or no connection and not in the cache; or a
            repository without weights that can be read.
    """
    folder = _fetch(repo_id, _SMALL, revision)
    for patterns in _wanted(folder, modalities):
        folder = _fetch(repo_id, patterns, revision)
        if any(path.match(pattern) for pattern in patterns for path in folder.iterdir()):
            return folder
    raise CheckpointError(repo_id, "the repository has no weights that openbind can read")


def push_to_hub(
    space: Space, repo_id: str, *, private: bool = False, message: str = "Add the space"
) -> str:
    """Upload a space in openbind's own format; `openbind.load(repo_id)` reads it back.

    The token is the one of `hf auth login` or $HF_TOKEN. Mind the license of the weights.

    Args:
        space: what to upload.
        repo_id: "organization/name"; made if missing.
        private: make it a private repository.
        message: of the commit.

    Returns:
        the address of the commit.

    Raises:
        CheckpointError: not signed in, not allowed, or no connection.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        native.save(space, Path(folder) / "space")
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id, folder_path=Path(folder) / "space", commit_message=message
            )
        except Exception as error:  # of whichever HTTP library the client has
            raise CheckpointError(repo_id, f"the upload failed: {_first_line(error)}") from error
    return str(commit.commit_url)


def _wanted(folder: Path, modalities: Iterable[str] | None) -> list[list[str]]:
    """Patterns of the weights, in the order in which they are tried."""
    path = folder / native.CONFIG
    config: dict[str, Any] = huggingface.read_json(path) if path.is_file() else {}
    if "format" in config:
        bindings = config.get("modalities", {})
        chosen = bindings if modalities is None else [m for m in modalities if m in bindings]
        towers = sorted({str(bindings[name]["tower"]) for name in chosen})
        return [[f"{tower}.safetensors" for tower in towers]]
    if config.get("model_type") is not None:
        return [["model*.safetensors"], ["pytorch_model*.bin"]]
    return list(_FOREIGN)


def _fetch(repo_id: str, patterns: list[str], revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, allow_patterns=patterns, revision=revision))
    except Exception as error:  # of whichever HTTP library the client has
        raise CheckpointError(
            repo_id,
            "neither a directory here nor a repository of the Hugging Face hub that can be "
            f"fetched: {_first_line(error)}",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
