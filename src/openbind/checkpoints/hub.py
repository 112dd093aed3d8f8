"""Spaces to and from the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from openbind.checkpoints import native
from openbind.checkpoints.formats import FORMATS, Listing, rank_formats
from openbind.checkpoints.repository import fetch
from openbind.errors import CheckpointError, first_line
from openbind.names import plain_name
from openbind.space.card import find_stricter
from openbind.space.space import Space

_SMALL_FILES = ["*.json", "README.md"]
_DIFFUSION_FILES = [
    *("model_index.json", "unet/config.json", "vae/config.json", "scheduler/*.json"),
    *("image_normalizer/*", "image_noising_scheduler/*.json"),
]


def pull(
    repo_id: str, *, modalities: Iterable[str] | None = None, revision: str | None = None
) -> Path:
    """Fetch a repository's small files and the weights that are needed; cached files are kept.

    The revision is resolved to a commit once, so all files are of the same commit.

    Args:
        repo_id: "organization/name".
        modalities: fetch only what these need, where each tower has its own file.
        revision: branch, tag or commit.

    Returns:
        the directory in Hugging Face's cache.

    Raises:
        CheckpointError: no such repository; no connection and not cached; or no weights in a
            known format.
    """
    folder = fetch(repo_id, _SMALL_FILES, revision)
    commit = folder.name
    names = _list_files(repo_id, folder, commit)
    listing = Listing(folder, names)
    formats = rank_formats(listing) or [FORMATS.get(name) for name in FORMATS.names()]
    for chosen in formats:
        for patterns in chosen.weights(listing, modalities):
            if any(fnmatch(name, pattern) for name in names for pattern in patterns):
                return fetch(repo_id, list(patterns), commit)
    raise CheckpointError(
        repo_id, f"expected weights in a format of {', '.join(FORMATS.names())}, found none"
    )


def pull_diffusion(repo_id: str, encoders: Iterable[str] = ()) -> Path:
    """Fetch what draws of a diffusion model: UNet, VAE and settings, no encoders.

    Args:
        repo_id: a repository in diffusers' layout.
        encoders: folders of encoders to fetch too, such as "text_encoder".

    Returns:
        the directory in Hugging Face's cache.

    Raises:
        CheckpointError: as `pull`; or a part has no safetensors.
    """
    folder = fetch(repo_id, _DIFFUSION_FILES, None)
    names = _list_all_files(repo_id, folder)
    chosen = [file for part in ("unet", "vae") for file in _part_weights(repo_id, names, part)]
    for part in encoders:
        chosen += [f"{part}/config.json", *_part_weights(repo_id, names, part)]
    return fetch(repo_id, chosen, folder.name)


def _part_weights(repo_id: str, names: Iterable[str], part: str) -> list[str]:
    """Return the safetensors files of a part, in half precision if there are any."""
    own = [n for n in names if n.startswith(f"{part}/") and n.endswith(".safetensors")]
    half = [name for name in own if ".fp16" in name]
    found = half or [name for name in own if "non_ema" not in name]
    if not found:
        raise CheckpointError(repo_id, f"no safetensors of its {part}")
    return found


def pull_file(repo_id: str, name: str) -> Path:
    """Fetch one file of a repository, and return its path in Hugging Face's cache.

    Raises:
        CheckpointError: no such file, or no connection and not cached.
    """
    path = fetch(repo_id, [name], None) / name
    if not path.is_file():
        raise CheckpointError(repo_id, f"has no file {name}")
    return path


def is_fetched(repo_id: str, name: str) -> bool:
    """Return whether a file of a repository is in Hugging Face's cache."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo_id, name), str)


def push_to_hub(
    space: Space, repo_id: str, *, private: bool = False, message: str = "Add the space"
) -> str:
    """Upload a space in openbind's own format; `openbind.load("hf:" + repo_id)` restores it.

    The token is that of `hf auth login` or $HF_TOKEN. Check that the license of the weights
    allows it. Weights of a model that the space refers to stay where they are.

    Args:
        space: the space.
        repo_id: "organization/name"; created if missing.
        private: create a private repository.
        message: of the commit.

    Returns:
        the URL of the commit.

    Raises:
        CheckpointError: not logged in, not permitted, no connection; or the card states a
            permissive license, and a model that the space refers to has none.
    """
    from huggingface_hub import HfApi

    stricter = find_stricter(space.card)
    if stricter is not None:
        raise CheckpointError(
            repo_id,
            f"not published: the card says {space.card.license}, but {stricter.name}, which the "
            f"space refers to, has the license {stricter.license}; set a license on the card that "
            "both allow",
        )

    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        native.save(space, Path(folder) / "space")
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id, folder_path=Path(folder) / "space", commit_message=message
            )
        except Exception as error:  # depends on the client's HTTP library
            raise CheckpointError(repo_id, f"the upload failed: {first_line(error)}") from error
    return str(commit.commit_url)


def _list_files(repo_id: str, folder: Path, commit: str) -> tuple[str, ...]:
    """Return the names of a commit's files, none in subfolders; as `_list_all_files`."""
    return tuple(filter(_is_plain, _list_all_files(repo_id, folder, commit)))


def _list_all_files(repo_id: str, folder: Path, commit: str | None = None) -> list[str]:
    """Return the names of a commit's files; without a connection, of those in the cache."""
    from huggingface_hub import HfApi

    try:
        return list(HfApi().list_repo_files(repo_id, revision=commit or folder.name))
    except Exception:  # depends on the client's HTTP library
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]


def _is_plain(name: str) -> bool:
    try:
        return bool(plain_name(name))
    except ValueError:
        return False
